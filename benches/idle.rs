//! What the dashboard costs while nobody touches it: live mode over this host, the same picture frozen, and live mode after
//! test mode has trained its model and played its sample to the end.
//!
//! `cargo bench --bench idle [-- PROGRAM]`; `PULSEWATCH_BIN` names the program too, else the one that was built with the
//! bench is started. Prints a line of JSON for each, over half a minute: the part of one core, the resident memory at the
//! end of it, and what was written to the terminal. Takes some minutes. Reads `/proc`, so it is for Linux.

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
const IDLE: Duration = Duration::from_secs(30);

/// What the start may still have to do.
const SETTLING: Duration = Duration::from_secs(5);

fn main() {
    let (_home, mut terminal) = program::start(&["run", "--mode", "live"]);
    terminal.sees("this host");
    measure("idle_live", &terminal);
    terminal.press("f");
    terminal.sees("frozen at");
    measure("idle_frozen", &terminal);
    terminal.press("f");
    terminal.press("3");
    terminal.until("marked anomaly", has_mark);
    terminal.sees("recording has ended");
    terminal.press("1");
    terminal.sees("this host");
    measure("idle_after_test", &terminal);
    terminal.press("q");
    terminal.ended();
}

fn measure(workload: &str, terminal: &Terminal) {
    std::thread::sleep(SETTLING);
    let (began, busy, written) = (
        Instant::now(),
        cpu_seconds(terminal.id()),
        terminal.written(),
    );
    std::thread::sleep(IDLE);
    let share = (cpu_seconds(terminal.id()) - busy) / began.elapsed().as_secs_f64();
    println!(
        "{}",
        serde_json::json!({
            "workload": workload,
            "impl": "pulsewatch",
            "cpu_percent_of_one_core": (share * 1e4).round() / 100.0,
            "resident_mb": (resident_mb(terminal.id(), "VmRSS") * 10.0).round() / 10.0,
            "terminal_bytes": terminal.written() - written,
        })
    );
}
