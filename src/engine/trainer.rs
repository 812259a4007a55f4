//! Training in the background: one job at a time on its own thread, the newest request of a pipeline replaces its queued
//! one, cancel is checked at every batch.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio::time::Instant;

use super::cleaning::{self, LeftOut};
use super::collector::panic_text;
use super::learn::{self, LearnError, Learned};
use super::promotion;
use super::training::Training;
use crate::config::Config;
use crate::domain::{Decision, Frame, PipelineId, Time, TrainingView};
use crate::model::{Bundle, Progress};

/// Between two pieces of news of a running training: a batch may take a millisecond, and each piece makes a snapshot.
const NEWS: Duration = Duration::from_millis(100);

/// A training that makes no progress for this long is given up.
const STILL_LIMIT: Duration = Duration::from_mins(30);

/// How long the end of the engine waits for a training that was cancelled.
const STOP: Duration = Duration::from_secs(10);

/// What is to be learned from.
#[derive(Debug)]
pub struct Job {
    /// For which pipeline.
    pub pipeline: PipelineId,
    /// Raw history.
    pub frames: Vec<Frame>,
    /// What of it is not learned from.
    pub out: LeftOut,
    /// The model that scores, if any: its version and what the new one is compared with.
    pub champion: Option<(String, Bundle)>,
    /// Settings.
    pub config: Arc<Config>,
}

/// A new model, and whether it is to score.
#[derive(Debug)]
pub struct Taught {
    /// The model.
    pub learned: Learned,
    /// What becomes of it.
    pub decision: Decision,
}

#[derive(Clone, Debug, Default)]
struct Heard {
    epoch: usize,
    epochs: usize,
    progress: f64,
    losses: Vec<f64>,
}

struct Running {
    pipeline: PipelineId,
    champion: Option<String>,
    started: Time,
    cancel: Arc<AtomicBool>,
    heard: watch::Receiver<Heard>,
    /// When it made progress last, or was begun.
    moved: Instant,
    done: oneshot::Receiver<Result<Taught, LearnError>>,
}

/// A training that ended.
#[derive(Debug)]
pub struct Ended {
    /// For which pipeline.
    pub pipeline: PipelineId,
    /// When it began.
    pub started: Time,
    /// Version of the model that its own was compared with, if any.
    pub champion: Option<String>,
    /// The model, or why there is none.
    pub result: Result<Taught, LearnError>,
    /// Validation loss of each pass over the windows, of the last network that was trained.
    pub losses: Vec<f64>,
}

/// The trainer: at most one running job and one queued per pipeline.
#[derive(Default)]
pub struct Trainer {
    running: Option<Running>,
    queue: VecDeque<Job>,
}

impl Trainer {
    /// Queues a job, in place of an older one of the same pipeline, and starts it when nothing runs.
    pub fn request(&mut self, job: Job, now: Time) {
        self.queue.retain(|queued| queued.pipeline != job.pipeline);
        self.queue.push_back(job);
        self.start_next(now);
    }

    /// Starts the next queued job when nothing runs.
    pub fn start_next(&mut self, now: Time) {
        if self.running.is_some() {
            return;
        }
        let Some(job) = self.queue.pop_front() else {
            return;
        };
        let cancel = Arc::new(AtomicBool::new(false));
        let (heard_in, heard) = watch::channel(Heard::default());
        let (done_in, done) = oneshot::channel();
        let pipeline = job.pipeline;
        let champion = job.champion.as_ref().map(|(version, _)| version.clone());
        let stop = Arc::clone(&cancel);
        let run = move || {
            give_way();
            let mut hear = |progress: Progress| {
                heard_in.send_modify(|heard| heard.take(&progress));
            };
            let teach = || teach(job, &mut Training::new(&stop, &mut hear));
            let result = catch_unwind(AssertUnwindSafe(teach))
                .unwrap_or_else(|panic| Err(LearnError::Panic(panic_text(&*panic).to_owned())));
            // The receiver is gone only when the engine has ended.
            let _ = done_in.send(result);
        };
        let spawned = std::thread::Builder::new()
            .name("training".into())
            .spawn(run);
        if let Err(error) = spawned {
            tracing::error!(%error, "no thread for training");
        }
        self.running = Some(Running {
            pipeline,
            champion,
            started: now,
            cancel,
            heard,
            moved: Instant::now(),
            done,
        });
    }

