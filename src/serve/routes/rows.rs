//! `GET /metrics/live-short`: the newest rows of an entity. `GET /metrics/test`: the end of the sample with fresh spikes in it.

use std::collections::{BTreeMap, BTreeSet};

use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::super::Problem;
use super::super::router::App;
use super::{Ask, AskResult, about, answer, chosen, freshness, read, stamp, table, waiting_for};
use crate::domain::{Command, ControlError, EntityView, Series, Snapshot, Spike, SpikedRows, Time};

/// Rows of `live-short`.
const SHORT: usize = 20;

/// The 20 newest rows of the live pipeline.
pub(in crate::serve) async fn live_short(
    State(app): State<App>,
    ask: AskResult,
) -> Result<Response, Problem> {
    let ask = read(ask)?;
    let snapshot = app.snapshot();
    newest(&snapshot, &ask)
}

/// The newest 50 rows of the sample with two fresh spikes of ten standard deviations in them, as test mode's model judges
/// them: what was put in, and what of it was found. `?seed=` chooses the spikes; without it every answer has others. Test
/// mode is started by the first call, which needs what every route that changes something needs and is answered with 503
/// until there is a model. What plays in test mode is not touched.
pub(in crate::serve) async fn test(
    State(app): State<App>,
    ask: AskResult,
    request: Request,
) -> Result<Response, Problem> {
    let ask = read(ask)?;
    let snapshot = app.snapshot();
    if let Some(test) = &snapshot.test {
        return match app
            .control()
            .spiked(ask.seed.unwrap_or(snapshot.revision))
            .await
        {
            Ok(rows) => Ok(spiked(&rows).into_response()),
            Err(ControlError::NotFound) => Err(Problem::unavailable(waiting_for(test), 5)),
            Err(error) => Err(error.into()),
        };
    }
    let (parts, _) = request.into_parts();
    app.allow(&parts)?;
    app.control().send(Command::StartTest)?;
    Err(Problem::unavailable(
        "test mode was not running and is being started on the sample data; ask again in a few seconds",
        5,
    ))
}

/// Rows with spikes in them, and how many of those were found.
fn spiked(rows: &SpikedRows) -> Json<BTreeMap<&'static str, Value>> {
    let anomalies: BTreeSet<Time> = rows
        .times
        .iter()
        .zip(&rows.anomalous)
        .filter(|(_, anomalous)| **anomalous)
        .map(|(time, _)| *time)
        .collect();
    let is_found = |spike: &Spike| anomalies.contains(&spike.time);
    let injected = rows.injected.iter().map(|spike| {
        json!({
            "timestamp": stamp(spike.time),
            "feature": spike.feature,
            "deviations": spike.deviations,
            "found": is_found(spike),
        })
    });
    let found = rows.injected.iter().filter(|spike| is_found(spike)).count();
    let more = BTreeMap::from([
        ("injected", injected.collect()),
        ("found", found.into()),
        ("missed", (rows.injected.len() - found).into()),
        ("scores", json!(rows.scores)),
    ]);
    let columns = rows.features.iter();
    let columns = columns.map(|(name, values)| (&**name, values.clone()));
    let metrics = table(rows.times.iter().copied(), columns);
    answer(metrics, anomalies.into_iter().map(stamp).collect(), more)
}

fn newest(snapshot: &Snapshot, ask: &Ask) -> Result<Response, Problem> {
    let pipeline = &*snapshot.live;
    let view = chosen(pipeline, ask.entity.as_deref())?;
    let grid = view
        .grid
        .slice(view.grid.len().saturating_sub(SHORT), view.grid.len());
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
