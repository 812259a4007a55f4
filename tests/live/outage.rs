//! A server that hangs, dies and comes back under a running engine, and one that has only just begun to scrape.

use std::collections::BTreeSet;
use std::sync::Arc;

use pulsewatch::config::Span;
use pulsewatch::domain::{Level, ModelView, RowState, Snapshot, SourceState};

use crate::common::servers::{History, Prometheus};
use crate::driven::{BEGIN, Driven, STEP, config, entity, level, series};

const HOUR: i64 = 3600;
const METRICS: [&str; 2] = ["cpu_load", "memory"];
const INSTANCES: [&str; 2] = ["a", "b"];
const LEARNED: i64 = 30;

fn history(from: i64, to: i64) -> Vec<History> {
    let mut all = Vec::new();
    for (i, instance) in INSTANCES.iter().enumerate() {
        for (m, metric) in METRICS.iter().enumerate() {
            all.push(series(metric, instance, (from, to), |t| {
                Some(level(i, m, t))
            }));
        }
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_hangs_and_dies_costs_no_row_and_raises_no_alarm() {
    let start = BEGIN;
    let mut server =
        Prometheus::with_history(&history(start - (LEARNED + 1) * HOUR, start + 5 * HOUR));
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(&server, &METRICS, (LEARNED * HOUR).unsigned_abs());
    config.source.retries = 0;
    config.source.timeout = Span::secs(2);
    let mut engine = Driven::start(config, dir.path(), start);
    engine.trained().await;
    for _ in 0..20 {
        engine.tick().await;
    }

    for kind in ["timeout", "connect"] {
        let good = engine.tick().await;
        if kind == "timeout" {
            server.freeze();
        } else {
            server.crash();
        }
        let bad = engine.failed().await;
        is_told(&good, &bad, kind, &server.url());
        // Nearly an hour is over before it is back.
        for _ in 0..25 {
            assert_eq!(
                settled(&mut engine).await.live.source.last_success,
                good.live.source.last_success
            );
        }
        if kind == "timeout" {
            server.thaw();
        } else {
            server.restart();
        }
        let back = loop {
            let snapshot = settled(&mut engine).await;
            if snapshot.live.source.state == SourceState::Up {
                break snapshot;
            }
        };
        let told = back.notices.last().unwrap();
        assert!(told.text.contains("is back"), "{told:?}");
        assert_eq!(entity(&back, "a").grid.last(), Some(engine.due()));
    }

    for _ in 0..20 {
        engine.tick().await;
    }
    for instance in INSTANCES {
        let rows = engine
            .rows(instance, engine.now.millis() / 1000 - start)
            .await;
        assert!(
            rows.series
                .iter()
                .all(|s| s.values.iter().all(|v| v.is_finite())),
            "{rows:#?}"
        );
    }
    let last = engine.stop().await;
    assert!(last.live.incidents.is_empty(), "{:#?}", last.live.incidents);
    let view = entity(&last, "b");
    let scored = view.scores.tail(view.grid.len());
    let scored: Vec<f64> = view
        .grid
        .times()
        .zip(scored)
        .filter_map(|(t, score)| (t.millis() / 1000 > start).then_some(score))
        .collect();
    assert!(scored.len() > 90);
    assert!(
        scored.iter().all(|score| score.is_finite()),
        "every row has its verdict"
    );
}

/// Everybody hears that the source fails, why, and when it is tried again; the last data stays.
fn is_told(good: &Snapshot, bad: &Snapshot, kind: &str, url: &str) {
    let SourceState::Stale {
        since,
        error,
        retry_at,
    } = &bad.live.source.state
    else {
        panic!("{:?}", bad.live.source)
    };
    let success = good.live.source.last_success;
    assert_eq!((*since, bad.live.source.last_success), (success, success));
    assert!(error.contains(url), "{error}");
    assert!(*retry_at > bad.now, "{retry_at} is not after {}", bad.now);
    assert_eq!(entity(bad, "a").grid.last(), entity(good, "a").grid.last());
    let latest = entity(bad, "a").latest.as_ref();
    assert!(latest.is_some_and(|v| v.state == RowState::Scored));
    let errors = &bad.live.counters.collect_errors;
    assert_eq!(errors.get(kind), Some(&1), "{errors:?}");
    let mut told = bad.notices.iter().filter(|n| n.level == Level::Error);
    let last = told.next_back().unwrap();
    assert!(last.text.contains(error), "{last:?}");
}

/// One step on: either the source works, or it is clear when it is tried again.
async fn settled(engine: &mut Driven) -> Arc<Snapshot> {
    engine.advance();
    let now = engine.now;
    let wanted = |s: &Snapshot| {
        s.now == now
            && match &s.live.source.state {
                SourceState::Stale { retry_at, .. } => *retry_at > now,
                state => *state == SourceState::Up,
            }
    };
    engine.until("settled", wanted).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_young_server_is_learned_from_when_it_has_enough() {
    // One metric comes an hour later than the other, one when there is a model; before the first sample there is nothing.
    let began = BEGIN;
    let late = began + HOUR;
    let latest = began + 6 * HOUR;
    let to = began + 9 * HOUR;
    let value = |metric: usize| move |t: i64| Some(level(0, metric, t));
    let server = Prometheus::with_history(&[
        series("memory", "a", (began, to), value(1)),
        series("cpu_load", "a", (late, to), value(0)),
        series("disk", "a", (latest, to), value(2)),
    ]);
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(&server, &["cpu_load", "disk", "memory"], 14 * 86_400);
    config.autoencoder.window = 5;
    config.autoencoder.epochs = 2;
    let mut engine = Driven::start(config, dir.path(), began + 20 * STEP);

    let young = engine
        .until("looked at", |s| {
            !s.live.entities.is_empty() && s.live.training.is_none()
        })
        .await;
    assert_eq!(young.live.last_training, None);
    let readiness = &young.live.readiness;
    assert!((10..30).contains(&readiness.have), "{readiness:?}");
    assert!(readiness.text.contains("of 120 windows"), "{readiness:?}");

    let trained = loop {
        let snapshot = engine.tick().await;
        if snapshot.live.readiness.have >= snapshot.live.readiness.need {
            break engine.trained().await;
        }
        assert!(
            snapshot.live.last_training.is_none(),
            "{:?}",
            snapshot.live.last_training
        );
    };
    let model = trained.live.model.clone().unwrap();
    assert!(
        model.trained_on.0.millis() / 1000 <= began + STEP
            && model.trained_on.0.millis() / 1000 >= began,
        "learned from the first sample on: {model:?}"
    );
    let shown: Vec<&str> = entity(&trained, "a")
        .features
        .iter()
        .map(|f| &*f.feature.name)
        .collect();
    assert_eq!(shown, METRICS, "the metric that came late is there");
    has_all(&engine, &[("cpu_load", 0, late), ("memory", 1, began)]).await;

    grows(&mut engine, &model, to).await;
    has_all(
        &engine,
        &[
            ("cpu_load", 0, late),
            ("disk", 2, latest),
            ("memory", 1, began),
        ],
    )
    .await;
    engine.stop().await;
}

/// With twice the history it learns anew, and then not at every chance. The new column's past comes too.
async fn grows(engine: &mut Driven, model: &ModelView, to: i64) {
    let mut versions = BTreeSet::new();
    let mut seen = 0;
    while engine.now.millis() / 1000 < to - STEP {
        let snapshot = engine.tick().await;
        let newest = snapshot.live.model.as_ref().unwrap();
        versions.insert(newest.version.clone());
        if newest.version != model.version {
            let windows = (newest.windows, model.windows);
            assert!(windows.0 > windows.1 * 3 / 2, "{windows:?}");
            let disk = &entity(&snapshot, "a").features[1].values;
            seen = disk.iter().filter(|v| v.is_finite()).count();
        }
    }
    assert_eq!(versions.len(), 2, "{versions:?}");
    assert!(seen > 30, "{seen} values of the new column");
}

/// The engine has these columns: name, number of the metric, time from which on there are samples.
async fn has_all(engine: &Driven, columns: &[(&str, usize, i64)]) {
    let rows = engine.rows("a", 12 * HOUR).await;
    assert_eq!(rows.series.len(), columns.len());
    for ((name, metric, from), one) in columns.iter().zip(&rows.series) {
        assert_eq!(&*one.name, *name);
        for (time, value) in rows.grid.times().zip(&one.values) {
            let t = time.millis() / 1000;
            let there = t >= *from;
            assert_eq!(value.is_finite(), there, "{name} at {t}: {value}");
            assert!(
                !there || *value == level(0, *metric, t),
                "{name} at {t}: {value}"
            );
        }
    }
}
