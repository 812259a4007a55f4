//! Forecasts in the background: every so often each series' recent past is fitted anew on a thread of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::oneshot;

use super::pipeline::Pipeline;
use crate::config::ForecastConfig;
use crate::domain::{Entity, Forecast, Grid, PipelineId, Schema, Time};
use crate::model::forecast::Forecaster;

/// Series forecast in one round: what is over is left without a forecast and said so once.
pub const MOST_SERIES: usize = 512;

/// One series to forecast.
struct Series {
    entity: Entity,
    column: usize,
    grid: Grid,
    values: Vec<f64>,
}

/// What one round brought.
#[derive(Debug)]
pub struct Round {
    /// Of which pipeline.
    pub pipeline: PipelineId,
    /// The columns that the numbers below count.
    pub schema: Option<Schema>,
    /// Entity, column, forecast.
    pub forecasts: Vec<(Entity, usize, Arc<Forecast>)>,
    /// Series that could not be forecast, and the first reason.
    pub failed: Option<(usize, String)>,
}

/// Runs one round at a time.
#[derive(Default)]
pub struct Forecasting {
    running: Option<oneshot::Receiver<Round>>,
    stop: Arc<AtomicBool>,
}

impl Forecasting {
    /// Whether a round is under way.
    pub fn is_busy(&self) -> bool {
        self.running.is_some()
    }

    /// Starts a round over a pipeline's rows; returns how many series were left out.
    pub fn start(&mut self, id: PipelineId, pipeline: &Pipeline, config: &ForecastConfig) -> usize {
        let mut todo = Vec::new();
        let mut left_out = 0;
        for watched in pipeline.entities() {
            let values = watched.tail.values();
            for (column, series) in values.columns().into_iter().enumerate() {
                if todo.len() == MOST_SERIES {
                    left_out += 1;
                    continue;
                }
                let (entity, grid) = (watched.entity.clone(), *watched.tail.grid());
                todo.push(Series {
                    entity,
                    column,
                    grid,
                    values: series.to_vec(),
                });
            }
        }
        let (done, running) = oneshot::channel();
        let (config, stop) = (config.clone(), Arc::clone(&self.stop));
        let schema = pipeline.schema().cloned();
        let run = move || {
            let round = Round {
                schema,
                ..round(id, &todo, &config, &stop)
            };
            // The receiver is gone only when the engine has ended.
            let _ = done.send(round);
        };
        match std::thread::Builder::new()
            .name("forecasting".into())
            .spawn(run)
        {
            Ok(_) => self.running = Some(running),
            Err(error) => tracing::error!(%error, "no thread for forecasting"),
        }
        left_out
    }

    /// Waits for the round to end; for ever when none runs.
    pub async fn next(&mut self) -> Option<Round> {
        let Some(running) = &mut self.running else {
            return std::future::pending().await;
        };
        let round = running.await.ok();
        self.running = None;
        round
    }

    /// Ends the running round early.
    pub fn cancel(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn round(
    pipeline: PipelineId,
    todo: &[Series],
    config: &ForecastConfig,
    stop: &AtomicBool,
) -> Round {
    let forecaster = Forecaster::from_config(config);
    let mut round = Round {
        pipeline,
        schema: None,
        forecasts: Vec::new(),
        failed: None,
    };
    for series in todo {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        match forecaster.forecast(&series.grid, &series.values) {
            Ok(forecast) => {
                round
                    .forecasts
                    .push((series.entity.clone(), series.column, Arc::new(forecast)));
            }
            Err(error) => {
                let (count, _) = round.failed.get_or_insert_with(|| (0, error.to_string()));
                *count += 1;
            }
        }
    }
    round
}

/// When the next round is due.
pub fn next_round(config: &ForecastConfig, last: Option<Time>, now: Time) -> Time {
    last.map_or(now, |last| last + config.retrain_every.0)
}
