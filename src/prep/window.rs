//! Windows over stretches of prepared rows, as views.

use std::sync::Arc;

use ndarray::{Array2, Array3, ArrayView2, Axis, s};

/// One stretch of prepared rows without a break in time.
#[derive(Clone, Debug)]
pub struct Segment {
    /// `[rows, columns]` as the network takes them: scaled features, then the calendar.
    pub values: Array2<f32>,
    /// `[rows, features]`: which cells were observed ([`super::gaps::Filled::observed`]).
    pub observed: Array2<bool>,
    /// `[rows]`: rows that no window may touch ([`super::gaps::Filled::broken`]).
    pub broken: Vec<bool>,
}

/// The network reads rows one after the other; only a segment that lies otherwise in memory is copied.
fn row_by_row(segment: Arc<Segment>) -> Arc<Segment> {
    if segment.values.is_standard_layout() {
        return segment;
    }
    Arc::new(Segment {
        values: segment.values.as_standard_layout().into_owned(),
        ..(*segment).clone()
    })
}

/// Why a segment was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WindowError {
    /// The network would get rows of another width.
    #[error(
        "segment {segment} has {found} columns, the ones before it {expected}: prepare all with one schema"
    )]
    Columns {
        /// Place of the segment.
        segment: usize,
        /// Columns of the first segment.
        expected: usize,
        /// Its columns.
        found: usize,
    },
    /// Its parts disagree.
    #[error(
        "segment {segment} has {values} rows of values, {observed} of masks, {broken} of flags"
    )]
    Rows {
        /// Place of the segment.
        segment: usize,
        /// Rows of values.
        values: usize,
        /// Rows of the mask.
        observed: usize,
        /// Rows of flags.
        broken: usize,
    },
}

/// Every usable window of some segments, in order of segment and time. Rows are shared with whoever else holds the segments
/// and with clones; a window is a place in them, so memory is that of the rows plus 16 bytes a window.
#[derive(Clone, Debug)]
pub struct WindowSet {
    segments: Arc<[Arc<Segment>]>,
    starts: Vec<(usize, usize)>,
    window: usize,
    columns: usize,
}

impl WindowSet {
    /// All windows of `window` rows (at least 1) that lie in one segment, touch no broken row and have at least the part
    /// `min_observed` (0 to 1) of their feature cells observed. Features without any value in the segment are masked and
    /// do not count.
    ///
    /// # Errors
    /// [`WindowError`] when segments differ in columns or the parts of one in rows.
    pub fn new(
        segments: Vec<impl Into<Arc<Segment>>>,
        window: usize,
        min_observed: f64,
    ) -> Result<Self, WindowError> {
        let segments: Vec<Arc<Segment>> = segments.into_iter().map(Into::into).collect();
        let window = window.max(1);
        let columns = segments.first().map_or(0, |s| s.values.ncols());
        let mut starts = Vec::new();
        for (place, segment) in segments.iter().enumerate() {
            segment.check(place, columns)?;
            starts.extend(
                usable(
                    segment.observed.view(),
                    &segment.broken,
                    window,
                    min_observed,
                )
                .into_iter()
                .map(|row| (place, row)),
            );
        }
        Ok(Self {
            segments: segments.into_iter().map(row_by_row).collect(),
            starts,
            window,
            columns,
        })
    }

    /// The windows at `places` alone (ascending), over the same rows.
    #[must_use]
    pub fn only(&self, places: &[usize]) -> Self {
        Self {
            segments: Arc::clone(&self.segments),
            starts: places
                .iter()
                .filter_map(|place| self.start(*place))
                .collect(),
            ..*self
        }
    }

    /// How many windows there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.starts.len()
    }

    /// No window is usable.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.starts.is_empty()
    }

    /// Rows of a window.
    #[must_use]
    pub const fn window(&self) -> usize {
        self.window
    }

    /// Columns of a row, the calendar's included.
    #[must_use]
    pub const fn columns(&self) -> usize {
        self.columns
    }

    /// Segment and row where window `index` begins; `None` past the end.
    #[must_use]
    pub fn start(&self, index: usize) -> Option<(usize, usize)> {
        self.starts.get(index).copied()
    }

    /// Segment and row where window `index` ends (its last row); `None` past the end.
    #[must_use]
    pub fn last(&self, index: usize) -> Option<(usize, usize)> {
        let (segment, row) = self.start(index)?;
        Some((segment, row + self.window - 1))
    }

    /// Window `index`, `[window, columns]`, without a copy.
    ///
    /// # Panics
    /// When `index` is not below [`WindowSet::len`], like a slice.
    #[must_use]
    pub fn view(&self, index: usize) -> ArrayView2<'_, f32> {
        let (segment, row) = self.starts[index];
        self.segments[segment]
            .values
            .slice(s![row..row + self.window, ..])
    }

    /// Windows `indices` one after the other, `[indices, window, columns]`.
    ///
    /// # Panics
    /// When an index is not below [`WindowSet::len`], like a slice.
    #[must_use]
    pub fn gather(&self, indices: &[usize]) -> Array3<f32> {
        let mut all = Array3::zeros((indices.len(), self.window, self.columns));
        for (mut slot, index) in all.axis_iter_mut(Axis(0)).zip(indices) {
            slot.assign(&self.view(*index));
        }
        all
    }

    /// The same with at most `max` windows, evenly spread over those there are.
    #[must_use]
    pub fn subsample(mut self, max: usize) -> Self {
        if self.len() > max {
            self.starts = evenly(self.len(), max)
                .into_iter()
                .map(|index| self.starts[index])
                .collect();
        }
        self
    }
}

