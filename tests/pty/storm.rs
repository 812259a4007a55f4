//! A window whose edge is dragged about.

use tempfile::TempDir;

use crate::quick;

/// Sizes of the storm.
const SIZES: u16 = 300;

#[test]
fn a_storm_of_sizes_leaves_a_whole_screen() {
    let home = TempDir::new().unwrap();
    let mut terminal = quick(&["--mode", "test"], &home, (120, 40));
    terminal.sees("built-in sample");
    for turn in 0..SIZES {
        // From 1×1 to 230×70 and back, never twice the same neighbours.
        let (columns, rows) = (1 + turn * 37 % 230, 1 + turn * 23 % 70);
        terminal.resize((columns, rows));
        if turn % 16 == 0 {
            terminal.press("\t");
        }
    }
    terminal.resize((100, 30));
    terminal.press("3");
    terminal.until("the last size's screen", |screen| {
        let text = screen.contents();
        let framed = text.lines().filter(|line| line.contains('╭')).count() >= 2;
        framed && text.contains("pulsewatch") && text.contains("q quit")
    });
    terminal.resize((1, 1));
    terminal.resize((80, 24));
    terminal.until("the usual screen", |screen| {
        let text = screen.contents();
        text.contains("╭ cpu") && text.lines().all(|line| line.chars().count() <= 80)
    });
    terminal.press("q");
    assert!(terminal.ended().success());
    terminal.is_given_back();
}
