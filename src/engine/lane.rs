//! One pipeline with what surrounds it: its collector, its schedule, and how its source and training are doing.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::clock::Clock;
use super::collector::{Answer, Ask, Collecting, Collector};
use super::learn::FEWEST_WINDOWS;
use super::pipeline::Pipeline;
use crate::config::Config;
use crate::domain::{
    Counters, EntityView, Histogram, ModelEntry, ModelView, PipelineId, PipelineView, Readiness,
    SourceState, SourceView, Time, TrainingOutcome, TrainingView,
};
use crate::source::any::Source;
use crate::source::{Collect, SourceError};

/// Grid times before the newest row that are asked for again, for samples that came late.
const OVERLAP: u32 = 3;

/// Longest pause between two tries of a failing source.
const LONGEST_PAUSE: Duration = Duration::from_mins(5);

/// Bounds of the collection time histogram, in seconds.
const COLLECT_SECONDS: [f64; 10] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];

/// Warnings shown of one source.
const WARNINGS: usize = 16;

/// Series without a column that a warning names.
const NAMED: usize = 5;

/// After a training or a collection of history that failed, the next try waits this long, twice as long after each
/// further failure.
const TRY_AGAIN: Duration = Duration::from_mins(1);

/// Longest wait between two such tries.
const TRY_AGAIN_AT_MOST: Duration = Duration::from_hours(1);

/// A pipeline and its surroundings.
#[allow(clippy::struct_excessive_bools)] // Each is a fact of its own, not the state of one machine.
pub struct Lane {
    /// Live or test.
    pub id: PipelineId,
    /// Data, model and verdicts.
    pub pipeline: Pipeline,
    /// Its source's task.
    pub collector: Collector,
    /// How often it looks.
    pub interval: Duration,
    /// When it looks next.
    pub next_tick: Time,
    /// The model's figures.
    pub model: Option<ModelView>,
    /// The models that are kept.
    pub models: Arc<[ModelEntry]>,
    /// How the last training ended.
    pub last_training: Option<TrainingOutcome>,
    /// When the newest model was trained and from what, also one that was refused.
    pub learned: Option<(Time, (Time, Time))>,
    /// A training was asked for and waits for history.
    pub wants_training: bool,
    /// Neither training nor history is tried by itself before this.
    pub not_before: Time,
    /// When forecasts were last made.
    pub forecast_at: Option<Time>,
    /// When history was asked for that has not come yet.
    pub history_asked: Option<Time>,
    /// History has come at least once.
    pub has_history: bool,
    /// The last tick that scored something.
    pub last_scored: Option<Time>,
    config: Arc<Config>,
    /// Wall time from one row to the next, where that is known.
    pace: Option<Duration>,
    /// Series that have no column, as of the last look.
    unknown: Vec<String>,
    source: SourceView,
    counters: Counters,
    collecting: bool,
    failures: u32,
    /// Trainings and collections of history that failed in a row.
    fruitless: u32,
    /// Windows that the last training had, when they were too few.
    lacking: Option<usize>,
    /// When the latest history was asked for, if it was with all columns, not only the model's.
    whole_asked: Option<Time>,
    /// Views of the entities, until something changes.
    entities: Option<Vec<Arc<EntityView>>>,
}

impl Lane {
    /// A lane with the task that owns its source; its answers go to `answers`. Its first look is due at once.
    pub fn open(
        id: PipelineId,
        source: Source,
        pipeline: Pipeline,
        config: &Arc<Config>,
        clock: &Arc<dyn Clock>,
        answers: &mpsc::Sender<(PipelineId, Answer)>,
    ) -> Self {
        let settings = Collecting::of(config, &source);
        let told = SourceView {
            name: source.name(),
            recorded: matches!(source, Source::Replay(_)),
            state: SourceState::Connecting,
            last_success: None,
            warnings: Vec::new(),
        };
        let pace = source.pace(config.source.step.0);
        let collector = Collector::start(id, source, settings, Arc::clone(clock), answers.clone());
        let config = Arc::clone(config);
        Self::new(id, (told, pace), pipeline, collector, config, clock.now())
    }

