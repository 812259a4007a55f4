//! The presets of both older programs as they are shipped, against a real Prometheus: train, score, find a caused spike,
//! forecast, export. The first one's metrics are those of a Windows host and its graphics card, as its queries ask for; the
//! second one's are those that a real node_exporter has here.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_precision_loss
)]

mod common;

use std::time::Instant;

use common::driver::Driver;
use common::http;
use common::servers::{History, NodeExporter, Prometheus};
use pulsewatch::config::{self, Config, presets};
use pulsewatch::domain::{EntityView, Snapshot, Time};
use pulsewatch::serve::Server;

const MINUTE: i64 = 60;
const HOUR: i64 = 3600;

/// When the engines start. Fixed, so that every run learns the same.
const BEGIN: i64 = 1_795_165_200;

/// A wave of `period` seconds with a little noise, between 0 and 1.
fn wave(time: i64, period: i64, seed: i64) -> f64 {
    let turn = (time as f64 / period as f64 * std::f64::consts::TAU).sin();
    let noise = ((time / 15 + seed * 131) * 7919).rem_euclid(1009) as f64 / 1009.0;
    0.5 + 0.4 * turn + 0.2 * (noise - 0.5)
}

/// A preset for `server`, its listener on a free port: all else as shipped.
fn preset(text: &str, server: &Prometheus) -> Config {
    let mut config = config::parse(text, "preset").unwrap();
    config.source.url = server.url();
    config.source.os = Some(config.source.os.unwrap_or(config::Os::Linux));
    config
}

/// What is scraped of an engine that runs.
async fn scraped(driver: &Driver, config: &Config) -> String {
    let mut exporter = config.exporter.clone();
    exporter.listen = ([127, 0, 0, 1], 0).into();
    let bound = Server::bind(&exporter, &config.api, true).unwrap().unwrap();
    let port = bound.local_addr().port();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let over = async move {
        let _ = stopped.await;
    };
    let serving = tokio::spawn(bound.serve(driver.snapshots(), driver.shared_control(), over));
    let asked = tokio::task::spawn_blocking(move || http::get(port, "/metrics"));
    let text = asked.await.unwrap();
    stop.send(()).unwrap();
    serving.await.unwrap().unwrap();
    text
}

fn only(snapshot: &Snapshot) -> &EntityView {
    let [entity] = &snapshot.live.entities[..] else {
        panic!("{:?}", snapshot.live.entities);
    };
    entity
}

/// Verdicts of rows in `from..to`, and how many of them are anomalies.
fn judged(snapshot: &Snapshot, (from, to): (i64, i64)) -> (usize, usize) {
    let within = |time: Time| time >= Time::from_secs(from) && time < Time::from_secs(to);
    let recent = only(snapshot).recent.iter();
    let verdicts: Vec<_> = recent.filter(|v| within(v.time)).collect();
    let anomalies = verdicts.iter().filter(|v| v.is_anomaly).count();
    (verdicts.len(), anomalies)
}

