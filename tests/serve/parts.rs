//! What the routes say of the parts of the program, and of more incidents than a list shows.

use std::sync::Arc;
use std::time::Duration;

use pulsewatch::domain::{
    Component, Counters, Entity, HealthBoard, Incident, IncidentState, Snapshot, Why,
};
use serde_json::Value;

use crate::fixture::{
    NEWEST, NOW, Running, entity, feature, problem, scored, two_features, value, with_live,
};
use crate::views;

fn reported(report: impl FnOnce(&HealthBoard)) -> Snapshot {
    let board = HealthBoard::default();
    report(&board);
    Snapshot {
        health: board.view(),
        ..two_features()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_that_reported_are_exported_with_their_restarts() {
    let server = Running::start(reported(|board| {
        board.recover(Component::Journal);
        board.fail(Component::Cache, NOW, "no space left on device");
        board.restarted(Component::Collector);
        board.restarted(Component::Collector);
    }));
    let text = server.metrics().await;
    for (series, known) in [
        ("component_up{component=\"journal\"}", Some(1.0)),
        ("component_up{component=\"cache\"}", Some(0.0)),
        ("component_up{component=\"collector\"}", Some(1.0)),
        ("component_up{component=\"log\"}", None),
        (
            "component_restarts_total{component=\"collector\"}",
            Some(2.0),
        ),
        ("component_restarts_total{component=\"journal\"}", Some(0.0)),
    ] {
        assert_eq!(value(&text, series), known, "{series}\n{text}");
    }
    let lines = text.lines();
    let kinds: Vec<&str> = lines.filter(|line| line.starts_with("# TYPE")).collect();
    assert!(kinds.contains(&"# TYPE anomaly_detector_component_restarts_total counter"));
    assert!(kinds.contains(&"# TYPE anomaly_detector_component_up gauge"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_essential_parts_fault_makes_it_not_ready_and_others_are_listed() {
    let since = NOW - Duration::from_secs(60);
    let server = Running::start(reported(|board| {
        board.fail(Component::Cache, since, "no space left on device");
    }));
    let response = server.get("/readyz").await;
    assert_eq!(response.status(), 200);
    let cache = serde_json::json!([{
        "component": "cache", "fault": "no space left on device", "since": since.to_string(), "essential": false,
    }]);
    assert_eq!(response.json::<Value>().await.unwrap()["components"], cache);
    let index: Value = server.get("/").await.json().await.unwrap();
    assert_eq!(index["components"], cache);

    for part in [Component::Journal, Component::DataDir, Component::Collector] {
        server.publish(reported(|board| {
            board.fail(Component::Cache, since, "no space left on device");
            board.fail(part, since, "it is gone; start anew");
        }));
        let body = problem(server.get("/readyz").await, 503).await;
        let why = body["error"].as_str().unwrap();
        assert!(
            why.contains(part.name()) && why.contains("it is gone; start anew"),
            "{why}"
        );
        assert_eq!(body["components"].as_array().unwrap().len(), 2);
        assert_eq!(server.get("/livez").await.status(), 200);
    }
    server.publish(reported(|board| {
        board.fail(Component::Journal, since, "disk full");
        board.recover(Component::Journal);
    }));
    let body: Value = server.get("/readyz").await.json().await.unwrap();
    assert_eq!(body["components"], serde_json::json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn more_open_incidents_than_a_list_shows_are_all_exported() {
    let name = |i: u64| format!("host-{i:03}");
    let open = |i: u64| Incident {
        peak_alarm: None,
        id: i + 1,
        entity: Entity::named(&name(i)),
        start: NEWEST,
        end: NEWEST,
        peak: NEWEST,
        peak_score: 2.0,
        state: IncidentState::Open,
        features: Vec::new(),
        why: Why::default(),
        acknowledged: false,
        label: None,
    };
    let hosts = (0..300).map(|i| entity(&name(i), vec![feature("cpu")]));
    let server = Running::start(with_live(scored(true, hosts.collect()), |live| {
        views::set_incidents(live, (0..250).map(open).collect());
        live.incidents = live.incidents[..200].into();
    }));
    let text = server.metrics().await;
    for i in 0..300 {
        let series = format!("incident_active{{entity=\"{}\"}}", name(i));
        assert_eq!(value(&text, &series), Some(f64::from(i < 250)), "{series}");
    }
    let path = "/metrics/live-short?entity=host-249";
    let body: Value = server.get(path).await.json().await.unwrap();
    assert_eq!(body["incident"]["id"], 250);
}

#[tokio::test(flavor = "multi_thread")]
async fn series_that_are_left_out_are_a_gauge_and_a_counter() {
    let server = Running::start(with_live(two_features(), |live| {
        live.counters = Arc::new(Counters {
            series_dropped: 36,
            series_left_out: 12,
            ..Counters::default()
        });
    }));
    let text = server.metrics().await;
    assert_eq!(value(&text, "source_series_dropped_total"), Some(36.0));
    assert_eq!(value(&text, "source_series_left_out"), Some(12.0));
    for kind in [
        "# TYPE anomaly_detector_source_series_dropped_total counter",
        "# TYPE anomaly_detector_source_series_left_out gauge",
    ] {
        assert!(text.contains(kind), "{kind}");
    }
}
