//! Moving in the anomaly log.

use crate::domain::Snapshot;

use super::super::action::Intent;
use super::super::state::{Focus, Panel, Place, UiState, key_of};
use super::super::view;
use super::{jump, moves};

/// A key in the log, beside the panes or over the whole body.
pub(super) fn press(state: &mut UiState, intent: Intent, snapshot: &Snapshot) {
    let Some(pipeline) = state.pipeline(snapshot) else {
        state.focus = Focus::Panes;
        return;
    };
    let listed = state.incidents(pipeline);
    let at = state.place_in(&listed);
    if state.place() == Place::Log {
        let layout = view::arrange(state, snapshot);
        let beside = layout.log.x >= layout.grid.right();
        let leaves = match intent {
            Intent::Left => beside,
            Intent::Up => at == 0 && !beside,
            _ => false,
        };
        // While a line is typed, it goes on filtering this place.
        if leaves && state.prompt.is_none() {
            state.focus = Focus::Panes;
            return;
        }
    }
    if intent == Intent::Expand {
        if let Some(incident) = listed.get(at) {
            jump::to_peak(state, incident, snapshot);
        }
        return;
    }
    let page = view::page(state, snapshot, Panel::Log);
    let next = moves::along(intent, at, page, listed.len());
    state.incident = listed.get(next).map(|incident| key_of(incident));
}
