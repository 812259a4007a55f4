//! How a window's error is turned into a score.

use serde::{Deserialize, Serialize};

/// A fitted tail: exceedances over `above` follow a generalised Pareto distribution (Pickands 1975).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tail {
    /// Errors above this were fitted.
    pub above: f64,
    /// Part of all errors that are above it, 0 to 1.
    pub rate: f64,
    /// Shape (ξ); 0 is an exponential tail.
    pub shape: f64,
    /// Scale (σ > 0), in the unit of the errors.
    pub scale: f64,
}

/// What held-back errors say about the autoencoder's windows. The score of a window is its error over `threshold_mse`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// How the threshold came about: `auto`, `fixed` or `sigma`.
    pub rule: String,
    /// Mean squared error (scaled units squared, > 0) over which a window is a candidate.
    pub threshold_mse: f64,
    /// Held-back windows it was calibrated on.
    pub windows: usize,
    /// Mean of their errors.
    pub mean: f64,
    /// Standard deviation of their errors.
    pub deviation: f64,
    /// The fitted tail of rule `auto`; `None` with too few windows for a fit, or another rule.
    pub tail: Option<Tail>,
}
