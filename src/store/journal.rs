//! The journal: incidents, what operators said of them, checkpoints, and how far each consumer has read.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::types::Value;
use rusqlite::{
    Connection, OptionalExtension, Transaction, TransactionBehavior, params, params_from_iter,
};

use super::journal_rows::{self as rows, COLUMNS, MEASURED};
use super::{journal_checkpoints as checkpoints, journal_past as past, journal_scores as scores};
use crate::disk::{DiskError, sqlite};
use crate::domain::{Entity, Incident, KeptScore, Label, Time};

/// Schema changes in order; never edit one that was released, add another.
pub(super) const MIGRATIONS: &[&str] = &[
    "
    CREATE TABLE incidents (
        id           INTEGER PRIMARY KEY AUTOINCREMENT,
        entity       TEXT NOT NULL,
        start_ms     INTEGER NOT NULL,
        end_ms       INTEGER NOT NULL,
        peak_ms      INTEGER NOT NULL,
        peak_score   REAL,
        state        TEXT NOT NULL CHECK (state IN ('open', 'closed', 'vanished')),
        features     TEXT NOT NULL,
        acknowledged INTEGER NOT NULL,
        label        TEXT CHECK (label IN ('real', 'false')),
        seq          INTEGER NOT NULL
    );
    CREATE UNIQUE INDEX incidents_by_change ON incidents (seq);
    CREATE INDEX incidents_by_start ON incidents (start_ms);
    CREATE TABLE opened (entity TEXT PRIMARY KEY, total INTEGER NOT NULL);
    CREATE TABLE sequence (last INTEGER NOT NULL);
    INSERT INTO sequence VALUES (0);
    CREATE TABLE checkpoints (key TEXT PRIMARY KEY, value BLOB NOT NULL);
    CREATE TABLE cursors (consumer TEXT PRIMARY KEY, seq INTEGER NOT NULL);
",
    "
    CREATE TABLE incidents_2 (
        id           INTEGER PRIMARY KEY AUTOINCREMENT,
        entity       TEXT NOT NULL,
        start_ms     INTEGER NOT NULL,
        end_ms       INTEGER NOT NULL,
        peak_ms      INTEGER NOT NULL,
        peak_score   REAL,
        state        TEXT NOT NULL CHECK (state IN ('open', 'closed', 'vanished', 'settled')),
        features     TEXT NOT NULL,
        why          TEXT,
        acknowledged INTEGER NOT NULL,
        label        TEXT CHECK (label IN ('real', 'false')),
        seq          INTEGER NOT NULL
    );
    INSERT INTO sqlite_sequence (name, seq) SELECT 'incidents_2', seq FROM sqlite_sequence WHERE name = 'incidents';
    INSERT INTO incidents_2
        SELECT id, entity, start_ms, end_ms, peak_ms, peak_score, state, features, NULL, acknowledged, label, seq
        FROM incidents;
    DROP TABLE incidents;
    ALTER TABLE incidents_2 RENAME TO incidents;
    CREATE UNIQUE INDEX incidents_by_change ON incidents (seq);
    CREATE INDEX incidents_by_start ON incidents (start_ms);
",
    "
    CREATE TABLE scores (
        entity  TEXT NOT NULL,
        time_ms INTEGER NOT NULL,
        score   REAL NOT NULL,
        passed  INTEGER NOT NULL,
        PRIMARY KEY (entity, time_ms)
    ) WITHOUT ROWID;
    CREATE INDEX scores_by_time ON scores (time_ms);
",
    "ALTER TABLE incidents ADD COLUMN peak_alarm REAL;",
    "
    CREATE TABLE entity_checkpoints (entity TEXT PRIMARY KEY, value BLOB NOT NULL);
    CREATE INDEX incidents_labelled ON incidents (start_ms) WHERE label IS NOT NULL;
    ALTER TABLE opened ADD COLUMN last_ms INTEGER NOT NULL DEFAULT 0;
    UPDATE opened SET last_ms = newest.at
        FROM (SELECT entity, max(end_ms) AS at FROM incidents GROUP BY entity) AS newest
        WHERE newest.entity = opened.entity;
    ALTER TABLE sequence ADD COLUMN opened INTEGER NOT NULL DEFAULT 0;
    UPDATE sequence SET opened = (SELECT coalesce(sum(total), 0) FROM opened);
",
    "CREATE INDEX incidents_by_entity ON incidents (entity, end_ms);",
    "
    CREATE TABLE incidents_7 (
        id           INTEGER PRIMARY KEY AUTOINCREMENT,
        entity       TEXT NOT NULL,
        start_ms     INTEGER NOT NULL,
        end_ms       INTEGER NOT NULL,
        peak_ms      INTEGER NOT NULL,
        peak_score   REAL,
        state        TEXT NOT NULL CHECK (state IN ('open', 'closed', 'vanished', 'settled', 'past')),
        features     TEXT NOT NULL,
        why          TEXT,
        acknowledged INTEGER NOT NULL,
        label        TEXT CHECK (label IN ('real', 'false')),
        seq          INTEGER NOT NULL,
        peak_alarm   REAL
    );
    INSERT INTO sqlite_sequence (name, seq) SELECT 'incidents_7', seq FROM sqlite_sequence WHERE name = 'incidents';
    INSERT INTO incidents_7
        SELECT id, entity, start_ms, end_ms, peak_ms, peak_score, state, features, why, acknowledged, label, seq, peak_alarm
        FROM incidents;
    DROP TABLE incidents;
    ALTER TABLE incidents_7 RENAME TO incidents;
    CREATE UNIQUE INDEX incidents_by_change ON incidents (seq);
    CREATE INDEX incidents_by_start ON incidents (start_ms);
    CREATE INDEX incidents_labelled ON incidents (start_ms) WHERE label IS NOT NULL;
    CREATE INDEX incidents_by_entity ON incidents (entity, end_ms);
    CREATE INDEX incidents_past ON incidents (start_ms) WHERE state = 'past';
",
];

