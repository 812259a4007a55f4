//! Label sets and entities that come and go while rows are scored.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use ndarray::Array2;
use pulsewatch::config::Config;
use pulsewatch::domain::{
    Entity, IncidentState, Provisional, RowState, Snapshot, SourceState, Time,
};
use pulsewatch::engine::open::for_recording;
use pulsewatch::source::Collect;
use pulsewatch::source::any::Source;
use pulsewatch::source::prometheus::PrometheusSource;
use pulsewatch::source::recording::Recording;
use pulsewatch::source::replay::{PlayFrom, ReplaySource};

use crate::common::driver::Driver;
use crate::common::fake::{Fake, World};
use crate::fixture::{
    NOW, STEP, bumped, config, exported, is_scoring, is_up, no_false_numbers, open_incident,
    opened, scoring, server, small, value, warned, wave,
};

fn pod(world: &mut World, name: &'static str, phase: f64) {
    world.add("pods", &[("pod", name)], move |t| Some(wave(t, phase)));
}

fn rows(count: u64) -> Duration {
    Duration::from_secs(count * STEP as u64)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_goes_is_masked_and_one_that_comes_is_named_until_the_next_training() {
    let dir = tempfile::tempdir().unwrap();
    let fake = server().await;
    fake.change(|world| {
        pod(world, "a", 2.0);
        pod(world, "b", 3.0);
    });
    let config = config(&fake.url(), &["cpu", "load", "pods"]);
    let mut driver = scoring(&config, dir.path()).await;
    let names = |s: &Snapshot| -> Vec<String> {
        let features = &s.live.entities[0].features;
        features
            .iter()
            .map(|f| f.feature.name.to_string())
            .collect()
    };
    let frozen = ["cpu", "load", r#"pods{pod="a"}"#, r#"pods{pod="b"}"#];
    assert_eq!(names(&driver.snapshot()), frozen);
    let version = driver.snapshot().live.model.clone().unwrap().version;

    fake.change(|world| {
        world.forget("pods");
        pod(world, "a", 2.0);
        // First by name: it will move the others' columns.
        pod(world, "0", 4.0);
    });
    let later = driver.now + rows(30);
    let snapshot = driver.until("on without b", |s| s.now >= later).await;
    assert!(is_up(&snapshot) && is_scoring(&snapshot));
    assert_eq!(names(&snapshot), frozen, "the schema is the model's");
    let features = &snapshot.live.entities[0].features;
    assert!(features[2].mse.is_some(), "a is still scored");
    assert_eq!((features[3].mse, features[3].share), (None, None));
    assert!(features[3].values.last().unwrap().is_nan());
    assert!(warned(&snapshot, r#"pods{pod="0"}"#), "{:?}", driver.told());
    no_false_numbers(&snapshot, &exported(&driver).await);

    // Back again, it is scored again.
    fake.change(|world| pod(world, "b", 3.0));
    driver
        .until("b is back", |s| {
            s.live.entities[0].features[3].mse.is_some()
        })
        .await;

    // The next training learns what there is by then.
    driver.send(pulsewatch::domain::Command::Retrain(
        pulsewatch::domain::PipelineId::Live,
    ));
    let snapshot = driver
        .until("trained anew", |s| {
            s.live.model.as_ref().is_some_and(|m| m.version != version) && is_scoring(s)
        })
        .await;
    assert_eq!(names(&snapshot).len(), 5, "{:?}", names(&snapshot));
    assert!(
        !warned(&snapshot, "model does not know"),
        "{:?}",
        driver.told()
    );
    let seen = |s: &Snapshot, at: usize| {
        let values = &s.live.entities[0].features[at].values;
        values.iter().filter(|v| v.is_finite()).count()
    };
    let snapshot = driver
        .until("the new one's past is shown", |s| seen(s, 2) > 300)
        .await;
    let view = &snapshot.live.entities[0];
    for (feature, phase) in view.features.iter().zip([0.0, 1.0, 4.0, 2.0, 3.0]) {
        for (time, value) in view.grid.times().zip(feature.values.iter()) {
            let wanted = wave(time.millis() / 1000, phase);
            assert!(
                value.is_nan() || (value - wanted).abs() < 1e-9,
                "{} at {time}: {value}, not {wanted}",
                feature.feature.name
            );
        }
    }
    driver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_restart_history_with_other_columns_lands_in_the_right_ones() {
    let dir = tempfile::tempdir().unwrap();
    let fake = server().await;
    fake.change(|world| pod(world, "m", 2.0));
    fake.change(|world| pod(world, "z", 3.0));
    let config = config(&fake.url(), &["cpu", "load", "pods"]);
    let mut driver = scoring(&config, dir.path()).await;
    driver.go_on(3).await;
    let now = driver.now;
    driver.stop().await;

    fake.change(|world| pod(world, "b", 9.0));
    let mut driver = Driver::open(&config, dir.path(), now + rows(2));
    let snapshot = driver
        .until("history is back", |s| {
            is_scoring(s) && s.live.entities[0].grid.len() > 300
        })
        .await;
    assert!(snapshot.live.last_training.is_none());
    let view = &snapshot.live.entities[0];
    assert_eq!(view.features.len(), 4);
    for (feature, phase) in view.features.iter().zip([0.0, 1.0, 2.0, 3.0]) {
        for (time, value) in view.grid.times().zip(feature.values.iter()) {
            let wanted = wave(time.millis() / 1000, phase);
            assert!(
                (value - wanted).abs() < 1e-9,
                "{} at {time}: {value}, not {wanted}",
                feature.feature.name
            );
        }
    }
    driver.stop().await;
}

/// Host b breaks at `broken` and is gone after `last`; a and c stay as they are.
fn b_breaks(world: &mut World, broken: i64, last: i64) {
    world.forget("cpu");
    for (host, phase) in [("a", 0.0), ("c", 0.2)] {
        world.add("cpu", &[("host", host)], move |t| Some(wave(t, phase)));
    }
    world.add("cpu", &[("host", "b")], move |t| {
        (t <= last).then(|| bumped(t, 0.5, broken, i64::MAX))
    });
    world.forget("load");
    for (host, phase, until) in [("a", 1.0, i64::MAX), ("c", 1.2, i64::MAX), ("b", 1.5, last)] {
        world.add("load", &[("host", host)], move |t| {
            (t <= until).then(|| wave(t, phase))
        });
    }
}

/// Host b is back after `from`, as broken as it went.
fn b_returns(world: &mut World, broken: i64, from: i64) {
    for (expr, phase) in [("cpu", 0.5), ("load", 1.5)] {
        world.add(expr, &[("host", "b")], move |t| {
            (t > from).then(|| bumped(t, phase, broken, i64::MAX))
        });
    }
}

/// Before an entity's first window is full, its rows say something, and how little that is.
async fn assert_little_is_known(driver: &mut Driver, entity: &Entity) {
    let so_far = |s: &Snapshot| -> Option<Provisional> {
        let latest = s.live.entity(entity)?.latest.clone()?;
        let unscored = latest.score.is_none();
        latest.provisional.clone().filter(|_| unscored)
    };
    let snapshot = driver
        .until("something is known", |s| so_far(s).is_some())
        .await;
    let known = so_far(&snapshot).unwrap();
    assert!(known.score < 1.0 && known.features.len() == 2, "{known:?}");
    assert!((0.2..0.6).contains(&known.confidence), "{known:?}");
    let ready = &snapshot.live.entity(entity).unwrap().readiness;
    assert_eq!(ready.windows, 0.0, "its first window is not full");
    let (day, known) = ready.seasons[0];
    assert!(day == Duration::from_hours(24) && known > 0.0 && known < 0.02);
    let of_a = snapshot.live.entity(&Entity::named("a")).unwrap();
    assert_eq!(of_a.readiness.windows, 1.0);
    assert!(of_a.readiness.seasons[0].1 > 0.1);
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_come_and_go() {
    let dir = tempfile::tempdir().unwrap();
    let fake = Fake::start().await;
    fake.change(|world| {
        world.until = i64::MAX;
        for (host, phase) in [("a", 0.0), ("b", 0.5)] {
            for (expr, more) in [("cpu", 0.0), ("load", 1.0)] {
                world.add(expr, &[("host", host)], move |t| {
                    Some(wave(t, phase + more))
                });
            }
        }
    });
    let mut config = config(&fake.url(), &["cpu", "load"]);
    config.entities.group_by = vec!["host".into()];
    // Silence is not quiet: an incident that waits longer than its entity lives ends with it.
    config.detect.cooldown = pulsewatch::config::Span::secs(2 * 3600);
    let mut driver = scoring(&config, dir.path()).await;
    assert_eq!(driver.snapshot().live.model.as_ref().unwrap().entities, 2);

    // A new one is scored by the shared network and the pooled scaler once its window is full.
    fake.change(|world| {
        for (expr, phase) in [("cpu", 0.2), ("load", 1.2)] {
            world.add(expr, &[("host", "c")], move |t| Some(wave(t, phase)));
        }
    });
    let c = Entity::named("c");
    driver
        .until("c is seen", |s| s.live.entity(&c).is_some())
        .await;
    let early = driver.snapshot();
    let latest = early.live.entity(&c).unwrap().latest.clone().unwrap();
    assert_eq!((latest.state, latest.score), (RowState::WarmingUp, None));
    assert_eq!(latest.provisional, None, "too few rows to say anything");
    assert_little_is_known(&mut driver, &c).await;
    let snapshot = driver.until("c is scored", is_scoring).await;
    assert_eq!(snapshot.live.entities.len(), 3);
    let score = snapshot
        .live
        .entity(&c)
        .unwrap()
        .latest
        .as_ref()
        .unwrap()
        .score;
    assert!(score.unwrap() < 5.0, "an ordinary host: {score:?}");

    // b breaks, and vanishes with its incident open.
    let broken = driver.now.millis() / 1000 + STEP;
    let last = broken + 10 * STEP;
    fake.change(|world| b_breaks(world, broken, last));
    let snapshot = driver
        .until("b's incident", |s| {
            open_incident(s).is_some_and(|i| i.entity.name() == "b" && i.id != 0)
        })
        .await;
    let id = open_incident(&snapshot).unwrap().id;
    let b = Entity::named("b");
    let silent = |s: &Snapshot| {
        let latest = s.live.entity(&b).and_then(|view| view.latest.clone());
        latest.is_some_and(|v| v.state == RowState::Missing)
    };
    driver.until("b is silent", silent).await;
    assert_eq!(
        value(&exported(&driver).await, "samples_stale{entity=\"b\"}"),
        Some(1.0)
    );
    let gone = Time::from_secs(last) + Duration::from_secs(3700);
    let snapshot = driver
        .until("b is gone", |s| {
            s.live.entity(&Entity::named("b")).is_none()
        })
        .await;
    assert!(
        snapshot.now <= gone + rows(3),
        "not before its time, nor much later"
    );
    let closed = snapshot.live.incidents.iter().find(|i| i.id == id).unwrap();
    assert_eq!(closed.state, IncidentState::Vanished);
    assert_eq!(snapshot.live.entities.len(), 2);
    assert!(is_scoring(&snapshot));
    let text = exported(&driver).await;
    assert!(text.contains("incident_active{entity=\"b\"} 0"), "{text}");
    assert!(!text.contains("anomaly_score{entity=\"b\"}"));

    // It comes back as it went, within its cooldown: the same incident goes on.
    fake.change(|world| b_returns(world, broken, last + 3700));
    let snapshot = driver
        .until("b's incident again", |s| open_incident(s).is_some())
        .await;
    let again = open_incident(&snapshot).unwrap();
    assert_eq!((again.id, again.start), (id, closed.start));
    assert!(again.end > closed.end);
    assert!(again.peak_alarm > Some(1.0), "{again:?}");
    driver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entity_that_does_not_come_back_after_a_restart_takes_its_incident_along() {
    let dir = tempfile::tempdir().unwrap();
    let fake = Fake::start().await;
    let broken = NOW + 10 * STEP;
    let worlds = |world: &mut World, hosts: &[&'static str]| {
        world.forget("cpu");
        world.until = i64::MAX;
        for host in hosts {
            let from = if *host == "b" { broken } else { i64::MAX };
            world.add("cpu", &[("host", host)], move |t| {
                Some(bumped(t, 0.5, from, i64::MAX))
            });
        }
    };
    fake.change(|world| worlds(world, &["a", "b"]));
    let mut config = config(&fake.url(), &["cpu"]);
    config.entities.group_by = vec!["host".into()];
    let mut driver = scoring(&config, dir.path()).await;
    let snapshot = opened(&mut driver).await;
    let id = open_incident(&snapshot).unwrap().id;
    let now = driver.now;
    driver.kill().await;

    // Two more restarts before its time is up: its state is not lost on the way.
    fake.change(|world| worlds(world, &["a"]));
    let mut driver = Driver::open(&config, dir.path(), now + rows(1));
    driver.until("a is scored", is_scoring).await;
    let now = driver.now;
    driver.stop().await;
    let mut driver = Driver::open(&config, dir.path(), now + rows(1));
    let snapshot = driver.until("a is scored", is_scoring).await;
    assert!(
        snapshot
            .live
            .incidents
            .iter()
            .any(|i| i.id == id && i.is_open())
    );
    let snapshot = driver.until("closed", |s| open_incident(s).is_none()).await;
    let closed = snapshot.live.incidents.iter().find(|i| i.id == id).unwrap();
    assert_eq!(closed.state, IncidentState::Vanished);
    driver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entity_whose_samples_always_come_late_is_not_let_go() {
    let dir = tempfile::tempdir().unwrap();
    let fake = Fake::start().await;
    let now = Arc::new(AtomicI64::new(NOW));
    let clock = Arc::clone(&now);
    fake.change(|world| {
        world.until = i64::MAX;
        world.add("cpu", &[("host", "a")], |t| Some(wave(t, 0.0)));
        world.add("cpu", &[("host", "b")], move |t| {
            (t <= clock.load(Ordering::SeqCst) - 2 * STEP).then(|| wave(t, 0.5))
        });
    });
    let mut config = config(&fake.url(), &["cpu"]);
    config.entities.group_by = vec!["host".into()];
    let mut driver = Driver::open(&config, dir.path(), Time::from_secs(NOW));
    let (b, gone) = (Entity::named("b"), Cell::new(false));
    let (soon, later) = (
        Time::from_secs(NOW + 600),
        Time::from_secs(NOW + 3600 + 1200),
    );
    let tell = |time: Time| now.store(time.millis() / 1000, Ordering::SeqCst);
    let looked = |s: &Snapshot| {
        gone.set(gone.get() || (s.now > soon && s.live.entity(&b).is_none()));
        s.now >= later
    };
    let snapshot = driver.until_with("an hour later", tell, looked).await;
    assert!(!gone.get(), "it was let go: {:#?}", driver.told());
    let view = snapshot.live.entity(&b).unwrap();
    let values: Vec<f64> = view.features[0].values.iter().collect();
    let late = values.iter().rev().take_while(|v| v.is_nan()).count();
    assert!((1..=3).contains(&late), "{late} rows without a sample");
    let latest = view.latest.as_ref().unwrap();
    assert_eq!(latest.state, RowState::Missing, "a verdict is final");
    assert!(snapshot.live.incidents.is_empty());
    driver.stop().await;
}

/// 500 rows of `wave`s, the last 200 of them played; what is odd about it is `cell`'s.
fn recording(columns: &[&str], cell: impl Fn(usize, usize) -> f64) -> Recording {
    Recording {
        times: (0..500)
            .map(|row| Time::from_secs(NOW + row * STEP))
            .collect(),
        columns: columns.iter().map(|name| (*name).to_owned()).collect(),
        values: Array2::from_shape_fn((500, columns.len()), |(row, column)| cell(row, column)),
    }
}

async fn played(recording: &Recording) -> (Driver, Arc<Snapshot>, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let wall = Time::from_secs(NOW + 1_000_000);
    let source = ReplaySource::new(
        recording,
        "test".into(),
        PlayFrom::Fraction(0.6),
        5.0,
        wall,
        None,
    );
    let source = source.unwrap().paused();
    let mut config = Config::default();
    small(&mut config);
    config.detect.interval = pulsewatch::config::Span::secs(1);
    let config = Arc::new(for_recording(&config, &source));
    let source = Source::Replay(Box::new(source));
    let mut driver = Driver::start(config, source, dir.path(), wall).unwrap();
    let snapshot = driver
        .until("played", |s| {
            s.live.source.state == SourceState::Finished && s.live.model.is_some()
        })
        .await;
    (driver, snapshot, dir)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_column_that_was_never_learned_says_nothing_when_it_speaks() {
    let recording = recording(&["cpu", "ghost", "load"], |row, column| {
        let time = NOW + row as i64 * STEP;
        match column {
            1 if row < 350 => f64::NAN,
            1 => 1e6 * wave(time, 4.0),
            column => wave(time, column as f64),
        }
    });
    let (driver, snapshot, _dir) = played(&recording).await;
    let view = &snapshot.live.entities[0];
    let ghost = &view.features[1];
    assert!(ghost.values.last().unwrap() > 1e6, "it is shown");
    assert_eq!((ghost.mse, ghost.share, ghost.expected), (None, None, None));
    assert!(view.features[0].mse.is_some() && view.features[2].mse.is_some());
    assert!(
        snapshot.live.incidents.is_empty(),
        "{:#?}",
        snapshot.live.incidents
    );
    no_false_numbers(&snapshot, &exported(&driver).await);
    driver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_constant_that_moves_is_found_and_named() {
    let recording = recording(&["cpu", "load", "replicas"], |row, column| {
        let time = NOW + row as i64 * STEP;
        match column {
            2 if row < 400 => 5.0,
            2 => 3.0,
            column => wave(time, column as f64),
        }
    });
    let (driver, snapshot, _dir) = played(&recording).await;
    let moved = Time::from_secs(NOW + 400 * STEP);
    let found = snapshot.live.incidents.iter().find(|i| i.start == moved);
    let found = found.unwrap_or_else(|| panic!("{:#?}", snapshot.live.incidents));
    assert_eq!(&*found.features[0].feature, "replicas");
    driver.stop().await;
}

#[tokio::test]
async fn many_series_are_asked_for_in_parts_that_are_small() {
    let fake = Fake::start().await;
    fake.change(|world| {
        world.until = i64::MAX;
        for host in 0..1000 {
            let name = format!("host-{host:04}");
            world.add("cpu", &[("instance", &name)], move |t| {
                Some((t / STEP % 100 + host) as f64)
            });
        }
    });
    let mut config = config(&fake.url(), &["cpu"]);
    config.entities.group_by = vec!["instance".into()];
    let (entities, history) = (&config.entities, &config.history);
    let source =
        PrometheusSource::new(&config.source, &config.queries, entities, history, None).unwrap();
    let (from, rows) = (Time::from_secs(NOW), 700_i64);
    let last = Time::from_secs(NOW + (rows - 1) * STEP);
    let batch = source.recent(from, last, last, None).await.unwrap();
    assert_eq!(batch.frames.len(), 1000);
    let frame = &batch.frames[345];
    assert_eq!(frame.grid().len(), rows as usize);
    for (time, value) in frame.grid().times().zip(frame.column(0).unwrap()) {
        let expected = time.millis() / 1000 / STEP % 100 + 345;
        assert_eq!(*value, expected as f64);
    }
    // A first look at how many series there are, then 250,000 values at most.
    let widths = fake.change(|world| std::mem::take(&mut world.widths));
    assert_eq!(widths, [100, 250, 250, 100]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_cap_leaves_out_is_counted_at_every_collection() {
    let dir = tempfile::tempdir().unwrap();
    let fake = Fake::start().await;
    fake.change(|world| {
        world.until = i64::MAX;
        for (host, phase) in [("a", 0.0), ("b", 1.0), ("c", 2.0)] {
            world.add("cpu", &[("host", host)], move |t| Some(wave(t, phase)));
        }
    });
    let mut config = config(&fake.url(), &["cpu"]);
    config.entities.group_by = vec!["host".into()];
    config.entities.max = 1;
    let mut driver = Driver::open(&config, dir.path(), Time::from_secs(NOW));
    driver.until("rows", |s| !s.live.entities.is_empty()).await;
    driver.go_on(1).await;
    let before = driver.snapshot().live.counters.clone();
    assert_eq!(before.series_left_out, 2);
    driver.go_on(3).await;
    let after = driver.snapshot().live.counters.clone();
    assert_eq!(after.series_left_out, 2);
    let collections = after.collect_seconds.count - before.collect_seconds.count;
    assert_eq!(
        after.series_dropped - before.series_dropped,
        2 * collections,
        "a counter counts on"
    );
    let text = exported(&driver).await;
    assert_eq!(value(&text, "source_series_left_out"), Some(2.0));
    assert!(value(&text, "source_series_dropped_total").unwrap() >= 8.0);
    driver.stop().await;
}
