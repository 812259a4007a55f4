//! Moving in the large chart.

use crate::domain::Snapshot;

use super::super::action::Intent;
use super::super::state::UiState;
use super::moves;

/// A moving key while one feature fills the screen.
pub(super) fn press(state: &mut UiState, intent: Intent, snapshot: &Snapshot) {
    moves::panes(state, snapshot, intent);
}
