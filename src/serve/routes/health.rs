//! `GET /livez` and `GET /readyz`.

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use super::super::Problem;
use super::super::router::App;

/// The process answers.
pub(in crate::serve) async fn livez() -> Json<Value> {
    Json(json!({ "status": "alive" }))
}

/// 200 once a model has scored live rows; before that, and while the program ends, 503 with the reason.
pub(in crate::serve) async fn readyz(State(app): State<App>) -> Result<Json<Value>, Problem> {
    let snapshot = app.snapshot();
    let live = &snapshot.live;
    if snapshot.stopping {
        return Err(Problem::unavailable("the program is about to end", 5));
    }
    match (&live.model, live.last_scored) {
        (Some(model), Some(scored)) => Ok(Json(json!({
            "status": "ready",
            "model": model.version,
            "last_scored": super::stamp(scored),
        }))),
        _ => Err(Problem::unavailable(super::waiting_for(live), 5)),
    }
}
