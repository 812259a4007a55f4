//! What becomes of a model that was just trained.

use serde::{Deserialize, Serialize};

/// The model that scores (the champion) and a new one (the challenger) on the same recent clean windows.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Windows compared.
    pub windows: usize,
    /// Geometric mean of the champion's error (spreads of the windows' values, squared).
    pub champion_error: f64,
    /// Geometric mean of the challenger's error, in the same units.
    pub challenger_error: f64,
    /// Standard error of the logarithm of their ratio.
    pub uncertainty: f64,
    /// Part of the windows that the champion calls anomalous, 0 to 1.
    pub champion_alarms: f64,
    /// Part of the windows that the challenger calls anomalous, 0 to 1.
    pub challenger_alarms: f64,
}

impl Comparison {
    /// The figures in words.
    #[must_use]
    pub fn told(&self) -> String {
        format!(
            "on {} clean windows its error is {:.4} against {:.4} and it raises alarms on {:.1} % against {:.1} %",
            self.windows,
            self.challenger_error,
            self.champion_error,
            self.challenger_alarms * 100.0,
            self.champion_alarms * 100.0
        )
    }
}

/// Whether a trained model scores from then on, and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// It scores.
    pub promoted: bool,
    /// One readable clause.
    pub reason: String,
    /// The figures, when there was something to compare.
    pub comparison: Option<Comparison>,
}

impl Decision {
    /// The decision with its figures in words.
    #[must_use]
    pub fn told(&self) -> String {
        let word = if self.promoted { "promoted" } else { "refused" };
        match &self.comparison {
            Some(comparison) => format!("{word}: {}; {}", self.reason, comparison.told()),
            None => format!("{word}: {}", self.reason),
        }
    }
}
