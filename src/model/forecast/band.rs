//! How wide a band must be, from how wrong forecasts of the past were.
//!
//! Split conformal prediction (Vovk et al. 2005; for forecasts from several origins: Stankevičiūtė et al. 2021): the width
//! at a distance is the quantile of the absolute errors that forecasts from earlier origins made at about that distance.
//! No distribution is assumed. Distances are pooled in a few groups, and widths never shrink with the distance (isotonic
//! regression over the groups).

use serde::{Deserialize, Serialize};

/// Fewest errors of a group of distances.
const GROUP: usize = 30;
/// How many independent errors those of one origin are worth.
const PER_ORIGIN: f64 = 4.0;
/// Most groups.
const GROUPS: usize = 6;

/// Absolute errors by distance. Holds the errors of all origins tried.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Band {
    /// Groups of distances, near to far: the mean distance (from 1) and the errors, ascending.
    groups: Vec<(f64, Vec<f64>)>,
    /// Distance from which nothing was measured.
    reach: f64,
    /// Origins that the errors are from.
    origins: usize,
}

impl Band {
    /// From `(distance, absolute error)` pairs; distances count from 1. Not finite errors are left out. `None` without
    /// errors.
    pub(super) fn measured(
        errors: impl IntoIterator<Item = (usize, f64)>,
        origins: usize,
    ) -> Option<Self> {
        let mut errors: Vec<(usize, f64)> = errors
            .into_iter()
            .filter(|(_, error)| error.is_finite())
            .collect();
        errors.sort_by_key(|(distance, _)| *distance);
        let reach = errors.last()?.0 as f64;
        let count = (errors.len() / GROUP).clamp(1, GROUPS);
        let groups = errors
            .chunks(errors.len().div_ceil(count))
            .map(|group| {
                let sum: usize = group.iter().map(|(distance, _)| distance).sum();
                let mut sizes: Vec<f64> = group.iter().map(|(_, error)| *error).collect();
                sizes.sort_by(f64::total_cmp);
                (sum as f64 / group.len() as f64, sizes)
            })
            .collect();
        Some(Self {
            groups,
            reach,
            origins,
        })
    }

    /// Half the band's width at `distances`, ascending, for a band that holds a share `level`.
    ///
    /// Between the groups' mean distances widths are interpolated. Beyond what was measured they grow with the square
    /// root of the distance, as a random walk's do.
    pub(super) fn widths(&self, level: f64, distances: impl Iterator<Item = usize>) -> Vec<f64> {
        let level = self.raised(level);
        let raw: Vec<(f64, f64)> = self
            .groups
            .iter()
            .map(|(_, errors)| (quantile(errors, level), errors.len() as f64))
            .collect();
        let distance_of = self.groups.iter().map(|(distance, _)| *distance);
        let knots: Vec<(f64, f64)> = distance_of.zip(rising(&raw)).collect();
        distances
            .map(|distance| {
                let distance = distance as f64;
                interpolate(&knots, distance) * (distance / self.reach).max(1.0).sqrt()
            })
            .collect()
    }
}

impl Band {
    /// The level of the errors' quantile for a band that holds a share `level`. Errors of one origin go together, so they count as
    /// few, and the conformal quantile of few lies above that of many.
    fn raised(&self, level: f64) -> f64 {
        let n = PER_ORIGIN * self.origins.max(1) as f64;
        (level * (n + 1.0) / n).min(1.0)
    }
}

/// The conformal quantile of `sorted`: its ⌈(n + 1) · level⌉-th smallest, the largest if there is none that high.
pub(super) fn quantile(sorted: &[f64], level: f64) -> f64 {
    let n = sorted.len();
    let rank = ((n + 1) as f64 * level).ceil();
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let rank = (rank as usize).clamp(1, n.max(1));
    sorted.get(rank - 1).copied().unwrap_or(0.0)
}

/// The nearest sequence that never falls, by weighted least squares (pool adjacent violators) over `(value, weight)`.
fn rising(raw: &[(f64, f64)]) -> Vec<f64> {
    let mut pools: Vec<(f64, f64, usize)> = Vec::with_capacity(raw.len());
    for (value, weight) in raw {
        let mut pool = (*value, *weight, 1);
        while let Some(last) = pools.pop_if(|last| last.0 > pool.0) {
            let weight = last.1 + pool.1;
            let mean = (last.0 * last.1 + pool.0 * pool.1) / weight;
            pool = (mean, weight, last.2 + pool.2);
        }
        pools.push(pool);
    }
    pools
        .into_iter()
        .flat_map(|(value, _, count)| std::iter::repeat_n(value, count))
        .collect()
}

fn interpolate(knots: &[(f64, f64)], at: f64) -> f64 {
    let after = knots.iter().position(|(x, _)| *x >= at);
    let right = after.and_then(|i| knots.get(i));
    let left = after
        .map_or(knots.len(), |i| i)
        .checked_sub(1)
        .and_then(|i| knots.get(i));
    match (left, right) {
        (Some((x0, y0)), Some((x1, y1))) if x1 > x0 => y0 + (y1 - y0) * (at - x0) / (x1 - x0),
        (_, Some((_, y))) | (Some((_, y)), None) => *y,
        (None, None) => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widths_grow_with_the_distance_and_the_level() {
        let errors =
            (1..=120).flat_map(|h| (0..3).map(move |k| (h, f64::from(k) + h as f64 / 60.0)));
        let band = Band::measured(errors, 5).unwrap();
        let wide = band.widths(0.9, 1..=480);
        let narrow = band.widths(0.5, 1..=480);
        assert!(wide.windows(2).all(|w| w[1] >= w[0]));
        assert!(wide.iter().zip(&narrow).all(|(w, n)| w >= n));
        assert!((wide[479] / wide[119] - 2.0).abs() < 1e-9);
    }

    #[test]
    fn pools_never_fall() {
        assert_eq!(
            rising(&[(1.0, 1.0), (3.0, 1.0), (2.0, 1.0), (5.0, 1.0)]),
            [1.0, 2.5, 2.5, 5.0]
        );
        assert_eq!(
            rising(&[(3.0, 1.0), (2.0, 1.0), (1.0, 2.0)]),
            [1.75, 1.75, 1.75]
        );
    }

    #[test]
    fn the_quantile_is_the_conformal_one() {
        let sorted: Vec<f64> = (1..=9).map(f64::from).collect();
        assert_eq!(quantile(&sorted, 0.9), 9.0);
        assert_eq!(quantile(&sorted, 0.5), 5.0);
        assert_eq!(quantile(&[], 0.5), 0.0);
        assert!(Band::measured([(1, f64::NAN)], 1).is_none());
    }
}
