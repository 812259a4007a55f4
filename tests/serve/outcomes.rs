//! What `POST /train` promises, and how the last training ended: in `GET /train`, `GET /` and `GET /readyz`.

use std::sync::Arc;
use std::time::Duration;

use pulsewatch::config::ApiConfig;
use pulsewatch::domain::{AppView, Decision, Snapshot, TrainingOutcome, TrainingView};
use serde_json::{Value, json};

use crate::fixture::{NOW, Running, empty, exporter, problem, two_features, with_live};

async fn json_of(server: &Running, path: &str) -> Value {
    server.get(path).await.json().await.unwrap()
}

async fn promised(server: &Running) -> String {
    let response = server.post("/train").send().await.unwrap();
    assert_eq!(response.status(), 202);
    let body: Value = response.json().await.unwrap();
    assert_eq!(body["job"]["outcome"], "GET /train");
    body["message"].as_str().unwrap().to_owned()
}

fn ended(result: Result<&str, &str>, is_cancelled: bool) -> TrainingOutcome {
    let decision = result.is_ok().then(|| Decision {
        promoted: false,
        reason: "its error is 2.00 times that of the model that scores".into(),
        comparison: None,
    });
    TrainingOutcome {
        ended: NOW,
        took: Duration::from_secs(7),
        result: result.map(str::to_owned).map_err(str::to_owned),
        is_cancelled,
        decision,
        losses: Vec::new(),
    }
}

fn after(snapshot: Snapshot, outcome: TrainingOutcome) -> Snapshot {
    with_live(snapshot, |live| live.last_training = Some(outcome))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_training_is_promised_in_words_that_hold() {
    let server = Running::start(two_features());
    let said = promised(&server).await;
    assert!(
        said.contains("model 20270115-080000 scores until then"),
        "{said}"
    );
    server.publish(empty());
    let said = promised(&server).await;
    assert!(
        said.contains("41 of the 120 windows that a training needs are there"),
        "{said}"
    );
    server.publish(with_live(empty(), |live| live.readiness.have = 120));
    let said = promised(&server).await;
    assert!(
        said.contains("there is no model yet, so nothing is scored"),
        "{said}"
    );
    let sent = server.control.sent.lock().unwrap().len();
    let mut off = empty();
    off.app = Arc::new(AppView {
        trains: false,
        ..AppView::default()
    });
    server.publish(off);
    let body = problem(server.post("/train").send().await.unwrap(), 409).await;
    assert!(
        body["error"]
            .as_str()
            .unwrap()
            .contains("[autoencoder] enabled = false")
    );
    assert_eq!(server.control.sent.lock().unwrap().len(), sent);
    assert_eq!(json_of(&server, "/train").await["state"], "off");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_outcome_of_a_training_can_be_asked_for() {
    let server = Running::start(two_features());
    let body = json_of(&server, "/train").await;
    assert_eq!(
        (&body["state"], &body["last"]),
        (&"idle".into(), &Value::Null)
    );
    server.publish(with_live(two_features(), |live| {
        live.training = Some(TrainingView {
            started: NOW,
            phase: "training the autoencoder".into(),
            epoch: 3,
            epochs: 50,
            progress: 0.05,
            losses: vec![0.5],
            queued: true,
        });
    }));
    let body = json_of(&server, "/train").await;
    assert_eq!(body["state"], "running");
    assert_eq!(body["running"]["epoch"], 3);
    assert_eq!(body["running"]["another_waits"], true);

    server.publish(after(two_features(), ended(Ok("m2"), false)));
    let last = json!({
        "state": "trained", "ended": NOW.to_string(), "seconds": 7.0, "model": "m2", "error": null,
        "promoted": false, "reason": "its error is 2.00 times that of the model that scores",
    });
    assert_eq!(json_of(&server, "/train").await["last"], last);
    assert_eq!(json_of(&server, "/").await["last_training"], last);
    assert_eq!(json_of(&server, "/readyz").await["last_training"], last);

    // Before there is a model, too.
    server.publish(after(empty(), ended(Err("the disk is full"), false)));
    let body = problem(server.get("/readyz").await, 503).await;
    assert_eq!(body["last_training"]["state"], "failed");
    assert_eq!(body["last_training"]["error"], "the disk is full");
    assert!(body["components"].is_array());
    server.publish(after(empty(), ended(Err("training was cancelled"), true)));
    let last = json_of(&server, "/train").await["last"].clone();
    assert_eq!(
        (&last["state"], &last["error"]),
        (&"cancelled".into(), &Value::Null)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_long_view_has_as_many_points_as_are_configured() {
    let mut snapshot = two_features();
    snapshot.app = Arc::new(AppView {
        max_points: 60,
        ..AppView::default()
    });
    let server = Running::start(snapshot);
    server.get("/metrics/live-long").await;
    server.get("/metrics/live-long?points=7").await;
    let asked = server.control.asked.lock().unwrap();
    assert_eq!((asked[0].max_points, asked[1].max_points), (60, 7));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_listener_changes_nothing() {
    let api = ApiConfig {
        read_only: true,
        ..ApiConfig::default()
    };
    let server = Running::with(two_features(), &exporter(), &api);
    let body = problem(server.post("/train").send().await.unwrap(), 403).await;
    assert!(body["error"].as_str().unwrap().contains("`api.read_only`"));
    problem(server.get("/metrics/test").await, 403).await;
    assert!(server.control.sent.lock().unwrap().is_empty());
    assert_eq!(server.get("/train").await.status(), 200);
    assert_eq!(server.get("/metrics").await.status(), 200);
}
