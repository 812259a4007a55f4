//! Prepared rows as a table, so that `preprocess` and `train` can be run apart.

use std::collections::BTreeMap;
use std::sync::Arc;

use ndarray::Array2;
use serde::{Deserialize, Serialize};

use super::cleaning::LeftOutReport;
use super::learn::{CALENDAR, Prepared, Stretch};
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
}

/// What is wrong with a table of prepared rows.
#[derive(Debug, thiserror::Error)]
#[error("the prepared rows can't be used: {0}; run `pulsewatch preprocess` again")]
pub struct ProcessedError(String);

/// Prepared rows as a table: scaled metrics, scaled calendar, `row.broken`, and one `observed.<metric>` each (0 or 1); rows of
/// one stretch after the other.
pub fn to_table(prepared: &Prepared) -> (Table, Scalers) {
    let stretches: Vec<(&Entity, &Stretch)> = prepared
        .stretches
        .iter()
        .flat_map(|(entity, own)| own.iter().map(move |s| (entity, s)))
        .collect();
    let column = |name: &str, cell: &dyn Fn(&Segment, usize) -> f64| {
        let cells = stretches
            .iter()
            .flat_map(|(_, s)| (0..s.grid.len()).map(|row| cell(&s.segment, row)))
            .collect();
        (name.to_owned(), cells)
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
                s.values.get((row, at)).map_or(f64::NAN, |v| f64::from(*v))
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
        stretches: stretches
            .iter()
            .map(|(entity, s)| ((*entity).clone(), s.grid))
            .collect(),
        span: prepared.span,
        trimmed: prepared.trimmed.clone().into_iter().collect(),
        left_out: prepared.left_out.clone(),
    };
    let times = stretches
        .iter()
        .flat_map(|(_, s)| s.grid.times().map(Time::millis).collect::<Vec<_>>())
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

/// Prepared rows from a table and its scalers.
///
/// # Errors
/// [`ProcessedError`] when the table was not made by `preprocess`, or is not whole.
pub fn from_table(table: &Table, scalers: Scalers) -> Result<Prepared, ProcessedError> {
    let wrong = |what: &str| ProcessedError(what.to_owned());
    let json = table
        .metadata
        .get(LAYOUT)
        .ok_or_else(|| wrong("the file was not made by `preprocess`"))?;
    let layout: Layout = serde_json::from_str(json)
        .map_err(|error| wrong(&format!("its layout is damaged ({error})")))?;
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
            values: Array2::from_shape_fn((grid.len(), values.len()), |(row, column)| {
                at(&values, row, column) as f32
            }),
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
