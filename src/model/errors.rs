//! Reconstruction errors of windows.

use ndarray::{Array2, ArrayView2, ArrayView3, Axis};

/// How far windows are from their reconstruction, in scaled units squared.
#[derive(Clone, Debug, PartialEq)]
pub struct WindowErrors {
    /// `[n, features]`: mean over the window's rows; NaN where the feature is masked.
    pub features: Array2<f64>,
    /// `[n]`: mean over the features that are not masked; NaN when all are.
    pub mse: Vec<f64>,
}

/// Errors of `output` against `input`, both `[n, window, columns]`. `mask` `[n, features]` says which features count (true);
/// `features` ≤ `columns`: what comes after them (the calendar) never counts. All rows of a window count alike. Windows or
/// features that one of the three lacks are left out.
#[must_use]
pub fn window_errors(
    input: ArrayView3<'_, f32>,
    output: ArrayView3<'_, f32>,
    mask: ArrayView2<'_, bool>,
) -> WindowErrors {
    let windows = input.len_of(Axis(0)).min(output.len_of(Axis(0)));
    let columns = input.len_of(Axis(2)).min(output.len_of(Axis(2)));
    let (windows, features) = (windows.min(mask.nrows()), columns.min(mask.ncols()));
    let mut errors = Array2::from_elem((windows, features), f64::NAN);
    let mut mse = Vec::with_capacity(windows);
    let pairs = input.outer_iter().zip(output.outer_iter());
    for (((input, output), mask), mut slots) in
        pairs.zip(mask.outer_iter()).zip(errors.outer_iter_mut())
    {
        let (mut sum, mut count) = (0.0, 0_usize);
        let columns = input.columns().into_iter().zip(output.columns());
        for ((slot, (input, output)), counts) in slots.iter_mut().zip(columns).zip(mask) {
            if *counts {
                let squares: f64 = input
                    .iter()
                    .zip(output)
                    .map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2))
                    .sum();
                *slot = squares / input.len().max(1) as f64;
                sum += *slot;
                count += 1;
            }
        }
        mse.push(if count == 0 {
            f64::NAN
        } else {
            sum / count as f64
        });
    }
    WindowErrors {
        features: errors,
        mse,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array3, array};

    #[test]
    fn means_over_rows_then_over_what_counts() {
        let input = Array3::<f32>::zeros((2, 2, 4));
        let mut output = input.clone();
        output[(0, 0, 0)] = 2.0;
        output[(0, 1, 1)] = 4.0;
        output[(0, 1, 3)] = 100.0;
        let mask = array![[true, true, false], [false, false, false]];
        let errors = window_errors(input.view(), output.view(), mask.view());
        assert_eq!(errors.features.dim(), (2, 3));
        assert_eq!(
            (errors.features[(0, 0)], errors.features[(0, 1)]),
            (2.0, 8.0)
        );
        assert!(errors.features[(0, 2)].is_nan());
        assert_eq!(errors.mse[0], 5.0);
        assert!(errors.mse[1].is_nan());
    }
}
