//! Small dense symmetric matrices: a few dozen rows.

// The numeric kernel: sizes are checked where a matrix is made.
#![allow(clippy::indexing_slicing)]

/// A square matrix, row by row.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::model) struct Matrix {
    size: usize,
    values: Vec<f64>,
}

impl Matrix {
    /// All zeros.
    pub(in crate::model) fn zeros(size: usize) -> Self {
        Self {
            size,
            values: vec![0.0; size * size],
        }
    }

    pub(in crate::model) const fn size(&self) -> usize {
        self.size
    }

    pub(in crate::model) fn row(&self, row: usize) -> &[f64] {
        &self.values[row * self.size..(row + 1) * self.size]
    }

    pub(in crate::model) fn row_mut(&mut self, row: usize) -> &mut [f64] {
        &mut self.values[row * self.size..(row + 1) * self.size]
    }

    /// Writes `value` at `(row, column)` and `(column, row)`.
    pub(in crate::model) fn set(&mut self, row: usize, column: usize, value: f64) {
        self.values[row * self.size + column] = value;
        self.values[column * self.size + row] = value;
    }

    /// Adds `weight · x xᵀ`; `x` is `[size]`.
    pub(in crate::model) fn add_outer(&mut self, x: &[f64], weight: f64) {
        for (row, x_row) in self.values.chunks_exact_mut(self.size.max(1)).zip(x) {
            let factor = weight * x_row;
            // Most slopes have not begun in an early row.
            if factor != 0.0 {
                for (value, x_column) in row.iter_mut().zip(x) {
                    *value += factor * x_column;
                }
            }
        }
    }

    /// The product with a vector.
    pub(in crate::model) fn times(&self, x: &[f64]) -> Vec<f64> {
        self.values
            .chunks_exact(self.size.max(1))
            .map(|row| dot(row, x))
            .collect()
    }
}

/// Inner product in four partial sums, which the compiler can keep in vector registers.
pub(in crate::model) fn dot(a: &[f64], b: &[f64]) -> f64 {
    let (a4, a_rest) = a.as_chunks::<4>();
    let (b4, b_rest) = b.as_chunks::<4>();
    let mut sums = [0.0; 4];
    for (a, b) in a4.iter().zip(b4) {
        for lane in 0..4 {
            sums[lane] += a[lane] * b[lane];
        }
    }
    let rest: f64 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    (sums[0] + sums[1]) + (sums[2] + sums[3]) + rest
}

/// Solves `h x = b` for the rows and columns `of` of a symmetric positive definite `h` by Cholesky's factorisation; `b` and
/// the answer are `[of.len()]`. A direction that `h` does not determine (the pivot is rounding) is left at 0.
pub(in crate::model) fn solve(h: &Matrix, of: &[usize], b: &[f64]) -> Vec<f64> {
    let n = of.len();
    let mut lower = vec![0.0; n * n];
    for (i, row) in of.iter().enumerate() {
        let from = h.row(*row);
        for j in 0..=i {
            let (before, this) = lower.split_at_mut(i * n);
            let sum = from[of[j]]
                - if i == j {
                    dot(&this[..j], &this[..j])
                } else {
                    dot(&this[..j], &before[j * n..j * n + j])
                };
            this[j] = if i == j {
                let sound = sum > from[*row] * 1e-14;
                if sound { sum.sqrt() } else { f64::INFINITY }
            } else {
                sum / before[j * n + j]
            };
        }
    }
    let mut x = b.to_vec();
    for i in 0..n {
        let sum = x[i] - dot(&lower[i * n..i * n + i], &x[..i]);
        x[i] = sum / lower[i * n + i];
    }
    for i in (0..n).rev() {
        x[i] /= lower[i * n + i];
        let (head, tail) = x.split_at_mut(i);
        for (value, l) in head.iter_mut().zip(&lower[i * n..i * n + i]) {
            *value -= l * tail[0];
        }
    }
    x
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn solves_what_it_was_given() {
        let mut h = Matrix::zeros(7);
        for seed in 0..20_u32 {
            let x: Vec<f64> = (0..7)
                .map(|i| f64::from((seed * 7 + i) * 37 % 11) - 5.0)
                .collect();
            h.add_outer(&x, 1.0);
        }
        let of = [0, 2, 3, 6];
        let truth = [1.0, -2.0, 0.5, 3.0];
        let b: Vec<f64> = of
            .iter()
            .map(|i| of.iter().zip(truth).map(|(j, x)| h.row(*i)[*j] * x).sum())
            .collect();
        for (found, truth) in solve(&h, &of, &b).iter().zip(truth) {
            assert!((found - truth).abs() < 1e-10);
        }
        assert_eq!(h.times(&[0.0; 7]), [0.0; 7]);
    }

    #[test]
    fn a_direction_that_is_not_there_stays_where_it_is() {
        let mut h = Matrix::zeros(2);
        h.add_outer(&[1.0, 1.0], 2.0);
        let x = solve(&h, &[0, 1], &[2.0, 2.0]);
        assert!((x[0] + x[1] - 1.0).abs() < 1e-12, "{x:?}");
    }
}
