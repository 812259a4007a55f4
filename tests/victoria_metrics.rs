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
use std::time::Duration;

use common::query;
use common::servers::{History, VictoriaMetrics, hours_ago};
use pulsewatch::config::{EntitiesConfig, HistoryConfig, SourceConfig, Span};
use pulsewatch::domain::{Grid, Time};
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
    let probe = client.probe(wall(), &[]).await.unwrap();
    assert!(probe.queries[0].error.is_some());
    assert_eq!(probe.queries[1].query, "m");
}

/// A client of a ramp whose value at a time is that time, one sample every five seconds until well after now.
fn ramp(server: &VictoriaMetrics) -> PrometheusSource {
    let newest = wall().millis() / 1000 / 5 * 5 + 600;
    let samples = (newest - 1200..=newest).step_by(5).map(|t| (t, t as f64));
    server.import(&[History::new("ramp", &[], samples.collect())]);
    let source = SourceConfig {
        url: server.url(),
        step: Span::secs(5),
        latency_offset: Span::secs(0),
        ..SourceConfig::default()
    };
    PrometheusSource::new(
        &source,
        &BTreeMap::from([("ramp".to_owned(), query("ramp"))]),
        &EntitiesConfig::default(),
        &HistoryConfig::default(),
        None,
    )
    .unwrap()
}

fn wall() -> Time {
    Time::from_millis(jiff::Timestamp::now().as_millisecond())
}

/// Rows whose value is not their own time, of the last two minutes up to `back` before now.
async fn repeated(client: &PrometheusSource, back: Duration) -> usize {
    let now = wall();
    let due = Grid::align(now - back, Duration::from_secs(5));
    let from = due - Duration::from_secs(120);
    let batch = client.recent(from, due, now, None).await.unwrap();
    let frame = &batch.frames[0];
    assert_eq!(frame.grid().last(), Some(due));
    let values = frame.column(0).unwrap();
    let rows = frame.grid().times().zip(values);
    rows.filter(|(time, value)| **value != (time.millis() / 1000) as f64)
        .count()
}

/// For 30 s it repeats the value before; a value that was judged is judged for good.
#[tokio::test]
async fn its_newest_rows_are_waited_for_until_they_have_their_own_values() {
    let server = VictoriaMetrics::start();
    let client = ramp(&server);
    // Until it was asked, it is taken for one that repeats.
    assert_eq!(client.settling(), Duration::from_secs(30));
    assert!(repeated(&client, Duration::ZERO).await >= 5);
    let settling = client.settling();
    let known = Duration::from_secs(30)..=Duration::from_secs(33);
    assert!(known.contains(&settling), "{settling:?}");
    for _ in 0..20 {
        assert_eq!(repeated(&client, settling).await, 0);
        tokio::time::sleep(Duration::from_millis(370)).await;
    }
    let probe = client.probe(wall(), &[]).await.unwrap();
    let [note] = probe.notes.as_slice() else {
        panic!("{:?}", probe.notes);
    };
    assert!(
        note.contains("repeats older values for its newest 3"),
        "{note}"
    );
}
