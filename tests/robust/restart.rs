//! Restarts at bad moments, and files that are not what they were.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use pulsewatch::domain::{Command, Entity, PipelineId, Snapshot, Time};
use pulsewatch::engine::checkpoint::Kept;
use pulsewatch::store::{Batch, DataDir, IncidentFilter, Journal};

use crate::common::driver::Driver;
use crate::common::fake::Fake;
use crate::fixture::{
    STEP, bumped, config, is_scoring, noticed, open_incident, opened, scored_at, scoring, server,
    wave,
};

fn rows(count: u64) -> Duration {
    Duration::from_secs(count * STEP as u64)
}

/// Breaks `cpu` from the next row on.
pub fn break_cpu(fake: &Fake, from: i64, to: i64) {
    fake.change(|world| {
        world.forget("cpu");
        world.add("cpu", &[], move |t| Some(bumped(t, 0.0, from, to)));
    });
}

fn listed(dir: &Path) -> Vec<pulsewatch::domain::Incident> {
    let (journal, aside) = Journal::open(&dir.join("journal.sqlite")).unwrap();
    assert!(aside.is_none());
    journal.list(&IncidentFilter::default()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_incident_goes_on_over_every_kind_of_end() {
    let dir = tempfile::tempdir().unwrap();
    let fake = server().await;
    let config = config(&fake.url(), &["cpu", "load"]);
    let mut driver = scoring(&config, dir.path()).await;
    let from = driver.now.millis() / 1000 + 5 * STEP;
    let to = from + 120 * STEP;
    break_cpu(&fake, from, to);
    let snapshot = opened(&mut driver).await;
    let first = open_incident(&snapshot).unwrap().clone();
    let model = snapshot.live.model.clone().unwrap();
    assert!(first.start.millis() / 1000 >= from);
    let mut now = driver.now;
    // At once after the incident got its id: the checkpoint does not know it yet.
    driver.kill().await;

    for round in 0..3_u64 {
        now = now + rows(3);
        let mut driver = Driver::open(&config, dir.path(), now);
        let end = now + rows(10);
        let snapshot = driver
            .until("the same goes on", |s| {
                open_incident(s).is_some_and(|i| i.end >= end)
            })
            .await;
        assert_eq!(open_incident(&snapshot).unwrap().id, first.id);
        assert_eq!(open_incident(&snapshot).unwrap().start, first.start);
        assert_eq!(
            snapshot.live.incidents.len(),
            1,
            "{:#?}",
            snapshot.live.incidents
        );
        assert_eq!(snapshot.live.counters.incidents_total, 1);
        assert_eq!(snapshot.live.counters.incidents_session, 0);
        let again = snapshot.live.model.clone().unwrap();
        assert_eq!(again.version, model.version);
        assert_eq!(again.threshold_mse.to_bits(), model.threshold_mse.to_bits());
        assert!(snapshot.live.last_training.is_none(), "nothing was trained");
        driver.send(Command::Acknowledge(first.id));
        driver
            .wait("acknowledged", |s| {
                open_incident(s).is_some_and(|i| i.acknowledged)
            })
            .await;
        now = driver.now;
        if round == 1 {
            driver.stop().await;
        } else {
            driver.kill().await;
        }
    }

    // Down while it ends: the rows of that time are judged afterwards, and it closes where it ended.
    let mut driver = Driver::open(&config, dir.path(), Time::from_secs(to) + rows(5));
    let snapshot = driver
        .until("closed", |s| open_incident(s).is_none() && is_scoring(s))
        .await;
    let closed = &snapshot.live.incidents[0];
    assert_eq!(closed.id, first.id);
    assert!(
        closed.end.millis() / 1000 >= to - STEP && closed.acknowledged,
        "{closed:?}"
    );
    driver.stop().await;
    let kept = listed(dir.path());
    assert_eq!(kept.len(), 1);
    assert!(!kept[0].is_open());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_incident_that_no_checkpoint_knows_is_closed_and_said_so() {
    let dir = tempfile::tempdir().unwrap();
    let fake = server().await;
    let config = config(&fake.url(), &["cpu", "load"]);
    let mut driver = scoring(&config, dir.path()).await;
    let from = driver.now.millis() / 1000 + STEP;
    break_cpu(&fake, from, from + 10 * STEP);
    opened(&mut driver).await;
    driver.kill().await;
    let (mut journal, _) = Journal::open(&dir.path().join("journal.sqlite")).unwrap();
    let entities = [(Entity::sole(), Some(b"no checkpoint".to_vec()))];
    let damage = Batch {
        checkpoints: &[("live", b"{\"judged\": 12")],
        entities: &entities,
        ..Batch::default()
    };
    journal.commit(&damage).unwrap();
    drop(journal);
    let mut driver = Driver::open(&config, dir.path(), Time::from_secs(from) + rows(200));
    let snapshot = driver.until("scoring", is_scoring).await;
    assert!(
        noticed(&snapshot, "checkpoint") && noticed(&snapshot, "is closed"),
        "{:?}",
        driver.told()
    );
    assert!(open_incident(&snapshot).is_none());
    driver.stop().await;
    assert!(listed(dir.path()).iter().all(|i| !i.is_open()));
}

/// The checkpoint as an older release wrote it: all entities in the header, and the drift tests in one value.
fn as_an_older_release(dir: &Path) {
    let (mut journal, _) = Journal::open(&dir.join("journal.sqlite")).unwrap();
    let header = journal.checkpoint_get("live").unwrap().unwrap();
    let mut header: serde_json::Value = serde_json::from_slice(&header).unwrap();
    let stored = journal.entity_checkpoints().unwrap();
    assert_eq!(stored.len(), 1);
    for (entity, bytes) in &stored {
        let mut kept = serde_json::to_value(Kept::from_bytes(bytes).unwrap()).unwrap();
        kept.as_object_mut().unwrap().remove("drift");
        header["entities"][entity.name()] = kept;
    }
    let deleted: Vec<_> = stored.into_keys().map(|entity| (entity, None)).collect();
    let header = serde_json::to_vec(&header).unwrap();
    let old = Batch {
        checkpoints: &[("live", &header)],
        entities: &deleted,
        ..Batch::default()
    };
    journal.commit(&old).unwrap();
}

/// Between two grid times, with a model at hand and samples of a whole window: nothing has to be waited for.
#[tokio::test(flavor = "multi_thread")]
async fn with_a_model_at_hand_the_newest_fetched_row_is_scored_at_once() {
    let fake = server().await;
    let dir = tempfile::tempdir().unwrap();
    let config = config(&fake.url(), &["cpu", "load"]);
    let driver = scoring(&config, dir.path()).await;
    let now = driver.now;
    driver.stop().await;
    for keeps_journal in [true, false] {
        if !keeps_journal {
            std::fs::remove_file(DataDir::at(dir.path()).journal()).unwrap();
        }
        let between = now + Duration::from_secs(20);
        let driver = Driver::open(&config, dir.path(), between);
        let found = driver.wait("scored", is_scoring).await;
        assert_eq!(
            scored_at(&found),
            Some(now.millis() / 1000),
            "{keeps_journal}"
        );
        assert!(driver.snapshot().live.entities[0].latest.is_some());
        driver.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_of_an_older_release_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let fake = server().await;
    let config = config(&fake.url(), &["cpu", "load"]);
    let mut driver = scoring(&config, dir.path()).await;
    break_cpu(&fake, driver.now.millis() / 1000 + STEP, i64::MAX);
    let snapshot = opened(&mut driver).await;
    let first = open_incident(&snapshot).unwrap().clone();
    let now = driver.now;
    driver.stop().await;
    as_an_older_release(dir.path());
    let mut driver = Driver::open(&config, dir.path(), now + rows(1));
    let end = now + rows(5);
    let snapshot = driver
        .until("goes on", |s| {
            open_incident(s).is_some_and(|i| i.end >= end)
        })
        .await;
    assert_eq!(open_incident(&snapshot).unwrap().id, first.id);
    assert!(
        !noticed(&snapshot, "not known any more"),
        "{:?}",
        driver.told()
    );
    driver.kill().await;
    let (journal, _) = Journal::open(&dir.path().join("journal.sqlite")).unwrap();
    assert_eq!(journal.entity_checkpoints().unwrap().len(), 1);
}

fn bundle(dir: &Path, version: &str) -> PathBuf {
    dir.join("models").join(version).join("bundle.safetensors")
}

fn truncate(path: &Path) {
    let bytes = fs::read(path).unwrap();
    fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
}

fn version(snapshot: &Snapshot) -> String {
    snapshot.live.model.clone().unwrap().version
}

#[tokio::test(flavor = "multi_thread")]
async fn a_truncated_bundle_is_set_aside_for_the_one_before_it_or_a_new_training() {
    let dir = tempfile::tempdir().unwrap();
    let fake = server().await;
    let config = config(&fake.url(), &["cpu", "load"]);
    let mut driver = scoring(&config, dir.path()).await;
    let older = version(&driver.snapshot());
    driver.go_on(30).await;
    driver.send(Command::Retrain(PipelineId::Live));
    let snapshot = driver
        .until("a second model", |s| version(s) != older)
        .await;
    let newer = version(&snapshot);
    let mut now = driver.now;
    driver.stop().await;

    truncate(&bundle(dir.path(), &newer));
    now = now + rows(1);
    let mut driver = Driver::open(&config, dir.path(), now);
    let snapshot = driver.until("scoring", is_scoring).await;
    assert_eq!(version(&snapshot), older);
    assert!(
        noticed(&snapshot, &newer) && noticed(&snapshot, "set aside"),
        "{:?}",
        driver.told()
    );
    assert!(snapshot.live.last_training.is_none());
    assert!(!bundle(dir.path(), &newer).exists());
    now = driver.now;
    driver.stop().await;

    truncate(&bundle(dir.path(), &older));
    now = now + rows(1);
    let mut driver = Driver::open(&config, dir.path(), now);
    assert!(driver.snapshot().live.model.is_none());
    let snapshot = driver.until("trained anew", is_scoring).await;
    assert!(noticed(&snapshot, &older), "{:?}", driver.told());
    assert!(bundle(dir.path(), &version(&snapshot)).exists());
    driver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_corrupt_journal_is_set_aside_and_said_so() {
    let dir = tempfile::tempdir().unwrap();
    let fake = server().await;
    let config = config(&fake.url(), &["cpu", "load"]);
    let driver = scoring(&config, dir.path()).await;
    let now = driver.now;
    driver.stop().await;
    let path = dir.path().join("journal.sqlite");
    fs::write(&path, b"nothing that a database would say").unwrap();
    let mut driver = Driver::open(&config, dir.path(), now + rows(1));
    let snapshot = driver.until("scoring", is_scoring).await;
    assert!(
        noticed(&snapshot, "damaged") && noticed(&snapshot, "journal.sqlite.damaged-1"),
        "{:?}",
        driver.told()
    );
    assert!(dir.path().join("journal.sqlite.damaged-1").exists());
    driver.stop().await;
    assert!(listed(dir.path()).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_of_another_configuration_is_refused_with_what_differs() {
    let dir = tempfile::tempdir().unwrap();
    let fake = server().await;
    let old = config(&fake.url(), &["cpu", "load"]);
    let driver = scoring(&old, dir.path()).await;
    let first = version(&driver.snapshot());
    let mut now = driver.now;
    driver.stop().await;
    fake.change(|world| world.add("net", &[], |t| Some(wave(t, 2.0))));

    let queries = config(&fake.url(), &["cpu", "net"]);
    let mut window = queries.clone();
    window.autoencoder.window = 12;
    let mut step = window.clone();
    step.source.step = pulsewatch::config::Span::secs(2 * STEP as u64);
    step.history.period = pulsewatch::config::Span::secs(800 * STEP as u64);
    let mut before = first.clone();
    for (config, differs) in [
        (queries, vec!["queries.load is gone", "queries.net is new"]),
        (window, vec!["autoencoder", "12"]),
        (step, vec!["source.step", "2m"]),
    ] {
        now = now + rows(4);
        let mut driver = Driver::open(&config, dir.path(), now);
        let started = driver.snapshot();
        assert!(started.live.model.is_none());
        for part in differs.iter().chain(&["does not fit", before.as_str()]) {
            assert!(noticed(&started, part), "{part}: {:?}", driver.told());
        }
        assert!(
            bundle(dir.path(), &before).exists(),
            "it is left where it is"
        );
        let snapshot = driver.until("trained anew", is_scoring).await;
        assert_ne!(version(&snapshot), before);
        before = version(&snapshot);
        now = driver.now;
        driver.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_training_that_fails_leaves_the_model_in_place() {
    let dir = tempfile::tempdir().unwrap();
    let fake = server().await;
    let config = config(&fake.url(), &["cpu", "load"]);
    let mut driver = scoring(&config, dir.path()).await;
    let model = version(&driver.snapshot());
    fake.change(|world| {
        world.forget("cpu");
        world.forget("load");
    });
    driver.send(Command::Retrain(PipelineId::Live));
    let failed = driver
        .until("failed", |s| {
            s.live
                .last_training
                .as_ref()
                .is_some_and(|t| t.result.is_err())
        })
        .await;
    assert_eq!(version(&failed), model);
    assert!(
        noticed(&failed, "training brought no new model"),
        "{:?}",
        driver.told()
    );
    fake.change(crate::fixture::two_waves);
    let snapshot = driver.until("scoring", is_scoring).await;
    assert_eq!(version(&snapshot), model);
    driver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_threshold_is_in_force_without_a_new_training() {
    let dir = tempfile::tempdir().unwrap();
    let fake = server().await;
    let mut config = config(&fake.url(), &["cpu", "load"]);
    let driver = scoring(&config, dir.path()).await;
    let model = driver.snapshot().live.model.clone().unwrap();
    let now = driver.now;
    driver.stop().await;
    config.detect.threshold = pulsewatch::config::Threshold::Fixed(0.125);
    let mut driver = Driver::open(&config, dir.path(), now + rows(1));
    let snapshot = driver.until("scoring", is_scoring).await;
    let again = snapshot.live.model.clone().unwrap();
    assert_eq!(again.version, model.version);
    assert_eq!(
        (again.threshold_mse, again.threshold_rule.as_str()),
        (0.125, "fixed")
    );
    let latest = snapshot.live.entities[0].latest.clone().unwrap();
    assert_eq!(latest.score.unwrap(), latest.mse.unwrap() / 0.125);
    driver.stop().await;
}
