//! Supervises what a run started: an engine that fails ends the run with an error, a listener that ends is started again.

use std::any::Any;
use std::fmt::Display;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::thread;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use crate::domain::{Component, HealthBoard};
use crate::engine::clock::{Clock as _, WallClock};

/// How often the engine's snapshots are looked at.
pub const LOOK: Duration = Duration::from_secs(1);

/// Looks in a row without a new snapshot after which the engine counts as hanging. Looks are counted and not seconds: while
/// the process is stopped (Ctrl-Z, a frozen control group) there are none.
pub const SILENT_LOOKS: u32 = 60;

/// How a listener is started again.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    /// First pause; each failure soon after the last doubles it.
    pub first: Duration,
    /// Longest pause.
    pub longest: Duration,
    /// What has worked for so long after a failure has recovered.
    pub steady: Duration,
}

/// How the run's listener is started again.
pub const BACKOFF: Backoff = Backoff {
    first: Duration::from_secs(1),
    longest: Duration::from_secs(60),
    steady: Duration::from_secs(10),
};

/// Why a run can't go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// A part of the program panicked.
    #[error(
        "{part} failed and the program ends: {cause}; this is an error in the program, please report it with this line"
    )]
    Panicked {
        /// Which part.
        part: &'static str,
        /// The panic's message.
        cause: String,
    },
    /// The engine publishes nothing any more.
    #[error(
        "the engine hangs: no snapshot was published for {} s; the program ends so that it can be started again",
        .0.as_secs()
    )]
    Silent(Duration),
}

/// The end of the engine's task, which several may wait for. It is an error when the task panicked.
pub type EngineEnd = Shared<BoxFuture<'static, Result<(), Failure>>>;

/// Makes the end of an engine's `task` something that can be waited for more than once.
pub fn engine_end<E: Display>(
    task: impl Future<Output = Result<(), E>> + Send + 'static,
) -> EngineEnd {
    task.map(|ended| {
        ended.map_err(|error| Failure::Panicked {
            part: "the engine",
            cause: one_line(&error.to_string()),
        })
    })
    .boxed()
    .shared()
}

/// Waits for the engine's end, or until it has published nothing for `looks` looks in a row, `every` apart.
///
/// # Errors
/// [`Failure`]: the engine panicked, or hangs.
pub async fn engine<T: Send + Sync + 'static>(
    end: EngineEnd,
    snapshots: watch::Receiver<T>,
    every: Duration,
    looks: u32,
) -> Result<(), Failure> {
    tokio::select! {
        ended = end => ended,
        Ok(()) = silence(snapshots, every, looks) => Err(Failure::Silent(every.saturating_mul(looks))),
    }
}

/// Resolves when `snapshots` had nothing new for `looks` looks in a row; never when they end first. The looks are those of a
/// thread of its own: one that shared the runtime's threads would hang with them.
fn silence<T: Send + Sync + 'static>(
    mut snapshots: watch::Receiver<T>,
    every: Duration,
    looks: u32,
) -> oneshot::Receiver<()> {
    let (silent, heard) = oneshot::channel();
    let look = move || {
        let mut count = 0;
        while count < looks && !silent.is_closed() {
            thread::sleep(every);
            match snapshots.has_changed() {
                Ok(true) => {
                    snapshots.mark_unchanged();
                    count = 0;
                }
                Ok(false) => count += 1,
                // The task has ended, and its end says how.
                Err(_) => return,
            }
        }
        // Nobody waits any more when this fails.
        let _ = silent.send(());
    };
    if let Err(error) = thread::Builder::new().name("watchdog".into()).spawn(look) {
        tracing::warn!(
            "an engine that hangs will not be noticed: no thread could be started: {error}"
        );
    }
    heard
}

/// Runs `work`; a panic in it becomes an error.
///
/// # Errors
/// [`Failure::Panicked`], after everything that `work` held has been dropped.
pub async fn caught<T>(part: &'static str, work: impl Future<Output = T>) -> Result<T, Failure> {
    let caught = AssertUnwindSafe(work).catch_unwind().await;
    caught.map_err(|payload| Failure::Panicked {
        part,
        cause: one_line(message(&*payload)),
    })
}

