//! Files that are replaced as a whole or not at all.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use super::DiskError;
use super::leftovers::set_aside_as;

/// How the names of temporary files end; they begin with a dot.
pub(super) const TEMPORARY: &str = ".tmp";

/// Writes `bytes` to `path`: into a temporary file in the same folder, flushed to the disk, then renamed over it. Missing
/// folders are made. A link is followed; the permissions of a file that was there are kept. A device or pipe (such as
/// `/dev/stdout`) is written to directly.
///
/// # Errors
/// The path and the system's reason, a full disk as such. The file that was there before is then unchanged.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<(), DiskError> {
    let existing = fs::metadata(path).ok();
    if let Some(meta) = &existing {
        if meta.is_dir() {
            let source = std::io::ErrorKind::IsADirectory.into();
            return Err(DiskError::io(path, "write a file over a folder", source));
        }
        if !meta.is_file() {
            return write_through(path, bytes);
        }
    }
    let target = match &existing {
        Some(_) => fs::canonicalize(path).map_err(|e| DiskError::io(path, "find the file", e))?,
        None => path.to_path_buf(),
    };
    let folder = folder_of(&target);
    fs::create_dir_all(folder).map_err(|e| DiskError::io(folder, "make the folder", e))?;
    let fail = |e| DiskError::io(path, "write the file", e);
    let mut temp = temporary(&target, folder).map_err(fail)?;
    temp.write_all(bytes).map_err(fail)?;
    if let Some(meta) = existing {
        fs::set_permissions(temp.path(), meta.permissions()).map_err(fail)?;
    }
    temp.as_file().sync_all().map_err(fail)?;
    temp.persist(&target)
        .map_err(|e| DiskError::io(path, "put the new file in place", e.error))?;
    sync_folder(folder);
    Ok(())
}

/// Moves a damaged file or folder out of the way, to `<name>.damaged-<n>` beside it, and returns that name. The number is one
/// over the highest that is there, so the newest has the highest.
///
/// # Errors
/// The path and the system's reason.
pub fn set_aside(path: &Path) -> Result<PathBuf, DiskError> {
    let name = path
        .file_name()
        .map_or_else(|| "file".into(), |n| n.to_string_lossy().into_owned());
    let beside = fs::read_dir(folder_of(path)).into_iter().flatten();
    let numbers = beside.flatten().filter_map(|entry| {
        let (base, number) = set_aside_as(&entry.file_name())?;
        (base == name).then_some(number)
    });
    let number = numbers.max().unwrap_or(0).saturating_add(1);
    let aside = path.with_file_name(format!("{name}.damaged-{number}"));
    fs::rename(path, &aside).map_err(|e| DiskError::io(path, "set the file aside", e))?;
    Ok(aside)
}

/// Bytes that this user may still write on the disk that holds `path`, or will hold it: the nearest folder that exists
/// counts.
///
/// # Errors
/// The path and the system's reason.
pub fn free_space(path: &Path) -> Result<u64, DiskError> {
    let existing = path
        .ancestors()
        .find(|p| p.exists())
        .unwrap_or(Path::new("."));
    fs4::available_space(existing)
        .map_err(|e| DiskError::io(existing, "ask for the free space on its disk", e))
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

fn temporary(target: &Path, folder: &Path) -> std::io::Result<tempfile::NamedTempFile> {
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    let prefix = format!(".{name}.");
    let mut builder = tempfile::Builder::new();
    builder.prefix(&prefix).suffix(TEMPORARY);
    // Temporary files are private by default; a new file here gets what the user's mask allows, as any other would.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    builder.tempfile_in(folder)
}

fn write_through(path: &Path, bytes: &[u8]) -> Result<(), DiskError> {
    let fail = |e| DiskError::io(path, "write to it", e);
    let mut file = File::options().write(true).open(path).map_err(fail)?;
    file.write_all(bytes).map_err(fail)?;
    file.flush().map_err(fail)
}

/// Makes the rename itself last through a power cut. Some file systems can't do it; the file is complete either way.
fn sync_folder(folder: &Path) {
    #[cfg(unix)]
    if let Ok(folder) = File::open(folder) {
        let _ = folder.sync_all();
    }
    #[cfg(not(unix))]
    let _ = folder;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_replace_whole_files_and_make_folders() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b/file");
        write_atomic(&path, b"old").unwrap();
        write_atomic(&path, b"new and longer").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new and longer");
        let names: Vec<_> = fs::read_dir(path.parent().unwrap()).unwrap().collect();
        assert_eq!(names.len(), 1, "no temporary file is left");
    }

    #[cfg(unix)]
    #[test]
    fn permissions_and_links_are_kept() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let (real, link) = (dir.path().join("real"), dir.path().join("link"));
        write_atomic(&real, b"1").unwrap();
        fs::set_permissions(&real, fs::Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        write_atomic(&link, b"2").unwrap();
        assert_eq!(fs::read(&real).unwrap(), b"2");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(
            fs::metadata(&real).unwrap().permissions().mode() & 0o777,
            0o640
        );
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_device_is_told_as_such() {
        let error = write_atomic(Path::new("/dev/full"), b"x").unwrap_err();
        assert!(matches!(error, DiskError::Full { .. }), "{error}");
        let said = error.to_string();
        assert!(
            said.contains("/dev/full") && said.contains("disk is full"),
            "{said}"
        );
        assert!(!fs::metadata("/dev/full").unwrap().is_file());
    }

    #[test]
    fn a_folder_is_not_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let error = write_atomic(dir.path(), b"x").unwrap_err().to_string();
        assert!(error.contains("folder"), "{error}");
    }

    #[test]
    fn damaged_files_get_names_of_their_own() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("raw.parquet");
        for n in 1..=2 {
            write_atomic(&path, b"junk").unwrap();
            let aside = set_aside(&path).unwrap();
            assert!(aside.ends_with(format!("raw.parquet.damaged-{n}")));
            assert!(aside.exists() && !path.exists());
        }
        let error = set_aside(&path).unwrap_err().to_string();
        assert!(error.contains("raw.parquet"), "{error}");
    }

    #[test]
    fn free_space_is_asked_of_the_nearest_folder() {
        let dir = tempfile::tempdir().unwrap();
        assert!(free_space(&dir.path().join("not/yet/there")).unwrap() > 0);
    }
}
