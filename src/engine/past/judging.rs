//! Judges the history in the background, one job at a time.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::{Job, Past, judge};
use crate::engine::EngineError;
use crate::engine::collector::panic_text;
use crate::engine::learn::LearnError;
use crate::engine::trainer::give_way;
use crate::model::TrainError;

/// A job that has not ended after this long is given up.
const LONGEST: Duration = Duration::from_mins(30);
/// How long the end of the engine waits for a job that was told to end.
const STOP: Duration = Duration::from_secs(10);

/// The history as it was judged, or why it was not; `None` when the job was cancelled.
pub type Ended = Option<Result<Past, String>>;

/// The job under way.
struct Running {
    cancel: Arc<AtomicBool>,
    began: Instant,
    done: oneshot::Receiver<Ended>,
}

/// Judges one history at a time.
#[derive(Default)]
pub struct Judging {
    running: Option<Running>,
}

impl Judging {
    /// Whether a job is under way.
    pub const fn is_busy(&self) -> bool {
        self.running.is_some()
    }

    /// Starts a job; there must be none under way.
    pub fn start(&mut self, job: Job) {
        let (done, ended) = oneshot::channel();
        let cancel = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&cancel);
        let work = move || {
            give_way();
            let judged = catch_unwind(AssertUnwindSafe(|| judge(&job, &stop)));
            let ended = match judged {
                Ok(Ok(past)) => Some(Ok(past)),
                Ok(Err(EngineError::Learn(LearnError::Train(TrainError::Cancelled)))) => None,
                Ok(Err(error)) => Some(Err(error.to_string())),
                Err(panic) => Some(Err(format!("a panic: {}", panic_text(&*panic)))),
            };
            // The receiver is gone only when the engine has ended.
            let _ = done.send(ended);
        };
        let spawned = std::thread::Builder::new().name("past".into()).spawn(work);
        if let Err(error) = spawned {
            tracing::error!(%error, "no thread to judge the history");
        }
        self.running = Some(Running {
            cancel,
            began: Instant::now(),
            done: ended,
        });
    }

    /// Tells the job under way to end: another model is about to be trained.
    pub fn cancel(&self) {
        if let Some(running) = &self.running {
            running.cancel.store(true, Ordering::Relaxed);
        }
    }

    /// Waits for the job to end, and tells how long it took; for ever when there is none.
    pub async fn next(&mut self) -> (Ended, Duration) {
        let Some(running) = &mut self.running else {
            return std::future::pending().await;
        };
        let outcome = tokio::time::timeout_at(running.began + LONGEST, &mut running.done).await;
        let ended = match outcome {
            Ok(Ok(ended)) => ended,
            Ok(Err(_)) => Some(Err("its thread could not be started".into())),
            Err(_) => {
                running.cancel.store(true, Ordering::Relaxed);
                let minutes = LONGEST.as_secs() / 60;
                Some(Err(format!("it took over {minutes} min and was given up")))
            }
        };
        let took = running.began.elapsed();
        self.running = None;
        (ended, took)
    }

    /// Cancels the job and waits until it has ended.
    pub async fn stop(&mut self) {
        self.cancel();
        let Some(running) = self.running.take() else {
            return;
        };
        if tokio::time::timeout(STOP, running.done).await.is_err() {
            tracing::warn!(
                seconds = STOP.as_secs(),
                "judging the history has not ended; it is left behind"
            );
        }
    }
}
