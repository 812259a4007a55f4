//! Asks a source, one supervised task per request: a look at recent rows and a fetch of history may run side by side, so that
//! scoring never waits for history. A task that panics or hangs is an answer like any other error.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt as _;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::clock::Clock;
use crate::config::{Config, HistoryConfig};
use crate::domain::{Grid, PipelineId, Schema, Time};
use crate::source::any::Source;
use crate::source::{Batch, Collect, SourceError};

/// Longest that a look at recent rows may take, or two intervals or three `[source] timeout` when that is longer: a source ends
/// its looks sooner, so a task that is given up then is one that hangs.
const LOOK_LIMIT: Duration = Duration::from_mins(2);

/// A fetch of history is given up when it makes no progress for this long.
const STILL_LIMIT: Duration = Duration::from_mins(10);

/// How often a fetch's progress is looked at.
const LOOK_AT_PROGRESS: Duration = Duration::from_secs(5);

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Recent rows.
    Recent,
    /// All that is to be learned from.
    History,
}

/// Which recent rows are wanted.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Oldest row; `None`: `backlog` steps back.
    pub from: Option<Time>,
    /// Most grid times in one answer: bounds the memory of a long catch-up.
    pub most: usize,
    /// Columns; `None`: all there are.
    pub schema: Option<Schema>,
}

/// What it answers.
#[derive(Debug)]
pub struct Answer {
    /// What was asked for.
    pub kind: Kind,
    /// The newest grid time that the answer reaches; every row up to it is known now, observed or not.
    pub due: Time,
    /// The newest grid time that is due at the source. Rows after `due` come with the next look.
    pub newest_due: Time,
    /// Nothing will come after this.
    pub finished: bool,
    /// How long it took.
    pub took: Duration,
    /// What was collected.
    pub result: Result<Batch, SourceError>,
    /// The task panicked or was given up, rather than the source answering with an error.
    pub is_broken: bool,
}

/// Settings of a collector.
#[derive(Clone, Debug)]
pub struct Collecting {
    /// Step of the grid.
    pub step: Duration,
    /// How long a grid time waits for its samples.
    pub latency: Duration,
    /// Rows asked for at the start.
    pub backlog: usize,
    /// A look that takes longer is given up.
    pub patience: Duration,
    /// What to learn from.
    pub history: HistoryConfig,
}

impl Collecting {
    /// For a source under a configuration. Only a server's samples come late.
    pub fn of(config: &Config, source: &Source) -> Self {
        let latency = if matches!(source, Source::Prometheus(_)) {
            config.source.latency_offset.0
        } else {
            Duration::ZERO
        };
        let window = config.autoencoder.window * 2 + config.preprocess.max_gap;
        Self {
            step: config.source.step.0,
            latency,
            backlog: config.ui.max_points.max(window),
            patience: LOOK_LIMIT
                .max(config.detect.interval.0.saturating_mul(2))
                .max(config.source.timeout.0.saturating_mul(3)),
            history: config.history.clone(),
        }
    }

    /// The newest grid time that is due at `now`, from a source whose newest rows may still change for `settling`.
    pub fn due(&self, now: Time, settling: Duration) -> Time {
        Grid::align(now - self.latency.max(settling), self.step)
    }

    /// The stretches to learn from when `due` is the newest row: the explicit ones as far as they are past, or the last
    /// `period`.
    pub fn periods(&self, due: Time) -> Vec<(Time, Time)> {
        if self.history.periods.is_empty() {
            return vec![(due - self.history.period.0, due)];
        }
        let moment = |stamp: jiff::Timestamp| Time::from_millis(stamp.as_millisecond());
        let periods = self
            .history
            .periods
            .iter()
            .map(|p| (moment(p.start), moment(p.end).min(due)));
        periods.filter(|(start, end)| start < end).collect()
    }
}

/// The way to a source.
pub struct Collector {
    id: PipelineId,
    source: Arc<Source>,
    settings: Arc<Collecting>,
    clock: Arc<dyn Clock>,
    answers: mpsc::Sender<(PipelineId, Answer)>,
    progress: watch::Sender<f64>,
    /// The requests under way; at most one of each kind, as the lane asks one at a time.
    tasks: Mutex<JoinSet<()>>,
    runtime: Handle,
}

impl Collector {
    /// A way to `source`; answers go to `answers`. Its tasks run on the current runtime and end with it.
    pub fn new(
        id: PipelineId,
        source: Source,
        settings: Collecting,
        clock: Arc<dyn Clock>,
        answers: mpsc::Sender<(PipelineId, Answer)>,
    ) -> Self {
        Self {
            id,
            source: Arc::new(source),
            settings: Arc::new(settings),
            clock,
            answers,
            progress: watch::Sender::new(0.0),
            tasks: Mutex::default(),
            runtime: Handle::current(),
        }
    }

