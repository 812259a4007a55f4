//! Prophet's model: the optimum that the Python package reaches, gaps, holidays, time zones, and rows that come later.
//!
//! `fixtures/prophet.json` holds short series with parameters, objective and forecasts of the package `prophet` (the version
//! stands in the file); `benches/peers/prophet_parity.py --fixtures tests/fixtures` writes it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::f64::consts::TAU;
use std::time::Duration;

use jiff::tz::TimeZone;
use pulsewatch::config::{ForecastConfig, ForecastMode, ForecastModel, Holiday};
use pulsewatch::domain::{Grid, Time};
use pulsewatch::model::forecast::prophet::{Parameters, Prophet, ProphetModel, Season};
use pulsewatch::model::forecast::{Fit, Forecaster, Model, Predict};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Normal};
use serde::Deserialize;

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

#[derive(Deserialize)]
struct Fixtures {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    start_ms: i64,
    step_ms: u64,
    level: f64,
    values: Vec<Option<f64>>,
    seasons: Vec<(u64, usize)>,
    mode: ForecastMode,
    changepoint_prior_scale: f64,
    holidays: Vec<Holiday>,
    reference: Parameters,
    objective: f64,
    yhat: Vec<f64>,
    half_width: Vec<f64>,
}

impl Case {
    fn grid(&self) -> Grid {
        let step = Duration::from_millis(self.step_ms);
        Grid::new(Time::from_millis(self.start_ms), step, self.values.len())
    }

    fn values(&self) -> Vec<f64> {
        self.values.iter().map(|v| v.unwrap_or(f64::NAN)).collect()
    }

    fn settings(&self) -> Prophet {
        let seasons = self.seasons.iter().map(|(seconds, order)| Season {
            order: *order,
            ..Season::new(Duration::from_secs(*seconds))
        });
        Prophet {
            seasons: seasons.collect(),
            mode: self.mode,
            changepoint_prior_scale: self.changepoint_prior_scale,
            holidays: self.holidays.clone(),
            ..Prophet::default()
        }
    }
}

fn fixtures() -> Vec<Case> {
    let text = include_str!("fixtures/prophet.json");
    serde_json::from_str::<Fixtures>(text).unwrap().cases
}

/// Hours from 2026-03-02, a Monday.
fn hours(rows: usize) -> Grid {
    Grid::new(Time::from_secs(1_772_409_600), HOUR, rows)
}

fn noisy(rows: usize, noise: f64, seed: u64, of: impl Fn(usize) -> f64) -> Vec<f64> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let normal = Normal::new(0.0, noise).unwrap();
    (0..rows)
        .map(|row| of(row) + normal.sample(&mut rng))
        .collect()
}

fn daily() -> Prophet {
    Prophet {
        seasons: vec![Season::new(DAY)],
        ..Prophet::default()
    }
}

fn mean_error(found: &[f64], truth: impl Iterator<Item = f64>) -> f64 {
    let errors = found.iter().zip(truth).map(|(a, b)| (a - b).abs());
    errors.sum::<f64>() / found.len() as f64
}

/// Fails unless no parameter can be moved alone for a higher posterior. The parts without derivative concern one
/// parameter each, so this is optimality, and at a bend that is 0 it is the condition on the subgradient.
fn is_optimal(settings: &Prophet, grid: &Grid, values: &[f64], model: &ProphetModel) {
    let best = model.parameters();
    let at = |parameters: &Parameters| settings.log_posterior(grid, values, parameters).unwrap();
    let top = at(&best);
    assert!((top - model.log_posterior()).abs() < 1e-6 * top.abs().max(1.0));
    let bends = best.delta.len();
    for index in 0..3 + bends + best.beta.len() {
        for step in [1e-5, -1e-5] {
            let mut moved = best.clone();
            match index {
                0 => moved.k += step,
                1 => moved.m += step,
                2 => moved.sigma *= 1.0 + step,
                bend if bend < 3 + bends => moved.delta[bend - 3] += step,
                wave => moved.beta[wave - 3 - bends] += step,
            }
            let gain = at(&moved) - top;
            assert!(
                gain < 1e-7 * top.abs(),
                "parameter {index}, step {step}: {gain}"
            );
        }
    }
}

