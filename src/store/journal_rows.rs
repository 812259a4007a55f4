//! Incidents as rows of the journal.

use std::path::Path;

use rusqlite::types::Value;
use rusqlite::{Connection, Params, Row};

use super::journal::{Change, JournalError};
use crate::disk::DiskError;
use crate::domain::{Contribution, Entity, Incident, IncidentState, Label, Time, Why};

/// What [`read`] expects of a query, in this order.
pub(super) const COLUMNS: &str = "id, entity, start_ms, end_ms, peak_ms, peak_score, state, features, why, acknowledged, label, seq, peak_alarm";

/// The columns of what [`measured`] returns, in its order.
pub(super) const MEASURED: &str =
    "entity, start_ms, end_ms, peak_ms, peak_score, state, features, why, peak_alarm";

/// Runs a query for [`COLUMNS`] and returns its rows.
pub(super) fn read(
    connection: &Connection,
    path: &Path,
    sql: &str,
    params: impl Params,
) -> Result<Vec<Change>, JournalError> {
    let fail = |e| DiskError::sqlite(path, e);
    let mut statement = connection.prepare(sql).map_err(fail)?;
    let mut rows = statement.query(params).map_err(fail)?;
    let mut changes = Vec::new();
    while let Some(row) = rows.next().map_err(fail)? {
        changes.push(change(row, path)?);
    }
    Ok(changes)
}

fn change(row: &Row<'_>, path: &Path) -> Result<Change, JournalError> {
    let id: i64 = row.get(0).map_err(|e| DiskError::sqlite(path, e))?;
    parse(row).map_err(|reason| JournalError::Row {
        path: path.to_path_buf(),
        id,
        reason,
    })
}

fn parse(row: &Row<'_>) -> Result<Change, String> {
    fn get<T: rusqlite::types::FromSql>(row: &Row<'_>, index: usize) -> Result<T, String> {
        row.get(index).map_err(|e| e.to_string())
    }
    let time = |index| get(row, index).map(Time::from_millis);
    let number = |index| get::<i64>(row, index).map(|n| u64::try_from(n).unwrap_or(0));
    let entity: String = get(row, 1)?;
    let state: String = get(row, 6)?;
    let features: String = get(row, 7)?;
    let why: Option<String> = get(row, 8)?;
    let label: Option<String> = get(row, 10)?;
    let incident = Incident {
        id: number(0)?,
        entity: Entity::named(&entity),
        start: time(2)?,
        end: time(3)?,
        peak: time(4)?,
        peak_score: get::<Option<f64>>(row, 5)?.unwrap_or(f64::NAN),
        peak_alarm: get(row, 12)?,
        state: parse_state(&state)?,
        features: parse_features(&features)?,
        why: why
            .as_deref()
            .map(parse_why)
            .transpose()?
            .unwrap_or_default(),
        acknowledged: get(row, 9)?,
        label: label.as_deref().map(parse_label).transpose()?,
    };
    Ok(Change {
        seq: number(11)?,
        incident,
    })
}

/// What was measured of an incident, as it is stored in the columns [`MEASURED`].
pub(super) fn measured(incident: &Incident) -> [Value; 9] {
    [
        incident.entity.name().to_owned().into(),
        incident.start.millis().into(),
        incident.end.millis().into(),
        incident.peak.millis().into(),
        incident.peak_score.into(),
        incident.state.word().to_owned().into(),
        text(&incident.features, "[]").into(),
        text(&incident.why, "{}").into(),
        incident.peak_alarm.into(),
    ]
}

fn parse_state(word: &str) -> Result<IncidentState, String> {
    match word {
        "open" => Ok(IncidentState::Open),
        "closed" => Ok(IncidentState::Closed),
        "vanished" => Ok(IncidentState::Vanished),
        "settled" => Ok(IncidentState::Settled),
        "past" => Ok(IncidentState::Past),
        _ => Err(format!("its state is `{word}`")),
    }
}

/// The stored word of a label.
pub(super) const fn label_word(label: Label) -> &'static str {
    match label {
        Label::Real => "real",
        Label::False => "false",
    }
}

fn parse_label(word: &str) -> Result<Label, String> {
    match word {
        "real" => Ok(Label::Real),
        "false" => Ok(Label::False),
        _ => Err(format!("its label is `{word}`")),
    }
}

/// A part of an incident as stored JSON, in which NaN is null; strings and numbers always have a JSON form.
fn text(value: &impl serde::Serialize, none: &str) -> String {
    serde_json::to_string(value).unwrap_or_else(|_| none.into())
}

/// A release before this one wrote them without a band, which is then unknown.
fn parse_features(text: &str) -> Result<Vec<Contribution>, String> {
    serde_json::from_str(text).map_err(|e| format!("its features are no JSON: {e}"))
}

fn parse_why(text: &str) -> Result<Why, String> {
    serde_json::from_str(text).map_err(|e| format!("its gates are no JSON: {e}"))
}
