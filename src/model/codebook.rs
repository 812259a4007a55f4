//! The shapes that windows usually have: a few hundred typical windows, and how far a window is from the nearest.
//!
//! The typical windows are the centers of k-means (Lloyd 1982) with seeded k-means++ starts (Arthur & Vassilvitskii 2007) on
//! a sample of the training windows. Values are in units of their feature's usual spread and are cut, so that neither a
//! feature of a wide range nor one wild value decides what is near.

// Sizes are checked where windows come in.
#![allow(clippy::indexing_slicing)]

use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis};
use rand::SeedableRng;
use rand::distr::weighted::WeightedIndex;
use rand::prelude::Distribution;
use rand::seq::index::sample;
use rand_chacha::ChaCha8Rng;

/// Windows learned from, at most; of a single feature, whose windows are short, twice as many.
const SAMPLE: usize = 4000;

/// Windows that there are for each center, at least.
const EACH: usize = 8;

/// Values in all centers together, about: what one comparison costs.
const VALUES: usize = 10_000;

/// Centers, at least and at most.
const CENTERS: (usize, usize) = (16, 256);

/// Rounds of moving the centers.
const ROUNDS: usize = 8;

/// Spreads beyond which a value is cut.
const CUT: f32 = 10.0;

/// Typical windows. Memory: about 40 kB, more beyond 30 features.
#[derive(Clone, Debug, PartialEq)]
pub struct Codebook {
    window: usize,
    features: usize,
    /// `[centers, window · features]`, time first.
    centers: Array2<f32>,
    /// `[centers]`: half of each center's square.
    halves: Array1<f32>,
}

