//! Every scene as text, and one with its colours.
//!
//! To look at them as pictures, name a folder: `SCREENS_TO=FOLDER cargo test --test screens golden`.

use std::fmt::Write;

use pulsewatch::config::ThemeName;
use pulsewatch::report::svg::svg;
use pulsewatch::tui::{ColorDepth, buffer_text};
use ratatui::buffer::Buffer;

use crate::scene::{self, Scene};

const LARGE: (u16, u16) = (200, 60);
const SIZES: [(u16, u16); 4] = [(120, 40), (80, 24), (40, 10), (1, 1)];

fn drawn(scene: &Scene, (width, height): (u16, u16)) -> Buffer {
    let buffer = scene.draw(width, height, ThemeName::Dark, ColorDepth::True);
    if let Ok(folder) = std::env::var("SCREENS_TO") {
        let file = format!("{folder}/{}-{width}x{height}.svg", scene.name);
        std::fs::write(file, svg(&buffer)).unwrap();
    }
    buffer
}

fn golden(scene: &Scene, sizes: &[(u16, u16)]) {
    let mut text = String::new();
    for size in sizes {
        writeln!(text, "== {}×{}", size.0, size.1).unwrap();
        text.push_str(&buffer_text(&drawn(scene, *size)));
    }
    insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!(scene.name, text);
    });
}

#[test]
fn small_and_usual_sizes() {
    for scene in scene::all() {
        let large = ["incident", "long_term", "expanded"].contains(&scene.name);
        if !large {
            golden(&scene, &SIZES);
        }
    }
}

#[test]
fn large_sizes_too() {
    for scene in [scene::incident(), scene::long_term(), scene::expanded()] {
        let sizes: Vec<_> = std::iter::once(LARGE).chain(SIZES).collect();
        golden(&scene, &sizes);
    }
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
fn colours_at_every_depth() {
    let scene = scene::incident();
    let mut out = String::new();
    for depth in [
        ColorDepth::True,
        ColorDepth::Ansi256,
        ColorDepth::Ansi16,
        ColorDepth::None,
    ] {
        let buffer = scene.draw(60, 16, ThemeName::Dark, depth);
        writeln!(out, "== {depth:?}\n{}", styled(&buffer)).unwrap();
    }
    insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!("colours", out);
    });
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
    let text = buffer_text(&pulsewatch::tui::overview(&snapshot, mode, &theme, 100, 30));
    assert!(text.contains("● anomaly") && text.contains("latency"));
    assert!(!text.contains("q quit"), "keys are of no use on paper");
}
