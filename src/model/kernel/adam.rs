//! From gradients to new weights: sum, norm, and Adam (Kingma & Ba 2015) over all weights at once.

use pulp::{Simd, WithSimd};

use super::Instructions;
use super::dispatch;
use super::lanes::Lanes;
use super::tile::{vectors, vectors_mut};

const BETA1: f64 = 0.9;
const BETA2: f64 = 0.999;
const EPSILON: f32 = 1e-8;

/// The optimiser's state: two moments per weight.
#[derive(Debug)]
pub(crate) struct Adam {
    learning_rate: f64,
    decay1: f64,
    decay2: f64,
    means: Vec<f32>,
    squares: Vec<f32>,
}

impl Adam {
    /// For `weights` weights.
    pub(crate) fn new(learning_rate: f64, weights: usize) -> Self {
        Self {
            learning_rate,
            decay1: 1.0,
            decay2: 1.0,
            means: vec![0.0; weights],
            squares: vec![0.0; weights],
        }
    }

    /// The next step against `gradient · factor`, in two parts that may be taken at once: the first `middle` weights, a
    /// multiple of a vector, and the others.
    #[allow(clippy::cast_possible_truncation)] // Step sizes, in the weights' precision.
    pub(crate) fn step(
        &mut self,
        instructions: Instructions,
        factor: f32,
        middle: usize,
    ) -> (Part<'_>, Part<'_>) {
        self.decay1 *= BETA1;
        self.decay2 *= BETA2;
        let rate = (self.learning_rate / (1.0 - self.decay1)) as f32;
        let correction = (1.0 / (1.0 - self.decay2)) as f32;
        let part = |(means, squares)| Part {
            instructions,
            means,
            squares,
            factor,
            rate,
            correction,
        };
        let means = self.means.split_at_mut(middle);
        let squares = self.squares.split_at_mut(middle);
        (part((means.0, squares.0)), part((means.1, squares.1)))
    }
}

/// A step of some of the weights, yet to be taken.
pub(crate) struct Part<'a> {
    instructions: Instructions,
    means: &'a mut [f32],
    squares: &'a mut [f32],
    factor: f32,
    rate: f32,
    correction: f32,
}

impl Part<'_> {
    /// Moves `weights` against `gradient`, both as long as the part.
    pub(crate) fn take(self, weights: &mut [f32], gradient: &[f32]) {
        dispatch!(self.instructions, simd => Simd::vectorize(simd, Step {
            simd,
            weights,
            gradient,
            part: self,
        }));
    }
}

struct Step<'a, S> {
    simd: S,
    weights: &'a mut [f32],
    gradient: &'a [f32],
    part: Part<'a>,
}

impl<S: Lanes> WithSimd for Step<'_, S> {
    type Output = ();

    #[inline(always)]
    fn with_simd<T: pulp::Simd>(self, _: T) {
        let simd = self.simd;
        let splat = |x: f64| {
            #[allow(clippy::cast_possible_truncation)] // The weights' precision.
            simd.splat_f32s(x as f32)
        };
        let (keep1, keep2) = (splat(BETA1), splat(BETA2));
        let (new1, new2) = (splat(1.0 - BETA1), splat(1.0 - BETA2));
        let factor = simd.splat_f32s(self.part.factor);
        let rate = simd.splat_f32s(-self.part.rate);
        let correction = simd.splat_f32s(self.part.correction);
        let epsilon = simd.splat_f32s(EPSILON);
        let moments = vectors_mut::<S>(self.part.means)
            .iter_mut()
            .zip(vectors_mut::<S>(self.part.squares));
        let values = vectors_mut::<S>(self.weights)
            .iter_mut()
            .zip(vectors::<S>(self.gradient));
        for ((weight, gradient), (mean, square)) in values.zip(moments) {
            let gradient = simd.mul_f32s(*gradient, factor);
            *mean = simd.fma(keep1, *mean, simd.mul_f32s(new1, gradient));
            let now = simd.mul_f32s(new2, simd.mul_f32s(gradient, gradient));
            *square = simd.fma(keep2, *square, now);
            let size = simd.sqrt_f32s(simd.mul_f32s(*square, correction));
            let below = simd.add_f32s(size, epsilon);
            *weight = simd.fma(rate, simd.div_f32s(*mean, below), *weight);
        }
    }
}

/// Adds `part` to `sum` (both as long as the weights) and gives the squares of what came out, summed up.
pub(crate) fn add(instructions: Instructions, sum: &mut [f32], part: &[f32]) -> f64 {
    dispatch!(instructions, simd => Simd::vectorize(simd, Add { simd, sum, part }))
}

struct Add<'a, S> {
    simd: S,
    sum: &'a mut [f32],
    part: &'a [f32],
}

impl<S: Lanes> WithSimd for Add<'_, S> {
    type Output = f64;

    #[inline(always)]
    fn with_simd<T: pulp::Simd>(self, _: T) -> f64 {
        let simd = self.simd;
        // Several sums, so that one addition need not wait for the one before it.
        let mut squares = [simd.splat_f32s(0.0); 4];
        let sums = vectors_mut::<S>(self.sum).chunks_mut(4);
        for (sums, parts) in sums.zip(vectors::<S>(self.part).chunks(4)) {
            for ((sum, part), square) in sums.iter_mut().zip(parts).zip(&mut squares) {
                *sum = simd.add_f32s(*sum, *part);
                *square = simd.fma(*sum, *sum, *square);
            }
        }
        squares
            .into_iter()
            .map(|square| f64::from(simd.reduce_sum_f32s(square)))
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_add_up() {
        for instructions in Instructions::available() {
            let mut sum: Vec<f32> = (0..48_u8).map(f32::from).collect();
            let part = sum.clone();
            let squares = add(instructions, &mut sum, &part);
            assert!(sum.iter().zip(&part).all(|(sum, part)| *sum == 2.0 * part));
            assert_eq!(squares, sum.iter().map(|v| f64::from(v * v)).sum::<f64>());
            sum[7] = f32::NAN;
            assert!(add(instructions, &mut sum, &part).is_nan());
        }
    }

    fn whole(adam: &mut Adam, instructions: Instructions, factor: f32) -> Part<'_> {
        adam.step(instructions, factor, 16).0
    }

    #[test]
    fn finds_the_bottom_of_a_bowl() {
        for instructions in Instructions::available() {
            let mut weights = vec![3.0; 16];
            let mut adam = Adam::new(0.05, 16);
            for _ in 0..500 {
                let gradient: Vec<f32> = weights.iter().map(|w| 2.0 * (w - 1.0)).collect();
                whole(&mut adam, instructions, 1.0).take(&mut weights, &gradient);
            }
            assert!(
                weights.iter().all(|w| (w - 1.0).abs() < 1e-2),
                "{weights:?}"
            );
        }
    }

    #[test]
    fn the_first_step_is_the_learning_rate() {
        for instructions in Instructions::available() {
            let mut weights = vec![0.0; 16];
            let mut gradient = vec![123.0; 16];
            gradient[1] = -1e-3;
            let mut adam = Adam::new(0.01, 16);
            whole(&mut adam, instructions, 0.5).take(&mut weights, &gradient);
            assert!((weights[0] + 0.01).abs() < 1e-6 && (weights[1] - 0.01).abs() < 1e-6);
        }
    }
}
