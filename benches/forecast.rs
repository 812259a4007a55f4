//! Prophet's model: fit and predict of one series of 10,080 points (two weeks at two minutes, daily and weekly seasons,
//! horizon 60), additive and multiplicative; taking one new row in and fitting again; and how the cost grows with rows.
//!
//! `cargo bench --bench forecast` prints a table, `-- --json` one line per figure, `-- --parity FILE` fits the series of a JSON
//! file and prints what came out as JSON lines, for `benches/peers/prophet_parity.py`.

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
    let json = args.iter().any(|arg| arg == "--json");
    let print = |workload: &str, rows: usize, seconds: f64| {
        if json {
            println!(
                r#"{{"workload":"{workload}","impl":"pulsewatch","rows":{rows},"seconds":{seconds:.9}}}"#
            );
        } else {
            println!("{workload:<24} {rows:>7} rows  {:>10.3} ms", seconds * 1e3);
        }
    };
    for mode in [ForecastMode::Additive, ForecastMode::Multiplicative] {
        let name = match mode {
            ForecastMode::Additive => "forecast-additive",
            ForecastMode::Multiplicative => "forecast-multiplicative",
        };
        print(name, ROWS, fit_and_predict(mode, ROWS)?);
    }
    print("forecast-refit", ROWS, refit(ROWS)?);
    for rows in [ROWS / 2, ROWS, ROWS * 2, ROWS * 5] {
        let seconds = fit_and_predict(ForecastMode::Additive, rows)?;
        print("forecast-additive-rows", rows, seconds);
        let seconds = fit_and_predict(ForecastMode::Multiplicative, rows)?;
        print("forecast-multiplicative-rows", rows, seconds);
        print("forecast-refit-rows", rows, refit(rows)?);
    }
    print("forecast-100-series", ROWS, many(100)?);
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

fn fit_and_predict(mode: ForecastMode, rows: usize) -> Result<f64, Box<dyn std::error::Error>> {
    let (prophet, grid, values) = (prophet(mode), grid(rows), series(rows, 1));
    median(|| {
        let model = prophet.fit(&grid, &values)?;
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
fn many(count: usize) -> Result<f64, Box<dyn std::error::Error>> {
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
    seconds.get(RUNS / 2).copied().ok_or_else(|| "no runs".into())
}
