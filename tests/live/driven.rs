//! An engine whose clock is driven through backfilled history.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use pulsewatch::config::{Config, SourceKind, Span};
use pulsewatch::domain::{
    Command, Control, Entity, EntityView, HealthBoard, HistoryAnswer, HistoryQuery, PipelineId,
    Snapshot, SourceState, Time,
};
use pulsewatch::engine::Running;
use pulsewatch::engine::clock::ManualClock;
use pulsewatch::engine::open::open;
use pulsewatch::engine::run::{Setup, start};
use pulsewatch::source::replay::ReplaySource;

use crate::common::query;
use crate::common::servers::{History, Prometheus};

/// Distance of grid times and of ticks.
pub const STEP: i64 = 120;

/// When the stories begin that are told to the driven clock. Fixed, since what is learned, and so every verdict, follows
/// from the times: with the wall's clock the same test would judge other data in every hour.
pub const BEGIN: i64 = 1_795_165_200;

/// Longest that anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// Level of metric `metric` of instance `instance` at `time`: two waves and some noise that is the same in every run.
pub fn level(instance: usize, metric: usize, time: i64) -> f64 {
    let turn = |secs: f64| (time as f64 / secs * std::f64::consts::TAU).sin();
    let seed = (time / 60).unsigned_abs() * 7919 + (instance * 131 + metric * 17) as u64;
    let noise = (seed.wrapping_mul(2_654_435_761) % 1000) as f64 / 1000.0 - 0.5;
    let scale = 1.0 + instance as f64;
    scale
        * (100.0 + 30.0 * turn(21_600.0) + 8.0 * turn(5400.0 + 900.0 * metric as f64) + 4.0 * noise)
}

/// One minute after the other of a series; what `value` has nothing for is missing.
pub fn series(
    name: &str,
    instance: &str,
    (from, to): (i64, i64),
    value: impl Fn(i64) -> Option<f64>,
) -> History {
    let samples = (from..=to)
        .step_by(60)
        .filter_map(|t| Some((t, value(t)?)))
        .collect();
    History::new(name, &[("instance", instance), ("job", "app")], samples)
}

/// A configuration for `server`: metrics by name, entities by instance, a network that is learned in seconds.
pub fn config(server: &Prometheus, metrics: &[&str], history: u64) -> Config {
    let mut config = Config::default();
    config.source.kind = SourceKind::Prometheus;
    config.source.url = server.url();
    config.source.step = Span::secs(STEP.unsigned_abs());
    config.detect.interval = config.source.step;
    for metric in metrics {
        config.queries.insert((*metric).into(), query(metric));
    }
    config.entities.group_by = vec!["instance".into()];
    config.history.period = Span::secs(history);
    config.autoencoder.epochs = 8;
    config.autoencoder.max_windows = 800;
    config.forecast.enabled = false;
    config
}

/// The engine and its clock.
pub struct Driven {
    pub running: Running,
    clock: ManualClock,
    pub now: Time,
}

impl Driven {
    /// Starts an engine on `dir` at `now`.
    pub fn start(config: Config, dir: &Path, now: i64) -> Self {
        let now = Time::from_secs(now);
        let opened = open(&Arc::new(config), dir, now).unwrap();
        let setup = Setup {
            config: opened.config,
            data_dir: dir.into(),
            source: opened.source,
            test: Box::new(|wall| ReplaySource::sample(wall, 0.0, 1)),
            start_test: false,
            banner: None,
            notices: Vec::new(),
            health: HealthBoard::default(),
        };
        let clock = ManualClock::at(now);
        Self {
            running: start(setup, Arc::new(clock.clone())).unwrap(),
            clock,
            now,
        }
    }

    /// Waits for a snapshot while the clock stands still.
    pub async fn until(&self, what: &str, wanted: impl Fn(&Snapshot) -> bool) -> Arc<Snapshot> {
        let mut snapshots = self.running.snapshots.clone();
        let found = tokio::time::timeout(PATIENCE, snapshots.wait_for(|s| wanted(s))).await;
        if let Ok(found) = found {
            return Arc::clone(&found.unwrap());
        }
        let last = Arc::clone(&self.running.snapshots.borrow());
        let (live, notices) = (&last.live, &last.notices);
        panic!(
            "never {what}; source {:?}, training {:?} then {:?}, readiness {:?}, notices {notices:#?}",
            live.source, live.training, live.last_training, live.readiness
        )
    }

    /// Waits for the first model.
    pub async fn trained(&self) -> Arc<Snapshot> {
        self.until("trained", |s| {
            s.live.model.is_some() && s.live.training.is_none()
        })
        .await
    }

    /// The newest grid time that is due.
    pub fn due(&self) -> Time {
        Time::from_secs((self.now.millis() / 1000 - 15).div_euclid(STEP) * STEP)
    }

    /// Moves the clock on by one step.
    pub fn advance(&mut self) {
        self.now = self.now + Duration::from_secs(STEP.unsigned_abs());
        self.clock.set(self.now);
    }

    /// Moves the clock on by one step and waits until the tick's rows are judged and what it began has ended.
    pub async fn tick(&mut self) -> Arc<Snapshot> {
        self.advance();
        let (now, due) = (self.now, self.due());
        self.until("ticked", |s| {
            s.live.source.last_success == Some(now)
                && s.live.training.is_none()
                && s.live.entities.iter().all(|e| e.grid.last() == Some(due))
        })
        .await
    }

    /// Moves the clock on until the source is seen to fail.
    pub async fn failed(&mut self) -> Arc<Snapshot> {
        self.advance();
        self.until("failed", |s| {
            matches!(s.live.source.state, SourceState::Stale { .. })
        })
        .await
    }

    /// All rows that the engine keeps of `instance`, not averaged.
    pub async fn rows(&self, instance: &str, last: i64) -> HistoryAnswer {
        let query = HistoryQuery {
            pipeline: PipelineId::Live,
            entity: Entity::named(instance),
            from: Some(self.now - Duration::from_secs(last.unsigned_abs())),
            to: None,
            max_points: 2000,
        };
        self.running.control.history(query).await.unwrap()
    }

    /// Ends the engine.
    pub async fn stop(self) -> Arc<Snapshot> {
        self.running.control.send(Command::Shutdown).unwrap();
        self.running.task.await.unwrap();
        Arc::clone(&self.running.snapshots.borrow())
    }
}

/// One entity's view.
pub fn entity<'a>(snapshot: &'a Snapshot, instance: &str) -> &'a EntityView {
    snapshot.live.entity(&Entity::named(instance)).unwrap()
}
