//! Every scene as text, and one with its colours.
//!
//! To look at them as pictures, name a folder: `SCREENS_TO=FOLDER cargo test --test screens golden`.

use std::fmt::Write;

use pulsewatch::config::ThemeName;
use pulsewatch::report::svg::svg;
use pulsewatch::tui::{ColorDepth, buffer_text};
use ratatui::buffer::Buffer;

use crate::scene::{self, Scene};

const SIZES: [(u16, u16); 5] = [(200, 60), (120, 40), (80, 24), (40, 10), (1, 1)];
/// The size whose colours are written out; of the others a checksum is kept.
const WRITTEN_OUT: (u16, u16) = (80, 24);

fn drawn(scene: &Scene, (width, height): (u16, u16)) -> Buffer {
    let buffer = scene.draw(width, height, ThemeName::Dark, ColorDepth::True);
    if let Ok(folder) = std::env::var("SCREENS_TO") {
        let file = format!("{folder}/{}-{width}x{height}.svg", scene.name);
        std::fs::write(file, svg(&buffer)).unwrap();
    }
    buffer
}

fn check(name: String, text: &str) {
    insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!(name, text);
    });
}

#[test]
fn characters_at_every_size() {
    for scene in scene::all() {
        let mut text = String::new();
        for size in SIZES {
            writeln!(text, "== {}×{}", size.0, size.1).unwrap();
            text.push_str(&buffer_text(&drawn(&scene, size)));
        }
        check(scene.name.to_owned(), &text);
    }
}

#[test]
fn plain_ascii_at_every_size() {
    for mut scene in scene::all() {
        scene.unicode = false;
        let mut text = String::new();
        for (width, height) in SIZES {
            let buffer = scene.draw(width, height, ThemeName::Dark, ColorDepth::None);
            let words = buffer_text(&buffer);
            assert!(words.is_ascii(), "{} at {width}×{height}", scene.name);
            writeln!(text, "== {width}×{height}").unwrap();
            text.push_str(&words);
        }
        check(format!("{}_ascii", scene.name), &text);
    }
}

#[test]
fn colours_at_every_depth_and_size() {
    for scene in scene::all() {
        let mut text = String::new();
        for depth in [
            ColorDepth::True,
            ColorDepth::Ansi256,
            ColorDepth::Ansi16,
            ColorDepth::None,
        ] {
            for (width, height) in SIZES {
                let styles = styled(&scene.draw(width, height, ThemeName::Dark, depth));
                let sum = checksum(&styles);
                writeln!(text, "== {depth:?} {width}×{height}: {sum:016x}").unwrap();
                if (width, height) == WRITTEN_OUT && depth != ColorDepth::Ansi256 {
                    text.push_str(&styles);
                }
            }
        }
        check(format!("{}_colours", scene.name), &text);
    }
}

#[test]
fn every_theme_colours_an_incident() {
    let scene = scene::incident();
    let mut text = String::new();
    for theme in [
        ThemeName::Dark,
        ThemeName::Light,
        ThemeName::HighContrast,
        ThemeName::ColorBlind,
        ThemeName::Mono,
    ] {
        for depth in [ColorDepth::True, ColorDepth::Ansi16] {
            let styles = styled(&scene.draw(60, 16, theme, depth));
            writeln!(text, "== {theme:?} {depth:?}\n{styles}").unwrap();
        }
    }
    check("themes".to_owned(), &text);
}

/// FNV-1a of 64 bits: the same on every machine and with every compiler.
fn checksum(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |sum, byte| {
        (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// Runs of cells of one look: `row:column text | look`.
fn styled(buffer: &Buffer) -> String {
    let mut out = String::new();
    for y in 0..buffer.area.height {
        let mut x = 0;
        while x < buffer.area.width {
            let style = buffer[(x, y)].style();
            let start = x;
            let mut text = String::new();
            while x < buffer.area.width && buffer[(x, y)].style() == style {
                text.push_str(buffer[(x, y)].symbol());
                x += 1;
            }
            if !text.trim().is_empty() {
                let (fg, bg) = (style.fg.unwrap(), style.bg.unwrap());
                let more = style.add_modifier;
                writeln!(out, "{y}:{start} {} | {fg} on {bg} {more:?}", text.trim()).unwrap();
            }
        }
    }
    out
}

#[test]
fn anomalies_show_without_colour_and_without_unicode() {
    let mut scene = scene::incident();
    scene.unicode = false;
    let buffer = scene.draw(120, 40, ThemeName::Dark, ColorDepth::None);
    let text = buffer_text(&buffer);
    assert!(text.is_ascii());
    assert!(text.contains("* anomaly"), "{text}");
    assert!(text.contains("^^"), "{text}");
    let plain = buffer.content.iter().all(|cell| {
        cell.fg == ratatui::style::Color::Reset && cell.bg == ratatui::style::Color::Reset
    });
    assert!(plain);
}

#[test]
fn an_overview_needs_no_state() {
    let theme = pulsewatch::tui::Theme::new(ThemeName::Dark, ColorDepth::None, true);
    let snapshot = scene::incident().snapshot;
    let mode = pulsewatch::tui::Mode::Live;
    let text = buffer_text(&pulsewatch::tui::overview(
        &snapshot,
        mode,
        (&theme, &pulsewatch::tui::Zone::UTC),
        100,
        30,
    ));
    assert!(text.contains("● anomaly") && text.contains("latency"));
    assert!(!text.contains("q quit"), "keys are of no use on paper");
}
