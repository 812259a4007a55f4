//! Runs the engine's loop, on a thread of its own: ticks, answers, commands, trainings and forecasts, a bounded slice of scoring,
//! and a snapshot after every turn.

mod commands;
mod models;
mod past;
mod preview;
mod rows;
mod spiked;
mod training;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::tz::TimeZone;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use super::checkpointing;
use super::clock::Clock;
use super::collector::Answer;
use super::events::{self, Counted};
use super::forecasting::{self, Forecasting, Round};
use super::keeping::Keeping;
use super::lane::{Cause, Lane, Training};
use super::learn::time_zone;
use super::ledger::Ledger;
use super::notices::Notices;
use super::past::Judging;
use super::pipeline::Pipeline;
use super::process::Process;
use super::trainer::Trainer;
use super::{EngineError, Handle, Request, Running, history, open};
use crate::config::Config;
use crate::domain::{
    AppView, Component, ControlError, HealthBoard, HistoryAnswer, HistoryQuery, Level, PipelineId,
    Schema, Snapshot, Time,
};
use crate::source::any::Source;
use crate::source::replay::ReplaySource;
use crate::source::{Collect as _, SourceError};
use crate::store::{DataDir, Journal, Registry};

/// Readers hear of the time going on at least this often.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// Least that the loop sleeps when nothing is left to do: whatever asks it to wake at once, it does not spin.
const LEAST_SLEEP: Duration = Duration::from_millis(10);

/// Rows scored in one turn, over all entities (and at least one row of each): some 70 ms, so that commands are answered in
/// between.
const SLICE: usize = 1000;

/// Between two summaries in the log.
const SUMMARY: Duration = Duration::from_hours(1);

/// After a cancelled training none is begun by itself for this long.
const CANCELLED: Duration = Duration::from_mins(1);

/// How long the loop waits for another process that writes to the journal; what it could not write is tried again.
const WAIT_FOR_JOURNAL: Duration = Duration::from_millis(200);

/// Makes the test pipeline's source when it is first asked for.
pub type TestSource = Box<dyn Fn(Time) -> Result<ReplaySource, SourceError> + Send>;

/// What an engine is started with.
pub struct Setup {
    /// The configuration.
    pub config: Arc<Config>,
    /// Where models and journal are. The caller owns it.
    pub data_dir: DataDir,
    /// The live source.
    pub source: Source,
    /// The test pipeline's source.
    pub test: TestSource,
    /// Start the test pipeline at once.
    pub start_test: bool,
    /// A line that explains an unusual start.
    pub banner: Option<String>,
    /// Things to tell the readers at once.
    pub notices: Vec<String>,
    /// Where the parts of the program report how they are doing.
    pub health: HealthBoard,
}

/// Starts an engine; must be called within a tokio runtime.
///
/// # Errors
/// [`EngineError`] when journal or registry can't be opened. A source that does not answer is no error: it is shown.
pub fn start(setup: Setup, clock: Arc<dyn Clock>) -> Result<Running, EngineError> {
    let (handle, requests) = Handle::new();
    let mut core = Core::new(setup, clock)?;
    let (publish, snapshots) = watch::channel(Arc::new(core.snapshot()));
    // Dropped in this order, so that readers see the channel closed when journal and source are closed.
    let mut engine = (core, publish);
    let task = on_its_own_thread(async move {
        let (core, publish) = &mut engine;
        core.run(requests, publish).await;
    })?;
    Ok(Running {
        snapshots,
        control: Arc::new(handle),
        task,
    })
}

/// Runs the engine on a thread of its own, so that seconds of arithmetic and a slow disk hold up no task of the runtime, whose
/// timers and sockets it uses. The handle ends when the thread has; a panic there is the handle's. Aborting the handle ends
/// the engine at its next pause, with nothing written.
fn on_its_own_thread(
    engine: impl Future<Output = ()> + Send + 'static,
) -> Result<JoinHandle<()>, EngineError> {
    let runtime = tokio::runtime::Handle::current();
    let (alive, aborted) = oneshot::channel::<()>();
    let (done, ended) = oneshot::channel();
    let run = move || {
        let engine = async {
            tokio::select! {
                () = engine => {}
                _ = aborted => {}
            }
        };
        let outcome = catch_unwind(AssertUnwindSafe(|| runtime.block_on(engine)));
        // The receiver is gone only when the handle was aborted.
        let _ = done.send(outcome);
    };
    std::thread::Builder::new()
        .name("engine".into())
        .spawn(run)
        .map_err(EngineError::Thread)?;
    Ok(tokio::spawn(async move {
        let outcome = ended.await;
        drop(alive);
        if let Ok(Err(panic)) = outcome {
            resume_unwind(panic);
        }
    }))
}

