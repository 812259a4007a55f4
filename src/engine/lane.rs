//! One pipeline with what surrounds it: what is asked of its source now, when it is asked next, and whether a training is
//! wanted. `source` keeps how the source is doing, `view` makes what readers see.

mod source;
mod view;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

pub use self::source::{Change, roughly};

use self::source::SourceStatus;
use super::clock::Clock;
use super::collector::{Answer, Collecting, Collector, Wanted};
use super::events::{self, Counted};
use super::pipeline::{OVERLAP, Pipeline};
use crate::config::Config;
use crate::domain::{
    EntityView, HealthBoard, ModelEntry, ModelView, PipelineId, Time, TrainingOutcome, Verdict,
};
use crate::source::any::Source;

/// Longest pause between two tries of a failing source, or an interval when that is longer.
const LONGEST_PAUSE: Duration = Duration::from_mins(5);

/// A look that is under way for two intervals, and at least this long, makes the source stale.
const LATE: Duration = Duration::from_secs(5);

/// Values taken in with one look: a longer absence is caught up with look by look, so that its memory is bounded (2 MB).
const VALUES_AT_ONCE: usize = 250_000;

/// Fewest grid times of such a look.
const ROWS_AT_ONCE: usize = 32;

/// After a training or a fetch of history that failed, the next try waits this long, twice as long after each further
/// failure.
const TRY_AGAIN: Duration = Duration::from_mins(1);

/// Entities that came after a training are learned this long after it at the earliest.
const LEARN_NEW: Duration = Duration::from_hours(1);

/// An incident that begins this soon after a training, or within two windows, began with its model.
const WITH_MODEL: Duration = Duration::from_mins(10);

/// Longest wait between two such tries.
const TRY_AGAIN_AT_MOST: Duration = Duration::from_hours(1);

/// A request to the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fetch<What> {
    /// None is under way.
    Idle,
    /// Asked and not answered yet.
    Running {
        /// When it was asked.
        since: Time,
        /// What was asked for.
        what: What,
    },
}

impl<What: Copy> Fetch<What> {
    /// Whether it waits for its answer.
    pub const fn is_running(&self) -> bool {
        matches!(self, Self::Running { .. })
    }

    /// Ends it; returns what was asked for.
    fn end(&mut self) -> Option<What> {
        match std::mem::replace(self, Self::Idle) {
            Self::Idle => None,
            Self::Running { what, .. } => Some(what),
        }
    }
}

/// Which columns a fetch of history has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Columns {
    /// All there are, so that it may be learned from.
    All,
    /// Those of the model that scores, for what is shown.
    OfModel,
}

/// Whether a training is wanted. Whether one runs is the trainer's to say: a second one may be wanted meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Training {
    /// None is.
    Idle,
    /// One begins as soon as its history has come.
    Wanted(Cause),
}

/// Why a training is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Somebody asked for it.
    Request,
    /// There is no model yet.
    First,
    /// The last one is older than `[retrain] every`.
    Schedule,
    /// Twice as much has been observed as the last one learned from.
    Growth,
    /// The data of so many entities have changed for good.
    Drift(usize),
    /// So many entities came after the last one.
    NewEntities(usize),
    /// An incident of most features began with the model that scores.
    Suspect,
}

impl Cause {
    /// Its word in the log.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::First => "first model",
            Self::Schedule => "schedule",
            Self::Growth => "history has doubled",
            Self::Drift(_) => "drift",
            Self::NewEntities(_) => "new entities",
            Self::Suspect => "an incident of most features began with the model",
        }
    }
}

/// How long the next try of something that failed waits.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    failures: u32,
    until: Time,
}

impl Backoff {
    const fn new(now: Time) -> Self {
        Self {
            failures: 0,
            until: now,
        }
    }

    /// Whether a try is due by itself.
    pub fn is_over(&self, now: Time) -> bool {
        now >= self.until
    }

    /// How long until a try is due by itself; zero when it is.
    pub fn left(&self, now: Time) -> Duration {
        self.until.since(now)
    }

    /// No try by itself for this long.
    pub fn rest(&mut self, now: Time, span: Duration) {
        self.until = self.until.max(now + span);
    }

    /// It worked: the next try is due after the shortest wait.
    pub fn worked(&mut self, now: Time) {
        self.failures = 0;
        self.until = now + TRY_AGAIN;
    }

    /// It failed; returns how long the next try waits.
    pub fn failed(&mut self, now: Time) -> Duration {
        let pause = TRY_AGAIN
            .saturating_mul(1 << self.failures.min(10))
            .min(TRY_AGAIN_AT_MOST);
        self.failures = self.failures.saturating_add(1);
        self.until = now + pause;
        pause
    }

