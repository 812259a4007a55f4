//! Entities that come and go for months: what is kept of them stays small, in memory and on disk.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use ndarray::Array2;
use pulsewatch::config::{Config, Span, Threshold};
use pulsewatch::domain::{Entity, Feature, Frame, Grid, HealthBoard, Label, Schema, Time, Verdict};
use pulsewatch::engine::keeping::{Keeping, Told};
use pulsewatch::engine::learn::{self, Learned};
use pulsewatch::engine::ledger::Ledger;
use pulsewatch::engine::pipeline::Pipeline;
use pulsewatch::engine::scorer::Scorer;
use pulsewatch::engine::training::Training;
use pulsewatch::store::{DataDir, IncidentFilter, Journal, JournalError};

use crate::common::driver::Driver;
use crate::common::fake::Fake;
use crate::fixture::{self, exported, is_up, wave};

/// Seconds between rows.
const STEP: i64 = 1800;
const BEGIN: i64 = 1_780_000_200;
/// Pods at a time.
const AT_ONCE: usize = 20;
/// Rows that a pod lives for.
const LIVES: i64 = 10;
/// Rows that come at once.
const ROWS: i64 = 5;

fn settings() -> Config {
    let mut config = Config::default();
    fixture::small(&mut config);
    config.source.step = Span::secs(STEP as u64);
    config.entities.group_by = vec!["pod".into()];
    config.autoencoder.window = 4;
    config.preprocess.max_gap = 1;
    config.ui.max_points = 30;
    config.journal.retention = Span::secs(14 * 86_400);
    config.detect.threshold = Threshold::Fixed(5.0);
    config
}

fn at(row: i64) -> Time {
    Time::from_secs(BEGIN + row * STEP)
}

fn schema() -> Schema {
    Schema::from([Feature::plain("cpu"), Feature::plain("load")])
}

/// Rows `from..to` of a pod, which jumps at rows in `spike`.
fn frame(pod: &str, (from, to): (i64, i64), spike: std::ops::Range<i64>) -> Frame {
    let step = Duration::from_secs(STEP as u64);
    let rows = (to - from) as usize;
    let values = Array2::from_shape_fn((rows, 2), |(row, column)| {
        let row = from + row as i64;
        let more = if spike.contains(&row) { 2000.0 } else { 0.0 };
        wave(row * fixture::STEP, column as f64) + more
    });
    Frame::new(
        Entity::named(pod),
        schema(),
        Grid::new(at(from), step, rows),
        values,
    )
    .unwrap()
}

fn learned(config: &Config) -> Learned {
    let frames = (0..3)
        .map(|pod| frame(&format!("old-{pod}"), (-300, 0), 0..0))
        .collect();
    let (never, mut progress) = (AtomicBool::new(false), |_| {});
    learn::learn(frames, config, &mut Training::new(&never, &mut progress)).unwrap()
}

/// A pipeline over the journal in `dir`.
fn pipeline(config: &Arc<Config>, dir: &Path, learned: &Learned) -> Pipeline {
    let (mut journal, _) = Journal::open(&DataDir::at(dir).journal()).unwrap();
    journal.wait_at_most(Duration::ZERO).unwrap();
    let ledger = Ledger::new(Some(journal)).unwrap();
    let mut pipeline = Pipeline::new(Arc::clone(config), ledger).unwrap();
    let scorer = Scorer::new(learned.bundle.clone(), Arc::clone(config)).unwrap();
    pipeline.adopt(Arc::new(scorer));
    pipeline.know("one", &learned.held_back).unwrap();
    pipeline
}

/// Writes what is to be kept, and waits for the checkpoint that is written beside the engine.
async fn write(keeper: &mut Keeping, pipeline: &mut Pipeline, now: Time) -> Option<Told> {
    let told = keeper.write(pipeline, now);
    if !keeper.is_writing() {
        return told;
    }
    assert_eq!(told, None);
    assert_eq!(
        keeper.write(pipeline, now),
        None,
        "nothing is written meanwhile"
    );
    let ended = keeper.checkpoint().await;
    keeper.checkpoint_ended(pipeline, ended, now)
}

fn bytes(dir: &Path) -> u64 {
    let files = fs::read_dir(dir).unwrap();
    files
        .map(|file| file.unwrap().metadata().unwrap().len())
        .sum()
}

/// What is kept, by number.
#[derive(Debug)]
struct Kept {
    incidents: u64,
    counted: usize,
    entities: usize,
    checkpoints: usize,
    bytes: u64,
}

