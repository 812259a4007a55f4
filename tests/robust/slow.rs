//! A source that hangs or is slow holds up nothing: the engine waits without spinning, scores meanwhile, says that a look is
//! late, and catches up in parts.

use std::time::Duration;

use pulsewatch::config::Span;
use pulsewatch::domain::{Command, Entity, HistoryQuery, Level, PipelineId, SourceState, Time};

use crate::common::driver::Driver;
use crate::fixture::{STEP, config, is_up, noticed, scored_at, scoring, server, stale, wave};

/// Grid times of a request that only a fetch of history has.
const WIDE: i64 = 100;

/// Publications that one tick may take: its look, its answer, its rows, what is begun and ends with it.
const PER_TICK: u64 = 12;

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_scored_and_nothing_spins_while_history_hangs() {
    let dir = tempfile::tempdir().unwrap();
    let fake = server().await;
    let config = config(&fake.url(), &["cpu", "load"]);
    let mut driver = scoring(&config, dir.path()).await;
    fake.change(|world| world.silent_over = Some(WIDE));
    driver.send(Command::Retrain(PipelineId::Live));
    let fetching = driver
        .wait("fetching", |s| {
            let training = s.live.training.as_ref();
            training.is_some_and(|t| t.phase.starts_with("collecting history"))
        })
        .await;
    for _ in 0..10 {
        driver.go_on(1).await;
    }
    let later = driver.snapshot();
    let published = later.revision - fetching.revision;
    assert!(published <= 10 * PER_TICK, "{published} publications");
    assert_eq!(scored_at(&later), Some(later.now.millis() / 1000));
    assert!(is_up(&later), "{:?}", driver.told());
    assert!(later.live.training.is_some(), "the fetch still hangs");
    driver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_that_is_late_by_two_intervals_makes_the_source_stale_and_is_told_once() {
    let dir = tempfile::tempdir().unwrap();
    let fake = server().await;
    let mut config = config(&fake.url(), &["cpu", "load"]);
    config.source.timeout = Span::secs(600);
    let mut driver = scoring(&config, dir.path()).await;
    let good = driver.snapshot().live.source.last_success;
    fake.change(|world| world.silent_over = Some(0));
    driver.set(driver.now + driver.pace);
    driver.wait("asked", |s| s.now == driver.now).await;
    driver.set(driver.now + driver.pace);
    let late = driver
        .wait("one interval late", |s| s.now == driver.now)
        .await;
    assert_eq!(late.live.source.state, SourceState::Up);
    for _ in 0..3 {
        driver.set(driver.now + driver.pace);
        let late = driver.wait("late", |s| s.now == driver.now).await;
        let error = stale(&late).unwrap_or_default();
        assert!(
            error.contains(&fake.url()) && error.contains("no answer for"),
            "{error}"
        );
        assert_eq!(late.live.source.last_success, good);
    }
    let told = driver.told();
    let failed = told.iter().filter(|t| t.contains("failed")).count();
    assert_eq!(failed, 1, "{told:?}");
    driver.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_absence_is_caught_up_with_in_parts_and_readers_are_answered_meanwhile() {
    let dir = tempfile::tempdir().unwrap();
    let fake = server().await;
    let hosts = 40;
    fake.change(|world| {
        world.forget("cpu");
        for host in 0..hosts {
            let name = format!("host-{host}");
            world.add("cpu", &[("instance", &name)], move |t| {
                Some(wave(t, f64::from(host)))
            });
        }
    });
    let mut config = config(&fake.url(), &["cpu"]);
    config.entities.group_by = vec!["instance".into()];
    config.history.period = Span::secs(86_400);
    let mut driver = scoring(&config, dir.path()).await;
    fake.change(|world| world.widths.clear());
    let rows = 1000_i64;
    driver.set(driver.now + Duration::from_secs((rows * STEP).unsigned_abs()));
    let behind = driver
        .wait("catching up", |s| s.live.catching_up.is_some())
        .await;
    let first = behind.live.catching_up.unwrap();
    assert_eq!(first.due, driver.now);
    // What is asked is answered between two parts.
    let query = HistoryQuery {
        pipeline: PipelineId::Live,
        entity: Entity::named("host-7"),
        from: None,
        to: None,
        max_points: 100,
    };
    driver.control().history(query).await.unwrap();
    let meanwhile = driver.snapshot();
    assert!(meanwhile.live.catching_up.is_some(), "answered too late");
    let next = driver
        .wait("further", |s| {
            s.live
                .catching_up
                .is_none_or(|next| next.judged > first.judged)
        })
        .await;
    assert!(next.live.catching_up.is_some(), "more than two parts");
    let done = driver
        .wait("caught up", |s| {
            s.live.catching_up.is_none() && scored_at(s) == Some(driver.now.millis() / 1000)
        })
        .await;
    for view in &done.live.entities {
        let scores = view.scores.tail(400);
        assert!(
            scores.iter().all(|score| score.is_finite()),
            "{}: every row has its score",
            view.entity
        );
    }
    driver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_training_that_somebody_cancels_is_no_failure() {
    let dir = tempfile::tempdir().unwrap();
    let fake = server().await;
    let config = config(&fake.url(), &["cpu", "load"]);
    let driver: Driver = scoring(&config, dir.path()).await;
    fake.change(|world| world.silent_over = None);
    driver.send(Command::Retrain(PipelineId::Live));
    driver
        .wait("in the trainer's hands", |s| {
            let training = s.live.training.as_ref();
            training.is_some_and(|t| t.phase.starts_with("training"))
        })
        .await;
    driver.send(Command::CancelTraining(PipelineId::Live));
    let ended = driver.wait("ended", |s| s.live.training.is_none()).await;
    let outcome = ended.live.last_training.clone().unwrap();
    if outcome.is_cancelled {
        assert!(noticed(&ended, "cancelled"), "{:?}", driver.told());
    }
    let errors = ended.notices.iter().filter(|n| n.level == Level::Error);
    assert_eq!(errors.count(), 0, "{:?}", driver.told());
    let _: Time = ended.now;
    driver.stop().await;
}
