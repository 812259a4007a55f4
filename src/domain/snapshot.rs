//! The immutable picture of everything that screen, exporter and API read.
//!
//! A snapshot is published once a tick; making one copies pointers, not points. What is unknown is `None` or NaN, never
//! zero.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::{
    Breach, Component, ComponentHealth, Decision, Entity, Fault, Feature, Forecast,
    ForecastAccuracy, Grid, Incident, Series, Time, Verdict,
};

/// Which pipeline: live data, or the recorded sample with injected spikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PipelineId {
    /// The configured source; the only one that feeds exporter, journal and alerts.
    Live,
    /// Sample or replayed data.
    Test,
}

/// What was built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BuildInfo {
    /// Cargo version.
    pub version: &'static str,
    /// Target, such as `x86_64-linux`.
    pub target: &'static str,
}

/// What the configuration says of this installation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppView {
    /// What it is called: `[app] name`.
    pub name: String,
    /// What it is for: `[app] mode`.
    pub mode: Option<String>,
    /// Most points of a series that are shown, on the screen and in JSON: `[ui] max_points`.
    pub max_points: usize,
    /// Models are trained: the autoencoder or the forecast is on.
    pub trains: bool,
}

impl Default for AppView {
    fn default() -> Self {
        Self {
            name: "PulseWatch".into(),
            mode: None,
            max_points: 500,
            trains: true,
        }
    }
}

/// How bad a notice is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Worth knowing.
    Info,
    /// Something is not as it should be; work goes on.
    Warning,
    /// Something failed.
    Error,
}

/// Something that happened, for the screen's log and toasts.
#[derive(Clone, Debug, PartialEq)]
pub struct Notice {
    /// Counts up over the run, so that a reader knows which it has shown.
    pub id: u64,
    /// When.
    pub time: Time,
    /// How bad.
    pub level: Level,
    /// One readable sentence.
    pub text: String,
}

/// Connection to the source.
#[derive(Clone, Debug, PartialEq)]
pub enum SourceState {
    /// Nothing has arrived yet.
    Connecting,
    /// The last collection worked.
    Up,
    /// The last collection failed; what is shown is old.
    Stale {
        /// When it last worked.
        since: Option<Time>,
        /// What went wrong and what to do.
        error: String,
        /// When it is tried next.
        retry_at: Time,
    },
    /// A replay that came to its end.
    Finished,
}

/// Where the samples come from and how that goes.
#[derive(Clone, Debug, PartialEq)]
pub struct SourceView {
    /// Shown name: `prometheus http://…` without credentials, `this host`, `sample data`, a file name.
    pub name: String,
    /// It is a recording: its rows live in a time of their own.
    pub recorded: bool,
    /// Connection state.
    pub state: SourceState,
    /// Last collection that worked.
    pub last_success: Option<Time>,
    /// Warnings of the server or the collector that still hold: the first 16.
    pub warnings: Vec<String>,
    /// How many more there are.
    pub more_warnings: usize,
}

/// The model that scores now.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelView {
    /// Version in the registry.
    pub version: String,
    /// When its training ended.
    pub trained_at: Time,
    /// First and last row it learned from.
    pub trained_on: (Time, Time),
    /// Windows it learned from.
    pub windows: usize,
    /// Epochs run.
    pub epochs: usize,
    /// Best validation loss (mean squared error, scaled units).
    pub val_loss: f64,
    /// The autoencoder's threshold (mean squared error, scaled units): the one in force in [`PipelineView::model`], which
    /// labels may have raised, and the calibrated one in [`PipelineView::models`].
    pub threshold_mse: f64,
    /// How the threshold came about: `auto`, `fixed`, `sigma`.
    pub threshold_rule: String,
    /// Entities it scores.
    pub entities: usize,
    /// How long training took.
    pub training_took: Duration,
}

/// A training in progress.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainingView {
    /// When it began.
    pub started: Time,
    /// What it does now: `collecting history`, `fitting the autoencoder`, …
    pub phase: String,
    /// Current epoch, from 1; 0 before the first.
    pub epoch: usize,
    /// Epochs it may run.
    pub epochs: usize,
    /// Done so far, 0 to 1, early stopping not counted in.
    pub progress: f64,
    /// Validation loss per finished epoch.
    pub losses: Vec<f64>,
    /// Another one waits behind it.
    pub queued: bool,
}

/// How the last training ended.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainingOutcome {
    /// When it ended.
    pub ended: Time,
    /// How long it took.
    pub took: Duration,
    /// The new model's version, or why there is none (the old model then goes on).
    pub result: Result<String, String>,
    /// Somebody cancelled it: there is no new model, and nothing has failed.
    pub is_cancelled: bool,
    /// Whether the new model scores, and why; the old one goes on when it was refused.
    pub decision: Option<Decision>,
    /// Validation loss per epoch; empty when it failed before the first.
    pub losses: Vec<f64>,
}

