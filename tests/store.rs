//! The journal, the model registry and data sets, on a real disk: what survives, what is refused, what is set aside.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::float_cmp
)]

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use ndarray::Array2;
use proptest::prelude::*;
use pulsewatch::disk::{DiskError, Table, write_atomic};
use pulsewatch::domain::{
    Contribution, Decision, Entity, Feature, Frame, Gate, Grid, Incident, IncidentState, KeptScore,
    Label, Schema, Time, Unit, Why,
};
use pulsewatch::store::datasets::{self, Calendar};
use pulsewatch::store::{
    Batch, IncidentFilter, Journal, JournalError, ModelMeta, Registry, RegistryError,
};

#[path = "store/growth.rs"]
mod growth;
#[path = "store/rescue.rs"]
mod rescue;

fn incident(entity: &str, start: i64) -> Incident {
    Incident {
        id: 0,
        entity: Entity::named(entity),
        start: Time::from_secs(start),
        end: Time::from_secs(start + 120),
        peak: Time::from_secs(start + 60),
        peak_score: 3.5,
        peak_alarm: Some(1.5),
        state: IncidentState::Open,
        features: vec![Contribution {
            feature: Arc::from("cpu{mode=\"idle\"}"),
            share: 0.75,
            value: 97.5,
            expected: 40.0,
            lower: 30.0,
            upper: 50.0,
        }],
        why: Why {
            opening: vec![Gate {
                name: "threshold".into(),
                passed: true,
                detail: "score 1.20".into(),
            }],
            peak: Vec::new(),
        },
        acknowledged: false,
        label: None,
    }
}

fn open(path: &Path) -> Journal {
    let (journal, notice) = Journal::open(path).unwrap();
    assert_eq!(notice, None);
    journal
}

/// Writes what a tick changed.
fn tick(
    journal: &mut Journal,
    incidents: &[Incident],
    checkpoints: &[(&str, &[u8])],
) -> Result<Vec<u64>, JournalError> {
    journal.commit(&Batch {
        incidents,
        checkpoints,
        ..Batch::default()
    })
}

fn ids(incidents: &[Incident]) -> Vec<u64> {
    incidents.iter().map(|i| i.id).collect()
}

#[test]
fn incidents_come_back_as_they_were() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal.sqlite");
    let mut journal = open(&path);
    let mut first = incident("web-1", 1000);
    first.id = journal.insert(&first).unwrap();
    assert_eq!(first.id, 1);
    first.state = IncidentState::Closed;
    first.peak_score = 9.25;
    journal.update(&first).unwrap();
    drop(journal);
    assert_eq!(open(&path).get(1).unwrap(), Some(first));
    assert_eq!(open(&path).get(2).unwrap(), None);
}

/// The journal's first schema, as it was released.
const FIRST_SCHEMA: &str = "
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
    CREATE TABLE checkpoints (key TEXT PRIMARY KEY, value BLOB NOT NULL);
    CREATE TABLE cursors (consumer TEXT PRIMARY KEY, seq INTEGER NOT NULL);
    INSERT INTO sequence VALUES (9);
    INSERT INTO incidents VALUES
        (3, 'web', 1000, 2000, 1500, 3.5, 'vanished', '[{\"feature\":\"cpu\",\"share\":1.0,\"value\":null,\"expected\":40.0}]', 1, 'false', 8),
        (4, 'web', 5000, 6000, 5500, NULL, 'open', '[]', 0, NULL, 9);
    UPDATE sqlite_sequence SET seq = 12 WHERE name = 'incidents';
    INSERT INTO opened VALUES ('web', 12);
    INSERT INTO checkpoints VALUES ('live', X'7B7D');
    INSERT INTO cursors VALUES ('hook', 8);
    PRAGMA user_version = 1;
";

