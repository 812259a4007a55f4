//! Decides by age whether what a pipeline shows is current, late, or too old to be stated.
//!
//! Screen, `/metrics`, `/readyz` and the JSON routes ask this one rule. The state of the source can make data late, never
//! current: a collection that hangs leaves the state as it was.

use std::fmt;
use std::time::Duration;

use super::{PipelineView, SourceState, Time, Unit};

/// A collection is late when none has worked for so many intervals: the first is its own, two more are missed.
const LATE_INTERVALS: u32 = 3;

/// A shorter silence is not late, however short the interval is: one request may take that long.
const SHORTEST_SILENCE: Duration = Duration::from_secs(15);

/// After such a silence, or [`LATE_INTERVALS`] when that is longer, verdicts are withdrawn: as long as Prometheus itself
/// takes a sample for current.
const LOOKBACK: Duration = Duration::from_secs(300);

/// Whether what a pipeline shows can be relied on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Freshness<'a> {
    /// Nothing has arrived yet, and nothing has failed.
    Waiting,
    /// Collections come as often as they should, or the recording has ended.
    Current,
    /// The source fails or is late; the newest verdict still stands.
    Late(StaleReason<'a>),
    /// The newest verdict is too old, or belongs to a time that has not come: no verdict is stated.
    Withdrawn(StaleReason<'a>),
}

impl<'a> Freshness<'a> {
    /// Nothing new was judged when it should have been.
    #[must_use]
    pub const fn is_stale(&self) -> bool {
        matches!(self, Self::Late(_) | Self::Withdrawn(_))
    }

    /// Verdicts must not be stated any more.
    #[must_use]
    pub const fn is_withdrawn(&self) -> bool {
        matches!(self, Self::Withdrawn(_))
    }

    /// Why it is stale.
    #[must_use]
    pub const fn reason(&self) -> Option<StaleReason<'a>> {
        match *self {
            Self::Late(reason) | Self::Withdrawn(reason) => Some(reason),
            Self::Waiting | Self::Current => None,
        }
    }
}

/// Why nothing new was judged; shown as one readable sentence.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum StaleReason<'a> {
    /// The last collection failed with this error.
    Failing(&'a str),
    /// No collection has ended for so long, neither well nor badly.
    Silent(Duration),
    /// The source answers, but has had no sample for so long.
    Empty(Duration),
    /// The clock is so far behind what was collected or judged already.
    ClockBehind(Duration),
    /// The newest verdict is so far behind the newest row.
    Unjudged(Duration),
}

impl fmt::Display for StaleReason<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |span: &Duration| Unit::Seconds.show(span.as_secs_f64());
        match self {
            Self::Failing(error) => f.write_str(error),
            Self::Silent(span) => write!(
                f,
                "no collection has ended for {}: the source may hang; `pulsewatch check` asks it anew",
                shown(span)
            ),
            Self::Empty(span) => write!(
                f,
                "the source answers, but has had no sample for {}: are its targets up, and do its clock and this one agree?",
                shown(span)
            ),
            Self::ClockBehind(span) => write!(
                f,
                "the clock is {} behind the newest row; was it set back? Nothing new is judged until it has caught up",
                shown(span)
            ),
            Self::Unjudged(span) => write!(
                f,
                "the newest verdict is {} behind the newest row; the log says why rows could not be scored",
                shown(span)
            ),
        }
    }
}

/// After how long without what should come once a `pace` it is late.
fn late_after(pace: Duration) -> Duration {
    SHORTEST_SILENCE.max(pace.saturating_mul(LATE_INTERVALS))
}

/// After how long without what should come once a `pace` verdicts are withdrawn.
#[must_use]
pub fn withdrawn_after(pace: Duration) -> Duration {
    LOOKBACK.max(pace.saturating_mul(LATE_INTERVALS))
}

impl PipelineView {
    /// Whether what this pipeline shows can be relied on at `now`, when its source is asked once an `interval`.
    ///
    /// `now` is the reader's own time, not that of the snapshot: an engine that hangs must not keep its verdicts current.
    #[must_use]
    pub fn freshness(&self, now: Time, interval: Duration) -> Freshness<'_> {
        let source = &self.source;
        let failing = match &source.state {
            // A recording that has ended does not age.
            SourceState::Finished => return Freshness::Current,
            SourceState::Stale { error, .. } => Some(StaleReason::Failing(error)),
            SourceState::Connecting | SourceState::Up => None,
        };
        let Some(last) = source.last_success else {
            return failing.map_or(Freshness::Waiting, Freshness::Withdrawn);
        };
        let empty = self.without_samples;
        let silent = now.since(last);
        let silence = failing.unwrap_or(StaleReason::Silent(silent));
        let behind = last.max(self.newest_row().unwrap_or(last)).since(now);
        let unjudged = self.unjudged();
        if silent > withdrawn_after(interval) {
            Freshness::Withdrawn(silence)
        } else if behind > self.step {
            Freshness::Withdrawn(StaleReason::ClockBehind(behind))
        } else if empty > withdrawn_after(self.step) {
            Freshness::Withdrawn(StaleReason::Empty(empty))
        } else if unjudged > withdrawn_after(self.step) {
            Freshness::Withdrawn(StaleReason::Unjudged(unjudged))
        } else if failing.is_some() || silent > late_after(interval) {
            Freshness::Late(silence)
        } else if empty > late_after(interval.max(self.step)) {
            Freshness::Late(StaleReason::Empty(empty))
        } else if !behind.is_zero() {
            Freshness::Late(StaleReason::ClockBehind(behind))
        } else {
            Freshness::Current
        }
    }

    /// The newest grid time of any entity; `None` for a recording, whose rows live in a time of their own.
    fn newest_row(&self) -> Option<Time> {
        let newest = self.entities.iter().filter_map(|view| view.grid.last());
        newest.max().filter(|_| !self.source.recorded)
    }

    /// How far the newest verdict is behind the newest row; zero before there is one of each.
    fn unjudged(&self) -> Duration {
        let verdicts = self
            .entities
            .iter()
            .filter_map(|view| view.latest.as_deref());
        let judged = verdicts.map(|verdict| verdict.time).max();
        match (self.newest_row(), judged) {
            (Some(row), Some(judged)) => row.since(judged),
            _ => Duration::ZERO,
        }
    }
}