#[test]
fn the_optimum_is_at_least_the_packages_and_forecasts_agree() {
    for case in fixtures() {
        let (grid, values, settings) = (case.grid(), case.values(), case.settings());
        let model = settings.fit(&grid, &values).unwrap();
        let theirs = settings
            .log_posterior(&grid, &values, &case.reference)
            .unwrap();
        let name = &case.name;
        // The same function: Stan's own figure for its parameters.
        assert!(
            (theirs - case.objective).abs() < 1e-5 * theirs.abs(),
            "{name}"
        );
        let ours = settings
            .log_posterior(&grid, &values, &model.parameters())
            .unwrap();
        assert!(
            ours >= theirs - 1e-4 * theirs.abs(),
            "{name}: {ours} < {theirs}"
        );
        is_optimal(&settings, &grid, &values, &model);
        let forecast = model.predict(case.yhat.len(), case.level).unwrap();
        let scale = values
            .iter()
            .filter(|v| v.is_finite())
            .fold(0.0_f64, |a, v| a.max(v.abs()));
        for (row, (ours, theirs)) in forecast.yhat.iter().zip(&case.yhat).enumerate() {
            let off = (ours - theirs).abs() / scale;
            assert!(off < 5e-3, "{name}, row {row}: {ours} and {theirs}");
        }
        let width = |widths: &[f64]| widths.iter().sum::<f64>() / widths.len() as f64;
        let ours: Vec<f64> = forecast
            .upper
            .iter()
            .zip(&forecast.yhat)
            .map(|(u, y)| u - y)
            .collect();
        let ratio = width(&ours) / width(&case.half_width);
        assert!(
            (ratio - 1.0).abs() < 0.05,
            "{name}: bands differ by {ratio}"
        );
    }
}

#[test]
fn every_kind_of_series_ends_at_an_optimum() {
    let shape = |row: usize| 5.0 * (row as f64 / 24.0 * TAU).sin();
    let walk = {
        let steps = noisy(400, 1.0, 1, |_| 0.0);
        steps
            .iter()
            .scan(0.0, |at, step| {
                *at += step;
                Some(*at)
            })
            .collect::<Vec<f64>>()
    };
    let mut holed = noisy(400, 1.0, 2, |row| 40.0 + shape(row));
    holed[50..120].fill(f64::NAN);
    let kinds = [
        ("walk", walk),
        ("gaps", holed),
        (
            "negative",
            noisy(400, 1.0, 3, |row| -30.0 - 0.1 * row as f64 + shape(row)),
        ),
        (
            "hardly any noise",
            noisy(400, 1e-4, 4, |row| 10.0 + shape(row)),
        ),
        ("short", noisy(60, 1.0, 5, |row| 10.0 + shape(row))),
        ("large", noisy(400, 1e9, 6, |row| 4e12 + 1e10 * shape(row))),
    ];
    for mode in [ForecastMode::Additive, ForecastMode::Multiplicative] {
        for (name, values) in &kinds {
            println!("{name}, {mode:?}");
            let settings = Prophet { mode, ..daily() };
            let grid = hours(values.len());
            let model = settings.fit(&grid, values).unwrap();
            is_optimal(&settings, &grid, values, &model);
        }
    }
}

#[test]
fn multiplied_seasons_grow_with_the_level() {
    let truth =
        |row: usize| (50.0 + 0.3 * row as f64) * (1.0 + 0.3 * (row as f64 / 24.0 * TAU).sin());
    let values = noisy(480, 1.0, 7, truth);
    let fit = |mode| {
        Prophet { mode, ..daily() }
            .fit(&hours(480), &values)
            .unwrap()
    };
    let ahead = |mode| fit(mode).predict(48, 0.9).unwrap().yhat;
    let future = || (480..528).map(truth);
    let multiplied = mean_error(&ahead(ForecastMode::Multiplicative), future());
    assert!(multiplied < 1.5, "{multiplied}");
    assert!(mean_error(&ahead(ForecastMode::Additive), future()) > 5.0 * multiplied);
}

#[test]
fn a_holiday_of_the_past_is_expected_again() {
    // Rows 5 · 24 and 12 · 24 begin 2026-03-07 and 2026-03-14; row 22 · 24 begins 2026-03-24.
    let dates = ["2026-03-07", "2026-03-14", "2026-03-24"];
    let sale = Holiday {
        name: "sale".into(),
        dates: dates.iter().map(|date| date.parse().unwrap()).collect(),
        after: 1,
        ..Holiday::default()
    };
    let truth = |row: usize| {
        let effect = match row / 24 {
            5 | 12 | 22 => 30.0,
            6 | 13 | 23 => -10.0,
            _ => 0.0,
        };
        60.0 + 5.0 * (row as f64 / 24.0 * TAU).sin() + effect
    };
    let values = noisy(480, 1.0, 8, truth);
    let settings = Prophet {
        holidays: vec![sale],
        ..daily()
    };
    let ahead = settings
        .fit(&hours(480), &values)
        .unwrap()
        .predict(120, 0.9)
        .unwrap();
    let error = mean_error(&ahead.yhat, (480..600).map(truth));
    assert!(error < 1.0, "{error}");
    let without = daily()
        .fit(&hours(480), &values)
        .unwrap()
        .predict(120, 0.9)
        .unwrap();
    assert!(mean_error(&without.yhat, (480..600).map(truth)) > 5.0);
}