#[test]
fn a_journal_of_the_first_schema_is_read_and_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal.sqlite");
    let old = rusqlite::Connection::open(&path).unwrap();
    old.execute_batch(FIRST_SCHEMA).unwrap();
    drop(old);
    for _ in 0..2 {
        let journal = open(&path);
        let first = journal.get(3).unwrap().unwrap();
        assert_eq!(first.state, IncidentState::Vanished);
        assert_eq!(
            (first.acknowledged, first.label),
            (true, Some(Label::False))
        );
        let part = &first.features[0];
        assert_eq!((part.share, part.expected), (1.0, 40.0));
        assert!(part.value.is_nan() && part.lower.is_nan() && part.upper.is_nan());
        assert_eq!(first.why, Why::default());
        let seqs: Vec<u64> = journal
            .changes_since(0, 2)
            .unwrap()
            .iter()
            .map(|change| change.seq)
            .collect();
        assert_eq!(seqs, [8, 9]);
        assert_eq!(journal.counts().unwrap()[&Entity::named("web")], 12);
        assert_eq!(journal.total().unwrap(), 12);
        assert_eq!(journal.checkpoint_get("live").unwrap().unwrap(), b"{}");
        assert_eq!(journal.cursor("hook").unwrap(), 8);
        let open = journal.get(4).unwrap().unwrap();
        assert!(open.is_open() && open.peak_score.is_nan());
        assert_eq!((first.peak_alarm, open.peak_alarm), (None, None));
    }
    // A number that was given once is never given again, and the new state is taken.
    let mut journal = open(&path);
    let mut new = incident("web", 9000);
    new.state = IncidentState::Settled;
    new.id = journal.insert(&new).unwrap();
    assert_eq!(new.id, 13);
    assert_eq!(journal.get(13).unwrap(), Some(new));
}

#[test]
fn what_is_not_known_stays_unknown() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = open(&dir.path().join("j"));
    let mut unknown = incident("", 1000);
    unknown.peak_score = f64::NAN;
    unknown.features[0].value = f64::NAN;
    let id = journal.insert(&unknown).unwrap();
    let read = journal.get(id).unwrap().unwrap();
    assert!(read.peak_score.is_nan() && read.features[0].value.is_nan());
    assert_eq!(read.features[0].expected, 40.0);
    assert!(read.entity.is_sole());
}

#[test]
fn lists_open_first_then_newest() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = open(&dir.path().join("j"));
    for (entity, start, state) in [
        ("a", 100, IncidentState::Open),
        ("b", 300, IncidentState::Closed),
        ("a", 500, IncidentState::Closed),
        ("b", 200, IncidentState::Open),
        ("a", 400, IncidentState::Vanished),
    ] {
        let mut new = incident(entity, start);
        new.state = state;
        journal.insert(&new).unwrap();
    }
    let all = IncidentFilter::default();
    let only_open = IncidentFilter {
        open_only: true,
        ..all.clone()
    };
    let of_b = IncidentFilter {
        entity: Some(Entity::named("b")),
        ..all.clone()
    };
    let recent = IncidentFilter {
        since: Some(Time::from_secs(420)),
        ..all.clone()
    };
    let two = IncidentFilter {
        limit: 2,
        ..all.clone()
    };
    let none = IncidentFilter {
        limit: 0,
        ..all.clone()
    };
    for (filter, expected) in [
        (all, vec![4, 1, 3, 5, 2]),
        (only_open, vec![4, 1]),
        (of_b, vec![4, 2]),
        (recent, vec![3, 5, 2]),
        (two, vec![4, 1]),
        (none, vec![]),
    ] {
        assert_eq!(ids(&journal.list(&filter).unwrap()), expected, "{filter:?}");
    }
}

#[test]
fn operators_words_outlive_the_engines_updates() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("j");
    let (mut engine, mut shell) = (open(&path), open(&path));
    let mut running = incident("a", 100);
    running.id = engine.insert(&running).unwrap();
    shell.acknowledge(running.id).unwrap();
    shell.label(running.id, Some(Label::False)).unwrap();
    running.end = Time::from_secs(900);
    engine.update(&running).unwrap();
    let read = engine.get(running.id).unwrap().unwrap();
    assert_eq!(
        (read.acknowledged, read.label, read.end),
        (true, Some(Label::False), Time::from_secs(900))
    );
    shell.label(running.id, None).unwrap();
    assert_eq!(engine.get(running.id).unwrap().unwrap().label, None);
    for error in [
        shell.acknowledge(77).unwrap_err(),
        shell.label(77, None).unwrap_err(),
        engine.update(&Incident { id: 77, ..running }).unwrap_err(),
    ] {
        assert!(matches!(error, JournalError::NotFound { id: 77, .. }));
        assert!(error.to_string().contains("incident 77"), "{error}");
    }
}

