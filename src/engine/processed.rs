//! Prepared rows as a table, so that `preprocess` and `train` can be run apart.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use ndarray::Array2;
use serde::{Deserialize, Serialize};

use super::cleaning::LeftOutReport;
use super::learn::{CALENDAR, Prepared, Stretch};
use crate::config::{Fill, PreprocessConfig};
use crate::disk::Table;
use crate::domain::{Entity, Feature, Grid, Time};
use crate::prep::scale::Scaler;
use crate::prep::window::Segment;

/// Key of the layout in the table's metadata.
const LAYOUT: &str = "pulsewatch.processed";

/// Columns after the metrics.
const CALENDAR_NAMES: [&str; CALENDAR] = ["day_of_week", "hour_of_day"];

/// Column that says which rows no window may touch; no query can be called so.
const BROKEN: &str = "row.broken";

/// Prefix of the columns that say which values were observed.
const OBSERVED: &str = "observed.";

/// The scalers of prepared rows: `scaler.json`.
#[derive(Debug, Serialize, Deserialize)]
pub struct Scalers {
    /// One per entity.
    pub entities: BTreeMap<Entity, Scaler>,
    /// One over all entities.
    pub pooled: Scaler,
}

#[derive(Serialize, Deserialize)]
struct Layout {
    schema: Vec<Feature>,
    /// Entity and times of each stretch, in the order of the rows.
    stretches: Vec<(Entity, Grid)>,
    /// First and last time at which anything was observed.
    span: (Time, Time),
    /// Rows of each entity that lost a value.
    trimmed: Vec<(Entity, usize)>,
    /// What was left out, and why.
    left_out: LeftOutReport,
    /// How the rows were prepared; `None` in a file of an earlier release.
    #[serde(default)]
    preprocess: Option<PreprocessConfig>,
}

/// What is wrong with a table of prepared rows.
#[derive(Debug, thiserror::Error)]
#[error("the prepared rows can't be used: {0}; run `pulsewatch preprocess` again")]
pub struct ProcessedError(String);

/// A stretch, or a part of one, as it is written: whose, its times, and the rows of the segment.
struct Part<'a> {
    entity: &'a Entity,
    grid: Grid,
    segment: &'a Segment,
    rows: Range<usize>,
}

/// What is written of the stretches. With [`Fill::Drop`] rows that lack a value of a metric that the stretch has are left
/// out, and what is left on both sides of them are stretches of their own.
fn parts(prepared: &Prepared, fill: Fill) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    for (entity, own) in &prepared.stretches {
        for Stretch { grid, segment } in own {
            let known = known(segment);
            let stays = |row: usize| fill != Fill::Drop || !lacks(segment, &known, row);
            let mut from = 0;
            while from < grid.len() {
                let to = (from..grid.len()).find(|row| !stays(*row));
                let to = to.unwrap_or(grid.len());
                if to > from {
                    parts.push(Part {
                        entity,
                        grid: grid.slice(from, to),
                        segment,
                        rows: from..to,
                    });
                }
                from = to + 1;
            }
        }
    }
    parts
}

/// Which metrics have a value somewhere in a stretch.
fn known(segment: &Segment) -> Vec<bool> {
    let columns = segment.observed.columns().into_iter();
    columns
        .map(|column| column.iter().any(|seen| *seen))
        .collect()
}

/// Whether a row has no value of a metric that the stretch has.
fn lacks(segment: &Segment, known: &[bool], row: usize) -> bool {
    let seen = |column| segment.observed.get((row, column)).copied();
    known
        .iter()
        .enumerate()
        .any(|(column, known)| *known && seen(column) == Some(false))
}

/// Rows of all stretches that lack a value of a metric that their stretch has.
pub fn rows_with_gaps(prepared: &Prepared) -> usize {
    let stretches = prepared.stretches.values().flatten();
    let of = |stretch: &Stretch| {
        let known = known(&stretch.segment);
        let rows = 0..stretch.grid.len();
        rows.filter(|row| lacks(&stretch.segment, &known, *row))
            .count()
    };
    stretches.map(of).sum()
}

/// Prepared rows as a table: scaled metrics, scaled calendar, `row.broken`, and one `observed.<metric>` each (0 or 1); rows of
/// one stretch after the other. With `[preprocess] fill = "drop"` rows with a gap are not in it, with `"none"` their missing
/// values are missing; else they are filled.
pub fn to_table(prepared: &Prepared, preprocess: &PreprocessConfig) -> (Table, Scalers) {
    let parts = parts(prepared, preprocess.fill);
    let column = |name: &str, cell: &dyn Fn(&Segment, usize) -> f64| {
        let cells = parts
            .iter()
            .flat_map(|part| part.rows.clone().map(|row| cell(part.segment, row)))
            .collect();
        (name.to_owned(), cells)
    };
    let is_gap = |segment: &Segment, row: usize, at: usize| {
        let seen = |row: usize| segment.observed.get((row, at)).copied();
        preprocess.fill == Fill::None
            && seen(row) == Some(false)
            && segment.observed.column(at).iter().any(|seen| *seen)
    };
    let names = prepared
        .schema
        .iter()
        .map(|f| &*f.name)
        .chain(CALENDAR_NAMES);
    let mut columns: Vec<(String, Vec<f64>)> = names
        .enumerate()
        .map(|(at, name)| {
            column(name, &|s, row| {
                let value = s.values.get((row, at)).filter(|_| !is_gap(s, row, at));
                value.map_or(f64::NAN, |v| f64::from(*v))
            })
        })
        .collect();
    columns.push(column(BROKEN, &|s, row| {
        f64::from(u8::from(s.broken.get(row).copied().unwrap_or(true)))
    }));
    columns.extend(prepared.schema.iter().enumerate().map(|(at, f)| {
        column(&format!("{OBSERVED}{}", f.name), &|s, row| {
            f64::from(u8::from(
                s.observed.get((row, at)).copied().unwrap_or(false),
            ))
        })
    }));
    let layout = Layout {
        schema: prepared.schema.to_vec(),
        stretches: parts
            .iter()
            .map(|part| (part.entity.clone(), part.grid))
            .collect(),
        span: prepared.span,
        trimmed: prepared.trimmed.clone().into_iter().collect(),
        left_out: prepared.left_out.clone(),
        preprocess: Some(preprocess.clone()),
    };
    let times = parts
        .iter()
        .flat_map(|part| part.grid.times().map(Time::millis).collect::<Vec<_>>())
        .collect();
    let metadata =
        serde_json::to_string(&layout).map(|json| BTreeMap::from([(LAYOUT.to_owned(), json)]));
    let table = Table {
        times,
        columns,
        metadata: metadata.unwrap_or_default(),
    };
    (
        table,
        Scalers {
            entities: prepared.scalers.clone(),
            pooled: prepared.pooled.clone(),
        },
    )
}

