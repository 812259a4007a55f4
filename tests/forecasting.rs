//! Forecasts of a running engine between two full rounds: they follow the newest rows with what was fitted in the round before.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::driver::Driver;
use common::fake::Fake;
use common::query;
use jiff::tz::TimeZone;
use pulsewatch::config::{Config, ForecastModel, SourceKind, Span};
use pulsewatch::domain::{Entity, Forecast, Grid, HistoryQuery, PipelineId, Snapshot, Time};
use pulsewatch::model::forecast::{Fit, Fitted, Forecaster, Model, extend_all};

const STEP: i64 = 60;
/// When the engine starts, in seconds; on the grid.
const NOW: i64 = 1_780_000_200;
/// Rows of history, six seasons.
const ROWS: i64 = 360;
/// Rows from one full round to the next.
const ROUND: i64 = 8;
/// Rows that come while the test looks.
const LAST: i64 = ROUND + 2;
const METRICS: [&str; 2] = ["cpu", "load"];

/// A season of an hour with noise, gaps of its own for each metric, and another level from `NOW` on.
fn level(metric: i64, time: i64) -> Option<f64> {
    let row = time.div_euclid(STEP);
    let noise = (row.wrapping_mul(7919 + metric) % 1000) as f64 / 500.0 - 1.0;
    let season = (row as f64 / 60.0 * std::f64::consts::TAU + metric as f64).sin();
    let shift = if time > NOW { 15.0 } else { 0.0 };
    (row % (41 + metric) != 0).then_some(100.0 + 20.0 * season + noise + shift)
}

fn config(url: &str) -> Config {
    let mut config = Config::default();
    config.source.kind = SourceKind::Prometheus;
    config.source.url = url.into();
    config.source.step = Span::secs(STEP.unsigned_abs());
    config.source.latency_offset = Span::secs(0);
    config.history.period = Span::secs((ROWS * STEP).unsigned_abs());
    config.history.cache = false;
    config.detect.interval = config.source.step;
    config.autoencoder.enabled = false;
    config.forecast.model = ForecastModel::Prophet;
    config.forecast.horizon = Span::secs(3600);
    config.forecast.seasonalities = vec![Span::secs(3600)];
    config.forecast.retrain_every = Span::secs((ROUND * STEP).unsigned_abs());
    for metric in METRICS {
        config.queries.insert(metric.into(), query(metric));
    }
    config
}

/// The forecasts, once they begin right after the row at `last` seconds.
fn forecasts(snapshot: &Snapshot, last: i64) -> Option<Vec<Arc<Forecast>>> {
    let next = Time::from_secs(last + STEP);
    let features = &snapshot.live.entities.first()?.features;
    let all: Option<Vec<_>> = features.iter().map(|f| f.forecast.clone()).collect();
    all.filter(|all| all.len() == METRICS.len() && all.iter().all(|f| f.grid.start() == next))
}

/// Waits for the forecasts that follow the row at `last`, while the clock stands still.
async fn follow(driver: &Driver, last: i64) -> Vec<Arc<Forecast>> {
    let snapshot = driver.wait("forecast", |s| forecasts(s, last).is_some());
    forecasts(&*snapshot.await, last).unwrap()
}

/// All rows that the engine keeps, a vector for each metric.
async fn kept(driver: &Driver) -> (Grid, Vec<Vec<f64>>) {
    let query = HistoryQuery {
        pipeline: PipelineId::Live,
        entity: Entity::sole(),
        from: None,
        to: None,
        max_points: 2000,
    };
    let answer = driver.control().history(query).await.unwrap();
    assert_eq!(answer.grid.step(), Duration::from_secs(STEP.unsigned_abs()));
    let values = answer.series.into_iter().map(|series| series.values);
    (answer.grid, values.collect())
}

/// The greatest difference between what two forecasts expect.
fn distance(one: &Forecast, other: &Forecast) -> f64 {
    assert_eq!(one.grid, other.grid);
    furthest(&one.yhat, &other.yhat)
}

/// The greatest difference between the bands of two forecasts.
fn bands_apart(one: &Forecast, other: &Forecast) -> f64 {
    furthest(&one.lower, &other.lower).max(furthest(&one.upper, &other.upper))
}

