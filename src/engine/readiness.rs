//! Counts the windows that a training would have of the rows at hand, a bounded number of rows at a time.

use super::cleaning::rows::{self, Rows};
use super::cleaning::{LeftOut, LeftOutReport};
use super::tail::Tail;
use crate::config::Config;
use crate::domain::{Entity, Grid, Schema, Time};

/// Rows of all entities together that are gone through each time rows come: some milliseconds. Where entities have more rows,
/// they are counted in turn.
const ROWS_AT_ONCE: usize = 100_000;

/// With windows enough, they are counted again when this part of the rows has changed.
const SELDOM: usize = 4;

/// The windows of one entity as they were last counted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counted {
    windows: usize,
    /// Rows that came or changed since.
    changed: usize,
}

impl Counted {
    /// How many there were.
    pub const fn windows(&self) -> usize {
        self.windows
    }

    /// So many rows came or changed.
    pub const fn change(&mut self, rows: usize) {
        self.changed = self.changed.saturating_add(rows);
    }

    /// Whether to count again, when each entity may go through `each` rows for every row that came and `need` windows are
    /// enough.
    fn is_due(&self, rows: usize, each: usize, need: usize) -> bool {
        let seldom = if self.windows < need { each } else { SELDOM };
        self.changed > 0 && self.changed.saturating_mul(seldom) >= rows
    }
}

/// What windows are counted by.
#[derive(Clone, Copy)]
pub struct Counting<'a> {
    /// Columns.
    pub schema: &'a Schema,
    /// What is not learned from.
    pub out: &'a LeftOut,
    /// Settings.
    pub config: &'a Config,
}

