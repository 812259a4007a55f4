//! Forecasts in the background: every so often each series' recent past is fitted anew on a thread of its own. In between, rows
//! that have come since are taken into what was fitted, where its model can do that.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::tz::TimeZone;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::collector::panic_text;
use super::pipeline::Pipeline;
use super::trainer::give_way;
use crate::config::{ForecastConfig, ForecastModel};
use crate::domain::{Entity, Forecast, Grid, PipelineId, Schema, Time};
use crate::model::forecast::{Fitted, Forecaster, extend_all};

/// Series fitted together, which share what their grid has in common; a round can be ended between two such groups.
const TOGETHER: usize = 64;
/// Series whose fit is kept to take new rows in: bounds the memory to about 20 MB.
const MOST_KEPT: usize = 512;
/// New rows are not taken in more often than this.
const PAUSE: Duration = Duration::from_secs(60);

/// A round that has not ended after this long is given up.
const LONGEST: Duration = Duration::from_mins(30);
/// How long the end of the engine waits for a round that was told to end.
const STOP: Duration = Duration::from_secs(10);

/// Series forecast in one round, at most: what is over is left without a forecast and said so once. Prophet's model takes
/// a few milliseconds for a series, the others up to a hundred.
pub const fn most_series(model: ForecastModel) -> usize {
    match model {
        ForecastModel::Prophet => 8192,
        ForecastModel::Auto | ForecastModel::Mstl => 512,
    }
}

/// One column of one entity.
type Place = (Entity, usize);

/// One series to forecast.
struct Series {
    place: Place,
    values: Vec<f64>,
    /// It has a limit, whose time is looked for beyond the horizon.
    limited: bool,
    /// What the measured band is to be multiplied with.
    widening: f64,
    /// What was fitted before, to take the newest rows in.
    fitted: Option<Fitted>,
}

/// Series by their grid.
type Todo = Vec<(Grid, Vec<Series>)>;

/// What one round brought.
#[derive(Debug)]
pub struct Round {
    /// Of which pipeline.
    pub pipeline: PipelineId,
    /// The columns that the numbers below count.
    pub schema: Option<Schema>,
    /// Entity, column, forecast.
    pub forecasts: Vec<(Entity, usize, Arc<Forecast>)>,
    /// What comes after these forecasts, of series that have a limit; 4 kB each.
    pub beyond: BTreeMap<(Entity, usize), Arc<Forecast>>,
    /// Series that could not be forecast, and the first reason.
    pub failed: Option<(usize, String)>,
    /// The fits themselves; at most [`MOST_KEPT`].
    fitted: BTreeMap<Place, Fitted>,
}

/// What is kept of a pipeline's last round.
struct Kept {
    pipeline: PipelineId,
    schema: Option<Schema>,
    fitted: BTreeMap<Place, Fitted>,
    /// When rows were last taken in, in the pipeline's own time.
    at: Option<Time>,
}

/// The round under way.
struct Running {
    /// The round, or the message of its panic.
    done: oneshot::Receiver<Result<Round, String>>,
    began: Instant,
}

/// Runs one round at a time.
#[derive(Default)]
pub struct Forecasting {
    running: Option<Running>,
    kept: Vec<Kept>,
    stop: Arc<AtomicBool>,
}

impl Forecasting {
    /// Whether a round is under way.
    pub fn is_busy(&self) -> bool {
        self.running.is_some()
    }

    /// Starts a round over a pipeline's rows; returns how many series were left out.
    pub fn start(
        &mut self,
        id: PipelineId,
        pipeline: &Pipeline,
        config: &ForecastConfig,
        zone: TimeZone,
    ) -> usize {
        let mut todo = Todo::new();
        let (mut count, mut left_out) = (0, 0);
        for watched in pipeline.entities() {
            for (column, series) in watched.tail.values().columns().into_iter().enumerate() {
                if count == most_series(config.model) {
                    left_out += 1;
                    continue;
                }
                count += 1;
                let series = Series {
                    place: (watched.entity.clone(), column),
                    values: series.to_vec(),
                    limited: is_limited(pipeline, column),
                    widening: watched.widening(column),
                    fitted: None,
                };
                file(&mut todo, *watched.tail.grid(), series);
            }
        }
        self.kept.retain(|kept| kept.pipeline != id);
        self.run(
            id,
            pipeline.schema().cloned(),
            todo,
            Forecaster::new(config, zone),
        );
        left_out
    }

