//! Opening, closing and moving in panels.

use crate::domain::Snapshot;

use super::super::action::Intent;
use super::super::state::{Open, Panel, UiState};
use super::super::view;
use super::log;

/// Lines that a page of words moves by.
const PAGE: usize = 8;

/// Opens a panel, or closes it when it is open.
pub(super) fn toggle(state: &mut UiState, panel: Panel) {
    state.open = match state.open {
        Some(open) if open.panel == panel => None,
        _ => Some(Open { panel, line: 0 }),
    };
}

/// A moving key while a panel is open.
pub(super) fn press(state: &mut UiState, open: Open, intent: Intent, snapshot: &Snapshot) {
    match open.panel {
        Panel::Log => log::press(state, intent, snapshot),
        _ => scroll(state, open, intent, snapshot),
    }
}

/// Words move under the frame, by lines and pages, to their ends.
fn scroll(state: &mut UiState, open: Open, intent: Intent, snapshot: &Snapshot) {
    let last = view::lines(state, snapshot, open.panel).saturating_sub(1);
    let line = match intent {
        Intent::Up => open.line.saturating_sub(1),
        Intent::Down => open.line + 1,
        Intent::PageUp => open.line.saturating_sub(PAGE),
        Intent::PageDown => open.line + PAGE,
        Intent::Home => 0,
        Intent::End => last,
        _ => open.line,
    };
    let line = line.min(last);
    state.open = Some(Open { line, ..open });
}
