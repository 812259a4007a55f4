//! The lowest point of a quadratic plus weighted absolute values, exactly.
//!
//! An active set as in feature-sign search (Lee et al. 2006): guess which coordinates are not 0 and their signs, solve the
//! smooth problem that remains, walk towards its solution until a coordinate would change its sign, drop that one there; once
//! signs hold, let in the coordinate that violates optimality most. Every step lowers the value, no set of signs comes twice,
//! so it ends, and it ends at the optimum, which iterations over single coordinates approach slowly because neighbouring
//! slopes of a trend are nearly the same column.

// The numeric kernel: all slices are `[size]` of the quadratic.
#![allow(clippy::indexing_slicing)]

use crate::model::matrix::{Matrix, dot, solve};

/// Solutions of smooth problems, at most; far more than a few dozen coordinates need.
const MOST_STEPS: usize = 1000;

/// `½ xᵀ h x − bᵀ x + Σ weight_i |x_i|`, `h` positive definite, weights 0 or more.
pub(super) struct Problem<'a> {
    pub(super) h: &'a Matrix,
    pub(super) b: &'a [f64],
    /// 0 for coordinates without an absolute value.
    pub(super) weights: &'a [f64],
}

impl Problem<'_> {
    /// The lowest point. `start` says which coordinates are likely not 0.
    pub(super) fn minimum(&self, start: &[f64]) -> Vec<f64> {
        let mut x = start.to_vec();
        let mut signs: Vec<f64> = x
            .iter()
            .zip(self.weights)
            .map(|(x, weight)| if *weight > 0.0 { sign(*x) } else { 1.0 })
            .collect();
        let mut entered = None;
        for _ in 0..MOST_STEPS {
            let active: Vec<usize> = (0..x.len()).filter(|i| signs[*i] != 0.0).collect();
            let b: Vec<f64> = active
                .iter()
                .map(|i| self.b[*i] - self.weights[*i] * signs[*i])
                .collect();
            let target = solve(self.h, &active, &b);
            if let Some((share, dropped)) = self.first_turn(&x, &signs, &active, &target) {
                for (i, to) in active.iter().zip(&target) {
                    x[*i] += share * (to - x[*i]);
                }
                x[dropped] = 0.0;
                signs[dropped] = 0.0;
                if entered == Some(dropped) && share == 0.0 {
                    // It wanted in by rounding alone.
                    break;
                }
                continue;
            }
            for (i, to) in active.iter().zip(&target) {
                x[*i] = *to;
            }
            let Some((entering, direction)) = self.worst(&x, &signs) else {
                break;
            };
            signs[entering] = direction;
            entered = Some(entering);
        }
        x
    }

    /// The first coordinate that changes its sign on the way from `x` to `target`, and how far along.
    fn first_turn(
        &self,
        x: &[f64],
        signs: &[f64],
        active: &[usize],
        target: &[f64],
    ) -> Option<(f64, usize)> {
        active
            .iter()
            .zip(target)
            .filter(|(i, to)| self.weights[**i] > 0.0 && **to * signs[**i] < 0.0)
            .map(|(i, to)| ((x[*i] / (x[*i] - to)).clamp(0.0, 1.0), *i))
            .min_by(|a, b| a.0.total_cmp(&b.0))
    }

    /// The coordinate at 0 that wants away from it most, and in which direction.
    fn worst(&self, x: &[f64], signs: &[f64]) -> Option<(usize, f64)> {
        let scale = self.b.iter().fold(0.0_f64, |a, b| a.max(b.abs()));
        (0..x.len())
            .filter(|i| signs[*i] == 0.0)
            .map(|i| (i, self.b[i] - dot(self.h.row(i), x)))
            .filter(|(i, pull)| pull.abs() > self.weights[*i] * (1.0 + 1e-9) + scale * 1e-13)
            .max_by(|a, b| {
                let excess = |(i, pull): &(usize, f64)| pull.abs() - self.weights[*i];
                excess(a).total_cmp(&excess(b))
            })
            .map(|(i, pull)| (i, sign(pull)))
    }
}

/// −1, 0 or 1.
fn sign(x: f64) -> f64 {
    if x == 0.0 { 0.0 } else { x.signum() }
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    #[test]
    fn the_answer_is_optimal_from_any_start() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        for round in 0..30 {
            let size = 12;
            let mut h = Matrix::zeros(size);
            // Ramps: nearly the same column next to each other.
            for row in 0..200 {
                let t = f64::from(row) / 200.0;
                let x: Vec<f64> = (0..size).map(|j| (t - j as f64 / 15.0).max(0.0)).collect();
                h.add_outer(&x, 1.0);
            }
            let b: Vec<f64> = (0..size).map(|_| rng.random_range(-9.0..9.0)).collect();
            let weights: Vec<f64> = (0..size).map(|j| if j < 2 { 0.0 } else { 0.3 }).collect();
            for i in 0..size {
                h.set(i, i, h.row(i)[i] + 1e-6);
            }
            let problem = Problem {
                h: &h,
                b: &b,
                weights: &weights,
            };
            let start: Vec<f64> = (0..size)
                .map(|_| f64::from(rng.random_range(-1..2)))
                .collect();
            for start in [vec![0.0; size], start] {
                let x = problem.minimum(&start);
                for (i, (hx, b)) in h.times(&x).iter().zip(&b).enumerate() {
                    let pull = b - hx;
                    let off = if x[i] == 0.0 {
                        (pull.abs() - weights[i]).max(0.0)
                    } else {
                        (pull - weights[i] * x[i].signum()).abs()
                    };
                    assert!(off < 1e-7, "round {round}, coordinate {i}: {off}");
                }
            }
        }
    }
}
