//! Pasted text on a real terminal: words for the line that is typed, never keys.

use crate::quick;
use tempfile::TempDir;

/// What a terminal sends for a paste when it was asked to say so.
fn paste(text: &str) -> String {
    format!("\x1b[200~{text}\x1b[201~")
}

#[test]
fn pasted_text_is_no_keys() {
    let home = TempDir::new().unwrap();
    let mut terminal = quick(&["--mode", "test"], &home, (120, 40));
    let screen = terminal.sees("built-in sample");
    assert!(screen.bracketed_paste());
    // Each letter would do something: spikes, orders, themes, the end.
    terminal.press(&paste(&"xxr?q\n".repeat(2000)));
    terminal.sees("pasted text is ignored");
    assert!(!terminal.text().contains("a spike comes"));
    // A line that is typed takes the first line of it, without what a terminal would obey.
    terminal.press(":");
    terminal.press(&paste("them\x07e\nq\n"));
    terminal.sees("theme");
    terminal.press("\x1b");
    // Escape and a letter that come together are one key with Alt.
    terminal.until("the line is closed", |screen| {
        !screen.contents().contains("theme")
    });
    terminal.press("q");
    assert!(terminal.ended().success());
    terminal.is_given_back();
}

#[test]
fn a_stopped_program_gives_pasting_back() {
    let home = TempDir::new().unwrap();
    let mut terminal = quick(&["--mode", "live"], &home, (100, 30));
    terminal.sees("this host");
    terminal.press("\x1a");
    terminal.until("pasting given back", |screen| !screen.bracketed_paste());
    terminal.signal("CONT");
    terminal.until("pasting taken again", vt100::Screen::bracketed_paste);
    terminal.press("q");
    assert!(terminal.ended().success());
    terminal.is_given_back();
}