    /// A lane whose first look is due at `now`, of a source with this pace.
    fn new(
        id: PipelineId,
        (source, pace): (SourceView, Option<Duration>),
        pipeline: Pipeline,
        collector: Collector,
        config: Arc<Config>,
        now: Time,
    ) -> Self {
        let interval = if id == PipelineId::Live {
            config.detect.interval.0
        } else {
            Duration::from_millis(500)
        };
        let counters = Counters {
            collect_seconds: Histogram::with_bounds(&COLLECT_SECONDS),
            ..Counters::default()
        };
        Self {
            id,
            pipeline,
            collector,
            interval,
            pace,
            next_tick: now,
            model: None,
            models: Arc::from([]),
            last_training: None,
            learned: None,
            wants_training: false,
            not_before: now,
            forecast_at: None,
            history_asked: None,
            has_history: false,
            last_scored: None,
            config,
            unknown: Vec::new(),
            source,
            counters,
            collecting: false,
            failures: 0,
            fruitless: 0,
            lacking: None,
            whole_asked: None,
            entities: None,
        }
    }

    /// Looks at the source if it is time; skips the look while the previous one is still under way.
    pub fn tick(&mut self, now: Time) {
        // A clock that was set back must not silence the lane.
        if self.next_tick > now + self.interval.max(LONGEST_PAUSE) {
            self.next_tick = now;
        }
        if now < self.next_tick {
            return;
        }
        // The source answers one question at a time: the look comes as soon as the history is there.
        if self.history_asked.is_some() {
            return;
        }
        if now.since(self.next_tick) > self.interval {
            self.counters.ticks_late += 1;
        }
        self.next_tick = now + self.interval;
        if self.collecting || matches!(self.source.state, SourceState::Finished) {
            return;
        }
        let overlap = self.pipeline.step().saturating_mul(OVERLAP);
        let from = self.pipeline.filled().map(|filled| filled - overlap);
        self.collecting = self.collector.ask(Ask::Recent {
            from,
            schema: self.pipeline.schema().cloned(),
        });
    }

    /// When it looks next; `None` while that waits for the history.
    pub fn next_look(&self) -> Option<Time> {
        self.history_asked.is_none().then_some(self.next_tick)
    }

    /// Asks for history: with all columns there are when it is to be learned from, else with those that are shown.
    pub fn ask_history(&mut self, now: Time) {
        if self.history_asked.is_some() {
            return;
        }
        let whole = self.wants_training || self.model.is_none();
        let schema = self.pipeline.schema().filter(|_| !whole).cloned();
        if self.collector.ask(Ask::History { schema }) {
            self.history_asked = Some(now);
            self.whole_asked = whole.then_some(now);
        }
    }

    /// Series without a column were seen. As long as there is no model, the history is looked at again, once for each set
    /// of them: it may give them one.
    pub fn met(&mut self, unknown: Vec<String>, now: Time) {
        if self.model.is_none() && !unknown.is_empty() && unknown != self.unknown {
            self.ask_history(now);
        }
        self.unknown = unknown;
    }

    /// Whether the history that has come may be learned from.
    pub fn can_learn(&self) -> bool {
        self.whole_asked.is_some()
    }

    /// Notes how a training or a collection of history ended: after failures the next one waits longer and longer.
    pub fn tried(&mut self, worked: bool, now: Time) {
        self.lacking = None;
        self.fruitless = if worked {
            0
        } else {
            self.fruitless.saturating_add(1)
        };
        let doublings = self.fruitless.saturating_sub(1).min(10);
        self.not_before = now
            + TRY_AGAIN
                .saturating_mul(1 << doublings)
                .min(TRY_AGAIN_AT_MOST);
    }

    /// A training found `have` windows, too few of them: the next one waits until the others may have come, and that is no
    /// failure.
    pub fn lacks_windows(&mut self, have: usize, now: Time) {
        let missing = FEWEST_WINDOWS.saturating_sub(have);
        let wait = self.wait_for(missing).unwrap_or(TRY_AGAIN);
        self.not_before = now + wait.clamp(TRY_AGAIN, TRY_AGAIN_AT_MOST);
        self.lacking = Some(have);
        self.touch();
    }

