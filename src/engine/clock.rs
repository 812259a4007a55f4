//! The engine's clock: the wall's, or one that a test drives faster than time.

use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::watch;

use crate::domain::Time;

/// Longest sleep without a look at the clock.
const LONGEST_NAP: Duration = Duration::from_secs(60);

/// A sleep that can be stored.
pub type Sleep<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// Where the engine has the time from. The only clock that anything below the engine ever hears of.
pub trait Clock: Send + Sync {
    /// Now.
    fn now(&self) -> Time;
    /// Ends once `now()` is at or after `time`, and early (within a minute) when the clock is set back meanwhile: whoever
    /// waits then looks anew.
    fn sleep_until(&self, time: Time) -> Sleep<'_>;
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

    fn sleep_until(&self, time: Time) -> Sleep<'_> {
        let mut before = self.now();
        Box::pin(async move {
            while before < time {
                tokio::time::sleep(time.since(before).min(LONGEST_NAP)).await;
                let now = self.now();
                if now < before {
                    break;
                }
                before = now;
            }
        })
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

    fn sleep_until(&self, time: Time) -> Sleep<'_> {
        let mut changes = self.0.subscribe();
        let began = self.now();
        Box::pin(async move {
            // The sender lives as long as `self`, so waiting can't fail before the time has come.
            let _ = changes.wait_for(|now| *now >= time || *now < began).await;
        })
    }
}
