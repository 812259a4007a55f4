//! Frames as one table, and back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ndarray::Array2;
use serde::{Deserialize, Serialize};

use crate::disk::Table;
use crate::domain::{Entity, Feature, Frame, Grid, Schema, Time};

/// Calendar column: 0 (Monday) to 6.
pub(super) const WEEKDAY: &str = "day_of_week";
/// Calendar column: 0 to 23.
pub(super) const HOUR: &str = "hour_of_day";
const ENTITY: &str = "entity";
/// Key of the footer's words about frames.
pub(super) const WORDS: &str = "pulsewatch.frames";
/// Without our footer, rows further apart than this many steps are two periods.
const LONGEST_GAP: i64 = 100;
/// Step of a file with a single row and no footer.
const LONE_STEP_MS: i64 = 60_000;

/// What the table's columns can't say.
#[derive(Serialize, Deserialize)]
struct Words {
    step_ms: u64,
    features: Vec<Feature>,
    /// Names by the number in the column `entity`.
    entities: Vec<Entity>,
    periods: Vec<Period>,
}

/// One frame: its rows follow those of the frame before it.
#[derive(Serialize, Deserialize)]
struct Period {
    entity: usize,
    start: Time,
    rows: usize,
}

/// All rows of all frames, frame after frame.
pub(super) fn to_table(frames: &[Frame]) -> Result<Table, String> {
    let words = describe(frames)?;
    let rows = frames.iter().map(|f| f.grid().len()).sum();
    let mut columns = Vec::new();
    if words.entities.len() > 1 {
        let mut numbers = Vec::with_capacity(rows);
        for period in &words.periods {
            numbers.resize(numbers.len() + period.rows, period.entity as f64);
        }
        columns.push((ENTITY.to_owned(), numbers));
    }
    for (index, feature) in words.features.iter().enumerate() {
        if [ENTITY, WEEKDAY, HOUR].contains(&&*feature.name) {
            return Err(format!(
                "a feature is called `{}`, which is the name of a column of its own; rename that query",
                feature.name
            ));
        }
        let mut values = Vec::with_capacity(rows);
        for column in frames.iter().filter_map(|f| f.column(index)) {
            values.extend(column.iter().copied());
        }
        columns.push((feature.name.to_string(), values));
    }
    let text = serde_json::to_string(&words).map_err(|e| e.to_string())?;
    Ok(Table {
        times: frames
            .iter()
            .flat_map(|f| f.grid().times().map(Time::millis))
            .collect(),
        columns,
        metadata: BTreeMap::from([(WORDS.to_owned(), text)]),
    })
}

fn describe(frames: &[Frame]) -> Result<Words, String> {
    let (schema, step) = frames.first().map_or_else(
        || (Schema::from([]), Duration::from_millis(1)),
        |f| (Arc::clone(f.schema()), f.grid().step()),
    );
    let mut entities: Vec<Entity> = Vec::new();
    let mut numbers: BTreeMap<Entity, usize> = BTreeMap::new();
    let mut periods = Vec::with_capacity(frames.len());
    for frame in frames {
        if *frame.schema() != schema || frame.grid().step() != step {
            return Err(format!(
                "the columns or the step of entity `{}` at {} differ from those of the first frame",
                frame.entity(),
                frame.grid().start()
            ));
        }
        let number = *numbers.entry(frame.entity().clone()).or_insert_with(|| {
            entities.push(frame.entity().clone());
            entities.len() - 1
        });
        periods.push(Period {
            entity: number,
            start: frame.grid().start(),
            rows: frame.grid().len(),
        });
    }
    Ok(Words {
        step_ms: u64::try_from(step.as_millis()).unwrap_or(u64::MAX),
        features: schema.to_vec(),
        entities,
        periods,
    })
}

/// Frames from a table of ours, or of any other program.
pub(super) fn from_table(table: &Table) -> Result<Vec<Frame>, String> {
    match table.metadata.get(WORDS) {
        Some(text) => {
            let words: Words = serde_json::from_str(text)
                .map_err(|e| format!("the words under `{WORDS}` in the footer are damaged: {e}"))?;
            ours(table, &words)
        }
        None => plain(table),
    }
}