/// Where the settings that rows were made with differ from those that are configured now.
fn differences(made: &PreprocessConfig, now: &PreprocessConfig) -> String {
    let json = |config| serde_json::to_value(config).unwrap_or_default();
    let (made, now) = (json(made), json(now));
    let keys = made.as_object().into_iter().flat_map(|made| made.keys());
    let changed = keys.filter(|key| made.get(key) != now.get(key));
    let told = changed.map(|key| {
        let value =
            |of: &serde_json::Value| of.get(key).map_or_else(String::new, ToString::to_string);
        format!(
            "they were made with [preprocess] {key} = {}, which is {} now",
            value(&made),
            value(&now)
        )
    });
    told.collect::<Vec<_>>().join("; ")
}

/// Missing values as the last one of their column, as [`gaps::fill`] leaves them in rows that no window touches.
///
/// [`gaps::fill`]: crate::prep::gaps::fill
fn without_holes(mut values: Array2<f32>) -> Array2<f32> {
    for mut column in values.columns_mut() {
        let mut last = column
            .iter()
            .copied()
            .find(|v| v.is_finite())
            .unwrap_or(0.0);
        for value in &mut column {
            if value.is_finite() {
                last = *value;
            }
            *value = last;
        }
    }
    values
}

/// Prepared rows from a table and its scalers, for a configuration that prepares rows in this way.
///
/// # Errors
/// [`ProcessedError`] when the table was not made by `preprocess`, is not whole, or was made with other settings.
pub fn from_table(
    table: &Table,
    scalers: Scalers,
    preprocess: &PreprocessConfig,
) -> Result<Prepared, ProcessedError> {
    let wrong = |what: &str| ProcessedError(what.to_owned());
    let json = table
        .metadata
        .get(LAYOUT)
        .ok_or_else(|| wrong("the file was not made by `preprocess`"))?;
    let layout: Layout = serde_json::from_str(json)
        .map_err(|error| wrong(&format!("its layout is damaged ({error})")))?;
    if let Some(made) = &layout.preprocess {
        let differences = differences(made, preprocess);
        if !differences.is_empty() {
            return Err(wrong(&differences));
        }
    }
    let rows: usize = layout.stretches.iter().map(|(_, grid)| grid.len()).sum();
    if rows != table.times.len() {
        return Err(wrong(&format!(
            "it has {} rows, its layout says {rows}",
            table.times.len()
        )));
    }
    let get = |name: &str| {
        table
            .column(name)
            .ok_or_else(|| wrong(&format!("column `{name}` is missing")))
    };
    let names: Vec<&str> = layout
        .schema
        .iter()
        .map(|f| &*f.name)
        .chain(CALENDAR_NAMES)
        .collect();
    let values = names
        .iter()
        .map(|name| get(name))
        .collect::<Result<Vec<_>, _>>()?;
    let observed = layout
        .schema
        .iter()
        .map(|f| get(&format!("{OBSERVED}{}", f.name)))
        .collect::<Result<Vec<_>, _>>()?;
    let broken = get(BROKEN)?;
    let mut stretches: BTreeMap<Entity, Vec<Stretch>> = BTreeMap::new();
    let mut first = 0;
    for (entity, grid) in &layout.stretches {
        let at = |columns: &[&[f64]], row: usize, column: usize| {
            columns
                .get(column)
                .and_then(|cells| cells.get(first + row))
                .copied()
                .unwrap_or(f64::NAN)
        };
        // The network works in f32: the cells were f32 before they were stored.
        #[allow(clippy::cast_possible_truncation)]
        let segment = Segment {
            values: without_holes(Array2::from_shape_fn(
                (grid.len(), values.len()),
                |(row, column)| at(&values, row, column) as f32,
            )),
            observed: Array2::from_shape_fn((grid.len(), observed.len()), |(row, column)| {
                at(&observed, row, column) > 0.5
            }),
            broken: broken
                .iter()
                .skip(first)
                .take(grid.len())
                .map(|b| *b > 0.5)
                .collect(),
        };
        stretches.entry(entity.clone()).or_default().push(Stretch {
            grid: *grid,
            segment: Arc::new(segment),
        });
        first += grid.len();
    }
    if rows == 0 {
        return Err(wrong("it has no rows"));
    }
    Ok(Prepared {
        schema: Arc::from(layout.schema),
        scalers: scalers.entities,
        pooled: scalers.pooled,
        stretches,
        span: layout.span,
        trimmed: layout.trimmed.into_iter().collect(),
        left_out: layout.left_out,
    })
}
