//! What can go wrong with files, in one sentence each.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;

/// Why a file could not be read or written. Every message names the file.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// No room left, or the user's quota is used up.
    #[error(
        "{path}: the disk is full; free some space on it and try again (what was stored before is unchanged)"
    )]
    Full {
        /// What was being written.
        path: PathBuf,
    },
    /// The system refused.
    #[error("{path}: can't {action}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// The system's reason.
        source: io::Error,
    },
    /// The content is not what it should be.
    #[error("{place}: {reason}")]
    Unreadable {
        /// The file, or what the bytes were taken for when they came without a file.
        place: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Another process works in this folder.
    #[error(
        "{dir}: in use by another pulsewatch{}; stop that one first, or choose another folder with --data-dir",
        owner.map(|pid| format!(" (process {pid})")).unwrap_or_default()
    )]
    Locked {
        /// The folder.
        dir: PathBuf,
        /// Process id of the owner, when it could be read.
        owner: Option<u32>,
    },
    /// A later release wrote it.
    #[error(
        "{path}: written by a newer pulsewatch (format {found}, this one knows up to {known}); use that release, or move the file away"
    )]
    Newer {
        /// The database.
        path: PathBuf,
        /// Its format.
        found: usize,
        /// The newest format known here.
        known: usize,
    },
    /// SQLite refused. Its own chain of causes repeats one sentence, so it is not part of this error's chain.
    #[error("{path}: {cause}")]
    Sqlite {
        /// The database.
        path: PathBuf,
        /// SQLite's reason.
        cause: rusqlite::Error,
    },
}

impl DiskError {
    /// An I/O error at `path` while trying to `action`; a full disk is told as such.
    pub fn io(path: &Path, action: &'static str, source: io::Error) -> Self {
        let path = path.to_path_buf();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full { path },
            _ => Self::Io {
                path,
                action,
                source,
            },
        }
    }

    /// An error of SQLite on the database at `path`; a full disk is told as such, and a file that can't be opened with the
    /// system's reason, which SQLite does not tell.
    pub fn sqlite(path: &Path, cause: rusqlite::Error) -> Self {
        match cause.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DiskFull) => Self::Full { path: path.into() },
            Some(rusqlite::ErrorCode::CannotOpen | rusqlite::ErrorCode::SystemIoFailure) => {
                match opening(path) {
                    Err(reason) => Self::io(path, "open the database", reason),
                    Ok(()) => Self::Sqlite {
                        path: path.into(),
                        cause,
                    },
                }
            }
            _ => Self::Sqlite {
                path: path.into(),
                cause,
            },
        }
    }

    /// Content that can't be used, found at `path`.
    pub fn unreadable(path: &Path, reason: impl Into<String>) -> Self {
        Self::Unreadable {
            place: path.display().to_string(),
            reason: reason.into(),
        }
    }

    /// The same error, with `path` as the place of bytes that came without one.
    #[must_use]
    pub fn at(self, path: &Path) -> Self {
        match self {
            Self::Unreadable { reason, .. } => Self::unreadable(path, reason),
            other => other,
        }
    }

    /// Whether the file's content is at fault, so that setting it aside helps.
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Unreadable { .. } => true,
            Self::Sqlite { cause, .. } => matches!(
                cause.sqlite_error_code(),
                Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt)
            ),
            _ => false,
        }
    }

    /// Whether another process held the database for longer than was waited.
    pub fn is_busy(&self) -> bool {
        matches!(self, Self::Sqlite { cause, .. }
            if cause.sqlite_error_code() == Some(ErrorCode::DatabaseBusy))
    }
}

/// Opens the file of a database as SQLite would, which also makes files beside it.
fn opening(path: &Path) -> io::Result<()> {
    if path.exists() {
        File::options().read(true).write(true).open(path)?;
    }
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty());
    tempfile::tempfile_in(folder.unwrap_or(Path::new(".")))?;
    // All that it needs can be had, so it was not to be made.
    fs::metadata(path).map(|_| ())
}
