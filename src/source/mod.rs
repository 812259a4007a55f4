//! Where samples come from: a Prometheus-compatible server, this host, or a recording.
//!
//! Every source is a [`Collect`]: it delivers raw values on the grid, one [`Frame`] per entity, and knows nothing of what
//! is done with them.

pub mod any;
mod columns;
pub mod host;
pub mod inject;
pub mod prometheus;
pub mod recording;
pub mod replay;
pub mod synthetic;

use std::future::Future;
use std::time::Duration;

use crate::domain::{Frame, Schema, Time};

/// What one collection delivered.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// One frame per entity (and, for several periods, per period in time order). All share one schema.
    pub frames: Vec<Frame>,
    /// Warnings of the server or the source, readable.
    pub warnings: Vec<String>,
    /// Series that the asked-for schema has no column for.
    pub unknown: Vec<String>,
    /// Whether what was fetched or sampled could be written to disk for the next run, and if not, why and what to do;
    /// `None`: nothing was to be written.
    pub stored: Option<Result<(), String>>,
    /// Requests to a server that this took, and chunks that the cache had instead.
    pub fetched: (usize, usize),
    /// Label sets left out because a cap (`[entities] max`, `max_features`) was reached.
    pub dropped: u64,
}

/// Why nothing was delivered. Every message names the server, file or query, and what to do.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SourceError {
    /// No connection.
    #[error("{0}")]
    Connect(String),
    /// No answer in time.
    #[error("{0}")]
    Timeout(String),
    /// The server answered with an error that asking again may cure (429, 5xx).
    #[error("{0}")]
    Http(String),
    /// The server refused the request (bad PromQL, no permission): asking again will not help.
    #[error("{0}")]
    Query(String),
    /// An answer that can't be understood.
    #[error("{0}")]
    Decode(String),
    /// The configuration can't work: bad certificate, unreadable secret, missing file.
    #[error("{0}")]
    Setup(String),
    /// A file that can't be read or understood.
    #[error("{0}")]
    File(String),
    /// The program's own task for the source panicked or hung: a defect.
    #[error("{0}")]
    Task(String),
}

impl SourceError {
    /// The exporter's `reason` label.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Connect(_) => "connect",
            Self::Timeout(_) => "timeout",
            Self::Http(_) => "http",
            Self::Query(_) => "query",
            Self::Decode(_) => "decode",
            Self::Setup(_) | Self::File(_) | Self::Task(_) => "other",
        }
    }

    /// Whether asking again soon may help.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Connect(_) | Self::Timeout(_) | Self::Http(_) | Self::Decode(_)
        )
    }
}

/// A source of samples. With `schema` given, columns are exactly those (a missing one is all NaN, a series without a column
/// goes to [`Batch::unknown`]); without it the columns are all that was found, ordered by name.
///
/// Recent rows can be asked for while history is fetched, by two tasks that share the source.
pub trait Collect: Send + Sync {
    /// Shown name, without credentials.
    fn name(&self) -> String;

    /// The source's clock at wall time `wall`: the same, but for recordings, which play in their own time.
    fn now(&self, wall: Time) -> Time {
        wall
    }

    /// A recording that has no rows after `now`.
    fn finished(&self, _now: Time) -> bool {
        false
    }

    /// How long before the source's now its newest rows have values that may still change, beyond `[source] latency_offset`
    /// when it is longer.
    fn settling(&self) -> Duration {
        Duration::ZERO
    }

    /// Everything in `periods` (both ends included, each on its own aligned grid). `progress` hears the part done, 0 to 1.
    fn history(
        &self,
        periods: &[(Time, Time)],
        schema: Option<&Schema>,
        progress: &(dyn Fn(f64) + Sync),
    ) -> impl Future<Output = Result<Batch, SourceError>> + Send;

    /// Rows at grid times in `[from, to]`, freshly asked for at `now` by the source's clock ([`Collect::now`]); `to` is not
    /// after it. One call at a time.
    fn recent(
        &self,
        from: Time,
        to: Time,
        now: Time,
        schema: Option<&Schema>,
    ) -> impl Future<Output = Result<Batch, SourceError>> + Send;
}
