//! Matrix products out of register tiles.
//!
//! A product's right side is cut into *panels*: columns that are at most four vectors wide, each panel's rows one after the
//! other in memory, so that the inner loop reads it straight through. A tile of a few rows times one panel is summed up in
//! registers.

use std::ops::Range;

use pulp::WithSimd;

use super::lanes::Lanes;

/// Vectors across a panel, at most. An LSTM's gates are laid out so that a block of units has its four gates side by side:
/// one panel.
pub(super) const ACROSS: usize = 4;

/// The left side of a product, read row by row.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a> {
    /// Parts that lie one after the other along the inner dimension: the panels of a matrix, or just one.
    pub parts: Parts<'a>,
    /// From one row to the next, within a part.
    pub stride: usize,
}

/// Where the parts of a left side are.
#[derive(Clone, Copy)]
pub(super) struct Parts<'a> {
    pub data: &'a [f32],
    /// From one part to the next.
    pub distance: usize,
    /// Inner length of a part; the last may be shorter.
    pub length: usize,
    /// Inner length of all parts together.
    pub total: usize,
}

impl<'a> Rows<'a> {
    /// A matrix whose rows are `stride` apart and `length` long.
    pub(super) fn plain(data: &'a [f32], stride: usize, length: usize) -> Self {
        Self {
            parts: Parts {
                data,
                distance: 0,
                length: length.max(1),
                total: length,
            },
            stride,
        }
    }
}

/// What a product is added to.
#[derive(Clone, Copy)]
pub(super) enum Start<'a> {
    /// Nothing.
    Zero,
    /// The same row everywhere, as wide as the panel.
    Row(&'a [f32]),
}

/// A slice as vectors; its length is a multiple of a vector's.
#[inline(always)]
pub(super) fn vectors<S: Lanes>(values: &[f32]) -> &[S::f32s] {
    S::as_simd_f32s(values).0
}

/// A slice as vectors that can be written.
#[inline(always)]
pub(super) fn vectors_mut<S: Lanes>(values: &mut [f32]) -> &mut [S::f32s] {
    S::as_mut_simd_f32s(values).0
}

/// Adds `Σ_k left(k)[row] · panel[k]` to a tile.
#[inline(always)]
pub(super) fn tile<S: Lanes, const ROWS: usize, const WIDTH: usize>(
    simd: S,
    tile: &mut [[S::f32s; WIDTH]; ROWS],
    panel: &[S::f32s],
    left: impl Fn(usize) -> [f32; ROWS],
) {
    for (k, right) in panel.chunks_exact(WIDTH).enumerate() {
        let left = left(k);
        for row in 0..ROWS {
            let factor = simd.splat_f32s(left[row]);
            for column in 0..WIDTH {
                tile[row][column] = simd.fma(factor, right[column], tile[row][column]);
            }
        }
    }
}

/// `ROWS` rows from `row` on, `length` long, as slices that the inner loop can read without a check.
#[inline(always)]
pub(super) fn rows_at<const ROWS: usize>(
    data: &[f32],
    stride: usize,
    row: usize,
    length: usize,
) -> [&[f32]; ROWS] {
    std::array::from_fn(|i| &data[(row + i) * stride..][..length])
}

/// Cuts `rows` into groups of at most `most`, as even as can be: two rows left over would cost as much as six.
#[inline(always)]
pub(super) fn groups(rows: usize, most: usize) -> impl Iterator<Item = Range<usize>> {
    let count = rows.div_ceil(most).max(1);
    (0..count).map(move |i| i * rows / count..(i + 1) * rows / count)
}

/// `out[rows] = start + left[rows] · panel` for one panel `WIDTH` vectors wide.
pub(super) struct Product<'a, S, const WIDTH: usize> {
    pub simd: S,
    pub left: Rows<'a>,
    pub rows: Range<usize>,
    /// `[inner][WIDTH · lanes]`.
    pub panel: &'a [f32],
    pub start: Start<'a>,
    /// Row 0 of the result is at its begin.
    pub out: &'a mut [f32],
    /// From one row of the result to the next.
    pub stride: usize,
}

