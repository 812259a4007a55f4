//! What goes wrong at the server is a state that is shown, never a crash and never a number.

use std::time::Duration;

use pulsewatch::domain::{Command, Level, PipelineId, Snapshot, SourceState, Time};

use crate::common::driver::Driver;
use crate::common::fake::Fake;
use crate::common::misbehaving::Reply;
use crate::common::servers::free_port;
use crate::fixture::{
    NOW, STEP, config, exported, is_scoring, is_up, no_false_numbers, noticed, scoring, server,
    stale, two_waves, value, warned, wave,
};

/// How long until the failing source is tried again.
fn pause(driver: &Driver) -> Option<(Time, Duration)> {
    match driver.snapshot().live.source.state {
        SourceState::Stale { retry_at, .. } => Some((retry_at, retry_at.since(driver.now))),
        _ => None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_not_there_is_tried_at_every_second_tick() {
    let dir = tempfile::tempdir().unwrap();
    let url = format!("http://127.0.0.1:{}", free_port());
    let mut config = config(&url, &["cpu"]);
    config.detect.interval = pulsewatch::config::Span::secs(10);
    let mut driver = Driver::open(&config, dir.path(), Time::from_secs(NOW));
    let first = driver.wait("stale", |s| stale(s).is_some()).await;
    assert!(stale(&first).unwrap().contains(&url), "{:?}", stale(&first));
    assert!(first.live.source.last_success.is_none());
    let mut pauses = Vec::new();
    for _ in 0..8 {
        let (retry_at, span) = pause(&driver).unwrap();
        pauses.push(span.as_secs());
        // A second before that nothing is tried.
        driver.set(retry_at - Duration::from_secs(1));
        tokio::time::sleep(Duration::from_millis(30)).await;
        assert_eq!(pause(&driver).unwrap().0, retry_at);
        driver.set(retry_at);
        driver
            .wait("tried again", |s| {
                matches!(s.live.source.state, SourceState::Stale { retry_at: next, .. } if next > retry_at)
            })
            .await;
    }
    // So that a source that is back is seen within two ticks, however long it was away.
    assert_eq!(pauses, [10, 20, 20, 20, 20, 20, 20, 20]);
    let errors = driver.snapshot().live.counters.collect_errors["connect"];
    assert_eq!(errors, 9);
    let failures = driver.told();
    let told = failures.iter().filter(|t| t.contains("failed")).count();
    assert_eq!(told, 1, "one outage is told once: {failures:?}");
    let text = exported(&driver).await;
    assert_eq!(value(&text, "source_up"), Some(0.0));
    assert_eq!(
        value(&text, "collect_errors_total{reason=\"connect\"}"),
        Some(9.0)
    );
    no_false_numbers(&driver.snapshot(), &text);
    driver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_samples_is_told_once_and_when_it_has_them_again() {
    let dir = tempfile::tempdir().unwrap();
    let fake = server().await;
    let config = config(&fake.url(), &["cpu", "load"]);
    let mut driver = scoring(&config, dir.path()).await;
    let freshness = |s: &Snapshot| {
        s.live
            .freshness(s.now, s.interval)
            .reason()
            .map(|r| r.to_string())
    };
    assert_eq!(freshness(&driver.snapshot()), None);
    fake.change(|world| {
        for expr in ["cpu", "load"] {
            world.forget(expr);
        }
    });
    driver.go_on(12).await;
    let snapshot = driver.snapshot();
    assert!(is_up(&snapshot), "it answers: {:?}", driver.told());
    assert_eq!(snapshot.live.without_samples, Duration::from_secs(12 * 60));
    let why = freshness(&snapshot).unwrap();
    assert!(why.contains("has had no sample for 12 min"), "{why}");
    let told = |driver: &Driver, text: &str| {
        let told = driver.told();
        told.iter().filter(|told| told.contains(text)).count()
    };
    assert_eq!(
        told(&driver, "has had no sample for"),
        1,
        "{:?}",
        driver.told()
    );
    fake.change(two_waves);
    driver
        .until("scoring again", |s| {
            s.live.without_samples.is_zero() && is_scoring(s)
        })
        .await;
    assert_eq!(told(&driver, "has samples again"), 1);
    assert_eq!(freshness(&driver.snapshot()), None);
    driver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_bad_query_leaves_the_others_working() {
    let dir = tempfile::tempdir().unwrap();
    let fake = server().await;
    let refusal =
        r#"{"status":"error","errorType":"bad_data","error":"1:4: parse error: unexpected end"}"#;
    fake.change(|world| {
        world
            .troubles
            .insert("nonsense(".into(), Reply::status(400, "", refusal))
    });
    let mut config = config(&fake.url(), &["cpu", "load"]);
    config
        .queries
        .insert("broken".into(), crate::common::query("nonsense("));
    let driver = scoring(&config, dir.path()).await;
    let snapshot = driver.snapshot();
    assert!(is_up(&snapshot));
    assert!(
        warned(&snapshot, "broken") && warned(&snapshot, "parse error"),
        "{:?}",
        driver.told()
    );
    let names: Vec<&str> = snapshot.live.entities[0]
        .features
        .iter()
        .map(|f| &*f.feature.name)
        .collect();
    assert_eq!(names, ["cpu", "load"]);
    no_false_numbers(&snapshot, &exported(&driver).await);
    driver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_failure_keeps_the_last_data_and_ends_when_the_server_is_well_again() {
    let dir = tempfile::tempdir().unwrap();
    let fake = server().await;
    let config = config(&fake.url(), &["cpu", "load"]);
    let mut driver = scoring(&config, dir.path()).await;
    let good = Reply::matrix(r#"{"metric":{},"values":[[1780000200,"1"]]}"#);
    let failures = [
        (
            "query",
            Reply::status(
                422,
                "",
                r#"{"status":"error","errorType":"execution","error":"many-to-many"}"#,
            ),
        ),
        ("http", Reply::status(500, "", "oops")),
        ("http", Reply::status(503, "", "<html>try later</html>")),
        ("decode", good.half()),
        ("decode", Reply::json("this is not JSON")),
        ("connect", Reply::HangUp),
    ];
    for (reason, reply) in failures {
        let count = |s: &Snapshot| s.live.counters.collect_errors.get(reason).copied();
        let before = count(&driver.snapshot()).unwrap_or(0);
        let shown = format!("{reply:?}");
        fake.change(|world| world.trouble = Some(reply));
        let failed = driver
            .until(&format!("stale: {shown:.80}"), |s| stale(s).is_some())
            .await;
        assert!(
            stale(&failed).unwrap().contains(&fake.url())
                || stale(&failed).unwrap().contains("cpu"),
            "{:?}",
            stale(&failed)
        );
        assert!(
            count(&failed).unwrap_or(0) > before,
            "{reason}: {:?}",
            failed.live.counters.collect_errors
        );
        assert_eq!(
            failed.live.entities[0].features.len(),
            2,
            "the last data stay"
        );
        assert!(failed.live.source.last_success.is_some());
        let text = exported(&driver).await;
        assert_eq!(value(&text, "source_up"), Some(0.0));
        no_false_numbers(&failed, &text);
        fake.change(|world| world.trouble = None);
        driver
            .until("well again", |s| is_up(s) && is_scoring(s))
            .await;
    }
    assert!(noticed(&driver.snapshot(), "is back"));

    // After five minutes its verdicts are no news.
    fake.change(|world| world.trouble = Some(Reply::status(500, "", "oops")));
    driver.until("stale", |s| stale(s).is_some()).await;
    driver.go_on(8).await;
    let text = exported(&driver).await;
    for gone in [
        "anomaly_score",
        "is_anomaly_detected",
        "latest_reconstruction_error_mse",
    ] {
        assert_eq!(value(&text, gone), None, "{gone}");
    }
    driver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_at_all_is_no_data_rather_than_zeros() {
    let dir = tempfile::tempdir().unwrap();
    let fake = Fake::start().await;
    let config = config(&fake.url(), &["cpu", "load"]);
    let mut driver = Driver::open(&config, dir.path(), Time::from_secs(NOW));
    let snapshot = driver.until("answered", is_up).await;
    driver.go_on(5).await;
    assert!(snapshot.live.entities.is_empty());
    assert!(warned(&snapshot, "gave no samples"), "{:?}", driver.told());
    assert_eq!(snapshot.live.readiness.have, 0);
    assert!(
        snapshot.live.readiness.text.contains("0 of 120"),
        "{:?}",
        snapshot.live.readiness
    );
    let text = exported(&driver).await;
    assert_eq!(value(&text, "source_up"), Some(1.0));
    assert_eq!(value(&text, "readiness_ratio"), Some(0.0));
    for absent in [
        "anomaly_score",
        "is_anomaly_detected",
        "samples_stale",
        "model_info",
    ] {
        assert!(
            !text.contains(&format!("\nanomaly_detector_{absent}")),
            "{absent}"
        );
    }
    no_false_numbers(&snapshot, &text);

    // It is watched as soon as there is something, and learned from.
    fake.change(two_waves);
    driver.until("scoring", is_scoring).await;
    driver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn values_that_are_no_numbers_are_missing() {
    let dir = tempfile::tempdir().unwrap();
    let fake = server().await;
    fake.change(|world| world.add("odd", &[], |t| Some(wave(t, 2.0))));
    let config = config(&fake.url(), &["cpu", "load", "odd"]);
    let mut driver = scoring(&config, dir.path()).await;
    let late = driver.now + Duration::from_secs(25 * STEP as u64);
    fake.change(|world| {
        let odd = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY];
        world.forget("odd");
        world.add("odd", &[], move |t| Some(odd[(t / STEP % 3) as usize]));
    });
    let snapshot = driver
        .until("past the window", |s| s.now >= late && is_scoring(s))
        .await;
    let view = &snapshot.live.entities[0];
    let odd = &view.features[2];
    assert_eq!(&*odd.feature.name, "odd");
    assert!(odd.values.tail(20).iter().all(|v| v.is_nan()));
    assert_eq!((odd.mse, odd.share, odd.expected), (None, None, None));
    assert!(view.features[0].mse.is_some(), "the others are scored");
    let text = exported(&driver).await;
    assert_eq!(
        value(
            &text,
            "feature_reconstruction_error_mse{feature_name=\"odd\"}"
        ),
        None
    );
    assert!(
        value(
            &text,
            "feature_reconstruction_error_mse{feature_name=\"cpu\"}"
        )
        .is_some()
    );
    no_false_numbers(&snapshot, &text);

    // With nothing observed at all there is no score either.
    fake.change(|world| {
        world.forget("cpu");
        world.forget("load");
    });
    driver.until("not scoring", |s| !is_scoring(s)).await;
    let text = exported(&driver).await;
    assert_eq!(value(&text, "anomaly_score"), None);
    assert_eq!(value(&text, "is_anomaly_detected"), None);
    assert_eq!(value(&text, "samples_stale"), Some(1.0));
    no_false_numbers(&driver.snapshot(), &text);
    driver.stop().await;
}

/// Two waves that began `rows` rows ago.
fn young(world: &mut crate::common::fake::World, rows: i64) {
    world.until = i64::MAX;
    for (expr, phase) in [("cpu", 0.0), ("load", 1.0)] {
        world.add(expr, &[], move |t| {
            // A busy host: now and then a row stands out.
            let spike = if t / STEP % 17 == 3 { 90.0 } else { 0.0 };
            (t > NOW - rows * STEP).then(|| wave(t, phase) + spike)
        });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_young_server_is_learned_from_as_soon_as_readiness_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let fake = Fake::start().await;
    fake.change(|world| young(world, 100));
    let mut config = config(&fake.url(), &["cpu", "load"]);
    config.history.period = pulsewatch::config::Span::secs(14 * 86_400);
    let mut driver = Driver::open(&config, dir.path(), Time::from_secs(NOW));
    driver
        .until("some windows", |s| {
            let readiness = &s.live.readiness;
            readiness.have >= 81 && readiness.text.contains("of 120 windows")
        })
        .await;
    let first = NOW + (139 - 100) * STEP;
    let snapshot = driver
        .until("the first model", |s| s.live.model.is_some())
        .await;
    let late = (snapshot.now.millis() / 1000 - first) / STEP;
    assert!(
        (0..=2).contains(&late),
        "{late} rows late: {:#?}",
        driver.told()
    );
    assert!(!noticed(&snapshot, "training brought no new model"));
    assert!(
        !noticed(&snapshot, "training waits"),
        "{:#?}",
        driver.told()
    );
    driver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_training_with_too_little_data_waits_for_it_and_has_not_failed() {
    let dir = tempfile::tempdir().unwrap();
    let fake = Fake::start().await;
    fake.change(|world| young(world, 100));
    let config = config(&fake.url(), &["cpu", "load"]);
    let mut driver = Driver::open(&config, dir.path(), Time::from_secs(NOW));
    driver
        .until("some windows", |s| s.live.readiness.have >= 81)
        .await;
    driver.send(Command::Retrain(PipelineId::Live));
    let told = |s: &Snapshot| noticed(s, "training waits for data: 8");
    let snapshot = driver.until("it waits", told).await;
    assert!(snapshot.live.last_training.is_none(), "it has not failed");
    assert!(snapshot.notices.iter().all(|n| n.level != Level::Error));
    let text = &snapshot.live.readiness.text;
    assert!(text.contains("of 120 windows"), "{text}");
    driver
        .until("the first model", |s| s.live.model.is_some())
        .await;
    driver.stop().await;
}
