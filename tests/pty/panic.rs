//! A worker that panics: the screen stays whole, the panic is told on it, and printed once the terminal is given back.

use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use pulsewatch::config::UiConfig;
use pulsewatch::domain::{
    Command, Control, ControlError, HistoryAnswer, HistoryQuery, Label, LabelEffect, PipelineId,
};
use pulsewatch::tui::{self, ColorDepth, Mode};
use tempfile::TempDir;

use crate::fixture;
use crate::terminal::Terminal;

/// Nobody listens.
struct Nobody;

impl Control for Nobody {
    fn send(&self, _command: Command) -> Result<(), ControlError> {
        Err(ControlError::Stopped)
    }

    fn history(
        &self,
        _query: HistoryQuery,
    ) -> Pin<Box<dyn Future<Output = Result<HistoryAnswer, ControlError>> + Send + '_>> {
        Box::pin(async { Err(ControlError::Stopped) })
    }

    fn preview(
        &self,
        _incident: u64,
        _label: Option<Label>,
    ) -> Pin<Box<dyn Future<Output = Result<LabelEffect, ControlError>> + Send + '_>> {
        Box::pin(async { Err(ControlError::Stopped) })
    }
}

/// The dashboard of a made-up snapshot, with a thread beside it that falls after a second.
#[test]
#[ignore = "the test below runs it on a terminal of its own"]
fn dashboard_beside_a_worker_that_falls() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let snapshot = fixture::snapshot(fixture::scoring(PipelineId::Live, true));
    let (_publish, snapshots) = tokio::sync::watch::channel(Arc::new(snapshot));
    let folder = std::env::current_dir().unwrap();
    let options = tui::Options {
        mode: Mode::Live,
        config: UiConfig::default(),
        memory: folder.join("ui.toml"),
        shots: folder,
        picture: |_| String::new(),
        write: |path, bytes| std::fs::write(path, bytes),
        color: ColorDepth::True,
        unicode: true,
        zone: tui::Zone::UTC,
    };
    std::thread::spawn(|| {
        std::thread::sleep(Duration::from_secs(1));
        panic!("the worker fell");
    });
    runtime
        .block_on(tui::run(snapshots, Arc::new(Nobody), options))
        .unwrap();
}

#[test]
fn a_worker_that_falls_is_told_and_the_screen_stays_whole() {
    let home = TempDir::new().unwrap();
    let itself = std::env::current_exe().unwrap();
    let args = [
        "panic::dashboard_beside_a_worker_that_falls",
        "--exact",
        "--ignored",
        "--nocapture",
    ];
    let mut terminal = Terminal::start(Path::new(&itself), &args, home.path(), &[], (120, 40));
    let before = terminal.sees("● anomaly").contents();
    let after = terminal.sees("the worker fell").contents();
    assert!(after.contains("a part of the program failed"), "{after}");
    let changed = before
        .lines()
        .zip(after.lines())
        .filter(|(before, after)| before != after);
    assert!(changed.count() <= 4, "the clock and the toast:\n{after}");
    terminal.press("q");
    terminal.until("the panic's message after the end", |screen| {
        !screen.alternate_screen() && screen.contents().contains("the worker fell")
    });
    assert!(terminal.ended().success());
}
