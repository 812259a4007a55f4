//! Rows near the threshold, kept so that they can be judged again under another one.

use rusqlite::params;

use super::journal::{Journal, JournalError};
use crate::disk::DiskError;
use crate::domain::{Entity, KeptScore, Time};

/// Rows kept, the newest: 5 MB.
const MOST_SCORES: i64 = 100_000;

impl Journal {
    /// Keeps rows, in place of those of the same entity and time.
    ///
    /// # Errors
    /// The path and the reason; then none of them is kept.
    pub fn keep_scores(&mut self, rows: &[KeptScore]) -> Result<(), JournalError> {
        if rows.is_empty() {
            return Ok(());
        }
        self.change(|work, path| {
            let sql = "INSERT OR REPLACE INTO scores VALUES (?1, ?2, ?3, ?4)";
            let keep = || {
                let mut statement = work.prepare_cached(sql)?;
                for row in rows {
                    let (name, millis) = (row.entity.name(), row.time.millis());
                    statement.execute(params![name, millis, row.score, row.passed])?;
                }
                Ok(())
            };
            keep().map_err(|e| DiskError::sqlite(path, e).into())
        })
    }

    /// Lets go of rows before `before`, and of the oldest over 100,000.
    ///
    /// # Errors
    /// The path and the reason.
    pub fn prune_scores(&mut self, before: Time) -> Result<(), JournalError> {
        self.ask(|connection| {
            connection.execute("DELETE FROM scores WHERE time_ms < ?1", [before.millis()])?;
            let sql = "DELETE FROM scores WHERE time_ms <=
                       (SELECT time_ms FROM scores ORDER BY time_ms DESC LIMIT 1 OFFSET ?1)";
            connection.execute(sql, [MOST_SCORES])
        })?;
        Ok(())
    }

    /// The rows of one entity (of all, when `None`) from `from` to `to`, both included, in order of time.
    ///
    /// # Errors
    /// The path and the reason.
    pub fn scores(
        &self,
        entity: Option<&Entity>,
        from: Time,
        to: Time,
    ) -> Result<Vec<KeptScore>, JournalError> {
        let sql = "SELECT entity, time_ms, score, passed FROM scores
                   WHERE (?1 IS NULL OR entity = ?1) AND time_ms BETWEEN ?2 AND ?3 ORDER BY time_ms, entity";
        self.ask(|connection| {
            let name = entity.map(Entity::name);
            connection
                .prepare(sql)?
                .query_map(params![name, from.millis(), to.millis()], |row| {
                    let name: String = row.get(0)?;
                    Ok(KeptScore {
                        entity: Entity::named(&name),
                        time: Time::from_millis(row.get(1)?),
                        score: row.get(2)?,
                        passed: row.get(3)?,
                    })
                })?
                .collect()
        })
    }
}
