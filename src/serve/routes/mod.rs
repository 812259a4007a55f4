//! One file per group of routes; each handler reads the newest snapshot and writes JSON.

mod exporter;
mod health;
mod history;
mod rows;
mod train;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

pub(super) use exporter::{index, metrics};
pub(super) use health::{livez, readyz};
pub(super) use history::live_long;
pub(super) use rows::{live_short, test};
pub(super) use train::{outcome, train};

use super::Problem;
use crate::domain::{Entity, EntityView, Freshness, PipelineView, Snapshot, SourceState, Time};

/// How many names an error lists.
const NAMES_SHOWN: usize = 10;

/// `?entity=`, `?points=` and `?seed=`.
#[derive(Debug, Deserialize)]
pub(super) struct Ask {
    entity: Option<String>,
    points: Option<usize>,
    seed: Option<u64>,
}

/// A query string, or why it can't be read.
type AskResult = Result<axum::extract::Query<Ask>, QueryRejection>;

fn read(ask: AskResult) -> Result<Ask, Problem> {
    ask.map(|axum::extract::Query(ask)| ask)
        .map_err(|rejection| Problem::new(StatusCode::BAD_REQUEST, rejection.body_text()))
}

/// The entity that was asked for, the first one when none was.
fn chosen<'a>(
    pipeline: &'a PipelineView,
    name: Option<&str>,
) -> Result<&'a Arc<EntityView>, Problem> {
    let Some(name) = name else {
        return pipeline
            .entities
            .first()
            .ok_or_else(|| Problem::unavailable(waiting_for(pipeline), 5));
    };
    pipeline.entity(&Entity::named(name)).ok_or_else(|| {
        let known: Vec<&str> = pipeline
            .entities
            .iter()
            .take(NAMES_SHOWN)
            .map(|view| view.entity.name())
            .collect();
        Problem::new(
            StatusCode::NOT_FOUND,
            format!(
                "there is no entity `{name}` among the {}; known are: {}{}",
                pipeline.entities.len(),
                known.join(", "),
                if pipeline.entities.len() > NAMES_SHOWN {
                    ", …"
                } else {
                    ""
                }
            ),
        )
    })
}

/// Whether what a pipeline shows can be relied on at this moment.
fn freshness<'a>(snapshot: &Snapshot, pipeline: &'a PipelineView) -> Freshness<'a> {
    pipeline.freshness(snapshot.time_at(Instant::now()), snapshot.interval)
}

/// Why a pipeline has nothing to show or judge yet.
fn waiting_for(pipeline: &PipelineView) -> String {
    match &pipeline.source.state {
        SourceState::Stale { error, .. } => format!("the source fails: {error}"),
        _ if !pipeline.readiness.text.is_empty() => pipeline.readiness.text.clone(),
        _ if pipeline.training.is_some() => "the first model is being trained".into(),
        SourceState::Connecting => format!("waiting for {}", pipeline.source.name),
        SourceState::Up | SourceState::Finished => "no row was scored yet".into(),
    }
}

/// How much of each season is known, by its period in seconds.
fn seasons(view: &EntityView) -> Value {
    let known = view.readiness.seasons.iter();
    known
        .map(|(period, part)| json!({ "period_seconds": period.as_secs_f64(), "known": part }))
        .collect()
}

/// What every answer about a pipeline carries besides its rows. A verdict that is withdrawn is not stated.
fn about(
    pipeline: &PipelineView,
    freshness: Freshness<'_>,
    view: &EntityView,
) -> BTreeMap<&'static str, Value> {
    let latest = view.latest.as_deref();
    let latest = latest.filter(|_| !freshness.is_withdrawn());
    let incident = pipeline.open_incidents.get(&view.entity);
    BTreeMap::from([
        ("entity", json!(view.entity.name())),
        ("entity_count", json!(pipeline.entities.len())),
        ("source", source(pipeline, freshness)),
        ("model", model(pipeline)),
        ("state", json!(latest.map(|verdict| verdict.state))),
        ("score", json!(latest.and_then(|verdict| verdict.score))),
        (
            "score_so_far",
            json!(latest.and_then(|verdict| verdict.provisional.as_ref())),
        ),
        ("why", json!(latest.map(|verdict| &verdict.gates))),
        ("incident", json!(incident)),
        ("readiness", json!(pipeline.readiness.ratio())),
        ("readiness_windows", json!(view.readiness.windows)),
        ("readiness_seasons", seasons(view)),
        ("step_seconds", json!(view.grid.step().as_secs_f64())),
    ])
}

fn source(pipeline: &PipelineView, freshness: Freshness<'_>) -> Value {
    let state = match (&pipeline.source.state, freshness.is_stale()) {
        (_, true) => "stale",
        (SourceState::Connecting, false) => "connecting",
        (SourceState::Finished, false) => "finished",
        (SourceState::Up | SourceState::Stale { .. }, false) => "up",
    };
    json!({
        "name": pipeline.source.name,
        "state": state,
        "error": freshness.reason().map(|reason| reason.to_string()),
        "last_success": pipeline.source.last_success.map(stamp),
        "warnings": pipeline.source.warnings,
        "more_warnings": pipeline.source.more_warnings,
    })
}

fn model(pipeline: &PipelineView) -> Value {
    pipeline.model.as_ref().map_or(Value::Null, |model| {
        json!({
            "version": model.version,
            "trained_at": stamp(model.trained_at),
            "threshold_mse": model.threshold_mse,
            "threshold_rule": model.threshold_rule,
        })
    })
}

/// RFC 3339.
fn stamp(time: Time) -> String {
    time.to_string()
}

/// One row per time, with a field per column; a value that is not known is null. The field `timestamp` is the row's time,
/// even when a column has that name.
fn table<'a>(
    times: impl Iterator<Item = Time>,
    columns: impl Iterator<Item = (&'a str, Vec<f64>)>,
) -> Vec<Value> {
    let mut columns: Vec<(&str, std::vec::IntoIter<f64>)> = columns
        .map(|(name, values)| (name, values.into_iter()))
        .collect();
    times
        .map(|time| {
            let mut row: serde_json::Map<String, Value> = columns
                .iter_mut()
                .map(|(name, values)| ((*name).to_owned(), json!(values.next())))
                .collect();
            row.insert("timestamp".into(), stamp(time).into());
            Value::Object(row)
        })
        .collect()
}

/// Rows, the times of the anomalous ones, and what else there is to say.
fn answer(
    metrics: Vec<Value>,
    anomalies: Vec<String>,
    mut more: BTreeMap<&'static str, Value>,
) -> Json<BTreeMap<&'static str, Value>> {
    more.insert("metrics", metrics.into());
    more.insert("anomaly_count", anomalies.len().into());
    more.insert("anomalies", anomalies.into());
    Json(more)
}