impl<S: Lanes, const WIDTH: usize> Product<'_, S, WIDTH> {
    #[inline(always)]
    fn group<const ROWS: usize>(&mut self, row: usize) {
        let simd = self.simd;
        let width = WIDTH * S::F32_LANES;
        let mut sums = [[simd.splat_f32s(0.0); WIDTH]; ROWS];
        match self.start {
            Start::Zero => {}
            Start::Row(values) => {
                let values = &vectors::<S>(values)[..WIDTH];
                for sums in &mut sums {
                    sums.copy_from_slice(values);
                }
            }
        }
        let Parts {
            data,
            distance,
            length,
            total,
        } = self.left.parts;
        let mut done = 0;
        let mut part = 0;
        while done < total {
            let now = length.min(total - done);
            let rows: [&[f32]; ROWS] =
                rows_at(&data[part * distance..], self.left.stride, row, now);
            let panel = &self.panel[done * width..][..now * width];
            tile(simd, &mut sums, vectors::<S>(panel), |k| {
                std::array::from_fn(|i| rows[i][k])
            });
            done += now;
            part += 1;
        }
        for (i, sums) in sums.iter().enumerate() {
            let out = &mut self.out[(row + i) * self.stride..][..width];
            vectors_mut::<S>(out).copy_from_slice(sums);
        }
    }
}

/// Evaluates an expression with a number as a constant: one of those listed, else nothing is done.
macro_rules! constant {
    ($value:expr, $name:ident => $call:expr, $($known:literal)+) => {
        match $value {
            $($known => {
                const $name: usize = $known;
                $call
            })+
            _ => {}
        }
    };
}
pub(super) use constant;

/// Calls a group with its number of rows as a constant.
macro_rules! by_rows {
    ($rows:expr, $count:ident => $call:expr) => {
        $crate::model::kernel::tile::constant!($rows.len(), $count => $call, 1 2 3 4 5 6)
    };
}
pub(super) use by_rows;

impl<S: Lanes, const WIDTH: usize> WithSimd for Product<'_, S, WIDTH> {
    type Output = ();

    #[inline(always)]
    fn with_simd<T: pulp::Simd>(mut self, _: T) {
        let all = self.rows.clone();
        for rows in groups(all.len(), S::ROWS) {
            let row = all.start + rows.start;
            by_rows!(rows, COUNT => self.group::<COUNT>(row));
        }
    }
}

/// `out[columns] += Σ_k left[k][columns] · panel[k]`: the left side read column by column, as a gradient of weights needs it.
pub(super) struct Gradient<'a, S, const WIDTH: usize> {
    pub simd: S,
    /// `[inner][stride]`.
    pub left: &'a [f32],
    pub stride: usize,
    /// Columns of the left side: rows of the result.
    pub columns: usize,
    /// `[inner][WIDTH · lanes]`.
    pub panel: &'a [f32],
    /// `[columns][WIDTH · lanes]`.
    pub out: &'a mut [f32],
}

/// Rows of the inner dimension that are gone over at once: the part of the panel that stays in the first cache.
const DEPTH: usize = 128;

impl<S: Lanes, const WIDTH: usize> Gradient<'_, S, WIDTH> {
    #[inline(always)]
    fn group<const ROWS: usize>(&mut self, left: &[f32], panel: &[f32], column: usize) {
        let width = WIDTH * S::F32_LANES;
        let simd = self.simd;
        let out = vectors_mut::<S>(&mut self.out[column * width..][..ROWS * width]);
        let mut sums = [[simd.splat_f32s(0.0); WIDTH]; ROWS];
        for (sums, out) in sums.iter_mut().zip(out.chunks_exact(WIDTH)) {
            sums.copy_from_slice(out);
        }
        let left = &left[column..];
        let stride = self.stride;
        tile(simd, &mut sums, vectors::<S>(panel), |k| {
            let values = &left[k * stride..][..ROWS];
            std::array::from_fn(|i| values[i])
        });
        for (sums, out) in sums.iter().zip(out.chunks_exact_mut(WIDTH)) {
            out.copy_from_slice(sums);
        }
    }
}

