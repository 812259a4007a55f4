//! A run of anomalous verdicts, as a person on call sees it.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize};

use super::{Entity, Label, Time};

/// Where an incident is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IncidentState {
    /// Still anomalous, or not quiet for long enough yet.
    Open,
    /// Quiet for the cooldown.
    Closed,
    /// Its entity went away while it was open.
    Vanished,
}

/// One feature's part in an incident.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Contribution {
    /// Feature name.
    pub feature: Arc<str>,
    /// Part of the error at the peak, 0 to 1.
    pub share: f64,
    /// Observed at the peak, in the feature's unit; NaN (null in JSON) when missing.
    #[serde(deserialize_with = "null_is_nan")]
    pub value: f64,
    /// Expected at the peak, in the feature's unit.
    #[serde(deserialize_with = "null_is_nan")]
    pub expected: f64,
}

fn null_is_nan<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(f64::NAN))
}

/// One row of the journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Incident {
    /// Unique within a journal, counting up from 1; 0 until the journal gave one.
    pub id: u64,
    /// Whose.
    pub entity: Entity,
    /// First anomalous grid time.
    pub start: Time,
    /// Last anomalous grid time so far.
    pub end: Time,
    /// Grid time of the highest score.
    pub peak: Time,
    /// The highest score (over 1).
    pub peak_score: f64,
    /// Open, closed or vanished.
    pub state: IncidentState,
    /// Features by share at the peak, largest first; at most ten.
    pub features: Vec<Contribution>,
    /// Somebody has seen it.
    pub acknowledged: bool,
    /// What an operator called it.
    pub label: Option<Label>,
}

impl Incident {
    /// From the first to the last anomalous time.
    #[must_use]
    pub fn duration(&self) -> Duration {
        self.end.since(self.start)
    }

    /// Still open.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.state == IncidentState::Open
    }
}
