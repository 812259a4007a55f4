//! How far off forecasts are, and how much of what came their bands held: rolling origins over recordings.
//!
//! `cargo bench --bench forecast_accuracy -- [FOLDER …]` reads `NAME/series.csv.gz` and `NAME.csv.gz` of each folder, `sample_data`
//! when none is named, and prints a line for each series. `--json` prints a line of JSON for each origin instead, with what the
//! forecaster knew, what it said and what came, for `benches/peers/forecast_accuracy.py`. `--model NAME` takes another model than the
//! default; `--columns N` and `--origins N` bound the work.
//!
//! From each origin the last 14 days are fitted and the next 24 hours forecast, by the default configuration. Time, values and truth
//! are those of the forecast's own rows: where history is averaged, so is what came.

#[path = "forecast/recordings.rs"]
mod recordings;
#[path = "forecast/rolling.rs"]
mod rolling;

use std::path::PathBuf;

use pulsewatch::config::ForecastConfig;
use rolling::{Roll, Tally};

/// What is asked for on the command line.
struct Asked {
    json: bool,
    columns: usize,
    origins: usize,
    config: ForecastConfig,
    folders: Vec<PathBuf>,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let asked = read_arguments()?;
    let mut tallies = Vec::new();
    for series in recordings::read(&asked.folders, asked.columns)? {
        let roll = Roll::new(&series, &asked.config, asked.origins);
        let mut tally = Tally::new(&series);
        for origin in roll {
            let origin = origin?;
            if asked.json {
                println!("{}", origin.json(&series));
            }
            tally.add(&origin);
        }
        if !asked.json {
            println!("{tally}");
        }
        tallies.push(tally);
    }
    if !asked.json {
        println!("{}", rolling::summary(&tallies));
    }
    Ok(())
}

fn read_arguments() -> Result<Asked, Box<dyn std::error::Error>> {
    let mut asked = Asked {
        json: false,
        columns: 3,
        origins: 48,
        config: ForecastConfig::default(),
        folders: Vec::new(),
    };
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or_else(|| format!("{arg} needs a value"));
        match arg.as_str() {
            "--bench" => {}
            "--json" => asked.json = true,
            "--columns" => asked.columns = value()?.parse()?,
            "--origins" => asked.origins = value()?.parse()?,
            "--model" => asked.config.model = serde_json::from_value(value()?.into())?,
            folder => asked.folders.push(folder.into()),
        }
    }
    if asked.folders.is_empty() {
        asked.folders.push("sample_data".into());
    }
    Ok(asked)
}
