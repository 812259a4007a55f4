//! Clicks and the wheel.

use std::sync::Arc;

use ratatui::layout::Position;

use crate::domain::{Entity, Snapshot};

use super::super::action::{Effect, Intent, Pointer};
use super::super::state::{Focus, IncidentKey, Mode, Panel, Place, UiState, key_of};
use super::super::view::{self, Spot};
use super::{moves, press};

/// Lines that one turn of the wheel moves words by.
const TURN: usize = 3;

/// What the mouse did at a column and row. While something is asked or typed, the keys have the word.
pub(super) fn moved(
    state: &mut UiState,
    pointer: Pointer,
    at: (u16, u16),
    snapshot: &Snapshot,
    effects: &mut Vec<Effect>,
) {
    if state.question.is_some() || state.prompt.is_some() {
        return;
    }
    let spot = view::at(state, snapshot, Position::from(at));
    match pointer {
        Pointer::Click => click(state, spot, snapshot, effects),
        Pointer::WheelUp => wheel(state, &spot, true, snapshot),
        Pointer::WheelDown => wheel(state, &spot, false, snapshot),
    }
}

/// A click selects; on what is selected already it does what Enter does.
fn click(state: &mut UiState, spot: Spot, snapshot: &Snapshot, effects: &mut Vec<Effect>) {
    let again = match spot {
        Spot::Tab(mode) => {
            let intent = match mode {
                Mode::Live => Intent::Live,
                Mode::LongTerm => Intent::LongTerm,
                Mode::Test => Intent::Test,
            };
            return press(state, intent, snapshot, effects);
        }
        Spot::Moment(time) => {
            state.cursor = Some(time);
            return;
        }
        Spot::Feature(name) => {
            let again =
                selected(state, snapshot).as_ref() == Some(&name) && state.place() != Place::Log;
            state.selected = Some(name);
            if state.open.is_none() {
                state.focus = Focus::Panes;
            }
            again
        }
        Spot::Incident(key) => {
            let again =
                state.place() != Place::Panes && chosen(state, snapshot) == Some(key.clone());
            state.incident = Some(key);
            if state.open.is_none() {
                state.focus = Focus::Log;
            }
            again
        }
        Spot::Entity(entity) => {
            let again = pointed(state, snapshot).as_ref() == Some(&entity);
            state.pointed = Some(entity);
            again
        }
        Spot::Model(version) => {
            let again = model(state, snapshot).as_ref() == Some(&version);
            state.model = Some(version);
            again
        }
        Spot::List(_) | Spot::Log | Spot::Chart | Spot::Nothing => false,
    };
    if again {
        press(state, Intent::Expand, snapshot, effects);
    }
}

/// The entity that is shown as pointed at.
fn pointed(state: &UiState, snapshot: &Snapshot) -> Option<Entity> {
    let pipeline = state.pipeline(snapshot)?;
    let listed = state.entities(pipeline);
    let (view, _) = listed.get(state.pointed_index(pipeline, &listed))?;
    Some(view.entity.clone())
}

/// Version of the model that is shown as pointed at.
fn model(state: &UiState, snapshot: &Snapshot) -> Option<String> {
    let pipeline = state.pipeline(snapshot)?;
    let entry = pipeline.models.get(state.model_index(pipeline))?;
    Some(entry.model.version.clone())
}

/// The selected incident, the first of the log when none was chosen.
fn chosen(state: &UiState, snapshot: &Snapshot) -> Option<IncidentKey> {
    let pipeline = state.pipeline(snapshot)?;
    state.chosen_incident(pipeline).map(key_of)
}

/// Name of the selected feature, the first in order when none was chosen.
fn selected(state: &UiState, snapshot: &Snapshot) -> Option<Arc<str>> {
    let entity = state.shown(snapshot)?;
    let feature = entity.features.get(state.selected_column(entity)?)?;
    Some(Arc::clone(&feature.feature.name))
}

/// The wheel scrolls lists and words, and zooms charts; over anything else it does nothing.
fn wheel(state: &mut UiState, spot: &Spot, up: bool, snapshot: &Snapshot) {
    let step = if up { Intent::Up } else { Intent::Down };
    match (spot, state.open) {
        (Spot::Incident(_) | Spot::Log, None) => {
            // Where the arrows act does not change: the pointer alone says what is meant.
            if let Some(pipeline) = state.pipeline(snapshot) {
                let at = state.incident_index(pipeline);
                let next = if up { at.saturating_sub(1) } else { at + 1 };
                let listed = state.incidents(pipeline);
                if let Some(incident) = listed.get(next) {
                    state.incident = Some(key_of(incident));
                }
            }
        }
        (Spot::Moment(_), _) | (Spot::Feature(_) | Spot::Chart, None) => {
            let zoom = if up { Intent::ZoomIn } else { Intent::ZoomOut };
            moves::press(state, zoom, snapshot);
        }
        (_, Some(open)) => {
            let lines = match open.panel {
                Panel::Help | Panel::Why | Panel::Training | Panel::Health => TURN,
                Panel::Log | Panel::Errors | Panel::Entities | Panel::Models => 1,
            };
            for _ in 0..lines {
                moves::press(state, step, snapshot);
            }
        }
        (_, None) => {}
    }
}
