//! How long a newcomer waits: from starting the program, with an empty home directory and nothing configured, to the first
//! marked anomaly on the screen.
//!
//! `cargo bench --bench first_anomaly [-- PROGRAM]`; `PULSEWATCH_BIN` names the program too, else the one that was built
//! with the bench is started. Prints one line of JSON.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

#[path = "common/program.rs"]
mod program;

use program::terminal::has_mark;

fn main() {
    let (_home, mut terminal) = program::start(&[], &[], (120, 40));
    terminal.until("marked anomaly", has_mark);
    let seconds = terminal.age().as_secs_f64();
    println!(
        "{}",
        serde_json::json!({
            "workload": "first_anomaly",
            "impl": "pulsewatch",
            "seconds": (seconds * 100.0).round() / 100.0,
        })
    );
    terminal.press("q");
    terminal.ended();
}