struct Core {
    config: Arc<Config>,
    app: Arc<AppView>,
    clock: Arc<dyn Clock>,
    registry: Registry,
    /// The journal's file.
    journal: PathBuf,
    /// Room for previews under way.
    previewing: Arc<Semaphore>,
    process: Process,
    live: Lane,
    test: Option<Lane>,
    test_source: TestSource,
    trainer: Trainer,
    forecasting: Forecasting,
    past: Judging,
    /// The model under which the history was judged last, or is.
    past_of: Option<String>,
    answers: mpsc::Receiver<(PipelineId, Answer)>,
    /// Given to every collector.
    answering: mpsc::Sender<(PipelineId, Answer)>,
    notices: Notices,
    revision: u64,
    started: Time,
    banner: Option<String>,
    keeping: Keeping,
    health: HealthBoard,
    /// When the last summary was logged, and what had been counted then.
    summary: (Time, Counted),
    stopping: bool,
}

impl Core {
    fn new(setup: Setup, clock: Arc<dyn Clock>) -> Result<Self, EngineError> {
        let now = clock.now();
        let Setup {
            config,
            data_dir,
            source,
            test,
            start_test,
            banner,
            notices,
            health,
        } = setup;
        let registry = Registry::open(&data_dir.models());
        let path = data_dir.journal();
        let (mut journal, set_aside) = Journal::open(&path)?;
        journal.wait_at_most(WAIT_FOR_JOURNAL)?;
        let (answering, answers) = mpsc::channel(4);
        let mut pipeline = Pipeline::new(Arc::clone(&config), Ledger::new(Some(journal))?)?;
        // A recording's time is its own: what an earlier run judged of it lies ahead of where its play begins.
        if !matches!(source, Source::Replay(_)) {
            pipeline.resume_at(now);
        }
        let again = played_before(&source, pipeline.judged());
        let live = Lane::open(
            PipelineId::Live,
            source,
            pipeline,
            &config,
            &clock,
            &answering,
            &health,
        );
        let mut core = Self {
            app: Arc::new(config.app_view()),
            config,
            clock,
            registry,
            journal: path,
            previewing: Arc::new(Semaphore::new(preview::AT_ONCE)),
            process: Process::default(),
            live,
            test: None,
            test_source: test,
            trainer: Trainer::default(),
            forecasting: Forecasting::default(),
            past: Judging::default(),
            past_of: None,
            answers,
            answering,
            notices: Notices::default(),
            revision: 0,
            started: now,
            banner,
            keeping: Keeping::new(data_dir, health.clone()),
            health,
            summary: (now, Counted::default()),
            stopping: false,
        };
        let told = core.live.pipeline.told();
        for text in notices.into_iter().chain(set_aside).chain(again) {
            core.note(Level::Warning, text);
        }
        for (level, text) in told {
            core.note(level, text);
        }
        core.load_model()?;
        if start_test {
            core.start_test();
        }
        Ok(core)
    }

    fn start_test(&mut self) {
        if self.test.is_some() {
            return;
        }
        let now = self.clock.now();
        let opened = (self.test_source)(now)
            .map_err(EngineError::from)
            .and_then(|source| {
                let config = Arc::new(open::for_recording(&self.config, &source));
                let pipeline = Pipeline::new(Arc::clone(&config), Ledger::new(None)?)?;
                // It plays once there is a model to judge it.
                let source = Source::Replay(Box::new(source.paused()));
                Ok(Lane::open(
                    PipelineId::Test,
                    source,
                    pipeline,
                    &config,
                    &self.clock,
                    &self.answering,
                    &self.health,
                ))
            });
        match opened {
            Ok(lane) => self.test = Some(lane),
            Err(error) => self.note(Level::Error, format!("test mode can't start: {error}")),
        }
    }

    fn note(&mut self, level: Level, text: String) {
        self.notices.tell(self.clock.now(), level, text);
    }

    /// Tells readers alone: the log has a line of its own.
    fn show(&mut self, level: Level, text: String) {
        self.notices.show(self.clock.now(), level, text);
    }

    fn lane(&mut self, id: PipelineId) -> Option<&mut Lane> {
        match id {
            PipelineId::Live => Some(&mut self.live),
            PipelineId::Test => self.test.as_mut(),
        }
    }

    fn lanes(&mut self) -> impl Iterator<Item = &mut Lane> {
        std::iter::once(&mut self.live).chain(&mut self.test)
    }

