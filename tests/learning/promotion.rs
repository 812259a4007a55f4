//! A new model takes the place of the old one only when it is not clearly worse.

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use ndarray::Array2;
use pulsewatch::config::{Config, Promote};
use pulsewatch::domain::{
    Command, Decision, Entity, Feature, Frame, Grid, PipelineId, Snapshot, Time,
};
use pulsewatch::engine::cleaning::{self, LeftOut};
use pulsewatch::engine::learn::{self, Learned, Prepared};
use pulsewatch::engine::promotion::decide;
use pulsewatch::engine::training::Training;
use pulsewatch::store::Registry;

use crate::common::fake::Fake;
use crate::fixture::{
    NOW, STEP, bumped, config, is_scoring, noticed, scoring, server, small, wave,
};

/// A wave `times` as high, and one on another scale.
fn frame(times: f64) -> Frame {
    let grid = Grid::new(
        Time::from_secs(NOW),
        std::time::Duration::from_secs(60),
        700,
    );
    let values = Array2::from_shape_fn((700, 2), |(row, column)| {
        let value = wave(NOW + row as i64 * STEP, column as f64);
        value * times * if column == 0 { 1.0 } else { 1e6 }
    });
    let schema = [Feature::plain("cpu"), Feature::plain("bytes")].into();
    Frame::new(Entity::sole(), schema, grid, values).unwrap()
}

fn settings(epochs: usize) -> Config {
    let mut config = Config::default();
    small(&mut config);
    config.autoencoder.epochs = epochs;
    config
}

fn taught(frame: &Frame, config: &Config) -> (Prepared, Learned) {
    let out = LeftOut::of(config);
    let mut prepared = learn::prepare(vec![frame.clone()], &out, config).unwrap();
    let cancel = AtomicBool::new(false);
    let learned = cleaning::refine(
        &mut prepared,
        &out,
        config,
        &mut Training::new(&cancel, &mut |_| {}),
    )
    .unwrap();
    let views = learned.bundle.views.as_ref();
    assert!(views.is_some_and(|views| views.entities.len() == 1));
    (prepared, learned)
}

#[test]
fn a_clearly_worse_model_is_refused_with_figures() {
    let good = settings(12);
    let bad = settings(1);
    let (_, champion) = taught(&frame(1.0), &good);
    let (prepared, worse) = taught(&frame(1.0), &bad);
    let of = |forced, config: &Config| -> Decision {
        decide(&prepared, &worse, Some(&champion.bundle), forced, config).unwrap()
    };
    let refused = of(false, &bad);
    assert!(!refused.promoted, "{refused:?}");
    let figures = refused.comparison.unwrap();
    assert!(figures.windows >= 100, "{figures:?}");
    assert!(
        figures.challenger_error > 2.0 * figures.champion_error,
        "{figures:?}"
    );
    assert!(
        refused.told().contains("refused: its error is"),
        "{}",
        refused.told()
    );

    assert!(of(true, &bad).promoted);
    let mut always = bad.clone();
    always.retrain.promote = Promote::Always;
    assert!(of(false, &always).promoted);
    assert!(
        decide(&prepared, &worse, None, false, &bad)
            .unwrap()
            .promoted
    );
}

#[test]
fn a_better_model_is_promoted_whatever_its_scale() {
    let (_, champion) = taught(&frame(1.0), &settings(1));
    // The new one learned from twice the range: its own errors are in other units.
    let (prepared, better) = taught(&frame(2.0), &settings(12));
    let config = settings(12);
    let decision = decide(&prepared, &better, Some(&champion.bundle), false, &config).unwrap();
    assert!(decision.promoted, "{decision:?}");
    let figures = decision.comparison.unwrap();
    assert!(
        figures.challenger_error < figures.champion_error,
        "{figures:?}"
    );
    // A model against itself: the same error in the same units.
    let same = decide(&prepared, &better, Some(&better.bundle), false, &config).unwrap();
    let figures = same.comparison.unwrap();
    assert!(
        (figures.challenger_error / figures.champion_error - 1.0).abs() < 1e-3,
        "{figures:?}"
    );
    assert!(same.promoted);
}

