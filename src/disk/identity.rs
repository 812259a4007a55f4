//! Recognises a file that is in use by its inode, so that one that was deleted, replaced or overwritten is noticed.

use std::fs::{File, Metadata};
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};

/// A file in use, held open. Where the system has no inodes, a file counts as the same as long as it is there.
///
/// For a SQLite database: a process that closes any handle of the file gives up the locks of all its connections to it.
/// A mark must therefore live until the last of them is closed.
#[derive(Debug)]
pub struct FileMark {
    path: PathBuf,
    file: File,
    /// What the file begins with.
    magic: &'static [u8],
}

impl FileMark {
    /// Marks the file at `path`, which begins with `magic` for as long as it is in use.
    ///
    /// # Errors
    /// The system's reason.
    pub fn of(path: &Path, magic: &'static [u8]) -> std::io::Result<Self> {
        Ok(Self {
            path: path.to_path_buf(),
            file: File::open(path)?,
            magic,
        })
    }

    /// Whether the same file is still at its path, whatever is in it.
    pub fn is_at_its_path(&self) -> bool {
        is_at(&self.file, &self.path)
    }

    /// Whether the same file is still at its path and begins as it did.
    pub fn is_in_place(&self) -> bool {
        self.is_at_its_path() && self.begins_with_magic()
    }

    fn begins_with_magic(&self) -> bool {
        let mut start = vec![0; self.magic.len()];
        let mut file = &self.file;
        match file.rewind().and_then(|()| file.read_exact(&mut start)) {
            Ok(()) => start == self.magic,
            Err(error) => error.kind() != std::io::ErrorKind::UnexpectedEof,
        }
    }
}

/// Whether `file` is what is found at `path`. A path that can't be looked at for another reason than that nothing is there
/// counts as the same.
pub fn is_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), path.metadata()) {
        (Ok(own), Ok(found)) => id(&own) == id(&found),
        (_, Err(error)) => error.kind() != std::io::ErrorKind::NotFound,
        (Err(_), Ok(_)) => true,
    }
}

#[cfg(unix)]
#[allow(clippy::unnecessary_wraps)] // Other systems have none.
fn id(meta: &Metadata) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    Some((meta.dev(), meta.ino()))
}

#[cfg(not(unix))]
fn id(_: &Metadata) -> Option<(u64, u64)> {
    None
}

#[cfg(all(test, unix))]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_file_is_recognised_until_it_is_deleted_replaced_or_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, b"magic and more").unwrap();
        let open = File::open(&path).unwrap();
        let mark = FileMark::of(&path, b"magic").unwrap();
        assert!(mark.is_in_place() && is_at(&open, &path));
        fs::write(&path, b"magic and other content").unwrap();
        assert!(mark.is_in_place());
        for bytes in [&b"other"[..], b"mag", b""] {
            fs::write(&path, bytes).unwrap();
            assert!(!mark.is_in_place() && is_at(&open, &path), "{bytes:?}");
        }
        fs::remove_file(&path).unwrap();
        assert!(!mark.is_in_place() && !is_at(&open, &path));
        fs::write(&path, b"magic of another file").unwrap();
        assert!(!mark.is_in_place() && !is_at(&open, &path));
    }
}
