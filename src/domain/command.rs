//! What readers may ask of the engine.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Entity, Forecast, Grid, LabelEffect, PipelineId, Time};

/// An operator's word on an incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Label {
    /// It was a real problem.
    Real,
    /// It was a false alarm.
    False,
}

impl Label {
    /// Its word, in lists, filters and tables.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Real => "real",
            Self::False => "false",
        }
    }

    /// What an incident with it is called in a sentence.
    #[must_use]
    pub const fn told(self) -> &'static str {
        match self {
            Self::Real => "real",
            Self::False => "a false alarm",
        }
    }
}

/// An order to the engine, from a key, a request, a signal or the schedule. It is queued, not awaited; its effect shows
/// in a later [`super::Snapshot`].
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Train a new model for a pipeline; replaces a queued request, waits for a running one.
    Retrain(PipelineId),
    /// Stop the running training of a pipeline and drop a queued one.
    CancelTraining(PipelineId),
    /// Start the test pipeline if it does not run yet.
    StartTest,
    /// Put a spike into the test pipeline's next rows.
    InjectSpike,
    /// Mark an incident as seen.
    Acknowledge(u64),
    /// Call an incident real or false; `None` takes the label back.
    Label(u64, Option<Label>),
    /// Let another version of the registry score, from now on.
    UseModel(String),
    /// Look at the source more or less often, from the next tick on.
    SetInterval(std::time::Duration),
    /// End the run: finish the tick, write the checkpoint, stop.
    Shutdown,
}

/// A bounded question about a pipeline's past that the snapshot does not carry.
#[derive(Clone, Debug, PartialEq)]
pub struct HistoryQuery {
    /// Live or test.
    pub pipeline: PipelineId,
    /// Whose history.
    pub entity: Entity,
    /// Oldest time wanted; `None`: as far as kept.
    pub from: Option<Time>,
    /// Newest time wanted; `None`: up to now.
    pub to: Option<Time>,
    /// At most so many points per feature come back (averaged over equal spans); capped at 2,000.
    pub max_points: usize,
}

/// One feature's past and expected future.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HistorySeries {
    /// Feature name, as in the snapshot.
    pub name: Arc<str>,
    /// Means per grid time of [`HistoryAnswer::grid`], NaN where nothing was observed.
    pub values: Vec<f64>,
    /// Per grid time: some row in this span was an anomaly that is about this feature. Empty when nothing is known.
    pub anomalous: Vec<bool>,
    /// Lower end of what was expected, NaN where it is not known.
    pub lower: Vec<f64>,
    /// Upper end of that.
    pub upper: Vec<f64>,
    /// What comes, when a forecaster is fitted.
    pub forecast: Option<Arc<Forecast>>,
}

/// The answer to a [`HistoryQuery`].
#[derive(Clone, Debug, PartialEq)]
pub struct HistoryAnswer {
    /// Times of the points, possibly coarser than the source's step.
    pub grid: Grid,
    /// One per feature, in schema order.
    pub series: Vec<HistorySeries>,
    /// Per grid time: some row in this span was anomalous.
    pub anomalous: Vec<bool>,
    /// The highest score in the span, NaN where there is none.
    pub scores: Vec<f64>,
}

impl HistoryAnswer {
    /// Points before the first at which anything was observed; 0 when nothing was.
    #[must_use]
    pub fn first_known(&self) -> usize {
        let first = |series: &HistorySeries| series.values.iter().position(|v| v.is_finite());
        self.series.iter().filter_map(first).min().unwrap_or(0)
    }
}

/// A spike that was put into a row.
#[derive(Clone, Debug, PartialEq)]
pub struct Spike {
    /// The row's time.
    pub time: Time,
    /// The feature whose value was changed.
    pub feature: Arc<str>,
    /// By how many of its standard deviations.
    pub deviations: f64,
}

/// The end of the sample with fresh spikes in it, as the model of test mode judges it. All lists of rows are equally long.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SpikedRows {
    /// Times of the rows.
    pub times: Vec<Time>,
    /// Name and values of each feature, spikes included.
    pub features: Vec<(Arc<str>, Vec<f64>)>,
    /// Score of each row; `None` where there is none.
    pub scores: Vec<Option<f64>>,
    /// Whether the row is an anomaly.
    pub anomalous: Vec<bool>,
    /// What was put in, in order of time.
    pub injected: Vec<Spike>,
}

/// Why the engine did not take a command or answer a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ControlError {
    /// The queue is full.
    #[error("the engine is busy: its command queue is full; try again in a moment")]
    Busy,
    /// The engine has ended.
    #[error("the engine has stopped")]
    Stopped,
    /// No such pipeline, entity or incident.
    #[error("there is nothing by that name")]
    NotFound,
    /// It was tried and did not work.
    #[error("it could not be worked out; the log says why")]
    Failed,
}

/// The readers' way to the engine: the same for a local engine and for one that runs elsewhere.
pub trait Control: Send + Sync {
    /// Queues a command without waiting.
    ///
    /// # Errors
    /// [`ControlError::Busy`] when the queue is full, [`ControlError::Stopped`] when nobody will read it.
    fn send(&self, command: Command) -> Result<(), ControlError>;

    /// Asks for history.
    fn history(
        &self,
        query: HistoryQuery,
    ) -> Pin<Box<dyn Future<Output = Result<HistoryAnswer, ControlError>> + Send + '_>>;

    /// Asks what the model of test mode makes of two fresh spikes that follow from `seed`, in the newest 50 rows of the
    /// sample. [`ControlError::NotFound`] before there is such a model, and of an engine that has no test mode.
    fn spiked(
        &self,
        seed: u64,
    ) -> Pin<Box<dyn Future<Output = Result<SpikedRows, ControlError>> + Send + '_>> {
        let _ = seed;
        Box::pin(std::future::ready(Err(ControlError::NotFound)))
    }

    /// Asks what a label on an incident would change, without setting it; `None` takes a label back.
    fn preview(
        &self,
        incident: u64,
        label: Option<Label>,
    ) -> Pin<Box<dyn Future<Output = Result<LabelEffect, ControlError>> + Send + '_>>;
}
