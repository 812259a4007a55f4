//! The real binary between a real node_exporter and a real Prometheus that scrapes it back.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use pulsewatch::disk::DirLock;
use serde_json::Value;

use crate::common::http;
use crate::common::servers::{NodeExporter, Prometheus, Target, free_port};
use crate::process::{Home, Running, until};

/// Names that carry `entity` when `group_by` is set, and exist once there is a model.
const PER_ENTITY: [&str; 10] = [
    "anomaly_score",
    "latest_reconstruction_error_mse",
    "is_anomaly_detected",
    "total_anomalies_count_total",
    "feature_reconstruction_error_mse",
    "feature_anomaly_share",
    "last_successful_run_timestamp_seconds",
    "data_points_in_current_window",
    "incident_active",
    "samples_stale",
];

/// Names of the whole installation.
const WHOLE: [&str; 12] = [
    "anomaly_threshold_mse",
    "model_age_seconds",
    "model_info",
    "training_in_progress",
    "training_duration_seconds",
    "collect_duration_seconds_bucket",
    "collect_duration_seconds_sum",
    "collect_duration_seconds_count",
    "collect_errors_total",
    "source_up",
    "readiness_ratio",
    "build_info",
];

/// The contract's example, at the speed of a test.
fn config(server: &Prometheus, port: u16, group_by: &str, autoencoder: &str) -> String {
    format!(
        r#"
[source]
kind = "prometheus"
url = "{url}"
step = "1s"
latency_offset = "2s"

[queries.cpu]
expr = '100 - avg by (instance) (rate(node_cpu_seconds_total{{mode="idle"}}[5m])) * 100'
unit = "percent"
direction = "above"
limit = 90

[queries.memory]
expr = {{ linux = "node_memory_MemAvailable_bytes", windows = "windows_memory_available_bytes" }}
unit = "bytes"

[entities]
group_by = {group_by}

[history]
period = "20m"

[autoencoder]
{autoencoder}

[detect]
interval = "1s"
threshold = "auto"
false_alarms_per_day = 0.5

[exporter]
listen = "127.0.0.1:{port}"
prefix = "anomaly_detector_"

[api]
token = {{ env = "PULSEWATCH_TOKEN" }}
"#,
        url = server.url()
    )
}

const QUICK: &str = "window = 4\nepochs = 2\nmax_windows = 200";
/// A training that does not end by itself while the test runs.
const ENDLESS: &str = "window = 4\nepochs = 100000\npatience = 100000\nmax_windows = 200";

fn status(port: u16, path: &str) -> Option<u16> {
    http::request(port, "GET", path, &[])
        .ok()
        .map(|(status, _)| status)
}

fn json(port: u16, path: &str) -> Value {
    serde_json::from_str(&http::get(port, path)).unwrap()
}

fn train(port: u16, headers: &str) -> u16 {
    let (status, body) = http::request_with(port, "POST", "/train", headers, &[]).unwrap();
    let answer: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(answer["status"] == "success", status == 202, "{answer}");
    status
}

const TOKEN: &str = "Authorization: Bearer sesame\r\n";