    /// Takes note of how a collection went; `true` when it worked.
    pub fn heard(&mut self, answer: &Answer, now: Time) -> bool {
        self.touch();
        if answer.history {
            self.history_asked = None;
        } else {
            self.collecting = false;
        }
        self.counters
            .collect_seconds
            .observe(answer.took.as_secs_f64());
        match &answer.result {
            Ok(batch) => {
                self.failures = 0;
                self.source.last_success = Some(now);
                let own = without_column(&batch.unknown)
                    .into_iter()
                    .chain(self.behind(now));
                self.source.warnings = own
                    .chain(batch.warnings.iter().cloned())
                    .take(WARNINGS)
                    .collect();
                self.counters.series_dropped = batch.dropped;
                self.source.state = if answer.finished {
                    SourceState::Finished
                } else {
                    SourceState::Up
                };
                true
            }
            Err(error) => {
                self.failed(error, now);
                false
            }
        }
    }

    /// Rows that are still to come were judged already: the clock was set back.
    fn behind(&self, now: Time) -> Option<String> {
        let slack = self.pipeline.step().saturating_mul(OVERLAP);
        let newest = self.pipeline.filled().max(self.pipeline.judged());
        let newest = newest.filter(|newest| *newest > now + slack)?;
        Some(format!(
            "the clock is {} behind the newest row; was it set back? Rows up to {newest} are judged, scoring goes on after that",
            roughly(newest.since(now))
        ))
    }

    fn failed(&mut self, error: &SourceError, now: Time) {
        *self
            .counters
            .collect_errors
            .entry(error.reason())
            .or_default() += 1;
        self.failures = self.failures.saturating_add(1);
        let pause = self
            .interval
            .saturating_mul(1 << (self.failures - 1).min(10))
            .min(LONGEST_PAUSE.max(self.interval));
        self.next_tick = now + pause;
        self.source.state = SourceState::Stale {
            since: self.source.last_success,
            error: error.to_string(),
            retry_at: self.next_tick,
        };
    }

    /// Whether the last collection failed.
    pub fn is_stale(&self) -> bool {
        matches!(self.source.state, SourceState::Stale { .. })
    }

    /// Whether a training is due by itself: none yet, the schedule, or a history that has doubled since.
    pub fn training_is_due(&self, now: Time) -> bool {
        if !self.config.autoencoder.enabled
            || now < self.not_before
            || self.readiness().have < FEWEST_WINDOWS
        {
            return false;
        }
        let Some(model) = &self.model else {
            return true;
        };
        let every = self.config.retrain.every.0;
        let (trained_at, trained_on) = self.learned.unwrap_or((model.trained_at, model.trained_on));
        let scheduled = !every.is_zero() && now.since(trained_at) >= every;
        let live = self.id == PipelineId::Live;
        scheduled || (live && self.has_doubled(trained_on)) || self.has_drifted().is_some()
    }

