//! The same client against VictoriaMetrics.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::float_cmp
)]

mod common;

use std::collections::BTreeMap;

use common::query;
use common::servers::{History, VictoriaMetrics, hours_ago};
use pulsewatch::config::{EntitiesConfig, HistoryConfig, SourceConfig, Span};
use pulsewatch::domain::Time;
use pulsewatch::source::Collect;
use pulsewatch::source::prometheus::PrometheusSource;

#[tokio::test]
async fn collects_probes_and_reports_bad_queries() {
    let (from, to) = (hours_ago(30), hours_ago(2));
    let samples = |level: i64| -> Vec<(i64, f64)> {
        (from..=to)
            .step_by(60)
            .map(|t| (t, (level + t / 60 % 100) as f64))
            .collect()
    };
    let server = VictoriaMetrics::start();
    server.import(&[
        History::new("m", &[("instance", "a"), ("cpu", "0")], samples(0)),
        History::new("m", &[("instance", "a"), ("cpu", "1")], samples(1000)),
        History::new("m", &[("instance", "b"), ("cpu", "0")], samples(2000)),
    ]);
    let source = SourceConfig {
        url: server.url(),
        ..SourceConfig::default()
    };
    let entities = EntitiesConfig {
        group_by: vec!["instance".into()],
        ..EntitiesConfig::default()
    };
    let queries = BTreeMap::from([
        ("m".to_owned(), query("m")),
        ("bad".to_owned(), query("m{")),
    ]);
    let cache = tempfile::tempdir().unwrap();
    let client = PrometheusSource::new(
        &source,
        &queries,
        &entities,
        &HistoryConfig::default(),
        Some(cache.path().to_owned()),
    )
    .unwrap();
    let period = (Time::from_secs(from), Time::from_secs(to));
    for _ in 0..2 {
        let batch = client.history(&[period], None, &|_| ()).await.unwrap();
        assert_eq!(batch.frames.len(), 2);
        let names: Vec<&str> = batch.frames[0].schema().iter().map(|f| &*f.name).collect();
        assert_eq!(names, [r#"m{cpu="0"}"#, r#"m{cpu="1"}"#]);
        let values = batch.frames[0].column(1).unwrap().to_vec();
        let expected: Vec<f64> = samples(1000).iter().map(|(_, v)| *v).collect();
        assert_eq!(values, expected);
        assert!(batch.warnings[0].contains("`bad`"), "{:?}", batch.warnings);
    }
    let probe = client.probe(&[]).await.unwrap();
    assert!(probe.queries[0].error.is_some());
    assert_eq!(probe.queries[1].query, "m");
}

/// It answers with the value before them for samples of the last 30 s, unless it is told how long they were waited for.
#[tokio::test]
async fn its_newest_values_are_not_repeated_ones() {
    let now = hours_ago(0);
    let newest = now - now % 5;
    let server = VictoriaMetrics::start();
    let samples = (newest - 300..=newest).step_by(5).map(|t| (t, t as f64));
    server.import(&[History::new("ramp", &[], samples.collect())]);
    let source = SourceConfig {
        url: server.url(),
        step: Span::secs(5),
        latency_offset: Span::secs(0),
        ..SourceConfig::default()
    };
    let queries = BTreeMap::from([("ramp".to_owned(), query("ramp"))]);
    let client = PrometheusSource::new(
        &source,
        &queries,
        &EntitiesConfig::default(),
        &HistoryConfig::default(),
        None,
    )
    .unwrap();
    let period = (Time::from_secs(newest - 60), Time::from_secs(newest));
    let batch = client.history(&[period], None, &|_| ()).await.unwrap();
    let frame = &batch.frames[0];
    let values: Vec<f64> = frame.column(0).unwrap().to_vec();
    let expected: Vec<f64> = frame
        .grid()
        .times()
        .map(|t| (t.millis() / 1000) as f64)
        .collect();
    assert_eq!(values, expected);
}
