//! What readers ask of the engine, at bad moments and with bad arguments.

use std::time::Duration;

use pulsewatch::cli::{IncidentsLabelArgs, LabelWord};
use pulsewatch::commands::incidents;
use pulsewatch::domain::{Command, Control, ControlError, Label, PipelineId, Snapshot, Time};

use crate::common::driver::Driver;
use crate::common::fake::Fake;
use crate::common::misbehaving::Reply;
use crate::fixture::{
    NOW, STEP, bumped, config, is_scoring, is_up, noticed, open_incident, opened, scoring, server,
    stale, wave,
};

const LIVE: PipelineId = PipelineId::Live;

fn epoch(snapshot: &Snapshot) -> usize {
    snapshot.live.training.as_ref().map_or(0, |t| t.epoch)
}

fn queued(snapshot: &Snapshot) -> bool {
    snapshot.live.training.as_ref().is_some_and(|t| t.queued)
}

/// One thread: the engine can't take anything as long as the test does not wait.
#[tokio::test]
async fn a_full_queue_says_so_and_takes_more_later() {
    let dir = tempfile::tempdir().unwrap();
    let fake = server().await;
    let driver = Driver::open(
        &config(&fake.url(), &["cpu"]),
        dir.path(),
        Time::from_secs(NOW),
    );
    let control = driver.shared_control();
    let tries = 200;
    let taken = (0..tries)
        .map(|n| control.send(Command::Acknowledge(n)))
        .take_while(Result::is_ok)
        .count();
    assert!((1..200).contains(&taken), "{taken}");
    assert_eq!(control.send(Command::StartTest), Err(ControlError::Busy));
    driver
        .wait("taken", |s| noticed(s, "there is no incident"))
        .await;
    driver.send(Command::Acknowledge(1));
    driver.stop().await;
    assert_eq!(control.send(Command::StartTest), Err(ControlError::Stopped));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_training_runs_one_waits_and_a_newer_request_replaces_it() {
    let dir = tempfile::tempdir().unwrap();
    let fake = server().await;
    let mut config = config(&fake.url(), &["cpu", "load"]);
    config.autoencoder.epochs = 100_000;
    config.autoencoder.patience = 100_000;
    let mut driver = Driver::open(&config, dir.path(), Time::from_secs(NOW));
    driver
        .until("training", |s| s.live.training.is_some())
        .await;
    driver.wait("epochs", |s| epoch(s) > 1).await;
    assert!(!queued(&driver.snapshot()));
    for _ in 0..2 {
        driver.send(Command::Retrain(LIVE));
        driver.wait("queued", queued).await;
    }
    let so_far = epoch(&driver.snapshot());
    driver.wait("goes on", |s| epoch(s) > so_far).await;

    // One word ends both.
    driver.send(Command::CancelTraining(LIVE));
    let ended = driver
        .wait("cancelled", |s| s.live.last_training.is_some())
        .await;
    let why = ended
        .live
        .last_training
        .clone()
        .unwrap()
        .result
        .unwrap_err();
    assert!(why.contains("cancel"), "{why}");
    assert!(ended.live.training.is_none() && ended.live.model.is_none());
    driver.send(Command::CancelTraining(LIVE));
    driver
        .wait("told", |s| noticed(s, "no training runs"))
        .await;
    driver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_training_asked_for_while_the_source_is_away_is_not_forgotten() {
    let dir = tempfile::tempdir().unwrap();
    let fake = server().await;
    let config = config(&fake.url(), &["cpu", "load"]);
    let mut driver = scoring(&config, dir.path()).await;
    let version = driver.snapshot().live.model.clone().unwrap().version;
    driver.go_on(30).await;
    fake.change(|world| world.trouble = Some(Reply::status(500, "", "away")));
    driver.until("stale", |s| stale(s).is_some()).await;
    driver.send(Command::Retrain(LIVE));
    driver.go_on(10).await;
    assert_eq!(
        driver.snapshot().live.model.as_ref().unwrap().version,
        version
    );
    fake.change(|world| world.trouble = None);
    let snapshot = driver
        .until("trained", |s| {
            s.live.model.as_ref().is_some_and(|m| m.version != version)
        })
        .await;
    assert!(is_up(&snapshot));
    driver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn arguments_that_make_no_sense_are_told_or_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let fake = server().await;
    let mut config = config(&fake.url(), &["cpu"]);
    config.autoencoder.enabled = false;
    let mut driver = Driver::open(&config, dir.path(), Time::from_secs(NOW));
    driver.until("up", is_up).await;
    driver.send(Command::Acknowledge(4711));
    driver
        .wait("told", |s| noticed(s, "there is no incident 4711"))
        .await;
    driver.send(Command::Label(4712, Some(Label::False)));
    driver
        .wait("told", |s| noticed(s, "there is no incident 4712"))
        .await;
    driver.send(Command::InjectSpike);
    driver
        .wait("told", |s| noticed(s, "no spike was put in"))
        .await;
    for (asked, given) in [
        (Duration::ZERO, Duration::from_secs(1)),
        (Duration::from_secs(90_000), Duration::from_secs(3600)),
        (Duration::from_secs(5), Duration::from_secs(5)),
    ] {
        driver.send(Command::SetInterval(asked));
        driver.wait("set", |s| s.interval == given).await;
    }
    // Without a test pipeline there is nothing to train, and nothing falls over.
    driver.send(Command::Retrain(PipelineId::Test));
    driver.send(Command::CancelTraining(PipelineId::Test));
    driver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn incidents_of_test_mode_can_be_labelled_too() {
    let dir = tempfile::tempdir().unwrap();
    let fake = server().await;
    let mut config = config(&fake.url(), &["cpu", "load"]);
    config.autoencoder.max_windows = 800;
    config.detect.false_alarms_per_day = 5.0;
    let mut driver = scoring(&config, dir.path()).await;
    driver.send(Command::StartTest);
    driver.pace = Duration::from_secs(1);
    let snapshot = driver
        .until("a test incident", |s| {
            s.test.as_ref().is_some_and(|t| !t.incidents.is_empty())
        })
        .await;
    let id = snapshot.test.as_ref().unwrap().incidents[0].id;
    assert!(id > 1_000_000);
    driver.send(Command::Label(id, Some(Label::Real)));
    driver.send(Command::Acknowledge(id));
    let labelled = driver
        .wait("labelled", |s| {
            s.test.as_ref().is_some_and(|t| {
                let found = t.incidents.iter().find(|i| i.id == id);
                found.is_some_and(|i| i.label == Some(Label::Real) && i.acknowledged)
            })
        })
        .await;
    assert!(!noticed(&labelled, "there is no incident"));
    assert!(is_scoring(&labelled));
    driver.stop().await;
}

/// Whether the incident is marked as seen, and its label.
fn said(snapshot: &Snapshot, id: u64) -> (bool, Option<Label>) {
    let incident = snapshot.live.incidents.iter().find(|i| i.id == id).unwrap();
    (incident.acknowledged, incident.label)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_of_an_incident_in_the_shell_is_seen_without_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let fake = Fake::start().await;
    let (from, to) = (NOW + 10 * STEP, NOW + 60 * STEP);
    fake.change(|world| {
        world.until = i64::MAX;
        world.add("cpu", &[], move |t| Some(bumped(t, 0.0, from, to)));
        world.add("load", &[], |t| Some(wave(t, 1.0)));
    });
    let config = config(&fake.url(), &["cpu", "load"]);
    let mut driver = scoring(&config, dir.path()).await;
    let snapshot = opened(&mut driver).await;
    let id = open_incident(&snapshot).unwrap().id;
    assert_eq!(said(&snapshot, id), (false, None));

    let told = |label: Option<LabelWord>| IncidentsLabelArgs {
        id,
        label,
        clear: false,
        preview: false,
        json: false,
    };
    let mut out = Vec::new();
    incidents::acknowledge(dir.path(), id, false, &mut out).unwrap();
    incidents::label(dir.path(), &config, &told(Some(LabelWord::False)), &mut out).unwrap();
    driver
        .until("both", |s| said(s, id) == (true, Some(Label::False)))
        .await;
    // The rows that follow belong to the same incident and change nothing of it.
    driver.go_on(3).await;
    let snapshot = driver.snapshot();
    assert_eq!(open_incident(&snapshot).unwrap().id, id);
    assert_eq!(said(&snapshot, id), (true, Some(Label::False)));

    incidents::label(dir.path(), &config, &told(None), &mut out).unwrap();
    driver
        .until("taken back", |s| said(s, id) == (true, None))
        .await;
    driver.until("closed", |s| open_incident(s).is_none()).await;
    incidents::label(dir.path(), &config, &told(Some(LabelWord::Real)), &mut out).unwrap();
    driver
        .until("what is over", |s| said(s, id) == (true, Some(Label::Real)))
        .await;
    assert!(!noticed(&driver.snapshot(), "could not be read"));
    driver.stop().await;
}
