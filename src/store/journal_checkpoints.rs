//! Keeps checkpoints in the journal: values by key, and one value per entity.

use std::collections::BTreeMap;

use rusqlite::{OptionalExtension, Transaction, params};

use super::journal::{Batch, Journal, JournalError};
use crate::domain::Entity;

impl Journal {
    /// Keeps `value` under `key`, in place of what was there.
    ///
    /// # Errors
    /// The path and the reason.
    pub fn checkpoint_put(&mut self, key: &str, value: &[u8]) -> Result<(), JournalError> {
        self.commit(&Batch {
            checkpoints: &[(key, value)],
            ..Batch::default()
        })
        .map(drop)
    }

    /// What is kept under `key`.
    ///
    /// # Errors
    /// The path and the reason.
    pub fn checkpoint_get(&self, key: &str) -> Result<Option<Vec<u8>>, JournalError> {
        self.ask(|connection| {
            let sql = "SELECT value FROM checkpoints WHERE key = ?1";
            connection
                .query_row(sql, [key], |row| row.get(0))
                .optional()
        })
    }

    /// The checkpoints of all entities that have one.
    ///
    /// # Errors
    /// The path and the reason.
    pub fn entity_checkpoints(&self) -> Result<BTreeMap<Entity, Vec<u8>>, JournalError> {
        self.ask(|connection| {
            connection
                .prepare("SELECT entity, value FROM entity_checkpoints")?
                .query_map([], |row| {
                    let name: String = row.get(0)?;
                    Ok((Entity::named(&name), row.get(1)?))
                })?
                .collect()
        })
    }
}

/// Writes a batch's checkpoints.
pub(super) fn write(work: &Transaction<'_>, batch: &Batch<'_>) -> rusqlite::Result<()> {
    let sql = "INSERT INTO checkpoints VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = ?2";
    for (key, value) in batch.checkpoints {
        work.execute(sql, params![key, value])?;
    }
    let mut put = work.prepare_cached(
        "INSERT INTO entity_checkpoints VALUES (?1, ?2) ON CONFLICT (entity) DO UPDATE SET value = ?2",
    )?;
    let mut delete = work.prepare_cached("DELETE FROM entity_checkpoints WHERE entity = ?1")?;
    for (entity, value) in batch.entities {
        match value {
            Some(value) => put.execute(params![entity.name(), value])?,
            None => delete.execute([entity.name()])?,
        };
    }
    Ok(())
}
