//! Names the files of a data directory, owns it by its lock, and notices when the ground is taken from under it.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::disk::{DirLock, DiskError, FileMark, sqlite};

/// Whether a data directory is still what it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Directory and journal are those that were opened.
    Kept,
    /// The directory or its lock was gone and was made anew; the journal may be gone with it.
    MadeAnew,
}

/// A data directory. Clones share its lock, which ends with the last of them.
#[derive(Clone, Debug)]
pub struct DataDir {
    path: PathBuf,
    held: Arc<Mutex<Held>>,
}

#[derive(Debug, Default)]
struct Held {
    lock: Option<DirLock>,
    /// The journal that is in use; outlives every connection to it.
    journal: Option<FileMark>,
    /// Why this process owns it no more.
    lost: Option<String>,
}

impl DataDir {
    /// The directory at `path` without owning it, to read in it.
    #[must_use]
    pub fn at(path: &Path) -> Self {
        Self {
            path: path.to_path_buf(),
            held: Arc::default(),
        }
    }

    /// Takes the directory at `path`, which is made when missing.
    ///
    /// # Errors
    /// [`DiskError::Locked`] when another process owns it; else the path and the system's reason.
    pub fn own(path: &Path) -> Result<Self, DiskError> {
        let lock = DirLock::take(path)?;
        let dir = Self::at(path);
        dir.with(|held| held.lock = Some(lock));
        Ok(dir)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The journal's file.
    #[must_use]
    pub fn journal(&self) -> PathBuf {
        self.path.join("journal.sqlite")
    }

    /// The model registry's folder.
    #[must_use]
    pub fn models(&self) -> PathBuf {
        self.path.join("models")
    }

    /// The folder of answers that servers gave.
    #[must_use]
    pub fn cache(&self) -> PathBuf {
        self.path.join("cache")
    }

    /// The folder of this host's own past.
    #[must_use]
    pub fn history(&self) -> PathBuf {
        self.path.join("history")
    }

    /// The folder of pictures.
    #[must_use]
    pub fn plots(&self) -> PathBuf {
        self.path.join("plots")
    }

    /// What the screen remembers.
    #[must_use]
    pub fn screen_memory(&self) -> PathBuf {
        self.path.join("ui.toml")
    }

    /// Remembers the journal that was just opened, so that [`DataDir::has_journal`] can tell when it was deleted, replaced
    /// or overwritten. To be called when no connection to an earlier journal is left.
    pub fn mark_journal(&self) {
        let path = self.journal();
        self.with(|held| {
            if !held.journal.as_ref().is_some_and(FileMark::is_at_its_path) {
                held.journal = FileMark::of(&path, sqlite::MAGIC).ok();
            }
        });
    }

    /// Whether the journal that was marked is still in its place.
    #[must_use]
    pub fn has_journal(&self) -> bool {
        self.with(|held| held.journal.as_ref().is_none_or(FileMark::is_in_place))
    }

    /// Looks whether the directory is still owned; one that was deleted is made and owned anew.
    ///
    /// # Errors
    /// [`DiskError::Locked`] when another process owns what is there now: this one must end, see [`DataDir::lost`]. Else the
    /// path and the system's reason, when it can't be made.
    pub fn check(&self) -> Result<Standing, DiskError> {
        self.with(|held| {
            let Some(lock) = held.lock.as_mut().filter(|lock| !lock.is_in_place()) else {
                return Ok(Standing::Kept);
            };
            let taken = lock.take_again();
            if let Err(error @ DiskError::Locked { .. }) = &taken {
                held.lost = Some(error.to_string());
            }
            taken.map(|()| Standing::MadeAnew)
        })
    }

    /// Why this process must not go on: another one owns the directory.
    #[must_use]
    pub fn lost(&self) -> Option<String> {
        self.with(|held| held.lost.clone())
    }

    fn with<T>(&self, work: impl FnOnce(&mut Held) -> T) -> T {
        work(&mut self.held.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl From<&Path> for DataDir {
    /// As [`DataDir::at`].
    fn from(path: &Path) -> Self {
        Self::at(path)
    }
}