impl Counting<'_> {
    /// Counts anew the windows of those whose rows changed, as many as there is time for.
    pub fn of_all<'w>(
        self,
        entities: impl ExactSizeIterator<Item = (&'w Entity, &'w Tail, &'w mut Counted)>,
    ) {
        let each = (ROWS_AT_ONCE / entities.len().max(1)).max(1);
        let mut left = ROWS_AT_ONCE;
        let need = self.config.windows_needed();
        for (entity, tail, counted) in entities {
            let rows = tail.grid().len();
            if left > 0 && counted.is_due(rows, each, need) {
                left = left.saturating_sub(rows);
                *counted = Counted {
                    windows: self.windows(entity, tail),
                    changed: 0,
                };
            }
        }
    }

    /// The windows that a training would have of these rows, by the training's own count: it learns from the configured
    /// periods, from the first row that was observed on.
    pub fn windows(self, entity: &Entity, tail: &Tail) -> usize {
        let Some(grid) = self.observed(tail) else {
            return 0;
        };
        let mut report = LeftOutReport::default();
        let mut parts: Vec<Rows> = self
            .periods(&grid)
            .into_iter()
            .filter_map(|part| {
                let (from, to) = (
                    tail.grid().row(part.start())?,
                    tail.grid().row(part.last()?)?,
                );
                let values = tail.values();
                let values = values.slice(ndarray::s![from..=to, ..]).to_owned();
                let (out, config) = (self.out, self.config);
                let place = (entity, part);
                Some(Rows::new(
                    place,
                    values,
                    self.schema,
                    out,
                    config,
                    &mut report,
                ))
            })
            .collect();
        rows::forget_newcomers(&mut parts, &mut report);
        rows::windows(&parts, self.config)
    }

    /// The rows from the first that was observed on, and as many before it as tell a gap from rows that had not begun.
    fn observed(self, tail: &Tail) -> Option<Grid> {
        let observed = |row: &usize| {
            tail.row(*row)
                .is_some_and(|row| row.iter().any(|v| v.is_finite()))
        };
        let rows = tail.grid().len();
        let first = (0..rows).find(observed)?;
        let before = self.config.preprocess.max_gap.saturating_add(1);
        Some(tail.grid().slice(first.saturating_sub(before), rows))
    }

    /// The parts of a grid that are learned from.
    fn periods(self, grid: &Grid) -> Vec<Grid> {
        let periods = &self.config.history.periods;
        if periods.is_empty() {
            return vec![*grid];
        }
        let moment = |stamp: jiff::Timestamp| Time::from_millis(stamp.as_millisecond());
        let within = |from: Time, to: Time| {
            let rows = |end: Time| grid.times().take_while(|time| *time <= end).count();
            let first = grid.times().take_while(|time| *time < from).count();
            grid.slice(first, rows(to).max(first))
        };
        periods
            .iter()
            .map(|p| within(moment(p.start), moment(p.end)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::domain::{Feature, Frame};
    use crate::engine::learn;

    const MINUTE: Duration = Duration::from_secs(60);

    /// The windows that a training would have of the same rows.
    fn learned(tail: &Tail, schema: &Schema, config: &Config) -> usize {
        let frame = Frame::new(
            Entity::sole(),
            Arc::clone(schema),
            *tail.grid(),
            tail.values().to_owned(),
        );
        let out = LeftOut::of(config);
        let Ok(prepared) = learn::prepare(vec![frame.unwrap()], &out, config) else {
            return 0;
        };
        let groups = learn::groups(&prepared, config).unwrap();
        groups.iter().map(|(_, set)| set.len()).sum()
    }

    /// Two columns of `rows` rows; the second comes late and with gaps of up to nine rows.
    fn tail(rows: usize, nothing: usize, seed: usize) -> Tail {
        let grid = Grid::new(Time::from_secs(0), MINUTE, 0);
        let mut tail = Tail::new(grid, 2, 100_000);
        for _ in 0..nothing {
            tail.push(&[]);
        }
        for row in 0..rows {
            let value = (row * 7919 % 1000) as f64 / 1000.0;
            let gap = (row + seed) % (30 + seed) < seed % 10;
            let second = if row < seed * 3 || gap {
                f64::NAN
            } else {
                value
            };
            let first = if (row + seed) % 97 < seed % 8 {
                f64::NAN
            } else {
                value
            };
            tail.push(&[first, second]);
        }
        tail
    }

    #[test]
    fn readiness_counts_the_windows_that_a_training_has() {
        let schema: Schema = Arc::from([Feature::plain("cpu"), Feature::plain("load")]);
        let mut config = Config::default();
        let mut counts = Vec::new();
        for seed in 0..40 {
            for nothing in [0, 3, 4000] {
                let tail = tail(100 + seed * 9, nothing, seed);
                let out = LeftOut::of(&config);
                let counting = Counting {
                    schema: &schema,
                    out: &out,
                    config: &config,
                };
                let counted = counting.windows(&Entity::sole(), &tail);
                assert_eq!(
                    counted,
                    learned(&tail, &schema, &config),
                    "{seed} {nothing}"
                );
                counts.push(counted);
            }
            config.preprocess.fill = match seed % 3 {
                0 => crate::config::Fill::Drop,
                _ => crate::config::Fill::FfillBfill,
            };
        }
        let need = config.windows_needed();
        assert!(counts.iter().any(|count| *count > need));
        assert!(counts.iter().any(|count| *count < need));
    }

    #[test]
    fn a_history_before_which_nothing_was_has_the_same_windows() {
        let schema: Schema = Arc::from([Feature::plain("cpu"), Feature::plain("load")]);
        let config = Config::default();
        let out = LeftOut::default();
        let counting = Counting {
            schema: &schema,
            out: &out,
            config: &config,
        };
        for nothing in [0, 10, 50_000] {
            let tail = tail(149, nothing, 0);
            assert_eq!(counting.windows(&Entity::sole(), &tail), 130);
            assert_eq!(learned(&tail, &schema, &config), 130);
        }
    }

    #[test]
    fn many_entities_with_many_rows_are_counted_in_turn() {
        let schema: Schema = Arc::from([Feature::plain("cpu"), Feature::plain("load")]);
        let config = Config::default();
        let out = LeftOut::default();
        // 100 entities of 5000 rows each, every fifth observed: no windows, however long one waits.
        let entities: Vec<Entity> = (0..100).map(|n| Entity::named(&format!("e{n}"))).collect();
        let mut tail = Tail::new(Grid::new(Time::from_secs(0), MINUTE, 0), 2, 5000);
        for row in 0..5000 {
            tail.push(if row % 5 == 0 { &[1.0, 2.0] } else { &[] });
        }
        let mut counted = vec![Counted::default(); 100];
        let mut rounds = Vec::new();
        for _ in 0..40 {
            for counted in &mut counted {
                counted.change(1);
            }
            let before = counted.clone();
            let all = entities
                .iter()
                .zip(&mut counted)
                .map(|(entity, counted)| (entity, &tail, counted));
            Counting {
                schema: &schema,
                out: &out,
                config: &config,
            }
            .of_all(all);
            let again = counted.iter().zip(&before);
            rounds.push(
                again
                    .filter(|(now, then)| now.changed < then.changed)
                    .count(),
            );
        }
        assert!(rounds.iter().all(|count| *count <= 20), "{rounds:?}");
        assert!(rounds.iter().sum::<usize>() >= 100, "each had its turn");
    }
}
