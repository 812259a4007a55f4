//! One owner per folder.

use std::fs::{self, File};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

use fs4::{FileExt, TryLockError};

use super::{DiskError, identity};

const NAME: &str = "pulsewatch.lock";

/// Ownership of a folder, for as long as this lives. The system ends it with the process, however that ends, so a lock
/// can never be left behind.
#[derive(Debug)]
pub struct DirLock {
    file: File,
    dir: PathBuf,
}

impl DirLock {
    /// Takes the folder, which is made when missing. The owner's process id stands in `pulsewatch.lock`.
    ///
    /// # Errors
    /// [`DiskError::Locked`] with the owner's process id when another one has it; else the path and the system's reason.
    pub fn take(dir: &Path) -> Result<Self, DiskError> {
        fs::create_dir_all(dir).map_err(|e| DiskError::io(dir, "make the folder", e))?;
        let path = dir.join(NAME);
        let mut file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|e| DiskError::io(&path, "open the lock", e))?;
        match FileExt::try_lock(&file) {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(DiskError::Locked {
                    dir: dir.to_path_buf(),
                    owner: owner(&mut file),
                });
            }
            Err(TryLockError::Error(e)) => return Err(DiskError::io(&path, "lock the folder", e)),
        }
        // The lock holds without the number in it, so a full disk must not keep anybody from starting.
        let _ = file
            .set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "{}", std::process::id()));
        Ok(Self {
            file,
            dir: dir.to_path_buf(),
        })
    }

    /// Whether the folder is still the one that was taken. When it was deleted or its lock replaced, another process may
    /// own what is there now: [`DirLock::take_again`] finds out.
    pub fn is_in_place(&self) -> bool {
        identity::is_at(&self.file, &self.dir.join(NAME))
    }

    /// Takes the folder at the same path anew, made when missing; what was held before is let go.
    ///
    /// # Errors
    /// As [`DirLock::take`]; what was held before is then still held.
    pub fn take_again(&mut self) -> Result<(), DiskError> {
        *self = Self::take(&self.dir)?;
        Ok(())
    }
}

fn owner(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(32).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_owner_is_refused_until_the_first_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        let first = DirLock::take(&data).unwrap();
        let said = DirLock::take(&data).unwrap_err().to_string();
        assert!(
            said.contains(&format!("process {}", std::process::id())),
            "{said}"
        );
        drop(first);
        DirLock::take(&data).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn a_folder_that_was_deleted_is_taken_again_unless_another_owner_was_faster() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        let mut lock = DirLock::take(&data).unwrap();
        assert!(lock.is_in_place());
        fs::remove_dir_all(&data).unwrap();
        assert!(!lock.is_in_place());
        lock.take_again().unwrap();
        assert!(lock.is_in_place());
        fs::remove_dir_all(&data).unwrap();
        let other = DirLock::take(&data).unwrap();
        assert!(matches!(
            lock.take_again(),
            Err(DiskError::Locked { owner: Some(_), .. })
        ));
        assert!(!lock.is_in_place() && other.is_in_place());
    }

    #[test]
    fn what_a_dead_owner_left_does_not_matter() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(NAME), "4294967295999 and more text").unwrap();
        DirLock::take(dir.path()).unwrap();
        let text = fs::read_to_string(dir.path().join(NAME)).unwrap();
        assert_eq!(text.trim(), std::process::id().to_string());
    }
}
