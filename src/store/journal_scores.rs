//! Rows near the threshold, kept so that they can be judged again under another one.

use rusqlite::{Transaction, params};

use super::journal::{Batch, Journal, JournalError};
use crate::domain::{Entity, KeptScore, Time};

impl Journal {
    /// Keeps rows, in place of those of the same entity and time.
    ///
    /// # Errors
    /// The path and the reason; then none of them is kept.
    pub fn keep_scores(&mut self, rows: &[KeptScore]) -> Result<(), JournalError> {
        self.commit(&Batch {
            scores: rows,
            ..Batch::default()
        })
        .map(drop)
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

/// Writes a batch's rows.
pub(super) fn keep(work: &Transaction<'_>, rows: &[KeptScore]) -> rusqlite::Result<()> {
    let mut statement =
        work.prepare_cached("INSERT OR REPLACE INTO scores VALUES (?1, ?2, ?3, ?4)")?;
    for row in rows {
        let (name, millis) = (row.entity.name(), row.time.millis());
        statement.execute(params![name, millis, row.score, row.passed])?;
    }
    Ok(())
}