    /// Starts a short round when rows have come that what was fitted of this pipeline can take in; says whether it did.
    pub fn refresh(
        &mut self,
        id: PipelineId,
        pipeline: &Pipeline,
        config: &ForecastConfig,
        zone: impl FnOnce() -> TimeZone,
    ) -> bool {
        let Some(at) = self.kept.iter().position(|kept| kept.pipeline == id) else {
            return false;
        };
        let newest = pipeline
            .entities()
            .filter_map(|e| e.tail.grid().last())
            .max();
        let schema = pipeline.schema().cloned();
        let Some(kept) = self.kept.get_mut(at).filter(|kept| {
            let rested = newest
                .zip(kept.at)
                .is_some_and(|(now, then)| now.since(then) >= PAUSE);
            rested && kept.schema == schema
        }) else {
            return false;
        };
        let mut todo = Todo::new();
        for watched in pipeline.entities() {
            let grid = watched.tail.grid();
            for (column, values) in watched.tail.values().columns().into_iter().enumerate() {
                let place = (watched.entity.clone(), column);
                let fitted = kept.fitted.get(&place);
                if let Some(fitted) = fitted.filter(|fitted| fitted.news(grid).is_some()) {
                    let series = Series {
                        fitted: Some(fitted.clone()),
                        values: values.to_vec(),
                        limited: is_limited(pipeline, column),
                        widening: watched.widening(column),
                        place,
                    };
                    file(&mut todo, *grid, series);
                }
            }
        }
        if todo.is_empty() {
            return false;
        }
        kept.at = newest;
        self.run(id, schema, todo, Forecaster::new(config, zone()));
        true
    }

    fn run(&mut self, id: PipelineId, schema: Option<Schema>, todo: Todo, forecaster: Forecaster) {
        let (done, ended) = oneshot::channel();
        // Each round has a flag of its own: one that was given up is told to end, its successor is not.
        self.stop = Arc::default();
        let stop = Arc::clone(&self.stop);
        let work = move || {
            give_way();
            let fit = || {
                let mut round = Round {
                    pipeline: id,
                    schema,
                    forecasts: Vec::new(),
                    beyond: BTreeMap::new(),
                    failed: None,
                    fitted: BTreeMap::new(),
                };
                for (grid, series) in todo {
                    round.take(&forecaster, &grid, series, &stop);
                }
                round
            };
            let round = catch_unwind(AssertUnwindSafe(fit));
            // The receiver is gone only when the engine has ended.
            let _ = done.send(round.map_err(|panic| panic_text(&*panic).to_owned()));
        };
        let spawned = std::thread::Builder::new()
            .name("forecasting".into())
            .spawn(work);
        if let Err(error) = spawned {
            tracing::error!(%error, "no thread for forecasting");
        }
        self.running = Some(Running {
            done: ended,
            began: Instant::now(),
        });
    }

