//! Incidents as rows of the journal.

use std::path::Path;
use std::sync::Arc;

use rusqlite::types::Value;
use rusqlite::{Connection, Params, Row};
use serde::{Deserialize, Serialize};

use super::journal::{Change, JournalError};
use super::json::null_is_nan;
use crate::disk::DiskError;
use crate::domain::{Contribution, Entity, Incident, IncidentState, Label, Time};

/// What [`read`] expects of a query, in this order.
pub(super) const COLUMNS: &str =
    "id, entity, start_ms, end_ms, peak_ms, peak_score, state, features, acknowledged, label, seq";

/// A [`Contribution`] as it is stored.
#[derive(Serialize, Deserialize)]
struct Stored {
    feature: Arc<str>,
    #[serde(deserialize_with = "null_is_nan")]
    share: f64,
    #[serde(deserialize_with = "null_is_nan")]
    value: f64,
    #[serde(deserialize_with = "null_is_nan")]
    expected: f64,
}

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
    let label: Option<String> = get(row, 9)?;
    let incident = Incident {
        id: number(0)?,
        entity: Entity::named(&entity),
        start: time(2)?,
        end: time(3)?,
        peak: time(4)?,
        peak_score: get::<Option<f64>>(row, 5)?.unwrap_or(f64::NAN),
        state: parse_state(&state)?,
        features: parse_features(&features)?,
        acknowledged: get(row, 8)?,
        label: label.as_deref().map(parse_label).transpose()?,
    };
    Ok(Change {
        seq: number(10)?,
        incident,
    })
}

/// What was measured of an incident, as it is stored: from `entity` to `features` in [`COLUMNS`].
pub(super) fn measured(incident: &Incident) -> [Value; 7] {
    [
        incident.entity.name().to_owned().into(),
        incident.start.millis().into(),
        incident.end.millis().into(),
        incident.peak.millis().into(),
        incident.peak_score.into(),
        state_word(incident.state).to_owned().into(),
        features_text(&incident.features).into(),
    ]
}

/// The stored word of a state.
const fn state_word(state: IncidentState) -> &'static str {
    match state {
        IncidentState::Open => "open",
        IncidentState::Closed => "closed",
        IncidentState::Vanished => "vanished",
    }
}

fn parse_state(word: &str) -> Result<IncidentState, String> {
    match word {
        "open" => Ok(IncidentState::Open),
        "closed" => Ok(IncidentState::Closed),
        "vanished" => Ok(IncidentState::Vanished),
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

/// Contributions as stored JSON.
fn features_text(features: &[Contribution]) -> String {
    let stored: Vec<Stored> = features
        .iter()
        .map(|c| Stored {
            feature: Arc::clone(&c.feature),
            share: c.share,
            value: c.value,
            expected: c.expected,
        })
        .collect();
    // Strings and numbers always have a JSON form.
    serde_json::to_string(&stored).unwrap_or_else(|_| "[]".into())
}

fn parse_features(text: &str) -> Result<Vec<Contribution>, String> {
    let stored: Vec<Stored> =
        serde_json::from_str(text).map_err(|e| format!("its features are no JSON: {e}"))?;
    Ok(stored
        .into_iter()
        .map(|s| Contribution {
            feature: s.feature,
            share: s.share,
            value: s.value,
            expected: s.expected,
        })
        .collect())
}
