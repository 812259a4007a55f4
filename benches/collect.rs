//! 14 days of 20 queries at a step of one minute, collected twice from a local Prometheus: the second run has the cache.
//! `cargo bench --bench collect` prints one JSON object per run; it needs Debian's `prometheus` package.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

#[path = "../tests/common/mod.rs"]
mod common;

use std::collections::BTreeMap;
use std::time::Instant;

use common::query;
use common::servers::{History, Prometheus, hours_ago};
use pulsewatch::config::{EntitiesConfig, HistoryConfig, SourceConfig};
use pulsewatch::domain::Time;
use pulsewatch::source::Collect;
use pulsewatch::source::prometheus::PrometheusSource;
use serde_json::json;

const DAYS: i64 = 14;
const QUERIES: usize = 20;
const MINUTE: i64 = 60;

#[tokio::main]
async fn main() {
    let to = hours_ago(3);
    let from = to - DAYS * 24 * 60 * MINUTE;
    let samples = |query: usize| -> Vec<(i64, f64)> {
        (from..=to)
            .step_by(60)
            .map(|t| (t, wave(query, t)))
            .collect()
    };
    let names: Vec<String> = (0..QUERIES).map(|i| format!("metric_{i}")).collect();
    let history: Vec<History> = names
        .iter()
        .enumerate()
        .map(|(i, name)| History::new(name, &[("instance", "a")], samples(i)))
        .collect();
    let server = Prometheus::with_history(&history);
    let source = SourceConfig {
        url: server.url(),
        ..SourceConfig::default()
    };
    let queries: BTreeMap<_, _> = names
        .iter()
        .map(|name| (name.clone(), query(name)))
        .collect();
    let cache = tempfile::tempdir().unwrap();
    for run in 1..=2 {
        let before = server.range_query_count();
        let started = Instant::now();
        let client = PrometheusSource::new(
            &source,
            &queries,
            &EntitiesConfig::default(),
            &HistoryConfig::default(),
            Some(cache.path().to_owned()),
        )
        .unwrap();
        let period = (Time::from_secs(from), Time::from_secs(to));
        let batch = client.history(&[period], None, &|_| ()).await.unwrap();
        let seconds = started.elapsed().as_secs_f64();
        let values = batch.frames[0].values();
        assert_eq!(values.ncols(), QUERIES);
        assert!(values.iter().all(|value| value.is_finite()));
        let line = json!({
            "workload": "collect", "impl": "pulsewatch", "run": run, "seconds": seconds,
            "requests": server.range_query_count() - before, "rows": values.nrows(), "queries": QUERIES,
        });
        println!("{line}");
    }
}

/// A daily wave with digits enough that an answer has the size of a real one.
fn wave(query: usize, time: i64) -> f64 {
    let turn = time as f64 / 86_400.0 * std::f64::consts::TAU + query as f64;
    50.0 + 30.0 * turn.sin() + (turn * 37.0).cos()
}
