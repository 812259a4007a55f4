//! Averages a long history to a step that can be fitted in time.

use std::time::Duration;

use super::seasons::seen_twice;
use crate::domain::Grid;

/// A series on a step that is a whole multiple of the original one.
#[derive(Clone, Debug)]
pub(super) struct Coarse {
    /// Times: each is the middle of the rows it stands for, on the original grid.
    pub grid: Grid,
    /// Means of what was observed, NaN where nothing was.
    pub values: Vec<f64>,
}

/// Averages `values` (`[grid.len()]`) so that at most `max_points` are left, the newest row always included. Where it can
/// be had (within four times the least factor), the factor is one that divides every season, because a season must be
/// a whole number of rows.
pub(super) fn coarsen(
    grid: &Grid,
    values: &[f64],
    max_points: usize,
    seasons: &[Duration],
) -> Coarse {
    let factor = factor(grid, max_points, seasons);
    let surplus = values.len() % factor;
    let means = values
        .get(surplus..)
        .unwrap_or_default()
        .chunks_exact(factor)
        .map(mean_of_observed)
        .collect::<Vec<_>>();
    let step = grid
        .step()
        .saturating_mul(u32::try_from(factor).unwrap_or(u32::MAX));
    Coarse {
        grid: Grid::new(grid.time(surplus + (factor - 1) / 2), step, means.len()),
        values: means,
    }
}

/// Rows that become one.
fn factor(grid: &Grid, max_points: usize, seasons: &[Duration]) -> usize {
    let least = grid.len().div_ceil(max_points.max(1)).max(1);
    let covered = grid.step().as_secs_f64() * grid.len() as f64;
    let fits = |factor: usize| {
        let step = grid.step().as_millis() * factor as u128;
        seasons
            .iter()
            .filter(|season| seen_twice(season.as_secs_f64(), covered))
            .all(|season| season.as_millis() % step == 0)
    };
    (least..=least * 4).find(|f| fits(*f)).unwrap_or(least)
}

/// Beyond this no metric goes, and sums of squares would overflow: such values count as missing.
const LARGEST: f64 = 1e100;

/// Mean of the finite values, NaN without any.
pub(super) fn mean_of_observed(rows: &[f64]) -> f64 {
    let observed = rows.iter().filter(|v| v.abs() < LARGEST);
    let (sum, count) = observed.fold((0.0, 0_usize), |(sum, count), v| (sum + v, count + 1));
    // 0 / 0 is NaN: nothing observed stays missing.
    sum / count as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Time;

    const DAY: Duration = Duration::from_secs(86400);
    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn keeps_a_short_series_as_it_is() {
        let grid = Grid::new(Time::from_secs(0), MINUTE, 4);
        let coarse = coarsen(&grid, &[1.0, f64::NAN, 3.0, 4.0], 10, &[DAY]);
        assert_eq!(coarse.grid, grid);
        assert!(coarse.values[1].is_nan());
    }

    #[test]
    fn the_newest_row_counts_and_gaps_do_not() {
        let grid = Grid::new(Time::from_secs(0), MINUTE, 7);
        let values = [9.0, 1.0, f64::NAN, 3.0, f64::NAN, f64::NAN, f64::NAN];
        let coarse = coarsen(&grid, &values, 2, &[]);
        assert_eq!(coarse.grid.step(), MINUTE * 4);
        assert_eq!(coarse.values.len(), 1);
        assert_eq!(coarse.values[0], 3.0);
        let coarse = coarsen(&grid, &values, 3, &[]);
        assert_eq!(coarse.values[0], 2.0);
        assert!(coarse.values[1].is_nan());
        assert_eq!(coarse.grid.start(), Time::from_secs(120));
        assert_eq!(coarse.grid.time(1), Time::from_secs(300));
    }

    #[test]
    fn a_season_stays_a_whole_number_of_rows() {
        let grid = Grid::new(Time::from_secs(0), MINUTE, 30 * 1440);
        // 43,200 rows need a factor of 22; 24 is the next that divides a day.
        assert_eq!(factor(&grid, 2016, &[DAY, DAY * 7]), 24);
        let odd = Grid::new(Time::from_secs(0), Duration::from_secs(61), 30 * 1440);
        assert_eq!(factor(&odd, 2016, &[DAY]), 22);
    }
}
