//! Takes out cells that stick out of their column, before they can set its range.
//!
//! All that is counted here is counted over what was observed: a history that is mostly missing is trimmed as the rows in it
//! would be alone.

use std::time::Duration;

use super::ENOUGH;
use super::left_out::LeftOut;
use super::rows::{Rows, windows};
use crate::config::Config;
use crate::domain::Entity;

/// A cell sticks out when it is this many times as far from the running median as 90 % of its column are (8 standard
/// deviations of normal noise).
const FAR: f64 = 5.0;

/// Rows around a time at which something may come back.
const SLACK: usize = 1;

/// Periods back and forth that are looked at for the same thing.
pub const BACK_AND_FORTH: usize = 4;

/// Equal parts that a history is cut into, …
const BLOCKS: usize = 16;

/// … and in how many of them something may stick out and still be contamination.
const CONFINED: usize = 4;

/// What was taken out of one entity's rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Screened {
    /// Cells.
    pub cells: usize,
    /// Rows that lost a cell.
    pub rows: usize,
}

/// A cell that was taken out, so that it can be put back.
struct Taken {
    part: usize,
    at: (usize, usize),
    value: f64,
}

/// Takes out cells of one entity that stick out of their column: farther than five times the 90 % quantile from the running
/// median of two windows' rows, at most the part `[history] trim` of what was observed of each column, the farthest first.
/// What comes back after an hour or one of the configured seasons (at half of up to eight such distances) stays, and so does
/// what an operator called normal. An entity with few windows loses none of them: its cells then all stay.
pub fn screen(parts: &mut [Rows], entity: &Entity, out: &LeftOut, config: &Config) -> Screened {
    let trim = config.history.trim.0;
    let columns = parts.first().map_or(0, |part| part.values.ncols());
    if trim <= 0.0 || columns == 0 {
        return Screened::default();
    }
    let before = windows(parts, config);
    let periods = periods(config);
    let mut taken: Vec<Taken> = Vec::new();
    for column in 0..columns {
        let gone = sticking_out(parts, column, (entity, out), &periods, config);
        for (part, row) in gone {
            let cell = parts
                .get_mut(part)
                .and_then(|part| part.values.get_mut((row, column)));
            if let Some(cell) = cell {
                let value = std::mem::replace(cell, f64::NAN);
                let at = (row, column);
                taken.push(Taken { part, at, value });
            }
        }
    }
    let after = windows(parts, config);
    if after < before && after < config.windows_needed() {
        put_back(parts, &taken);
        return Screened::default();
    }
    let mut rows: Vec<(usize, usize)> = taken.iter().map(|t| (t.part, t.at.0)).collect();
    rows.sort_unstable();
    rows.dedup();
    Screened {
        cells: taken.len(),
        rows: rows.len(),
    }
}

fn put_back(parts: &mut [Rows], taken: &[Taken]) {
    for Taken { part, at, value } in taken {
        let cell = parts
            .get_mut(*part)
            .and_then(|part| part.values.get_mut(*at));
        if let Some(cell) = cell {
            *cell = *value;
        }
    }
}

/// Cells of one column that go, as part and row; none when what sticks out is spread over the history.
fn sticking_out(
    parts: &[Rows],
    column: usize,
    (entity, out): (&Entity, &LeftOut),
    periods: &[usize],
    config: &Config,
) -> Vec<(usize, usize)> {
    let far: Vec<Vec<f64>> = parts
        .iter()
        .map(|part| {
            let column = part.values.column(column).to_vec();
            distances(&column, config.autoencoder.window)
        })
        .collect();
    let Some(cut) = cut(&far, config.history.trim.0) else {
        return Vec::new();
    };
    let mut gone = Vec::new();
    for (at, (part, far)) in parts.iter().zip(&far).enumerate() {
        for (row, distance) in far.iter().enumerate() {
            if *distance > cut
                && !comes_back(far, cut, row, periods)
                && !out.is_normal(entity, part.grid.time(row))
            {
                gone.push((at, row));
            }
        }
    }
    let observed: Vec<Vec<bool>> = far
        .iter()
        .map(|far| far.iter().map(|distance| distance.is_finite()).collect())
        .collect();
    if is_confined(&observed, gone.iter().copied()) {
        gone
    } else {
        Vec::new()
    }
}

/// Whether rows (of which part, and where in it) lie in at most a quarter of a history, of whose parts these rows were
/// `observed`.
pub fn is_confined(observed: &[Vec<bool>], rows: impl Iterator<Item = (usize, usize)>) -> bool {
    let mut before = 0;
    // The number of each row among those observed; a row in a gap counts with the one before the gap.
    let places: Vec<Vec<usize>> = observed
        .iter()
        .map(|part| {
            let place = |seen: &bool| {
                before += usize::from(*seen);
                before.saturating_sub(1)
            };
            part.iter().map(place).collect()
        })
        .collect();
    let mut blocks = [false; BLOCKS];
    for (part, row) in rows {
        let place = places.get(part).and_then(|part| part.get(row));
        let block = place.map_or(0, |place| place * BLOCKS / before.max(1));
        if let Some(block) = blocks.get_mut(block) {
            *block = true;
        }
    }
    blocks.iter().filter(|touched| **touched).count() <= CONFINED
}