#[test]
fn consumers_read_every_change_by_cursor() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("j");
    let mut journal = open(&path);
    let mut a = incident("a", 100);
    a.id = journal.insert(&a).unwrap();
    let b = journal.insert(&incident("b", 200)).unwrap();
    let numbers = |journal: &Journal, since| -> Vec<(u64, u64)> {
        let changes = journal.changes_since(since, 10).unwrap();
        changes.iter().map(|c| (c.seq, c.incident.id)).collect()
    };
    assert_eq!(numbers(&journal, 0), [(1, a.id), (2, b)]);
    assert_eq!(journal.changes_since(0, 1).unwrap().len(), 1);
    assert_eq!(journal.cursor("webhook").unwrap(), 0);
    journal.set_cursor("webhook", 2).unwrap();
    a.state = IncidentState::Closed;
    journal.update(&a).unwrap();
    journal.acknowledge(b).unwrap();
    drop(journal);

    let journal = open(&path);
    let seen = journal.cursor("webhook").unwrap();
    assert_eq!(numbers(&journal, seen), [(3, a.id), (4, b)]);
    let new = journal.changes_since(seen, 10).unwrap();
    assert!(!new[0].incident.is_open() && new[1].incident.acknowledged);
    assert_eq!(journal.cursor("another").unwrap(), 0);
}

#[test]
fn pruning_keeps_open_incidents_counts_and_numbers() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = open(&dir.path().join("j"));
    let mut old = incident("a", 100);
    old.state = IncidentState::Closed;
    for _ in 0..3 {
        journal.insert(&old).unwrap();
    }
    journal.insert(&incident("a", 100)).unwrap();
    journal.insert(&incident("b", 100)).unwrap();
    old.start = Time::from_secs(9000);
    old.end = Time::from_secs(9001);
    journal.insert(&old).unwrap();
    assert_eq!(journal.prune(Time::from_secs(5000)).unwrap(), 3);
    let left = journal.list(&IncidentFilter::default()).unwrap();
    assert_eq!(ids(&left), [5, 4, 6]);
    let counts = journal.counts().unwrap();
    assert_eq!(counts[&Entity::named("a")], 5);
    assert_eq!(counts[&Entity::named("b")], 1);
    assert_eq!(journal.prune(Time::from_secs(99_000)).unwrap(), 1);
    assert_eq!(journal.insert(&old).unwrap(), 7, "no id is given twice");
    assert_eq!(journal.changes_since(6, 9).unwrap()[0].seq, 7);
}

#[test]
fn a_tick_is_written_as_a_whole_or_not_at_all() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = open(&dir.path().join("j"));
    let known = journal.insert(&incident("a", 100)).unwrap();
    let changed = Incident {
        id: known,
        end: Time::from_secs(700),
        ..incident("a", 100)
    };
    let given = tick(
        &mut journal,
        &[incident("b", 600), changed.clone()],
        &[("live", b"thresholds"), ("test", &[0, 255])],
    );
    let given = given.unwrap();
    assert_eq!(given, [2, known]);
    assert_eq!(journal.get(known).unwrap(), Some(changed));
    let kept = |journal: &Journal, key| journal.checkpoint_get(key).unwrap();
    assert_eq!(kept(&journal, "live").unwrap(), b"thresholds");
    assert_eq!(kept(&journal, "test").unwrap(), [0, 255]);
    assert_eq!(kept(&journal, "other"), None);

    let unknown = Incident {
        id: 99,
        ..incident("c", 1)
    };
    let before = journal.changes_since(0, 99).unwrap();
    let half = [incident("c", 1), unknown];
    tick(&mut journal, &half, &[("live", b"half a tick")]).unwrap_err();
    assert_eq!(journal.changes_since(0, 99).unwrap(), before);
    assert_eq!(kept(&journal, "live").unwrap(), b"thresholds");
    assert_eq!(journal.counts().unwrap().len(), 2);
    journal.checkpoint_put("live", b"new").unwrap();
    assert_eq!(kept(&journal, "live").unwrap(), b"new");
}

/// Set for the process that [`a_killed_writer_loses_nothing`] starts.
const CHILD: &str = "PULSEWATCH_TEST_JOURNAL";

#[test]
fn a_killed_writer_loses_nothing() {
    if let Some(path) = std::env::var_os(CHILD) {
        let mut journal = open(Path::new(&path));
        for number in 0..3_u8 {
            let new = [incident("a", i64::from(number))];
            tick(&mut journal, &new, &[("tick", &[number])]).unwrap();
        }
        std::process::abort();
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal.sqlite");
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_killed_writer_loses_nothing"])
        .env(CHILD, &path)
        .output()
        .unwrap();
    assert!(!child.status.success());
    let log = std::fs::metadata(dir.path().join("journal.sqlite-wal")).unwrap();
    assert!(log.len() > 0, "the child ended before it could tidy up");
    let journal = open(&path);
    assert_eq!(journal.checkpoint_get("tick").unwrap().unwrap(), [2]);
    let all = journal.list(&IncidentFilter::default()).unwrap();
    assert_eq!(ids(&all), [3, 2, 1]);
}

#[test]
fn a_log_that_lost_its_end_loses_only_the_last_tick() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("j");
    let mut journal = open(&path);
    for number in 0..5_u8 {
        let new = [incident("a", i64::from(number))];
        tick(&mut journal, &new, &[("tick", &[number])]).unwrap();
    }
    // What a power cut leaves: the files as they are now, the log's end missing.
    let copy = dir.path().join("copy");
    std::fs::copy(&path, &copy).unwrap();
    let log = std::fs::read(dir.path().join("j-wal")).unwrap();
    std::fs::write(dir.path().join("copy-wal"), &log[..log.len() - 100]).unwrap();
    let copy = open(&copy);
    assert_eq!(copy.checkpoint_get("tick").unwrap().unwrap(), [3]);
    let left = copy.list(&IncidentFilter::default()).unwrap();
    assert_eq!(ids(&left), [4, 3, 2, 1]);
}

