//! `GET /metrics/live-short` and `GET /metrics/test`: the newest rows of an entity, from the snapshot.

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::super::Problem;
use super::super::router::App;
use super::{Ask, AskResult, about, answer, chosen, freshness, read, stamp, table};
use crate::domain::{Command, EntityView, PipelineView, Series, Snapshot};

/// Rows of `live-short`.
const SHORT: usize = 20;
/// Rows of `test`, as many as the earlier program showed.
const TEST: usize = 50;

/// The 20 newest rows of the live pipeline.
pub(in crate::serve) async fn live_short(
    State(app): State<App>,
    ask: AskResult,
) -> Result<Response, Problem> {
    let ask = read(ask)?;
    let snapshot = app.snapshot();
    newest(&snapshot, &snapshot.live, &ask, SHORT)
}

/// The 50 newest rows of the test pipeline. Started by the first call, which needs what every route that changes
/// something needs and is answered with 503 until there are rows.
pub(in crate::serve) async fn test(
    State(app): State<App>,
    ask: AskResult,
    request: Request,
) -> Result<Response, Problem> {
    let ask = read(ask)?;
    let snapshot = app.snapshot();
    if let Some(test) = &snapshot.test {
        return newest(&snapshot, test, &ask, TEST);
    }
    let (parts, _) = request.into_parts();
    app.allow(&parts)?;
    app.control().send(Command::StartTest)?;
    Err(Problem::unavailable(
        "test mode was not running and is being started on the sample data; ask again in a few seconds",
        5,
    ))
}

fn newest(
    snapshot: &Snapshot,
    pipeline: &PipelineView,
    ask: &Ask,
    count: usize,
) -> Result<Response, Problem> {
    let view = chosen(pipeline, ask.entity.as_deref())?;
    let grid = view
        .grid
        .slice(view.grid.len().saturating_sub(count), view.grid.len());
    let columns = view.features.iter().map(|feature| {
        let values = tail(&feature.values, grid.len());
        (&*feature.feature.name, values)
    });
    let anomalous = tail(&view.anomalous, grid.len());
    let anomalies = grid
        .times()
        .zip(anomalous)
        .filter(|(_, flag)| *flag > 0.0)
        .map(|(time, _)| stamp(time))
        .collect();
    let freshness = freshness(snapshot, pipeline);
    let mut more = about(pipeline, freshness, view);
    more.insert("scores", json!(tail(&view.scores, grid.len())));
    more.insert("features", features(view, !freshness.is_withdrawn()));
    Ok(answer(table(grid.times(), columns), anomalies, more).into_response())
}

/// The newest `count` points, unknown ones in front when there are fewer.
fn tail(series: &Series, count: usize) -> Vec<f64> {
    let known = series.tail(count);
    let mut points = vec![f64::NAN; count.saturating_sub(known.len())];
    points.extend(known);
    points
}

/// What the newest score says of each feature; nulls unless it `is_stated`.
fn features(view: &EntityView, is_stated: bool) -> serde_json::Value {
    let latest = view.latest.as_deref().filter(|_| is_stated);
    let scored = latest.map_or(&[][..], |v| &v.features);
    let stated = |value: Option<f64>| value.filter(|_| is_stated);
    view.features
        .iter()
        .enumerate()
        .map(|(column, feature)| {
            let band = scored.get(column).filter(|_| feature.expected.is_some());
            json!({
                "name": feature.feature.name,
                "unit": feature.feature.unit,
                "expected": stated(feature.expected),
                "lower": band.map(|band| band.lower),
                "upper": band.map(|band| band.upper),
                "mse": stated(feature.mse),
                "share": stated(feature.share),
            })
        })
        .collect()
}
