//! Opening SQLite databases: write-ahead log, schema versions, damage.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use super::{DiskError, set_aside};

/// How long one process waits for another's write, unless it says otherwise.
pub const BUSY: Duration = Duration::from_secs(5);

/// The log of writes is cut back to this many bytes after a large one.
const LOG_BYTES: i64 = 8 << 20;

/// What a database file begins with.
pub const MAGIC: &[u8] = b"SQLite format 3\0";

/// A database ready for use.
#[derive(Debug)]
pub struct Opened {
    /// The connection, at the newest schema.
    pub connection: Connection,
    /// Where a damaged file that was in the way went.
    pub set_aside: Option<PathBuf>,
    /// There was a file, and it was empty.
    pub was_empty: bool,
}

/// Opens the database at `path`, made when missing, in write-ahead-log mode, and runs the `migrations` it has not seen:
/// `user_version` counts those that have run. All outstanding ones run in one transaction. A damaged file is set aside and
/// a new one made.
///
/// # Errors
/// [`DiskError::Newer`] when more migrations have run than are known; else the path and SQLite's reason.
pub fn open(path: &Path, migrations: &[&str]) -> Result<Opened, DiskError> {
    if let Some(folder) = path.parent().filter(|p| !p.as_os_str().is_empty()) {
        fs::create_dir_all(folder).map_err(|e| DiskError::io(folder, "make the folder", e))?;
    }
    let was_empty = path.metadata().is_ok_and(|file| file.len() == 0);
    match try_open(path, migrations) {
        Ok(connection) => Ok(Opened {
            connection,
            set_aside: None,
            was_empty,
        }),
        Err(error) if error.is_damage() => {
            let aside = set_database_aside(path)?;
            Ok(Opened {
                connection: try_open(path, migrations)?,
                set_aside: Some(aside),
                was_empty: false,
            })
        }
        Err(error) => Err(error),
    }
}

/// Opens the database at `path` to be read only, beside whoever has it open: nothing is made, changed, migrated or set aside.
/// `migrations` are those that must have run. It may lie in a folder that this user can't write to.
///
/// # Errors
/// [`DiskError::Newer`] when more migrations have run than are known; else the path and the reason, damage included.
pub fn open_to_read(path: &Path, migrations: &[&str]) -> Result<Connection, DiskError> {
    let fail = |e| DiskError::sqlite(path, e);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let opened = Connection::open_with_flags(path, flags);
    let connection = match opened.and_then(readable) {
        Err(error) if needs_files_beside(&error) && !has_log(path) => {
            // Reading makes an index beside the file, which is not possible here. Without a log there is nothing to index,
            // and nobody can be writing one.
            let flags = flags | OpenFlags::SQLITE_OPEN_URI;
            Connection::open_with_flags(immutable(path), flags).and_then(readable)
        }
        opened => opened,
    };
    let connection = connection.map_err(fail)?;
    all_have_run(path, &connection, migrations)?;
    Ok(connection)
}

/// Opens the database at `path`, which must be there, to change what is in it beside whoever has it open: it is not made,
/// migrated or set aside. `migrations` are those that must have run.
///
/// # Errors
/// As [`open_to_read`].
pub fn open_to_change(path: &Path, migrations: &[&str]) -> Result<Connection, DiskError> {
    let fail = |e| DiskError::sqlite(path, e);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(fail)?;
    connection.busy_timeout(BUSY).map_err(fail)?;
    all_have_run(path, &connection, migrations)?;
    durable(&connection).map_err(fail)?;
    Ok(connection)
}

/// The connection, once something was read from it: opening alone does not touch the file.
fn readable(connection: Connection) -> rusqlite::Result<Connection> {
    connection.busy_timeout(BUSY)?;
    version(&connection)?;
    Ok(connection)
}

fn needs_files_beside(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly)
    )
}

/// The write-ahead log holds something.
fn has_log(path: &Path) -> bool {
    fs::metadata(with_suffix(path, "-wal")).is_ok_and(|meta| meta.len() > 0)
}

/// The address under which SQLite reads a file that nobody changes.
fn immutable(path: &Path) -> PathBuf {
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    let text = path.to_string_lossy();
    let quoted = text
        .replace('%', "%25")
        .replace('?', "%3f")
        .replace('#', "%23");
    PathBuf::from(format!("file:{quoted}?immutable=1"))
}

fn all_have_run(
    path: &Path,
    connection: &Connection,
    migrations: &[&str],
) -> Result<(), DiskError> {
    let found = known_version(path, connection, migrations)?;
    if found < migrations.len() {
        let reason = format!(
            "written by an older pulsewatch (format {found}); `pulsewatch run` brings it up to date"
        );
        return Err(DiskError::unreadable(path, reason));
    }
    Ok(())
}