#[test]
fn a_damaged_journal_is_set_aside_and_said_so() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal.sqlite");
    drop(open(&path));
    std::fs::write(&path, b"not a journal at all, only some line of text").unwrap();
    let (mut journal, notice) = Journal::open(&path).unwrap();
    let notice = notice.unwrap();
    assert!(notice.contains("journal.sqlite.damaged-1"), "{notice}");
    assert_eq!(journal.insert(&incident("a", 1)).unwrap(), 1);
    drop(journal);
    std::fs::write(&path, b"").unwrap();
    let (journal, notice) = Journal::open(&path).unwrap();
    let notice = notice.unwrap();
    assert!(
        notice.contains("journal.sqlite was an empty file") && notice.contains("are lost"),
        "{notice}"
    );
    assert!(journal.list(&IncidentFilter::default()).unwrap().is_empty());
}

#[test]
fn a_journal_of_a_later_release_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal.sqlite");
    open(&path).insert(&incident("a", 1)).unwrap();
    let raw = rusqlite::Connection::open(&path).unwrap();
    let version: i64 = raw
        .query_row("PRAGMA user_version", [], |row| row.get(0))
        .unwrap();
    raw.pragma_update(None, "user_version", 99).unwrap();
    let said = Journal::open(&path).unwrap_err().to_string();
    assert!(said.contains("newer") && said.contains("99"), "{said}");
    raw.pragma_update(None, "user_version", version).unwrap();
    assert!(open(&path).get(1).unwrap().is_some(), "nothing was lost");
}

#[test]
fn a_reader_makes_nothing_and_sets_nothing_aside() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal.sqlite");
    let there = || std::fs::read_dir(dir.path()).unwrap().count();
    assert!(Journal::open_to_read(&path).is_err());
    assert_eq!(there(), 0, "none is made");
    open(&path).insert(&incident("a", 1)).unwrap();
    let raw = rusqlite::Connection::open(&path).unwrap();
    for (version, words) in [(99, "newer"), (1, "older")] {
        let before: i64 = raw
            .query_row("PRAGMA user_version", [], |row| row.get(0))
            .unwrap();
        raw.pragma_update(None, "user_version", version).unwrap();
        let said = Journal::open_to_read(&path).unwrap_err().to_string();
        assert!(said.contains(words), "{said}");
        raw.pragma_update(None, "user_version", before).unwrap();
    }
    drop(raw);
    let damaged = b"not a journal at all, only some line of text";
    std::fs::write(&path, damaged).unwrap();
    let said = Journal::open_to_read(&path)
        .and_then(|journal| journal.get(1))
        .unwrap_err();
    assert!(said.to_string().contains("journal.sqlite"), "{said}");
    assert_eq!(std::fs::read(&path).unwrap(), damaged);
    assert_eq!(there(), 1, "nothing was set aside");
}

#[test]
fn a_reader_sees_one_moment_and_holds_up_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal.sqlite");
    let mut journal = open(&path);
    journal.insert(&incident("a", 1)).unwrap();
    let mut reader = Journal::open_to_read(&path).unwrap();
    assert_eq!(reader.last_change().unwrap(), 1);
    journal.label(1, Some(Label::False)).unwrap();
    journal.insert(&incident("b", 9)).unwrap();
    assert!(reader.labelled().unwrap().is_empty());
    assert_eq!(reader.get(2).unwrap(), None);
    assert!(reader.insert(&incident("c", 1)).is_err());
    assert!(reader.set_cursor("someone", 1).is_err());
    let later = Journal::open_to_read(&path).unwrap();
    assert_eq!(later.labelled().unwrap().len(), 1);
    assert!(later.get(2).unwrap().is_some());
}