    /// Waits for the round to end; for ever when none runs.
    ///
    /// # Errors
    /// A sentence when it panicked, or was given up because it did not end.
    pub async fn next(&mut self) -> Result<Round, String> {
        let Some(running) = &mut self.running else {
            return std::future::pending().await;
        };
        let outcome = tokio::time::timeout_at(running.began + LONGEST, &mut running.done).await;
        self.running = None;
        let mut round = match outcome {
            Ok(Ok(Ok(round))) => round,
            Ok(Ok(Err(panic))) => return Err(format!("forecasting ended with a panic: {panic}")),
            Ok(Err(_)) => return Err("the forecasting thread could not be started".into()),
            Err(_) => {
                self.stop.store(true, Ordering::Relaxed);
                let minutes = LONGEST.as_secs() / 60;
                return Err(format!(
                    "forecasting took over {minutes} min and was given up"
                ));
            }
        };
        let fitted = std::mem::take(&mut round.fitted);
        let id = round.pipeline;
        if let Some(kept) = self.kept.iter_mut().find(|kept| kept.pipeline == id) {
            kept.fitted.extend(fitted);
        } else {
            self.kept.push(Kept {
                pipeline: id,
                schema: round.schema.clone(),
                at: fitted.values().map(Fitted::until).max(),
                fitted,
            });
        }
        Ok(round)
    }

    /// Ends the running round early and waits until it has ended.
    pub async fn stop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let Some(running) = self.running.take() else {
            return;
        };
        if tokio::time::timeout(STOP, running.done).await.is_err() {
            tracing::warn!(
                seconds = STOP.as_secs(),
                "the forecasts under way have not ended; they are left behind"
            );
        }
    }
}

fn is_limited(pipeline: &Pipeline, column: usize) -> bool {
    let feature = pipeline.schema().and_then(|schema| schema.get(column));
    feature.is_some_and(|feature| feature.limit.is_some())
}

/// Puts a series to the others on its grid.
fn file(todo: &mut Todo, grid: Grid, series: Series) {
    match todo.iter_mut().rev().find(|(other, _)| *other == grid) {
        Some((_, group)) => group.push(series),
        None => todo.push((grid, vec![series])),
    }
}

impl Round {
    /// Fits, or takes new rows in, and forecasts all series of one grid.
    fn take(
        &mut self,
        forecaster: &Forecaster,
        grid: &Grid,
        mut series: Vec<Series>,
        stop: &AtomicBool,
    ) {
        for group in series.chunks_mut(TOGETHER) {
            if stop.load(Ordering::Relaxed) {
                return;
            }
            let (mut old, mut values, mut new) = (Vec::new(), Vec::new(), Vec::new());
            for one in &mut *group {
                match &mut one.fitted {
                    Some(fitted) => {
                        old.push(fitted);
                        values.push(one.values.as_slice());
                    }
                    None => new.push(one.values.as_slice()),
                }
            }
            extend_all(&mut old, grid, &values);
            let mut fits = forecaster.fit_all(grid, &new).into_iter();
            for one in group {
                let fitted = one.fitted.take().map(Ok).or_else(|| fits.next());
                let forecast = fitted.into_iter().try_for_each(|fitted| {
                    let fitted = fitted?;
                    let forecast = Arc::new(forecaster.forecast_of(&fitted, one.widening)?);
                    let (entity, column) = one.place.clone();
                    if one.limited
                        && let Some(beyond) = forecaster.beyond(&fitted, one.widening)?
                    {
                        self.beyond.insert(one.place.clone(), Arc::new(beyond));
                    }
                    self.forecasts.push((entity, column, forecast));
                    if fitted.grows() && self.fitted.len() < MOST_KEPT {
                        self.fitted.insert(one.place.clone(), fitted);
                    }
                    Ok::<(), crate::model::forecast::ForecastError>(())
                });
                if let Err(error) = forecast {
                    let (count, _) = self.failed.get_or_insert_with(|| (0, error.to_string()));
                    *count += 1;
                }
            }
        }
    }
}

