//! What a tick of a fleet costs: 1,000 entities of 8 series each from a Prometheus-like server, from its answers to published
//! verdicts, as the program's own processor time. `cargo bench --bench fleet` prints a JSON object per fleet; 100 entities come
//! too, to show that cost grows with them. `PULSEWATCH_BIN` names another program. Reads `/proc`, so it is for Linux.
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
#[allow(dead_code)] // This one needs no terminal.
#[path = "common/program.rs"]
mod program;

use std::fmt::Write as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime};

use common::fake::Fake;
use common::http;
use common::servers::free_port;
use processor::{cpu_seconds, resident_mb};
use serde_json::json;

const METRICS: usize = 8;
const STEP: u64 = 5;
/// Ticks that are measured.
const TICKS: u64 = 12;

/// The program, ended when dropped.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[tokio::main]
async fn main() {
    for entities in [100, 300, 1_000] {
        tick(entities).await;
    }
}

async fn tick(entities: usize) {
    let server = Fake::start().await;
    server.change(|world| {
        world.until = i64::MAX;
        for metric in 0..METRICS {
            for entity in 0..entities {
                let labels = [("instance", &*format!("host-{entity:04}"))];
                world.add(&format!("metric_{metric}"), &labels, move |t| {
                    Some(level(entity, metric, t))
                });
            }
        }
    });
    let dir = tempfile::tempdir().unwrap();
    let port = free_port();
    let file = dir.path().join("fleet.toml");
    std::fs::write(&file, config(&server.url(), port)).unwrap();
    let program = Program(
        Command::new(program::path())
            .args(["run", "--no-tui", "--config"])
            .arg(&file)
            .arg("--data-dir")
            .arg(dir.path())
            .env("HOME", dir.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap(),
    );
    let id = program.0.id();
    wait_for(port, "anomaly_detector_model_info{").await;
    // What came while it trained is caught up with.
    tokio::time::sleep(Duration::from_secs(3 * STEP)).await;
    let before = (collections(port).await, cpu_seconds(id));
    tokio::time::sleep(Duration::from_secs(TICKS * STEP)).await;
    let after = (collections(port).await, cpu_seconds(id));
    let ticks = after.0 - before.0;
    let name = match entities {
        1_000 => "fleet".to_owned(),
        fewer => format!("fleet-{fewer}"),
    };
    println!(
        "{}",
        json!({
            "workload": name,
            "impl": "pulsewatch",
            "seconds": (after.1 - before.1) / ticks,
            "ticks": ticks,
            "series": entities * METRICS,
            "resident_mb": resident_mb(id, "VmRSS"),
            "peak_rss_mb": resident_mb(id, "VmHWM"),
        })
    );
}

fn config(url: &str, port: u16) -> String {
    let mut text = format!(
        r#"
[source]
kind = "prometheus"
url = "{url}"
step = "{STEP}s"
latency_offset = "0s"
[detect]
interval = "{STEP}s"
[entities]
group_by = ["instance"]
[history]
period = "20m"
cache = false
[autoencoder]
epochs = 3
[forecast]
enabled = false
[exporter]
listen = "127.0.0.1:{port}"
"#
    );
    for metric in 0..METRICS {
        writeln!(
            text,
            "[queries.metric_{metric}]\nexpr = \"metric_{metric}\""
        )
        .unwrap();
    }
    text
}

/// A wave with some noise, the same in every run.
fn level(entity: usize, metric: usize, time: i64) -> f64 {
    let phase = (entity * 7 + metric * 3) as f64;
    let seed = time.unsigned_abs() * 31 + (entity * 17 + metric * 131) as u64;
    let noise = (seed % 97) as f64 / 97.0;
    100.0 + 30.0 * (time as f64 / 120.0 + phase).sin() + 4.0 * noise
}

/// The exporter's page, once it says `what`.
async fn wait_for(port: u16, what: &str) {
    let began = SystemTime::now();
    loop {
        if page(port).await.contains(what) {
            return;
        }
        assert!(
            began.elapsed().unwrap() < Duration::from_secs(300),
            "the exporter never said {what}"
        );
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

async fn page(port: u16) -> String {
    let asked = move || http::request(port, "GET", "/metrics", b"");
    let answer = tokio::task::spawn_blocking(asked).await.unwrap();
    answer.map(|(_, body)| body).unwrap_or_default()
}

/// Collections so far: one a tick.
async fn collections(port: u16) -> f64 {
    let page = page(port).await;
    let line = page
        .lines()
        .find(|line| line.starts_with("anomaly_detector_collect_duration_seconds_count"));
    line.and_then(|line| line.rsplit(' ').next()?.parse().ok())
        .unwrap_or_else(|| panic!("no count of collections"))
}
