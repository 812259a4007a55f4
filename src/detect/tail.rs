//! The tail of a sample: how often a value is over a level that was seldom or never reached.

use crate::domain::Tail;

/// A heavier shape comes from mixed errors, such as an incident among the held-back ones, not from a tail that goes on so.
const HEAVIEST: f64 = 0.5;
/// Lightest shape believed: −1 is a uniform distribution.
const LIGHTEST: f64 = -1.0;
/// With fewer exceedances than this a tail that ends looks like chance: the lightest shape is then −¼.
const MANY: usize = 100;

/// Fits a generalised Pareto distribution to the largest of `sorted` (ascending, at least two values) that are over the
/// value `count` places from the top, by probability-weighted moments (Hosking & Wallis 1987): steady with few
/// exceedances, where maximum likelihood may not converge. The shape is kept between −1 (−¼ with fewer than 100) and ½.
/// `None` when nothing is over that value.
pub(super) fn fit(sorted: &[f64], count: usize) -> Option<Tail> {
    let above = *sorted.get(sorted.len().checked_sub(count + 1)?)?;
    let over: Vec<f64> = sorted
        .iter()
        .filter(|v| **v > above)
        .map(|v| v - above)
        .collect();
    let n = over.len() as f64;
    let mean = over.iter().sum::<f64>() / n;
    // E[x (1 − F(x))], with the plotting positions that Hosking and Wallis advise.
    let weighted = over
        .iter()
        .enumerate()
        .map(|(rank, v)| v * (1.0 - (rank as f64 + 0.65) / n))
        .sum::<f64>()
        / n;
    if over.is_empty() || mean <= 0.0 || !mean.is_finite() {
        return None;
    }
    let lightest = if over.len() < MANY { -0.25 } else { LIGHTEST };
    let free = 2.0 - mean / (mean - 2.0 * weighted);
    let shape = if free.is_finite() { free } else { lightest }.clamp(lightest, HEAVIEST);
    Some(Tail {
        above,
        rate: n / sorted.len() as f64,
        shape,
        // The mean of the distribution is scale / (1 − shape): kept, whatever became of the shape.
        scale: mean * (1.0 - shape),
    })
}

/// The level that a value is over with probability `chance` (0 to the tail's rate).
pub(super) fn level(tail: &Tail, chance: f64) -> f64 {
    let times = (tail.rate / chance).max(1.0);
    let stretched = if tail.shape.abs() < 1e-6 {
        times.ln()
    } else {
        (times.powf(tail.shape) - 1.0) / tail.shape
    };
    tail.above + tail.scale * stretched
}

/// The extremal index at `above`: one over the mean length of a cluster of values over it, by the intervals estimator of
/// Ferro & Segers (2003). `values` are in the order of time. 1 when they come singly, or too few are over it to say.
pub(super) fn extremal_index(values: &[f64], above: f64) -> f64 {
    let over: Vec<usize> = values
        .iter()
        .enumerate()
        .filter(|(_, v)| **v > above)
        .map(|(row, _)| row)
        .collect();
    let gaps: Vec<f64> = over
        .iter()
        .zip(over.iter().skip(1))
        .map(|(a, b)| (b - a) as f64)
        .collect();
    if gaps.len() < 2 {
        return 1.0;
    }
    let n = gaps.len() as f64;
    let longest = gaps.iter().fold(0.0_f64, |a, b| a.max(*b));
    let (sum, squares) = if longest <= 2.0 {
        (
            gaps.iter().sum::<f64>(),
            gaps.iter().map(|t| t * t).sum::<f64>(),
        )
    } else {
        (
            gaps.iter().map(|t| t - 1.0).sum(),
            gaps.iter().map(|t| (t - 1.0) * (t - 2.0)).sum(),
        )
    };
    (2.0 * sum * sum / (n * squares)).min(1.0)
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;
    use rand_distr::{Distribution, Exp1, Pareto};

    use super::*;

    fn sorted(mut values: Vec<f64>) -> Vec<f64> {
        values.sort_by(f64::total_cmp);
        values
    }

    #[test]
    fn known_tails_are_recognised() {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let exponential: Vec<f64> = (0..20_000).map(|_| Exp1.sample(&mut rng)).collect();
        let tail = fit(&sorted(exponential), 1000).unwrap();
        assert!(tail.shape.abs() < 0.12, "{tail:?}");
        assert!((tail.scale - 1.0).abs() < 0.12, "{tail:?}");
        assert!((level(&tail, 1e-4) - 9.21).abs() < 1.0, "{tail:?}");
        let heavy = Pareto::new(1.0, 4.0).unwrap();
        let heavy: Vec<f64> = (0..20_000).map(|_| heavy.sample(&mut rng)).collect();
        let tail = fit(&sorted(heavy), 1000).unwrap();
        assert!((tail.shape - 0.25).abs() < 0.12, "{tail:?}");
        let uniform: Vec<f64> = (0..1000).map(f64::from).collect();
        let tail = fit(&uniform, 100).unwrap();
        assert!(tail.shape < -0.9, "{tail:?}");
        assert_eq!(fit(&uniform, 50).unwrap().shape, -0.25);
        assert!(fit(&[3.0; 50], 10).is_none());
    }

    #[test]
    fn clusters_are_counted_once() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let singles: Vec<f64> = (0..5000).map(|_| Exp1.sample(&mut rng)).collect();
        assert!(extremal_index(&singles, 3.0) > 0.85);
        let runs: Vec<f64> = (0..20_000).map(|row| singles[row / 4]).collect();
        let index = extremal_index(&runs, 3.0);
        assert!((index - 0.25).abs() < 0.05, "{index}");
        assert_eq!(extremal_index(&singles, 1e9), 1.0);
    }
}