fn kept(pipeline: &Pipeline, dir: &Path) -> Kept {
    let (_, _, counts) = pipeline.ledger().counts();
    let journal = pipeline.ledger().journal().unwrap();
    let drift = journal.checkpoint_get("drift").unwrap().unwrap_or_default();
    assert!(drift.len() < 1000, "{} bytes of drift tests", drift.len());
    assert!(pipeline.ledger().shown().len() <= 200);
    Kept {
        incidents: journal
            .list(&IncidentFilter {
                limit: usize::MAX,
                ..IncidentFilter::default()
            })
            .unwrap()
            .len() as u64,
        counted: counts.len(),
        entities: pipeline.entities().count(),
        checkpoints: journal.entity_checkpoints().unwrap().len(),
        bytes: bytes(dir),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn months_of_pods_that_come_and_go_leave_little_behind() {
    let dir = tempfile::tempdir().unwrap();
    let config = Arc::new(settings());
    let model = learned(&config);
    let keeping = || Keeping::new(DataDir::at(dir.path()), HealthBoard::default());
    let (mut running, mut keeper) = (pipeline(&config, dir.path(), &model), keeping());
    let (mut total, mut halfway) = (0, None);
    for batch in 0..500_i64 {
        for half in 0..2 {
            let from = batch * LIVES + half * ROWS;
            let spike = from + 2..from + 4;
            let frames: Vec<Frame> = (0..AT_ONCE)
                .map(|pod| {
                    let spike = if half == 1 { spike.clone() } else { 0..0 };
                    frame(&format!("pod-{batch}-{pod}"), (from, from + ROWS), spike)
                })
                .collect();
            running.ingest(&frames, at(from + ROWS - 1));
            running.judge().unwrap();
            let now = at(from + ROWS);
            assert_eq!(write(&mut keeper, &mut running, now).await, None);
            assert!(keeper.tick(&mut running, at(from + ROWS)).is_empty());
            let now = running.ledger().counts().0;
            assert!(now >= total, "the total fell from {total} to {now}");
            total = now;
        }
        if batch == 249 {
            halfway = Some(kept(&running, dir.path()));
            // A restart in the middle keeps no more and counts on.
            drop(running);
            (running, keeper) = (pipeline(&config, dir.path(), &model), keeping());
            assert_eq!(running.ledger().counts().0, total);
        }
    }
    let (halfway, end) = (halfway.unwrap(), kept(&running, dir.path()));
    assert!(total > 9_900, "{total} incidents");
    for kept in [&halfway, &end] {
        assert!(kept.counted <= 1000 + 3 * AT_ONCE, "{kept:?}");
        assert!(
            kept.entities <= 3 * AT_ONCE && kept.checkpoints <= 3 * AT_ONCE,
            "{kept:?}"
        );
        // Two weeks of them.
        assert!(kept.incidents <= 1500, "{kept:?}");
    }
    assert!(
        end.bytes <= halfway.bytes + halfway.bytes / 10,
        "{halfway:?} {end:?}"
    );
    drop(running);

    // The exporter as well: an engine that goes on with this journal.
    let fake = Fake::start().await;
    fake.change(|world| {
        world.until = i64::MAX;
        world.add("cpu", &[("pod", "new")], |t| Some(wave(t, 0.0)));
    });
    let mut engine = fixture::config(&fake.url(), &["cpu"]);
    engine.entities.group_by = vec!["pod".into()];
    let mut driver = Driver::open(&engine, dir.path(), at(500 * LIVES));
    driver.until("up", is_up).await;
    let page = exported(&driver).await;
    let lines = page
        .lines()
        .filter(|line| line.contains("incidents_total{"));
    assert!(lines.count() <= 1001 + 3 * AT_ONCE, "{page}");
    assert_eq!(driver.snapshot().live.counters.incidents_total, total);
    driver.stop().await;
}

/// The verdicts on `rows` of pods, `most` rows at a time.
fn verdicts(config: &Arc<Config>, model: &Learned, most: usize, rows: i64) -> Vec<Verdict> {
    let dir = tempfile::tempdir().unwrap();
    let mut pipeline = pipeline(config, dir.path(), model);
    let mut all = Vec::new();
    for row in 0..rows {
        // One comes later, with a name before those of the others.
        let pods = (0..7).filter(|pod| *pod > 0 || row >= 9);
        let frames: Vec<Frame> = pods
            .map(|pod| frame(&format!("old-{pod}"), (row, row + 1), 12..14))
            .collect();
        pipeline.ingest(&frames, at(row));
        loop {
            let judged = pipeline.judge_some(most).unwrap();
            assert!(judged.verdicts.len() <= most);
            all.extend(judged.verdicts);
            if !judged.is_more {
                break;
            }
        }
        assert_eq!(pipeline.judged(), Some(at(row)));
    }
    all
}

#[test]
fn a_grid_time_of_many_entities_is_judged_in_parts() {
    let config = Arc::new(settings());
    let model = learned(&config);
    let of = |most| -> Vec<(Time, Entity, Option<f64>, bool)> {
        let verdicts = verdicts(&config, &model, most, 20).into_iter();
        verdicts
            .map(|v| (v.time, v.entity, v.score, v.is_anomaly))
            .collect()
    };
    let (whole, parts) = (of(usize::MAX), of(3));
    assert_eq!(whole, parts);
    assert_eq!(whole.len(), 7 * 20 - 9);
    assert!(whole.iter().any(|(.., is_anomaly)| *is_anomaly));
}

/// Rows of an entity that the model has not learned from, `lift` higher than those that it has, with a jump at row 60: the
/// first alarm, and whether its own rows stopped one.
fn newcomer(lift: f64) -> (Option<i64>, bool) {
    let mut config = settings();
    config.detect.threshold = Threshold::Auto;
    let config = Arc::new(config);
    let dir = tempfile::tempdir().unwrap();
    let mut pipeline = pipeline(&config, dir.path(), &learned(&config));
    let (mut alarm, mut is_stopped) = (None, false);
    for row in 0..80 {
        let own = frame("new", (row, row + 1), 60..99);
        let values = own.values().mapv(|value| value + lift);
        let own = Frame::new(own.entity().clone(), schema(), *own.grid(), values).unwrap();
        pipeline.ingest(&[own], at(row));
        for verdict in pipeline.judge().unwrap() {
            let mut gates = verdict.gates.iter();
            is_stopped |= gates.any(|gate| gate.name == "new_entity" && !gate.passed);
            alarm = alarm.or(verdict.is_anomaly.then_some(row));
        }
    }
    assert_eq!(pipeline.unlearned(), None, "too few windows to learn from");
    (alarm, is_stopped)
}

#[test]
fn an_entity_that_the_model_has_not_learned_from_is_measured_by_its_own_rows_too() {
    // Another level than all that was learned is no alarm, whatever the model makes of it; five rows of the jump from there are.
    assert_eq!(newcomer(60.0), (Some(64), true));
    // So they are of one that is like the others.
    assert_eq!(newcomer(0.0).0, Some(64));
}

/// A pipeline with an open incident of pod `a`, in the journal with id 1.
fn alarmed(dir: &Path) -> Pipeline {
    let mut config = settings();
    // One that labels move.
    config.detect.threshold = Threshold::Sigma(8.0);
    let config = Arc::new(config);
    let mut pipeline = pipeline(&config, dir, &learned(&config));
    for row in 0..LIVES {
        let frames = [frame("a", (row, row + 1), 8..99)];
        pipeline.ingest(&frames, at(row));
        pipeline.judge().unwrap();
    }
    pipeline.commit().unwrap();
    let shown = pipeline.ledger().shown();
    assert!(
        shown.len() == 1 && shown[0].is_open() && shown[0].id == 1,
        "{shown:?}"
    );
    pipeline
}

/// Makes what the journal says of an incident unreadable, without a change that anybody is told of.
fn spoil(dir: &Path) {
    let other = rusqlite::Connection::open(DataDir::at(dir).journal()).unwrap();
    other
        .execute("UPDATE incidents SET features = 'no JSON'", [])
        .unwrap();
}

#[test]
fn labels_are_read_again_only_when_they_have_changed() {
    let dir = tempfile::tempdir().unwrap();
    let mut pipeline = alarmed(dir.path());
    assert!(pipeline.label(1, Some(Label::False)).unwrap());
    assert_eq!(pipeline.told().len(), 1, "the threshold has moved");
    pipeline.hear().unwrap();
    spoil(dir.path());
    for _ in 0..3 {
        pipeline.hear().unwrap();
    }
    // As `incidents label` does from a shell.
    let (mut shell, _) = Journal::open(&DataDir::at(dir.path()).journal()).unwrap();
    shell.label(1, None).unwrap();
    assert!(matches!(
        pipeline.hear(),
        Err(JournalError::Row { id: 1, .. })
    ));
}

#[test]
fn a_label_that_was_written_is_kept_although_the_threshold_has_to_wait() {
    let dir = tempfile::tempdir().unwrap();
    let mut pipeline = alarmed(dir.path());
    spoil(dir.path());
    assert!(pipeline.label(1, Some(Label::False)).unwrap());
    let told = pipeline.told();
    assert!(
        told.len() == 1 && told[0].1.starts_with("incident 1 is labelled, but"),
        "{told:?}"
    );
    assert_eq!(pipeline.ledger().shown()[0].label, Some(Label::False));
    assert_eq!(pipeline.raise(), 1.0);
    let other = rusqlite::Connection::open(DataDir::at(dir.path()).journal()).unwrap();
    other
        .execute("UPDATE incidents SET features = '[]'", [])
        .unwrap();
    pipeline.hear().unwrap();
    assert!(
        pipeline.raise() > 1.0,
        "derived as soon as labels can be read"
    );
}

#[test]
fn what_could_not_be_written_is_not_shown_as_said() {
    let dir = tempfile::tempdir().unwrap();
    let mut pipeline = alarmed(dir.path());
    let other = rusqlite::Connection::open(DataDir::at(dir.path()).journal()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert!(pipeline.label(1, Some(Label::Real)).unwrap_err().is_busy());
    assert!(pipeline.acknowledge(1).unwrap_err().is_busy());
    let open = pipeline
        .entities()
        .find_map(|watched| watched.tracker.open());
    let open = open.unwrap();
    assert_eq!((open.label, open.acknowledged), (None, false));
    let shown = &pipeline.ledger().shown()[0];
    assert_eq!((shown.label, shown.acknowledged), (None, false));
}

#[cfg(unix)]
#[tokio::test]
async fn a_checkpoint_never_goes_into_another_ones_journal() {
    let dir = tempfile::tempdir().unwrap();
    let mut pipeline = alarmed(dir.path());
    let mut keeper = Keeping::new(DataDir::at(dir.path()), HealthBoard::default());
    let path = DataDir::at(dir.path()).journal();
    fs::rename(&path, dir.path().join("moved")).unwrap();
    for beside in ["journal.sqlite-wal", "journal.sqlite-shm"] {
        fs::remove_file(dir.path().join(beside)).unwrap();
    }
    let (other, _) = Journal::open(&path).unwrap();
    pipeline.checkpoint_now();
    assert_eq!(write(&mut keeper, &mut pipeline, at(LIVES)).await, None);
    assert_eq!(other.checkpoint_get("live").unwrap(), None);
    assert!(other.entity_checkpoints().unwrap().is_empty());
    drop(other);
    // The next look finds out, and writes its own anew.
    let told = keeper.tick(&mut pipeline, at(LIVES + 1));
    assert!(
        told.iter()
            .any(|(_, text)| text.contains("was deleted, replaced or damaged")),
        "{told:?}"
    );
    if keeper.is_writing() {
        let ended = keeper.checkpoint().await;
        keeper.checkpoint_ended(&mut pipeline, ended, at(LIVES + 1));
    }
    let own = Journal::open_to_read(&path).unwrap();
    assert!(own.checkpoint_get("live").unwrap().is_some());
    assert!(own.get(1).is_ok());
}

#[tokio::test]
async fn another_writer_of_a_moment_is_not_reported() {
    let dir = tempfile::tempdir().unwrap();
    let mut pipeline = alarmed(dir.path());
    let health = HealthBoard::default();
    let mut keeper = Keeping::new(DataDir::at(dir.path()), health.clone());
    let faults = || {
        health
            .view()
            .iter()
            .filter(|part| part.fault.is_some())
            .count()
    };
    let other = rusqlite::Connection::open(DataDir::at(dir.path()).journal()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    pipeline.checkpoint_now();
    let now = at(LIVES);
    assert_eq!(write(&mut keeper, &mut pipeline, now).await, None);
    assert_eq!(faults(), 0);
    let later = at(LIVES) + Duration::from_secs(6);
    let told = write(&mut keeper, &mut pipeline, later).await.unwrap();
    assert!(told.1.contains("could not be written"), "{told:?}");
    assert_eq!(faults(), 1);
    other.execute_batch("ROLLBACK").unwrap();
    let later = later + Duration::from_secs(6);
    let told = write(&mut keeper, &mut pipeline, later).await.unwrap();
    assert_eq!(told.1, "the journal is written again");
    assert_eq!(faults(), 0);
}