    /// What made it fail is over.
    fn reset(&mut self, now: Time) {
        *self = Self::new(now);
    }
}

/// A pipeline and its surroundings.
pub struct Lane {
    /// Live or test.
    pub id: PipelineId,
    /// Data, model and verdicts.
    pub pipeline: Pipeline,
    /// The way to its source.
    pub collector: Collector,
    /// How often it looks.
    pub interval: Duration,
    /// The model's figures.
    pub model: Option<ModelView>,
    /// The models that are kept.
    pub models: Arc<[ModelEntry]>,
    /// How the last training ended.
    pub last_training: Option<TrainingOutcome>,
    /// When the newest model was trained and from what, also one that was refused.
    pub learned: Option<(Time, (Time, Time))>,
    /// Whether a training is wanted.
    pub training: Training,
    /// When a training is tried by itself.
    pub training_backoff: Backoff,
    /// When a fetch of history is tried by itself.
    pub history_backoff: Backoff,
    /// When forecasts were last made.
    pub forecast_at: Option<Time>,
    /// Series without a forecast, as last told: left out, and those that could not be forecast.
    pub unforecast: (usize, usize),
    /// History has come at least once.
    pub has_history: bool,
    /// The last tick that scored something.
    pub last_scored: Option<Time>,
    /// How its source is doing.
    pub source: SourceStatus,
    config: Arc<Config>,
    /// When it looks next.
    next_look: Time,
    /// The clock as of the last tick.
    seen: Time,
    /// The look at recent rows.
    recent: Fetch<()>,
    /// The fetch of history.
    history: Fetch<Columns>,
    /// How far its rows are caught up with.
    progress: Progress,
    /// Newest row that is due at the source, as of the last look.
    due: Option<Time>,
    /// Wall time from one row to the next, where that is known.
    pace: Option<Duration>,
    /// Verdicts since the process started.
    judged_rows: u64,
    /// Anomalous ones among them.
    anomalies: u64,
    /// Series that have no column, as of the last look.
    unknown: Vec<String>,
    /// Windows that the last training had, when they were too few.
    pub lacking: Option<usize>,
    /// Views of the entities, until something changes.
    entities: Option<Vec<Arc<EntityView>>>,
}

/// How far a lane's rows are scored and judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// Every row that is known has its verdict.
    Done,
    /// Rows are left to judge; with `is_more`, more rows are to be asked for after them.
    Judging { is_more: bool },
    /// A slice could not be scored: the next look tries again.
    Failed,
}

impl Lane {
    /// A lane over `source`, whose answers go to `answers`. Its first look is due at once.
    pub fn open(
        id: PipelineId,
        source: Source,
        pipeline: Pipeline,
        config: &Arc<Config>,
        clock: &Arc<dyn Clock>,
        answers: &mpsc::Sender<(PipelineId, Answer)>,
        health: &HealthBoard,
    ) -> Self {
        let settings = Collecting::of(config, &source);
        let now = clock.now();
        // The board speaks of what is watched: test mode has its notices.
        let board = (id == PipelineId::Live).then(|| health.clone());
        let interval = if id == PipelineId::Live {
            config.detect.interval.0
        } else {
            Duration::from_millis(500)
        };
        Self {
            source: SourceStatus::new(&source, board),
            pace: source.pace(config.source.step.0),
            collector: Collector::new(id, source, settings, Arc::clone(clock), answers.clone()),
            id,
            pipeline,
            interval,
            model: None,
            models: Arc::from([]),
            last_training: None,
            learned: None,
            training: Training::Idle,
            training_backoff: Backoff::new(now),
            history_backoff: Backoff::new(now),
            forecast_at: None,
            unforecast: (0, 0),
            has_history: false,
            last_scored: None,
            config: Arc::clone(config),
            next_look: now,
            seen: now,
            recent: Fetch::Idle,
            history: Fetch::Idle,
            progress: Progress::Done,
            due: None,
            judged_rows: 0,
            anomalies: 0,
            unknown: Vec::new(),
            lacking: None,
            entities: None,
        }
    }

    /// Looks at the source if it is time; skips the look while the previous one is still under way or rows are left to judge.
    /// Returns what has changed with the source when the look that is under way is late.
    pub fn tick(&mut self, now: Time) -> Option<Change> {
        // A clock that was set back must not silence the lane.
        if now < self.seen {
            self.next_look = now;
        }
        self.seen = now;
        let late = match self.recent {
            Fetch::Running { since, .. } if now.since(since) >= self.late() => {
                self.source.is_late(since, now, self.next_look)
            }
            _ => None,
        };
        if now < self.next_look {
            return late;
        }
        if now.since(self.next_look) > self.interval {
            self.source.counters.ticks_late += 1;
        }
        self.next_look = now + self.interval;
        if !self.recent.is_running() && !self.is_behind() && !self.source.is_finished() {
            self.look(now);
        }
        late
    }