    /// Asks for recent rows.
    pub fn look(&self, wanted: Wanted) {
        let limit = self.settings.patience;
        let (source, settings) = (Arc::clone(&self.source), Arc::clone(&self.settings));
        let wall = self.clock.now();
        let now = source.now(wall);
        let newest_due = settings.due(now, source.settling());
        let (from, to) = settings.recent(&wanted, newest_due);
        let work = async move { source.recent(from, to, now, wanted.schema.as_ref()).await };
        let work = async move {
            match tokio::time::timeout(limit, work).await {
                Ok(result) => Ok(result),
                Err(_) => Err(format!("no answer for {} s", limit.as_secs())),
            }
        };
        self.run(Kind::Recent, wall, (to, newest_due), work);
    }

    /// Asks for history, in these columns or all there are.
    pub fn fetch(&self, schema: Option<Schema>) {
        let (source, settings) = (Arc::clone(&self.source), Arc::clone(&self.settings));
        let wall = self.clock.now();
        let now = source.now(wall);
        let due = settings.due(now, source.settling());
        self.progress.send_replace(0.0);
        let (heard, watched) = (self.progress.clone(), self.progress.subscribe());
        let work = async move {
            let periods = settings.periods(due);
            let heard = |part: f64| {
                heard.send_replace(part);
            };
            tokio::select! {
                result = source.history(&periods, schema.as_ref(), &heard) => Ok(result),
                () = stands_still(watched, LOOK_AT_PROGRESS, STILL_LIMIT) => Err(format!("no progress for {} s", STILL_LIMIT.as_secs())),
            }
        };
        self.run(Kind::History, wall, (due, due), work);
    }

    /// Runs a request in a task and sends its answer, whatever becomes of the task.
    fn run(
        &self,
        kind: Kind,
        asked: Time,
        (due, newest_due): (Time, Time),
        work: impl Future<Output = Result<Result<Batch, SourceError>, String>> + Send + 'static,
    ) {
        let (id, answers) = (self.id, self.answers.clone());
        let (source, clock) = (Arc::clone(&self.source), Arc::clone(&self.clock));
        let request = async move {
            let ended = AssertUnwindSafe(work).catch_unwind().await;
            let broken = match ended {
                Ok(Ok(result)) => Ok(result),
                Ok(Err(hang)) => Err(format!("it gave {hang} and was given up")),
                Err(panic) => Err(format!("it ended with a panic: {}", panic_text(&*panic))),
            };
            let is_broken = broken.is_err();
            let result = broken.unwrap_or_else(|what| {
                let name = source.name();
                Err(SourceError::Task(format!("{name}: the task that asks it failed: {what}; it is started again with the next look")))
            });
            let now = clock.now();
            let answer = Answer {
                kind,
                due,
                newest_due,
                finished: source.finished(source.now(asked)),
                took: now.since(asked),
                result,
                is_broken,
            };
            // The receiver is gone only when the engine has ended.
            let _ = answers.send((id, answer)).await;
        };
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        tasks.spawn_on(request, &self.runtime);
    }

    /// A spike in what comes next; `false` when the source can't have one.
    pub fn inject(&self) -> bool {
        let now = self.source.now(self.clock.now());
        self.source.inject(self.settings.due(now, Duration::ZERO))
    }

    /// A recording begins to play.
    pub fn play(&self) {
        self.source.play(self.clock.now());
    }

    /// How far the running fetch of history is, 0 to 1.
    pub fn progress(&self) -> f64 {
        *self.progress.borrow()
    }

    /// Ends what is under way and waits until it has ended.
    pub async fn stop(&self) {
        let mut tasks =
            std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        tasks.shutdown().await;
    }
}

impl Collecting {
    /// First and last row of a look when `due` is the newest row. After a long absence no more is asked for than is kept.
    fn recent(&self, wanted: &Wanted, due: Time) -> (Time, Time) {
        let steps = |rows: usize| {
            self.step
                .saturating_mul(u32::try_from(rows).unwrap_or(u32::MAX))
        };
        let backlog = steps(self.backlog);
        let from = wanted
            .from
            .unwrap_or(due - backlog)
            .max(due - backlog.max(self.history.period.0))
            // Under a clock that was set back nothing new is due, but a look is what tells whether the source works, and what
            // samples the host.
            .min(due);
        let last = from + steps(wanted.most.max(1) - 1);
        (from, due.min(last))
    }
}

/// Ends when a fetch, looked at every so often, has made no progress for `limit`.
async fn stands_still(mut progress: watch::Receiver<f64>, every: Duration, limit: Duration) {
    let mut still = Duration::ZERO;
    while still < limit {
        tokio::time::sleep(every).await;
        let moved = progress.has_changed().unwrap_or(false);
        progress.mark_unchanged();
        still = if moved { Duration::ZERO } else { still + every };
    }
}