#[test]
fn a_row_that_makes_no_sense_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("j");
    let mut journal = open(&path);
    journal.insert(&incident("a", 1)).unwrap();
    let raw = rusqlite::Connection::open(&path).unwrap();
    raw.execute("UPDATE incidents SET features = 'oops'", [])
        .unwrap();
    let said = journal.get(1).unwrap_err().to_string();
    assert!(said.contains("incident 1"), "{said}");
}

fn meta(trained_at: i64, end: i64) -> ModelMeta {
    ModelMeta {
        version: String::new(),
        trained_at: Time::from_secs(trained_at),
        training_took_ms: 8500,
        trained_on: (Time::from_secs(end - 86_400), Time::from_secs(end)),
        windows: 1600,
        epochs: 21,
        val_loss: f64::NAN,
        threshold_mse: 0.0025,
        threshold_rule: "auto".into(),
        features: vec!["cpu".into(), "memory".into()],
        entities: 1,
        decision: None,
    }
}

fn versions(registry: &Registry) -> Vec<(String, bool)> {
    let listed = registry.list().unwrap();
    listed
        .into_iter()
        .map(|m| (m.meta.version, m.current))
        .collect()
}

#[test]
fn models_are_kept_by_version() {
    let dir = tempfile::tempdir().unwrap();
    let models = dir.path().join("models");
    let registry = Registry::open(&models);
    assert!(registry.current().unwrap().is_none() && registry.list().unwrap().is_empty());
    let made = meta(10, 1_700_000_000);
    let first = registry.add(b"weights one", &made, &[], 5).unwrap();
    assert!(first.starts_with("20231114T221320Z-"), "{first}");
    assert_eq!(first.len(), 25);
    assert_eq!(registry.add(b"weights one", &made, &[], 5).unwrap(), first);
    let later = meta(20, 1_700_000_000);
    let second = registry.add(b"weights two", &later, &[], 5).unwrap();
    let (version, bytes, read) = registry.current().unwrap().unwrap();
    assert_eq!((&version, bytes.as_slice()), (&second, &b"weights two"[..]));
    assert!(read.val_loss.is_nan());
    assert_eq!((read.threshold_mse, &read.version), (0.0025, &second));
    assert_eq!(
        versions(&registry),
        [(second.clone(), true), (first.clone(), false)]
    );
    assert!(models.join(&first).join("bundle.safetensors").exists());
}

#[test]
fn another_version_can_be_chosen() {
    let dir = tempfile::tempdir().unwrap();
    let registry = Registry::open(dir.path());
    let first = registry
        .add(b"weights one", &meta(10, 1000), &[], 5)
        .unwrap();
    let second = registry
        .add(b"weights two", &meta(20, 2000), &[], 5)
        .unwrap();
    registry.use_version(&first).unwrap();
    assert_eq!(registry.current().unwrap().unwrap().0, first);
    let error = registry.rollback().unwrap_err();
    assert!(matches!(error, RegistryError::NoneBefore { .. }), "{error}");
    registry.use_version(&second).unwrap();
    assert_eq!(registry.rollback().unwrap(), first);
    for wrong in ["20990101T000000Z-00000000", "../../etc", ""] {
        let error = registry.use_version(wrong).unwrap_err();
        assert!(matches!(error, RegistryError::NotFound { .. }), "{error}");
    }
}

#[test]
fn pruning_never_takes_the_current_model() {
    let dir = tempfile::tempdir().unwrap();
    let registry = Registry::open(dir.path());
    // The oldest training is stored last: a clock that stepped back.
    for trained_at in [30, 20, 10] {
        let bytes = format!("weights {trained_at}");
        registry
            .add(
                bytes.as_bytes(),
                &meta(trained_at, trained_at * 1000),
                &[],
                2,
            )
            .unwrap();
    }
    let left = versions(&registry);
    assert_eq!(left.len(), 3);
    assert_eq!(left.iter().position(|v| v.1), Some(2));
    registry
        .add(b"weights 40", &meta(40, 40_000), &[], 0)
        .unwrap();
    assert_eq!(versions(&registry).len(), 1);
}

#[test]
fn what_a_killed_process_left_of_a_model_goes_with_the_next_one() {
    let dir = tempfile::tempdir().unwrap();
    let registry = Registry::open(dir.path());
    let first = registry.add(b"one", &meta(1, 10), &[], 5).unwrap();
    let unfinished = dir.path().join("20200101T000000Z-0a1b2c3d");
    write_atomic(&unfinished.join("bundle.safetensors"), b"half").unwrap();
    let aside = dir.path().join(format!("{first}.damaged-1"));
    write_atomic(&aside.join("bundle.safetensors"), b"damaged").unwrap();
    registry.add(b"two", &meta(2, 20), &[], 5).unwrap();
    assert!(!unfinished.exists() && aside.exists());
    assert_eq!(versions(&registry).len(), 2);
}

