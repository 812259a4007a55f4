//! Training in the background: one job at a time on its own thread, the newest request of a pipeline replaces its queued
//! one, cancel is checked at every batch.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::{oneshot, watch};

use super::cleaning::{self, LeftOut};
use super::learn::{self, LearnError, Learned};
use super::promotion;
use super::training::Training;
use crate::config::Config;
use crate::domain::{Decision, Frame, PipelineId, Time, TrainingView};
use crate::model::{Bundle, Progress};

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
            let result = teach(job, &mut Training::new(&stop, &mut hear));
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

    /// Stops everything.
    pub fn cancel_all(&mut self) {
        for pipeline in [PipelineId::Live, PipelineId::Test] {
            self.cancel(pipeline);
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

    /// Waits for news: `None` is progress, `Some` the end of a job. Waits for ever when nothing runs.
    pub async fn next(&mut self) -> Option<Ended> {
        let Some(running) = &mut self.running else {
            return std::future::pending().await;
        };
        let result = tokio::select! {
            biased;
            result = &mut running.done => result.unwrap_or(Err(LearnError::Lost)),
            Ok(()) = running.heard.changed() => return None,
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

/// What watches has precedence over what learns. Where the system does not allow it, training is merely less polite.
fn give_way() {
    #[cfg(unix)]
    if let Err(error) = rustix::process::setpriority_process(None, 10) {
        tracing::debug!(%error, "training keeps the priority of the rest");
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
}
