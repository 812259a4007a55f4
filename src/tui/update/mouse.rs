//! Clicks and the wheel.

use crate::domain::Snapshot;

use super::super::action::{Effect, Intent, Pointer};
use super::super::state::UiState;
use super::press;

/// The wheel zooms.
pub(super) fn moved(
    state: &mut UiState,
    pointer: Pointer,
    _at: (u16, u16),
    snapshot: &Snapshot,
    effects: &mut Vec<Effect>,
) {
    match pointer {
        Pointer::WheelUp => press(state, Intent::ZoomIn, snapshot, effects),
        Pointer::WheelDown => press(state, Intent::ZoomOut, snapshot, effects),
        Pointer::Click => {}
    }
}
