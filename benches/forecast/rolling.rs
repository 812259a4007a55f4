//! Forecasts from one origin after the other, and what became of them.

use std::fmt;
use std::time::Duration;

use jiff::tz::TimeZone;
use pulsewatch::config::ForecastConfig;
use pulsewatch::domain::{Forecast, Grid};
use pulsewatch::model::forecast::{Fit as _, Forecaster, Model, Record};
use serde_json::{Value, json};

use super::recordings::{Series, mean, rows};

/// History that is fitted.
const PAST: Duration = Duration::from_secs(14 * 86_400);
/// Origins are this far apart, or further when there would be too many.
const APART: Duration = Duration::from_secs(6 * 3600);
/// A series with a correlation of its days above this counts as seasonal.
const SEASONAL: f64 = 0.4;

/// The origins of one series, in order of time.
pub struct Roll<'a> {
    series: &'a Series,
    forecaster: Forecaster,
    horizon: usize,
    past: usize,
    origins: std::vec::IntoIter<usize>,
    /// What earlier forecasts came to.
    record: Record,
}

/// One origin.
pub struct Origin {
    /// Rows known.
    at: usize,
    /// Known rows, averaged to the forecast's step.
    known: (Grid, Vec<f64>),
    forecast: Forecast,
    /// What came at each row of the forecast, NaN where nothing.
    truth: Vec<f64>,
    prophet: bool,
}

type Outcome = Result<Origin, Box<dyn std::error::Error>>;

impl<'a> Roll<'a> {
    pub fn new(series: &'a Series, config: &ForecastConfig, most: usize) -> Self {
        let rows = |span: Duration| rows(span, series.grid.step());
        let (past, horizon, apart) = (rows(PAST), rows(config.horizon.0), rows(APART).max(1));
        let all = series.values.len();
        let first = past.min(all / 2);
        let last = all.saturating_sub(horizon).max(first);
        let apart = apart.max((last - first).div_ceil(most.max(1)));
        let origins: Vec<usize> = (first..last).step_by(apart).collect();
        Self {
            series,
            forecaster: Forecaster::new(config, TimeZone::UTC),
            horizon,
            past,
            origins: origins.into_iter(),
            record: Record::default(),
        }
    }

    fn forecast(&mut self, at: usize) -> Outcome {
        let from = at.saturating_sub(self.past);
        let part = |from, to| self.series.values.get(from..to).unwrap_or_default();
        let grid = self.series.grid.slice(from, at);
        let fitted = self.forecaster.fit(&grid, part(from, at))?;
        self.record.settle(&grid, |row| {
            self.series
                .values
                .get(from + row)
                .copied()
                .unwrap_or(f64::NAN)
        });
        let forecast = self
            .forecaster
            .forecast_of(&fitted, self.record.widening())?;
        self.record.keep(&forecast, grid.step());
        let factor = forecast.grid.step().as_millis() / grid.step().as_millis();
        let factor = usize::try_from(factor)?;
        let known: Vec<f64> = part(from + (at - from) % factor, at)
            .chunks(factor)
            .map(mean)
            .collect();
        let begin = forecast.grid.start() - forecast.grid.step() * u32::try_from(known.len())?;
        let truth = part(at, at + self.horizon)
            .chunks_exact(factor)
            .map(mean)
            .collect();
        Ok(Origin {
            at,
            known: (Grid::new(begin, forecast.grid.step(), known.len()), known),
            forecast,
            truth,
            prophet: matches!(fitted.model(), Model::Prophet(_) | Model::Both(..)),
        })
    }
}

impl Iterator for Roll<'_> {
    type Item = Outcome;

    fn next(&mut self) -> Option<Outcome> {
        let at = self.origins.next()?;
        Some(self.forecast(at))
    }
}

impl Origin {
    /// Pairs of forecast row and what came there, where something came.
    fn arrived(&self) -> impl Iterator<Item = (usize, f64)> {
        let rows = self.truth.iter().copied().enumerate();
        rows.filter(|(row, truth)| truth.is_finite() && *row < self.forecast.yhat.len())
    }

    fn errors(&self) -> impl Iterator<Item = (f64, bool)> {
        self.arrived().filter_map(|(row, truth)| {
            let f = &self.forecast;
            let (y, low, high) = (f.yhat.get(row)?, f.lower.get(row)?, f.upper.get(row)?);
            Some(((truth - y).abs(), *low <= truth && truth <= *high))
        })
    }

    pub fn json(&self, series: &Series) -> Value {
        let known: Vec<Option<f64>> = self
            .known
            .1
            .iter()
            .map(|v| v.is_finite().then_some(*v))
            .collect();
        let truth: Vec<Option<f64>> = self
            .truth
            .iter()
            .map(|v| v.is_finite().then_some(*v))
            .collect();
        json!({
            "series": series.name,
            "daily": series.daily(),
            "origin": self.at,
            "start": self.known.0.start().as_secs_f64(),
            "step": self.known.0.step().as_secs_f64(),
            "known": known,
            "truth": truth,
            "level": self.forecast.level,
            "yhat": self.forecast.yhat,
            "lower": self.forecast.lower,
            "upper": self.forecast.upper,
        })
    }
}

/// What became of one series' forecasts.
pub struct Tally {
    name: String,
    daily: f64,
    origins: usize,
    prophet: usize,
    error: f64,
    held: usize,
    width: f64,
    count: usize,
}

impl Tally {
    pub fn new(series: &Series) -> Self {
        Self {
            name: series.name.clone(),
            daily: series.daily(),
            origins: 0,
            prophet: 0,
            error: 0.0,
            held: 0,
            width: 0.0,
            count: 0,
        }
    }

    pub fn add(&mut self, origin: &Origin) {
        self.origins += 1;
        self.prophet += usize::from(origin.prophet);
        for (error, held) in origin.errors() {
            self.error += error;
            self.held += usize::from(held);
            self.count += 1;
        }
        for (row, _) in origin.arrived() {
            let f = &origin.forecast;
            self.width += f
                .upper
                .get(row)
                .zip(f.lower.get(row))
                .map_or(0.0, |(u, l)| u - l);
        }
    }

    fn coverage(&self) -> f64 {
        self.held as f64 / self.count as f64
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "{:<52} day {:>5.2}  origins {:>3} (prophet {:>3})  MAE {:>12.5}  width {:>12.5}  coverage {:.3}",
            self.name,
            self.daily,
            self.origins,
            self.prophet,
            self.error / self.count as f64,
            self.width / self.count as f64,
            self.coverage()
        )
    }
}

/// Mean coverage of all and of the seasonal series.
pub fn summary(tallies: &[Tally]) -> String {
    let of = |name: &str, kept: Vec<&Tally>| {
        let coverages: Vec<f64> = kept.iter().map(|tally| tally.coverage()).collect();
        let off: Vec<f64> = coverages.iter().map(|c| (c - 0.9).abs()).collect();
        format!(
            "{name}: {} series, mean coverage {:.3}, mean distance from 0.9 {:.3}",
            kept.len(),
            mean(&coverages),
            mean(&off)
        )
    };
    let seasonal = tallies.iter().filter(|tally| tally.daily > SEASONAL);
    format!(
        "{}\n{}",
        of("all", tallies.iter().collect()),
        of("seasonal", seasonal.collect())
    )
}