/// Most rows that one question brings back.
const MOST_ROWS: usize = 10_000;

/// Why the journal could not do it.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The file.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// No incident has this id.
    #[error("{path}: there is no incident {id}; `pulsewatch incidents list` shows those there are")]
    NotFound {
        /// The journal.
        path: PathBuf,
        /// The id asked for.
        id: u64,
    },
    /// A row does not say what it should.
    #[error("{path}: incident {id} can't be read: {reason}")]
    Row {
        /// The journal.
        path: PathBuf,
        /// Which incident.
        id: i64,
        /// What is wrong with it.
        reason: String,
    },
}

impl JournalError {
    /// Whether the file's content is at fault.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        matches!(self, Self::Disk(error) if error.is_damage())
    }

    /// Whether another process held the journal for longer than was waited; a later try may work.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        matches!(self, Self::Disk(error) if error.is_busy())
    }
}

/// Which incidents to list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IncidentFilter {
    /// Only those still open.
    pub open_only: bool,
    /// Only those found in the history (`true`), or only those found live.
    pub past: Option<bool>,
    /// Only this entity's.
    pub entity: Option<Entity>,
    /// Only those whose last anomalous time is at or after this.
    pub since: Option<Time>,
    /// At most so many; capped at 10,000.
    pub limit: usize,
}

impl Default for IncidentFilter {
    fn default() -> Self {
        Self {
            open_only: false,
            past: None,
            entity: None,
            since: None,
            limit: 100,
        }
    }
}

/// An incident as it stands after its latest change.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// Number of that change; later changes have higher numbers, across all incidents.
    pub seq: u64,
    /// The incident.
    pub incident: Incident,
}

/// What is written together, all of it or nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Batch<'a> {
    /// Incidents: those with id 0 are added, others updated as by [`Journal::update`].
    pub incidents: &'a [Incident],
    /// What is found in the history now, in place of all that was before, but for what operators spoke of: see
    /// [`Journal::list`].
    pub past: Option<&'a [Incident]>,
    /// Rows near the threshold, in place of those of the same entity and time.
    pub scores: &'a [KeptScore],
    /// Checkpoints by key.
    pub checkpoints: &'a [(&'a str, &'a [u8])],
    /// Checkpoints of entities; `None` deletes one.
    pub entities: &'a [(Entity, Option<Vec<u8>>)],
}

/// The open journal. Several processes may have it open: one writes at a time, reading waits for nobody.
#[derive(Debug)]
pub struct Journal {
    pub(super) connection: Connection,
    pub(super) path: PathBuf,
    /// How long a call waits for another process that writes.
    pub(super) patience: Duration,
}

impl Journal {
    /// Opens the journal at `path`, made when missing. When a damaged file was in the way it has been set aside, and the
    /// sentence that comes along says so; as it does of an empty file.
    ///
    /// # Errors
    /// [`DiskError::Newer`] for a journal of a later release; else the path and the reason.
    pub fn open(path: &Path) -> Result<(Self, Option<String>), JournalError> {
        let opened = sqlite::open(path, MIGRATIONS)?;
        let notice = match opened.set_aside {
            Some(aside) => Some(format!(
                "the journal {} was damaged: it is now {}, and a new one was begun",
                path.display(),
                aside.display()
            )),
            None => opened.was_empty.then(|| {
                format!(
                    "the journal {} was an empty file: a new one was begun, incidents and labels that it may have held are lost",
                    path.display()
                )
            }),
        };
        let journal = Self {
            connection: opened.connection,
            path: path.to_path_buf(),
            patience: sqlite::BUSY,
        };
        Ok((journal, notice))
    }

