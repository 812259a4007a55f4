//! `GET /metrics/live-long`: everything that is kept of an entity, with what is expected to come.

use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use super::super::Problem;
use super::super::router::App;
use super::{AskResult, about, answer, chosen, freshness, read, stamp, table};
use crate::domain::{EntityView, FeatureView, Forecast, HistoryQuery, PipelineId};

/// Most points per feature, as for every history query.
const MOST_POINTS: usize = 2000;

/// The whole window, averaged to at most `?points=` rows (`[ui] max_points`; at most 2,000), and forecasts.
pub(in crate::serve) async fn live_long(
    State(app): State<App>,
    ask: AskResult,
) -> Result<Response, Problem> {
    let ask = read(ask)?;
    let snapshot = app.snapshot();
    let view = chosen(&snapshot.live, ask.entity.as_deref())?;
    let history = app
        .control()
        .history(HistoryQuery {
            pipeline: PipelineId::Live,
            entity: view.entity.clone(),
            from: None,
            to: None,
            max_points: ask
                .points
                .unwrap_or(snapshot.app.max_points)
                .clamp(1, MOST_POINTS),
        })
        .await?;
    let forecasts: Map<String, Value> = history
        .series
        .iter()
        .filter_map(|series| {
            let forecast = series.forecast.as_deref()?;
            Some((series.name.to_string(), rows(forecast)))
        })
        .collect();
    let anomalies = history
        .grid
        .times()
        .zip(&history.anomalous)
        .filter(|(_, anomalous)| **anomalous)
        .map(|(time, _)| stamp(time))
        .collect();
    let freshness = freshness(&snapshot, &snapshot.live);
    let mut more = about(&snapshot.live, freshness, view);
    more.insert("step_seconds", json!(history.grid.step().as_secs_f64()));
    more.insert("forecasts", forecasts.into());
    let breach = |feature: &FeatureView| breach(feature).filter(|_| !freshness.is_withdrawn());
    more.insert("breaches", each(view, breach));
    more.insert("forecast_accuracy", each(view, accuracy));
    let times = history.grid.times();
    let columns = history
        .series
        .iter()
        .map(|series| (&*series.name, series.values.clone()));
    Ok(answer(table(times, columns), anomalies, more).into_response())
}

/// What is known of each feature, by name.
fn each(view: &EntityView, of: impl Fn(&FeatureView) -> Option<Value>) -> Value {
    let found = view.features.iter().filter_map(|feature| {
        let name = feature.feature.name.to_string();
        Some((name, of(feature)?))
    });
    found.collect::<Map<_, _>>().into()
}

/// `null` is what does not come to pass within `within_seconds`.
fn breach(feature: &FeatureView) -> Option<Value> {
    let breach = feature.breach?;
    let seconds = |length: Option<Duration>| length.map(|length| length.as_secs_f64());
    Some(json!({
        "limit": feature.feature.limit,
        "now": breach.is_now(),
        "earliest_seconds": breach.earliest.as_secs_f64(),
        "likely_seconds": seconds(breach.likely),
        "latest_seconds": seconds(breach.latest),
        "within_seconds": breach.within.as_secs_f64(),
    }))
}

fn accuracy(feature: &FeatureView) -> Option<Value> {
    let accuracy = feature.forecast_accuracy?;
    Some(json!({ "mae": accuracy.mae, "coverage": accuracy.coverage, "n": accuracy.n }))
}

fn rows(forecast: &Forecast) -> Value {
    let columns = [
        ("yhat", forecast.yhat.clone()),
        ("lower", forecast.lower.clone()),
        ("upper", forecast.upper.clone()),
    ];
    json!({
        "level": forecast.level,
        "points": table(forecast.grid.times(), columns.into_iter()),
    })
}