#[test]
fn watches_real_hosts_and_is_scraped_by_the_server_it_asks() {
    let nodes: Vec<NodeExporter> = (0..3).map(|_| NodeExporter::start()).collect();
    let (port, plain_port) = (free_port(), free_port());
    let own = |job: &str, port| Target {
        job: job.into(),
        port,
    };
    let mut targets: Vec<Target> = nodes.iter().map(NodeExporter::target).collect();
    targets.extend([own("grouped", port), own("plain", plain_port)]);
    let server = Prometheus::start(&[], &targets);
    let home = Home::new(&config(&server, port, r#"["instance"]"#, QUICK));
    let plain = Home::new(&config(&server, plain_port, "[]", QUICK));
    let (run, plain_run) = (
        home.start(&["run", "--no-tui"]),
        plain.start(&["run", "--no-tui"]),
    );

    until(
        "alive",
        || run.said(),
        || status(port, "/livez").filter(|s| *s == 200),
    );
    let (early, why) = http::request(port, "GET", "/readyz", &[]).unwrap();
    assert_eq!(early, 503, "{why}");
    unknown_is_absent(&server, &run);
    until(
        "ready",
        || run.said(),
        || status(port, "/readyz").filter(|s| *s == 200),
    );

    let instances: BTreeSet<String> = nodes.iter().map(NodeExporter::instance).collect();
    told_through_promql(&server, &instances, &run);
    let plain_labels = server.ask(r#"{job="plain",__name__=~"anomaly_detector_.+"}"#);
    assert!(plain_labels.len() > 10, "{plain_labels:?}");
    assert!(
        plain_labels
            .iter()
            .all(|(labels, _)| !labels.contains_key("entity")),
        "{plain_labels:?}"
    );
    routes_answer(port, &instances);
    training_on_demand(&home, &server, port, &run);

    let (ended, took) = run.terminate();
    assert_eq!(ended.code(), Some(0));
    assert!(took < Duration::from_secs(30), "{took:?}");
    assert_eq!(plain_run.terminate().0.code(), Some(0));
    drop(DirLock::take(&home.data()).expect("the folder is free again"));
    assert!(home.data().join("journal.sqlite").exists());
    let listed = home.output(&["incidents", "list", "--json"]);
    assert!(listed.status.success());
    assert!(
        serde_json::from_slice::<Value>(&listed.stdout)
            .unwrap()
            .is_array()
    );
}

/// Before there is a model there is no score, not even 0.
fn unknown_is_absent(server: &Prometheus, run: &Running) {
    until(
        "scraped",
        || run.said(),
        || {
            server
                .ask(r#"anomaly_detector_source_up{job="grouped"} == 1"#)
                .pop()
        },
    );
    for name in [
        "anomaly_score",
        "is_anomaly_detected",
        "model_info",
        "anomaly_threshold_mse",
    ] {
        let found = server.ask(&format!(r#"anomaly_detector_{name}{{job="grouped"}}"#));
        assert!(found.is_empty(), "{found:?}");
    }
    let ratio = server.ask(r#"anomaly_detector_readiness_ratio{job="grouped"}"#);
    assert!(ratio.iter().all(|(_, ratio)| *ratio < 1.0), "{ratio:?}");
}

fn told_through_promql(server: &Prometheus, instances: &BTreeSet<String>, run: &Running) {
    let names = |labels: &BTreeMap<String, String>| {
        let name = labels["__name__"].strip_prefix("anomaly_detector_");
        name.map(ToOwned::to_owned)
    };
    let all = until(
        "exported",
        || run.said(),
        || {
            let all = server.ask(r#"{job="grouped",__name__=~"anomaly_detector_.+"}"#);
            let there: BTreeSet<String> =
                all.iter().filter_map(|(labels, _)| names(labels)).collect();
            let wanted = PER_ENTITY.iter().chain(&WHOLE);
            wanted
                .into_iter()
                .all(|name| there.contains(*name))
                .then_some(all)
        },
    );
    for (labels, value) in &all {
        let name = names(labels).unwrap();
        let each = PER_ENTITY.contains(&name.as_str()) || name.starts_with("forecast");
        assert_eq!(labels.contains_key("entity"), each, "{labels:?}");
        assert!(
            value.is_finite() && *value >= 0.0 || name == "forecast",
            "{labels:?} {value}"
        );
        if let Some(entity) = labels.get("entity") {
            assert!(instances.contains(entity), "{labels:?}");
        }
    }
    let of = |promql: &str| server.ask(promql);
    assert_eq!(
        of(r#"anomaly_detector_anomaly_score{job="grouped"}"#).len(),
        3
    );
    for feature in ["cpu", "memory"] {
        let each = of(&format!(
            r#"anomaly_detector_feature_reconstruction_error_mse{{job="grouped",feature_name="{feature}"}}"#
        ));
        assert_eq!(each.len(), 3, "{each:?}");
    }
    for (promql, what) in [
        (r#"up{job="grouped"} == 1"#, "the scrape worked"),
        (
            r#"time() - max(anomaly_detector_last_successful_run_timestamp_seconds{job="grouped"}) < 120"#,
            "the last run is recent",
        ),
        (
            r#"histogram_quantile(0.9, sum by (le) (rate(anomaly_detector_collect_duration_seconds_bucket{job="grouped"}[1m]))) > 0"#,
            "collections are timed",
        ),
        (
            r#"sum(anomaly_detector_feature_anomaly_share{job="grouped"}) < 3.001 and sum(anomaly_detector_feature_anomaly_share{job="grouped"}) > 2.999"#,
            "shares sum to one per entity",
        ),
        (
            r#"anomaly_detector_source_up{job="grouped"} == 1"#,
            "the source is up",
        ),
        (
            r#"process_resident_memory_bytes{job="grouped"} > 1e6"#,
            "process metrics",
        ),
    ] {
        until(what, || run.said(), || of(promql).pop());
    }
}

fn routes_answer(port: u16, instances: &BTreeSet<String>) {
    http::get(port, "/");
    let first = instances.first().unwrap();
    for (path, most) in [("/metrics/live-short", 20), ("/metrics/live-long", 500)] {
        let answer = json(port, path);
        assert_eq!(answer["entity"], first.as_str(), "{path}");
        let rows = answer["metrics"].as_array().unwrap();
        assert!(
            !rows.is_empty() && rows.len() <= most,
            "{path}: {} rows",
            rows.len()
        );
        let last = rows.last().unwrap();
        assert!(
            last["memory"].as_f64().is_some_and(|bytes| bytes > 1e6),
            "{path}: {last}"
        );
        assert!(last["timestamp"].is_string());
        assert_eq!(
            answer["anomaly_count"],
            answer["anomalies"].as_array().unwrap().len()
        );
    }
    let other = instances.last().unwrap();
    let asked = json(
        port,
        &format!("/metrics/live-short?entity={}", http::escaped(other)),
    );
    assert_eq!(asked["entity"], other.as_str());
    assert_eq!(status(port, "/metrics/live-short?entity=nobody"), Some(404));
}

/// A changed file is taken up; then one training runs, one waits, and a third is refused.
fn training_on_demand(home: &Home, server: &Prometheus, port: u16, run: &Running) {
    assert_eq!(train(port, ""), 401);
    assert_eq!(train(port, TOKEN), 202);
    home.configure(&config(server, port, r#"["instance"]"#, ENDLESS));
    until(
        "reloaded",
        || run.said(),
        || {
            let reloaded = run
                .said()
                .contains("the configuration has changed and is in force");
            (reloaded && status(port, "/readyz") == Some(200)).then_some(())
        },
    );
    assert_eq!(train(port, TOKEN), 202);
    until(
        "training",
        || run.said(),
        || {
            let metrics = http::get(port, "/metrics");
            metrics
                .contains("anomaly_detector_training_in_progress 1")
                .then_some(())
        },
    );
    let refused = until(
        "refused",
        || run.said(),
        || Some(train(port, TOKEN)).filter(|status| *status != 202),
    );
    assert_eq!(refused, 409);
    assert_eq!(status(port, "/readyz"), Some(200), "the old model goes on");
}
