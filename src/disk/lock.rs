//! One owner per folder.

use std::fs::{self, File};
use std::io::{Read, Seek, Write};
use std::path::Path;

use fs4::{FileExt, TryLockError};

use super::DiskError;

const NAME: &str = "pulsewatch.lock";

/// Ownership of a folder, for as long as this lives. The system ends it with the process, however that ends, so a lock
/// can never be left behind.
#[derive(Debug)]
pub struct DirLock {
    _file: File,
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
        Ok(Self { _file: file })
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

    #[test]
    fn what_a_dead_owner_left_does_not_matter() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(NAME), "4294967295999 and more text").unwrap();
        DirLock::take(dir.path()).unwrap();
        let text = fs::read_to_string(dir.path().join(NAME)).unwrap();
        assert_eq!(text.trim(), std::process::id().to_string());
    }
}
