//! Fits the series of a file and prints, for each, a line of JSON with parameters, objective, forecast and time.

use std::time::{Duration, Instant};

use pulsewatch::config::{ForecastMode, Holiday};
use pulsewatch::domain::{Grid, Time};
use pulsewatch::model::forecast::prophet::{Parameters, Prophet, Season};
use pulsewatch::model::forecast::{Fit as _, Predict as _};
use serde::Deserialize;
use serde_json::json;

#[derive(Deserialize)]
struct Case {
    name: String,
    start_ms: i64,
    step_ms: u64,
    horizon: usize,
    level: f64,
    values: Vec<Option<f64>>,
    /// Length in seconds and order.
    seasons: Vec<(u64, usize)>,
    mode: ForecastMode,
    changepoint_prior_scale: f64,
    holidays: Vec<Holiday>,
    /// Parameters that another program found.
    reference: Option<Parameters>,
}

pub fn run(file: &str) -> Result<(), Box<dyn std::error::Error>> {
    let cases: Vec<Case> = serde_json::from_slice(&std::fs::read(file)?)?;
    for case in cases {
        let grid = Grid::new(
            Time::from_millis(case.start_ms),
            Duration::from_millis(case.step_ms),
            case.values.len(),
        );
        let values: Vec<f64> = case.values.iter().map(|v| v.unwrap_or(f64::NAN)).collect();
        let seasons = case.seasons.iter().map(|(seconds, order)| Season {
            order: *order,
            ..Season::new(Duration::from_secs(*seconds))
        });
        let prophet = Prophet {
            seasons: seasons.collect(),
            mode: case.mode,
            changepoint_prior_scale: case.changepoint_prior_scale,
            holidays: case.holidays,
            ..Prophet::default()
        };
        let mut seconds = Vec::new();
        for _ in 0..5 {
            let start = Instant::now();
            let model = prophet.fit(&grid, &values)?;
            std::hint::black_box(model.predict(case.horizon, case.level)?);
            seconds.push(start.elapsed().as_secs_f64());
        }
        seconds.sort_by(f64::total_cmp);
        let model = prophet.fit(&grid, &values)?;
        let forecast = model.predict(case.horizon, case.level)?;
        let own = model.parameters();
        let reference = case.reference.as_ref();
        let line = json!({
            "name": case.name,
            "seconds": seconds.get(2),
            "objective": prophet.log_posterior(&grid, &values, &own),
            "reference_objective": reference.and_then(|r| prophet.log_posterior(&grid, &values, r)),
            "parameters": own,
            "yhat": forecast.yhat,
            "lower": forecast.lower,
            "upper": forecast.upper,
        });
        println!("{line}");
    }
    Ok(())
}
