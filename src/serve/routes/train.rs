//! `POST /train`, and what becomes of it: `GET /train`.

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::super::Problem;
use super::super::router::{Allowed, App};
use crate::domain::{Command, PipelineId, PipelineView, Snapshot, TrainingOutcome};

/// Asks for a new model of the live pipeline: 202 when it is queued, 409 when one is being trained and another waits
/// already or when no models are trained, 503 when the engine takes no commands. A body is read (64 KB at most) and not
/// looked at.
pub(in crate::serve) async fn train(
    _: Allowed,
    State(app): State<App>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    body.map_err(|rejection| Problem::new(rejection.status(), rejection.body_text()))?;
    let snapshot = app.snapshot();
    let running = snapshot.live.training.as_ref();
    if !snapshot.app.trains {
        return Err(Problem::new(StatusCode::CONFLICT, OFF));
    }
    if running.is_some_and(|training| training.queued) {
        return Err(Problem::new(
            StatusCode::CONFLICT,
            "a model is being trained and another training waits behind it already; ask again when one has ended",
        ));
    }
    app.control().send(Command::Retrain(PipelineId::Live))?;
    let message = promise(&snapshot);
    let answer = json!({
        "status": "success",
        "message": message,
        "job": {
            "pipeline": PipelineId::Live,
            "state": "queued",
            "behind_running": running.is_some(),
            "requested_at": super::stamp(snapshot.now),
            "outcome": "GET /train",
        },
    });
    Ok((StatusCode::ACCEPTED, Json(answer)).into_response())
}

const OFF: &str =
    "no model is trained: [autoencoder] enabled = false and [forecast] enabled = false";

/// What a training that is asked for now will do.
fn promise(snapshot: &Snapshot) -> String {
    let live = &snapshot.live;
    let begins = if live.training.is_some() {
        "a new training begins when the running one has ended"
    } else {
        "a training begins as soon as its history is there"
    };
    let readiness = &live.readiness;
    let scores = match &live.model {
        Some(model) => format!("model {} scores until then", model.version),
        None if readiness.have < readiness.need => format!(
            "there is no model yet, and {} of the {} windows that a training needs are there: it waits for the others",
            readiness.have, readiness.need
        ),
        None => "there is no model yet, so nothing is scored until it has ended".into(),
    };
    format!("{begins}; {scores}; GET /train has its outcome")
}

/// What runs now, and how the last training ended.
pub(in crate::serve) async fn outcome(State(app): State<App>) -> Json<Value> {
    let snapshot = app.snapshot();
    let live = &snapshot.live;
    let running = live.training.as_ref().map(|training| {
        json!({
            "started": super::stamp(training.started),
            "phase": training.phase,
            "epoch": training.epoch,
            "epochs": training.epochs,
            "progress": training.progress,
            "another_waits": training.queued,
        })
    });
    let state = match &running {
        _ if !snapshot.app.trains => "off",
        Some(_) => "running",
        None => "idle",
    };
    Json(json!({
        "pipeline": PipelineId::Live,
        "state": state,
        "running": running,
        "waits_for": live.readiness.text,
        "last": last(live),
    }))
}

/// How the last training ended; null before the first one.
pub(super) fn last(live: &PipelineView) -> Value {
    let of = |last: &TrainingOutcome| {
        let state = match &last.result {
            Ok(_) => "trained",
            Err(_) if last.is_cancelled => "cancelled",
            Err(_) => "failed",
        };
        json!({
            "state": state,
            "ended": super::stamp(last.ended),
            "seconds": last.took.as_secs_f64(),
            "model": last.result.as_ref().ok(),
            "error": last.result.as_ref().err().filter(|_| !last.is_cancelled),
            "promoted": last.decision.as_ref().map(|decision| decision.promoted),
            "reason": last.decision.as_ref().map(|decision| &decision.reason),
        })
    };
    live.last_training.as_ref().map_or(Value::Null, of)
}
