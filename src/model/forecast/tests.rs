//! The forecaster as its callers use it.

use std::f64::consts::TAU;
use std::time::Duration;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Normal, StudentT};

use jiff::tz::TimeZone;

use super::{Fit, ForecastError, Forecaster, Model, Mstl, Predict, Record};
use crate::config::{ForecastConfig, ForecastModel, Span};
use crate::domain::{Forecast, Grid, Time};

const STEP: Duration = Duration::from_secs(600);
const DAY: usize = 144;

fn grid(rows: usize) -> Grid {
    Grid::new(Time::from_secs(1_700_000_000), STEP, rows)
}

fn shape(row: usize) -> f64 {
    let days = row as f64 / DAY as f64;
    50.0 + 10.0 * (days * TAU).sin() + 5.0 * (days / 7.0 * TAU).cos()
}

fn noisy(rows: usize, noise: f64, seed: u64, of: impl Fn(usize) -> f64) -> Vec<f64> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let normal = Normal::new(0.0, noise).unwrap();
    (0..rows)
        .map(|row| of(row) + normal.sample(&mut rng))
        .collect()
}

fn of(model: ForecastModel) -> Forecaster {
    let config = ForecastConfig {
        model,
        ..ForecastConfig::default()
    };
    Forecaster::new(&config, TimeZone::UTC)
}

fn forecaster() -> Forecaster {
    of(ForecastModel::Auto)
}

fn sound(forecast: &Forecast) {
    let rows = forecast.grid.len();
    assert_eq!(
        (
            forecast.yhat.len(),
            forecast.lower.len(),
            forecast.upper.len()
        ),
        (rows, rows, rows)
    );
    for ((y, low), high) in forecast
        .yhat
        .iter()
        .zip(&forecast.lower)
        .zip(&forecast.upper)
    {
        assert!(low <= y && y <= high, "{low} ≤ {y} ≤ {high}");
    }
}

fn errors(forecast: &Forecast, truth: &[f64]) -> (f64, f64) {
    let rows = forecast.yhat.iter().zip(truth);
    let mae = rows.clone().map(|(y, t)| (y - t).abs()).sum::<f64>() / truth.len() as f64;
    let held = forecast.lower.iter().zip(&forecast.upper).zip(truth);
    let held = held.filter(|((l, u), t)| l <= t && t <= u).count();
    (mae, held as f64 / truth.len() as f64)
}

#[test]
fn daily_and_weekly_seasons_are_learned_and_the_band_holds_what_it_says() {
    let (mut mae, mut coverage) = (0.0, 0.0);
    let runs = 6;
    for seed in 0..runs {
        let all = noisy(15 * DAY, 1.0, seed, shape);
        let (past, future) = all.split_at(14 * DAY);
        let forecast = forecaster().forecast(&grid(past.len()), past).unwrap();
        sound(&forecast);
        assert_eq!(forecast.grid, grid(past.len()).ahead(DAY));
        let (error, held) = errors(&forecast, future);
        mae += error / runs as f64;
        coverage += held / runs as f64;
    }
    // The mean absolute value of unit noise is 0.8; two weeks alone cost a weekly shape half of that again in variance.
    assert!(mae < 1.1, "mean absolute error {mae}");
    assert!((coverage - 0.9).abs() < 0.05, "coverage {coverage}");
}

/// Forecasts of `all`, a row an hour, every hour from the tenth day on, each band corrected by what the ones before came to:
/// coverage of the forecasts from `from` days on until `to`.
fn rolled(all: &[f64], from: usize, to: usize) -> f64 {
    let hour = Duration::from_secs(3600);
    let (forecaster, mut record) = (forecaster(), Record::default());
    let mut held = Vec::new();
    for at in 240..(to * 24).min(all.len() - 24) {
        let first = at.saturating_sub(14 * 24);
        let known = Grid::new(Time::from_secs(0), hour, at).slice(first, at);
        record.settle(&known, |row| all[first + row]);
        let fitted = forecaster.fit(&known, &all[first..at]).unwrap();
        let forecast = forecaster.forecast_of(&fitted, record.widening()).unwrap();
        record.keep(&forecast, hour);
        if at >= from * 24 {
            held.push(errors(&forecast, &all[at..at + 24]).1);
        }
    }
    held.iter().sum::<f64>() / held.len() as f64
}

fn daily(row: usize) -> f64 {
    50.0 + 10.0 * (row as f64 / 24.0 * TAU).sin()
}

