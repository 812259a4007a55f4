//! The most probable parameters, as Prophet's model has them.
//!
//! Up to a constant the log posterior is
//!
//! ```text
//! −n ln σ − rss(θ) / 2σ² − 2σ² − ½ Σ precision_i θ_i² − Σ weight_i |θ_i|
//! ```
//!
//! For a given θ the best σ² is the root of a quadratic. For a given σ the model is linearised (it is linear already unless
//! seasons multiply), the quadratic with absolute values is solved exactly, and the step is halved until it pays. Both in
//! turn, until neither moves.

use super::active::Problem;
use super::basis::Basis;
use super::statistics::Statistics;

/// Rounds at most: with many rows five are enough; with few, σ and the trend settle slowly together.
const ROUNDS: usize = 500;
/// A round that gains less than this in log probability, and moves σ² by less than [`STILL`] of itself, is the last one.
const GAIN: f64 = 1e-9;
const STILL: f64 = 1e-9;
/// Standard deviation of the noise, at least, in parts of the largest value: what Prophet gives a constant series.
pub(super) const LEAST_NOISE: f64 = 1e-9;
/// Standard deviation of the priors of offset and slope.
const TREND_PRIOR: f64 = 5.0;

/// Priors of `[offset, slope, changes of slope …, seasonal …]`.
pub(super) struct Priors {
    /// Of normal priors: 1 / variance.
    precisions: Vec<f64>,
    /// Of Laplace priors: 1 / scale.
    weights: Vec<f64>,
}

impl Priors {
    /// For the columns of `basis`; changes of slope have a Laplace prior of this scale.
    pub(super) fn new(basis: &Basis, changepoint_prior_scale: f64) -> Self {
        let bends = basis.trend_width().saturating_sub(2);
        let seasonal = basis.prior_scales();
        let two = std::iter::repeat_n(TREND_PRIOR.powi(-2), 2);
        let zeros = |count| std::iter::repeat_n(0.0, count);
        Self {
            precisions: two
                .chain(zeros(bends))
                .chain(seasonal.iter().map(|scale| scale.powi(-2)))
                .collect(),
            weights: zeros(2)
                .chain(std::iter::repeat_n(changepoint_prior_scale.recip(), bends))
                .chain(zeros(seasonal.len()))
                .collect(),
        }
    }

    /// Minus the log prior of θ, without constants.
    fn cost(&self, theta: &[f64]) -> f64 {
        let smooth = self.precisions.iter().zip(theta);
        let smooth: f64 = smooth.map(|(p, theta)| p * theta * theta).sum();
        let absolute = self.weights.iter().zip(theta);
        0.5 * smooth + absolute.map(|(w, theta)| w * theta.abs()).sum::<f64>()
    }

    /// The log posterior without constants (Stan's `lp__`) of `theta` and `sigma` that leave a sum of squares `left` of `rows`
    /// rows.
    pub(super) fn log_posterior(&self, rows: f64, left: f64, theta: &[f64], sigma: f64) -> f64 {
        let variance = sigma * sigma;
        -rows * sigma.ln() - left / (2.0 * variance) - 2.0 * variance - self.cost(theta)
    }
}

/// The best variance of the noise for a sum of squares `left` of `rows` rows: the root of `4v² + rows·v = left`.
fn best_variance(rows: f64, left: f64) -> f64 {
    let root = (rows * rows + 16.0 * left).sqrt();
    (2.0 * left / (rows + root)).max(LEAST_NOISE * LEAST_NOISE)
}

/// The optimum near `start`: parameters and the noise's standard deviation.
pub(super) fn solve(statistics: &Statistics, priors: &Priors, start: &[f64]) -> (Vec<f64>, f64) {
    let rows = statistics.rows();
    let mut theta = start.to_vec();
    let mut left = statistics.left(&theta);
    let mut variance = best_variance(rows, left);
    for _ in 0..ROUNDS {
        let step = step(statistics, priors, &theta, left, variance);
        theta = step.theta;
        left = step.left;
        let before = std::mem::replace(&mut variance, best_variance(rows, left));
        if step.gain <= GAIN && (variance - before).abs() <= STILL * before {
            break;
        }
    }
    (theta, variance.sqrt())
}

struct Step {
    theta: Vec<f64>,
    left: f64,
    /// In log probability.
    gain: f64,
}

/// One step from `theta`, which leaves `left`, for a fixed variance.
fn step(statistics: &Statistics, priors: &Priors, theta: &[f64], left: f64, variance: f64) -> Step {
    let (mut h, gradient) = statistics.linearised(theta);
    let mut b = h.times(theta);
    for (row, precision) in priors.precisions.iter().enumerate() {
        if let Some(value) = h.row_mut(row).get_mut(row) {
            *value += variance * precision;
        }
    }
    for (b, gradient) in b.iter_mut().zip(gradient) {
        *b += gradient;
    }
    let weights: Vec<f64> = priors.weights.iter().map(|w| w * variance).collect();
    let target = Problem {
        h: &h,
        b: &b,
        weights: &weights,
    }
    .minimum(theta);
    let cost = |left: f64, theta: &[f64]| left / (2.0 * variance) + priors.cost(theta);
    let now = cost(left, theta);
    let mut share = 1.0;
    // After so many halvings nothing is left of the step.
    for _ in 0..40 {
        let tried: Vec<f64> = theta
            .iter()
            .zip(&target)
            .map(|(from, to)| {
                if share < 1.0 {
                    from + share * (to - from)
                } else {
                    *to
                }
            })
            .collect();
        let left = statistics.left(&tried);
        let gain = now - cost(left, &tried);
        if gain >= 0.0 {
            return Step {
                theta: tried,
                left,
                gain,
            };
        }
        share /= 2.0;
    }
    Step {
        theta: theta.to_vec(),
        left,
        gain: 0.0,
    }
}