fn furthest(one: &[f64], other: &[f64]) -> f64 {
    assert_eq!(one.len(), other.len());
    let pairs = one.iter().zip(other);
    pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

fn changepoints(fitted: &Fitted) -> Vec<Time> {
    match fitted.model() {
        Model::Prophet(following) => following.model().changepoints(),
        Model::Seasonal(_) | Model::Both(..) => panic!("not the model that was asked for"),
    }
}

/// What was fitted, with the rows of `grid` taken in that have come since.
fn grown(fitted: &Fitted, grid: &Grid, values: &[f64]) -> Fitted {
    let mut grown = fitted.clone();
    extend_all(&mut [&mut grown], grid, &[values]);
    grown
}

/// How much more `later` expects than `before` at the times of both, in the mean.
fn rise(before: &Forecast, later: &Forecast) -> f64 {
    let pairs = before.grid.times().zip(&before.yhat);
    let moved: Vec<f64> = pairs
        .filter_map(|(time, value)| Some(later.yhat[later.grid.row(time)?] - value))
        .collect();
    moved.iter().sum::<f64>() / moved.len() as f64
}

#[tokio::test(flavor = "multi_thread")]
async fn forecasts_follow_new_rows_on_a_frozen_basis_until_the_next_full_round() {
    let dir = tempfile::tempdir().unwrap();
    let fake = Fake::start().await;
    fake.change(|world| {
        world.until = i64::MAX;
        for (number, metric) in (0_i64..).zip(METRICS) {
            world.add(metric, &[], move |time| level(number, time));
        }
    });
    let config = config(&fake.url());
    let forecaster = Forecaster::new(&config.forecast, TimeZone::UTC);
    let fit = |grid: &Grid, values: &[f64]| forecaster.fit(grid, values).unwrap();
    let forecast = |fitted: &Fitted| forecaster.forecast_of(fitted, 1.0).unwrap();

    let mut driver = Driver::open(&config, dir.path(), Time::from_secs(NOW));
    let first = follow(&driver, NOW).await;
    let (grid, values) = kept(&driver).await;
    let mut frozen: Vec<Fitted> = values.iter().map(|own| fit(&grid, own)).collect();
    for (shown, fitted) in first.iter().zip(&frozen) {
        let expected = forecast(fitted);
        assert!(distance(shown, &expected) < 1e-9);
        // Nothing came yet that a band could be held against; later ones are as much wider as that asks for.
        assert!(bands_apart(shown, &expected) < 1e-9);
    }

    let mut known = (grid, values);
    let mut first_basis = Vec::new();
    for row in 1..=LAST {
        driver.go_on(1).await;
        let shown = follow(&driver, NOW + row * STEP).await;
        if row == ROUND {
            // The round is due as the clock moves on, before the row that this brings; it is taken in like those after it.
            let (grid, values) = &known;
            let anew = values.iter().map(|own| fit(grid, own)).collect();
            first_basis = std::mem::replace(&mut frozen, anew);
        }
        known = kept(&driver).await;
        let (grid, values) = &known;
        for (metric, shown) in shown.iter().enumerate() {
            // All rows since the round at once. That this is a fit over all rows on that basis is for the model's own tests.
            let expected = grown(&frozen[metric], grid, &values[metric]);
            assert_eq!(changepoints(&expected), changepoints(&frozen[metric]));
            let off = distance(shown, &forecast(&expected));
            assert!(off < 1e-5, "row {row} of {}: {off}", METRICS[metric]);

            let other = match first_basis.get(metric) {
                Some(first) => grown(first, grid, &values[metric]),
                None => fit(grid, &values[metric]),
            };
            assert_eq!(other.until(), expected.until());
            let apart = distance(shown, &forecast(&other));
            assert!(apart > 1e-3, "row {row}: one basis is like the other");
        }
    }
    for (metric, later) in follow(&driver, NOW + LAST * STEP).await.iter().enumerate() {
        let rise = rise(&first[metric], later);
        assert!(rise > 0.5, "{}: {rise}", METRICS[metric]);
    }
    driver.stop().await;
}