#[test]
fn the_days_shape_follows_the_clocks_when_they_change() {
    // Clocks in Berlin went forward on 2026-03-29, row 27 · 24.
    let zone = TimeZone::get("Europe/Berlin").unwrap();
    let all = hours(35 * 24);
    let local_hour = |row: usize| {
        let stamp = jiff::Timestamp::from_millisecond(all.time(row).millis()).unwrap();
        zone.to_datetime(stamp).hour()
    };
    // Office hours.
    let truth = |row: usize| {
        let angle = (f64::from(local_hour(row)) - 13.0) / 24.0 * TAU;
        50.0 + 20.0 * angle.cos() + 6.0 * (2.0 * angle).cos()
    };
    let values = noisy(27 * 24, 0.5, 9, truth);
    let error = |zone: TimeZone| {
        let model = Prophet { zone, ..daily() }
            .fit(&hours(27 * 24), &values)
            .unwrap();
        let ahead = model.predict(8 * 24, 0.9).unwrap();
        mean_error(&ahead.yhat, (27 * 24..35 * 24).map(truth))
    };
    assert!(error(zone.clone()) < 0.3, "{}", error(zone.clone()));
    assert!(error(TimeZone::UTC) > 2.0, "the change shows in UTC");
}

#[test]
fn gaps_are_rows_that_are_not_seen() {
    let truth = |row: usize| 20.0 + 0.05 * row as f64 + 4.0 * (row as f64 / 24.0 * TAU).sin();
    let mut values = noisy(480, 0.5, 10, truth);
    values[100..160].fill(f64::NAN);
    values[470..].fill(f64::INFINITY);
    let model = daily().fit(&hours(480), &values).unwrap();
    let ahead = model.predict(24, 0.9).unwrap();
    assert_eq!(ahead.grid, hours(480).ahead(24));
    assert!(mean_error(&ahead.yhat, (480..504).map(truth)) < 0.4);
    let within = model.in_sample(0.9).unwrap();
    assert!(mean_error(&within.yhat, (0..480).map(truth)) < 0.4);
    // Leading rows that were not observed move nothing either.
    let mut late = vec![f64::NAN; 24];
    late.extend_from_slice(&values[24..]);
    let late = daily().fit(&hours(480), &late).unwrap();
    let cut = hours(480).slice(24, 480);
    let short = daily().fit(&cut, &values[24..]).unwrap();
    assert_eq!(late.parameters(), short.parameters());
}

#[test]
fn series_fitted_together_are_as_if_fitted_alone() {
    let of = |seed| noisy(300, 1.0, seed, |row| 30.0 + (row as f64 / 24.0 * TAU).sin());
    let mut holed = of(3);
    holed[40..50].fill(f64::NAN);
    let all = [
        of(1),
        holed.clone(),
        of(2),
        holed,
        vec![f64::NAN; 300],
        vec![7.0; 300],
    ];
    let all: Vec<&[f64]> = all.iter().map(Vec::as_slice).collect();
    for mode in [ForecastMode::Additive, ForecastMode::Multiplicative] {
        let settings = Prophet { mode, ..daily() };
        for (together, values) in settings.follow_all(&hours(300), &all).into_iter().zip(&all) {
            match (together, settings.fit(&hours(300), values)) {
                (Ok(together), Ok(alone)) => assert_eq!(*together.model(), alone),
                (Err(together), Err(alone)) => assert_eq!(together, alone),
                _ => panic!("one has a fit, the other not"),
            }
        }
    }
    let flat = daily()
        .fit(&hours(300), &[7.0; 300])
        .unwrap()
        .predict(10, 0.9)
        .unwrap();
    assert!(
        flat.upper
            .iter()
            .chain(&flat.lower)
            .all(|v| (v - 7.0).abs() < 1e-6),
        "{flat:?}"
    );
}