    /// Opens the journal at `path` to read it beside the process that writes it: nothing is made, changed or set aside. All
    /// that is asked of it is answered as of its first answer, whatever is written meanwhile.
    ///
    /// # Errors
    /// The path and the reason: also when there is none, or one of another release.
    pub fn open_to_read(path: &Path) -> Result<Self, JournalError> {
        let connection = sqlite::open_to_read(path, MIGRATIONS)?;
        // One transaction, which ends with the connection.
        connection
            .execute_batch("BEGIN")
            .map_err(|e| DiskError::sqlite(path, e))?;
        Ok(Self {
            connection,
            path: path.to_path_buf(),
            patience: sqlite::BUSY,
        })
    }

    /// How long a call waits for another process that writes, before it fails; 5 s unless this is called.
    ///
    /// # Errors
    /// The path and the reason.
    pub fn wait_at_most(&mut self, patience: Duration) -> Result<(), JournalError> {
        self.patience = patience;
        self.ask(|connection| connection.busy_timeout(patience))
    }

    /// Opens the journal at `path`, which must be there, to say something of its incidents beside the process that owns it:
    /// it is not made, brought over from an older release or set aside.
    ///
    /// # Errors
    /// The path and the reason: also when it is of another release.
    pub fn open_to_change(path: &Path) -> Result<Self, JournalError> {
        let connection = sqlite::open_to_change(path, MIGRATIONS)?;
        let path = path.to_path_buf();
        Ok(Self {
            connection,
            path,
            patience: sqlite::BUSY,
        })
    }

    /// Adds an incident and returns the id that it was given; the id it came with is not looked at.
    ///
    /// # Errors
    /// The path and the reason.
    pub fn insert(&mut self, incident: &Incident) -> Result<u64, JournalError> {
        let new = Incident {
            id: 0,
            ..incident.clone()
        };
        let ids = self.commit(&Batch {
            incidents: std::slice::from_ref(&new),
            ..Batch::default()
        })?;
        Ok(ids.first().copied().unwrap_or_default())
    }

    /// Writes what was measured of an incident that is there. What operators said (acknowledged, label) is left as it is:
    /// see [`Journal::acknowledge`] and [`Journal::label`].
    ///
    /// # Errors
    /// [`JournalError::NotFound`] for an unknown id; else the path and the reason.
    pub fn update(&mut self, incident: &Incident) -> Result<(), JournalError> {
        self.change(|work, path| update(work, path, incident))
    }

    /// Writes all that a tick changed, or nothing of it. Returns the ids in the order of `incidents`.
    ///
    /// # Errors
    /// [`JournalError::NotFound`] for an unknown id; else the path and the reason.
    pub fn commit(&mut self, batch: &Batch<'_>) -> Result<Vec<u64>, JournalError> {
        self.change(|work, path| {
            checkpoints::write(work, batch)
                .and_then(|()| scores::keep(work, batch.scores))
                .and_then(|()| batch.past.map_or(Ok(()), |past| past::replace(work, past)))
                .map_err(|e| DiskError::sqlite(path, e))?;
            batch
                .incidents
                .iter()
                .map(|incident| match incident.id {
                    0 => insert(work, incident).map_err(|e| DiskError::sqlite(path, e).into()),
                    id => update(work, path, incident).map(|()| id),
                })
                .collect()
        })
    }

    /// One incident, `None` when there is none by that id.
    ///
    /// # Errors
    /// The path and the reason.
    pub fn get(&self, id: u64) -> Result<Option<Incident>, JournalError> {
        let sql = format!("SELECT {COLUMNS} FROM incidents WHERE id = ?1");
        let found = rows::read(&self.connection, &self.path, &sql, params![signed(id)])?;
        Ok(found.into_iter().next().map(|change| change.incident))
    }

