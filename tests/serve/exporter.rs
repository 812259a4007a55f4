//! What `GET /metrics` says, and what it leaves out.

use std::io::Write as _;
use std::process::{Command as Process, Stdio};
use std::sync::Arc;
use std::time::Duration;

use pulsewatch::config::{ApiConfig, ExporterConfig};
use pulsewatch::domain::{
    Breach, Entity, ForecastAccuracy, Incident, IncidentState, RowState, SourceState, Verdict, Why,
};

use crate::fixture::{
    NEWEST, NOW, P, Running, empty, entity, exporter, feature, forecast, scored, two_features,
    value, with_live,
};
use crate::views;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_unknown_is_absent() {
    let server = Running::start(empty());
    let text = server.metrics().await;
    for unknown in [
        "latest_reconstruction_error_mse",
        "is_anomaly_detected",
        "anomaly_score",
        "anomaly_threshold_mse",
        "feature_",
        "forecast",
        "last_successful_run_timestamp_seconds",
        "data_points_in_current_window",
        "model_",
        "source_up",
        "samples_stale",
        "training_duration_seconds",
        "collect_duration_seconds",
    ] {
        assert!(
            !text.contains(&format!("{P}{unknown}")),
            "{unknown}:\n{text}"
        );
    }
    for (series, known) in [
        ("total_anomalies_count_total", 0.0),
        ("incident_active", 0.0),
        ("training_in_progress", 0.0),
        ("collect_errors_total{reason=\"timeout\"}", 0.0),
        ("series_not_exported", 0.0),
        (
            "build_info{version=\"0.0.0-test\",target=\"test-target\",name=\"PulseWatch\",mode=\"\"}",
            1.0,
        ),
    ] {
        assert_eq!(value(&text, series), Some(known), "{series}");
    }
    assert!((value(&text, "readiness_ratio").unwrap() - 41.0 / 120.0).abs() < 1e-12);
    assert!(!text.contains("NaN"));
    assert!(!text.contains("entity="));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scored_row_is_exported_under_the_known_names() {
    let mut cpu = feature("cpu");
    cpu.forecast = Some(Arc::new(forecast()));
    cpu.breach = Some(Breach {
        earliest: Duration::from_secs(3600),
        likely: Some(Duration::from_secs(7200)),
        latest: None,
        within: Duration::from_secs(604_800),
    });
    cpu.forecast_accuracy = Some(ForecastAccuracy {
        mae: 1.5,
        coverage: 0.875,
        n: 16,
    });
    let server = Running::start(scored(
        false,
        vec![entity("", vec![cpu, feature("memory")])],
    ));
    let response = server.get("/metrics").await;
    assert_eq!(
        response.headers()["content-type"],
        "text/plain; version=0.0.4"
    );
    let text = response.text().await.unwrap();
    for (series, known) in [
        ("latest_reconstruction_error_mse", 0.75),
        ("is_anomaly_detected", 1.0),
        ("anomaly_score", 1.5),
        ("anomaly_threshold_mse", 0.5),
        ("total_anomalies_count_total", 3.0),
        (
            "feature_reconstruction_error_mse{feature_name=\"cpu\"}",
            0.25,
        ),
        ("feature_anomaly_share{feature_name=\"memory\"}", 0.5),
        ("last_successful_run_timestamp_seconds", NOW.as_secs_f64()),
        ("data_points_in_current_window", 19.0),
        ("forecast{feature_name=\"cpu\",bound=\"yhat\"}", 11.0),
        ("forecast{feature_name=\"cpu\",bound=\"lower\"}", 9.5),
        ("forecast{feature_name=\"cpu\",bound=\"upper\"}", 12.5),
        ("forecast_breach_seconds{feature_name=\"cpu\"}", 7200.0),
        ("forecast_mean_absolute_error{feature_name=\"cpu\"}", 1.5),
        ("forecast_coverage_ratio{feature_name=\"cpu\"}", 0.875),
        ("incident_active", 0.0),
        ("model_age_seconds", 600.0),
        (
            "model_info{version=\"20270115-080000\",threshold_rule=\"auto\"}",
            1.0,
        ),
        ("training_duration_seconds", 7.0),
        ("collect_duration_seconds_bucket{le=\"0.1\"}", 1.0),
        ("collect_duration_seconds_bucket{le=\"+Inf\"}", 2.0),
        ("collect_duration_seconds_count", 2.0),
        ("collect_errors_total{reason=\"timeout\"}", 4.0),
        ("source_up", 1.0),
        ("samples_stale", 0.0),
        ("readiness_ratio", 1.0),
    ] {
        assert_eq!(value(&text, series), Some(known), "{series}\n{text}");
    }
    assert!(!text.contains("feature_name=\"memory\",bound"));
    #[cfg(target_os = "linux")]
    assert!(text.contains("\nprocess_resident_memory_bytes "));
}

#[tokio::test(flavor = "multi_thread")]
async fn promtool_finds_nothing_to_complain_about() {
    let mut odd = feature("disk{device=\"C:\\\\\",mount=\"a\nb\"}");
    odd.forecast = Some(Arc::new(forecast()));
    odd.breach = Some(Breach::NOW);
    odd.feature.labels = [("mount.point", "a\nb"), ("mount_point", "c"), ("host", "")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
    let server = Running::start(scored(true, vec![entity("höst \"1\"\\\n2", vec![odd])]));
    let text = server.metrics().await;
    let mut promtool = Process::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool (of Debian's package prometheus) is missing: run tests/run.sh");
    promtool
        .stdin
        .take()
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr) + String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.trim().is_empty(),
        "{said}\n{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_labels_that_tell_features_apart_are_labels() {
    let mut received = feature(r#"net{device="eth0"}"#);
    received.feature.query = "net".into();
    received.feature.labels = [("device".to_owned(), "eth0".to_owned())].into();
    let hosts = ["a", "b"].map(|host| entity(host, vec![received.clone(), feature("cpu")]));
    let text = Running::start(scored(true, hosts.to_vec())).metrics().await;
    for series in [
        r#"feature_info{feature_name="cpu",query="cpu"}"#,
        r#"feature_info{feature_name="net{device=\"eth0\"}",query="net",label_device="eth0"}"#,
    ] {
        assert_eq!(value(&text, series), Some(1.0), "{series}\n{text}");
    }
    assert_eq!(text.matches("_feature_info{").count(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_entity_label_is_there_exactly_when_grouped() {
    let entities = || {
        vec![
            entity("db/1", vec![feature("cpu")]),
            entity("db/2", vec![feature("cpu")]),
        ]
    };
    let gone = Incident {
        id: 7,
        entity: Entity::named("db/3"),
        start: NEWEST,
        end: NEWEST,
        peak: NEWEST,
        peak_score: 2.0,
        peak_alarm: None,
        state: IncidentState::Open,
        features: Vec::new(),
        why: Why::default(),
        acknowledged: false,
        label: None,
    };
    let server = Running::start(with_live(scored(true, entities()), |live| {
        views::set_incidents(live, vec![gone]);
    }));
    let text = server.metrics().await;
    for (series, known) in [
        ("anomaly_score{entity=\"db/1\"}", Some(1.5)),
        ("total_anomalies_count_total{entity=\"db/2\"}", Some(2.0)),
        (
            "feature_anomaly_share{entity=\"db/2\",feature_name=\"cpu\"}",
            Some(0.5),
        ),
        ("incident_active{entity=\"db/1\"}", Some(0.0)),
        ("incident_active{entity=\"db/3\"}", Some(1.0)),
        ("anomaly_score{entity=\"db/3\"}", None),
        ("anomaly_threshold_mse", Some(0.5)),
    ] {
        assert_eq!(value(&text, series), known, "{series}\n{text}");
    }
    server.publish(two_features());
    assert!(!server.metrics().await.contains("entity="));
}

#[tokio::test(flavor = "multi_thread")]
async fn label_values_are_escaped() {
    let server = Running::start(scored(
        true,
        vec![entity("a\"b\\c\nd", vec![feature("x{y=\"z\"}")])],
    ));
    let text = server.metrics().await;
    let series = r#"feature_anomaly_share{entity="a\"b\\c\nd",feature_name="x{y=\"z\"}"}"#;
    assert_eq!(value(&text, series), Some(0.5), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unscored_row_exports_no_old_verdict() {
    let mut stale = entity("", vec![feature("cpu")]);
    stale.latest = Some(Arc::new(Verdict::unscored(
        NEWEST,
        Entity::sole(),
        RowState::Stale,
    )));
    let server = Running::start(scored(false, vec![stale]));
    let text = server.metrics().await;
    for series in ["is_anomaly_detected", "anomaly_score"] {
        assert_eq!(value(&text, series), None, "{series}");
    }
    assert!(!text.contains("feature_reconstruction_error_mse"));
    assert_eq!(value(&text, "samples_stale"), Some(1.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_fails_for_long_takes_its_verdicts_along() {
    let failing = |since: u64| {
        with_live(two_features(), |live| {
            let since = Some(NOW - Duration::from_secs(since));
            live.source.last_success = since;
            live.source.state = SourceState::Stale {
                since,
                error: "no answer".into(),
                retry_at: NOW,
            };
        })
    };
    let server = Running::start(failing(60));
    let text = server.metrics().await;
    assert_eq!(value(&text, "anomaly_score"), Some(1.5));
    assert_eq!(value(&text, "source_up"), Some(0.0));
    assert_eq!(value(&text, "samples_stale"), Some(1.0));
    server.publish(failing(301));
    let text = server.metrics().await;
    assert_eq!(value(&text, "anomaly_score"), None);
    assert_eq!(value(&text, "data_points_in_current_window"), None);
    assert_eq!(value(&text, "anomaly_threshold_mse"), Some(0.5));
}

#[tokio::test(flavor = "multi_thread")]
async fn series_over_the_cap_are_counted_not_exported() {
    let fleet = || {
        let hosts = (0..100).map(|i| entity(&format!("host-{i:03}"), vec![feature("cpu")]));
        scored(true, hosts.collect())
    };
    let count = |text: &str| {
        text.lines()
            .filter(|line| line.starts_with(P) && !line.contains("series_not_exported"))
            .count()
    };
    let all = Running::start(fleet()).metrics().await;
    let capped = ExporterConfig {
        max_series: 60,
        ..exporter()
    };
    let server = Running::with(fleet(), &capped, &ApiConfig::default());
    let text = server.metrics().await;
    assert_eq!(count(&text), 60);
    assert_eq!(
        value(&text, "series_not_exported"),
        Some((count(&all) - 60) as f64)
    );
    assert_eq!(value(&all, "series_not_exported"), Some(0.0));
    // Verdicts come before details, and entities in order.
    assert!(text.contains("is_anomaly_detected{entity=\"host-000\"}"));
    assert!(!text.contains("is_anomaly_detected{entity=\"host-099\"}"));
    assert!(!text.contains("feature_anomaly_share"));
    let own = |text: &str| -> Vec<String> {
        let lines = text.lines().filter(|line| line.starts_with(P));
        lines.map(str::to_owned).collect()
    };
    assert_eq!(own(&text), own(&server.metrics().await));
}
