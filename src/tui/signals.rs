//! Signals that end or stop the dashboard.

use std::io;

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// End: SIGTERM, SIGINT, SIGHUP.
    End,
    /// Stop until the shell goes on: SIGTSTP from outside (the key is an ordinary key in raw mode).
    Stop,
}

#[cfg(unix)]
pub use self::unix::{Signals, stop};

#[cfg(unix)]
mod unix {
    use signal_hook::consts::{SIGSTOP, SIGTSTP};
    use tokio::signal::unix::{self, SignalKind, signal};

    use super::{Signal, io};

    /// Listens until it is dropped.
    pub struct Signals {
        terminate: unix::Signal,
        interrupt: unix::Signal,
        hangup: unix::Signal,
        stop: unix::Signal,
    }

    impl Signals {
        /// Begins to listen.
        ///
        /// # Errors
        /// When the system refuses a handler.
        pub fn listen() -> io::Result<Self> {
            Ok(Self {
                terminate: signal(SignalKind::terminate())?,
                interrupt: signal(SignalKind::interrupt())?,
                hangup: signal(SignalKind::hangup())?,
                stop: signal(SignalKind::from_raw(SIGTSTP))?,
            })
        }

        /// The next signal.
        pub async fn next(&mut self) -> Signal {
            tokio::select! {
                _ = self.terminate.recv() => Signal::End,
                _ = self.interrupt.recv() => Signal::End,
                _ = self.hangup.recv() => Signal::End,
                _ = self.stop.recv() => Signal::Stop,
            }
        }
    }

    /// Stops this process; returns when it is woken.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn stop() -> io::Result<()> {
        signal_hook::low_level::raise(SIGSTOP)
    }
}

#[cfg(not(unix))]
pub use self::other::{Signals, stop};

#[cfg(not(unix))]
mod other {
    use super::{Signal, io};

    /// Listens for Ctrl-C.
    pub struct Signals(());

    impl Signals {
        /// Begins to listen.
        ///
        /// # Errors
        /// Never.
        pub fn listen() -> io::Result<Self> {
            Ok(Self(()))
        }

        /// The next signal.
        pub async fn next(&mut self) -> Signal {
            match tokio::signal::ctrl_c().await {
                Ok(()) => Signal::End,
                Err(_) => std::future::pending().await,
            }
        }
    }

    /// There is nothing to stop to.
    ///
    /// # Errors
    /// Always: only Unix shells know this.
    pub fn stop() -> io::Result<()> {
        Err(io::Error::other("this system can't suspend a program"))
    }
}