fn ours(table: &Table, words: &Words) -> Result<Vec<Frame>, String> {
    let schema: Schema = words.features.clone().into();
    let columns = words
        .features
        .iter()
        .map(|feature| {
            table.column(&feature.name).ok_or_else(|| {
                format!("column `{}`, named in the footer, is missing", feature.name)
            })
        })
        .collect::<Result<Vec<_>, _>>()?;
    let step = Duration::from_millis(words.step_ms);
    let mut frames = Vec::with_capacity(words.periods.len());
    let mut from = 0_usize;
    for period in &words.periods {
        let entity = words
            .entities
            .get(period.entity)
            .ok_or_else(|| format!("the footer names no entity number {}", period.entity))?;
        let grid = Grid::new(period.start, step, period.rows);
        let to = from.saturating_add(period.rows);
        let times = table.times.get(from..to).unwrap_or_default();
        if times.len() != period.rows || grid.times().zip(times).any(|(a, b)| a.millis() != *b) {
            return Err(format!(
                "the rows of entity `{entity}` from {} are not those that the footer describes; \
                 take the footer's words `{WORDS}` out of a file whose rows were changed",
                period.start
            ));
        }
        let values = Array2::from_shape_fn((period.rows, columns.len()), |(row, column)| {
            columns
                .get(column)
                .and_then(|c| c.get(from + row))
                .map_or(f64::NAN, |v| *v)
        });
        frames.extend(Frame::new(
            entity.clone(),
            Arc::clone(&schema),
            grid,
            values,
        ));
        from = to;
    }
    if from == table.times.len() {
        Ok(frames)
    } else {
        Err(format!(
            "there are {} rows, but the footer describes {from}",
            table.times.len()
        ))
    }
}

fn plain(table: &Table) -> Result<Vec<Frame>, String> {
    let columns: Vec<&(String, Vec<f64>)> = table
        .columns
        .iter()
        .filter(|(name, _)| name != WEEKDAY && name != HOUR)
        .collect();
    if columns.is_empty() {
        return Err("there is no column of values beside the times".into());
    }
    let schema: Schema = columns
        .iter()
        .map(|(name, _)| Feature::plain(name))
        .collect();
    let mut rows: Vec<(i64, usize)> = table.times.iter().copied().zip(0..).collect();
    rows.sort_unstable();
    let step = median_step(&rows);
    let longest = step.saturating_mul(LONGEST_GAP);
    let mut frames = Vec::new();
    for period in rows.chunk_by(|a, b| b.0.saturating_sub(a.0) <= longest) {
        let mut frame = Frame::missing(Entity::sole(), Arc::clone(&schema), cover(period, step));
        for (time, row) in period {
            for (index, (_, values)) in columns.iter().enumerate() {
                if let Some(value) = values.get(*row) {
                    frame.put(Time::from_millis(*time), index, *value);
                }
            }
        }
        frames.push(frame);
    }
    Ok(frames)
}

/// A grid from the first to the last of these sorted times.
fn cover(rows: &[(i64, usize)], step: i64) -> Grid {
    let first = rows.first().map_or(0, |(time, _)| *time);
    let last = rows.last().map_or(first, |(time, _)| *time);
    let steps = last.saturating_sub(first).saturating_add(step / 2) / step;
    Grid::new(
        Time::from_millis(first),
        Duration::from_millis(step.unsigned_abs()),
        usize::try_from(steps).unwrap_or(0).saturating_add(1),
    )
}

/// The median distance of sorted rows, repeated times not counted; at least a millisecond.
fn median_step(rows: &[(i64, usize)]) -> i64 {
    let mut distances: Vec<i64> = rows
        .iter()
        .zip(rows.iter().skip(1))
        .map(|(a, b)| b.0.saturating_sub(a.0))
        .filter(|d| *d > 0)
        .collect();
    distances.sort_unstable();
    distances
        .get(distances.len() / 2)
        .copied()
        .unwrap_or(LONE_STEP_MS)
}
