//! Parquet.

use ndarray::Array2;

use super::cells::{Column, REMEDY};
use super::moment::{Moment, Moments};
use super::read::{Parsed, Spellings, TIME_NAMES};
use super::{Reading, check_cells, check_named, shown};
use crate::disk::{Cells, Sheet};
use crate::domain::Time;
use crate::source::SourceError;

/// Takes a table's columns for what they are; `name` stands in errors.
pub(super) fn parse(name: &str, sheet: Sheet, reading: &Reading) -> Result<Parsed, SourceError> {
    let time = time_column(name, &sheet)?;
    let rows = sheet.rows;
    let mut moments = Moments::new(reading);
    let mut written = Spellings::default();
    let mut further = Vec::new();
    let mut columns: Vec<(String, Vec<f64>)> = Vec::new();
    let mut names = Vec::new();
    for (place, (column, cells)) in sheet.columns.into_iter().enumerate() {
        if place == time {
            times(name, &column, cells, &mut moments, &mut written)?;
            continue;
        }
        names.push(column.clone());
        let mut found = Column::new(&column);
        if let Some(values) = values(name, &mut found, cells, &mut moments)? {
            columns.push((column, values));
        } else {
            further.push(column);
        }
    }
    check_named(name, &names)?;
    check_cells(name, rows.saturating_mul(columns.len()))?;
    let mut values = Array2::from_elem((rows, columns.len()), f64::NAN);
    for (mut column, (_, cells)) in values.columns_mut().into_iter().zip(&columns) {
        for (slot, cell) in column.iter_mut().zip(cells) {
            if cell.is_finite() {
                *slot = *cell;
            }
        }
    }
    Ok(Parsed {
        moments,
        written,
        columns: columns.into_iter().map(|(column, _)| column).collect(),
        values,
        further,
    })
}

/// The column of times: by its name, those of a time's type first, else the first one of such a type.
fn time_column(name: &str, sheet: &Sheet) -> Result<usize, SourceError> {
    let typed = |cells: &Cells| matches!(cells, Cells::Times { .. });
    let named = |asked: fn(&Cells) -> bool| {
        TIME_NAMES.iter().find_map(|time| {
            sheet
                .columns
                .iter()
                .position(|(column, cells)| column.eq_ignore_ascii_case(time) && asked(cells))
        })
    };
    named(|cells| matches!(cells, Cells::Times { .. }))
        .or_else(|| named(|cells| !matches!(cells, Cells::Other(_))))
        .or_else(|| sheet.columns.iter().position(|(_, cells)| typed(cells)))
        .ok_or_else(|| {
            let columns: Vec<String> = sheet
                .columns
                .iter()
                .take(20)
                .map(|(column, _)| format!("`{}`", shown(column)))
                .collect();
            SourceError::File(format!(
                "{name} has no column of times: none has the type of a timestamp or one of the names {} (its columns are {}); \
                 name the column of times `timestamp`",
                TIME_NAMES.join(", "),
                columns.join(", ")
            ))
        })
}

/// The rows' times.
fn times(
    name: &str,
    column: &str,
    cells: Cells,
    moments: &mut Moments,
    written: &mut Spellings,
) -> Result<(), SourceError> {
    let wrong = |row: usize, problem: String| {
        SourceError::File(format!(
            "{name}, row {}, column `{}`: {problem}",
            row + 1,
            shown(column)
        ))
    };
    let missing = |row: usize| wrong(row, "there is no time; leave such rows out".into());
    match cells {
        Cells::Times { millis, local } => {
            for (row, time) in millis.into_iter().enumerate() {
                let time = Time::from_millis(time.ok_or_else(|| missing(row))?);
                let moment = if local { Moment::wall(time) } else { None };
                moments.rows.push(moment.unwrap_or(Moment::At(time)));
            }
        }
        Cells::Numbers(numbers) => {
            for (row, number) in numbers.into_iter().enumerate() {
                if number.is_nan() {
                    return Err(missing(row));
                }
                let moment = moments.number(number).map_err(|e| wrong(row, e))?;
                moments.rows.push(moment);
            }
        }
        Cells::Texts(texts) => {
            for (row, text) in texts.into_iter().enumerate() {
                let text = text.ok_or_else(|| missing(row))?;
                let moment = moments.read(&text).map_err(|e| wrong(row, e))?;
                moments.rows.push(moment);
                written.push(&text);
            }
        }
        Cells::Other(what) => return Err(wrong(0, format!("{what} are no times"))),
    }
    Ok(())
}

/// A column's numbers; `None` when it holds times.
fn values(
    name: &str,
    column: &mut Column,
    cells: Cells,
    moments: &mut Moments,
) -> Result<Option<Vec<f64>>, SourceError> {
    let of = |column: &Column| format!("{name}, column `{}`", shown(&column.name));
    let values = match cells {
        Cells::Times { .. } => return Ok(None),
        Cells::Numbers(numbers) => {
            for number in &numbers {
                column.number(*number, moments);
            }
            numbers
        }
        Cells::Texts(texts) => texts
            .iter()
            .enumerate()
            .map(|(row, text)| match text {
                None => Ok(f64::NAN),
                Some(text) => column.cell(text.trim(), moments).ok_or_else(|| {
                    SourceError::File(format!(
                        "{}, row {}: `{}` {REMEDY}",
                        of(column),
                        row + 1,
                        shown(text)
                    ))
                }),
            })
            .collect::<Result<Vec<_>, _>>()?,
        Cells::Other(what) => {
            return Err(SourceError::File(format!(
                "{} holds {what}, not numbers; leave the column out",
                of(column)
            )));
        }
    };
    Ok((!column.holds_times()).then_some(values))
}
