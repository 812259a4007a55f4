//! Moving among the entities.

use crate::domain::Snapshot;

use super::super::action::Intent;
use super::super::state::{Panel, UiState};
use super::super::view;
use super::moves;

/// Points at the worst entity of those that are listed.
pub(super) fn open(state: &mut UiState, snapshot: &Snapshot) {
    let Some(pipeline) = state.pipeline(snapshot) else {
        return;
    };
    let listed = state.entities(pipeline);
    // Of those that are equally bad the first.
    let worst = listed.iter().rev().max_by(|(_, a), (_, b)| {
        let (a, b) = (a.badness(), b.badness());
        a.0.cmp(&b.0).then(a.1.total_cmp(&b.1))
    });
    state.pointed = worst.map(|(view, _)| view.entity.clone());
}

/// A key in the panel: arrows point at an entity, Enter shows it.
pub(super) fn press(state: &mut UiState, intent: Intent, snapshot: &Snapshot) {
    let Some(pipeline) = state.pipeline(snapshot) else {
        return;
    };
    let listed = state.entities(pipeline);
    let at = state.pointed_index(pipeline, &listed);
    let page = view::page(state, snapshot, Panel::Entities);
    let step = match intent {
        Intent::Left => Intent::Up,
        Intent::Right => Intent::Down,
        other => other,
    };
    let next = moves::along(step, at, page, listed.len());
    let pointed = listed.get(next).map(|(view, _)| view.entity.clone());
    match pointed {
        Some(entity) if intent == Intent::Expand => {
            state.show_entity(entity);
            state.open = None;
        }
        pointed => state.pointed = pointed,
    }
}
