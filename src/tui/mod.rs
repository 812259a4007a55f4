//! The dashboard: `key → Action → update(&mut UiState, Action, &Snapshot) → effects`, and `view(&UiState, &Snapshot)`.
//!
//! [`update`](update::update) and [`view`](view::view) do no I/O and read no clock, so a test drives the whole screen
//! without a terminal. [`run`] owns the terminal, feeds both, and carries the effects out. It knows snapshots, queries
//! and commands, nothing of the engine behind them.

pub mod action;
mod copy;
mod export;
mod groups;
mod guard;
mod input;
pub mod keymap;
pub mod lists;
mod memory;
pub mod orders;
mod palette;
mod run;
mod saver;
mod signals;
pub mod state;
mod text;
pub mod theme;
pub mod update;
pub mod view;
mod zone;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::config::UiConfig;
use crate::domain::Snapshot;

pub use self::keymap::{Keymap, KeymapError};
pub use self::run::run;
pub use self::state::{Mode, UiState};
pub use self::theme::{ColorDepth, Theme, has_glyphs};
pub use self::zone::Zone;

/// How the dashboard starts.
#[derive(Clone, Debug)]
pub struct Options {
    /// What it shows first.
    pub mode: Mode,
    /// `[ui]`.
    pub config: UiConfig,
    /// The folder that screenshots go to; made when the first one is taken.
    pub shots: PathBuf,
    /// Makes a picture of a screen: the SVG of `report`, given here because rooms do not know each other.
    pub picture: fn(&Buffer) -> String,
    /// Writes a file whole or not at all, and its folder when it is missing; given here for the same reason.
    pub write: fn(&Path, &[u8]) -> io::Result<()>,
    /// The file that remembers how the dashboard was left; only with `[ui] remember`.
    pub memory: PathBuf,
    /// Colours of the terminal.
    pub color: ColorDepth,
    /// The terminal shows more than ASCII.
    pub unicode: bool,
    /// What moments are shown in.
    pub zone: Zone,
}

/// Why the dashboard could not start or go on.
#[derive(Debug, thiserror::Error)]
pub enum TuiError {
    /// The terminal can't be used.
    #[error("the terminal can't be used for the dashboard: {0}; `--no-tui` runs without it")]
    Terminal(#[from] std::io::Error),
    /// `[ui.keys]` can't work.
    #[error(transparent)]
    Keys(#[from] KeymapError),
}

/// One frame as the dashboard would draw it at its start, without the hint bar: for `--once`, pictures and mails.
/// `width` and `height` are columns and rows.
#[must_use]
pub fn overview(
    snapshot: &Snapshot,
    mode: Mode,
    (theme, zone): (&Theme, &Zone),
    width: u16,
    height: u16,
) -> Buffer {
    // The default keys have no conflict, as a test of the table shows; an empty overview would say so too.
    let Ok(keymap) = Keymap::new(&std::collections::BTreeMap::new()) else {
        return Buffer::empty(Rect::new(0, 0, width, height));
    };
    let config = UiConfig::default();
    let mut state = UiState::new(
        mode,
        &config,
        Arc::new(keymap),
        (width, height),
        snapshot.now,
    );
    state.hints = false;
    state.zone = zone.clone();
    render(&state, snapshot, theme)
}

/// One frame of a state, as large as the state's terminal.
#[must_use]
pub fn render(state: &UiState, snapshot: &Snapshot, theme: &Theme) -> Buffer {
    let mut buffer = Buffer::empty(Rect::new(0, 0, state.size.0, state.size.1));
    view::view(state, snapshot, theme, &mut buffer);
    buffer
}

/// The characters of a frame, a line for each row, without blanks at line ends.
#[must_use]
pub fn buffer_text(buffer: &Buffer) -> String {
    let mut text = String::new();
    for y in buffer.area.top()..buffer.area.bottom() {
        let mut line = String::new();
        let mut hidden = 0;
        for x in buffer.area.left()..buffer.area.right() {
            // The cell after a wide character is covered by it.
            if hidden > 0 {
                hidden -= 1;
            } else if let Some(cell) = buffer.cell((x, y)) {
                line.push_str(cell.symbol());
                hidden = text::width(cell.symbol()).saturating_sub(1);
            }
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_skips_what_a_wide_character_covers() {
        let mut buffer = Buffer::empty(Rect::new(0, 0, 8, 2));
        buffer.set_string(0, 0, "温度 ok", ratatui::style::Style::default());
        assert_eq!(buffer_text(&buffer), "温度 ok\n\n");
    }
}
