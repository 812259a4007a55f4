//! Incidents that were found in the history, from before anything was judged live.

use rusqlite::{Transaction, params};

use super::journal::add;
use crate::domain::Incident;

/// Puts what is found now in the place of what was found before. What operators acknowledged or labelled stays, and what is
/// found in its time is not added beside it; nor what is found in the time of an incident that was found live.
pub(super) fn replace(work: &Transaction<'_>, found: &[Incident]) -> rusqlite::Result<()> {
    work.execute(
        "DELETE FROM incidents WHERE state = 'past' AND label IS NULL AND NOT acknowledged",
        [],
    )?;
    let mut known = work.prepare(
        "SELECT EXISTS (SELECT 1 FROM incidents WHERE entity = ?1 AND end_ms >= ?2 AND start_ms <= ?3)",
    )?;
    // All are looked up before any is added: they do not stand in each other's way.
    let mut new = Vec::new();
    for incident in found {
        let (start, end) = (incident.start.millis(), incident.end.millis());
        let is_known: bool = known
            .query_row(params![incident.entity.name(), start, end], |row| {
                row.get(0)
            })?;
        if !is_known {
            new.push(incident);
        }
    }
    new.into_iter()
        .try_for_each(|incident| add(work, incident).map(drop))
}
