//! `GET /metrics` and `GET /`.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use prometheus::{TEXT_FORMAT, TextEncoder};
use serde_json::{Value, json};

use super::super::Problem;
use super::super::router::App;

/// The Prometheus text format, version 0.0.4.
pub(in crate::serve) async fn metrics(State(app): State<App>) -> Result<Response, Problem> {
    // A large fleet's scrape takes milliseconds and the process figures read files: not on a thread that others wait for.
    let encoded = tokio::task::spawn_blocking(move || {
        TextEncoder::new().encode_to_string(&app.registry().gather())
    });
    let failed = |why: String| {
        Problem::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            format!("the metrics could not be written out: {why}"),
        )
    };
    let text = encoded
        .await
        .map_err(|error| failed(error.to_string()))?
        .map_err(|error| failed(error.to_string()))?;
    Ok(([(CONTENT_TYPE, TEXT_FORMAT)], text).into_response())
}

/// What this is and where to go on.
pub(in crate::serve) async fn index(State(app): State<App>) -> Json<Value> {
    let snapshot = app.snapshot();
    let live = &snapshot.live;
    Json(json!({
        "msg": "PulseWatch is running",
        "name": snapshot.app.name,
        "mode": snapshot.app.mode,
        "version": snapshot.build.version,
        "started": super::stamp(snapshot.started),
        "source": super::source(live, super::freshness(&snapshot, live)),
        "model": super::model(live),
        "entity_count": live.entities.len(),
        "last_training": super::train::last(live),
        "components": super::health::faults(&snapshot),
        "routes": [
            "GET /metrics",
            "GET /metrics/live-short",
            "GET /metrics/live-long",
            "GET /metrics/test",
            "POST /train",
            "GET /train",
            "GET /livez",
            "GET /readyz",
        ],
    }))
}