#[test]
fn bands_hold_what_they_say_of_noise_with_heavy_tails() {
    let mut rng = ChaCha8Rng::seed_from_u64(11);
    // Student's distribution with three degrees of freedom: a standard deviation says little of it.
    let student = StudentT::new(3.0).unwrap();
    let all: Vec<f64> = (0..24 * 24)
        .map(|row| daily(row) + student.sample(&mut rng))
        .collect();
    let coverage = rolled(&all, 12, 23);
    assert!((coverage - 0.9).abs() < 0.03, "coverage {coverage}");
}

#[test]
fn prophets_band_is_measured_too() {
    let mut rng = ChaCha8Rng::seed_from_u64(15);
    let student = StudentT::new(3.0).unwrap();
    let (mut coverage, runs) = (0.0, 5);
    for _ in 0..runs {
        let all: Vec<f64> = (0..15 * DAY)
            .map(|row| shape(row) + student.sample(&mut rng))
            .collect();
        let forecaster = of(ForecastModel::Prophet);
        let forecast = forecaster
            .forecast(&grid(14 * DAY), &all[..14 * DAY])
            .unwrap();
        coverage += errors(&forecast, &all[14 * DAY..]).1 / f64::from(runs);
    }
    assert!((coverage - 0.91).abs() < 0.04, "coverage {coverage}");
}

#[test]
fn bands_follow_noise_that_changes() {
    let noise = noisy(32 * 24, 1.0, 12, |_| 0.0);
    let of = |row: usize| if row < 12 * 24 { 1.0 } else { 3.0 };
    let all: Vec<f64> = (0..32 * 24)
        .map(|row| daily(row) + noise[row] * of(row))
        .collect();
    // A day and a half to see it, then too wide rather than too narrow for some days, then right again.
    let soon = rolled(&all, 14, 18);
    assert!((0.88..0.99).contains(&soon), "coverage {soon}");
    let later = rolled(&all, 22, 31);
    assert!((later - 0.9).abs() < 0.04, "coverage {later}");
}

#[test]
fn what_lies_beyond_the_horizon_goes_on_at_few_times() {
    let line = |row: usize| 3.0 + 0.02 * row as f64;
    for model in [ForecastModel::Mstl, ForecastModel::Prophet] {
        let forecaster = of(model);
        let past = noisy(12 * DAY, 0.5, 5, line);
        let fitted = forecaster.fit(&grid(past.len()), &past).unwrap();
        let near = forecaster.forecast_of(&fitted, 1.0).unwrap();
        let far = forecaster.beyond(&fitted, 1.0).unwrap().unwrap();
        sound(&far);
        assert!(far.grid.len() <= 168 && far.grid.start() > near.grid.last().unwrap());
        assert_eq!(far.grid.last(), Some(grid(1).time(19 * DAY - 1)));
        let end = line(19 * DAY);
        assert!((far.yhat.last().unwrap() - end).abs() < 4.0, "{model:?}");
        // No further ahead than back, and what is widened is so around the same middle.
        let short = forecaster.fit(&grid(2 * DAY), &past[..2 * DAY]).unwrap();
        let far = forecaster.beyond(&short, 2.0).unwrap().unwrap();
        assert_eq!(far.grid.last(), Some(grid(1).time(4 * DAY - 1)));
        let plain = forecaster.beyond(&short, 1.0).unwrap().unwrap();
        let (wide, narrow) = (
            far.upper[50] - far.yhat[50],
            plain.upper[50] - plain.yhat[50],
        );
        assert!((wide - 2.0 * narrow).abs() < 1e-9 && far.yhat == plain.yhat);
        let short = forecaster.fit(&grid(DAY / 2), &past[..DAY / 2]).unwrap();
        assert_eq!(forecaster.beyond(&short, 1.0).unwrap(), None);
    }
}

#[test]
fn seasons_are_chosen_by_the_data() {
    let rows = 14 * DAY;
    let both = noisy(rows, 1.0, 1, shape);
    let flat = noisy(rows, 1.0, 2, |_| 5.0);
    let hours = |values: &[f64], only_strong: bool| -> Vec<u64> {
        let day = Duration::from_secs(86_400);
        let mstl = Mstl {
            seasonalities: vec![day, day * 7],
            horizon: day,
            max_points: 2016,
            only_strong,
        };
        let seasons = mstl.fit(&grid(rows), values).unwrap().seasonalities();
        seasons.iter().map(|s| s.as_secs() / 3600).collect()
    };
    assert_eq!(hours(&both, true), [24, 168]);
    assert!(hours(&flat, true).is_empty());
    assert_eq!(hours(&flat, false), [24, 168]);
}

