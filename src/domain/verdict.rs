//! What was found at one grid time of one entity.

use serde::{Deserialize, Serialize};

use super::{Entity, Time};

/// Whether a row could be judged at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RowState {
    /// Scored by the trained model.
    Scored,
    /// No model yet, or the window before this row is not full.
    WarmingUp,
    /// Something was observed, but the window is mostly fill, or what is new in it can't be judged: too little to tell.
    Stale,
    /// The source has no sample of the entity at this time.
    Missing,
}

impl RowState {
    /// Its word, as in JSON.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Scored => "scored",
            Self::WarmingUp => "warming_up",
            Self::Stale => "stale",
            Self::Missing => "missing",
        }
    }
}

/// One gate between a candidate and an anomaly, with its value: the answer to "why" and "why not".
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Gate {
    /// Which rule, in the configuration's word (`min_duration`, `mute`, …).
    pub name: String,
    /// Whether the row passed.
    pub passed: bool,
    /// What was measured and what was asked for, readable.
    pub detail: String,
}

/// One feature's part in a verdict; columns are those of the entity's schema.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FeatureVerdict {
    /// Observed value in its own unit, NaN when missing.
    pub value: f64,
    /// What was expected, in the same unit.
    pub expected: f64,
    /// Lower end of the band that is expected, in the same unit; NaN when unknown.
    pub lower: f64,
    /// Upper end of that band.
    pub upper: f64,
    /// Mean squared reconstruction error of this feature over the window, in scaled units (≥ 0).
    pub mse: f64,
    /// Part of the whole error, 0 to 1; the shares of a verdict sum to 1.
    pub share: f64,
}

/// What robust statistics of the last rows say of a row that no model has scored: for the eye, never an alarm.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Provisional {
    /// Over 1 is farther from the median than rows that are alike ever are (≥ 0).
    pub score: f64,
    /// How well the spread that it is measured by is known, 0 to 1.
    pub confidence: f64,
    /// Per feature, in schema order; one that can't be told yet has no expectation and share 0. No reconstruction: `mse` is
    /// NaN.
    pub features: Vec<FeatureVerdict>,
}

/// The final word on one grid time of one entity. Rows that could not be scored carry no numbers rather than false ones.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// Grid time.
    pub time: Time,
    /// Whose.
    pub entity: Entity,
    /// Whether it could be judged.
    pub state: RowState,
    /// Over 1 is over the calibrated threshold; `None` unless [`RowState::Scored`].
    pub score: Option<f64>,
    /// What alarms go by, as many times the calibrated threshold, before labels raised it (≥ 0); `None` unless
    /// [`RowState::Scored`]. The score itself where the threshold is fixed or of standard deviations.
    #[serde(skip)]
    pub alarm: Option<f64>,
    /// The autoencoder's window error (scaled units squared); `None` unless [`RowState::Scored`].
    pub mse: Option<f64>,
    /// A candidate that passed every gate.
    pub is_anomaly: bool,
    /// Per feature, in schema order; empty unless scored.
    pub features: Vec<FeatureVerdict>,
    /// What is known without a model; `None` once there is a score, and as long as there are too few rows for that.
    #[serde(default)]
    pub provisional: Option<Provisional>,
    /// Columns of features whose deviation does not count: muted, under maintenance, in a harmless direction or too small.
    /// Known of a candidate only; else empty.
    #[serde(skip)]
    pub excused: Vec<usize>,
    /// Every gate that was asked, the first one `threshold`; further ones only for a candidate. Empty unless scored.
    pub gates: Vec<Gate>,
}

/// Smaller parts of a score mark no feature, however high the score.
const CRUMB: f64 = 0.01;

impl Verdict {
    /// Columns of the features that an anomaly is about: who carries at least half of what the worst one carries, and who alone
    /// would be over the threshold, but for crumbs that a huge error leaves with everyone. None unless it is an anomaly.
    pub fn carriers(&self) -> impl Iterator<Item = usize> {
        let most = self.features.iter().map(|f| f.share).fold(0.0, f64::max);
        let score = self.score.unwrap_or(0.0);
        let features = self.features.iter().enumerate();
        let carries = move |feature: &FeatureVerdict| {
            let alone = feature.share >= CRUMB && feature.share * score > 1.0;
            alone || (feature.share > 0.0 && feature.share >= most / 2.0)
        };
        features
            .filter(move |(_, feature)| self.is_anomaly && carries(feature))
            .map(|(column, _)| column)
    }

    /// A verdict that says only why there is none.
    #[must_use]
    pub fn unscored(time: Time, entity: Entity, state: RowState) -> Self {
        Self {
            time,
            entity,
            state,
            score: None,
            alarm: None,
            mse: None,
            is_anomaly: false,
            features: Vec::new(),
            provisional: None,
            excused: Vec::new(),
            gates: Vec::new(),
        }
    }
}
