//! Keys that move the eye: panes, incidents, entities, order, time range.

use std::sync::Arc;
use std::time::Duration;

use ratatui::layout::Rect;

use crate::domain::{EntityView, Snapshot};

use super::super::action::Intent;
use super::super::state::{Focus, Mode, Place, Sort, UiState, key_of};
use super::super::view::{self, layout::Panes};
use super::{detail, log, panels};

const MINUTE: u64 = 60;
const HOUR: u64 = 3600;
const DAY: u64 = 86400;
/// Time ranges that zooming steps through, in seconds.
const RANGES: [u64; 13] = [
    10 * MINUTE,
    30 * MINUTE,
    HOUR,
    2 * HOUR,
    4 * HOUR,
    8 * HOUR,
    12 * HOUR,
    DAY,
    2 * DAY,
    4 * DAY,
    7 * DAY,
    14 * DAY,
    28 * DAY,
];

pub(super) fn press(state: &mut UiState, intent: Intent, snapshot: &Snapshot) {
    match intent {
        Intent::PreviousEntity => entity(state, snapshot, false),
        Intent::NextEntity => entity(state, snapshot, true),
        Intent::Sort => {
            state.sort = match state.sort {
                Sort::Name => Sort::Score,
                Sort::Score => Sort::LastIncident,
                Sort::LastIncident => Sort::Name,
            }
        }
        Intent::ZoomIn | Intent::ZoomOut => zoom(state, snapshot, intent == Intent::ZoomIn),
        _ => match state.place() {
            Place::Panel(_) => {
                if let Some(open) = state.open {
                    panels::press(state, open, intent, snapshot);
                }
            }
            Place::Detail => detail::press(state, intent, snapshot),
            _ if intent == Intent::Expand => expand(state, snapshot),
            Place::Log => log::press(state, intent, snapshot),
            Place::Panes => panes(state, snapshot, intent),
        },
    }
}

fn entity(state: &mut UiState, snapshot: &Snapshot, forward: bool) {
    let Some(pipeline) = state.pipeline(snapshot) else {
        return;
    };
    let count = pipeline.entities.len().max(1);
    let step = if forward { 1 } else { count - 1 };
    let next = (state.entity_index(pipeline) + step) % count;
    state.entity = pipeline.entities.get(next).map(|view| view.entity.clone());
}

pub(super) fn panes(state: &mut UiState, snapshot: &Snapshot, intent: Intent) {
    let Some(entity) = state.shown(snapshot) else {
        return;
    };
    let order = state.order(entity);
    let place = state.selected_index(entity, &order);
    let layout = view::arrange(state, snapshot);
    let panes = if state.expanded {
        Panes {
            columns: 1,
            rows: 1,
        }
    } else {
        Panes::arrange(layout.grid, order.len(), layout.kind)
    };
    let last = order.len().saturating_sub(1);
    let edge = place % panes.columns + 1 == panes.columns || place == last;
    let beside = layout.log.x >= layout.grid.right();
    let lowest =
        place + panes.columns > last || (place / panes.columns + 1).is_multiple_of(panes.rows);
    let into_log = match intent {
        Intent::Right => edge && beside,
        Intent::Down => lowest && !beside,
        _ => false,
    };
    if into_log && can_focus_log(state, snapshot, layout.log) {
        state.focus = Focus::Log;
        return;
    }
    let next = match intent {
        Intent::Left => place.saturating_sub(1),
        Intent::Right => place + 1,
        Intent::Up => place.checked_sub(panes.columns).unwrap_or(place),
        Intent::Down if place + panes.columns > last => place,
        Intent::Down => place + panes.columns,
        Intent::PageUp => place.saturating_sub(panes.per_page()),
        Intent::PageDown => place + panes.per_page(),
        _ => place,
    };
    let next = order.get(next.min(last)).copied();
    state.selected = name(entity, next);
}

fn name(entity: &EntityView, column: Option<usize>) -> Option<Arc<str>> {
    let feature = entity.features.get(column?)?;
    Some(Arc::clone(&feature.feature.name))
}

fn can_focus_log(state: &UiState, snapshot: &Snapshot, log: Rect) -> bool {
    let any = state
        .pipeline(snapshot)
        .is_some_and(|p| !p.incidents.is_empty());
    any && !log.is_empty() && !state.expanded
}

/// The selected pane fills the screen; with the log in focus, the first feature of the selected incident does.
fn expand(state: &mut UiState, snapshot: &Snapshot) {
    if state.focus == Focus::Log && !state.expanded {
        let Some(incident) = state
            .pipeline(snapshot)
            .and_then(|p| p.incidents.get(state.incident_index(p)))
        else {
            return;
        };
        state.incident = Some(key_of(incident));
        state.entity = Some(incident.entity.clone());
        if let Some(first) = incident.features.first() {
            state.selected = Some(Arc::clone(&first.feature));
        }
    }
    state.expanded = state.shown(snapshot).is_some();
}

/// The next shorter or longer range of [`RANGES`], seen from what is shown now; longer than all there is means all.
fn zoom(state: &mut UiState, snapshot: &Snapshot, shorter: bool) {
    let Some(entity) = state.shown(snapshot) else {
        return;
    };
    let step = entity.grid.step();
    let (kept, step) = match (state.mode, &state.history.answer) {
        (Mode::LongTerm, Some(answer)) if state.long_range.is_none() => {
            (answer.grid.step() * length(answer.grid.len()), step)
        }
        (Mode::LongTerm, _) => (Duration::MAX, step),
        _ => (step * length(entity.grid.len()), step),
    };
    let now = state.range().unwrap_or(kept);
    let ranges = RANGES.map(Duration::from_secs);
    let next = if shorter {
        ranges
            .into_iter()
            .rev()
            .find(|r| *r < now && *r >= step * 10)
            .or(state.range())
    } else {
        ranges.into_iter().find(|r| *r > now && *r < kept)
    };
    match state.mode {
        Mode::LongTerm => state.long_range = next,
        Mode::Live | Mode::Test => state.live_range = next,
    }
}

fn length(points: usize) -> u32 {
    u32::try_from(points).unwrap_or(u32::MAX)
}
