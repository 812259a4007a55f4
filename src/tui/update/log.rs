//! Moving in the anomaly log.

use crate::domain::{Incident, Level, Snapshot, Time};

use super::super::action::Intent;
use super::super::state::{Focus, Panel, Place, UiState, key_of};
use super::super::view;
use super::{UNFOLDED, jump, moves, toast};

/// Shows the incidents of the selected group as lines of their own, or makes them one line again.
pub(super) fn fold(state: &mut UiState, snapshot: &Snapshot) {
    let pipeline = state.pipeline(snapshot);
    let chosen = pipeline.and_then(|p| state.group_of(p, state.chosen_incident(p)?));
    match chosen {
        Some((group, true)) => unfold(state, group.start, &group.members),
        Some((group, false)) => {
            state.unfolded.remove(&group.start);
            state.incident = group.lead().map(key_of);
        }
        None => {
            let why = "the selected anomaly is not one of many that began together";
            toast(state, Level::Info, why.into());
        }
    }
}

fn unfold(state: &mut UiState, start: Time, members: &[&Incident]) {
    while state.unfolded.len() >= UNFOLDED && state.unfolded.pop_first().is_some() {}
    state.unfolded.insert(start);
    state.incident = members.first().map(|incident| key_of(incident));
}

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
            // Of many that are one line, nobody has chosen one yet.
            match state.group_of(pipeline, incident) {
                Some((group, true)) => unfold(state, group.start, &group.members),
                _ => jump::to_peak(state, incident, snapshot),
            }
        }
        return;
    }
    let page = view::page(state, snapshot, Panel::Log);
    let next = moves::along(intent, at, page, listed.len());
    state.incident = listed.get(next).map(|incident| key_of(incident));
}
