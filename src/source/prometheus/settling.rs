//! Measures how long a server repeats an older value at its newest times.
//!
//! VictoriaMetrics answers so for 30 s (`-search.latencyOffset`), at steps of less than a minute; its newer releases take the
//! parameter `latency_offset` for it, others do not know it. A value that is judged is judged for good, so such times are not
//! asked for. `time()` shows what a server does, whatever its version and settings: its value at a time is that time.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::client::Client;
use super::collection::Collection;
use crate::domain::{Grid, Time};

/// From this step on no value is repeated.
const COARSE: Duration = Duration::from_mins(1);

/// How long a server that was not measured yet is taken to repeat: VictoriaMetrics' default.
const USUAL: Duration = Duration::from_secs(30);

/// How far back repeated values are looked for.
const REACH: usize = 120;

/// A measurement holds this long: the server may be upgraded or set otherwise.
const VALID: Duration = Duration::from_hours(1);

/// A server that could not be asked is asked again after this long.
const AGAIN: Duration = Duration::from_mins(1);

/// Measurements that differ by no more are the same: the server's clock and the way to it waver.
const WAVER: Duration = Duration::from_secs(2);

/// What is known of one server.
pub(super) struct Settling {
    step: Duration,
    known: Mutex<Known>,
}

#[derive(Clone, Copy, Default)]
struct Known {
    /// When it is asked again; `None` before it was asked.
    again: Option<Time>,
    /// The last measurement; `None` before there was one.
    length: Option<Duration>,
}

impl Settling {
    /// For a server that is asked for rows of `step`; nothing is known yet.
    pub fn new(step: Duration) -> Self {
        Self {
            step,
            known: Mutex::default(),
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long before now the newest time is that has a value of its own.
    pub fn length(&self) -> Duration {
        if self.step >= COARSE {
            return Duration::ZERO;
        }
        self.known().length.unwrap_or(USUAL)
    }

    /// Asks the server at `now`, unless that is known. One that can't be asked, or passes no such query, keeps what was known
    /// of it: a row that waits too long is late, one that waits too short is wrong.
    pub async fn measure(&self, client: &Client, now: Time, collection: &Collection) {
        let before = *self.known();
        // A clock that was set back asks anew.
        let is_known = before
            .again
            .is_some_and(|again| now < again && again.since(now) <= VALID);
        if self.step >= COARSE || is_known {
            return;
        }
        let second = Duration::from_secs(1);
        let last = Grid::align(now, second);
        let start = last - second.saturating_mul(u32::try_from(REACH).unwrap_or(u32::MAX));
        let grid = Grid::new(start, second, REACH + 1);
        let Ok(told) = client.range("time()", grid, collection).await else {
            self.known().again = Some(now + AGAIN);
            return;
        };
        let values = told.data.series.values().next();
        let found = values.map_or(Duration::ZERO, |values| repeated(&grid, values));
        let same = before
            .length
            .filter(|before| before.abs_diff(found) <= WAVER);
        let length = same.map_or(found, |same| same.max(found));
        if length > Duration::ZERO && same.is_none() {
            tracing::info!(
                server = client.shown(),
                seconds = length.as_secs(),
                "the server repeats older values at its newest times; rows wait as long"
            );
        }
        *self.known() = Known {
            again: Some(now + VALID),
            length: Some(length),
        };
    }
}

/// How long before the last time the newest time is whose value is that time; 0 when the last one is.
fn repeated(grid: &Grid, values: &[f64]) -> Duration {
    let is_own =
        |(time, value): &(Time, &f64)| (*value - time.millis() as f64 / 1000.0).abs() < 0.5;
    let observed = || {
        grid.times()
            .zip(values)
            .filter(|(_, value)| !value.is_nan())
    };
    let newest = observed().map(|(time, _)| time).max();
    let own = observed().filter(is_own).map(|(time, _)| time).max();
    match (newest, own) {
        // A second more: the server's clock is not quite this one.
        (Some(newest), Some(own)) if own < newest => newest.since(own) + Duration::from_secs(1),
        // Nothing is repeated, or nothing is a time: it does not know `time()`.
        _ => Duration::ZERO,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_its_own_time_is_repeated() {
        let grid = Grid::new(Time::from_secs(1000), Duration::from_secs(1), 60);
        let times: Vec<f64> = (1000..1060).map(f64::from).collect();
        assert_eq!(repeated(&grid, &times), Duration::ZERO);
        let last: Vec<f64> = times.iter().map(|time| time.min(1029.0)).collect();
        assert_eq!(repeated(&grid, &last), Duration::from_secs(31));
        assert_eq!(repeated(&grid, &[f64::NAN; 60]), Duration::ZERO);
        assert_eq!(repeated(&grid, &[7.0; 60]), Duration::ZERO);
    }
}