impl<S: Lanes, const WIDTH: usize> WithSimd for Gradient<'_, S, WIDTH> {
    type Output = ();

    #[inline(always)]
    fn with_simd<T: pulp::Simd>(mut self, _: T) {
        let width = WIDTH * S::F32_LANES;
        let (left, panel, stride) = (self.left, self.panel, self.stride);
        for (k, panel) in panel.chunks(DEPTH * width).enumerate() {
            let left = &left[k * DEPTH * stride..];
            for columns in groups(self.columns, S::ROWS) {
                by_rows!(columns, COUNT => self.group::<COUNT>(left, panel, columns.start));
            }
        }
    }
}

/// Where a product of several panels goes.
#[derive(Clone, Copy)]
pub(super) enum Place {
    /// One matrix with rows this far apart, panels beside each other.
    Matrix(usize),
    /// Panels one after the other, each with this many rows.
    Panels(usize),
}

/// Calls a product with the vectors across its panel as a constant.
macro_rules! by_width {
    ($width:expr, $name:ident => $call:expr) => {
        constant!($width, $name => $call, 1 2 3 4)
    };
}

/// Where each panel of a matrix `blocks` vectors wide begins, in vectors, and how many vectors wide it is.
#[inline(always)]
pub(super) fn panels(blocks: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..blocks)
        .step_by(ACROSS)
        .map(move |first| (first, ACROSS.min(blocks - first)))
}

/// Where a value is in a matrix of `rows` rows, `blocks` vectors wide, that is kept in panels.
pub(super) fn in_panels(
    lanes: usize,
    (rows, blocks): (usize, usize),
    row: usize,
    column: usize,
) -> usize {
    let first = column / lanes / ACROSS * ACROSS;
    let across = ACROSS.min(blocks - first);
    first * lanes * rows + row * across * lanes + column - first * lanes
}

/// A product with a right side of any width.
pub(super) struct Wide<'a> {
    pub left: Rows<'a>,
    pub rows: Range<usize>,
    /// Width of the right side in vectors.
    pub blocks: usize,
    /// The right side's panels, one after the other.
    pub right: &'a [f32],
    pub start: Start<'a>,
    pub place: Place,
}

impl Wide<'_> {
    /// Writes the product to `out`.
    pub(super) fn run<S: Lanes>(&self, simd: S, out: &mut [f32]) {
        let inner = self.left.parts.total;
        for (first, width) in panels(self.blocks) {
            let column = first * S::F32_LANES;
            let (from, stride) = match self.place {
                Place::Matrix(stride) => (column, stride),
                Place::Panels(rows) => (column * rows, width * S::F32_LANES),
            };
            let start = match self.start {
                Start::Row(values) => Start::Row(&values[column..]),
                Start::Zero => Start::Zero,
            };
            let panel = &self.right[column * inner..][..width * S::F32_LANES * inner];
            let (left, rows, out) = (self.left, self.rows.clone(), &mut out[from..]);
            by_width!(width, WIDTH => simd.vectorize(Product::<S, WIDTH> {
                simd,
                left,
                rows,
                panel,
                start,
                out,
                stride,
            }));
        }
    }
}

/// Adds the gradient of a matrix of weights whose panels are `blocks` vectors wide: `left` is `[inner][stride]` and `errors`
/// the panels of `[inner][blocks · lanes]`.
pub(super) fn add_gradient<S: Lanes>(
    simd: S,
    (left, stride, columns): (&[f32], usize, usize),
    (errors, inner): (&[f32], usize),
    blocks: usize,
    out: &mut [f32],
) {
    for (first, width) in panels(blocks) {
        let from = first * S::F32_LANES;
        let panel = &errors[from * inner..][..width * S::F32_LANES * inner];
        let out = &mut out[from * columns..][..width * S::F32_LANES * columns];
        by_width!(width, WIDTH => simd.vectorize(Gradient::<S, WIDTH> {
            simd,
            left,
            stride,
            columns,
            panel,
            out,
        }));
    }
}
