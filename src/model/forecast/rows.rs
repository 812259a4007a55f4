//! Which rows to come are asked for.

use crate::domain::Grid;

/// Every `stride`-th row after the data, the first after `skip` others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ahead {
    pub(super) skip: usize,
    pub(super) stride: usize,
    pub(super) count: usize,
}

impl Ahead {
    /// The next `count` rows.
    pub(super) const fn next(count: usize) -> Self {
        Self {
            skip: 0,
            stride: 1,
            count,
        }
    }

    /// Rows `from..to`, thinned out evenly to at most `most`, the last one among them.
    pub(super) fn between(from: usize, to: usize, most: usize) -> Self {
        let all = to.saturating_sub(from);
        let stride = all.div_ceil(most.max(1)).max(1);
        let count = all / stride;
        Self {
            skip: to.saturating_sub(count * stride) + stride - 1,
            stride,
            count,
        }
    }

    /// The same rows counted from a point `rows` earlier.
    pub(super) const fn later(self, rows: usize) -> Self {
        Self {
            skip: self.skip + rows,
            ..self
        }
    }

    /// Places of the rows, the first after the data being 0.
    pub(super) fn rows(self) -> impl ExactSizeIterator<Item = usize> {
        (0..self.count).map(move |row| self.skip + row * self.stride)
    }

    /// Distances of the rows from the last observed one, `trailing` rows before the end of the data.
    pub(super) fn distances(self, trailing: usize) -> impl Iterator<Item = usize> {
        self.rows().map(move |row| row + 1 + trailing)
    }

    /// The rows' times after the last row of `data`.
    pub(super) fn grid(self, data: &Grid) -> Grid {
        let stride = u32::try_from(self.stride).unwrap_or(u32::MAX);
        let step = data.step().saturating_mul(stride);
        Grid::new(data.time(data.len() + self.skip), step, self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_way_is_thinned_out_and_its_end_is_there() {
        for (from, to) in [
            (144, 1008),
            (144, 145),
            (0, 100_000),
            (17, 200),
            (5, 5),
            (9, 5),
        ] {
            let ahead = Ahead::between(from, to, 168);
            let rows: Vec<usize> = ahead.rows().collect();
            assert!(rows.len() <= 168);
            assert_eq!(rows.is_empty(), to <= from);
            if to > from {
                assert!(
                    rows[0] >= from && rows.last() == Some(&(to - 1)),
                    "{from}..{to}"
                );
            }
        }
        assert_eq!(Ahead::next(3).rows().collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(
            Ahead::next(3).later(2).distances(1).collect::<Vec<_>>(),
            [4, 5, 6]
        );
    }
}
