//! A run of anomalous verdicts, as a person on call sees it.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize};

use super::{Entity, Gate, Label, Time};

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
    /// It went on for `[detect] max_incident`: what it was about is the new normal.
    Settled,
    /// Found in the history from before anything was judged live: nobody was told, and it counts in no counter.
    Past,
}

impl IncidentState {
    /// Its word, in the journal, on the screen and in JSON.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Closed => "closed",
            Self::Vanished => "vanished",
            Self::Settled => "settled",
            Self::Past => "past",
        }
    }
}

/// Name of the last part of an incident's features, when there are more than it keeps: the rest of the shares.
pub const OTHERS: &str = "others";

/// One feature's part in an incident.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Contribution {
    /// Feature name.
    pub feature: Arc<str>,
    /// Part of the error at the peak, 0 to 1.
    #[serde(deserialize_with = "null_is_nan")]
    pub share: f64,
    /// Observed at the peak, in the feature's unit; NaN (null in JSON) when missing.
    #[serde(deserialize_with = "null_is_nan")]
    pub value: f64,
    /// Expected at the peak, in the feature's unit.
    #[serde(deserialize_with = "null_is_nan")]
    pub expected: f64,
    /// Lower end of the expected band at the peak, in the feature's unit; NaN when unknown.
    #[serde(default = "nan", deserialize_with = "null_is_nan")]
    pub lower: f64,
    /// Upper end of the expected band.
    #[serde(default = "nan", deserialize_with = "null_is_nan")]
    pub upper: f64,
}

const fn nan() -> f64 {
    f64::NAN
}

/// Why an incident is one: the gates of two of its rows. Empty for incidents of releases that did not keep them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Why {
    /// Of the row that opened it; all passed.
    pub opening: Vec<Gate>,
    /// Of the row with the highest score; before the incident opened, that row may have lacked `min_duration`.
    pub peak: Vec<Gate>,
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
    /// The highest score (over 1): how far the row at the peak lies over what training knows.
    pub peak_score: f64,
    /// What alarms go by, at its highest: as many times the calibrated threshold, before labels raised it (≥ 0). `None`
    /// for an incident of an earlier release, which did not keep it.
    #[serde(default)]
    pub peak_alarm: Option<f64>,
    /// Open, closed, vanished, settled or past.
    pub state: IncidentState,
    /// Features by share at the peak, largest first; at most ten, and after them what the others carry together, as
    /// [`OTHERS`]. The shares sum to 1, but for an incident whose shares are not known.
    pub features: Vec<Contribution>,
    /// The gates that it passed.
    #[serde(default)]
    pub why: Why,
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

    /// Found in the history, not live.
    #[must_use]
    pub fn is_past(&self) -> bool {
        self.state == IncidentState::Past
    }
}