#[test]
fn a_refused_model_is_kept_and_never_scores_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    let registry = Registry::open(dir.path());
    let refused = |trained_at: i64| ModelMeta {
        decision: Some(Decision {
            promoted: false,
            reason: "it is worse".into(),
            comparison: None,
        }),
        ..meta(trained_at, trained_at * 100)
    };
    let first = registry
        .add(b"one", &meta(10, 1000), &[0.5, 0.25], 2)
        .unwrap();
    for trained_at in [20, 30, 40] {
        let bytes = format!("weights {trained_at}");
        registry
            .add(bytes.as_bytes(), &refused(trained_at), &[], 2)
            .unwrap();
    }
    let last = registry.add(b"last", &meta(50, 5000), &[], 2).unwrap();
    let worse = registry.add(b"worse", &refused(60), &[], 2).unwrap();
    assert_eq!(registry.current().unwrap().unwrap().0, last);
    // Two that scored, two that were refused.
    let listed = registry.list().unwrap();
    assert_eq!(listed.iter().filter(|m| m.meta.was_refused()).count(), 2);
    assert_eq!(listed.len(), 4);
    assert_eq!(registry.held_back(&first), [0.5, 0.25]);
    assert!(registry.held_back("none").is_empty());
    assert_eq!(registry.rollback().unwrap(), first);
    registry.use_version(&worse).unwrap();
    assert_eq!(registry.set_aside(&worse).unwrap(), Some(last));
}

#[test]
fn rows_near_the_threshold_are_kept_by_entity_and_time() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, _) = Journal::open(&dir.path().join("journal.sqlite")).unwrap();
    let row = |entity: &str, secs: i64, score: f64| KeptScore {
        entity: Entity::named(entity),
        time: Time::from_secs(secs),
        score,
        passed: secs != 30,
    };
    let rows = [row("a", 10, 1.5), row("b", 20, 0.9), row("a", 30, 2.0)];
    journal.keep_scores(&rows).unwrap();
    journal.keep_scores(&[row("a", 30, 2.5)]).unwrap();
    let of = |from: i64, to: i64, entity: Option<&Entity>| {
        journal
            .scores(entity, Time::from_secs(from), Time::from_secs(to))
            .unwrap()
    };
    assert_eq!(of(0, 100, None).len(), 3);
    let found = of(20, 30, Some(&Entity::named("a")));
    assert_eq!(found, [row("a", 30, 2.5)]);
    journal.prune_scores(Time::from_secs(15)).unwrap();
    let all = journal
        .scores(None, Time::from_secs(0), Time::from_secs(100))
        .unwrap();
    assert_eq!(all.len(), 2);
}

#[test]
fn a_damaged_model_is_reported_and_the_one_before_it_used() {
    let dir = tempfile::tempdir().unwrap();
    let registry = Registry::open(dir.path());
    let first = registry
        .add(b"weights one", &meta(10, 1000), &[], 5)
        .unwrap();
    let second = registry
        .add(b"weights two", &meta(20, 2000), &[], 5)
        .unwrap();
    let bundle = dir.path().join(&second).join("bundle.safetensors");
    std::fs::write(&bundle, b"weights").unwrap();
    let error = registry.current().unwrap_err();
    assert!(matches!(&error, RegistryError::Damaged { version, .. } if *version == second));
    assert!(error.to_string().contains("bundle.safetensors"), "{error}");
    assert_eq!(registry.set_aside(&second).unwrap(), Some(first.clone()));
    assert_eq!(registry.current().unwrap().unwrap().1, b"weights one");
    assert!(dir.path().join(format!("{second}.damaged-1")).exists());

    std::fs::write(dir.path().join(&first).join("meta.json"), b"{").unwrap();
    let error = registry.current().unwrap_err().to_string();
    assert!(error.contains("meta.json"), "{error}");
    assert_eq!(registry.set_aside(&first).unwrap(), None);
    assert!(registry.current().unwrap().is_none());

    write_atomic(&dir.path().join("current"), b"../elsewhere").unwrap();
    let error = registry.current().unwrap_err();
    assert!(matches!(&error, RegistryError::Damaged { version, .. } if version == "../elsewhere"));
    assert_eq!(registry.set_aside("../elsewhere").unwrap(), None);
}