/// Rows after which the same thing may come back: an hour and the forecaster's seasons, where that is several rows.
pub fn periods(config: &Config) -> Vec<usize> {
    let step = config.source.step.0.as_millis().max(1);
    let seasons = config.forecast.seasonalities.iter().map(|s| s.0);
    std::iter::once(Duration::from_hours(1))
        .chain(seasons)
        .filter_map(|period| usize::try_from(period.as_millis() / step).ok())
        .filter(|rows| *rows > 4 * SLACK)
        .collect()
}

/// Whether what sticks out at `row` does so too at half of the times a period away, at least three of which were observed.
fn comes_back(far: &[f64], cut: f64, row: usize, periods: &[usize]) -> bool {
    let around = |at: usize, is: &dyn Fn(f64) -> bool| {
        let near = at.saturating_sub(SLACK)..(at + SLACK + 1).min(far.len());
        far.get(near)
            .is_some_and(|near| near.iter().any(|d| is(*d)))
    };
    periods.iter().any(|period| {
        let known: Vec<usize> = (1..=BACK_AND_FORTH)
            .flat_map(|times| [row.checked_sub(times * period), Some(row + times * period)])
            .flatten()
            .filter(|at| *at < far.len() && around(*at, &f64::is_finite))
            .collect();
        let again = known.iter().filter(|at| around(**at, &|d| d > cut)).count();
        known.len() >= 3 && again * 2 >= known.len()
    })
}

/// How far each cell is from the median of the `window` rows before and after it; NaN where there is no value.
fn distances(column: &[f64], window: usize) -> Vec<f64> {
    let mut near: Vec<f64> = Vec::with_capacity(2 * window + 1);
    let enter = |near: &mut Vec<f64>, value: Option<&f64>| {
        if let Some(value) = value.filter(|v| v.is_finite()) {
            let place = near.partition_point(|other| other.total_cmp(value).is_lt());
            near.insert(place, *value);
        }
    };
    for value in column.iter().take(window) {
        enter(&mut near, Some(value));
    }
    let mut distances = Vec::with_capacity(column.len());
    for (row, value) in column.iter().enumerate() {
        enter(&mut near, column.get(row + window));
        let gone = row.checked_sub(window + 1).and_then(|old| column.get(old));
        if let Some(gone) = gone.filter(|v| v.is_finite()) {
            let place = near.partition_point(|other| other.total_cmp(gone).is_lt());
            if place < near.len() {
                near.remove(place);
            }
        }
        let middle = near.get(near.len() / 2).copied().unwrap_or(f64::NAN);
        let distance = (value - middle).abs();
        distances.push(if distance.is_finite() {
            distance
        } else {
            f64::NAN
        });
    }
    distances
}

/// The distance over which a cell sticks out, so that no more than the part `trim` of those observed do; `None` in a column
/// that does not move at all, or where there is too little to tell.
fn cut(far: &[Vec<f64>], trim: f64) -> Option<f64> {
    let observed = far.iter().flatten().filter(|d| d.is_finite());
    let mut all: Vec<f64> = observed.copied().collect();
    if all.len() < ENOUGH {
        return None;
    }
    all.sort_by(f64::total_cmp);
    let usual = match quantile(&all, 0.9) {
        usual if usual > 0.0 => usual,
        // Nearly always the same value: the rest is measured by itself.
        _ => {
            let moving = all.get(all.partition_point(|d| *d <= 0.0)..)?;
            quantile(moving, 0.5)
        }
    };
    let most = quantile(&all, 1.0 - trim);
    (usual > 0.0).then(|| (FAR * usual).max(most))
}