/// Drives an engine with `config` from [`BEGIN`] on: it trains, finds what happens in `spike`, and stays calm before it.
async fn watch(config: &Config, spike: (i64, i64)) -> (Driver, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let mut driver = Driver::open(config, dir.path(), Time::from_secs(BEGIN));
    let began = Instant::now();
    driver.until("trained", |s| s.live.model.is_some()).await;
    let took = began.elapsed();
    println!("trained after {took:?}");
    let after = Time::from_secs(spike.0);
    let found = driver
        .until("found", |s| {
            s.live
                .incidents
                .iter()
                .any(|incident| incident.start >= after)
        })
        .await;
    let (calm, alarms) = judged(&found, (BEGIN, spike.0));
    assert!(calm > 10 && alarms * 10 <= calm, "{alarms} of {calm}");
    let incident = found.live.incidents.iter().find(|i| i.start >= after);
    let start = incident.unwrap().start;
    assert!(start < Time::from_secs(spike.1), "{start} in {spike:?}");
    (driver, dir)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_programs_preset_watches_a_real_node_exporter() {
    let node = NodeExporter::start();
    let port = node.target().port;
    let scrape = tokio::task::spawn_blocking(move || http::get(port, "/metrics"));
    let scrape = scrape.await.unwrap();
    let spike = (BEGIN + 20 * MINUTE, BEGIN + 25 * MINUTE);
    let times: Vec<i64> = (BEGIN - 70 * MINUTE..BEGIN + 30 * MINUTE)
        .step_by(15)
        .collect();
    // The series that the exporter has, labels and all, over a past in which a host works and is overloaded once.
    let total = "node_memory_MemTotal_bytes ";
    let total = scrape.lines().find_map(|line| line.strip_prefix(total));
    let total: f64 = total.unwrap().parse().unwrap();
    let mut series = Vec::new();
    for line in scrape.lines().filter(|line| !line.starts_with('#')) {
        let (name, value) = line.rsplit_once(' ').unwrap();
        let (name, labels) = name.split_once('{').unwrap_or((name, "}"));
        let value: f64 = value.parse().unwrap();
        let labels: Vec<(&str, &str)> = labels
            .trim_end_matches('}')
            .split("\",")
            .filter_map(|pair| pair.split_once("=\""))
            .map(|(name, value)| (name, value.trim_end_matches('"')))
            .collect();
        let is_hit = |time: i64| (spike.0..spike.1).contains(&time);
        let mut sum = value;
        let mut counted = |rate: f64| {
            sum += 15.0 * rate;
            sum
        };
        let at: Vec<f64> = match name {
            "node_cpu_seconds_total" if labels.contains(&("mode", "idle")) => {
                let idle = |time| {
                    if is_hit(time) {
                        0.02
                    } else {
                        0.4 + 0.4 * wave(time, 300, 1)
                    }
                };
                times.iter().map(|time| counted(idle(*time))).collect()
            }
            "node_memory_MemAvailable_bytes" => {
                let free = |time| {
                    if is_hit(time) {
                        0.1
                    } else {
                        0.5 + 0.3 * wave(time, 300, 2)
                    }
                };
                times.iter().map(|time| total * free(*time)).collect()
            }
            "node_memory_MemTotal_bytes" | "node_network_transmit_errs_total" => {
                vec![value; times.len()]
            }
            _ => continue,
        };
        let instance = node.instance();
        let labels = [&labels[..], &[("instance", &*instance), ("job", "node")]].concat();
        let samples = times.iter().copied().zip(at).collect();
        series.push(History::new(name, &labels, samples));
    }
    let server = Prometheus::start(&series, &[node.target()]);
    let config = preset(presets::SEED_PULSEWATCH, &server);

    let (mut driver, _dir) = watch(&config, spike).await;
    let forecast = |s: &Snapshot| only(s).features.iter().all(|f| f.forecast.is_some());
    let shown = driver.until("forecast", forecast).await;
    let names: Vec<&str> = only(&shown)
        .features
        .iter()
        .map(|f| &*f.feature.name)
        .collect();
    assert_eq!(names, ["cpu", "latency", "memory"]);
    let incident = &shown.live.incidents[0];
    assert!(
        ["cpu", "memory"].contains(&&*incident.features[0].feature),
        "{incident:?}"
    );
    let text = scraped(&driver, &config).await;
    for wanted in [
        "anomaly_detector_latest_reconstruction_error_mse ",
        "anomaly_detector_total_anomalies_count_total ",
        "anomaly_detector_forecast{feature_name=\"memory\",bound=\"yhat\"} ",
        "anomaly_detector_feature_reconstruction_error_mse{feature_name=\"cpu\"} ",
    ] {
        assert!(text.contains(wanted), "{wanted}: {text}");
    }
    driver.stop().await;
}

/// A metric's name and labels, how large it is (a counter: its rate), and whether it is a counter.
type Metric = (
    &'static str,
    &'static [(&'static str, &'static str)],
    f64,
    bool,
);

/// What the first program's queries ask for.
const WINDOWS: [Metric; 17] = [
    ("windows_cpu_time_total", &[("mode", "idle")], 0.8, true),
    ("windows_system_processor_queue_length", &[], 4.0, false),
    ("windows_system_context_switches_total", &[], 9000.0, true),
    ("windows_memory_available_bytes", &[], 8e9, false),
    ("windows_memory_committed_bytes", &[], 1.2e10, false),
    (
        "windows_memory_swap_page_operations_total",
        &[],
        300.0,
        true,
    ),
    (
        "windows_logical_disk_read_bytes_total",
        &[("volume", "C:")],
        2e6,
        true,
    ),
    (
        "windows_logical_disk_write_bytes_total",
        &[("volume", "C:")],
        1e6,
        true,
    ),
    (
        "windows_logical_disk_idle_seconds_total",
        &[("volume", "C:")],
        0.7,
        true,
    ),
    (
        "windows_net_bytes_received_total",
        &[("nic", "Ethernet")],
        4e5,
        true,
    ),
    (
        "windows_net_bytes_sent_total",
        &[("nic", "Ethernet")],
        2e5,
        true,
    ),
    (
        "nvidia_smi_utilization_gpu_ratio",
        &[("uuid", "1")],
        0.6,
        false,
    ),
    (
        "nvidia_smi_utilization_memory_ratio",
        &[("uuid", "1")],
        0.4,
        false,
    ),
    ("nvidia_smi_memory_used_bytes", &[("uuid", "1")], 5e9, false),
    ("nvidia_smi_temperature_gpu", &[("uuid", "1")], 60.0, false),
    (
        "nvidia_smi_power_draw_watts",
        &[("uuid", "1")],
        150.0,
        false,
    ),
    ("nvidia_smi_fan_speed_ratio", &[("uuid", "1")], 0.5, false),
];

#[tokio::test(flavor = "multi_thread")]
async fn the_first_programs_preset_watches_a_windows_host() {
    let spike = (BEGIN + 80 * MINUTE, BEGIN + 100 * MINUTE);
    let times: Vec<i64> = (BEGIN - 24 * HOUR..BEGIN + 2 * HOUR).step_by(60).collect();
    let series = WINDOWS
        .iter()
        .enumerate()
        .map(|(n, (name, labels, size, counts))| {
            let level = |time: i64| {
                let hit = (spike.0..spike.1).contains(&time) && name.starts_with("nvidia_smi");
                let turn = (time as f64 / 7200.0 * std::f64::consts::TAU).sin();
                let noise = ((time / 60 * 7919 + i64::try_from(n).unwrap() * 131) % 1009) as f64
                    / 1009.0
                    - 0.5;
                size * if hit {
                    1.6
                } else {
                    0.5 + 0.3 * turn + 0.02 * noise
                }
            };
            let mut count = 0.0;
            let value = |time: &i64| {
                count += 60.0 * level(*time);
                (*time, if *counts { count } else { level(*time) })
            };
            let labels = [*labels, &[("instance", "win:9182")]].concat();
            History::new(name, &labels, times.iter().map(value).collect())
        });
    let server = Prometheus::with_history(&series.collect::<Vec<_>>());
    let config = preset(presets::SEED_KERAS, &server);
    let (driver, _dir) = watch(&config, spike).await;
    let shown = driver.snapshot();
    assert_eq!(only(&shown).features.len(), 17);
    let model = shown.live.model.clone().unwrap();
    assert_eq!(
        (model.threshold_mse, &*model.threshold_rule),
        (0.0025, "fixed")
    );
    let text = scraped(&driver, &config).await;
    for wanted in [
        "anomaly_detector_is_anomaly_detected 1",
        "anomaly_detector_feature_reconstruction_error_mse{feature_name=\"gpu_power\"} ",
        "anomaly_detector_data_points_in_current_window 20",
        "anomaly_detector_last_successful_run_timestamp_seconds ",
    ] {
        assert!(text.contains(wanted), "{wanted}: {text}");
    }
    driver.stop().await;
}

/// `check` on the second program's preset: its queries have series, its history trains, and what can't is refused with a
/// period that can.
#[test]
fn check_tells_what_a_preset_finds_and_refuses_a_history_that_never_trains() {
    let now = std::time::SystemTime::now();
    let now = now.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let now = i64::try_from(now).unwrap();
    // A division that was 0/0 in the older half, of a series that is no more.
    let times = (now - 8 * HOUR..now - 3 * HOUR).step_by(60);
    let halved = times.clone().map(|t| {
        (
            t,
            if t < now - 330 * MINUTE {
                f64::NAN
            } else {
                1.0
            },
        )
    });
    let halved = History::new("ratio", &[("instance", "a")], halved.collect());
    let node = NodeExporter::start();
    let server = Prometheus::start(&[halved], &[node.target()]);
    while server.ask("rate(node_cpu_seconds_total[1m])").is_empty() {
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
    let home = tempfile::tempdir().unwrap();
    let check = |name: &str, text: &str| {
        let file = home.path().join(name);
        std::fs::write(&file, text).unwrap();
        let mut command = assert_cmd::Command::new(env!("CARGO_BIN_EXE_pulsewatch"));
        let command = command
            .env_clear()
            .env("HOME", home.path())
            .env("PROMETHEUS_URL", server.url())
            .env("PULSEWATCH__SOURCE__OS", "linux")
            .env("PULSEWATCH__EXPORTER__LISTEN", "127.0.0.1:0")
            .args(["check", "--config", file.to_str().unwrap()]);
        let done = command.output().unwrap();
        let text = [done.stdout, done.stderr].map(|text| String::from_utf8(text).unwrap());
        (done.status.code().unwrap(), text.concat())
    };
    let (code, said) = check("shipped.toml", presets::SEED_PULSEWATCH);
    assert_eq!(code, 0, "{said}");
    for query in ["cpu", "memory", "latency"] {
        assert!(said.contains(&format!("{query}: 1 series")), "{said}");
    }
    assert!(!said.contains("warning"), "{said}");

    let short = presets::SEED_PULSEWATCH.replace("period = \"1h\"", "period = \"30m\"");
    let (code, said) = check("short.toml", &short);
    assert_eq!(code, 2, "{said}");
    for words in [
        "short.toml:",
        "history.period = \"30m\"",
        "75 windows of 30 rows",
        "write \"52m30s\"",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }

    let broken = "[source]\nkind = \"prometheus\"\n[history]\nperiod = \"9h\"\n[queries.zero]\nexpr = 'vector(0) / 0'\n[queries.past]\nexpr = 'ratio'\n";
    let (code, said) = check("broken.toml", broken);
    assert_eq!(code, 0, "{said}");
    for words in [
        "its value is no number (NaN or infinite) now in 1 of 1 series",
        "100 % of its samples in the history are no number",
        "it has no series now; 1 had samples in the history",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    // Half of them, give or take how the times that are asked for fall.
    let half = |percent: i32| said.contains(&format!(" {percent} % of its samples in the history"));
    assert!((48..=52).any(half), "{said}");
}