/// The message of a panic.
pub fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::*;
    use crate::engine::clock::ManualClock;
    use crate::source::recording::Recording;
    use crate::source::replay::{PlayFrom, ReplaySource};

    fn collector(answers: mpsc::Sender<(PipelineId, Answer)>) -> Collector {
        let recording = Recording {
            times: (0..10).map(|row| Time::from_secs(60 * row)).collect(),
            columns: vec!["cpu".into()],
            values: Array2::zeros((10, 1)),
        };
        let wall = Time::from_secs(1_800_000_000);
        // It has ended as soon as it begins.
        let (from, speed) = (PlayFrom::Fraction(0.5), 0.0);
        let source = ReplaySource::new(&recording, "test".into(), from, speed, wall, None);
        let source = Source::Replay(Box::new(source.unwrap().paused()));
        let settings = Collecting::of(&Config::default(), &source);
        let clock = Arc::new(ManualClock::at(wall));
        Collector::new(PipelineId::Live, source, settings, clock, answers)
    }

    #[tokio::test]
    async fn a_play_counts_for_the_next_look() {
        let (answers, mut answered) = mpsc::channel(16);
        let collector = collector(answers);
        let look = || Wanted {
            from: None,
            most: usize::MAX,
            schema: None,
        };
        collector.look(look());
        assert!(!answered.recv().await.unwrap().1.finished);
        collector.play();
        collector.look(look());
        assert!(answered.recv().await.unwrap().1.finished);
    }

    #[tokio::test]
    async fn a_request_that_panics_is_an_answer_and_the_next_one_is_asked() {
        let (answers, mut answered) = mpsc::channel(16);
        let collector = collector(answers);
        let wall = Time::from_secs(1_800_000_000);
        for kind in [Kind::Recent, Kind::History] {
            collector.run(kind, wall, (wall, wall), async { panic!("row {}", 7) });
            let (_, answer) = answered.recv().await.unwrap();
            assert_eq!((answer.kind, answer.is_broken), (kind, true));
            let told = answer.result.unwrap_err().to_string();
            assert!(told.contains("panic: row 7"), "{told}");
        }
        collector.run(Kind::Recent, wall, (wall, wall), async {
            Ok(Ok(Batch::default()))
        });
        assert!(answered.recv().await.unwrap().1.result.is_ok());
    }

    #[tokio::test]
    async fn a_fetch_without_progress_is_given_up_and_one_with_progress_is_not() {
        let progress = watch::Sender::new(0.0);
        let (every, limit) = (Duration::from_millis(5), Duration::from_millis(200));
        let moving = async {
            for part in 1..=20 {
                tokio::time::sleep(every * 4).await;
                progress.send_replace(f64::from(part) / 20.0);
            }
        };
        tokio::select! {
            () = stands_still(progress.subscribe(), every, limit) => panic!("it moved"),
            () = moving => {}
        }
        let began = std::time::Instant::now();
        stands_still(progress.subscribe(), every, limit).await;
        assert!(began.elapsed() >= limit);
    }

    #[tokio::test]
    async fn what_is_under_way_has_ended_when_it_was_stopped() {
        let (answers, _answered) = mpsc::channel(16);
        let collector = collector(answers);
        let held = Arc::new(());
        let inside = Arc::clone(&held);
        let wall = Time::from_secs(1_800_000_000);
        collector.run(Kind::History, wall, (wall, wall), async move {
            let endless = std::future::pending().await;
            drop(inside);
            endless
        });
        collector.stop().await;
        assert_eq!(Arc::strong_count(&held), 1);
    }

    #[test]
    fn a_long_absence_is_asked_for_in_parts() {
        let config = Config::default();
        let settings = Collecting {
            step: Duration::from_secs(60),
            latency: Duration::ZERO,
            backlog: 500,
            patience: LOOK_LIMIT,
            history: config.history,
        };
        let now = Time::from_secs(60 * 10_000);
        let wanted = |from: Option<i64>, most| Wanted {
            from: from.map(|row| Time::from_secs(60 * row)),
            most,
            schema: None,
        };
        let rows = |wanted| {
            let (from, to) = settings.recent(&wanted, now);
            (from.millis() / 60_000, to.millis() / 60_000)
        };
        assert_eq!(rows(wanted(None, usize::MAX)), (9_500, 10_000));
        assert_eq!(rows(wanted(Some(8_000), 100)), (8_000, 8_099));
        assert_eq!(rows(wanted(Some(9_901), 100)), (9_901, 10_000));
        assert_eq!(rows(wanted(Some(10_001), 100)), (10_000, 10_000));
    }
}
