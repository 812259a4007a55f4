//! Waits for the signals that end a run without a screen, and for those that ask it to read its configuration anew.

use std::io;
use std::time::Duration;

#[cfg(unix)]
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Signals that ask for the end: SIGTERM and SIGINT, or Ctrl-C where there are none. Those that come while nobody waits are
/// kept (as one).
pub struct StopSignals {
    #[cfg(unix)]
    terminate: Signal,
    #[cfg(unix)]
    interrupt: Signal,
}

impl StopSignals {
    /// Begins to listen; from then on these signals do not end the process by themselves.
    ///
    /// # Errors
    /// When the system refuses a handler.
    #[cfg(unix)]
    pub fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Begins to listen.
    ///
    /// # Errors
    /// Never.
    #[cfg(not(unix))]
    pub fn listen() -> io::Result<Self> {
        Ok(Self {})
    }

    /// The next signal's name.
    #[cfg(unix)]
    pub async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }

    /// The next signal's name.
    #[cfg(not(unix))]
    pub async fn next(&mut self) -> &'static str {
        if tokio::signal::ctrl_c().await.is_err() {
            return std::future::pending().await;
        }
        "Ctrl-C"
    }
}

/// What SIGHUP means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hangup {
    /// The terminal that the process was started from is gone.
    TerminalGone,
    /// Somebody asks for the configuration to be read anew.
    Reload,
}

/// SIGHUP, where there is such a signal. It ends a process whose controlling terminal is gone, as shells and terminals
/// expect; as long as the terminal is there, and where there never was one (a service), it asks for a reload.
pub struct Hangups {
    #[cfg(unix)]
    signal: Option<Signal>,
    /// The process had a terminal, and may be ended with it: `nohup` says no.
    follows_terminal: bool,
}

impl Hangups {
    /// Begins to listen.
    #[cfg(unix)]
    pub fn listen() -> Self {
        // Asked before the handler replaces what was inherited.
        let follows_terminal = has_terminal() && !is_ignored();
        Self {
            signal: signal(SignalKind::hangup()).ok(),
            follows_terminal,
        }
    }

    /// Begins to listen.
    #[cfg(not(unix))]
    pub const fn listen() -> Self {
        Self {
            follows_terminal: false,
        }
    }

    /// Waits for the signal, at most `span`; `None` when there was none.
    #[cfg(unix)]
    pub async fn within(&mut self, span: Duration) -> Option<Hangup> {
        let Some(signal) = &mut self.signal else {
            tokio::time::sleep(span).await;
            return None;
        };
        tokio::time::timeout(span, signal.recv()).await.ok()?;
        Some(if self.follows_terminal && !has_terminal() {
            Hangup::TerminalGone
        } else {
            Hangup::Reload
        })
    }

    /// Waits for `span`.
    #[cfg(not(unix))]
    pub async fn within(&mut self, span: Duration) -> Option<Hangup> {
        tokio::time::sleep(span).await;
        None
    }
}

/// The process has a controlling terminal that is still there.
#[cfg(unix)]
fn has_terminal() -> bool {
    std::fs::File::open("/dev/tty").is_ok()
}

/// SIGHUP is ignored, as `nohup` arranges it. Only Linux tells without unsafe code.
#[cfg(unix)]
fn is_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & 1 == 1)
}
