//! The band: changes of slope as often and as large as in the past, simulated into the future, plus noise.

// The numeric kernel: paths are numbered below `PATHS` here.
#![allow(clippy::indexing_slicing)]

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Poisson};

/// Futures simulated.
const PATHS: usize = 1000;
/// Changes simulated at most, in all futures together: bounds what a careless horizon can take.
const MOST_CHANGES: usize = 1_000_000;

/// Where the future starts, and what happens in it; scaled time, scaled values.
pub(super) struct Future {
    /// From here on slopes may change.
    pub(super) from: f64,
    /// Changes of slope per unit of time.
    pub(super) rate: f64,
    /// Mean size of a change.
    pub(super) size: f64,
    /// Standard deviation of the noise.
    pub(super) sigma: f64,
    /// Where the random numbers start.
    pub(super) seed: u64,
}

impl Future {
    /// Half the band's width at `times` (ascending) for a band that holds a share `level`; `gains` is what the trend is
    /// multiplied with at each time.
    ///
    /// Changes are Laplace, so futures are as likely above as below, and the width is the `level` quantile of distances. The
    /// noise is the same evenly spread set of normal numbers at all times, which makes the band smooth; it is each
    /// time's distribution that a band is about.
    pub(super) fn widths(&self, times: &[f64], gains: &[f64], level: f64) -> Vec<f64> {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        let noise = spread_noise(self.sigma);
        let end = times.last().copied().unwrap_or(self.from);
        let mut changes = self.changes(end, &mut rng).into_iter().peekable();
        let (mut slopes, mut values) = (vec![0.0; PATHS], vec![0.0; PATHS]);
        let mut active: Vec<usize> = Vec::new();
        let mut now = self.from;
        let mut distances = vec![0.0; PATHS];
        times
            .iter()
            .zip(gains)
            .map(|(time, gain)| {
                let passed = (time - now).max(0.0);
                for path in &active {
                    values[*path] += slopes[*path] * passed;
                }
                while let Some((at, path, size)) = changes.next_if(|(at, ..)| at <= time) {
                    if slopes[path] == 0.0 && values[path] == 0.0 {
                        active.push(path);
                    }
                    slopes[path] += size;
                    values[path] += size * (time - at);
                }
                now = now.max(*time);
                for ((out, noise), value) in distances.iter_mut().zip(&noise).zip(&values) {
                    *out = (gain * value + noise).abs();
                }
                quantile(&mut distances, level)
            })
            .collect()
    }

    /// Changes up to `end`: when, in which future, by how much; in order of time.
    fn changes(&self, end: f64, rng: &mut ChaCha8Rng) -> Vec<(f64, usize, f64)> {
        let span = (end - self.from).max(0.0);
        let Ok(counts) = Poisson::new(self.rate * span) else {
            return Vec::new();
        };
        let mut changes = Vec::new();
        for path in 0..PATHS {
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            let count = counts.sample(rng) as usize;
            for _ in 0..count {
                if changes.len() == MOST_CHANGES {
                    break;
                }
                let at = self.from + span * rng.random::<f64>();
                let half = rng.random::<f64>() - 0.5;
                let size = -self.size * half.signum() * (1.0 - 2.0 * half.abs()).max(1e-300).ln();
                changes.push((at, path, size));
            }
        }
        changes.sort_by(|a, b| a.0.total_cmp(&b.0));
        changes
    }
}

/// Normal numbers of this deviation at evenly spread probabilities.
fn spread_noise(sigma: f64) -> Vec<f64> {
    (0..PATHS)
        .map(|path| sigma * normal_quantile((path as f64 + 0.5) / PATHS as f64))
        .collect()
}