/// A model in the registry.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelEntry {
    /// Its figures, with the threshold as it was calibrated.
    pub model: ModelView,
    /// It scores now.
    pub is_current: bool,
    /// Whether it was promoted when it was new, and why; `None` for one of an older release.
    pub decision: Option<Decision>,
}

/// What this process takes of the machine; `None` where the system does not tell.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ProcessView {
    /// Resident memory in bytes.
    pub memory: Option<u64>,
    /// Part of one core, averaged over the last seconds (0.02 is 2 %).
    pub cpu: Option<f64>,
}

/// How far from being able to judge: `have` of `need` rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Readiness {
    /// Windows at hand.
    pub have: usize,
    /// Windows needed before a model can be trained.
    pub need: usize,
    /// When that is likely to be so; `None` when ready or not to be told.
    pub eta: Option<Duration>,
    /// What it waits for, readable; empty when ready.
    pub text: String,
}

impl Readiness {
    /// 0 to 1.
    #[must_use]
    #[allow(clippy::cast_precision_loss)]
    pub fn ratio(&self) -> f64 {
        if self.need == 0 {
            1.0
        } else {
            (self.have as f64 / self.need as f64).min(1.0)
        }
    }
}

/// One feature of one entity.
#[derive(Clone, Debug)]
pub struct FeatureView {
    /// Name, unit, direction, limit.
    pub feature: Feature,
    /// Newest values on the entity's grid, NaN where missing.
    pub values: Series,
    /// 1 where this feature carried an anomaly, else 0; on the entity's grid.
    pub anomalous: Series,
    /// Mean squared error of the latest scored window.
    pub mse: Option<f64>,
    /// Part of the latest score, 0 to 1.
    pub share: Option<f64>,
    /// Reconstructed value at the latest scored row, in the feature's unit.
    pub expected: Option<f64>,
    /// What comes.
    pub forecast: Option<Arc<Forecast>>,
    /// When the feature's limit is reached; `None` when it has none or not even the forecast's band comes near it.
    pub breach: Option<Breach>,
    /// How forecasts turned out; `None` before enough of them met what came.
    pub forecast_accuracy: Option<ForecastAccuracy>,
}

/// Verdicts that a pipeline keeps for its readers, over all entities; fewer when they are of many features, since they grow
/// with them.
pub const RECENT: usize = 8192;

/// One entity as readers see it. All series of an entity are on `grid` and equally long.
#[derive(Clone, Debug)]
pub struct EntityView {
    /// Who.
    pub entity: Entity,
    /// Times of the series below; at most `[ui] max_points` long.
    pub grid: Grid,
    /// One per column.
    pub features: Vec<FeatureView>,
    /// Score per row, NaN where none.
    pub scores: Series,
    /// 1 where the row was an anomaly.
    pub anomalous: Series,
    /// The newest verdict.
    pub latest: Option<Arc<Verdict>>,
    /// The newest verdicts, oldest first, `latest` included: why a moment was or was not an anomaly, and the bands that were
    /// expected. At most [`RECENT`] over all entities of a pipeline, but one for each.
    pub recent: Arc<[Arc<Verdict>]>,
    /// Rows in the current window that were observed, not filled.
    pub observed_in_window: Option<usize>,
    /// How much of it is known already.
    pub readiness: EntityReadiness,
}

/// How far an entity's own history goes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EntityReadiness {
    /// Part of the windows that a training needs, 0 to 1.
    pub windows: f64,
    /// For each season (its period) the part of two periods that was observed, 0 to 1: what comes once is no habit.
    pub seasons: Vec<(Duration, f64)>,
}

/// A histogram in cumulative buckets, as Prometheus counts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Histogram {
    /// Upper bound and the count of observations at or under it, ascending.
    pub buckets: Vec<(f64, u64)>,
    /// Sum of all observations.
    pub sum: f64,
    /// How many there were.
    pub count: u64,
}

impl Histogram {
    /// An empty histogram with these upper bounds, ascending.
    #[must_use]
    pub fn with_bounds(bounds: &[f64]) -> Self {
        Self {
            buckets: bounds.iter().map(|b| (*b, 0)).collect(),
            sum: 0.0,
            count: 0,
        }
    }

    /// Counts one observation.
    pub fn observe(&mut self, value: f64) {
        for (bound, count) in &mut self.buckets {
            *count += u64::from(value <= *bound);
        }
        self.sum += value;
        self.count += 1;
    }
}

