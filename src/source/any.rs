//! One type for whichever source is configured.

use std::time::Duration;

use super::host::HostSource;
use super::prometheus::PrometheusSource;
use super::replay::ReplaySource;
use super::{Batch, Collect, SourceError};
use crate::domain::{Schema, Time};

/// The configured source.
pub enum Source {
    /// A server that speaks Prometheus' HTTP API.
    Prometheus(Box<PrometheusSource>),
    /// This machine.
    Host(Box<HostSource>),
    /// A recording.
    Replay(Box<ReplaySource>),
}

/// The same call on whichever source it is.
macro_rules! whichever {
    ($self:ident, $source:ident => $call:expr) => {
        match $self {
            Self::Prometheus($source) => $call,
            Self::Host($source) => $call,
            Self::Replay($source) => $call,
        }
    };
}

impl Source {
    /// Puts a spike into the rows after `now`, where the source is a recording; says whether it did.
    pub fn inject(&self, now: Time) -> bool {
        match self {
            Self::Replay(source) => source.inject(now).is_some(),
            Self::Prometheus(_) | Self::Host(_) => false,
        }
    }

    /// Wall time from one row to the next, on a grid of `step`; `None` for a recording whose rows are all there at once.
    #[must_use]
    pub fn pace(&self, step: Duration) -> Option<Duration> {
        match self {
            Self::Replay(source) => source.pace(),
            Self::Prometheus(_) | Self::Host(_) => Some(step),
        }
    }

    /// A recording begins to play at wall time `wall`; other sources always do.
    pub fn play(&self, wall: Time) {
        if let Self::Replay(source) = self {
            source.play(wall);
        }
    }
}

impl Collect for Source {
    fn name(&self) -> String {
        whichever!(self, source => source.name())
    }

    fn now(&self, wall: Time) -> Time {
        whichever!(self, source => source.now(wall))
    }

    fn finished(&self, now: Time) -> bool {
        whichever!(self, source => source.finished(now))
    }

    fn settling(&self) -> Duration {
        whichever!(self, source => source.settling())
    }

    async fn history(
        &self,
        periods: &[(Time, Time)],
        schema: Option<&Schema>,
        progress: &(dyn Fn(f64) + Sync),
    ) -> Result<Batch, SourceError> {
        whichever!(self, source => source.history(periods, schema, progress).await)
    }

    async fn recent(
        &self,
        from: Time,
        to: Time,
        now: Time,
        schema: Option<&Schema>,
    ) -> Result<Batch, SourceError> {
        whichever!(self, source => source.recent(from, to, now, schema).await)
    }
}
