//! A journal whose file is lost while it is in use is written anew, with all that can be saved.
#![cfg(unix)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use pulsewatch::disk::DirLock;
use pulsewatch::domain::{Entity, Label};
use pulsewatch::store::{DataDir, IncidentFilter, Journal, Remembered, Rescued, Standing};

use crate::{ids, incident, open};

/// A data directory with a journal of three incidents, the second of which is labelled.
fn filled(dir: &Path) -> (DataDir, Journal) {
    let data = DataDir::own(dir).unwrap();
    let mut journal = open(&data.journal());
    for start in [100, 200, 300] {
        journal.insert(&incident("a", start)).unwrap();
    }
    journal.label(2, Some(Label::False)).unwrap();
    journal.checkpoint_put("live", b"rows").unwrap();
    data.mark_journal();
    assert!(data.has_journal());
    (data, journal)
}

/// What an engine would remember of it.
fn rescue(journal: &mut Journal) -> Rescued {
    let newest = IncidentFilter {
        limit: 2,
        ..IncidentFilter::default()
    };
    let incidents = journal.list(&newest).unwrap_or_else(|_| {
        [2, 3]
            .map(|id| pulsewatch::domain::Incident {
                id,
                ..incident("a", 100 * id.cast_signed())
            })
            .to_vec()
    });
    let remembered = Remembered {
        incidents: &incidents,
        counts: &BTreeMap::from([(Entity::named("a"), 3)]),
        total: 8,
        last_change: 4,
    };
    journal.write_anew(&remembered).unwrap()
}

/// It takes changes, also from another connection, and goes on after a restart.
fn goes_on(data: &DataDir, mut journal: Journal, before: usize) {
    data.mark_journal();
    assert!(data.has_journal());
    assert_eq!(
        journal.insert(&incident("b", 400)).unwrap(),
        4,
        "no id is given twice"
    );
    let mut shell = open(&data.journal());
    shell.acknowledge(3).unwrap();
    drop(shell);
    assert!(journal.get(3).unwrap().unwrap().acknowledged);
    drop(journal);
    let again = open(&data.journal());
    let all = again.list(&IncidentFilter::default()).unwrap();
    assert_eq!(all.len(), before + 1);
    assert!(again.last_change().unwrap() > 4);
}

#[test]
fn a_journal_that_was_deleted_is_written_again_with_all_that_was_in_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data");
    let (data, mut journal) = filled(&path);
    fs::remove_dir_all(&path).unwrap();
    assert!(!data.has_journal());
    assert_eq!(data.check().unwrap(), Standing::MadeAnew);
    assert_eq!(data.check().unwrap(), Standing::Kept);
    assert!(DirLock::take(&path).is_err(), "it is owned");
    assert_eq!(rescue(&mut journal), Rescued::All);
    let all = journal.list(&IncidentFilter::default()).unwrap();
    assert_eq!(ids(&all), [3, 2, 1]);
    assert_eq!(all[1].label, Some(Label::False));
    assert_eq!(journal.checkpoint_get("live").unwrap().unwrap(), b"rows");
    assert_eq!(journal.total().unwrap(), 3);
    goes_on(&data, journal, 3);
}

#[test]
fn a_journal_that_was_replaced_by_another_file_is_written_again_and_the_file_set_aside() {
    let dir = tempfile::tempdir().unwrap();
    let (data, mut journal) = filled(dir.path());
    let other = dir.path().join("other");
    fs::write(&other, b"an older copy, say").unwrap();
    fs::rename(&other, data.journal()).unwrap();
    assert!(!data.has_journal());
    assert_eq!(data.check().unwrap(), Standing::Kept);
    assert_eq!(rescue(&mut journal), Rescued::All);
    let aside = dir.path().join("journal.sqlite.damaged-1");
    assert_eq!(fs::read(aside).unwrap(), b"an older copy, say");
    goes_on(&data, journal, 3);
}

#[test]
fn a_journal_that_was_overwritten_is_written_again_from_memory() {
    let dir = tempfile::tempdir().unwrap();
    let (data, mut journal) = filled(dir.path());
    fs::write(data.journal(), vec![0xA5; 20_000]).unwrap();
    // The log as well: nothing of it can be read.
    fs::write(dir.path().join("journal.sqlite-wal"), b"").unwrap();
    assert!(!data.has_journal());
    let rescued = rescue(&mut journal);
    let left = match rescued {
        Rescued::All => 3,
        Rescued::Remembered => 2,
    };
    let all = journal.list(&IncidentFilter::default()).unwrap();
    assert_eq!(all.len(), left, "{rescued:?}");
    assert!(dir.path().join("journal.sqlite.damaged-1").exists());
    if rescued == Rescued::Remembered {
        assert_eq!(journal.total().unwrap(), 8);
        assert_eq!(journal.counts().unwrap()[&Entity::named("a")], 3);
    }
    goes_on(&data, journal, left);
}

#[test]
fn a_directory_that_another_process_has_taken_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data");
    let (data, _journal) = filled(&path);
    assert_eq!(data.lost(), None);
    fs::remove_dir_all(&path).unwrap();
    let _other = DirLock::take(&path).unwrap();
    data.check().unwrap_err();
    assert!(
        data.clone()
            .lost()
            .unwrap()
            .contains("in use by another pulsewatch")
    );
}
