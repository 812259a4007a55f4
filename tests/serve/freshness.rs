//! Age decides what is stated: `/metrics`, `/readyz`, `/livez` and the JSON routes follow one rule.

use std::sync::Arc;
use std::time::{Duration, Instant};

use pulsewatch::domain::{
    Freshness, PipelineId, Snapshot, SourceState, StaleReason, Time, TrainingView,
};
use serde_json::Value;

use crate::fixture::{NEWEST, NOW, Running, problem, two_features, value, with_live};
use crate::views::{self, MINUTE};

const INTERVAL: Duration = Duration::from_secs(30);

/// A snapshot whose last collection worked so many seconds ago, and whose state still says that the source is up.
fn silent(seconds: u64) -> Snapshot {
    with_live(two_features(), |live| {
        live.source.last_success = Some(NOW - Duration::from_secs(seconds));
    })
}

fn failing(seconds: u64) -> Snapshot {
    with_live(silent(seconds), |live| {
        live.source.state = SourceState::Stale {
            since: live.source.last_success,
            error: "connection refused by 127.0.0.1:9090".into(),
            retry_at: NOW,
        };
    })
}

async fn json(server: &Running, path: &str) -> Value {
    server.get(path).await.json().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_hangs_is_late_although_its_state_says_up() {
    let server = Running::start(silent(89));
    let text = server.metrics().await;
    assert_eq!(value(&text, "samples_stale"), Some(0.0));
    assert_eq!(value(&text, "source_up"), Some(1.0));
    server.publish(silent(95));
    let text = server.metrics().await;
    assert_eq!(value(&text, "samples_stale"), Some(1.0));
    assert_eq!(value(&text, "source_up"), Some(0.0));
    assert_eq!(value(&text, "anomaly_score"), Some(1.5), "not old yet");
    let body = json(&server, "/metrics/live-short").await;
    assert_eq!(body["source"]["state"], "stale");
    let error = body["source"]["error"].as_str().unwrap();
    assert!(error.contains("no collection has ended for"), "{error}");
    assert_eq!(body["score"], 1.5);
    assert_eq!(server.get("/readyz").await.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn withdrawn_verdicts_are_withdrawn_everywhere() {
    for old in [silent(301), failing(301)] {
        let failing = matches!(old.live.source.state, SourceState::Stale { .. });
        let server = Running::start(old);
        let text = server.metrics().await;
        for gone in [
            "anomaly_score",
            "is_anomaly_detected",
            "latest_reconstruction_error_mse",
            "data_points_in_current_window",
        ] {
            assert_eq!(value(&text, gone), None, "{gone}");
        }
        assert_eq!(value(&text, "samples_stale"), Some(1.0));
        assert_eq!(value(&text, "source_up"), Some(0.0));
        for path in ["/metrics/live-short", "/metrics/live-long"] {
            let body = json(&server, path).await;
            for stated in ["score", "state", "why", "score_so_far"] {
                assert_eq!(body[stated], Value::Null, "{path}: {stated}");
            }
            assert_eq!(body["source"]["state"], "stale", "{path}");
        }
        let body = json(&server, "/metrics/live-short").await;
        for stated in ["mse", "share", "expected", "lower", "upper"] {
            assert_eq!(body["features"][0][stated], Value::Null, "{stated}");
        }
        let body = problem(server.get("/readyz").await, 503).await;
        let why = body["error"].as_str().unwrap();
        let reason = if failing {
            "connection refused"
        } else {
            "no collection has ended"
        };
        assert!(
            why.contains("withdrawn") && why.contains(reason),
            "{failing}: {why}"
        );
        let body = json(&server, "/").await;
        assert_eq!(body["source"]["state"], "stale");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_hangs_does_not_stay_fresh() {
    let mut hung = two_features();
    hung.made = Instant::now().checked_sub(Duration::from_secs(59)).unwrap();
    let server = Running::start(hung.clone());
    assert_eq!(server.get("/livez").await.status(), 200);
    hung.made = Instant::now().checked_sub(Duration::from_secs(61)).unwrap();
    server.publish(hung.clone());
    let body = problem(server.get("/livez").await, 503).await;
    assert!(
        body["error"]
            .as_str()
            .unwrap()
            .contains("published nothing")
    );
    // The collections were in time when the engine last spoke.
    hung.made = Instant::now()
        .checked_sub(Duration::from_secs(301))
        .unwrap();
    server.publish(hung);
    let text = server.metrics().await;
    assert_eq!(value(&text, "anomaly_score"), None);
    assert_eq!(value(&text, "samples_stale"), Some(1.0));
    problem(server.get("/readyz").await, 503).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_was_ahead_withdraws_what_it_judged() {
    let back = |by: Duration| {
        let mut snapshot = with_live(two_features(), |live| {
            live.source.last_success = Some(NEWEST - by);
        });
        snapshot.now = NEWEST - by;
        snapshot
    };
    let server = Running::start(back(Duration::from_hours(24)));
    let text = server.metrics().await;
    assert_eq!(value(&text, "anomaly_score"), None);
    assert_eq!(value(&text, "is_anomaly_detected"), None);
    assert_eq!(value(&text, "samples_stale"), Some(1.0));
    assert_eq!(value(&text, "source_up"), Some(1.0), "it answers");
    let body = problem(server.get("/readyz").await, 503).await;
    assert!(body["error"].as_str().unwrap().contains("clock"), "{body}");
    // Less than a row: over before anything is missed.
    server.publish(back(Duration::from_secs(20)));
    let text = server.metrics().await;
    assert_eq!(value(&text, "anomaly_score"), Some(1.5));
    assert_eq!(value(&text, "samples_stale"), Some(1.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_answers_without_samples_is_said_to() {
    let empty = |seconds: u64| {
        with_live(two_features(), |live| {
            live.without_samples = Duration::from_secs(seconds);
        })
    };
    let server = Running::start(empty(180));
    assert_eq!(value(&server.metrics().await, "samples_stale"), Some(0.0));
    server.publish(empty(240));
    let text = server.metrics().await;
    assert_eq!(value(&text, "samples_stale"), Some(1.0));
    assert_eq!(value(&text, "anomaly_score"), Some(1.5));
    assert_eq!(server.get("/readyz").await.status(), 200);
    server.publish(empty(3600));
    let text = server.metrics().await;
    assert_eq!(value(&text, "source_up"), Some(1.0), "it answers");
    assert_eq!(value(&text, "anomaly_score"), None);
    let body = problem(server.get("/readyz").await, 503).await;
    let error = body["error"].as_str().unwrap();
    assert!(error.contains("has had no sample for 60 min"), "{error}");
}

#[test]
fn every_case_of_the_rule() {
    let start = two_features();
    let live = &*start.live;
    assert_eq!(live.freshness(NOW, INTERVAL), Freshness::Current);
    // Slow intervals have more patience, quick ones never less than a request may take.
    let after = |seconds| NOW + Duration::from_secs(seconds);
    let late = |now: Time, interval: u64| {
        live.freshness(now, Duration::from_secs(interval))
            .is_stale()
    };
    assert!(!late(after(15), 1) && late(after(16), 1));
    assert!(!late(after(1800), 600) && late(after(1801), 600));
    let withdrawn = |now: Time, interval: u64| {
        live.freshness(now, Duration::from_secs(interval))
            .is_withdrawn()
    };
    assert!(!withdrawn(after(300), 1) && withdrawn(after(301), 1));
    assert!(!withdrawn(after(1800), 600) && withdrawn(after(1801), 600));

    // The last collection lies ahead of the clock.
    let before = NOW - Duration::from_secs(1);
    assert_eq!(
        live.freshness(before, INTERVAL).reason(),
        Some(StaleReason::ClockBehind(Duration::from_secs(1)))
    );

    // Nothing has come yet; a first failure is known at once.
    let mut new = views::pipeline(PipelineId::Live);
    assert_eq!(new.freshness(NOW, INTERVAL), Freshness::Waiting);
    new.source.state = SourceState::Stale {
        since: None,
        error: "refused".into(),
        retry_at: NOW,
    };
    let refused = Freshness::Withdrawn(StaleReason::Failing("refused"));
    assert_eq!(new.freshness(NOW, INTERVAL), refused);

    // A training changes nothing, and a recording that has ended does not age.
    let mut training = live.clone();
    training.training = Some(TrainingView {
        started: NOW,
        phase: "fitting the autoencoder".into(),
        epoch: 1,
        epochs: 2,
        progress: 0.5,
        losses: Vec::new(),
        queued: false,
    });
    assert_eq!(training.freshness(NOW, INTERVAL), Freshness::Current);
    assert!(training.freshness(after(100), INTERVAL).is_stale());
    let mut ended = live.clone();
    ended.source.state = SourceState::Finished;
    assert_eq!(ended.freshness(after(9000), INTERVAL), Freshness::Current);

    // A recording's rows live in their own time.
    let mut recorded = live.clone();
    recorded.source.last_success = Some(NOW - Duration::from_hours(1));
    let then = NOW - Duration::from_hours(1);
    assert!(recorded.freshness(then, INTERVAL).is_withdrawn());
    recorded.source.recorded = true;
    assert_eq!(recorded.freshness(then, INTERVAL), Freshness::Current);

    // Rows come, but none is judged.
    let mut unjudged = live.clone();
    let entity = Arc::make_mut(&mut unjudged.entities[0]);
    let mut old = (**entity.latest.as_ref().unwrap()).clone();
    old.time = NEWEST - MINUTE * 6;
    entity.latest = Some(Arc::new(old));
    assert_eq!(
        unjudged.freshness(NOW, INTERVAL),
        Freshness::Withdrawn(StaleReason::Unjudged(MINUTE * 6))
    );
}
