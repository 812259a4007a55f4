//! Adam (Kingma & Ba 2015), on plain vectors.

const BETA1: f64 = 0.9;
const BETA2: f64 = 0.999;
const EPSILON: f32 = 1e-8;

/// The optimiser's state: two moments per weight.
pub(super) struct Adam {
    learning_rate: f64,
    decay1: f64,
    decay2: f64,
    moments: Vec<Vec<(f32, f32)>>,
}

impl Adam {
    /// For tensors of these sizes.
    pub(super) fn new(learning_rate: f64, sizes: impl Iterator<Item = usize>) -> Self {
        Self {
            learning_rate,
            decay1: 1.0,
            decay2: 1.0,
            moments: sizes.map(|size| vec![(0.0, 0.0); size]).collect(),
        }
    }

    /// Moves `weights` against `gradients`, both with the sizes given to [`Adam::new`].
    #[allow(clippy::cast_possible_truncation)] // Step sizes, in the weights' precision.
    pub(super) fn step(&mut self, weights: &mut [Vec<f32>], gradients: &[Vec<f32>]) {
        let (beta1, beta2) = (BETA1 as f32, BETA2 as f32);
        self.decay1 *= BETA1;
        self.decay2 *= BETA2;
        let rate = (self.learning_rate / (1.0 - self.decay1)) as f32;
        let correction = (1.0 / (1.0 - self.decay2)) as f32;
        let tensors = weights.iter_mut().zip(gradients).zip(&mut self.moments);
        for ((weights, gradients), moments) in tensors {
            for ((weight, gradient), (mean, square)) in
                weights.iter_mut().zip(gradients).zip(moments)
            {
                *mean = beta1 * *mean + (1.0 - beta1) * gradient;
                *square = beta2 * *square + (1.0 - beta2) * gradient * gradient;
                *weight -= rate * *mean / ((*square * correction).sqrt() + EPSILON);
            }
        }
    }
}

/// Scales all gradients so that their common Euclidean norm is at most `limit` (0: no limit) and gives the norm they had.
pub(super) fn clip(gradients: &mut [Vec<f32>], limit: f64) -> f64 {
    let squares: f64 = gradients
        .iter()
        .flatten()
        .map(|g| f64::from(*g).powi(2))
        .sum();
    let norm = squares.sqrt();
    if limit > 0.0 && norm > limit {
        #[allow(clippy::cast_possible_truncation)] // Between 0 and 1.
        let factor = (limit / norm) as f32;
        for gradient in gradients.iter_mut().flatten() {
            *gradient *= factor;
        }
    }
    norm
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_bottom_of_a_bowl() {
        let mut weights = vec![vec![3.0], vec![-2.0]];
        let mut adam = Adam::new(0.05, [1, 1].into_iter());
        for _ in 0..500 {
            let gradients = vec![vec![2.0 * (weights[0][0] - 1.0)], vec![8.0 * weights[1][0]]];
            adam.step(&mut weights, &gradients);
        }
        assert!((weights[0][0] - 1.0).abs() < 1e-2 && weights[1][0].abs() < 1e-2);
    }

    #[test]
    fn the_first_step_is_the_learning_rate() {
        let mut weights = vec![vec![0.0, 0.0]];
        Adam::new(0.01, [2].into_iter()).step(&mut weights, &[vec![123.0, -1e-3]]);
        assert!((weights[0][0] + 0.01).abs() < 1e-6 && (weights[0][1] - 0.01).abs() < 1e-6);
    }

    #[test]
    fn clipping_keeps_the_direction() {
        let mut gradients = vec![vec![3.0], vec![4.0]];
        assert_eq!(clip(&mut gradients, 0.0), 5.0);
        assert_eq!(clip(&mut gradients, 1.0), 5.0);
        assert!((gradients[0][0] - 0.6).abs() < 1e-6 && (gradients[1][0] - 0.8).abs() < 1e-6);
        assert!((clip(&mut gradients, 2.0) - 1.0).abs() < 1e-6);
    }
}