#[test]
fn a_constant_stays_without_a_band() {
    for value in [0.0, 7.25, -3e9] {
        let forecast = forecaster().forecast(&grid(300), &[value; 300]).unwrap();
        sound(&forecast);
        let off = |v: &f64| (v - value).abs() <= value.abs() * 1e-9;
        assert!(
            forecast
                .yhat
                .iter()
                .chain(&forecast.lower)
                .chain(&forecast.upper)
                .all(off)
        );
    }
}

#[test]
fn gaps_cost_little_and_a_gap_at_the_end_moves_nothing() {
    let all = noisy(15 * DAY, 0.5, 3, shape);
    let (past, future) = all.split_at(14 * DAY);
    let mut holed = past.to_vec();
    // A tenth of all rows, a whole day, and the last hour.
    for row in (0..holed.len()).filter(|row| row % 10 == 3) {
        holed[row] = f64::NAN;
    }
    let end = holed.len();
    holed[5 * DAY..6 * DAY].fill(f64::NAN);
    holed[end - 6..].fill(f64::INFINITY);
    let forecast = forecaster().forecast(&grid(end), &holed).unwrap();
    sound(&forecast);
    assert_eq!(forecast.grid, grid(end).ahead(DAY));
    let (mae, _) = errors(&forecast, future);
    assert!(mae < 1.0, "mean absolute error {mae}");
}

#[test]
fn an_incident_in_the_history_leaves_no_shape_behind() {
    let mut past = noisy(14 * DAY, 0.5, 4, shape);
    past[12 * DAY + 30..12 * DAY + 45].fill(400.0);
    let forecast = forecaster().forecast(&grid(past.len()), &past).unwrap();
    let truth: Vec<f64> = (14 * DAY..15 * DAY).map(shape).collect();
    let (mae, _) = errors(&forecast, &truth);
    assert!(mae < 0.6, "mean absolute error {mae}");
}

#[test]
fn next_to_nothing_is_an_error_that_says_so() {
    let error = forecaster()
        .forecast(&grid(50), &[f64::NAN; 50])
        .unwrap_err();
    assert_eq!(
        error,
        ForecastError::TooFew {
            have: 0,
            need: 3,
            rows: 50
        }
    );
    assert!(error.to_string().contains("0 of 50"));
    let error = forecaster().forecast(&grid(50), &[1.0; 49]).unwrap_err();
    assert!(matches!(
        error,
        ForecastError::Shape {
            rows: 50,
            values: 49
        }
    ));
    let model = forecaster().fit(&grid(50), &[1.0; 50]).unwrap();
    for level in [0.0, 1.0, f64::NAN] {
        assert!(matches!(
            model.predict(3, level),
            Err(ForecastError::Level(_))
        ));
        assert!(matches!(
            model.in_sample(level),
            Err(ForecastError::Level(_))
        ));
    }
}

#[test]
fn a_line_goes_on() {
    let line = |row: usize| 3.0 + 0.02 * row as f64;
    let past = noisy(7 * DAY, 0.5, 5, line);
    let forecast = forecaster().forecast(&grid(past.len()), &past).unwrap();
    sound(&forecast);
    let truth: Vec<f64> = (7 * DAY..8 * DAY).map(line).collect();
    let (mae, _) = errors(&forecast, &truth);
    assert!(mae < 0.6, "mean absolute error {mae}");
}

#[test]
fn short_series_have_a_forecast_too() {
    for rows in [3, 5, 11, 12, 23, 24, 40, 287] {
        let past = noisy(rows, 0.1, 6, |row| row as f64);
        let forecast = forecaster().forecast(&grid(rows), &past).unwrap();
        sound(&forecast);
        assert_eq!(forecast.grid, grid(rows).ahead(DAY));
        assert!(forecast.yhat.iter().all(|y| y.is_finite()));
        assert!(
            (forecast.yhat[0] - rows as f64).abs() < 3.0,
            "{rows}: {}",
            forecast.yhat[0]
        );
        let past = forecaster()
            .fit(&grid(rows), &past)
            .unwrap()
            .in_sample(0.9)
            .unwrap();
        sound(&past);
        assert_eq!(past.grid, grid(rows));
    }
}