/// What a pipeline has counted since the process started (incidents: since the journal began).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Counters {
    /// Incidents opened, over all entities, restarts included.
    pub incidents_total: u64,
    /// Incidents opened, by entity; without those of entities that are long gone.
    pub incidents_by_entity: Arc<BTreeMap<Entity, u64>>,
    /// Incidents opened since this process started.
    pub incidents_session: u64,
    /// Failed collections by reason (`connect`, `timeout`, `http`, `query`, `decode`, `other`).
    pub collect_errors: BTreeMap<&'static str, u64>,
    /// Seconds a collection took.
    pub collect_seconds: Histogram,
    /// Series left out of collections because a cap was reached, counted anew at every collection.
    pub series_dropped: u64,
    /// Series that the last collection left out.
    pub series_left_out: u64,
    /// Ticks that began late by more than an interval.
    pub ticks_late: u64,
}

/// How far a pipeline is that has many rows to judge after an absence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CatchUp {
    /// Newest row with a verdict.
    pub judged: Time,
    /// Newest row that is due.
    pub due: Time,
}

/// One pipeline as readers see it.
#[derive(Clone, Debug)]
pub struct PipelineView {
    /// Live or test.
    pub id: PipelineId,
    /// Its source.
    pub source: SourceView,
    /// Step of its grid.
    pub step: Duration,
    /// Window length in rows.
    pub window: usize,
    /// Whether `group_by` names entities (the exporter's `entity` label).
    pub grouped: bool,
    /// The model that scores, if any, with the threshold in force.
    pub model: Option<ModelView>,
    /// A training that runs.
    pub training: Option<TrainingView>,
    /// How the last one ended.
    pub last_training: Option<TrainingOutcome>,
    /// Models that are kept, newest first; at most `[retrain] keep` promoted and as many refused ones. Empty in test mode.
    pub models: Arc<[ModelEntry]>,
    /// How far from being able to judge.
    pub readiness: Readiness,
    /// Entities by name.
    pub entities: Vec<Arc<EntityView>>,
    /// Incidents for a list: open ones first, then newest first; at most 200. Nothing is counted by them.
    pub incidents: Arc<[Incident]>,
    /// All open incidents, by entity.
    pub open_incidents: Arc<BTreeMap<Entity, Arc<Incident>>>,
    /// Counters.
    pub counters: Arc<Counters>,
    /// Last tick that scored something.
    pub last_scored: Option<Time>,
    /// How far the newest row with a sample of any entity is behind the newest row that was taken in; zero for a recording.
    pub without_samples: Duration,
    /// How far it is while it catches up after an absence.
    pub catching_up: Option<CatchUp>,
}

impl PipelineView {
    /// The view of one entity.
    #[must_use]
    pub fn entity(&self, entity: &Entity) -> Option<&Arc<EntityView>> {
        self.entities.iter().find(|view| view.entity == *entity)
    }
}

/// Everything readers see, at one moment.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Counts up with every publication.
    pub revision: u64,
    /// The engine's clock when it was made.
    pub now: Time,
    /// The monotonic clock when it was made. It tells how old the snapshot is, also when the engine hangs or the engine's
    /// clock is set.
    pub made: Instant,
    /// When the process started.
    pub started: Time,
    /// What was built.
    pub build: BuildInfo,
    /// What this installation is called, and what it shows.
    pub app: Arc<AppView>,
    /// A line that explains an unusual start (the embedded default), with how to go on.
    pub banner: Option<String>,
    /// How often the engine looks.
    pub interval: Duration,
    /// Live pipeline.
    pub live: Arc<PipelineView>,
    /// Test pipeline, once it was started.
    pub test: Option<Arc<PipelineView>>,
    /// What happened lately, oldest first; at most 100.
    pub notices: Arc<[Notice]>,
    /// What this process takes.
    pub process: ProcessView,
    /// How the parts of the program are doing that have reported.
    pub health: Arc<[ComponentHealth]>,
    /// The engine is about to end.
    pub stopping: bool,
}

impl Snapshot {
    /// The engine's time at the monotonic time `at`: it goes on although no newer snapshot comes.
    #[must_use]
    pub fn time_at(&self, at: Instant) -> Time {
        self.now + at.saturating_duration_since(self.made)
    }

    /// The parts of the program that do not work now, with the reasons.
    pub fn faults(&self) -> impl Iterator<Item = (Component, &Fault)> {
        let parts = self.health.iter();
        parts.filter_map(|part| Some((part.component, part.fault.as_ref()?)))
    }

    /// One pipeline by id; `None` when the test pipeline was never started.
    #[must_use]
    pub fn pipeline(&self, id: PipelineId) -> Option<&Arc<PipelineView>> {
        match id {
            PipelineId::Live => Some(&self.live),
            PipelineId::Test => self.test.as_ref(),
        }
    }
}
