//! `GET /livez` and `GET /readyz`: whether a supervisor should start the program anew, and whether it can be relied on.

use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use super::super::Problem;
use super::super::router::App;
use crate::domain::{Component, Fault, Snapshot};

/// The engine publishes once a second at least; after such a silence it hangs.
const HANGS: Duration = Duration::from_secs(60);

/// 200 while the engine publishes snapshots; 503 when the newest one is older than 60 s by the monotonic clock.
pub(in crate::serve) async fn livez(State(app): State<App>) -> Result<Json<Value>, Problem> {
    let age = Instant::now().saturating_duration_since(app.snapshot().made);
    if age > HANGS {
        return Err(Problem::unavailable(
            format!(
                "the engine has published nothing for {} s: it hangs; its log says what it did last, start the program anew",
                age.as_secs()
            ),
            5,
        ));
    }
    Ok(Json(json!({ "status": "alive" })))
}

/// 200 once a model has scored live rows, with the faults of parts that do not matter for that; before, while verdicts are
/// withdrawn, while an essential part has a fault, and while the program ends, 503 with the reason.
pub(in crate::serve) async fn readyz(State(app): State<App>) -> Result<Json<Value>, Problem> {
    let snapshot = app.snapshot();
    if let Some(why) = not_ready(&snapshot) {
        return Err(Problem::unavailable(why, 5)
            .with("components", faults(&snapshot))
            .with("last_training", super::train::last(&snapshot.live)));
    }
    let live = &snapshot.live;
    let freshness = super::freshness(&snapshot, live);
    Ok(Json(json!({
        "status": "ready",
        "model": live.model.as_ref().map(|model| &model.version),
        "last_scored": live.last_scored.map(super::stamp),
        "stale": freshness.reason().map(|reason| reason.to_string()),
        "last_training": super::train::last(live),
        "components": faults(&snapshot),
    })))
}

fn not_ready(snapshot: &Snapshot) -> Option<String> {
    let live = &snapshot.live;
    if snapshot.stopping {
        return Some("the program is about to end".into());
    }
    if live.model.is_none() || live.last_scored.is_none() {
        return Some(super::waiting_for(live));
    }
    let freshness = super::freshness(snapshot, live);
    if let Some(reason) = freshness.reason().filter(|_| freshness.is_withdrawn()) {
        return Some(format!("verdicts are withdrawn: {reason}"));
    }
    let mut faults = snapshot.faults();
    let (component, fault) = faults.find(|(component, _)| component.is_essential())?;
    Some(format!("{}: {}", component.name(), fault.text))
}

/// The parts of the program that have a fault.
pub(super) fn faults(snapshot: &Snapshot) -> Vec<Value> {
    let shown = |(component, fault): (Component, &Fault)| {
        json!({
            "component": component.name(),
            "fault": fault.text,
            "since": super::stamp(fault.since),
            "essential": component.is_essential(),
        })
    };
    snapshot.faults().map(shown).collect()
}
