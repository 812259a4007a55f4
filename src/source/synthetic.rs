//! The project's own labelled data sets, as they lie in `sample_data/`.
//!
//! Made from a seed with nothing but additions, multiplications, divisions and square roots, which every machine rounds
//! alike: the same bytes come out everywhere, and a test holds the files to them.

mod multi;
mod univariate;

use std::fmt::Write as _;
use std::ops::Range;
use std::time::Duration;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::domain::Time;

pub use multi::{features, multi};
pub use univariate::univariate;

/// Where the shipped sets' randomness starts.
pub const SEED: u64 = 20_260_105;

/// Monday 2026-01-05, 00:00 UTC: the first row of every set.
const START: Time = Time::from_secs(1_767_571_200);

/// One labelled stretch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SampleIncident {
    /// The anomalous rows.
    pub rows: Range<usize>,
    /// What happens, for people.
    pub what: &'static str,
}

/// One column of a data set.
#[derive(Clone, Debug)]
pub struct SampleColumn {
    /// Its name.
    pub name: &'static str,
    /// Digits written behind the decimal point.
    pub decimals: usize,
    /// One value per row, NaN where missing.
    pub values: Vec<f64>,
}

/// A labelled data set.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Distance of the rows.
    pub step: Duration,
    /// All columns, of one length.
    pub columns: Vec<SampleColumn>,
    /// In time order, never touching.
    pub incidents: Vec<SampleIncident>,
}

impl Sample {
    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.columns.first().map_or(0, |c| c.values.len())
    }

    /// The time of row `row`.
    #[must_use]
    pub fn time(&self, row: usize) -> Time {
        START + self.step * u32::try_from(row).unwrap_or(u32::MAX)
    }

    /// The data as CSV: `timestamp` (unix seconds) and the columns.
    #[must_use]
    pub fn csv(&self) -> String {
        let mut text = String::from("timestamp");
        for column in &self.columns {
            text.push(',');
            text.push_str(column.name);
        }
        text.push('\n');
        for row in 0..self.rows() {
            // Writing to a string can't fail.
            let _ = write!(text, "{}", self.time(row).millis() / 1000);
            for column in &self.columns {
                text.push(',');
                if let Some(value) = column.values.get(row).filter(|v| v.is_finite()) {
                    let _ = write!(text, "{value:.*}", column.decimals);
                }
            }
            text.push('\n');
        }
        text
    }

    /// The labels as CSV: `timestamp,is_anomaly`, one line per row of the data.
    #[must_use]
    pub fn labels_csv(&self) -> String {
        let mut text = String::from("timestamp,is_anomaly\n");
        for row in 0..self.rows() {
            let anomalous = self.incidents.iter().any(|i| i.rows.contains(&row));
            let seconds = self.time(row).millis() / 1000;
            let _ = writeln!(text, "{seconds},{}", u8::from(anomalous));
        }
        text
    }

    /// The incidents as a Markdown table.
    #[must_use]
    pub fn incident_table(&self) -> String {
        let mut text = String::from("| from (UTC) | minutes | what |\n|---|---:|---|\n");
        for incident in &self.incidents {
            let minutes = self.step.as_secs() * incident.rows.len() as u64 / 60;
            let from = self.time(incident.rows.start);
            let _ = writeln!(text, "| {from} | {minutes} | {} |", incident.what);
        }
        text
    }
}

/// `sin(2π · turns)` by its Taylor series on a quarter turn: exact to 4e-6, and the same to the bit on every machine.
fn wave(turns: f64) -> f64 {
    let whole = turns - (turns + 0.5).floor();
    let quarter = if whole > 0.25 {
        0.5 - whole
    } else if whole < -0.25 {
        -0.5 - whole
    } else {
        whole
    };
    let x = quarter * std::f64::consts::TAU;
    let square = x * x;
    let series = [362_880.0, -5040.0, 120.0, -6.0, 1.0]
        .into_iter()
        .fold(0.0, |sum, divisor| sum * square + 1.0 / divisor);
    x * series
}

/// `value` at the nearest multiple of `unit`.
fn rounded(value: f64, unit: f64) -> f64 {
    (value / unit + 0.5).floor() * unit
}

/// A trouble that a set has: its kind, its rows, and what happens, for people.
type Planned<T> = (T, Range<usize>, &'static str);

/// What is wrong at `row`, and how far it has come: 0 at the first row, nearly 1 at the last.
fn trouble_at<T: Copy>(planned: &[Planned<T>], row: usize) -> (Option<T>, f64) {
    planned
        .iter()
        .find(|(_, rows, _)| rows.contains(&row))
        .map_or((None, 0.0), |(kind, rows, _)| {
            let part = (row - rows.start) as f64 / rows.len() as f64;
            (Some(*kind), part)
        })
}

/// The labels of what was planned.
fn incidents<T>(planned: &[Planned<T>]) -> Vec<SampleIncident> {
    planned
        .iter()
        .map(|(_, rows, what)| SampleIncident {
            rows: rows.clone(),
            what,
        })
        .collect()
}

/// Random numbers with mean 0 and deviation 1, bell-shaped enough: the sum of twelve uniform ones.
struct Noise(ChaCha8Rng);

impl Noise {
    fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    fn draw(&mut self) -> f64 {
        (0..12).map(|_| self.0.random::<f64>()).sum::<f64>() - 6.0
    }
}

/// Noise with a memory: each value keeps the part `keep` of the one before.
struct Wander {
    keep: f64,
    fresh: f64,
    value: f64,
}

impl Wander {
    /// Standard deviation `deviation` in the long run.
    fn new(keep: f64, deviation: f64) -> Self {
        Self {
            keep,
            fresh: deviation * (1.0 - keep * keep).sqrt(),
            value: 0.0,
        }
    }

    fn next(&mut self, noise: &mut Noise) -> f64 {
        self.value = self.keep * self.value + self.fresh * noise.draw();
        self.value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wave_is_a_sine() {
        for i in -500..500 {
            let turns = f64::from(i) / 97.0;
            let exact = (turns * std::f64::consts::TAU).sin();
            assert!((wave(turns) - exact).abs() < 5e-6, "{turns}");
        }
    }

    #[test]
    fn noise_has_the_deviation_it_says() {
        let mut noise = Noise::new(1);
        let mut wander = Wander::new(0.9, 3.0);
        let values: Vec<f64> = (0..50_000).map(|_| wander.next(&mut noise)).collect();
        let mean = values.iter().sum::<f64>() / 50_000.0;
        let variance = values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / 50_000.0;
        assert!(mean.abs() < 0.3 && (variance.sqrt() - 3.0).abs() < 0.2);
    }
}