/// The `level` quantile, between the two nearest values; reorders `values` (not empty).
fn quantile(values: &mut [f64], level: f64) -> f64 {
    let place = level.clamp(0.0, 1.0) * (values.len() - 1) as f64;
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let below = place.floor() as usize;
    let (_, low, above) = values.select_nth_unstable_by(below, f64::total_cmp);
    let high = above.iter().copied().fold(f64::INFINITY, f64::min);
    if high.is_finite() {
        *low + (high - *low) * (place - below as f64)
    } else {
        *low
    }
}

/// The standard normal quantile of `p` in (0, 1), by Acklam's approximation, good to 1e-8.
pub(super) fn normal_quantile(p: f64) -> f64 {
    const A: [f64; 6] = [
        -3.969_683_028_665_376e1,
        2.209_460_984_245_205e2,
        -2.759_285_104_469_687e2,
        1.383_577_518_672_69e2,
        -3.066_479_806_614_716e1,
        2.506_628_277_459_239,
    ];
    const B: [f64; 6] = [
        -5.447_609_879_822_406e1,
        1.615_858_368_580_409e2,
        -1.556_989_798_598_866e2,
        6.680_131_188_771_972e1,
        -1.328_068_155_288_572e1,
        1.0,
    ];
    const C: [f64; 6] = [
        -7.784_894_002_430_293e-3,
        -3.223_964_580_411_365e-1,
        -2.400_758_277_161_838,
        -2.549_732_539_343_734,
        4.374_664_141_464_968,
        2.938_163_982_698_783,
    ];
    const D: [f64; 5] = [
        7.784_695_709_041_462e-3,
        3.224_671_290_700_398e-1,
        2.445_134_137_142_996,
        3.754_408_661_907_416,
        1.0,
    ];
    let polynomial = |of: &[f64], x: f64| of.iter().fold(0.0, |sum, factor| sum * x + factor);
    let tail = p.min(1.0 - p);
    if tail < 0.024_25 {
        let q = (-2.0 * tail.ln()).sqrt();
        let x = polynomial(&C, q) / polynomial(&D, q);
        if p < 0.5 { x } else { -x }
    } else {
        let q = p - 0.5;
        let r = q * q;
        q * polynomial(&A, r) / polynomial(&B, r)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn future(rate: f64, size: f64) -> Future {
        Future {
            from: 1.0,
            rate,
            size,
            sigma: 2.0,
            seed: 1,
        }
    }

    #[test]
    fn noise_alone_gives_the_normal_band() {
        for (level, z) in [(0.8, 1.281_552), (0.9, 1.644_854), (0.95, 1.959_964)] {
            let widths = future(0.0, 1.0).widths(&[1.1, 1.5], &[1.0, 3.0], level);
            assert!((widths[0] / (2.0 * z) - 1.0).abs() < 5e-3, "{widths:?}");
            assert_eq!(widths[0], widths[1]);
            assert!((normal_quantile(0.5 + level / 2.0) - z).abs() < 1e-6);
        }
        assert!((normal_quantile(0.001) + 3.090_232_306).abs() < 1e-7);
    }

    #[test]
    fn changes_widen_the_band_with_time_and_a_seed_repeats_it() {
        let times: Vec<f64> = (1..=100).map(|k| 1.0 + f64::from(k) / 100.0).collect();
        let gains = vec![1.0; 100];
        let widths = future(25.0, 10.0).widths(&times, &gains, 0.9);
        assert!(widths[99] > 3.0 * widths[9], "{widths:?}");
        assert_eq!(widths, future(25.0, 10.0).widths(&times, &gains, 0.9));
        // Variance of the sum of changes: rate · 2 size² · T³ / 3.
        let deviation = (25.0_f64 * 2.0 * 100.0 / 3.0 + 4.0).sqrt();
        assert!(
            (widths[99] / (1.645 * deviation) - 1.0).abs() < 0.1,
            "{}",
            widths[99]
        );
        let doubled = future(25.0, 10.0).widths(&times, &[2.0; 100], 0.9);
        assert!(doubled[99] > 1.8 * widths[99]);
    }
}
