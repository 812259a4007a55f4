//! Prophet's model: fit and predict of one series of 10,080 points (two weeks at two minutes, daily and weekly seasons,
//! horizon 60), additive and multiplicative; taking one new row in and fitting again; and how the cost grows with rows.
//!
//! `cargo bench --bench forecast` prints a table, `-- --json` one line per figure, `-- --parity FILE` fits the series of a JSON
//! file and prints what came out as JSON lines, for `benches/peers/prophet_parity.py`. With the folder `PEERS_DATA` the series is
//! the one that the peers get. `…-rows` shows the growth with rows.

#[path = "forecast/parity.rs"]
mod parity;

use std::f64::consts::TAU;
use std::time::{Duration, Instant};

use pulsewatch::config::ForecastMode;
use pulsewatch::domain::{Grid, Time};
use pulsewatch::model::forecast::prophet::Prophet;
use pulsewatch::model::forecast::{Fit as _, Predict as _};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::json;

const ROWS: usize = 10_080;
const STEP: Duration = Duration::from_secs(120);
const HORIZON: usize = 60;
const RUNS: usize = 15;

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn main() -> Outcome {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let Some(at) = args.iter().position(|arg| arg == "--parity") {
        let file = args.get(at + 1).ok_or("--parity needs a file")?;
        return parity::run(file);
    }
    let as_json = args.iter().any(|arg| arg == "--json");
    let print = |workload: &str, rows: Option<usize>, seconds: f64| {
        let mut line = json!({"workload": workload, "impl": "pulsewatch", "seconds": seconds});
        if let Some(rows) = rows {
            line.as_object_mut()
                .map(|line| line.insert("rows".into(), rows.into()));
        }
        if as_json {
            println!("{line}");
        } else {
            let rows = rows.map_or(String::new(), |rows| format!("{rows} rows"));
            println!("{workload:<30} {rows:>12} {:>10.3} ms", seconds * 1e3);
        }
    };
    let (additive, multiplicative) = (ForecastMode::Additive, ForecastMode::Multiplicative);
    let reference = peers_series()?.unwrap_or_else(|| series(ROWS, 1));
    let once = |mode| fit_and_predict(mode, &reference);
    print("forecast-additive", None, once(additive)?);
    print("forecast-multiplicative", None, once(multiplicative)?);
    print("forecast-refit", None, refit(ROWS)?);
    print("forecast-together", None, together(100)?);
    for rows in [ROWS / 2, ROWS, ROWS * 2, ROWS * 5] {
        let longer = series(rows, 1);
        let once = |mode| fit_and_predict(mode, &longer);
        print("forecast-additive-rows", Some(rows), once(additive)?);
        print(
            "forecast-multiplicative-rows",
            Some(rows),
            once(multiplicative)?,
        );
        print("forecast-refit-rows", Some(rows), refit(rows)?);
    }
    Ok(())
}

fn prophet(mode: ForecastMode) -> Prophet {
    Prophet {
        mode,
        ..Prophet::default()
    }
}

fn grid(rows: usize) -> Grid {
    Grid::new(Time::from_secs(1_704_067_200), STEP, rows)
}

/// A day, a week, a slow rise with a bend, noise.
fn series(rows: usize, seed: u64) -> Vec<f64> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let day = 86_400.0 / STEP.as_secs_f64();
    (0..rows)
        .map(|row| {
            let days = row as f64 / day;
            let trend = 50.0 + 0.4 * days + 1.5 * (days - 6.0).max(0.0);
            let shape = 0.2 * (days * TAU).sin()
                + 0.05 * (2.0 * days * TAU).cos()
                + 0.1 * (days / 7.0 * TAU).sin();
            let noise: f64 = (0..12).map(|_| rng.random::<f64>() - 0.5).sum();
            trend * (1.0 + shape) + 1.5 * noise
        })
        .collect()
}

/// The series that the peers get, where they run.
fn peers_series() -> Result<Option<Vec<f64>>, Box<dyn std::error::Error>> {
    let Some(folder) = std::env::var_os("PEERS_DATA") else {
        return Ok(None);
    };
    let bytes = std::fs::read(std::path::Path::new(&folder).join("series.f64"))?;
    let (numbers, _) = bytes.as_chunks::<8>();
    Ok(Some(
        numbers.iter().copied().map(f64::from_le_bytes).collect(),
    ))
}

fn fit_and_predict(mode: ForecastMode, values: &[f64]) -> Result<f64, Box<dyn std::error::Error>> {
    let (prophet, grid) = (prophet(mode), grid(values.len()));
    median(|| {
        let model = prophet.fit(&grid, values)?;
        std::hint::black_box(model.predict(HORIZON, 0.9)?);
        Ok(())
    })
}

/// One row more, fitted and forecast.
fn refit(rows: usize) -> Result<f64, Box<dyn std::error::Error>> {
    let values = series(rows + RUNS + 1, 1);
    let (past, new) = values.split_at(rows);
    let mut following = prophet(ForecastMode::Additive).follow(&grid(rows), past)?;
    let mut new = new.iter();
    median(|| {
        let row = new.next().ok_or("no row left")?;
        following.extend(&[*row]);
        std::hint::black_box(following.model().predict(HORIZON, 0.9)?);
        Ok(())
    })
}

/// Seconds for each of `count` series with the same gaps, fitted together.
fn together(count: usize) -> Result<f64, Box<dyn std::error::Error>> {
    let all: Vec<Vec<f64>> = (0..count as u64).map(|seed| series(ROWS, seed)).collect();
    let all: Vec<&[f64]> = all.iter().map(Vec::as_slice).collect();
    let start = Instant::now();
    for fitted in prophet(ForecastMode::Additive).follow_all(&grid(ROWS), &all) {
        std::hint::black_box(fitted?.model().predict(HORIZON, 0.9)?);
    }
    Ok(start.elapsed().as_secs_f64() / count as f64)
}

fn median(mut work: impl FnMut() -> Outcome) -> Result<f64, Box<dyn std::error::Error>> {
    work()?;
    let mut seconds = Vec::with_capacity(RUNS);
    for _ in 0..RUNS {
        let start = Instant::now();
        work()?;
        seconds.push(start.elapsed().as_secs_f64());
    }
    seconds.sort_by(f64::total_cmp);
    seconds
        .get(RUNS / 2)
        .copied()
        .ok_or_else(|| "no runs".into())
}