fn frame(entity: &str, schema: &Schema, start: i64, values: &[f64]) -> Frame {
    let rows = values.len() / schema.len();
    let grid = Grid::new(Time::from_secs(start), Duration::from_secs(60), rows);
    let values = Array2::from_shape_vec((rows, schema.len()), values.to_vec()).unwrap();
    Frame::new(Entity::named(entity), Arc::clone(schema), grid, values).unwrap()
}

fn schema() -> Schema {
    let mut memory = Feature::plain("memory{device=\"a b\"}");
    memory.unit = Unit::Bytes;
    memory.limit = Some(1e9);
    Schema::from([Feature::plain("cpu"), memory])
}

fn same(a: &[Frame], b: &[Frame]) {
    assert_eq!(a.len(), b.len());
    for (a, b) in a.iter().zip(b) {
        assert_eq!(
            (a.entity(), a.schema(), a.grid()),
            (b.entity(), b.schema(), b.grid())
        );
        for (x, y) in a.values().iter().zip(b.values()) {
            assert!(x == y || (x.is_nan() && y.is_nan()), "{x} {y}");
        }
    }
}

#[test]
fn one_entity_is_a_plain_table_with_calendar_columns() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("raw.parquet");
    let frames = [frame("", &schema(), 600, &[1.0, 2.0, f64::NAN, 4.0])];
    let calendar = Calendar {
        day_of_week: vec![3.0, 3.0],
        hour_of_day: vec![0.0, 0.0],
    };
    datasets::save_frames(&path, &frames, Some(&calendar)).unwrap();
    let table = Table::load(&path).unwrap();
    let names: Vec<&str> = table.columns.iter().map(|(n, _)| n.as_str()).collect();
    let expected = [
        "cpu",
        "memory{device=\"a b\"}",
        "day_of_week",
        "hour_of_day",
    ];
    assert_eq!(names, expected);
    assert_eq!(table.times, [600_000, 660_000]);
    same(&datasets::load_frames(&path).unwrap(), &frames);
}

#[test]
fn several_entities_and_periods_come_back_apart() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("raw.parquet");
    let s = schema();
    let frames = [
        frame("web-1", &s, 0, &[1.0, 2.0, 3.0, 4.0]),
        frame("web-1", &s, 60, &[5.0, 6.0]),
        frame("web-2", &s, 0, &[]),
        frame("web-2", &s, 0, &[7.0, f64::NAN]),
    ];
    datasets::save_frames(&path, &frames, None).unwrap();
    let table = Table::load(&path).unwrap();
    assert_eq!(table.columns[0].0, "entity");
    assert_eq!(table.columns[0].1, [0.0, 0.0, 0.0, 1.0]);
    same(&datasets::load_frames(&path).unwrap(), &frames);
    datasets::save_frames(&path, &[], None).unwrap();
    assert!(datasets::load_frames(&path).unwrap().is_empty());
}

#[test]
fn frames_that_do_not_fit_together_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("raw.parquet");
    let refusal = |frames: &[Frame], calendar: Option<&Calendar>| {
        let error = datasets::save_frames(&path, frames, calendar).unwrap_err();
        error.to_string()
    };
    let other = Schema::from([Feature::plain("disk")]);
    let frames = [
        frame("a", &schema(), 0, &[1.0, 2.0]),
        frame("b", &other, 0, &[1.0]),
    ];
    let said = refusal(&frames, None);
    assert!(
        said.contains("`b`") && said.contains("raw.parquet"),
        "{said}"
    );
    let taken = Schema::from([Feature::plain("hour_of_day")]);
    let said = refusal(&[frame("", &taken, 0, &[1.0])], None);
    assert!(said.contains("rename"), "{said}");
    let short = Calendar {
        day_of_week: vec![],
        hour_of_day: vec![1.0],
    };
    let said = refusal(&frames[..1], Some(&short));
    assert!(said.contains("day_of_week"), "{said}");
    assert!(!path.exists());
}

#[test]
fn changed_rows_are_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("raw.parquet");
    let frames = [frame("", &schema(), 0, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0])];
    datasets::save_frames(&path, &frames, None).unwrap();
    let whole = Table::load(&path).unwrap();

    let mut fewer = whole.clone();
    fewer.times.remove(1);
    for (_, values) in &mut fewer.columns {
        values.remove(1);
    }
    fewer.save(&path).unwrap();
    let said = datasets::load_frames(&path).unwrap_err().to_string();
    assert!(said.contains("footer"), "{said}");
    fewer.metadata.clear();
    fewer.save(&path).unwrap();
    let plain = datasets::load_frames(&path).unwrap();
    assert_eq!((plain.len(), plain[0].grid().len()), (1, 2));

    let mut without = whole;
    without.columns.pop();
    without.save(&path).unwrap();
    let said = datasets::load_frames(&path).unwrap_err().to_string();
    assert!(said.contains("memory"), "{said}");
}

