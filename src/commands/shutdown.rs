//! Ends a session: waits for what it started, says what it waits for, and lets a second signal end the program at once.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use futures::FutureExt as _;
use tokio::time::{Instant, interval_at, sleep};

use super::signals::StopSignals;
use super::supervise::{EngineEnd, Failure};
use crate::domain::{Command, Control, ControlError};

/// How often it is said what is waited for.
const REPORT: Duration = Duration::from_secs(10);

/// A signal ended the program before what it had started was done. What is on disk is whole; the newest rows may be missing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{signal}: ended at once, without waiting for {what}")]
pub struct Interrupted {
    /// The signal's name.
    pub signal: &'static str,
    /// What was not waited for.
    pub what: &'static str,
}

/// The end of one session.
pub struct Shutdown<'s> {
    signals: &'s mut StopSignals,
    quits: bool,
}

impl<'s> Shutdown<'s> {
    /// Begins the end: of the program when it `quits`, else before a new session. Signals that have come by now asked for this
    /// end; only those that follow are further ones.
    pub fn begin(signals: &'s mut StopSignals, quits: bool) -> Self {
        if quits {
            while signals.next().now_or_never().is_some() {}
        }
        Self { signals, quits }
    }

    /// The program ends after this session: it was to, or a signal has asked for it meanwhile.
    pub const fn quits(&self) -> bool {
        self.quits
    }

    /// Tells the engine to stop and waits until it has.
    ///
    /// # Errors
    /// [`Interrupted`] by a signal; within, the engine's own [`Failure`].
    pub async fn engine(
        &mut self,
        end: EngineEnd,
        control: &dyn Control,
    ) -> Result<Result<(), Failure>, Interrupted> {
        let stopped = async {
            // A full queue drains within a tick; an engine that has ended needs no command.
            while control.send(Command::Shutdown) == Err(ControlError::Busy) {
                sleep(Duration::from_millis(20)).await;
            }
            end.await
        };
        self.wait_for("the engine", stopped).await
    }

    /// Waits for the `end` of `what`, however long that takes.
    ///
    /// # Errors
    /// [`Interrupted`] by a signal when the program is to end anyway.
    pub async fn wait_for<T>(
        &mut self,
        what: &'static str,
        end: impl Future<Output = T>,
    ) -> Result<T, Interrupted> {
        let signals = &mut *self.signals;
        let next = async || signals.next().await;
        wait(what, end, &mut self.quits, next, REPORT).await
    }
}

async fn wait<T>(
    what: &'static str,
    end: impl Future<Output = T>,
    quits: &mut bool,
    mut next_signal: impl AsyncFnMut() -> &'static str,
    report: Duration,
) -> Result<T, Interrupted> {
    let began = Instant::now();
    let mut end = pin!(end);
    let mut reports = interval_at(began + report, report);
    loop {
        tokio::select! {
            biased;
            ended = &mut end => return Ok(ended),
            signal = next_signal() => {
                if *quits {
                    return Err(Interrupted { signal, what });
                }
                *quits = true;
                tracing::info!(signal, "the program ends and is not started anew");
            }
            _ = reports.tick() => tracing::warn!(
                "waiting for {what} to end for {} s; {} ends the program at once",
                began.elapsed().as_secs(),
                if *quits { "a second signal" } else { "two signals" },
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use tokio::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn a_second_signal_ends_the_wait_at_once() {
        let next = async || "SIGTERM";
        let ended = wait("the engine", pending::<()>(), &mut true, next, REPORT).await;
        let text = ended.unwrap_err().to_string();
        assert_eq!(
            text,
            "SIGTERM: ended at once, without waiting for the engine"
        );
    }

    #[tokio::test]
    async fn a_first_signal_during_a_reload_turns_it_into_the_end() {
        let (send, mut signals) = mpsc::channel(2);
        send.try_send("SIGTERM").unwrap();
        let (done, finished) = tokio::sync::oneshot::channel();
        let mut done = Some(done);
        let mut quits = false;
        let next = async || {
            // Asked again only once the first signal was taken in.
            if let Ok(signal) = signals.try_recv() {
                signal
            } else {
                done.take().map(|done| done.send(7));
                pending().await
            }
        };
        let ended = wait("the engine", finished, &mut quits, next, REPORT).await;
        assert_eq!((ended.unwrap().unwrap(), quits), (7, true));
    }

    #[tokio::test]
    async fn what_has_ended_is_not_interrupted() {
        let next = async || "SIGINT";
        let ended = wait("the engine", ready(1), &mut true, next, REPORT).await;
        assert_eq!(ended, Ok(1));
    }

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn a_long_wait_says_what_it_waits_for() {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(move || writer.clone())
            .finish();
        let _logging = tracing::subscriber::set_default(subscriber);
        let said = || String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        let end = async {
            while !said().contains("waiting for the engine to end") {
                sleep(Duration::from_millis(1)).await;
            }
        };
        let next = async || pending().await;
        let report = Duration::from_millis(5);
        wait("the engine", end, &mut true, next, report)
            .await
            .unwrap();
        assert!(said().contains("WARN"), "{}", said());
    }
}