#[test]
fn rows_that_come_later_change_the_forecast_and_nothing_else_is_needed() {
    let truth = |row: usize| 20.0 + 4.0 * (row as f64 / 24.0 * TAU).sin();
    let values = noisy(480, 0.5, 11, truth);
    for mode in [ForecastMode::Additive, ForecastMode::Multiplicative] {
        let settings = Prophet { mode, ..daily() };
        let mut following = settings.follow(&hours(240), &values[..240]).unwrap();
        let first = following.model().clone();
        for row in &values[240..] {
            following.extend(&[*row]);
        }
        let mut at_once = settings.follow(&hours(240), &values[..240]).unwrap();
        at_once.extend(&values[240..]);
        let (one, other) = (following.model(), at_once.model());
        assert_eq!(one.grid(), &hours(480));
        assert_eq!(one.changepoints(), first.changepoints());
        assert!((one.log_posterior() - other.log_posterior()).abs() < 1e-6);
        let ahead = one.predict(24, 0.9).unwrap();
        assert_eq!(ahead.grid, hours(480).ahead(24));
        assert!(mean_error(&ahead.yhat, (480..504).map(truth)) < 0.4);
        for (one, other) in ahead.yhat.iter().zip(other.predict(24, 0.9).unwrap().yhat) {
            assert!((one - other).abs() < 1e-6);
        }
        // A day without samples moves the time, not the model.
        at_once.extend(&[f64::NAN; 24]);
        assert_eq!(at_once.model().trailing(), 24);
        assert_eq!(at_once.model().grid(), &hours(504));
    }
}

#[test]
fn auto_takes_what_forecast_the_past_better() {
    let forecaster = Forecaster::new(&ForecastConfig::default(), TimeZone::UTC);
    let smooth = noisy(480, 1.0, 12, |row| {
        40.0 + 10.0 * (row as f64 / 24.0 * TAU).sin() + 3.0 * (row as f64 / 168.0 * TAU).cos()
    });
    // A shape too sharp for four waves.
    let sharp = noisy(480, 0.3, 13, |row| if row % 24 == 3 { 60.0 } else { 10.0 });
    let is_prophet = |values: &[f64]| {
        let fitted = forecaster.fit(&hours(480), values).unwrap();
        matches!(fitted.model(), Model::Prophet(_))
    };
    assert!(is_prophet(&smooth));
    assert!(!is_prophet(&sharp));
    let config = ForecastConfig {
        model: ForecastModel::Prophet,
        ..ForecastConfig::default()
    };
    let asked = Forecaster::new(&config, TimeZone::UTC);
    let fitted = asked.fit(&hours(480), &sharp).unwrap();
    assert!(matches!(fitted.model(), Model::Prophet(_)));
    let ahead = asked.forecast(&hours(480), &sharp).unwrap();
    assert!(ahead.lower.iter().all(|v| *v >= 0.0));
    assert_eq!(ahead, asked.forecast(&hours(480), &sharp).unwrap());
}

#[test]
fn a_season_follows_the_clocks_over_a_change_of_them() {
    let zone = TimeZone::get("Europe/Berlin").unwrap();
    // Five weeks of hours around the last Sunday of March 2026, when the clocks go forward, and of October, when they go back.
    for (start, name) in [
        ("2026-03-01T00:00:00Z", "spring"),
        ("2026-10-01T00:00:00Z", "autumn"),
    ] {
        let start: jiff::Timestamp = start.parse().unwrap();
        let grid = Grid::new(Time::from_millis(start.as_millisecond()), HOUR, 35 * 24);
        let local = |row: usize| {
            let stamp = jiff::Timestamp::from_millisecond(grid.time(row).millis()).unwrap();
            f64::from(stamp.to_zoned(zone.clone()).hour())
        };
        let all = noisy(35 * 24, 0.3, 14, |row| {
            20.0 + 8.0 * (local(row) / 24.0 * TAU).sin()
        });
        for model in [ForecastModel::Prophet, ForecastModel::Auto] {
            let config = ForecastConfig {
                model,
                ..ForecastConfig::default()
            };
            let forecaster = Forecaster::new(&config, zone.clone());
            // The change comes within the horizon (27 days in), half a day ago, five days ago.
            for known in [27 * 24 + 18, 28 * 24 + 18, 33 * 24] {
                let ahead = forecaster
                    .forecast(
                        &grid.slice(known - 14 * 24, known),
                        &all[known - 14 * 24..known],
                    )
                    .unwrap();
                let error = mean_error(&ahead.yhat, all[known..].iter().copied());
                assert!(
                    error < 0.9,
                    "{name}, {model:?}, {known} hours known: {error}"
                );
            }
        }
    }
}