    async fn run(
        &mut self,
        mut requests: mpsc::Receiver<Request>,
        publish: &watch::Sender<Arc<Snapshot>>,
    ) {
        events::started(
            self.live.source.view(),
            &self.config,
            self.live.model.as_ref(),
        );
        while !self.stopping {
            let now = self.clock.now();
            self.judge(now);
            self.tick(now);
            self.start_due_work(now);
            self.tend_journal(now);
            self.summarize(now);
            publish.send_replace(Arc::new(self.snapshot()));
            self.wait(&mut requests, now).await;
        }
        self.trainer.stop().await;
        self.forecasting.stop().await;
        self.past.stop().await;
        for lane in self.lanes() {
            lane.collector.stop().await;
        }
        let now = self.clock.now();
        let told = self.keeping.finish(&mut self.live.pipeline, now).await;
        for (level, text) in told {
            self.note(level, text);
        }
        self.log_incidents();
        publish.send_replace(Arc::new(self.snapshot()));
        events::stopped(self.clock.now().since(self.started));
    }

    /// Logs what the last hour brought, once an hour.
    fn summarize(&mut self, now: Time) {
        if now < self.summary.0 {
            // The clock was set back.
            self.summary.0 = now;
        }
        if now.since(self.summary.0) < SUMMARY {
            return;
        }
        let counted = self.live.counted();
        let pipeline = &self.live.pipeline;
        events::summary(
            counted.since(self.summary.1),
            pipeline.entities().count(),
            pipeline.ledger().open_incidents().len(),
            self.live.model.as_ref().map(|model| model.version.as_str()),
        );
        self.summary = (now, counted);
    }

    /// Waits for something to do: at once when rows are left to judge, else for what comes, at most until the next look.
    async fn wait(&mut self, requests: &mut mpsc::Receiver<Request>, now: Time) {
        let is_behind = self.lanes().any(|lane| lane.is_behind());
        let next_look = self.lanes().map(|lane| lane.next_look()).min();
        let wake = next_look
            .map_or(now + HEARTBEAT, |look| look.min(now + HEARTBEAT))
            .max(now + LEAST_SLEEP);
        let clock = Arc::clone(&self.clock);
        tokio::select! {
            request = requests.recv() => self.request(request),
            Some((id, answer)) = self.answers.recv() => self.answer(id, answer),
            ended = self.trainer.next() => if let Some(ended) = ended { self.training_ended(ended) },
            round = self.forecasting.next() => self.forecast(round),
            ended = self.past.next() => self.past_ended(ended),
            ended = self.keeping.checkpoint() => self.checkpoint_ended(ended),
            () = std::future::ready(()), if is_behind => {}
            () = clock.sleep(now, wake), if !is_behind => {}
        }
        // All that waits is answered before the next slice of scoring.
        while let (false, Ok(request)) = (self.stopping, requests.try_recv()) {
            self.request(Some(request));
        }
    }

    /// Does what is due around the journal, and tells what the pipeline has to say.
    fn tend_journal(&mut self, now: Time) {
        let mut told = self.keeping.tick(&mut self.live.pipeline, now);
        told.extend(self.live.pipeline.told());
        for (level, text) in told {
            self.note(level, text);
        }
        if self.keeping.is_lost() {
            self.stopping = true;
        }
    }

    fn request(&mut self, request: Option<Request>) {
        match request {
            None => self.stopping = true,
            Some(Request::Command(command)) => self.command(command),
            Some(Request::History(query, reply)) => {
                // A reader that no longer waits needs no answer.
                let _ = reply.send(self.history(&query));
            }
            Some(Request::Preview(id, label, reply)) => self.preview(id, label, reply),
            Some(Request::Spiked(seed, reply)) => self.spiked(seed, reply),
        }
    }

    fn history(&mut self, query: &HistoryQuery) -> Result<HistoryAnswer, ControlError> {
        let lane = self.lane(query.pipeline).ok_or(ControlError::NotFound)?;
        history::answer(&lane.pipeline, query)
    }

    /// Writes what is to be kept.
    fn commit(&mut self) {
        let now = self.clock.now();
        if let Some((level, text)) = self.keeping.write(&mut self.live.pipeline, now) {
            self.note(level, text);
        }
        self.log_incidents();
    }

    /// The checkpoint has been written, or could not be: what was held meanwhile is written now.
    fn checkpoint_ended(&mut self, ended: checkpointing::Ended) {
        let now = self.clock.now();
        let pipeline = &mut self.live.pipeline;
        if let Some((level, text)) = self.keeping.checkpoint_ended(pipeline, ended, now) {
            self.note(level, text);
        }
        self.commit();
    }

    fn log_incidents(&mut self) {
        for incident in self.live.pipeline.take_changes() {
            events::incident(&incident);
        }
    }