/// How many migrations have run, if all of them are known.
fn known_version(
    path: &Path,
    connection: &Connection,
    migrations: &[&str],
) -> Result<usize, DiskError> {
    let found = version(connection).map_err(|e| DiskError::sqlite(path, e))?;
    let known = migrations.len();
    if found > known {
        let path = path.to_path_buf();
        return Err(DiskError::Newer { path, found, known });
    }
    Ok(found)
}

fn try_open(path: &Path, migrations: &[&str]) -> Result<Connection, DiskError> {
    let fail = |e| DiskError::sqlite(path, e);
    let mut connection = Connection::open(path).map_err(fail)?;
    connection.busy_timeout(BUSY).map_err(fail)?;
    // Reading the version touches the file, so that what is no database is found out here.
    let version = known_version(path, &connection, migrations)?;
    let check: String = connection
        .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
        .map_err(fail)?;
    if check != "ok" {
        return Err(DiskError::unreadable(path, check));
    }
    connection
        .query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))
        .and_then(|()| durable(&connection))
        .map_err(fail)?;
    if version < migrations.len() {
        migrate(&mut connection, migrations).map_err(fail)?;
    }
    Ok(connection)
}

/// What is committed is on the disk, and what belongs together stays so.
fn durable(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update_and_check(None, "journal_size_limit", LOG_BYTES, |_| Ok(()))
}

fn version(connection: &Connection) -> rusqlite::Result<usize> {
    let version: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    // A negative number is nobody's; taken as unknown and therefore newer.
    Ok(usize::try_from(version).unwrap_or(usize::MAX))
}

fn migrate(connection: &mut Connection, migrations: &[&str]) -> rusqlite::Result<()> {
    let work = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Read again under the write lock: another process may have done it in the meantime.
    for sql in migrations.iter().skip(version(&work)?) {
        work.execute_batch(sql)?;
    }
    if version(&work)? < migrations.len() {
        let done = i64::try_from(migrations.len()).unwrap_or(i64::MAX);
        work.pragma_update(None, "user_version", done)?;
    }
    work.commit()
}

/// Moves a damaged database out of the way, as [`set_aside`] does. The log and its index belong to the file: left behind,
/// they would be taken for the new one's.
///
/// # Errors
/// The path and the system's reason.
pub fn set_database_aside(path: &Path) -> Result<PathBuf, DiskError> {
    let aside = set_aside(path)?;
    for suffix in ["-wal", "-shm"] {
        let (from, to) = (with_suffix(path, suffix), with_suffix(&aside, suffix));
        if from.exists() {
            fs::rename(&from, &to).map_err(|e| DiskError::io(&from, "set the file aside", e))?;
        }
    }
    Ok(aside)
}

/// Copies all that `connection` can read of its database, also when its file was deleted, into a new file at `path`.
///
/// # Errors
/// The path and SQLite's reason, which may be damage; no file is left then.
pub fn copy_to(connection: &Connection, path: &Path) -> Result<(), DiskError> {
    remove(path);
    let copied = connection.execute("VACUUM INTO ?1", [path.to_string_lossy()]);
    copied.map(drop).map_err(|error| {
        remove(path);
        DiskError::sqlite(path, error)
    })
}

/// Puts the database at `from`, which nobody has open, at `to`. What is in its place there is set aside.
///
/// # Errors
/// The path and the system's reason.
pub fn put_in_place(from: &Path, to: &Path) -> Result<Option<PathBuf>, DiskError> {
    let aside = to.exists().then(|| set_database_aside(to)).transpose()?;
    // A log without its database would be taken for the new one's.
    remove_log(to);
    fs::rename(from, to).map_err(|e| DiskError::io(to, "put the new file in place", e))?;
    Ok(aside)
}

/// Removes a database with its log; what is not there needs no removing.
pub fn remove(path: &Path) {
    let _ = fs::remove_file(path);
    remove_log(path);
}

