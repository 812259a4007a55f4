//! Moving in the anomaly log.

use crate::domain::Snapshot;

use super::super::action::Intent;
use super::super::state::{Focus, UiState, key_of};
use super::super::view;

/// A moving key in the log.
pub(super) fn press(state: &mut UiState, intent: Intent, snapshot: &Snapshot) {
    let Some(pipeline) = state.pipeline(snapshot) else {
        state.focus = Focus::Panes;
        return;
    };
    let layout = view::arrange(state, snapshot);
    let beside = layout.log.x >= layout.grid.right();
    let page = usize::from(layout.log.height.saturating_sub(2)).max(1);
    let at = state.incident_index(pipeline);
    let last = pipeline.incidents.len().saturating_sub(1);
    let next = match intent {
        Intent::Left if beside => return state.focus = Focus::Panes,
        Intent::Up if at == 0 && !beside => return state.focus = Focus::Panes,
        Intent::Up => at.saturating_sub(1),
        Intent::Down => at + 1,
        Intent::PageUp => at.saturating_sub(page),
        Intent::PageDown => at + page,
        _ => at,
    };
    state.incident = pipeline.incidents.get(next.min(last)).map(key_of);
}