    /// Trainings and forecasts that are due by themselves.
    fn start_due_work(&mut self, now: Time) {
        for id in [PipelineId::Live, PipelineId::Test] {
            let is_busy = self.trainer.is_busy_with(id);
            let Some(lane) = self.lane(id) else { continue };
            if lane.is_fetching() || lane.source.is_stale() {
                continue;
            }
            let may_begin = lane.has_history && !is_busy && lane.training == Training::Idle;
            let cause = may_begin.then(|| lane.training_is_due(now)).flatten();
            if let Some(cause) = cause {
                lane.training = Training::Wanted(cause);
            }
            let is_first = !lane.has_history && lane.pipeline.filled().is_some();
            let is_wanted = lane.training != Training::Idle;
            if (is_first || is_wanted) && lane.history_backoff.is_over(now) {
                lane.ask_history(now);
            }
            let told = match cause {
                Some(Cause::Drift(entities)) => Some(format!(
                    "the data have changed for good since the model was trained ({entities} of the entities): training a new one"
                )),
                Some(Cause::NewEntities(new)) => Some(format!(
                    "the model has not learned from {new} of the entities: training a new one"
                )),
                Some(Cause::Suspect) => Some(
                    "an incident of most features began with the new model, which is the likelier cause: training another one".into(),
                ),
                _ => None,
            };
            if let Some(text) = told {
                self.note(Level::Info, text);
            }
        }
        self.start_forecast(now);
        self.start_past();
    }

    fn start_forecast(&mut self, now: Time) {
        let config = &self.config.forecast;
        if !config.enabled || self.forecasting.is_busy() {
            return;
        }
        for lane in std::iter::once(&mut self.live).chain(&mut self.test) {
            let due = forecasting::next_round(config, lane.forecast_at, now) <= now;
            let zone = || time_zone(&self.config).unwrap_or(TimeZone::UTC);
            if !due
                && self
                    .forecasting
                    .refresh(lane.id, &lane.pipeline, config, zone)
            {
                return;
            }
            let readiness = lane.readiness();
            let enough = readiness.have >= readiness.need;
            if lane.has_history && enough && due && !self.trainer.is_busy_with(lane.id) {
                lane.forecast_at = Some(now);
                let left_out = self
                    .forecasting
                    .start(lane.id, &lane.pipeline, config, zone());
                if left_out > 0 && left_out != lane.unforecast.0 {
                    tracing::warn!(
                        left_out,
                        most = forecasting::most_series(config.model),
                        "series without a forecast"
                    );
                }
                lane.unforecast.0 = left_out;
                return;
            }
        }
    }

    fn forecast(&mut self, round: Result<Round, String>) {
        let now = self.clock.now();
        let round = match round {
            Ok(round) => round,
            Err(error) => {
                self.health.restarted(Component::Forecast);
                if self.health.fail(Component::Forecast, now, error.clone()) {
                    self.note(Level::Error, error);
                }
                return;
            }
        };
        self.health.recover(Component::Forecast);
        let Some(lane) = self.lane(round.pipeline) else {
            return;
        };
        // Told when it changes, not with every round.
        if let Some((count, reason)) = round.failed
            && count != lane.unforecast.1
        {
            lane.unforecast.1 = count;
            tracing::info!(count, reason, "series could not be forecast");
        }
        lane.touch();
        let same = |a: &Schema, b: &Schema| a.iter().map(|f| &f.name).eq(b.iter().map(|f| &f.name));
        if !round
            .schema
            .as_ref()
            .zip(lane.pipeline.schema())
            .is_some_and(|(then, now)| same(then, now))
        {
            // A new model with other columns came in between.
            lane.forecast_at = None;
            return;
        }
        let mut beyond = round.beyond;
        for (entity, column, forecast) in round.forecasts {
            if let Some(watched) = lane.pipeline.entity_mut(&entity) {
                let beyond = beyond.remove(&(entity, column));
                watched.set_forecast(column, forecast, beyond);
            }
        }
    }

    fn snapshot(&mut self) -> Snapshot {
        let now = self.clock.now();
        self.revision += 1;
        let live = self.live.view(self.trainer.view(PipelineId::Live, now));
        let test = self
            .test
            .as_mut()
            .map(|lane| lane.view(self.trainer.view(PipelineId::Test, now)));
        Snapshot {
            revision: self.revision,
            now,
            made: Instant::now(),
            started: self.started,
            build: super::BUILD,
            app: Arc::clone(&self.app),
            banner: self.banner.clone(),
            interval: self.live.interval,
            live,
            test,
            notices: self.notices.iter().cloned().collect(),
            process: self.process.look(Instant::now()),
            health: self.health.view(),
            stopping: self.stopping,
        }
    }
}

/// What to tell of a recording that an earlier run has played: a row is judged once, so nothing of it is judged again.
fn played_before(source: &Source, judged: Option<Time>) -> Option<String> {
    let Source::Replay(replay) = source else {
        return None;
    };
    let judged = judged.filter(|judged| *judged >= replay.play_from())?;
    Some(format!(
        "{}: rows up to {judged} were judged in an earlier run and are not judged again; another --data-dir judges them anew",
        source.name()
    ))
}
