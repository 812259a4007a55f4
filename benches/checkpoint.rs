//! What going on after a crash costs while nothing happens: bytes that the journal writes (log and pages) a day, for 1 and for
//! 1,000 entities with a row a minute, and for 1,000 of which one is in an incident all the time.
//!
//! `cargo bench --bench checkpoint` prints a JSON object per figure. Reads `/proc`, so it is for Linux.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use ndarray::Array2;
use pulsewatch::config::{Config, Span};
use pulsewatch::domain::{Entity, Feature, Frame, Grid, Schema, Time};
use pulsewatch::engine::learn;
use pulsewatch::engine::ledger::Ledger;
use pulsewatch::engine::pipeline::Pipeline;
use pulsewatch::engine::scorer::Scorer;
use pulsewatch::engine::training::Training;
use pulsewatch::store::Journal;
use serde_json::json;

const METRICS: usize = 8;
const STEP: u64 = 60;
/// Rows that are learned from, and context of the first ones that are measured.
const LEARNED: i64 = 400;
/// Rows that are measured: an hour.
const ROWS: i64 = 60;
/// Rows in an hour that count for nothing: the first checkpoints of a process.
const SETTLING: i64 = 10;

fn main() {
    figure("checkpoint-1", 1, false);
    figure("checkpoint-1000", 1_000, false);
    figure("checkpoint-1000-incident", 1_000, true);
}

fn figure(name: &str, entities: usize, broken: bool) {
    let mut config = Config::default();
    config.source.step = Span::secs(STEP);
    config.entities.group_by = vec!["instance".into()];
    config.autoencoder.epochs = 3;
    config.autoencoder.max_windows = 2_000;
    config.history.period = Span::secs(LEARNED.unsigned_abs() * STEP);
    let config = Arc::new(config);
    let frames = |from: i64, to: i64, bump: f64| -> Vec<Frame> {
        (0..entities)
            .map(|entity| frame(entity, from, to, if entity == 0 { bump } else { 0.0 }))
            .collect()
    };
    let (never, mut progress) = (AtomicBool::new(false), |_| {});
    let history = frames(0, LEARNED, 0.0);
    let training = &mut Training::new(&never, &mut progress);
    let learned = learn::learn(history.clone(), &config, training).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = Journal::open(&dir.path().join("journal.sqlite")).unwrap();
    let ledger = Ledger::new(Some(journal)).unwrap();
    let mut pipeline = Pipeline::new(Arc::clone(&config), ledger).unwrap();
    let scorer = Scorer::new(learned.bundle, Arc::clone(&config)).unwrap();
    pipeline.adopt(Arc::new(scorer));
    pipeline.know("one", &learned.held_back).unwrap();
    pipeline.ingest(&history, time(LEARNED - 1));
    pipeline.judge().unwrap();
    let (mut before, mut spent) = (0, Duration::ZERO);
    for row in LEARNED..LEARNED + SETTLING + ROWS {
        if row == LEARNED + SETTLING {
            (before, spent) = (written(), Duration::ZERO);
        }
        // It rises all the time, so it does not settle.
        let bump = if broken {
            500.0 + 50.0 * (row - LEARNED) as f64
        } else {
            0.0
        };
        pipeline.ingest(&frames(row, row + 1, bump), time(row));
        pipeline.judge().unwrap();
        let began = Instant::now();
        pipeline.commit().unwrap();
        spent += began.elapsed();
    }
    let incidents = pipeline
        .ledger()
        .shown()
        .iter()
        .filter(|i| i.is_open())
        .count();
    drop(pipeline);
    let day = 86_400 / STEP;
    let bytes = (written() - before) / ROWS.unsigned_abs() * day;
    println!(
        "{}",
        json!({
            "workload": name,
            "impl": "pulsewatch",
            "mb_a_day": bytes as f64 / 1e6,
            "seconds_a_tick": spent.as_secs_f64() / ROWS as f64,
            "open_incidents": incidents,
        })
    );
}

fn time(row: i64) -> Time {
    Time::from_secs(1_780_000_200 + row * STEP.cast_signed())
}

/// Waves with some noise, the same in every run.
fn frame(entity: usize, from: i64, to: i64, bump: f64) -> Frame {
    let schema: Schema = (0..METRICS)
        .map(|metric| Feature::plain(&format!("metric_{metric}")))
        .collect();
    let rows = usize::try_from(to - from).unwrap();
    let values = Array2::from_shape_fn((rows, METRICS), |(row, metric)| {
        let row = from + i64::try_from(row).unwrap_or(i64::MAX);
        let seed = row.unsigned_abs() * 31 + (entity * 17 + metric * 131) as u64;
        let noise = (seed.wrapping_mul(2_654_435_761) % 97) as f64 / 97.0;
        let phase = (entity * 7 + metric * 3) as f64;
        100.0 + 30.0 * (row as f64 / 25.0 + phase).sin() + 4.0 * noise + bump
    });
    let grid = Grid::new(time(from), Duration::from_secs(STEP), rows);
    let entity = Entity::named(&format!("host-{entity:04}"));
    Frame::new(entity, schema, grid, values).unwrap()
}

/// Bytes that this process has handed to the system to be written.
fn written() -> u64 {
    let io = std::fs::read_to_string("/proc/self/io").unwrap();
    let line = io.lines().find_map(|line| line.strip_prefix("wchar: "));
    line.unwrap().trim().parse().unwrap()
}