    /// Stops a pipeline's running job and drops its queued one; whether there was any.
    pub fn cancel(&mut self, pipeline: PipelineId) -> bool {
        let queued = self.queue.len();
        self.queue.retain(|job| job.pipeline != pipeline);
        let running = self
            .running
            .as_ref()
            .filter(|running| running.pipeline == pipeline);
        if let Some(running) = running {
            running.cancel.store(true, Ordering::Relaxed);
        }
        running.is_some() || self.queue.len() < queued
    }

    /// Cancels everything and waits until the running job has ended: it looks at the flag after every batch.
    pub async fn stop(&mut self) {
        for pipeline in [PipelineId::Live, PipelineId::Test] {
            self.cancel(pipeline);
        }
        let Some(running) = self.running.take() else {
            return;
        };
        if tokio::time::timeout(STOP, running.done).await.is_err() {
            tracing::warn!(
                seconds = STOP.as_secs(),
                "the cancelled training has not ended; it is left behind"
            );
        }
    }

    /// Whether a job of this pipeline runs or waits.
    pub fn is_busy_with(&self, pipeline: PipelineId) -> bool {
        self.running
            .as_ref()
            .is_some_and(|r| r.pipeline == pipeline)
            || self.is_queued(pipeline)
    }

    fn is_queued(&self, pipeline: PipelineId) -> bool {
        self.queue.iter().any(|job| job.pipeline == pipeline)
    }

    /// How a pipeline's job goes, for the snapshot.
    pub fn view(&self, pipeline: PipelineId, now: Time) -> Option<TrainingView> {
        let queued = self.is_queued(pipeline);
        match self
            .running
            .as_ref()
            .filter(|running| running.pipeline == pipeline)
        {
            Some(running) => {
                let heard = running.heard.borrow().clone();
                Some(TrainingView {
                    started: running.started,
                    phase: "training the autoencoder".into(),
                    epoch: heard.epoch,
                    epochs: heard.epochs,
                    progress: heard.progress,
                    losses: heard.losses,
                    queued,
                })
            }
            None => queued.then(|| TrainingView {
                started: now,
                phase: "waiting for another training to end".into(),
                epoch: 0,
                epochs: 0,
                progress: 0.0,
                losses: Vec::new(),
                queued,
            }),
        }
    }

    /// Waits for news: `None` is progress, at most ten times a second; `Some` is the end of a job. Waits for ever when nothing
    /// runs. A job without progress for half an hour is given up: its thread is left behind and told to end.
    pub async fn next(&mut self) -> Option<Ended> {
        let Some(running) = &mut self.running else {
            return std::future::pending().await;
        };
        let (news, still) = (running.moved + NEWS, running.moved + STILL_LIMIT);
        let moved = async {
            tokio::time::sleep_until(news).await;
            if running.heard.changed().await.is_err() {
                // The job is about to be done.
                std::future::pending::<()>().await;
            }
        };
        let result = tokio::select! {
            biased;
            result = &mut running.done => result.unwrap_or(Err(LearnError::Lost)),
            () = moved => {
                running.moved = Instant::now();
                return None;
            }
            () = tokio::time::sleep_until(still) => {
                running.cancel.store(true, Ordering::Relaxed);
                Err(LearnError::Still(STILL_LIMIT))
            }
        };
        let (pipeline, started) = (running.pipeline, running.started);
        let champion = running.champion.take();
        let losses = running.heard.borrow().losses.clone();
        self.running = None;
        Some(Ended {
            pipeline,
            started,
            champion,
            result,
            losses,
        })
    }
}

