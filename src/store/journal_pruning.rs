//! Deletes from the journal what has become old, a bounded number of rows a call.

use rusqlite::params;

use super::journal::{Journal, JournalError};
use crate::disk::DiskError;
use crate::domain::{Entity, Time};

/// Incidents, or counts of entities, that one call deletes at most.
pub const PRUNED_AT_ONCE: usize = 1000;

/// Rows near the threshold that one call deletes at most.
pub const SCORES_AT_ONCE: usize = 20_000;

/// Rows near the threshold that are kept, the newest: 5 MB.
const MOST_SCORES: i64 = 100_000;

impl Journal {
    /// Deletes incidents that are no longer open and whose last anomalous time is before `before`, at most
    /// [`PRUNED_AT_ONCE`], the oldest first; returns how many.
    ///
    /// # Errors
    /// The path and the reason.
    pub fn prune(&mut self, before: Time) -> Result<usize, JournalError> {
        // The index is by start, and no incident ends before it starts.
        let sql = "DELETE FROM incidents WHERE id IN (
            SELECT id FROM incidents WHERE start_ms < ?1 AND end_ms < ?1 AND state <> 'open' ORDER BY start_ms LIMIT ?2)";
        let most = i64::try_from(PRUNED_AT_ONCE).unwrap_or(i64::MAX);
        self.ask(|connection| connection.execute(sql, params![before.millis(), most]))
    }

    /// Forgets how many incidents entities had that `is_known` does not know: those whose newest one ended before `before`,
    /// and of the others all but the `most` newest. At most [`PRUNED_AT_ONCE`] a call; returns how many. The total over all
    /// entities stays.
    ///
    /// # Errors
    /// The path and the reason; then none of them is forgotten.
    pub fn prune_counts(
        &mut self,
        before: Time,
        most: usize,
        is_known: impl Fn(&Entity) -> bool,
    ) -> Result<usize, JournalError> {
        let newest_first = self.ask(|connection| {
            connection
                .prepare("SELECT entity, last_ms FROM opened ORDER BY last_ms DESC")?
                .query_map([], |row| {
                    let name: String = row.get(0)?;
                    Ok((Entity::named(&name), Time::from_millis(row.get(1)?)))
                })?
                .collect::<rusqlite::Result<Vec<_>>>()
        })?;
        let gone = newest_first
            .into_iter()
            .filter(|(entity, _)| !is_known(entity));
        let old: Vec<Entity> = gone
            .enumerate()
            .filter(|(at, (_, last))| *at >= most || *last < before)
            .map(|(_, (entity, _))| entity)
            .take(PRUNED_AT_ONCE)
            .collect();
        if old.is_empty() {
            return Ok(0);
        }
        self.change(|work, path| {
            let forget = || {
                let mut delete = work.prepare("DELETE FROM opened WHERE entity = ?1")?;
                old.iter()
                    .try_for_each(|entity| delete.execute([entity.name()]).map(drop))
            };
            forget().map_err(|e| DiskError::sqlite(path, e).into())
        })?;
        Ok(old.len())
    }

    /// Deletes rows near the threshold before `before`, and the oldest over 100,000, at most 20,000 of each a call; returns
    /// how many.
    ///
    /// # Errors
    /// The path and the reason.
    pub fn prune_scores(&mut self, before: Time) -> Result<usize, JournalError> {
        let sql = "DELETE FROM scores WHERE (entity, time_ms) IN (
            SELECT entity, time_ms FROM scores WHERE time_ms < ?1 ORDER BY time_ms LIMIT ?2)";
        let at_once = i64::try_from(SCORES_AT_ONCE).unwrap_or(i64::MAX);
        self.ask(|connection| {
            let old = connection.execute(sql, params![before.millis(), at_once])?;
            let over = "SELECT time_ms FROM scores ORDER BY time_ms DESC LIMIT 1 OFFSET ?1";
            let over: Option<i64> = rusqlite::OptionalExtension::optional(connection.query_row(
                over,
                [MOST_SCORES],
                |row| row.get(0),
            ))?;
            let many = over.map_or(Ok(0), |last| {
                connection.execute(sql, params![last.saturating_add(1), at_once])
            })?;
            Ok(old + many)
        })
    }
}