    /// Incidents, open ones first, then the newest first.
    ///
    /// # Errors
    /// The path and the reason.
    pub fn list(&self, filter: &IncidentFilter) -> Result<Vec<Incident>, JournalError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM incidents
             WHERE (NOT ?1 OR state = 'open') AND (?2 IS NULL OR entity = ?2) AND (?3 IS NULL OR end_ms >= ?3)
               AND (?5 IS NULL OR (state = 'past') = ?5)
             ORDER BY state = 'open' DESC, start_ms DESC, id DESC LIMIT ?4"
        );
        let found = rows::read(
            &self.connection,
            &self.path,
            &sql,
            params![
                filter.open_only,
                filter.entity.as_ref().map(Entity::name),
                filter.since.map(Time::millis),
                limit(filter.limit),
                filter.past
            ],
        )?;
        Ok(found.into_iter().map(|change| change.incident).collect())
    }

    /// The incident of an entity that ended last, or goes on; none that was found in the history.
    ///
    /// # Errors
    /// The path and the reason.
    pub fn latest(&self, entity: &Entity) -> Result<Option<Incident>, JournalError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM incidents WHERE entity = ?1 AND state <> 'past' ORDER BY end_ms DESC, id DESC LIMIT 1"
        );
        let found = rows::read(&self.connection, &self.path, &sql, params![entity.name()])?;
        Ok(found.into_iter().next().map(|change| change.incident))
    }

    /// Incidents that an operator labelled, the newest first, at most 10,000.
    ///
    /// # Errors
    /// The path and the reason.
    pub fn labelled(&self) -> Result<Vec<Incident>, JournalError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM incidents WHERE label IS NOT NULL ORDER BY start_ms DESC LIMIT {MOST_ROWS}"
        );
        let found = rows::read(&self.connection, &self.path, &sql, [])?;
        Ok(found.into_iter().map(|change| change.incident).collect())
    }

    /// Incidents changed after change number `seq`, in the order of their latest change, at most `limit` (capped at
    /// 10,000). An incident that changed several times comes once, as it is now: a slow reader misses steps in between,
    /// never an incident.
    ///
    /// # Errors
    /// The path and the reason.
    pub fn changes_since(&self, seq: u64, most: usize) -> Result<Vec<Change>, JournalError> {
        let sql = format!("SELECT {COLUMNS} FROM incidents WHERE seq > ?1 ORDER BY seq LIMIT ?2");
        let params = params![signed(seq), limit(most)];
        rows::read(&self.connection, &self.path, &sql, params)
    }

    /// Number of the last change that was made; 0 before the first.
    ///
    /// # Errors
    /// The path and the reason.
    pub fn last_change(&self) -> Result<u64, JournalError> {
        let sql = "SELECT last FROM sequence";
        let last = self.ask(|connection| connection.query_row(sql, [], |row| row.get(0)))?;
        Ok(unsigned(last))
    }

    /// Marks an incident as seen; once seen it stays so.
    ///
    /// # Errors
    /// [`JournalError::NotFound`] for an unknown id; else the path and the reason.
    pub fn acknowledge(&mut self, id: u64) -> Result<(), JournalError> {
        self.say(id, "acknowledged = ?2", true)
    }

    /// Calls an incident real or false, or takes that back.
    ///
    /// # Errors
    /// [`JournalError::NotFound`] for an unknown id; else the path and the reason.
    pub fn label(&mut self, id: u64, label: Option<Label>) -> Result<(), JournalError> {
        self.say(id, "label = ?2", label.map(rows::label_word))
    }

    /// Incidents opened, per entity, as far as its count is kept: see [`Journal::prune_counts`].
    ///
    /// # Errors
    /// The path and the reason.
    pub fn counts(&self) -> Result<BTreeMap<Entity, u64>, JournalError> {
        self.ask(|connection| {
            connection
                .prepare("SELECT entity, total FROM opened")?
                .query_map([], |row| {
                    let name: String = row.get(0)?;
                    Ok((Entity::named(&name), unsigned(row.get(1)?)))
                })?
                .collect()
        })
    }

    /// Incidents ever opened, of all entities; neither letting old ones go nor forgetting an entity's count lowers it.
    ///
    /// # Errors
    /// The path and the reason.
    pub fn total(&self) -> Result<u64, JournalError> {
        let sql = "SELECT opened FROM sequence";
        let total = self.ask(|connection| connection.query_row(sql, [], |row| row.get(0)))?;
        Ok(unsigned(total))
    }

    /// The last change that `consumer` is done with; 0 before its first.
    ///
    /// # Errors
    /// The path and the reason.
    pub fn cursor(&self, consumer: &str) -> Result<u64, JournalError> {
        let sql = "SELECT seq FROM cursors WHERE consumer = ?1";
        let seq = self.ask(|connection| {
            connection
                .query_row(sql, [consumer], |row| row.get(0))
                .optional()
        })?;
        Ok(seq.map_or(0, unsigned))
    }

    /// Notes that `consumer` is done with all changes up to `seq`.
    ///
    /// # Errors
    /// The path and the reason.
    pub fn set_cursor(&mut self, consumer: &str, seq: u64) -> Result<(), JournalError> {
        let sql =
            "INSERT INTO cursors VALUES (?1, ?2) ON CONFLICT (consumer) DO UPDATE SET seq = ?2";
        self.ask(|connection| connection.execute(sql, params![consumer, signed(seq)]))?;
        Ok(())
    }

    /// Sets one of the operators' columns.
    fn say(
        &mut self,
        id: u64,
        assignment: &str,
        value: impl rusqlite::ToSql,
    ) -> Result<(), JournalError> {
        let sql = format!("UPDATE incidents SET {assignment}, seq = ?3 WHERE id = ?1");
        self.change(|work, path| {
            let touched = next_seq(work)
                .and_then(|seq| work.execute(&sql, params![signed(id), value, seq]))
                .map_err(|e| DiskError::sqlite(path, e))?;
            found(touched, path, id)
        })
    }

    pub(super) fn ask<T>(
        &self,
        question: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, JournalError> {
        question(&self.connection).map_err(|e| DiskError::sqlite(&self.path, e).into())
    }

    /// Does `work` in one transaction; any error leaves the journal as it was.
    pub(super) fn change<T>(
        &mut self,
        work: impl FnOnce(&Transaction<'_>, &Path) -> Result<T, JournalError>,
    ) -> Result<T, JournalError> {
        let path = &self.path;
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(|e| DiskError::sqlite(path, e))?;
        let result = work(&transaction, path)?;
        transaction
            .commit()
            .map_err(|e| DiskError::sqlite(path, e))?;
        Ok(result)
    }
}

fn insert(work: &Transaction<'_>, incident: &Incident) -> rusqlite::Result<u64> {
    let id = add(work, incident)?;
    work.execute(
        "INSERT INTO opened (entity, total, last_ms) VALUES (?1, 1, ?2)
         ON CONFLICT (entity) DO UPDATE SET total = total + 1, last_ms = max(last_ms, ?2)",
        params![incident.entity.name(), incident.end.millis()],
    )?;
    work.execute("UPDATE sequence SET opened = opened + 1", [])?;
    Ok(id)
}

/// Adds an incident that no counter counts.
pub(super) fn add(work: &Transaction<'_>, incident: &Incident) -> rusqlite::Result<u64> {
    let label = incident
        .label
        .map(|label| rows::label_word(label).to_owned());
    let said: [Value; 3] = [
        incident.acknowledged.into(),
        label.into(),
        next_seq(work)?.into(),
    ];
    let sql = format!(
        "INSERT INTO incidents ({MEASURED}, acknowledged, label, seq)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)"
    );
    work.execute(
        &sql,
        params_from_iter(rows::measured(incident).into_iter().chain(said)),
    )?;
    Ok(unsigned(work.last_insert_rowid()))
}

fn update(work: &Transaction<'_>, path: &Path, incident: &Incident) -> Result<(), JournalError> {
    let sql = "UPDATE incidents SET entity = ?1, start_ms = ?2, end_ms = ?3, peak_ms = ?4, peak_score = ?5, state = ?6,
               features = ?7, why = ?8, peak_alarm = ?9, seq = ?10 WHERE id = ?11";
    let touched = next_seq(work)
        .and_then(|seq| {
            let which: [Value; 2] = [seq.into(), signed(incident.id).into()];
            let values = rows::measured(incident).into_iter().chain(which);
            work.execute(sql, params_from_iter(values))
        })
        .map_err(|e| DiskError::sqlite(path, e))?;
    found(touched, path, incident.id)
}

/// The number of the change that is being made; taken back with the transaction if that fails.
pub(super) fn next_seq(work: &Transaction<'_>) -> rusqlite::Result<i64> {
    let sql = "UPDATE sequence SET last = last + 1 RETURNING last";
    work.query_row(sql, [], |row| row.get(0))
}

fn found(touched: usize, path: &Path, id: u64) -> Result<(), JournalError> {
    if touched > 0 {
        return Ok(());
    }
    let path = path.to_path_buf();
    Err(JournalError::NotFound { path, id })
}

fn limit(wanted: usize) -> i64 {
    i64::try_from(wanted.min(MOST_ROWS)).unwrap_or(0)
}

/// SQLite counts in signed numbers; ids and sequences start at 1 and stay far below the end of either.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
