//! `POST /train`.

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::super::Problem;
use super::super::router::{Allowed, App};
use crate::domain::{Command, PipelineId};

/// Asks for a new model of the live pipeline: 202 when it is queued, 409 when one is being trained and another waits
/// already, 503 when the engine takes no commands. A body is read (64 KB at most) and not looked at.
pub(in crate::serve) async fn train(
    _: Allowed,
    State(app): State<App>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    body.map_err(|rejection| Problem::new(rejection.status(), rejection.body_text()))?;
    let snapshot = app.snapshot();
    let running = snapshot.live.training.as_ref();
    if running.is_some_and(|training| training.queued) {
        return Err(Problem::new(
            StatusCode::CONFLICT,
            "a model is being trained and another training waits behind it already; ask again when one has ended",
        ));
    }
    app.control().send(Command::Retrain(PipelineId::Live))?;
    let message = if running.is_some() {
        "a new training waits for the running one to end"
    } else {
        "a new model is being trained; the old one scores until it is ready"
    };
    let answer = json!({
        "status": "success",
        "message": message,
        "job": {
            "pipeline": PipelineId::Live,
            "state": "queued",
            "behind_running": running.is_some(),
            "requested_at": super::stamp(snapshot.now),
        },
    });
    Ok((StatusCode::ACCEPTED, Json(answer)).into_response())
}