#[test]
fn tables_of_other_programs_become_frames() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("other.parquet");
    // Unsorted, one row missing, one twice (the later one counts), one infinite, one long pause.
    let times = [180, 0, 60, 240, 60, 1_000_000, 1_000_060];
    let load = vec![3.0, 0.0, 1.0, f64::INFINITY, 1.5, 9.0, 9.5];
    let table = Table {
        times: times.iter().map(|s| s * 1000 + 7).collect(),
        columns: vec![("hour_of_day".into(), vec![0.0; 7]), ("load".into(), load)],
        ..Table::default()
    };
    table.save(&path).unwrap();
    let frames = datasets::load_frames(&path).unwrap();
    assert_eq!(frames.len(), 2);
    assert_eq!(frames[0].schema()[..], [Feature::plain("load")]);
    assert_eq!(frames[0].grid().start(), Time::from_millis(7));
    assert_eq!(frames[0].grid().step(), Duration::from_secs(60));
    let values: Vec<f64> = frames[0].values().iter().copied().collect();
    assert_eq!(values[..2], [0.0, 1.5]);
    assert!(values[2].is_nan() && values[3] == 3.0 && values[4].is_nan());
    assert_eq!(frames[1].values().len(), 2);

    let times_only = Table {
        times: vec![0, 1],
        ..Table::default()
    };
    times_only.save(&path).unwrap();
    let said = datasets::load_frames(&path).unwrap_err().to_string();
    assert!(said.contains("no column of values"), "{said}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_plain_table_loads_within_bounds(times in prop::collection::vec(any::<i64>(), 0..40)) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.parquet");
        let rows = times.len();
        let table = Table { columns: vec![("v".into(), vec![1.0; rows])], times, ..Table::default() };
        table.save(&path).unwrap();
        let frames = datasets::load_frames(&path).unwrap();
        let loaded: usize = frames.iter().map(|f| f.grid().len()).sum();
        prop_assert!(loaded <= 101 * rows);
    }
}

#[test]
fn json_round_trips_and_names_its_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("scaler.json");
    datasets::save_json(&path, &vec![1.5, 2.0]).unwrap();
    let read: Vec<f64> = datasets::load_json(&path).unwrap();
    assert_eq!(read, [1.5, 2.0]);
    let error = datasets::load_json::<String>(&path).unwrap_err();
    assert!(error.to_string().contains("scaler.json"), "{error}");
}

/// A file system of 256 KiB, unmounted when dropped.
#[cfg(target_os = "linux")]
struct TinyDisk(tempfile::TempDir);

#[cfg(target_os = "linux")]
impl TinyDisk {
    /// `None` where mounting is not allowed.
    fn mount() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=256k", "tmpfs"])
            .arg(dir.path())
            .output()
            .is_ok_and(|out| out.status.success());
        mounted.then_some(Self(dir))
    }
}

#[cfg(target_os = "linux")]
impl Drop for TinyDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).output();
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_said_so_and_spares_what_was_there() {
    let Some(disk) = TinyDisk::mount() else {
        println!("skipped: this user can't mount a small file system");
        return;
    };
    let path = disk.0.path().join("raw.parquet");
    write_atomic(&path, b"the old file").unwrap();
    let error = write_atomic(&path, &vec![1; 1 << 20]).unwrap_err();
    assert!(matches!(error, DiskError::Full { .. }), "{error}");
    assert!(error.to_string().contains("raw.parquet"), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), b"the old file");
    let files = std::fs::read_dir(disk.0.path()).unwrap().count();
    assert_eq!(files, 1, "the half-written file is gone");

    let mut journal = open(&disk.0.path().join("journal.sqlite"));
    let mut stored = 0;
    let error = loop {
        match tick(&mut journal, &[incident("a", 1)], &[("tick", &[7; 4000])]) {
            Ok(_) => stored += 1,
            Err(error) => break error,
        }
        assert!(stored < 10_000, "the disk never filled up");
    };
    assert!(error.to_string().contains("disk is full"), "{error}");
    let everything = IncidentFilter {
        limit: 10_000,
        ..IncidentFilter::default()
    };
    assert_eq!(journal.list(&everything).unwrap().len(), stored);
}