/// Keeps a listener running until `stopped` says true: when the task that `start` spawns ends or panics, it is started again
/// after a pause. Failures and recovery are logged and reported to `health`.
pub async fn listener<E: Display>(
    mut start: impl FnMut() -> std::io::Result<JoinHandle<Result<(), E>>>,
    mut stopped: watch::Receiver<bool>,
    health: HealthBoard,
    backoff: Backoff,
) {
    let mut pause = backoff.first;
    loop {
        let began = Instant::now();
        let why = match start() {
            Err(error) => format!("its socket can't be used: {error}"),
            Ok(mut task) => {
                let ended = tokio::select! {
                    ended = &mut task => ended,
                    () = recovered(&health, backoff.steady) => task.await,
                };
                match ended {
                    _ if *stopped.borrow() => return,
                    Ok(Ok(())) => "it ended by itself".to_owned(),
                    Ok(Err(error)) => error.to_string(),
                    Err(error) => one_line(&error.to_string()),
                }
            }
        };
        if began.elapsed() > backoff.steady {
            pause = backoff.first;
        }
        let text = format!("the HTTP listener failed: {why}; it is started again in {pause:?}");
        tracing::error!("{text}");
        health.fail(Component::Listener, WallClock.now(), text);
        tokio::select! {
            () = sleep(pause) => {}
            // The sender outlives this; if it were gone, there would be nothing to serve either.
            _ = stopped.wait_for(|stop| *stop) => return,
        }
        pause = (pause * 2).min(backoff.longest);
        health.restarted(Component::Listener);
    }
}

/// Reports the listener as working: at once when it never failed, after `steady` when it did.
async fn recovered(health: &HealthBoard, steady: Duration) {
    let view = health.view();
    let listener = view
        .iter()
        .find(|part| part.component == Component::Listener);
    if listener.is_some_and(|part| part.fault.is_some()) {
        sleep(steady).await;
    }
    if health.recover(Component::Listener).is_some() {
        tracing::info!("the HTTP listener works again");
    }
}

