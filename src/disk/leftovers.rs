//! Removes what interrupted writes left behind, and all but the newest of what was set aside as damaged.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use super::atomic::TEMPORARY;

/// Folders below the one that is cleaned, at most this deep: `models/<version>` and `cache/<server>` are two.
const DEEPEST: usize = 3;
/// Entries that are looked at, at most.
const MOST: usize = 100_000;

/// Cleans the folder `dir`, which nobody else may be writing to: removes temporary files of [`super::write_atomic`] whose
/// write never ended, and of the files and folders that [`super::set_aside`] moved out of the way all but the newest `kept`
/// of each name. What can't be read or removed is left. Returns how many entries were removed.
pub fn remove_leftovers(dir: &Path, kept: usize) -> usize {
    let mut looked_at = 0;
    let mut folders = vec![(dir.to_path_buf(), 0)];
    let mut removed = 0;
    while let Some((folder, depth)) = folders.pop() {
        let mut damaged: BTreeMap<String, Vec<(u32, PathBuf)>> = BTreeMap::new();
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            looked_at += 1;
            if looked_at > MOST {
                return removed;
            }
            let Some(kind) = entry.file_type().ok() else {
                continue;
            };
            let name = entry.file_name();
            if kind.is_file() && is_temporary(&name) {
                removed += usize::from(fs::remove_file(entry.path()).is_ok());
            } else if let Some((base, number)) = set_aside_as(&name) {
                damaged
                    .entry(base)
                    .or_default()
                    .push((number, entry.path()));
            } else if kind.is_dir() && depth < DEEPEST {
                folders.push((entry.path(), depth + 1));
            }
        }
        for mut versions in damaged.into_values() {
            versions.sort_by_key(|(number, _)| std::cmp::Reverse(*number));
            let old = versions.iter().skip(kept);
            removed += old.filter(|(_, path)| remove(path)).count();
        }
    }
    removed
}

fn remove(path: &Path) -> bool {
    let is_dir = fs::symlink_metadata(path).is_ok_and(|meta| meta.is_dir());
    if is_dir {
        fs::remove_dir_all(path).is_ok()
    } else {
        fs::remove_file(path).is_ok()
    }
}

/// Whether a file has the name of a temporary one: `.bundle.Ab12Cd.tmp`.
fn is_temporary(name: &OsString) -> bool {
    let name = name.as_encoded_bytes();
    name.starts_with(b".") && name.ends_with(TEMPORARY.as_bytes())
}

/// `name.damaged-3`, for a database also `name.damaged-3-wal`: the name that it had, and the number.
pub(super) fn set_aside_as(name: &OsString) -> Option<(String, u32)> {
    let (base, tail) = name.to_str()?.rsplit_once(".damaged-")?;
    let (number, log) = tail.split_once('-').unwrap_or((tail, ""));
    Some((format!("{base}{log}"), number.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::{set_aside, write_atomic};

    fn names(dir: &Path) -> Vec<String> {
        let entries = fs::read_dir(dir).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn temporary_files_go_and_the_newest_damaged_ones_stay() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("models/7");
        fs::create_dir_all(&deep).unwrap();
        for name in [".bundle.Ab12Cd.tmp", "bundle", ".hidden", "notes.tmp"] {
            fs::write(deep.join(name), "x").unwrap();
        }
        for round in 0..5 {
            write_atomic(&dir.path().join("journal.sqlite"), &[round]).unwrap();
            set_aside(&dir.path().join("journal.sqlite")).unwrap();
        }
        fs::write(dir.path().join("journal.sqlite.damaged-1-wal"), "x").unwrap();
        fs::create_dir_all(dir.path().join("models/6.damaged-1/x")).unwrap();
        fs::create_dir_all(dir.path().join("models/6.damaged-2/x")).unwrap();
        assert_eq!(remove_leftovers(dir.path(), 1), 1 + 4 + 1);
        assert_eq!(names(&deep), [".hidden", "bundle", "notes.tmp"]);
        assert_eq!(
            names(dir.path()),
            [
                "journal.sqlite.damaged-1-wal",
                "journal.sqlite.damaged-5",
                "models"
            ]
        );
        assert_eq!(names(&dir.path().join("models")), ["6.damaged-2", "7"]);
        assert_eq!(remove_leftovers(&dir.path().join("absent"), 1), 0);
    }

    #[test]
    fn numbers_of_what_is_set_aside_only_rise() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        for round in 1..=3 {
            write_atomic(&path, b"x").unwrap();
            let aside = set_aside(&path).unwrap();
            assert!(aside.ends_with(format!("a.damaged-{round}")));
            remove_leftovers(dir.path(), 1);
        }
    }
}