/// When the next round is due.
pub fn next_round(config: &ForecastConfig, last: Option<Time>, now: Time) -> Time {
    last.map_or(now, |last| last + config.retrain_every.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: Duration = Duration::from_secs(600);

    fn series(rows: usize, name: &str) -> Series {
        let value = |row: usize| 20.0 + 5.0 * (row as f64 / 144.0 * std::f64::consts::TAU).sin();
        let ripple = |row: usize| (row * 7919 % 101) as f64 / 100.0;
        Series {
            place: (Entity::named(name), 0),
            values: (0..rows).map(|row| value(row) + ripple(row)).collect(),
            limited: name == "b",
            widening: 1.0,
            fitted: None,
        }
    }

    fn round() -> Round {
        Round {
            pipeline: PipelineId::Live,
            schema: None,
            forecasts: Vec::new(),
            beyond: BTreeMap::new(),
            failed: None,
            fitted: BTreeMap::new(),
        }
    }

    #[test]
    fn what_was_fitted_takes_new_rows_in_beside_series_that_are_new() {
        let config = ForecastConfig {
            model: ForecastModel::Prophet,
            ..ForecastConfig::default()
        };
        let forecaster = Forecaster::new(&config, TimeZone::UTC);
        let grid = |rows| Grid::new(Time::from_secs(0), STEP, rows);
        let stop = AtomicBool::new(false);
        let mut first = round();
        let mut empty = series(500, "c");
        empty.values.fill(f64::NAN);
        let all = vec![series(500, "a"), series(500, "b"), empty];
        first.take(&forecaster, &grid(500), all, &stop);
        assert_eq!((first.forecasts.len(), first.fitted.len()), (2, 2));
        assert_eq!(first.failed.as_ref().map(|(count, _)| *count), Some(1));

        let kept = first.fitted.remove(&(Entity::named("b"), 0));
        let known = Series {
            fitted: kept,
            ..series(510, "b")
        };
        let mut second = round();
        second.take(
            &forecaster,
            &grid(510),
            vec![series(510, "d"), known],
            &stop,
        );
        let starts: Vec<_> = second
            .forecasts
            .iter()
            .map(|(entity, _, forecast)| (entity.clone(), forecast.grid.start()))
            .collect();
        let next = grid(510).time(510);
        assert_eq!(
            starts,
            [(Entity::named("d"), next), (Entity::named("b"), next)]
        );
        // A day was forecast; the rest of the week, but not more than was seen, is looked at for the one that has a limit.
        let beyond: Vec<_> = second.beyond.iter().collect();
        let [((entity, 0), far)] = beyond[..] else {
            panic!("{beyond:?}");
        };
        assert_eq!(*entity, Entity::named("b"));
        assert!(far.grid.len() <= 168 && far.grid.start() > grid(510).time(510 + 143));
        assert_eq!(far.grid.last(), Some(grid(510).time(510 + 509)));
        let expected = |at: usize| second.forecasts[at].2.yhat[100];
        assert!((expected(0) - expected(1)).abs() < 0.3);

        stop.store(true, Ordering::Relaxed);
        let mut ended = round();
        ended.take(&forecaster, &grid(500), vec![series(500, "a")], &stop);
        assert!(ended.forecasts.is_empty());
    }

    #[tokio::test]
    async fn a_round_that_does_not_end_is_given_up() {
        let (_done, ended) = oneshot::channel();
        let mut forecasting = Forecasting::default();
        let stop = Arc::clone(&forecasting.stop);
        forecasting.running = Some(Running {
            done: ended,
            began: Instant::now() + Duration::from_millis(100) - LONGEST,
        });
        let error = forecasting.next().await.unwrap_err();
        assert_eq!(error, "forecasting took over 30 min and was given up");
        assert!(stop.load(Ordering::Relaxed), "its thread is told to end");
        assert!(!forecasting.is_busy());
    }

    #[tokio::test]
    async fn a_round_that_panics_is_told() {
        let (done, ended) = oneshot::channel();
        done.send(Err("out of range".into())).unwrap();
        let mut forecasting = Forecasting {
            running: Some(Running {
                done: ended,
                began: Instant::now(),
            }),
            ..Forecasting::default()
        };
        let error = forecasting.next().await.unwrap_err();
        assert_eq!(error, "forecasting ended with a panic: out of range");
        assert!(!forecasting.is_busy());
    }
}