/// What a panic said.
fn message(payload: &(dyn Any + Send)) -> &str {
    payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a panic without a message")
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    const SOON: Duration = Duration::from_millis(2);

    #[tokio::test]
    async fn an_engine_that_panics_is_an_error_for_everyone_who_waits() {
        let (_publish, snapshots) = watch::channel(0);
        let end = engine_end(tokio::spawn(async { panic!("row 7 of nothing") }));
        let failed = engine(end.clone(), snapshots, LOOK, SILENT_LOOKS).await;
        let text = failed.unwrap_err().to_string();
        assert!(text.contains("the engine failed"), "{text}");
        assert!(text.contains("row 7 of nothing"), "{text}");
        assert!(end.await.is_err(), "also for who waits later");
    }

    #[tokio::test]
    async fn an_engine_that_ends_is_no_error() {
        let (publish, snapshots) = watch::channel(0);
        let end = engine_end(tokio::spawn(async move { drop(publish) }));
        assert_eq!(engine(end, snapshots, SOON, 1).await, Ok(()));
    }

    #[tokio::test]
    async fn an_engine_that_publishes_nothing_hangs() {
        let (_publish, snapshots) = watch::channel(0);
        let end = engine_end(std::future::pending::<Result<(), Infallible>>());
        let failed = engine(end, snapshots, SOON, 5).await;
        assert_eq!(failed, Err(Failure::Silent(SOON * 5)));
    }

    /// All of the runtime's threads are blocked, which is how an engine hangs in earnest.
    #[test]
    fn a_hang_is_noticed_when_every_worker_is_blocked() {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let (release, held) = std::sync::mpsc::channel::<()>();
        let (_publish, snapshots) = watch::channel(0);
        let end = engine_end(runtime.spawn(async move {
            let _ = held.recv();
        }));
        let failed = runtime.block_on(engine(end, snapshots, SOON, 5));
        assert_eq!(failed, Err(Failure::Silent(SOON * 5)));
        drop(release);
    }

    #[tokio::test]
    async fn an_engine_that_publishes_now_and_then_does_not_hang() {
        let (publish, snapshots) = watch::channel(0);
        let task = tokio::spawn(async move {
            for revision in 0..40 {
                publish.send_replace(revision);
                sleep(SOON).await;
            }
        });
        let end = engine_end(task);
        assert_eq!(engine(end, snapshots, SOON, 30).await, Ok(()));
    }

    #[tokio::test]
    async fn a_panic_of_the_screen_is_an_error_and_what_it_held_is_dropped_first() {
        struct Given(Arc<AtomicU32>);
        impl Drop for Given {
            fn drop(&mut self) {
                self.0.fetch_add(1, Ordering::SeqCst);
            }
        }
        let back = Arc::new(AtomicU32::new(0));
        let held = Given(Arc::clone(&back));
        let work = async move {
            let _held = held;
            tokio::task::yield_now().await;
            assert!(!back_is_wanted(), "no such pane");
        };
        let failed = caught("the screen", work).await.unwrap_err();
        assert_eq!(back.load(Ordering::SeqCst), 1);
        assert!(failed.to_string().contains("the screen failed"), "{failed}");
        assert!(failed.to_string().contains("no such pane"), "{failed}");
    }

    fn back_is_wanted() -> bool {
        true
    }

    fn fault(health: &HealthBoard) -> Option<String> {
        let view = health.view();
        let part = view.first()?;
        part.fault.as_ref().map(|fault| fault.text.clone())
    }

    fn restarts(health: &HealthBoard) -> u64 {
        health.view().first().map_or(0, |part| part.restarts)
    }

    async fn until(what: &str, wanted: impl Fn() -> bool) {
        for _ in 0..5000 {
            if wanted() {
                return;
            }
            sleep(SOON).await;
        }
        panic!("never {what}");
    }

    const QUICK: Backoff = Backoff {
        first: SOON,
        longest: Duration::from_millis(8),
        steady: Duration::from_millis(200),
    };

    #[tokio::test]
    async fn a_listener_that_fails_is_started_again_and_reported_until_it_holds() {
        let health = HealthBoard::default();
        let (stop, stopped) = watch::channel(false);
        let (go, gone) = watch::channel(0_u32);
        let mut count = 0;
        let start = {
            let stopped = stopped.clone();
            move || {
                count += 1;
                let (turn, mut gone, mut stopped) = (count, gone.clone(), stopped.clone());
                Ok(tokio::spawn(async move {
                    let _ = gone.wait_for(|gone| *gone >= turn).await;
                    match turn {
                        1 => panic!("a bad request"),
                        2 => Err("no metrics"),
                        _ => {
                            let _ = stopped.wait_for(|stop| *stop).await;
                            Ok(())
                        }
                    }
                }))
            }
        };
        let task = tokio::spawn(listener(start, stopped, health.clone(), QUICK));
        let says = |text: &str| fault(&health).is_some_and(|fault| fault.contains(text));
        until("it works at once", || {
            !health.view().is_empty() && fault(&health).is_none()
        })
        .await;
        go.send_replace(1);
        until("the panic is reported", || says("a bad request")).await;
        until("it is started again", || restarts(&health) == 1).await;
        go.send_replace(2);
        until("the error is reported", || says("no metrics")).await;
        assert!(says("started again in 4ms"), "the pause has doubled");
        go.send_replace(3);
        until("it has recovered", || fault(&health).is_none()).await;
        assert_eq!(restarts(&health), 2);
        stop.send_replace(true);
        task.await.unwrap();
    }

    #[tokio::test]
    async fn a_listener_that_can_not_start_does_not_hold_up_the_end() {
        let (stop, stopped) = watch::channel(false);
        let start = || -> std::io::Result<JoinHandle<Result<(), Infallible>>> {
            Err(std::io::Error::other("no descriptors"))
        };
        let health = HealthBoard::default();
        let task = tokio::spawn(listener(start, stopped, health.clone(), QUICK));
        until("the longest pause", || {
            fault(&health)
                .is_some_and(|text| text.contains("no descriptors") && text.contains("in 8ms"))
        })
        .await;
        stop.send_replace(true);
        task.await.unwrap();
    }
}
