//! The JSON routes and what they ask of the engine.

use std::sync::Arc;
use std::time::Duration;

use pulsewatch::domain::{
    Breach, Command, ControlError, ForecastAccuracy, PipelineId, SourceState, Time, TrainingView,
};
use serde_json::Value;

use crate::fixture::{
    NOW, Running, empty, entity, exporter, feature, problem, scored, two_features, with_live,
    with_token,
};

#[tokio::test(flavor = "multi_thread")]
async fn the_short_rows_keep_the_known_fields() {
    let mut cpu = feature("cpu");
    cpu.values.amend(1, f64::NAN);
    let server = Running::start(scored(false, vec![entity("", vec![cpu])]));
    let body: Value = server
        .get("/metrics/live-short")
        .await
        .json()
        .await
        .unwrap();
    let rows = body["metrics"].as_array().unwrap();
    assert_eq!(rows.len(), 20);
    assert_eq!(rows[0]["cpu"], 10.0);
    assert_eq!(rows[18]["cpu"], Value::Null);
    assert_eq!(rows[19]["timestamp"], "2027-01-15T08:00:00Z");
    assert_eq!(
        body["anomalies"],
        serde_json::json!(["2027-01-15T08:00:00Z"])
    );
    assert_eq!(body["anomaly_count"], 1);
    assert_eq!(body["score"], 1.5);
    assert_eq!(body["state"], "scored");
    assert_eq!(body["scores"][19], 1.5);
    assert_eq!(body["why"][0]["name"], "threshold");
    assert_eq!(body["why"][0]["passed"], true);
    assert_eq!(body["incident"], Value::Null);
    let first = &body["features"][0];
    assert_eq!(
        (&first["lower"], &first["upper"]),
        (&1.0.into(), &5.0.into())
    );
    assert_eq!(body["scores"][0], Value::Null);
    assert_eq!(body["model"]["version"], "20270115-080000");
    let body: Value = server.get("/").await.json().await.unwrap();
    assert!(body["msg"].as_str().unwrap().contains("PulseWatch"));
    assert_eq!(
        (&body["name"], &body["mode"]),
        (&"PulseWatch".into(), &Value::Null)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entity_is_chosen_by_name() {
    let server = Running::start(scored(
        true,
        vec![
            entity("a", vec![feature("cpu")]),
            entity("b/c", vec![feature("disk")]),
        ],
    ));
    let of = |path: &'static str| {
        let server = &server;
        async move { server.get(path).await.json::<Value>().await.unwrap() }
    };
    assert_eq!(of("/metrics/live-short").await["entity"], "a");
    let body = of("/metrics/live-short?entity=b%2Fc").await;
    assert_eq!(
        (&body["entity"], &body["entity_count"]),
        (&"b/c".into(), &2.into())
    );
    assert!(body["metrics"][0]["disk"].is_number());
    for path in [
        "/metrics/live-short?entity=z",
        "/metrics/live-long?entity=z",
    ] {
        let body = problem(server.get(path).await, 404).await;
        assert!(body["error"].as_str().unwrap().contains("`z`"), "{body}");
    }
    problem(server.get("/metrics/live-long?points=many").await, 400).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_long_rows_are_asked_of_the_engine() {
    let mut cpu = feature("cpu");
    cpu.feature.limit = Some(90.0);
    cpu.breach = Some(Breach {
        earliest: Duration::from_secs(3600),
        likely: None,
        latest: None,
        within: Duration::from_secs(604_800),
    });
    cpu.forecast_accuracy = Some(ForecastAccuracy {
        mae: 1.5,
        coverage: 0.875,
        n: 16,
    });
    let known = vec![entity("", vec![cpu, feature("memory")])];
    let server = Running::start(scored(false, known));
    let response = server.get("/metrics/live-long?points=9999").await;
    assert_eq!(response.status(), 200);
    let body: Value = response.json().await.unwrap();
    assert_eq!(body["metrics"][0]["cpu"], 1.0);
    assert_eq!(body["metrics"][1]["cpu"], Value::Null);
    assert_eq!(
        body["anomalies"],
        serde_json::json!(["2027-01-15T08:00:00Z"])
    );
    assert_eq!(body["anomaly_count"], 1);
    let forecast = &body["forecasts"]["cpu"];
    assert_eq!(forecast["level"], 0.9);
    assert_eq!(forecast["points"][1]["timestamp"], "2027-01-15T09:00:00Z");
    assert_eq!(forecast["points"][1]["upper"], 12.5);
    let breaches = serde_json::json!({"cpu": {
        "limit": 90.0, "now": false, "earliest_seconds": 3600.0, "likely_seconds": null, "latest_seconds": null,
        "within_seconds": 604_800.0,
    }});
    assert_eq!(body["breaches"], breaches);
    let accuracy = serde_json::json!({"cpu": {"mae": 1.5, "coverage": 0.875, "n": 16}});
    assert_eq!(body["forecast_accuracy"], accuracy);
    {
        let asked = server.control.asked.lock().unwrap();
        assert_eq!(asked[0].max_points, 2000);
        assert_eq!((asked[0].from, asked[0].pipeline), (None, PipelineId::Live));
    }
    *server.control.refuse.lock().unwrap() = Some(ControlError::Busy);
    let response = server.get("/metrics/live-long").await;
    assert_eq!(response.headers()["retry-after"], "1");
    problem(response, 503).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn test_mode_is_started_by_its_first_reader() {
    let server = Running::start(two_features());
    let body = problem(server.get("/metrics/test").await, 503).await;
    assert!(body["error"].as_str().unwrap().contains("being started"));
    assert_eq!(*server.control.sent.lock().unwrap(), [Command::StartTest]);
    let mut snapshot = two_features();
    snapshot.test = Some(Arc::clone(&snapshot.live));
    server.publish(snapshot);
    let answer = server.get("/metrics/test?seed=7").await;
    let body: Value = answer.json().await.unwrap();
    assert_eq!(body["metrics"].as_array().unwrap().len(), 4);
    assert_eq!(body["metrics"][3]["cpu"], 7.0);
    assert_eq!(body["metrics"][2]["cpu"], Value::Null);
    assert_eq!(
        body["anomalies"],
        serde_json::json!(["2027-01-15T07:58:00Z"])
    );
    assert_eq!(body["anomaly_count"], 1);
    assert_eq!(
        body["injected"][0],
        serde_json::json!({"timestamp": "2027-01-15T07:58:00Z", "feature": "cpu", "deviations": 10.0, "found": true})
    );
    assert_eq!(body["injected"][1]["found"], false);
    assert_eq!((&body["found"], &body["missed"]), (&1.into(), &1.into()));
    assert_eq!(server.control.sent.lock().unwrap().len(), 1);
    // Without a model there is nothing to judge by yet.
    *server.control.refuse.lock().unwrap() = Some(ControlError::NotFound);
    problem(server.get("/metrics/test").await, 503).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_web_page_can_not_start_test_mode() {
    let server = Running::start(two_features());
    let asked_by = |site: &'static str| {
        let request = server.client.get(format!("{}/metrics/test", server.url));
        request.header("sec-fetch-site", site).send()
    };
    for site in ["cross-site", "same-site"] {
        problem(asked_by(site).await.unwrap(), 403).await;
    }
    assert!(server.control.sent.lock().unwrap().is_empty());
    problem(asked_by("same-origin").await.unwrap(), 503).await;
    assert_eq!(*server.control.sent.lock().unwrap(), [Command::StartTest]);
    let train = server.post("/train").header("sec-fetch-site", "cross-site");
    problem(train.send().await.unwrap(), 403).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn test_mode_is_not_started_by_a_stranger() {
    let server = Running::with(two_features(), &exporter(), &with_token("s3cret"));
    problem(server.get("/metrics/test").await, 401).await;
    assert!(server.control.sent.lock().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn no_data_yet_is_said() {
    let server = Running::start(empty());
    for path in ["/metrics/live-short", "/metrics/live-long", "/readyz"] {
        let body = problem(server.get(path).await, 503).await;
        let error = body["error"].as_str().unwrap();
        assert!(error.contains("41 of 120 windows"), "{path}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ready_once_a_model_has_scored_and_until_the_end() {
    let server = Running::start(with_live(two_features(), |live| live.last_scored = None));
    problem(server.get("/readyz").await, 503).await;
    assert_eq!(server.get("/livez").await.status(), 200);
    server.publish(two_features());
    assert_eq!(server.get("/readyz").await.status(), 200);
    let mut ending = two_features();
    ending.stopping = true;
    server.publish(ending);
    problem(server.get("/readyz").await, 503).await;
    server.publish(with_live(empty(), |live| {
        live.source.state = SourceState::Stale {
            since: None,
            error: "connection refused by 127.0.0.1:9090".into(),
            retry_at: NOW,
        };
    }));
    let body = problem(server.get("/readyz").await, 503).await;
    assert!(
        body["detail"]
            .as_str()
            .unwrap()
            .contains("connection refused")
    );
}

fn training(queued: bool) -> TrainingView {
    TrainingView {
        started: Time::from_secs(0),
        phase: "fitting the autoencoder".into(),
        epoch: 1,
        epochs: 50,
        progress: 0.1,
        losses: vec![0.5],
        queued,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn training_is_asked_for_queued_and_refused() {
    let server = Running::start(two_features());
    let response = server.post("/train").send().await.unwrap();
    assert_eq!(response.status(), 202);
    let body: Value = response.json().await.unwrap();
    assert_eq!(body["status"], "success");
    assert!(body["message"].is_string());
    assert_eq!(body["job"]["pipeline"], "live");
    assert_eq!(body["job"]["behind_running"], false);
    let retrain = Command::Retrain(PipelineId::Live);
    assert_eq!(*server.control.sent.lock().unwrap(), [retrain]);

    server.publish(with_live(two_features(), |live| {
        live.training = Some(training(false));
    }));
    let body: Value = server
        .post("/train")
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(body["job"]["behind_running"], true);

    server.publish(with_live(two_features(), |live| {
        live.training = Some(training(true));
    }));
    problem(server.post("/train").send().await.unwrap(), 409).await;
    assert_eq!(server.control.sent.lock().unwrap().len(), 2);

    server.publish(two_features());
    for error in [ControlError::Busy, ControlError::Stopped] {
        *server.control.refuse.lock().unwrap() = Some(error);
        problem(server.post("/train").send().await.unwrap(), 503).await;
    }
}
