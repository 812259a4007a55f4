//! One type for whichever source is configured.

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

impl Source {
    /// Puts a spike into the rows after `now`, where the source is a recording; says whether it did.
    pub fn inject(&mut self, now: Time) -> bool {
        match self {
            Self::Replay(source) => source.inject(now).is_some(),
            Self::Prometheus(_) | Self::Host(_) => false,
        }
    }

    /// A recording begins to play at wall time `wall`; other sources always do.
    pub fn play(&mut self, wall: Time) {
        if let Self::Replay(source) = self {
            source.play(wall);
        }
    }
}

impl Collect for Source {
    fn name(&self) -> String {
        match self {
            Self::Prometheus(source) => source.name(),
            Self::Host(source) => source.name(),
            Self::Replay(source) => source.name(),
        }
    }

    fn now(&self, wall: Time) -> Time {
        match self {
            Self::Prometheus(source) => source.now(wall),
            Self::Host(source) => source.now(wall),
            Self::Replay(source) => source.now(wall),
        }
    }

    fn finished(&self, now: Time) -> bool {
        match self {
            Self::Prometheus(source) => source.finished(now),
            Self::Host(source) => source.finished(now),
            Self::Replay(source) => source.finished(now),
        }
    }

    async fn history(
        &mut self,
        periods: &[(Time, Time)],
        schema: Option<&Schema>,
        progress: &(dyn Fn(f64) + Sync),
    ) -> Result<Batch, SourceError> {
        match self {
            Self::Prometheus(source) => source.history(periods, schema, progress).await,
            Self::Host(source) => source.history(periods, schema, progress).await,
            Self::Replay(source) => source.history(periods, schema, progress).await,
        }
    }

    async fn recent(
        &mut self,
        from: Time,
        to: Time,
        schema: Option<&Schema>,
    ) -> Result<Batch, SourceError> {
        match self {
            Self::Prometheus(source) => source.recent(from, to, schema).await,
            Self::Host(source) => source.recent(from, to, schema).await,
            Self::Replay(source) => source.recent(from, to, schema).await,
        }
    }
}
