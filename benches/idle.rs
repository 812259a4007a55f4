//! What the dashboard costs while nobody touches it: a line that must carry it, a processor and memory.
//!
//! `cargo bench --bench idle [-- PROGRAM]`; `PULSEWATCH_BIN` names the program too, else the one that was built with the
//! bench is started. A recording is played as live data at the pace of a server that is asked every 5 s and every minute,
//! with 500 points of six metrics on the screen, large and usual. Prints a line of JSON for each, over a minute: the part of
//! one core, the resident memory at the end of it, and what was written to the terminal. `-- --soak` plays a recording at
//! 2,500 rows a second for ten minutes instead, 150,000 times as fast as it was, and prints the memory each minute. Reads `/proc`: for Linux.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

#[path = "common/processor.rs"]
mod processor;
#[path = "common/program.rs"]
mod program;

use std::time::{Duration, Instant};

use processor::{cpu_seconds, resident_mb};
use program::terminal::{Terminal, has_mark};

/// How long each is looked at.
const MINUTE: Duration = Duration::from_secs(60);

/// What the start may still have to do.
const SETTLING: Duration = Duration::from_secs(5);

const LARGE: (u16, u16) = (200, 60);
const USUAL: (u16, u16) = (80, 24);

const SAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/sample_data/multi.csv.gz");

fn main() {
    if std::env::args().any(|arg| arg == "--soak") {
        return soak();
    }
    for (workload, interval, speed) in [("live_5s", "5s", "0.2"), ("live_60s", "60s", "0.0166667")]
    {
        for size in [LARGE, USUAL] {
            let mut terminal = live(interval, speed, size);
            measure(workload, size, &terminal.1);
            if workload == "live_5s" {
                terminal.1.press("f");
                terminal.1.sees("frozen at");
                measure("frozen", size, &terminal.1);
                answers(size, &mut terminal.1);
            }
            terminal.1.press("q");
            terminal.1.ended();
        }
    }
    let (_home, mut terminal) = program::start(&["run", "--mode", "live"], &[], LARGE);
    terminal.sees("this host");
    terminal.press("3");
    terminal.until("marked anomaly", has_mark);
    terminal.sees("recording has ended");
    terminal.press("1");
    terminal.sees("this host");
    // The sample's last forecasts are made after its end.
    std::thread::sleep(MINUTE);
    measure("host_after_test", LARGE, &terminal);
    terminal.press("q");
    terminal.ended();
}

/// A recording as the live source, one row an interval, once a model scores it.
fn live(interval: &str, speed: &str, size: (u16, u16)) -> (tempfile::TempDir, Terminal) {
    let variables = [
        ("PULSEWATCH__SOURCE__KIND", "replay"),
        ("PULSEWATCH__SOURCE__FILE", SAMPLE),
        ("PULSEWATCH__SOURCE__SPEED", speed),
        ("PULSEWATCH__DETECT__INTERVAL", interval),
        ("PULSEWATCH__EXPORTER__ENABLED", "false"),
    ];
    let (home, terminal) = program::start(&["run", "--mode", "live"], &variables, size);
    terminal.sees("replay of");
    terminal.until("a score", |screen| {
        let text = screen.contents();
        text.contains("● normal") || text.contains("● anomaly") || text.contains("● no alarm")
    });
    (home, terminal)
}

fn measure(workload: &str, size: (u16, u16), terminal: &Terminal) {
    std::thread::sleep(SETTLING);
    let (began, busy, written) = (
        Instant::now(),
        cpu_seconds(terminal.id()),
        terminal.written(),
    );
    std::thread::sleep(MINUTE);
    let share = (cpu_seconds(terminal.id()) - busy) / began.elapsed().as_secs_f64();
    println!(
        "{}",
        serde_json::json!({
            "workload": workload,
            "impl": "pulsewatch",
            "screen": format!("{}x{}", size.0, size.1),
            "cpu_percent_of_one_core": (share * 1e4).round() / 100.0,
            "resident_mb": (resident_mb(terminal.id(), "VmRSS") * 10.0).round() / 10.0,
            "terminal_kb": ((terminal.written() - written) as f64 / 100.0).round() / 10.0,
        })
    );
}

/// How long a key takes until the screen shows what it does: from the writing of its byte to the banner that it brings or
/// takes away.
fn answers(size: (u16, u16), terminal: &mut Terminal) {
    let mut seconds: Vec<f64> = (0..40)
        .map(|_| {
            std::thread::sleep(Duration::from_millis(370));
            let was = terminal.text().contains("frozen at");
            let began = Instant::now();
            terminal.press("f");
            while terminal.text().contains("frozen at") == was {
                std::thread::sleep(Duration::from_micros(500));
            }
            began.elapsed().as_secs_f64()
        })
        .collect();
    seconds.sort_by(f64::total_cmp);
    println!(
        "{}",
        serde_json::json!({
            "workload": "key_answer",
            "impl": "pulsewatch",
            "screen": format!("{}x{}", size.0, size.1),
            "seconds": seconds[seconds.len() / 2],
            "most": seconds[seconds.len() - 1],
        })
    );
}

/// Ten minutes of 2,500 rows a second, with the screen open.
fn soak() {
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("long.csv");
    long_recording(&file);
    let variables = [
        ("PULSEWATCH__SOURCE__KIND", "replay"),
        ("PULSEWATCH__SOURCE__FILE", file.to_str().unwrap()),
        ("PULSEWATCH__SOURCE__SPEED", "2500"),
        ("PULSEWATCH__DETECT__INTERVAL", "1s"),
        ("PULSEWATCH__AUTOENCODER__EPOCHS", "4"),
        ("PULSEWATCH__EXPORTER__ENABLED", "false"),
    ];
    let (_home, mut terminal) = program::start(&["run", "--mode", "live"], &variables, LARGE);
    terminal.until("a score", |screen| screen.contents().contains("score "));
    let began = Instant::now();
    for minute in 0..=10 {
        println!(
            "{}",
            serde_json::json!({
                "workload": "soak",
                "impl": "pulsewatch",
                "minute": minute,
                "resident_mb": (resident_mb(terminal.id(), "VmRSS") * 10.0).round() / 10.0,
                "cpu_seconds": cpu_seconds(terminal.id()),
            })
        );
        if minute < 10 {
            std::thread::sleep((MINUTE * (minute + 1)).saturating_sub(began.elapsed()));
        }
    }
    terminal.press("q");
    terminal.ended();
}

/// Rows of a minute each, two fifths of which are played: a daily shape, noise, now and then a spike.
fn long_recording(file: &std::path::Path) {
    use std::io::Write as _;
    let mut out = std::io::BufWriter::new(std::fs::File::create(file).unwrap());
    writeln!(out, "timestamp,cpu,memory,latency").unwrap();
    for row in 0..3_900_000_u64 {
        let day = (row as f64 / 1440.0 * std::f64::consts::TAU).sin();
        let noise = |salt: u64| ((row * 2_654_435_761 + salt * 97) % 1000) as f64 / 1000.0;
        let spike = if row % 25_000 < 6 { 40.0 } else { 0.0 };
        writeln!(
            out,
            "{},{:.1},{:.1},{:.1}",
            1_500_000_000 + row * 60,
            40.0 + 15.0 * day + 5.0 * noise(1) + spike,
            60.0 + 4.0 * day + noise(2),
            120.0 + 30.0 * day + 20.0 * noise(3) + 8.0 * spike,
        )
        .unwrap();
    }
}