/// At most `max` of the indices `0..len`, evenly spread, in order.
#[must_use]
pub fn evenly(len: usize, max: usize) -> Vec<usize> {
    if len <= max {
        return (0..len).collect();
    }
    (0..max).map(|i| i * len / max).collect()
}

impl Segment {
    /// Of each row, whether something was observed in it.
    pub fn rows_observed(&self) -> impl Iterator<Item = bool> {
        let rows = self.observed.rows().into_iter();
        rows.map(|row| row.iter().any(|seen| *seen))
    }

    /// Rows in which something was observed.
    #[must_use]
    pub fn observed_rows(&self) -> usize {
        self.rows_observed().filter(|seen| *seen).count()
    }

    fn check(&self, place: usize, columns: usize) -> Result<(), WindowError> {
        if self.values.ncols() != columns {
            return Err(WindowError::Columns {
                segment: place,
                expected: columns,
                found: self.values.ncols(),
            });
        }
        let rows = self.values.nrows();
        if self.observed.nrows() != rows || self.broken.len() != rows {
            return Err(WindowError::Rows {
                segment: place,
                values: rows,
                observed: self.observed.nrows(),
                broken: self.broken.len(),
            });
        }
        Ok(())
    }
}

/// First rows of the windows of `window` rows that may be learned from: they touch no `broken` row and have at least the part
/// `min_observed` (0 to 1) of their cells `observed` (`[rows, features]`), at least one. Features without any value do not
/// count.
#[must_use]
pub fn usable(
    observed: ArrayView2<'_, bool>,
    broken: &[bool],
    window: usize,
    min_observed: f64,
) -> Vec<usize> {
    let columns = observed.columns().into_iter();
    let present = columns
        .filter(|column| column.iter().any(|seen| *seen))
        .count();
    let needed = (min_observed * (window * present) as f64).max(1.0);
    let mut sums = vec![(0, 0)];
    let (mut touched, mut seen) = (0_usize, 0_usize);
    for (row, flag) in observed.rows().into_iter().zip(broken) {
        touched += usize::from(*flag);
        seen += row.iter().filter(|seen| **seen).count();
        sums.push((touched, seen));
    }
    sums.iter()
        .zip(sums.iter().skip(window))
        .enumerate()
        .filter(|(_, (from, to))| from.0 == to.0 && (to.1 - from.1) as f64 >= needed)
        .map(|(row, _)| row)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(rows: usize, first: f32) -> Segment {
        Segment {
            values: Array2::from_shape_fn((rows, 2), |(r, c)| {
                first + f32::from(u16::try_from(r * 10 + c).unwrap())
            }),
            observed: Array2::from_elem((rows, 2), true),
            broken: vec![false; rows],
        }
    }

    #[test]
    fn windows_stay_in_their_segment() {
        let set = WindowSet::new(
            vec![segment(4, 0.0), segment(2, 0.0), segment(3, 500.0)],
            3,
            0.5,
        )
        .unwrap();
        let starts: Vec<_> = (0..set.len()).filter_map(|i| set.start(i)).collect();
        assert_eq!(starts, [(0, 0), (0, 1), (2, 0)]);
        assert_eq!(set.last(2), Some((2, 2)));
        assert_eq!(set.last(3), None);
        let gathered = set.gather(&[2, 0]);
        assert_eq!(gathered.dim(), (2, 3, 2));
        assert_eq!(gathered[(0, 1, 1)], 511.0);
        assert_eq!(gathered.index_axis(Axis(0), 1), set.view(0));
    }

    #[test]
    fn broken_and_mostly_missing_windows_are_left_out() {
        let mut broken = segment(6, 0.0);
        broken.broken[2] = true;
        let set = WindowSet::new(vec![broken], 3, 0.5).unwrap();
        assert_eq!((set.len(), set.start(0)), (1, Some((0, 3))));

        let mut sparse = segment(4, 0.0);
        sparse.observed.slice_mut(s![1..3, ..]).fill(false);
        assert_eq!(
            WindowSet::new(vec![sparse.clone()], 2, 0.5).unwrap().len(),
            2
        );
        sparse.observed.column_mut(1).fill(false);
        assert_eq!(
            WindowSet::new(vec![sparse.clone()], 2, 0.6).unwrap().len(),
            0
        );
        // Where nothing at all was observed there is nothing to learn, however little is asked for.
        sparse.observed.fill(false);
        for fewest in [0.0, 0.5] {
            let set = WindowSet::new(vec![sparse.clone()], 2, fewest).unwrap();
            assert!(set.is_empty());
        }
    }

    #[test]
    fn parts_that_disagree_are_refused() {
        let mut short = segment(4, 0.0);
        short.broken.pop();
        assert!(matches!(
            WindowSet::new(vec![short], 2, 0.5),
            Err(WindowError::Rows { .. })
        ));
        let mut wide = segment(4, 0.0);
        wide.values = Array2::zeros((4, 3));
        let error = WindowSet::new(vec![segment(4, 0.0), wide], 2, 0.5).unwrap_err();
        assert!(error.to_string().contains("segment 1 has 3 columns"));
        assert!(
            WindowSet::new(Vec::<Segment>::new(), 2, 0.5)
                .unwrap()
                .is_empty()
        );
    }

    #[test]
    fn subsampling_is_even() {
        assert_eq!(evenly(10, 4), [0, 2, 5, 7]);
        assert_eq!(evenly(3, 4), [0, 1, 2]);
        let set = WindowSet::new(vec![segment(12, 0.0)], 3, 0.5)
            .unwrap()
            .subsample(5);
        assert_eq!(set.len(), 5);
        assert_eq!(set.start(1), Some((0, 2)));
    }
}