/// A job from its first row to the decision over its model.
fn teach(job: Job, training: &mut Training<'_>) -> Result<Taught, LearnError> {
    let Job {
        frames,
        out,
        champion,
        config,
        ..
    } = job;
    let mut prepared = learn::prepare(frames, &out, &config)?;
    let learned = cleaning::refine(&mut prepared, &out, &config, training)?;
    let champion = champion.as_ref().map(|(_, bundle)| bundle);
    let decision = promotion::decide(&prepared, &learned, champion, false, &config)?;
    Ok(Taught { learned, decision })
}

/// Lowers the priority of this thread: scoring has precedence over training and forecasting. Where the system does not allow
/// it, the thread keeps the priority of the process.
pub fn give_way() {
    #[cfg(unix)]
    if let Err(error) = rustix::process::setpriority_process(None, 10) {
        tracing::debug!(%error, "a background thread keeps the priority of the process");
    }
}

impl Heard {
    fn take(&mut self, progress: &Progress) {
        match progress.val_loss {
            // A network's first pass: what was heard before is of another one.
            None => self.losses.clear(),
            Some(loss) => {
                // During a pass the loss is that of the one before.
                let done = progress
                    .epoch
                    .saturating_sub(usize::from(progress.fraction < 1.0));
                self.losses.resize(done, loss);
                if let Some(last) = self.losses.last_mut() {
                    *last = loss;
                }
            }
        }
        (self.epoch, self.epochs) = (progress.epoch, progress.epochs);
        let whole = progress.epoch.saturating_sub(1) as f64 + progress.fraction;
        self.progress = (whole / progress.epochs.max(1) as f64).clamp(0.0, 1.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Outcome = Result<Taught, LearnError>;

    #[test]
    fn each_pass_has_one_loss_and_the_next_network_begins_anew() {
        let mut heard = Heard::default();
        let mut hear = |epoch, fraction, val_loss| {
            heard.take(&Progress {
                epoch,
                epochs: 4,
                fraction,
                train_loss: 1.0,
                val_loss,
            });
            heard.losses.clone()
        };
        assert!(hear(1, 0.5, None).is_empty());
        assert_eq!(hear(1, 1.0, Some(0.9)), [0.9]);
        assert_eq!(hear(2, 0.5, Some(0.9)), [0.9]);
        hear(2, 1.0, Some(0.9));
        assert_eq!(hear(2, 1.0, Some(0.5)), [0.9, 0.5]);
        assert_eq!(hear(3, 0.1, Some(0.5)), [0.9, 0.5]);
        assert!(hear(1, 0.1, None).is_empty());
        assert!(hear(0, 0.5, Some(0.5)).is_empty(), "before the first pass");
    }

    #[tokio::test]
    async fn a_training_without_progress_is_given_up_and_one_with_progress_is_not() {
        let (progress, heard) = watch::channel(Heard::default());
        let (_done, done) = oneshot::channel::<Outcome>();
        let mut trainer = Trainer::default();
        let soon = Duration::from_millis(300);
        trainer.running = Some(Running {
            pipeline: PipelineId::Live,
            champion: None,
            started: Time::from_secs(0),
            cancel: Arc::default(),
            heard,
            moved: Instant::now() + soon - STILL_LIMIT,
            done,
        });
        let cancel = Arc::clone(&trainer.running.as_ref().unwrap().cancel);
        progress.send_modify(|heard| heard.epoch += 1);
        assert!(trainer.next().await.is_none(), "it makes progress");
        let moved = trainer.running.as_mut().unwrap();
        assert!(
            moved.moved.elapsed() < STILL_LIMIT / 2,
            "it is given time anew"
        );
        moved.moved = Instant::now() + soon - STILL_LIMIT;
        let ended = trainer.next().await.unwrap();
        assert!(matches!(ended.result, Err(LearnError::Still(STILL_LIMIT))));
        assert!(cancel.load(Ordering::Relaxed), "its thread is told to end");
        assert!(!trainer.is_busy_with(PipelineId::Live));
    }
}