    /// How long a look may take before the source counts as stale.
    fn late(&self) -> Duration {
        LATE.max(self.interval * 2)
    }

    fn look(&mut self, now: Time) {
        let overlap = self.pipeline.step().saturating_mul(OVERLAP);
        let columns = self.pipeline.schema().map_or(0, |schema| schema.len());
        let values = columns * self.pipeline.entities().count();
        self.progress = Progress::Done;
        self.recent = Fetch::Running {
            since: now,
            what: (),
        };
        self.collector.look(Wanted {
            from: self.pipeline.filled().map(|filled| filled - overlap),
            most: VALUES_AT_ONCE
                .checked_div(values)
                .map_or(usize::MAX, |rows| rows.max(ROWS_AT_ONCE)),
            schema: self.pipeline.schema().cloned(),
        });
    }

    /// Rows have come: they are to be judged, and more asked for after them if there are.
    pub fn begin_judging(&mut self, is_more: bool) {
        self.progress = Progress::Judging { is_more };
    }

    /// All rows that are due were taken in.
    pub fn took_in(&mut self) -> Option<Change> {
        let without = self.without_samples();
        self.source.took_in(without, self.pipeline.step())
    }

    /// How far the newest row with a sample is behind; a recording may have gaps of any length.
    fn without_samples(&self) -> Duration {
        if self.source.view().recorded {
            Duration::ZERO
        } else {
            self.pipeline.without_samples()
        }
    }

    /// Whether rows are left to judge.
    pub const fn is_behind(&self) -> bool {
        matches!(self.progress, Progress::Judging { .. })
    }

    /// A slice was judged; when it was the last one of its rows, the next rows are asked for at once if there are more.
    pub fn judged(&mut self, is_more: bool, now: Time) {
        if let (Progress::Judging { is_more: rows }, false) = (self.progress, is_more) {
            self.progress = Progress::Done;
            if rows {
                self.next_look = now;
            }
        }
    }

    /// A slice could not be scored: the next look tries again.
    pub fn judging_failed(&mut self) {
        self.progress = Progress::Failed;
    }

    /// A model or a history has come, so that rows of the past want a score.
    pub fn look_back(&mut self) {
        if self.progress == Progress::Done {
            self.progress = Progress::Judging { is_more: false };
        }
    }

    /// When it looks next.
    pub const fn next_look(&self) -> Time {
        self.next_look
    }

    /// Looks this often from now on.
    pub fn set_interval(&mut self, interval: Duration, now: Time) {
        self.interval = interval;
        self.next_look = self.next_look.min(now + interval);
        self.touch();
    }

    /// Asks for history, unless it is under way: with all columns there are when it is to be learned from, else with those
    /// that are shown.
    pub fn ask_history(&mut self, now: Time) {
        if self.history.is_running() {
            return;
        }
        let what = if self.training != Training::Idle || self.model.is_none() {
            Columns::All
        } else {
            Columns::OfModel
        };
        let schema = match what {
            Columns::All => None,
            Columns::OfModel => self.pipeline.schema().cloned(),
        };
        self.history = Fetch::Running { since: now, what };
        self.collector.fetch(schema);
    }

    /// Whether a fetch of history is under way.
    pub const fn is_fetching(&self) -> bool {
        self.history.is_running()
    }

    /// Series without a column were seen. As long as there is no model, the history is looked at again, once for each set
    /// of them: it may give them one.
    pub fn met(&mut self, unknown: Vec<String>, now: Time) {
        if self.model.is_none() && !unknown.is_empty() && unknown != self.unknown {
            self.ask_history(now);
        }
        self.unknown = unknown;
    }

    /// A training found `have` windows, too few of them: the next one waits until the others may have come, and that is no
    /// failure.
    pub fn lacks_windows(&mut self, have: usize, now: Time) {
        let missing = self.config.windows_needed().saturating_sub(have);
        let wait = self.wait_for(missing).unwrap_or(TRY_AGAIN);
        let wait = wait.clamp(TRY_AGAIN, TRY_AGAIN_AT_MOST);
        self.training_backoff.rest(now, wait);
        self.lacking = Some(have);
        self.touch();
    }

