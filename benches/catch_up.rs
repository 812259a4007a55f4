//! What an engine that is far behind still answers: 1,000 entities of 4 queries whose rows of six hours come at once. Asked all
//! the time meanwhile: the history of one entity. Beside it the longest time between two publications, which the watchdog of
//! the program sees (it ends an engine after a minute), and the memory at most.
//!
//! `cargo bench --bench catch_up` prints one JSON object. The server it collects from runs in the same process, on the same
//! processors. Reads `/proc`, so it is for Linux.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

#[path = "../tests/common/mod.rs"]
mod common;
#[path = "common/processor.rs"]
mod processor;

use std::time::{Duration, Instant};

use common::driver::Driver;
use common::fake::{Fake, World};
use common::query;
use pulsewatch::config::{Config, SourceKind, Span};
use pulsewatch::domain::{Entity, HistoryQuery, PipelineId, PipelineView, RowState, Time};
use serde_json::json;

const HOSTS: usize = 1000;
const QUERIES: usize = 4;
const STEP: u64 = 60;
/// Rows that are learned from.
const LEARNED: u64 = 400;
/// Rows that come at once: six hours.
const AWAY: u64 = 360;
/// Longer than a look takes.
const PAUSE: Duration = Duration::from_secs(5);
/// Longest that it may take.
const LONGEST: Duration = Duration::from_secs(240);
const NOW: i64 = 1_780_000_200;

#[tokio::main]
async fn main() {
    let fake = Fake::start().await;
    fake.change(fleet);
    let dir = tempfile::tempdir().unwrap();
    let mut driver = Driver::open(&config(&fake.url()), dir.path(), Time::from_secs(NOW));
    let is_scored = |state: RowState| state == RowState::Scored;
    driver
        .until("scoring", |s| {
            let latest = |e: &pulsewatch::domain::EntityView| e.latest.as_ref().map(|v| v.state);
            s.live.entities.len() == HOSTS
                && s.live
                    .entities
                    .iter()
                    .filter_map(|e| latest(e))
                    .all(is_scored)
                && s.live.model.is_some()
                && s.live.training.is_none()
        })
        .await;
    // No look is under way when the absence begins: every row is judged.
    while judged(&driver.snapshot().live) != Some(driver.now) {
        driver.set(driver.now + Duration::from_secs(STEP));
        tokio::time::sleep(PAUSE).await;
    }
    let quiet = resident("VmRSS:");
    std::fs::write("/proc/self/clear_refs", "5").unwrap();

    driver.set(driver.now + Duration::from_secs(AWAY * STEP));
    let due = driver.now;
    let before = processor::cpu_seconds(std::process::id());
    let began = Instant::now();
    let mut publications = driver.snapshots();
    let turns = tokio::spawn(async move {
        let (mut last, mut longest, mut behind) = (Instant::now(), Duration::ZERO, false);
        while publications.changed().await.is_ok() {
            longest = longest.max(last.elapsed());
            last = Instant::now();
            let live = &publications.borrow_and_update().live;
            behind |= live.catching_up.is_some();
            if behind && live.catching_up.is_none() && judged(live) == Some(due) {
                break;
            }
        }
        longest
    });
    let mut answers = Vec::new();
    while !turns.is_finished() {
        let query = HistoryQuery {
            pipeline: PipelineId::Live,
            entity: Entity::named(&format!("host-{:04}", answers.len() % HOSTS)),
            from: None,
            to: None,
            max_points: 100,
        };
        assert!(began.elapsed() < LONGEST, "{:#?}", driver.told());
        let asked = Instant::now();
        driver.control().history(query).await.unwrap();
        answers.push(asked.elapsed().as_secs_f64() * 1e3);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let took = began.elapsed();
    answers.sort_by(f64::total_cmp);
    let percentile = |percent: usize| answers[(answers.len() - 1) * percent / 100];
    println!(
        "{}",
        json!({
            "workload": "catch_up",
            "impl": "pulsewatch",
            "entities": HOSTS,
            "rows": AWAY,
            "seconds": took.as_secs_f64(),
            "processor_seconds": processor::cpu_seconds(std::process::id()) - before,
            "asked": answers.len(),
            "answer_ms_median": percentile(50),
            "answer_ms_p99": percentile(99),
            "answer_ms_most": percentile(100),
            "longest_turn_ms": turns.await.unwrap().as_secs_f64() * 1e3,
            "quiet_mb": quiet,
            "most_mb": resident("VmHWM:"),
        })
    );
    driver.stop().await;
}

/// The newest row of which every entity has its verdict.
fn judged(live: &PipelineView) -> Option<Time> {
    let latest = live.entities.iter().filter_map(|e| e.latest.as_ref());
    latest.map(|verdict| verdict.time).min()
}

fn resident(line: &str) -> f64 {
    processor::resident_mb(std::process::id(), line)
}

fn fleet(world: &mut World) {
    world.until = i64::MAX;
    for query in 0..QUERIES {
        for host in 0..HOSTS {
            let name = format!("host-{host:04}");
            let phase = (host * 7 + query * 3) as f64;
            world.add(&alias(query), &[("instance", &name)], move |time| {
                let row = time.div_euclid(STEP.cast_signed());
                let noise = (row.wrapping_mul(7919) % 1000) as f64 / 1000.0 - 0.5;
                Some(50.0 + 20.0 * (row as f64 * 0.15 + phase).sin() + noise)
            });
        }
    }
}

fn alias(query: usize) -> String {
    format!("metric_{query}")
}

fn config(url: &str) -> Config {
    let mut config = Config::default();
    config.source.kind = SourceKind::Prometheus;
    config.source.url = url.into();
    config.source.step = Span::secs(STEP);
    config.source.latency_offset = Span::secs(0);
    config.entities.group_by = vec!["instance".into()];
    config.history.period = Span::secs(LEARNED * STEP);
    config.history.cache = false;
    config.autoencoder.epochs = 3;
    config.forecast.enabled = false;
    config.retrain.every = Span::secs(0);
    config.detect.interval = Span::secs(STEP);
    config.queries = (0..QUERIES).map(|i| (alias(i), query(&alias(i)))).collect();
    config
}
