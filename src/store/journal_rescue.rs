//! Writes a journal anew whose file was deleted, replaced or overwritten while it was in use.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use rusqlite::{Transaction, params, params_from_iter};

use super::journal::{Journal, JournalError, MIGRATIONS, next_seq, signed};
use super::journal_rows as rows;
use crate::disk::{DiskError, sqlite};
use crate::domain::{Entity, Incident};

/// What is known of a journal without its file.
#[derive(Clone, Debug)]
pub struct Remembered<'a> {
    /// Incidents with their ids.
    pub incidents: &'a [Incident],
    /// Incidents opened, per entity.
    pub counts: &'a BTreeMap<Entity, u64>,
    /// Incidents opened, of all entities.
    pub total: u64,
    /// Number of the last change that is known.
    pub last_change: u64,
}

/// How much of a journal was saved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rescued {
    /// All of it: the file could still be read.
    All,
    /// What was remembered: its content was damaged.
    Remembered,
}

impl Journal {
    /// Makes the journal's file anew at its path: a copy of what can still be read through the open connection, else what is
    /// remembered. Another file that is at the path now is set aside. Afterwards this is the new journal; checkpoints are to be
    /// written again.
    ///
    /// # Errors
    /// The path and the reason; the journal is then what it was, and this can be tried again.
    pub fn write_anew(&mut self, remembered: &Remembered<'_>) -> Result<Rescued, JournalError> {
        let new = self.path.with_extension("sqlite.new");
        if let Some(folder) = new.parent() {
            fs::create_dir_all(folder).map_err(|e| DiskError::io(folder, "make the folder", e))?;
        }
        let rescued = match sqlite::copy_to(&self.connection, &new).and_then(|()| is_whole(&new)) {
            Ok(()) => Rescued::All,
            // It can be copied when there is room again.
            Err(error @ DiskError::Full { .. }) => return Err(error.into()),
            Err(error) => {
                tracing::warn!(
                    "the journal can't be copied, what is remembered is written: {error}"
                );
                refill(&new, remembered)?;
                Rescued::Remembered
            }
        };
        sqlite::put_in_place(&new, &self.path)?;
        // The old connection is closed last: while its file is not in its place, it touches nothing there.
        self.connection = sqlite::open(&self.path, MIGRATIONS)?.connection;
        self.wait_at_most(self.patience)?;
        Ok(rescued)
    }
}

/// Whether the copy is a sound journal, of this release.
fn is_whole(path: &Path) -> Result<(), DiskError> {
    let opened = sqlite::open(path, MIGRATIONS)?;
    match opened.set_aside {
        Some(aside) => {
            sqlite::remove(&aside);
            Err(DiskError::unreadable(path, "the copy is damaged"))
        }
        None => Ok(()),
    }
}

fn refill(path: &Path, remembered: &Remembered<'_>) -> Result<(), JournalError> {
    sqlite::remove(path);
    let mut connection = sqlite::open(path, MIGRATIONS)?.connection;
    let mut fill = || {
        let work = connection.transaction()?;
        write(&work, remembered)?;
        work.commit()
    };
    fill().map_err(|e| DiskError::sqlite(path, e).into())
}

fn write(work: &Transaction<'_>, remembered: &Remembered<'_>) -> rusqlite::Result<()> {
    let (total, last) = (signed(remembered.total), signed(remembered.last_change));
    work.execute("UPDATE sequence SET last = ?1, opened = ?2", [last, total])?;
    let mut count =
        work.prepare("INSERT INTO opened (entity, total, last_ms) VALUES (?1, ?2, 0)")?;
    for (entity, total) in remembered.counts {
        count.execute(params![entity.name(), signed(*total)])?;
    }
    let mut newest =
        work.prepare("UPDATE opened SET last_ms = max(last_ms, ?2) WHERE entity = ?1")?;
    let mut add = work.prepare(&format!(
        "INSERT OR REPLACE INTO incidents ({}, acknowledged, label, seq, id)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
        rows::MEASURED
    ))?;
    for incident in remembered.incidents.iter().filter(|i| i.id != 0) {
        let label = incident
            .label
            .map(|label| rows::label_word(label).to_owned());
        let said = [
            incident.acknowledged.into(),
            label.into(),
            next_seq(work)?.into(),
            signed(incident.id).into(),
        ];
        add.execute(params_from_iter(
            rows::measured(incident).into_iter().chain(said),
        ))?;
        newest.execute(params![incident.entity.name(), incident.end.millis()])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{IncidentState, Label, Time, Why};

    #[test]
    fn what_is_remembered_is_written_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal.sqlite");
        let incident = |id, label| Incident {
            id,
            entity: Entity::named("a"),
            start: Time::from_secs(60),
            end: Time::from_secs(180),
            peak: Time::from_secs(120),
            peak_score: 3.5,
            peak_alarm: Some(2.5),
            state: IncidentState::Open,
            features: Vec::new(),
            why: Why::default(),
            acknowledged: true,
            label,
        };
        // One without an id comes with the next commit.
        let incidents = [
            incident(7, None),
            incident(4, Some(Label::False)),
            incident(0, None),
        ];
        let remembered = Remembered {
            incidents: &incidents,
            counts: &BTreeMap::from([(Entity::named("a"), 3)]),
            total: 9,
            last_change: 20,
        };
        refill(&path, &remembered).unwrap();
        let (mut journal, notice) = Journal::open(&path).unwrap();
        assert_eq!(notice, None);
        for kept in &incidents[..2] {
            assert_eq!(journal.get(kept.id).unwrap().as_ref(), Some(kept));
        }
        assert_eq!(journal.counts().unwrap()[&Entity::named("a")], 3);
        assert_eq!(
            (journal.total().unwrap(), journal.last_change().unwrap()),
            (9, 22)
        );
        assert_eq!(journal.insert(&incident(0, None)).unwrap(), 8);
    }
}