    /// Takes note of how a look ended; returns what has changed with the source.
    pub fn looked(&mut self, answer: &Answer, now: Time) -> Option<Change> {
        self.touch();
        self.recent.end();
        self.due = Some(answer.newest_due);
        self.source.count(answer, now);
        match &answer.result {
            Ok(batch) => {
                let change = self.source.worked(batch, answer.finished, now);
                if matches!(change, Some(Change::Back(_))) {
                    self.history_backoff.reset(now);
                }
                change
            }
            Err(error) => {
                // The first try is at the next tick; after that at every second one, so that a source that is back is seen soon.
                let most = (self.interval * 2).min(LONGEST_PAUSE.max(self.interval));
                let doubled = self.interval * (1 + u32::from(self.source.failures() > 0));
                self.next_look = now + doubled.min(most);
                self.source.failed(error, self.next_look)
            }
        }
    }

    /// Takes note that a fetch of history ended; returns which columns it has.
    pub fn fetched(&mut self, answer: &Answer, now: Time) -> Columns {
        self.touch();
        let columns = self.history.end().unwrap_or(Columns::OfModel);
        self.source.count(answer, now);
        if let Ok(batch) = &answer.result {
            self.history_backoff.reset(now);
            self.source.fetched(batch);
        }
        columns
    }

    /// Why a training is due by itself, if one is: none yet, the schedule, or a history that has doubled since.
    pub fn training_is_due(&self, now: Time) -> Option<Cause> {
        let readiness = self.readiness();
        if !self.config.detects()
            || !self.training_backoff.is_over(now)
            || readiness.have < readiness.need
        {
            return None;
        }
        let Some(model) = &self.model else {
            return Some(Cause::First);
        };
        let every = self.config.retrain.every.0;
        let (trained_at, trained_on) = self.learned.unwrap_or((model.trained_at, model.trained_on));
        let is_live = self.id == PipelineId::Live;
        if !every.is_zero() && now.since(trained_at) >= every {
            Some(Cause::Schedule)
        } else if is_live && self.has_doubled(trained_on) {
            Some(Cause::Growth)
        } else if is_live && self.is_suspect(model) {
            Some(Cause::Suspect)
        } else if now.since(trained_at) >= LEARN_NEW
            && let Some(new) = self.pipeline.unlearned()
        {
            Some(Cause::NewEntities(new))
        } else {
            self.has_drifted().map(Cause::Drift)
        }
    }

    /// Whether an incident of most features began with the model: then the model is the likelier cause. Asked until a training
    /// has followed.
    fn is_suspect(&self, model: &ModelView) -> bool {
        let since = model.trained_at;
        let is_newest = self.learned.is_none_or(|(learned, _)| learned <= since);
        let soon = WITH_MODEL.max(self.pipeline.span() * 2);
        is_newest && self.pipeline.has_broad_incident((since, since + soon))
    }

    /// How many entities' data have changed for good, if that is to be learned.
    fn has_drifted(&self) -> Option<usize> {
        let asked = self.config.retrain.on_drift && self.model.is_some();
        asked.then(|| self.pipeline.drifted()).flatten()
    }

    /// The model learned from less than the configured period, and as much again has been observed since. Spans are
    /// compared, not rows: a history full of gaps has far fewer windows than rows, however often it is learned.
    fn has_doubled(&self, (first, last): (Time, Time)) -> bool {
        let history = &self.config.history;
        let learned = last.since(first);
        let newest = self.pipeline.entities().filter_map(|w| w.last_seen).max();
        history.periods.is_empty()
            && learned < history.period.0.mul_f64(0.9)
            && newest.is_some_and(|newest| newest.since(last) >= learned)
    }

    /// Counts verdicts, and logs at debug which features' errors are over half the threshold.
    pub fn note_verdicts(&mut self, verdicts: &[Verdict]) {
        self.judged_rows += verdicts.len() as u64;
        self.anomalies += verdicts.iter().filter(|v| v.is_anomaly).count() as u64;
        if !tracing::enabled!(tracing::Level::DEBUG) {
            return;
        }
        let (Some(model), Some(schema)) = (&self.model, self.pipeline.schema()) else {
            return;
        };
        for verdict in verdicts {
            let names = schema.iter().map(|feature| &*feature.name);
            let features = names.zip(&verdict.features);
            let (entity, time) = (verdict.entity.name(), verdict.time);
            events::large_errors(entity, time, model.threshold_mse, features);
        }
    }

    /// What was counted since the process started.
    pub fn counted(&self) -> Counted {
        let counters = &self.source.counters;
        Counted {
            collections: counters.collect_seconds.count,
            failed: counters.collect_errors.values().sum(),
            late: counters.ticks_late,
            rows: self.judged_rows,
            anomalies: self.anomalies,
            incidents: self.pipeline.ledger().counts().1,
        }
    }

    /// What readers see of the entities has changed.
    pub fn touch(&mut self) {
        self.entities = None;
    }

    /// Its configuration.
    pub fn config(&self) -> &Arc<Config> {
        &self.config
    }
}
