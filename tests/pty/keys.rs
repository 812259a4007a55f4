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
        "Space" => " ",
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
        (200, 50),
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

/// Each panel opens, and closes by its own key or Esc.
fn panels(keys: &mut Keyboard) {
    for (name, words) in [
        ("help", "Start here."),
        ("why", "What an alarm has to pass"),
        ("log", "newest first"),
        ("errors", "band"),
        ("entities", "worst first"),
        ("training", "╭ training"),
        ("models", "╭ models"),
        ("health", "warnings"),
    ] {
        keys.loses(words);
        keys.press(name).sees(words);
        keys.press(name).loses(words);
        keys.press(name).sees(words);
        keys.press("back").loses(words);
    }
    keys.press("palette").sees("actions");
    keys.terminal.press("freeze\r");
    keys.sees("frozen at");
    keys.press("freeze").loses("frozen at");
    keys.press("filter");
    keys.terminal.press("cpu\r");
    keys.sees("╭ cpu").loses("╭ disk");
    keys.press("back").sees("╭ disk");
    keys.sees("sort by score");
    keys.press("sort").sees("sort by last anomaly");
    keys.press("sort").sees("sort by name");
    keys.press("sort").sees("sort by score");
}

/// Panes and features, the crosshair, time.
fn moving(keys: &mut Keyboard) {
    keys.press("expand").sees(" 1 of 6");
    keys.press("down").sees(" 2 of 6");
    keys.press("up").sees(" 1 of 6");
    for name in ["left", "right", "home", "end"] {
        keys.changes(name, "   value ");
    }
    for name in ["range_shorter", "zoom_in"] {
        keys.changes(name, "q quit");
    }
    keys.press("page_up").sees("End follows");
    keys.press("page_down").loses("End follows");
    for name in ["zoom_out", "range_longer"] {
        keys.changes(name, "q quit");
    }
    keys.press("back").loses(" 1 of 6");
    keys.press("right").press("expand").sees(" 2 of 6");
    keys.press("back").loses(" 2 of 6");
    keys.press("left").press("expand").sees(" 1 of 6");
    keys.press("back").loses(" 1 of 6");
    // There is one entity: it stays.
    keys.press("next_entity")
        .press("previous_entity")
        .sees("╭ cpu");
}

/// Words on anomalies that the journal keeps.
fn incidents(keys: &mut Keyboard) {
    keys.press("log").sees("newest first");
    keys.press("reverse").sees("oldest first");
    keys.press("reverse").sees("newest first");
    keys.press("fold").sees("is not one of many");
    keys.press("acknowledge").sees("acknowledged");
    keys.press("mark_false").sees("as a false alarm?");
    keys.sees("incidents would go");
    keys.terminal.press("y");
    keys.sees("marked as a false alarm");
    keys.press("mark_real").sees("as real?");
    keys.terminal.press("n");
    keys.loses("as real?");
    keys.press("back").loses("newest first");
}

/// A training and its end, and how often the source is asked.
fn orders(keys: &mut Keyboard) {
    keys.press("retrain").sees("Train a new model now?");
    keys.terminal.press("y");
    keys.sees("a new model will be trained");
    keys.press("cancel");
    keys.terminal
        .until("what became of the training", |screen| {
            let text = screen.contents();
            text.contains("cancelling the training") || text.contains("no training is running")
        });
    keys.press("slower").sees("polling every 2 s");
    keys.press("faster").sees("polling every 1 s");
}

/// Pictures, tables, clipboard, colours, mouse.
fn files(keys: &mut Keyboard, home: &Path) {
    let folder = home.join(".local/share/pulsewatch/plots");
    let found = |kind: &str| {
        let files = std::fs::read_dir(&folder).unwrap();
        let mut paths = files.map(|entry| entry.unwrap().path());
        let path = paths.find(|path| path.extension().is_some_and(|end| end == kind));
        std::fs::read_to_string(path.unwrap()).unwrap()
    };
    keys.press("screenshot").sees(".svg and .txt");
    assert!(found("svg").starts_with("<svg ") && found("txt").contains("╭ cpu"));
    keys.press("export").sees("saved pulsewatch-metrics");
    let csv = found("csv");
    assert!(
        csv.starts_with("timestamp,") && csv.lines().count() > 100,
        "{csv}"
    );
    keys.press("copy").sees("copied");
    let ground = |keys: &Keyboard| keys.terminal.screen().cell(0, 0).unwrap().bgcolor();
    let dark = ground(keys);
    keys.press("theme");
    keys.terminal.until("other colours", |screen| {
        screen.cell(0, 0).unwrap().bgcolor() != dark
    });
    keys.press("mouse")
        .sees("mouse on (Shift+drag selects text)");
    keys.press("mouse")
        .sees("mouse off: the terminal selects text");
}

/// The three of them, and a spike.
fn modes(keys: &mut Keyboard) {
    keys.press("long_term");
    is_chosen(keys, "2 Long-term");
    keys.press("test").sees("built-in sample");
    is_chosen(keys, "3 Test");
    keys.press("inject")
        .sees("a spike comes with the next rows");
    keys.press("live").sees("replay of");
    is_chosen(keys, "1 Live");
    keys.press("next_mode");
    is_chosen(keys, "2 Long-term");
    keys.press("live").sees("recording has ended");
}

/// The tab is the one that stands out.
fn is_chosen(keys: &Keyboard, tab: &str) {
    keys.terminal.until(tab, |screen| {
        let text = screen.contents();
        let head = text.lines().next().unwrap_or_default();
        let Some(bytes) = head.find(tab) else {
            return false;
        };
        let column = u16::try_from(head[..bytes].chars().count()).unwrap();
        let back = |column| screen.cell(0, column).unwrap().bgcolor();
        back(column) != back(0)
    });
}