impl Codebook {
    /// Learns the windows of `window` rows that end in the rows `ends` of `parts` (stretch, row), `[rows, ≥ features]` each.
    /// `None` when there are fewer than two windows for each of the fewest centers.
    #[must_use]
    pub fn fit(
        parts: &[ArrayView2<'_, f32>],
        ends: &[(usize, usize)],
        window: usize,
        features: usize,
        seed: u64,
    ) -> Option<Self> {
        if ends.len() < 2 * CENTERS.0 || window == 0 || features == 0 {
            return None;
        }
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let most = if features == 1 { 2 * SAMPLE } else { SAMPLE };
        let mut chosen = sample(&mut rng, ends.len(), ends.len().min(most)).into_vec();
        chosen.sort_unstable();
        let mut book = Self {
            window,
            features,
            centers: Array2::zeros((0, window * features)),
            halves: Array1::zeros(0),
        };
        let mut windows = Array2::zeros((chosen.len(), window * features));
        for (mut slot, at) in windows.outer_iter_mut().zip(chosen) {
            let (part, row) = ends[at];
            book.read(parts[part], row, slot.as_slice_mut()?);
        }
        let count = (VALUES / (window * features)).min(ends.len() / EACH);
        let count = count.clamp(CENTERS.0, CENTERS.1).min(windows.nrows());
        book.set(starts(&windows, count, &mut rng));
        for _ in 0..ROUNDS {
            let moved = book.moved(&windows);
            book.set(moved);
        }
        Some(book)
    }

    fn set(&mut self, centers: Array2<f32>) {
        self.halves = centers.map_axis(Axis(1), |center| center.dot(&center) / 2.0);
        self.centers = centers;
    }

    /// The centers in the middle of the windows nearest to them; one that nobody is near stays.
    fn moved(&self, windows: &Array2<f32>) -> Array2<f32> {
        let mut sums = Array2::<f32>::zeros(self.centers.dim());
        let mut counts = vec![0.0_f32; self.centers.nrows()];
        let products = windows.dot(&self.centers.t());
        for (window, products) in windows.outer_iter().zip(products.outer_iter()) {
            let nearest = self.nearest(products);
            sums.row_mut(nearest).scaled_add(1.0, &window);
            counts[nearest] += 1.0;
        }
        for ((mut sum, count), old) in sums.outer_iter_mut().zip(counts).zip(self.centers.rows()) {
            if count > 0.0 {
                sum /= count;
            } else {
                sum.assign(&old);
            }
        }
        sums
    }

    /// The center of the least distance, from a window's products with all: |w − c|² = |w|² − 2 (w·c − |c|²/2).
    fn nearest(&self, products: ArrayView1<'_, f32>) -> usize {
        let closeness = products.iter().zip(&self.halves).map(|(p, half)| p - half);
        let best = closeness.enumerate().max_by(|a, b| a.1.total_cmp(&b.1));
        best.map_or(0, |(center, _)| center)
    }

    /// Rows of a window.
    #[must_use]
    pub const fn window(&self) -> usize {
        self.window
    }

    /// How many features a row must have.
    #[must_use]
    pub const fn features(&self) -> usize {
        self.features
    }

    /// The window that ends in `row`, cut; `row + 1` is at least the window.
    fn read(&self, values: ArrayView2<'_, f32>, row: usize, out: &mut [f32]) {
        let features = self.features();
        let rows = row + 1 - self.window..=row;
        for (row, out) in rows.zip(out.chunks_exact_mut(features)) {
            for (feature, out) in out.iter_mut().enumerate() {
                *out = values[(row, feature)].clamp(-CUT, CUT);
            }
        }
    }

    /// How far the windows that end in `rows` are from the nearest center, per feature: `errors` becomes `[rows, features]`,
    /// the mean square over the window's rows (spreads squared); NaN for a row that has too few before it.
    pub fn distances(
        &self,
        values: ArrayView2<'_, f32>,
        rows: std::ops::Range<usize>,
        space: &mut Distances,
    ) {
        let features = self.features();
        let width = self.window * features;
        let count = rows.len();
        space.errors.clear();
        space.errors.resize(count * features, f32::NAN);
        let first = rows.start.max(self.window - 1).min(rows.end);
        let usable = rows.end - first;
        if usable == 0 || values.ncols() < features || values.nrows() < rows.end {
            return;
        }
        if space.windows.dim() != (usable, width) {
            space.windows = Array2::zeros((usable, width));
        }
        for (row, mut slot) in (first..rows.end).zip(space.windows.outer_iter_mut()) {
            if let Some(slot) = slot.as_slice_mut() {
                self.read(values, row, slot);
            }
        }
        let products = space.windows.dot(&self.centers.t());
        let errors = space.errors[(count - usable) * features..].chunks_exact_mut(features);
        let windows = space.windows.outer_iter().zip(products.outer_iter());
        for (errors, (window, products)) in errors.zip(windows) {
            let center = self.centers.row(self.nearest(products));
            errors.fill(0.0);
            for (place, (value, center)) in window.iter().zip(center).enumerate() {
                errors[place % features] += (value - center).powi(2);
            }
            for error in errors {
                *error /= self.window as f32;
            }
        }
    }

    /// All that was learned: the rows of a window, and `[centers, window · features]`.
    #[must_use]
    pub fn tables(&self) -> (usize, ArrayView2<'_, f32>) {
        (self.window, self.centers.view())
    }

    /// The way back from [`Codebook::tables`]; `None` when they do not go together or hold what is no number.
    #[must_use]
    pub fn from_tables(window: usize, centers: Array2<f32>) -> Option<Self> {
        let sound = window > 0
            && centers.ncols() > 0
            && centers.ncols().is_multiple_of(window)
            && (1..=CENTERS.1).contains(&centers.nrows())
            && centers.iter().all(|value| value.is_finite());
        sound.then(|| {
            let mut book = Self {
                window,
                features: centers.ncols() / window,
                centers: Array2::zeros((0, 0)),
                halves: Array1::zeros(0),
            };
            book.set(centers);
            book
        })
    }
}

/// What comparing works in; grows to the largest number of rows asked for at once and stays.
#[derive(Debug, Default)]
pub struct Distances {
    windows: Array2<f32>,
    /// `[rows, features]` of the latest call, row by row.
    pub errors: Vec<f32>,
}

/// Starts that are far from each other: each the next with a chance that grows with the square of its distance.
fn starts(windows: &Array2<f32>, count: usize, rng: &mut ChaCha8Rng) -> Array2<f32> {
    let mut starts = Array2::zeros((count, windows.ncols()));
    let mut far = vec![f32::INFINITY; windows.nrows()];
    let mut next = 0;
    for mut start in starts.outer_iter_mut() {
        start.assign(&windows.row(next));
        for (far, window) in far.iter_mut().zip(windows.outer_iter()) {
            let distance = window.iter().zip(&start).map(|(a, b)| (a - b).powi(2));
            *far = far.min(distance.sum());
        }
        // When all windows are one of the starts already, any will do.
        next = WeightedIndex::new(&far).map_or(0, |weighted| weighted.sample(rng));
    }
    starts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waves(rows: usize, features: usize) -> Array2<f32> {
        Array2::from_shape_fn((rows, features), |(row, feature)| {
            let ripple = (row * 7919 % 101) as f32 / 1000.0;
            (row as f32 / 8.0 + feature as f32).sin() * 0.5 + ripple
        })
    }

    fn learned(values: &Array2<f32>) -> Codebook {
        let ends: Vec<(usize, usize)> = (19..values.nrows()).map(|row| (0, row)).collect();
        Codebook::fit(&[values.view()], &ends, 20, values.ncols(), 1).unwrap()
    }

    #[test]
    fn what_was_seen_is_near_and_what_was_not_is_far_in_the_feature_that_moved() {
        let mut values = waves(2000, 3);
        let book = learned(&values);
        let mut space = Distances::default();
        book.distances(values.view(), 1000..1500, &mut space);
        let usual = space.errors.iter().copied().fold(0.0, f32::max);
        values
            .slice_mut(ndarray::s![1200..1220, 1])
            .mapv_inplace(|v| 1.0 - v);
        book.distances(values.view(), 1219..1220, &mut space);
        let moved = space.errors.clone();
        assert!(moved[1] > 5.0 * usual, "{moved:?} against {usual}");
        assert!(
            moved[1] > 3.0 * moved[0] && moved[1] > 3.0 * moved[2],
            "{moved:?}"
        );
    }

    #[test]
    fn the_same_seed_gives_the_same_book_and_tables_come_back() {
        let values = waves(600, 2);
        let book = learned(&values);
        assert_eq!(book, learned(&values));
        let (window, centers) = book.tables();
        let mut centers = centers.to_owned();
        assert_eq!(Codebook::from_tables(window, centers.clone()), Some(book));
        assert_eq!(Codebook::from_tables(window + 1, centers.clone()), None);
        centers[(1, 0)] = f32::NAN;
        assert_eq!(Codebook::from_tables(window, centers), None);
    }

    #[test]
    fn rows_without_a_window_have_no_distance_and_few_windows_make_no_book() {
        let values = waves(300, 2);
        let mut space = Distances::default();
        learned(&values).distances(values.view(), 0..25, &mut space);
        assert_eq!(space.errors.iter().filter(|e| e.is_nan()).count(), 2 * 19);
        let ends: Vec<(usize, usize)> = (19..40).map(|row| (0, row)).collect();
        assert_eq!(Codebook::fit(&[values.view()], &ends, 20, 2, 1), None);
    }

    #[test]
    fn windows_that_are_all_alike_make_a_book() {
        let values = Array2::from_elem((400, 1), 0.5);
        let mut space = Distances::default();
        learned(&values).distances(values.view(), 100..101, &mut space);
        assert_eq!(space.errors, [0.0]);
    }
}