#[test]
fn a_champion_that_saw_a_metric_stand_still_gives_way_when_it_moves() {
    let moving = frame(1.0);
    let mut values = moving.values().to_owned();
    values.column_mut(1).fill(0.0);
    let schema = std::sync::Arc::clone(moving.schema());
    let still = Frame::new(Entity::sole(), schema, *moving.grid(), values).unwrap();
    let config = settings(12);
    let (_, champion) = taught(&still, &config);
    let (prepared, better) = taught(&moving, &config);
    let decision = decide(&prepared, &better, Some(&champion.bundle), false, &config).unwrap();
    assert!(decision.promoted, "{decision:?}");
    assert!(decision.reason.contains("raises alarms on"), "{decision:?}");
    // In spreads of the rows, and bounded: no feature decides alone.
    let figures = decision.comparison.unwrap();
    assert!(
        figures.challenger_error < 1.0 && figures.champion_error < 100.0,
        "{figures:?}"
    );
}

fn was_refused(snapshot: &Snapshot) -> bool {
    let outcome = snapshot.live.last_training.as_ref();
    let decision = outcome.and_then(|outcome| outcome.decision.as_ref());
    decision.is_some_and(|decision| !decision.promoted)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_engine_keeps_the_better_model_and_shows_the_other() {
    let dir = tempfile::tempdir().unwrap();
    let fake = server().await;
    let mut config = config(&fake.url(), &["cpu", "load"]);
    let driver = scoring(&config, dir.path()).await;
    let version = driver.snapshot().live.model.clone().unwrap().version;
    driver.stop().await;

    config.autoencoder.epochs = 1;
    config.autoencoder.learning_rate = 1e-6;
    config.retrain.every = pulsewatch::config::Span::secs(3600);
    let mut driver = scoring(&config, dir.path()).await;
    driver.send(Command::Retrain(PipelineId::Live));
    let snapshot = driver.until("refused", was_refused).await;
    assert_eq!(snapshot.live.model.as_ref().unwrap().version, version);
    assert!(noticed(&snapshot, "was refused: its error is"));
    assert!(is_scoring(&snapshot));
    // What was refused is not tried again before its time.
    let ended = snapshot.live.last_training.as_ref().unwrap().ended;
    driver.go_on(20).await;
    assert_eq!(
        driver.snapshot().live.last_training.as_ref().unwrap().ended,
        ended
    );
    driver.stop().await;

    let listed = Registry::open(&dir.path().join("models")).list().unwrap();
    assert_eq!(listed.len(), 2);
    assert!(listed[0].meta.was_refused() && !listed[0].current && listed[1].current);
    let mut out = Vec::new();
    pulsewatch::commands::models::list(dir.path(), false, Time::from_secs(NOW), &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    assert!(
        text.contains("refused: its error is") && text.contains("clean windows"),
        "{text}"
    );
}

/// Whether another training follows within 60 rows of a model after which this many of three metrics stand 200 higher.
async fn is_trained_again(jumping: usize) -> bool {
    let dir = tempfile::tempdir().unwrap();
    let fake = Fake::start().await;
    let names = ["cpu", "load", "disk"];
    fake.change(|world| {
        world.until = i64::MAX;
        for (name, phase) in names.iter().zip([0.0, 1.0, 2.0]) {
            world.add(name, &[], move |t| Some(wave(t, phase)));
        }
    });
    let config = config(&fake.url(), &names);
    let mut driver = scoring(&config, dir.path()).await;
    let ended = |s: &Snapshot| s.live.last_training.as_ref().map(|t| t.ended);
    let first = ended(&driver.snapshot());
    let from = driver.now.millis() / 1000 + 3 * STEP;
    fake.change(|world| {
        for (name, phase) in names.iter().zip([0.0, 1.0, 2.0]).take(jumping) {
            world.forget(name);
            world.add(name, &[], move |t| Some(bumped(t, phase, from, i64::MAX)));
        }
    });
    let end = driver.now + Duration::from_secs(60 * STEP as u64);
    let snapshot = driver
        .until("trained again, or not", |s| {
            ended(s) != first || s.now >= end
        })
        .await;
    assert!(!snapshot.live.incidents.is_empty(), "{:?}", driver.told());
    driver.stop().await;
    ended(&snapshot) != first
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incident_of_most_metrics_that_begins_with_a_model_brings_a_training() {
    assert!(is_trained_again(3).await);
    assert!(!is_trained_again(1).await);
}
