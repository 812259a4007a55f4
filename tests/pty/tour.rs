//! The pictures of the tour, saved by the program itself as `S` does.
//!
//! `TOUR_TO=docs/pictures cargo test --release --test pty -- --ignored tour` draws them anew.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::terminal::{Terminal, has_mark};
use crate::{PROGRAM, quick};

/// Presses `S` and moves the picture to its name in the tour.
fn shot(terminal: &mut Terminal, home: &Path, folder: &Path, name: &str) {
    terminal.loses("saved pulsewatch-");
    terminal.press("S");
    terminal.sees("saved pulsewatch-");
    let shots = home.join(".local/share/pulsewatch/plots");
    for entry in std::fs::read_dir(shots).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|kind| kind == "svg") {
            std::fs::copy(&path, folder.join(format!("{name}.svg"))).unwrap();
        }
        std::fs::remove_file(path).unwrap();
    }
}

#[test]
#[ignore = "draws the pictures of docs/dashboard.md; TOUR_TO names the folder"]
fn tour() {
    let folder = PathBuf::from(std::env::var("TOUR_TO").unwrap());
    std::fs::create_dir_all(&folder).unwrap();
    assert!(Path::new(PROGRAM).exists());
    let home = TempDir::new().unwrap();
    let mut terminal = quick(&["--mode", "test"], &home, (140, 44));
    terminal.sees("built-in sample");
    terminal.press("T");
    terminal.sees("epoch");
    shot(&mut terminal, home.path(), &folder, "training");
    terminal.press("\x1b");
    terminal.until("marked anomaly", has_mark);
    terminal.sees("● anomaly");
    terminal.press("f");
    terminal.sees("frozen at");
    shot(&mut terminal, home.path(), &folder, "overview");
    terminal.press("w");
    shot(&mut terminal, home.path(), &folder, "why");
    terminal.press("\x1bL\r");
    shot(&mut terminal, home.path(), &folder, "detail");
    terminal.press("\x1b\x1bf");
    terminal.sees("recording has ended");
    for (key, name) in [
        ("L", "log"),
        ("E", "errors"),
        ("H", "health"),
        ("?", "help"),
    ] {
        terminal.press(key);
        shot(&mut terminal, home.path(), &folder, name);
        terminal.press("\x1b");
    }
    terminal.press("q");
    assert!(terminal.ended().success());
}