#[test]
fn a_long_history_is_averaged_to_the_points_allowed() {
    let minutes = Duration::from_secs(60);
    let rows = 14 * 1440;
    let past = Grid::new(Time::from_secs(0), minutes, rows);
    let values = noisy(rows, 1.0, 7, |row| shape(row / 10));
    let forecast = forecaster().forecast(&past, &values).unwrap();
    sound(&forecast);
    assert_eq!(forecast.grid.step(), minutes * 10);
    assert_eq!(forecast.grid.len(), DAY);
    let ahead = forecast.grid.start().since(past.last().unwrap());
    assert!(ahead > Duration::ZERO && ahead <= minutes * 10, "{ahead:?}");
}

#[test]
fn large_and_wild_numbers_stay_numbers() {
    let large = noisy(500, 1e9, 8, |row| 4e12 + shape(row) * 1e9);
    let forecast = forecaster().forecast(&grid(500), &large).unwrap();
    sound(&forecast);
    assert!(forecast.yhat.iter().all(|y| *y > 3.9e12 && *y < 4.2e12));
    let wild: Vec<f64> = (0..500_i32)
        .map(|row| match row % 5 {
            0 => f64::MAX,
            1 => f64::NAN,
            2 => f64::NEG_INFINITY,
            3 => 1e90,
            _ => -1e-300,
        })
        .collect();
    sound(&forecaster().forecast(&grid(500), &wild).unwrap());
}

#[test]
fn a_fitted_model_survives_serialisation_and_a_zero_horizon() {
    let past = noisy(4 * DAY, 1.0, 9, shape);
    let grid = grid(past.len());
    let Model::Seasonal(model) = of(ForecastModel::Mstl).fit(&grid, &past).unwrap().model else {
        panic!("MSTL was asked for");
    };
    let text = serde_json::to_string(&model).unwrap();
    let again: super::SeasonalModel = serde_json::from_str(&text).unwrap();
    assert_eq!(
        again.predict(10, 0.8).unwrap(),
        model.predict(10, 0.8).unwrap()
    );
    assert!(model.predict(0, 0.8).unwrap().yhat.is_empty());
    let Model::Prophet(following) = of(ForecastModel::Prophet).fit(&grid, &past).unwrap().model
    else {
        panic!("Prophet's model was asked for");
    };
    let model = following.into_model();
    let text = serde_json::to_string(&model).unwrap();
    let again: super::prophet::ProphetModel = serde_json::from_str(&text).unwrap();
    assert_eq!(again, model);
    assert!(model.predict(0, 0.8).unwrap().yhat.is_empty());
    let config = ForecastConfig {
        horizon: Span::secs(0),
        ..ForecastConfig::default()
    };
    let none = Forecaster::new(&config, TimeZone::UTC)
        .forecast(&grid, &past)
        .unwrap();
    assert!(none.grid.is_empty());
}

#[test]
fn new_rows_are_averaged_and_taken_in_where_the_model_can() {
    let minutes = Duration::from_secs(60);
    let rows = 14 * 1440;
    let all = noisy(rows + 25, 1.0, 10, |row| shape(row / 10));
    let past = Grid::new(Time::from_secs(0), minutes, rows);
    // What is kept of the past may begin later when the new rows come.
    let now = Grid::new(Time::from_secs(6000), minutes, rows + 25 - 100);
    let forecaster = of(ForecastModel::Prophet);
    let mut fitted = forecaster.fit(&past, &all[..rows]).unwrap();
    assert_eq!(fitted.news(&past), None);
    assert_eq!(fitted.news(&now), Some(rows - 100..rows - 80));
    let before = forecaster.forecast_of(&fitted, 1.0).unwrap();
    super::extend_all(&mut [&mut fitted], &now, &[&all[100..]]);
    let after = forecaster.forecast_of(&fitted, 1.0).unwrap();
    sound(&after);
    assert_eq!(after.grid.start(), before.grid.time(2));
    assert_eq!(fitted.until(), now.time(rows - 81));
    assert_eq!(fitted.news(&now), None);
    let truth: Vec<f64> = (0..DAY).map(|k| shape(rows / 10 + 2 + k)).collect();
    let (mae, _) = errors(&after, &truth);
    assert!(mae < 1.0, "mean absolute error {mae}");
    // A grid that does not go on where the model ended.
    let later = Grid::new(past.time(rows + 5000), minutes, 100);
    assert_eq!(fitted.news(&later), None);
    let fitted = of(ForecastModel::Mstl).fit(&past, &all[..rows]).unwrap();
    assert_eq!(fitted.news(&now), None);
}
