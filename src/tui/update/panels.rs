//! Opening, closing and moving in panels.

use crate::domain::Snapshot;

use super::super::action::Intent;
use super::super::state::{Focus, Open, Panel, UiState, key_of};
use super::super::view;
use super::{detail, entities, errors, jump, log, models, moves};

/// Opens a panel, or closes it when it is open.
pub(super) fn toggle(state: &mut UiState, panel: Panel, snapshot: &Snapshot) {
    state.pointed = None;
    let before = state.open.map(|open| open.panel);
    if before == Some(panel) {
        state.open = None;
        return;
    }
    if panel == Panel::Why {
        // From the log, the selected incident is meant.
        if before == Some(Panel::Log) {
            state.focus = Focus::Log;
            state.leave_detail();
        }
    }
    match panel {
        Panel::Models => models::open(state, snapshot),
        Panel::Entities => entities::open(state, snapshot),
        _ => {}
    }
    state.open = Some(Open { panel, line: 0 });
    if panel == Panel::Why {
        select_explained(state, snapshot);
    }
}

/// What has been explained stays selected when the explanation is closed.
fn select_explained(state: &mut UiState, snapshot: &Snapshot) {
    if let Some(incident) = view::explained(state, snapshot) {
        state.incident = Some(key_of(incident));
    }
}

/// A moving key while a panel is open.
pub(super) fn press(state: &mut UiState, open: Open, intent: Intent, snapshot: &Snapshot) {
    match open.panel {
        Panel::Log => log::press(state, intent, snapshot),
        Panel::Errors => errors::press(state, intent, snapshot),
        Panel::Entities => entities::press(state, intent, snapshot),
        // The explanation follows the crosshair of the chart beside it.
        Panel::Why if state.expanded && matches!(intent, Intent::Left | Intent::Right) => {
            detail::press(state, intent, snapshot);
            select_explained(state, snapshot);
        }
        Panel::Why if intent == Intent::Expand => match view::explained(state, snapshot) {
            Some(incident) if !state.expanded => jump::to_peak(state, incident, snapshot),
            _ => {
                state.open = None;
                moves::press(state, intent, snapshot);
            }
        },
        Panel::Models => models::press(state, intent, snapshot),
        _ => scroll(state, open, intent, snapshot),
    }
}

/// Words move under the frame, by lines and pages, to their ends.
fn scroll(state: &mut UiState, open: Open, intent: Intent, snapshot: &Snapshot) {
    let lines = view::lines(state, snapshot, open.panel);
    let page = view::page(state, snapshot, open.panel);
    let line = moves::along(intent, open.line, page, lines);
    state.open = Some(Open { line, ..open });
}
