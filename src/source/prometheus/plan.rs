//! Which stretches of the grid are asked for, and which of them may be kept.

use std::collections::BTreeMap;

use crate::domain::{Grid, Time};

/// Most points of one series that one request asks for; Prometheus refuses more than 11,000.
pub(super) const MAX_POINTS: usize = 10_000;

/// A stretch that is asked for as a whole or read from the cache as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    /// Its times.
    pub grid: Grid,
    /// It is an aligned chunk in which nothing will change any more.
    pub keep: bool,
}

/// The whole chunks (`chunk` rows, counted from the epoch) that `grids` touch and that end by `closed`, and what remains
/// of the grids beside them. In time order, each once.
pub(super) fn chunked(grids: &[Grid], chunk: usize, closed: Time) -> Vec<Piece> {
    let mut pieces = BTreeMap::new();
    for grid in grids {
        let Some(last) = grid.last() else {
            continue;
        };
        let mut aligned = first_chunk(grid, chunk);
        while aligned.start() <= last {
            let keep = aligned.last().is_some_and(|end| end <= closed);
            let piece = if keep { aligned } else { meet(grid, &aligned) };
            pieces.insert((piece.start(), piece.len()), Piece { grid: piece, keep });
            aligned = aligned.ahead(chunk);
        }
    }
    pieces.into_values().collect()
}

/// The grids as they are, nothing kept.
pub(super) fn plain(grids: &[Grid]) -> Vec<Piece> {
    let whole = |grid: &Grid| Piece {
        grid: *grid,
        keep: false,
    };
    grids.iter().filter(|g| !g.is_empty()).map(whole).collect()
}

/// The chunk that holds the grid's first row.
fn first_chunk(grid: &Grid, chunk: usize) -> Grid {
    let span = grid
        .step()
        .saturating_mul(u32::try_from(chunk).unwrap_or(u32::MAX));
    Grid::new(Grid::align(grid.start(), span), grid.step(), chunk)
}

/// The rows of `grid` that are in `chunk`; both are on the same lattice.
fn meet(grid: &Grid, chunk: &Grid) -> Grid {
    let from = grid.row(chunk.start()).unwrap_or(0);
    let to = chunk
        .last()
        .and_then(|end| grid.row(end))
        .map_or(grid.len(), |row| row + 1);
    grid.slice(from, to)
}

/// Requests that cover `pieces` (in time order): neighbours in one request, none over `limit` points.
pub(super) fn requests(pieces: &[Piece], limit: usize) -> Vec<Grid> {
    let mut merged: Vec<Grid> = Vec::new();
    for piece in pieces {
        let grid = piece.grid;
        match merged.last_mut() {
            Some(last)
                if last.ahead(0).start() == grid.start() && last.len() + grid.len() <= limit =>
            {
                *last = Grid::new(last.start(), last.step(), last.len() + grid.len());
            }
            _ => merged.push(grid),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const STEP: Duration = Duration::from_secs(60);

    fn grid(first: i64, len: usize) -> Grid {
        Grid::new(Time::from_secs(first * 60), STEP, len)
    }

    fn minute(n: i64) -> Time {
        Time::from_secs(n * 60)
    }

    #[test]
    fn closed_chunks_are_whole_and_the_open_one_is_cut() {
        let pieces = chunked(&[grid(25, 30)], 10, minute(50));
        let spans: Vec<(i64, usize, bool)> = pieces
            .iter()
            .map(|p| (p.grid.start().millis() / 60_000, p.grid.len(), p.keep))
            .collect();
        assert_eq!(
            spans,
            [
                (20, 10, true),
                (30, 10, true),
                (40, 10, true),
                (50, 5, false)
            ]
        );
    }

    #[test]
    fn a_moved_now_asks_for_the_same_chunks() {
        let before = chunked(&[grid(25, 30)], 10, minute(50));
        let after = chunked(&[grid(27, 30)], 10, minute(52));
        let kept = |pieces: &[Piece]| -> Vec<Grid> {
            pieces.iter().filter(|p| p.keep).map(|p| p.grid).collect()
        };
        assert_eq!(kept(&before), kept(&after));
    }

    #[test]
    fn overlapping_periods_share_chunks() {
        let pieces = chunked(&[grid(0, 15), grid(5, 10)], 10, minute(100));
        assert_eq!(pieces.len(), 2);
    }

    #[test]
    fn neighbours_are_asked_for_together_up_to_the_limit() {
        let pieces = chunked(&[grid(0, 55), grid(100, 5)], 10, minute(1000));
        let lens = |limit: usize| -> Vec<usize> {
            requests(&pieces, limit).iter().map(Grid::len).collect()
        };
        assert_eq!(lens(10_000), [60, 10]);
        assert_eq!(lens(25), [20, 20, 20, 10]);
        assert_eq!(lens(1), [10; 7]);
    }
}
