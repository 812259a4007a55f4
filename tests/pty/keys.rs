//! Every key of the binding table, pressed on a real terminal over a live pipeline with anomalies.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use pulsewatch::tui::Keymap;
use pulsewatch::tui::keymap::BINDINGS;
use tempfile::TempDir;

use crate::PROGRAM;
use crate::terminal::Terminal;

const SAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/sample_data/multi.csv.gz");

/// The built-in sample as the live source, played at once, with a model of a few epochs.
const LIVE: [(&str, &str); 7] = [
    ("PULSEWATCH__SOURCE__KIND", "replay"),
    ("PULSEWATCH__SOURCE__FILE", SAMPLE),
    ("PULSEWATCH__SOURCE__SPEED", "0"),
    ("PULSEWATCH__DETECT__INTERVAL", "1s"),
    ("PULSEWATCH__AUTOENCODER__EPOCHS", "4"),
    ("PULSEWATCH__AUTOENCODER__MAX_WINDOWS", "600"),
    ("PULSEWATCH__EXPORTER__ENABLED", "false"),
];

/// A terminal whose keys are pressed by the names of what they do.
struct Keyboard {
    terminal: Terminal,
    keymap: Keymap,
    pressed: BTreeSet<&'static str>,
}

impl Keyboard {
    fn press(&mut self, name: &'static str) -> &mut Self {
        let binding = BINDINGS.iter().find(|b| b.name == name).unwrap();
        let key = self.keymap.key(binding.intent);
        self.terminal.press(bytes(&key));
        self.pressed.insert(name);
        self
    }

    fn sees(&mut self, text: &str) -> &mut Self {
        self.terminal.sees(text);
        self
    }

    fn loses(&mut self, text: &str) -> &mut Self {
        self.terminal.loses(text);
        self
    }

    /// The line of the screen that holds `text`.
    fn line(&self, text: &str) -> String {
        let contents = self.terminal.text();
        let found = contents.lines().find(|line| line.contains(text));
        found.unwrap_or_default().to_owned()
    }

    /// Presses and waits for the line that holds `text` to change.
    fn changes(&mut self, name: &'static str, text: &str) -> &mut Self {
        let before = self.line(text);
        self.press(name);
        self.terminal.until(&format!("change by {name}"), |screen| {
            let contents = screen.contents();
            let now = contents.lines().find(|line| line.contains(text));
            now.unwrap_or_default() != before
        });
        self
    }
}

/// What a terminal sends for a key.
fn bytes(key: &str) -> &str {
    match key {
        "Enter" => "\r",
        "Esc" => "\x1b",
        "Tab" => "\t",
        "Up" => "\x1b[A",
        "Down" => "\x1b[B",
        "Right" => "\x1b[C",
        "Left" => "\x1b[D",
        "Home" => "\x1b[H",
        "End" => "\x1b[F",
        "PageUp" => "\x1b[5~",
        "PageDown" => "\x1b[6~",
        "Ctrl-z" => "\x1a",
        key => key,
    }
}

#[test]
fn every_key_of_the_help_screen_works() {
    let home = TempDir::new().unwrap();
    let terminal = Terminal::start(
        Path::new(PROGRAM),
        &["--mode", "live"],
        home.path(),
        &LIVE,
        (130, 44),
    );
    let mut keys = Keyboard {
        terminal,
        keymap: Keymap::new(&BTreeMap::new()).unwrap(),
        pressed: BTreeSet::new(),
    };
    keys.sees("recording has ended");
    panels(&mut keys);
    moving(&mut keys);
    incidents(&mut keys);
    orders(&mut keys);
    files(&mut keys, home.path());
    modes(&mut keys);
    keys.press("suspend");
    keys.terminal.is_given_back();
    keys.terminal.signal("CONT");
    keys.sees("recording has ended");
    keys.press("quit");
    assert!(keys.terminal.ended().success());
    keys.terminal.is_given_back();
    let all: BTreeSet<&str> = BINDINGS.iter().map(|b| b.name).collect();
    assert_eq!(keys.pressed, all, "each key of the table is pressed");
}