/// The value below which the part `level` of `sorted` lies; 0 of nothing.
pub fn quantile(sorted: &[f64], level: f64) -> f64 {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let rank = (sorted.len() as f64 * level.clamp(0.0, 1.0)).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::*;
    use crate::domain::Grid;
    use crate::engine::cleaning::tests::{incident, time};

    pub fn parts(values: Vec<f64>) -> Vec<Rows> {
        let rows = values.len();
        vec![Rows {
            grid: Grid::new(time(0), Duration::from_mins(1), rows),
            values: Array2::from_shape_vec((rows, 1), values).unwrap(),
            left_out: vec![false; rows],
        }]
    }

    fn noisy(rows: usize) -> Vec<f64> {
        (0..rows)
            .map(|row| (row * 7919 % 1000) as f64 / 1000.0)
            .collect()
    }

    fn gone(values: Vec<f64>, out: &LeftOut, config: &Config) -> Vec<usize> {
        let missing = values.iter().filter(|v| v.is_nan()).count();
        let mut parts = parts(values.clone());
        let screened = screen(&mut parts, &Entity::sole(), out, config);
        let column = parts[0].values.column(0).to_vec();
        let rows: Vec<usize> = (0..column.len())
            .filter(|row| column[*row].is_nan() && values[*row].is_finite())
            .collect();
        assert_eq!((rows.len(), rows.len()), (screened.rows, screened.cells));
        assert_eq!(
            column.iter().filter(|v| v.is_nan()).count(),
            missing + rows.len()
        );
        rows
    }

    #[test]
    fn what_was_labelled_false_stays() {
        let config = Config::default();
        let label = crate::domain::Label::False;
        let around = crate::engine::cleaning::around(&config);
        let normal = LeftOut::default().and_incidents(&[incident(label)], around);
        let mut values = noisy(400);
        (values[105], values[300]) = (50.0, 50.0);
        assert_eq!(gone(values, &normal, &config), [300]);
    }

    #[test]
    fn what_comes_back_every_hour_is_no_contamination() {
        let config = Config::default();
        let mut values = noisy(2000);
        for row in (30..2000).step_by(60) {
            values[row] = 40.0;
        }
        values[777] = 40.0;
        assert_eq!(gone(values, &LeftOut::default(), &config), [777]);
    }

    #[test]
    fn no_more_than_the_bound_goes_and_a_quiet_column_keeps_what_is_usual_for_it() {
        let mut config = Config::default();
        let mut values = noisy(1000);
        let mut bursty = values.clone();
        for row in 0..80 {
            values[row / 40 * 500 + row % 40 * 3 + 1] = 30.0 + row as f64;
            bursty[row * 97 % 1000] = 30.0 + row as f64;
        }
        // Spread over all of the history: that is how this column is.
        assert!(gone(bursty, &LeftOut::default(), &config).is_empty());
        let rows = gone(values.clone(), &LeftOut::default(), &config);
        assert!((20..=50).contains(&rows.len()), "{}", rows.len());
        config.history.trim.0 = 0.0;
        assert!(gone(values, &LeftOut::default(), &config).is_empty());
        config.history.trim.0 = 0.05;
        // Nearly always 0, now and then 1 to 3, once 500.
        let mut seldom = vec![0.0; 1000];
        for (n, row) in [13, 170, 222, 391, 555, 640, 808].into_iter().enumerate() {
            seldom[row] = (n % 3 + 1) as f64;
        }
        seldom[700] = 500.0;
        assert_eq!(gone(seldom, &LeftOut::default(), &config), [700]);
    }

    /// However much nothing lies before, after or among the rows, the same rows go.
    #[test]
    fn what_was_never_observed_changes_nothing() {
        let config = Config::default();
        let nothing = |rows: usize| vec![f64::NAN; rows];
        let mut calm = noisy(400);
        calm[200] = 50.0;
        // A busy host: what sticks out is spread over all there is of it.
        let mut busy = noisy(400);
        for row in (0..400).step_by(23) {
            busy[row] = 50.0 + row as f64;
        }
        for values in [calm, busy] {
            let alone = gone(values.clone(), &LeftOut::default(), &config);
            let late = [nothing(200_000), values.clone(), nothing(77)].concat();
            let found = gone(late, &LeftOut::default(), &config);
            let moved: Vec<usize> = alone.iter().map(|row| row + 200_000).collect();
            assert_eq!(found, moved);
            let old = [vec![0.5], nothing(100_000), values].concat();
            let found = gone(old, &LeftOut::default(), &config);
            let moved: Vec<usize> = alone.iter().map(|row| row + 100_001).collect();
            assert_eq!(found, moved);
        }
    }

    #[test]
    fn a_young_entity_loses_no_window() {
        let config = Config::default();
        let mut values = noisy(149);
        for value in values.iter_mut().skip(60).take(7) {
            *value = 50.0;
        }
        // Seven rows in a row are more than a gap may be long.
        let rows = parts(values.clone());
        assert_eq!(windows(&rows, &config), 130);
        assert!(gone(values.clone(), &LeftOut::default(), &config).is_empty());
        let older = [noisy(2000), values].concat();
        assert_eq!(gone(older, &LeftOut::default(), &config).len(), 7);
    }

    #[test]
    fn rows_are_confined_to_a_part_of_what_was_observed() {
        let whole = vec![vec![true; 1600]];
        let rows = |rows: std::ops::Range<usize>| rows.map(|row| (0, row));
        assert!(is_confined(&whole, rows(0..400)));
        assert!(!is_confined(&whole, rows(0..401)));
        let mut young = vec![vec![false; 100_000]];
        young[0][99_840..].fill(true);
        assert!(is_confined(&young, rows(99_840..99_880)));
        assert!(!is_confined(&young, rows(99_840..99_881)));
        assert!(is_confined(&[vec![false; 10]], rows(0..10)));
    }
}
