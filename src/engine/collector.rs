//! The task that owns a source: it is asked, works, and answers, one thing at a time.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc, watch};

use super::clock::Clock;
use crate::config::{Config, HistoryConfig};
use crate::domain::{Grid, PipelineId, Schema, Time};
use crate::source::any::Source;
use crate::source::{Batch, Collect, SourceError};

/// What a collector is asked for.
#[derive(Clone, Debug)]
pub enum Ask {
    /// Rows from `from` (`None`: `backlog` steps back) up to the newest grid time that is due.
    Recent {
        /// Oldest row wanted.
        from: Option<Time>,
        /// Columns wanted.
        schema: Option<Schema>,
    },
    /// All that is to be learned from.
    History {
        /// Columns wanted.
        schema: Option<Schema>,
    },
    /// A spike in what comes next.
    Inject,
}

/// What it answers.
#[derive(Debug)]
pub struct Answer {
    /// History rather than recent rows.
    pub history: bool,
    /// The source's clock when it was asked.
    pub now: Time,
    /// The newest grid time that was due then.
    pub due: Time,
    /// Nothing will come after this.
    pub finished: bool,
    /// How long it took.
    pub took: Duration,
    /// What was collected.
    pub result: Result<Batch, SourceError>,
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
            history: config.history.clone(),
        }
    }

    /// The newest grid time that is due at `now`.
    pub fn due(&self, now: Time) -> Time {
        Grid::align(now - self.latency, self.step)
    }

    /// The stretches to learn from, as seen at `now`: the explicit ones as far as they are past, or the last `period`.
    pub fn periods(&self, now: Time) -> Vec<(Time, Time)> {
        let due = self.due(now);
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

/// The way to a collector's task.
#[derive(Debug)]
pub struct Collector {
    asks: mpsc::Sender<Ask>,
    play: Arc<Notify>,
    progress: watch::Receiver<f64>,
}

impl Collector {
    /// Starts the task; its answers go to `answers`. It ends when the collector is dropped.
    pub fn start(
        id: PipelineId,
        source: Source,
        settings: Collecting,
        clock: Arc<dyn Clock>,
        answers: mpsc::Sender<(PipelineId, Answer)>,
    ) -> Self {
        let (asks, mut inbox) = mpsc::channel(4);
        let (progress_in, progress) = watch::channel(0.0);
        let play = Arc::new(Notify::new());
        let played = Arc::clone(&play);
        tokio::spawn(async move {
            loop {
                let ask = tokio::select! {
                    biased;
                    () = played.notified() => {
                        source.play(clock.now());
                        continue;
                    }
                    ask = inbox.recv() => ask,
                };
                let Some(ask) = ask else { break };
                let Some(answer) = answer(&source, &settings, &*clock, &progress_in, ask).await
                else {
                    continue;
                };
                if answers.send((id, answer)).await.is_err() {
                    break;
                }
            }
        });
        Self {
            asks,
            play,
            progress,
        }
    }

    /// Queues a question; `false` when it is still busy with earlier ones.
    pub fn ask(&self, ask: Ask) -> bool {
        self.asks.try_send(ask).is_ok()
    }

    /// A recording begins to play, before the next question is answered. However busy the task is, the wish is kept.
    pub fn play(&self) {
        self.play.notify_one();
    }

    /// How far the running history collection is, 0 to 1.
    pub fn progress(&self) -> f64 {
        *self.progress.borrow()
    }
}

async fn answer(
    source: &Source,
    settings: &Collecting,
    clock: &dyn Clock,
    progress: &watch::Sender<f64>,
    ask: Ask,
) -> Option<Answer> {
    let wall = clock.now();
    let now = source.now(wall);
    let due = settings.due(now);
    let (history, result) = match ask {
        Ask::Inject => {
            source.inject(due);
            return None;
        }
        Ask::Recent { from, schema } => {
            let backlog = settings
                .step
                .saturating_mul(u32::try_from(settings.backlog).unwrap_or(u32::MAX));
            // After a long absence no more is asked for than is kept.
            let from = from
                .unwrap_or(due - backlog)
                .max(due - backlog.max(settings.history.period.0));
            let asked = if from > due {
                Ok(Batch::default())
            } else {
                source.recent(from, due, now, schema.as_ref()).await
            };
            (false, asked)
        }
        Ask::History { schema } => {
            progress.send_replace(0.0);
            let heard = |part: f64| {
                progress.send_replace(part);
            };
            (
                true,
                source
                    .history(&settings.periods(now), schema.as_ref(), &heard)
                    .await,
            )
        }
    };
    let finished = source.finished(now);
    Some(Answer {
        history,
        now,
        due,
        finished,
        took: clock.now().since(wall),
        result,
    })
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::*;
    use crate::engine::clock::ManualClock;
    use crate::source::recording::Recording;
    use crate::source::replay::{PlayFrom, ReplaySource};

    /// One thread: the task can't take anything as long as the test does not wait.
    #[tokio::test]
    async fn a_play_is_not_lost_when_the_queue_is_full() {
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
        let (answers, mut answered) = mpsc::channel(16);
        let collector = Collector::start(PipelineId::Live, source, settings, clock, answers);
        let look = || Ask::Recent {
            from: None,
            schema: None,
        };
        assert!(collector.ask(look()));
        assert!(!answered.recv().await.unwrap().1.finished);
        while collector.ask(look()) {}
        collector.play();
        assert!(answered.recv().await.unwrap().1.finished);
    }
}
