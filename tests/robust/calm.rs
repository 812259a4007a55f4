//! What must not wake anybody: a new level that stays, and work that was announced.

use pulsewatch::config::{Maintenance, Span, WindowEnd};
use pulsewatch::domain::{IncidentState, Snapshot, Time};

use crate::common::driver::Driver;
use crate::fixture::{STEP, config, is_scoring, open_incident, scoring, server};
use crate::restart::break_cpu;

/// The newest row's time, in seconds.
fn newest(snapshot: &Snapshot) -> i64 {
    let latest = snapshot
        .live
        .entities
        .first()
        .and_then(|e| e.latest.clone());
    latest.map_or(0, |verdict| verdict.time.millis() / 1000)
}

/// The gate of that name in the newest verdict: whether it passed.
fn passed(snapshot: &Snapshot, name: &str) -> Option<bool> {
    let latest = snapshot.live.entities.first()?.latest.clone()?;
    let gate = latest.gates.iter().find(|gate| gate.name == name)?;
    Some(gate.passed)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_level_that_stays_is_one_incident_over_restarts() {
    let dir = tempfile::tempdir().unwrap();
    let fake = server().await;
    let mut config = config(&fake.url(), &["cpu", "load"]);
    config.detect.max_incident = Span::secs(60 * STEP as u64);
    let mut driver = scoring(&config, dir.path()).await;
    let from = driver.now.millis() / 1000 + 5 * STEP;
    break_cpu(&fake, from, i64::MAX);
    driver
        .until("an incident", |s| {
            open_incident(s).is_some_and(|i| i.end.since(i.start).as_secs() > 600)
        })
        .await;
    let now = driver.now;
    driver.kill().await;
    let mut driver = Driver::open(&config, dir.path(), now);
    let settled = |s: &Snapshot| {
        let first = s.live.incidents.first();
        first.is_some_and(|i| i.state == IncidentState::Settled)
    };
    let snapshot = driver.until("it settled", settled).await;
    let incident = snapshot.live.incidents[0].clone();
    assert!(incident.duration().as_secs() / STEP as u64 >= 59);
    assert_eq!(incident.why.opening[0].name, "threshold");
    assert!(incident.why.opening.iter().all(|gate| gate.passed));
    for _ in 0..2 {
        let until = driver.now.millis() / 1000 + 30 * STEP;
        let snapshot = driver
            .until("half an hour more", |s| newest(s) >= until)
            .await;
        assert!(is_scoring(&snapshot));
        assert_eq!(passed(&snapshot, "threshold"), Some(true));
        let stopped = ["max_incident", "budget"].map(|gate| passed(&snapshot, gate));
        assert!(stopped.contains(&Some(false)), "{stopped:?}");
        assert!(open_incident(&snapshot).is_none());
        assert_eq!(
            snapshot.live.counters.incidents_total,
            1,
            "{:#?}",
            snapshot
                .live
                .incidents
                .iter()
                .map(|i| (i.id, i.start, i.end, i.state))
                .collect::<Vec<_>>()
        );
        let now = driver.now;
        driver.kill().await;
        driver = Driver::open(&config, dir.path(), now);
    }
    driver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn work_that_was_announced_is_no_incident_and_neither_is_what_it_leaves() {
    let dir = tempfile::tempdir().unwrap();
    let fake = server().await;
    let mut config = config(&fake.url(), &["cpu", "load"]);
    let start = crate::fixture::NOW + 30 * STEP;
    let end = start + 30 * STEP;
    let moment = |secs| WindowEnd::Moment(jiff::Timestamp::from_second(secs).unwrap());
    config.detect.maintenance = vec![Maintenance {
        name: "migration".into(),
        days: Vec::new(),
        start: moment(start),
        end: moment(end),
        timezone: None,
        queries: Vec::new(),
        entities: Vec::new(),
    }];
    let mut driver = scoring(&config, dir.path()).await;
    break_cpu(&fake, start, end);
    let snapshot = driver
        .until("the work", |s| newest(s) >= end - 5 * STEP)
        .await;
    assert_eq!(passed(&snapshot, "threshold"), Some(true));
    assert_eq!(passed(&snapshot, "maintenance"), Some(false));
    let snapshot = driver
        .until("the end of the work", |s| newest(s) >= end)
        .await;
    assert_eq!(
        passed(&snapshot, "maintenance"),
        Some(false),
        "it is still in the window"
    );
    let snapshot = driver
        .until("an hour after", |s| newest(s) >= end + 60 * STEP)
        .await;
    assert_eq!(snapshot.live.counters.incidents_total, 0);
    // What breaks then is an incident.
    let from = driver.now.millis() / 1000 + 5 * STEP;
    break_cpu(&fake, from, i64::MAX);
    let snapshot = driver
        .until("an incident", |s| open_incident(s).is_some())
        .await;
    assert!(open_incident(&snapshot).unwrap().start >= Time::from_secs(from));
    driver.stop().await;
}
