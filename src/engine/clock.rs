//! The engine's clock: the wall's, or one that a test drives faster than time.

use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::watch;

use crate::domain::Time;

/// A sleep that can be stored.
pub type Sleep<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// Where the engine has the time from. The only clock that anything below the engine ever hears of.
pub trait Clock: Send + Sync {
    /// Now.
    fn now(&self) -> Time;
    /// Sleeps from `now`, as it was read, until `time`. Also ends when the clock is set back meanwhile, after as long as that
    /// would have taken at the latest: whoever waits then looks anew.
    fn sleep(&self, now: Time, time: Time) -> Sleep<'_>;
}

/// The system's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct WallClock;

impl Clock for WallClock {
    fn now(&self) -> Time {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or(Duration::ZERO);
        Time::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    fn sleep(&self, now: Time, time: Time) -> Sleep<'_> {
        Box::pin(tokio::time::sleep(time.since(now)))
    }
}

/// A clock that stands still until it is told to go on.
#[derive(Clone, Debug)]
pub struct ManualClock(watch::Sender<Time>);

impl ManualClock {
    /// A clock that shows `time`.
    #[must_use]
    pub fn at(time: Time) -> Self {
        Self(watch::Sender::new(time))
    }

    /// Sets it; sleepers whose time has come wake up.
    pub fn set(&self, time: Time) {
        self.0.send_replace(time);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Time {
        *self.0.borrow()
    }

    fn sleep(&self, now: Time, time: Time) -> Sleep<'_> {
        let mut changes = self.0.subscribe();
        Box::pin(async move {
            // The sender lives as long as `self`, so waiting can't fail before the time has come.
            let _ = changes
                .wait_for(|shown| *shown >= time || *shown < now)
                .await;
        })
    }
}