fn remove_log(path: &Path) {
    for suffix in ["-wal", "-shm"] {
        let _ = fs::remove_file(with_suffix(path, suffix));
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "CREATE TABLE a (x INTEGER);";
    const TWO: &str = "CREATE TABLE b (y TEXT); INSERT INTO b VALUES ('two');";

    fn count(connection: &Connection, table: &str) -> i64 {
        connection
            .query_row(&format!("SELECT count(*) FROM {table}"), [], |r| r.get(0))
            .unwrap()
    }

    #[test]
    fn migrations_run_once_each() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/db.sqlite");
        let first = open(&path, &[ONE]).unwrap();
        first
            .connection
            .execute("INSERT INTO a VALUES (1)", [])
            .unwrap();
        drop(first);
        for _ in 0..2 {
            let again = open(&path, &[ONE, TWO]).unwrap();
            assert!(again.set_aside.is_none());
            assert_eq!(count(&again.connection, "a"), 1);
            assert_eq!(count(&again.connection, "b"), 1);
        }
    }

    #[test]
    fn a_failing_migration_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("db.sqlite");
        let error = open(&path, &[ONE, "CREATE TABLE a (again)"]).unwrap_err();
        assert!(error.to_string().contains("db.sqlite"), "{error}");
        assert_eq!(count(&open(&path, &[ONE]).unwrap().connection, "a"), 0);
    }

    #[test]
    fn a_newer_schema_is_refused_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("db.sqlite");
        drop(open(&path, &[ONE, TWO]).unwrap());
        let error = open(&path, &[ONE]).unwrap_err();
        assert!(
            matches!(
                error,
                DiskError::Newer {
                    found: 2,
                    known: 1,
                    ..
                }
            ),
            "{error}"
        );
        assert!(path.exists());
    }

    #[test]
    fn damaged_files_are_set_aside_with_their_log() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("db.sqlite");
        drop(open(&path, &[ONE]).unwrap());
        let good = fs::read(&path).unwrap();
        let mut scribbled = good.clone();
        scribbled[100..].fill(0xA5);
        let half = good[..good.len() / 2].to_vec();
        let wrong = [
            b"this is no database at all, only a line of text".to_vec(),
            scribbled,
            half,
        ];
        for (n, bytes) in wrong.iter().enumerate() {
            fs::write(&path, bytes).unwrap();
            fs::write(with_suffix(&path, "-wal"), b"left over").unwrap();
            let opened = open(&path, &[ONE]).unwrap();
            let aside = opened.set_aside.expect("set aside");
            assert_eq!(&fs::read(&aside).unwrap(), bytes, "case {n}");
            assert_eq!(count(&opened.connection, "a"), 0);
        }
    }

    #[test]
    fn an_empty_file_is_a_new_database() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("db.sqlite");
        fs::write(&path, b"").unwrap();
        let opened = open(&path, &[ONE]).unwrap();
        assert!(opened.set_aside.is_none() && opened.was_empty);
        drop(opened);
        assert!(!open(&path, &[ONE]).unwrap().was_empty);
    }

    #[cfg(unix)]
    #[test]
    fn a_database_whose_file_was_deleted_is_copied_from_its_connection() {
        let dir = tempfile::tempdir().unwrap();
        let (path, copy) = (dir.path().join("db.sqlite"), dir.path().join("copy"));
        let old = open(&path, &[ONE]).unwrap().connection;
        old.execute("INSERT INTO a VALUES (1)", []).unwrap();
        fs::remove_file(&path).unwrap();
        old.execute("INSERT INTO a VALUES (2)", []).unwrap();
        copy_to(&old, &copy).unwrap();
        assert_eq!(put_in_place(&copy, &path).unwrap(), None);
        let new = open(&path, &[ONE]).unwrap().connection;
        // The old one closes without touching the new one's log.
        new.execute("INSERT INTO a VALUES (3)", []).unwrap();
        drop(old);
        assert_eq!(count(&new, "a"), 3);
        drop(new);
        assert_eq!(count(&open(&path, &[ONE]).unwrap().connection, "a"), 3);
    }

    #[test]
    fn what_can_not_be_opened_says_why_once() {
        let dir = tempfile::tempdir().unwrap();
        let missing = dir.path().join("none.sqlite");
        for error in [
            open(dir.path(), &[ONE]).unwrap_err(),
            open_to_read(dir.path(), &[ONE]).unwrap_err(),
            open_to_change(dir.path(), &[ONE]).unwrap_err(),
            open_to_read(&missing, &[ONE]).unwrap_err(),
            open_to_change(&missing, &[ONE]).unwrap_err(),
        ] {
            let text = error.to_string();
            assert_eq!(text.matches("(os error ").count(), 1, "{text}");
        }
    }

    #[test]
    fn a_file_that_nobody_writes_is_read_under_its_own_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("50% of a? #1.sqlite");
        drop(open(&path, &[ONE]).unwrap());
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
        let connection = Connection::open_with_flags(immutable(&path), flags).unwrap();
        assert_eq!(count(&connection, "a"), 0);
    }
}
