//! Moving in the error table.

use std::sync::Arc;

use crate::domain::Snapshot;

use super::super::action::Intent;
use super::super::state::{Panel, UiState};
use super::super::view;
use super::moves;

/// A key in the table: arrows select a feature, Enter opens its large chart.
pub(super) fn press(state: &mut UiState, intent: Intent, snapshot: &Snapshot) {
    let Some(entity) = state.shown(snapshot) else {
        return;
    };
    let order = state.error_order(entity);
    let at = state.selected_index(entity, &order);
    let page = view::page(state, snapshot, Panel::Errors);
    let next = order.get(moves::along(intent, at, page, order.len()));
    let feature = next.and_then(|column| entity.features.get(*column));
    state.selected = feature.map(|found| Arc::clone(&found.feature.name));
    if intent == Intent::Expand && feature.is_some() {
        state.open = None;
        state.expanded = true;
    }
}