    /// How many entities' data have changed for good, if that is to be learned.
    pub fn has_drifted(&self) -> Option<usize> {
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

    /// Windows at hand against windows needed, by the count that trainings go by.
    pub fn readiness(&self) -> Readiness {
        let have = self.pipeline.windows();
        let missing = FEWEST_WINDOWS.saturating_sub(have);
        Readiness {
            have: have.min(FEWEST_WINDOWS),
            need: FEWEST_WINDOWS,
            eta: (missing > 0).then(|| self.wait_for(missing)).flatten(),
            text: String::new(),
        }
    }

    /// How long until `missing` more windows are there; `None` as long as the past may still bring them, or when nothing says
    /// at what pace they come.
    fn wait_for(&self, missing: usize) -> Option<Duration> {
        let pace = self.pace.filter(|_| self.has_history)?;
        let entities = self.pipeline.entities();
        let longest = entities.map(|w| w.tail.grid().len()).max()?;
        // The first window wants its other rows before there is any.
        let first = (self.config.autoencoder.window).saturating_sub(longest + 1);
        let steps = u32::try_from(first + missing.div_ceil(self.pipeline.entities().count()))
            .unwrap_or(u32::MAX);
        Some(pace.saturating_mul(steps))
    }

    /// Readiness as readers see it: what it waits for, until the model scores.
    fn readiness_view(&self, training: Option<&TrainingView>) -> Readiness {
        let mut readiness = self.readiness();
        if self.model.is_some() {
            return Readiness {
                have: readiness.need,
                eta: None,
                ..readiness
            };
        }
        let finished = matches!(self.source.state, SourceState::Finished);
        if finished {
            readiness.eta = None;
        }
        readiness.text = match (training, readiness.eta) {
            (Some(training), _) => training.phase.clone(),
            (None, _) if readiness.have >= readiness.need => match self.lacking {
                Some(have) => format!(
                    "waiting for rows: the last training had {have} of {} windows",
                    readiness.need
                ),
                None => "about to train".into(),
            },
            (None, eta) => {
                let awaited = match eta {
                    Some(eta) => format!("ready in about {}", roughly(eta)),
                    None if !self.has_history => "waiting for history".into(),
                    None if finished => "too few rows".into(),
                    None => "waiting for rows".into(),
                };
                format!(
                    "{awaited}: {} of {} windows",
                    readiness.have, readiness.need
                )
            }
        };
        readiness
    }

    /// What readers see. The entities' part is made anew only when something changed.
    pub fn view(&mut self, training: Option<TrainingView>) -> Arc<PipelineView> {
        let training = training.or_else(|| self.collecting_view());
        let (incidents_total, incidents_session, incidents_by_entity) =
            self.pipeline.ledger().counts();
        let entities = self.entities.take().unwrap_or_else(|| self.entity_views());
        self.entities = Some(entities.clone());
        Arc::new(PipelineView {
            id: self.id,
            source: self.source.clone(),
            step: self.pipeline.step(),
            window: self.config.autoencoder.window,
            grouped: self.id == PipelineId::Live && !self.config.entities.group_by.is_empty(),
            model: self.model.clone().map(|model| ModelView {
                threshold_mse: model.threshold_mse * self.pipeline.raise(),
                ..model
            }),
            readiness: self.readiness_view(training.as_ref()),
            last_training: self.last_training.clone(),
            models: Arc::clone(&self.models),
            training,
            entities,
            incidents: self.pipeline.ledger().shown(),
            counters: Arc::new(Counters {
                incidents_total,
                incidents_by_entity,
                incidents_session,
                ..self.counters.clone()
            }),
            last_scored: self.last_scored,
        })
    }

    /// What readers see of the entities has changed.
    pub fn touch(&mut self) {
        self.entities = None;
    }

    fn entity_views(&self) -> Vec<Arc<EntityView>> {
        let Some(schema) = self.pipeline.schema() else {
            return Vec::new();
        };
        self.pipeline
            .entities()
            .map(|watched| Arc::new(watched.view(schema, &self.config)))
            .collect()
    }

    fn collecting_view(&self) -> Option<TrainingView> {
        let waiting = self.wants_training || self.model.is_none();
        self.history_asked
            .filter(|_| waiting)
            .map(|asked| TrainingView {
                started: asked,
                phase: format!(
                    "collecting history: {:.0} %",
                    self.collector.progress() * 100.0
                ),
                epoch: 0,
                epochs: 0,
                progress: 0.0,
                losses: Vec::new(),
                queued: false,
            })
    }

    /// Its configuration.
    pub fn config(&self) -> &Arc<Config> {
        &self.config
    }
}

/// What is said of series that the model has no column for.
fn without_column(unknown: &[String]) -> Option<String> {
    let names: Vec<&str> = unknown.iter().take(NAMED).map(String::as_str).collect();
    let more = match unknown.len().saturating_sub(names.len()) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    (!names.is_empty()).then(|| {
        format!(
            "{} series are new and the model does not know them: {}{more}; they are watched from the next training on",
            unknown.len(),
            names.join(", ")
        )
    })
}

/// A length of time as one says it: `3 min`.
fn roughly(span: Duration) -> String {
    let secs = span.as_secs();
    match secs {
        0..120 => format!("{secs} s"),
        120..7200 => format!("{} min", secs.div_ceil(60)),
        _ => format!("{} h", secs.div_ceil(3600)),
    }
}
