//! Keys that move the eye: panes, incidents, entities, order, time range.

use std::sync::Arc;
use std::time::Duration;

use ratatui::layout::Rect;

use crate::domain::{EntityView, Level, Snapshot};

use super::super::action::Intent;
use super::super::palette::{self, Order};
use super::super::state::{Focus, Mode, Panel, Place, Sort, UiState};
use super::super::view::{self, layout::Panes};
use super::{detail, log, panels, toast};

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

/// A moving key. Whatever changes the time range, the moment that is pointed at stays where it is on the screen.
pub(super) fn press(state: &mut UiState, intent: Intent, snapshot: &Snapshot) {
    let held = detail::hold(state, snapshot);
    turn(state, intent, snapshot);
    detail::keep(state, snapshot, held);
    if matches!(intent, Intent::RangeShorter | Intent::RangeLonger) {
        say_range(state, snapshot);
    }
}

/// Shows this much of the data, or all, around the moment that is pointed at, and says so.
pub(super) fn show_range(state: &mut UiState, snapshot: &Snapshot, range: Option<Duration>) {
    let held = detail::hold(state, snapshot);
    set_range(state, range);
    detail::keep(state, snapshot, held);
    say_range(state, snapshot);
}

fn say_range(state: &mut UiState, snapshot: &Snapshot) {
    let said = view::range(state, snapshot).unwrap_or_else(|| "nothing to show yet".into());
    toast(state, Level::Info, said);
}

fn turn(state: &mut UiState, intent: Intent, snapshot: &Snapshot) {
    match intent {
        Intent::PreviousEntity => entity(state, snapshot, false),
        Intent::NextEntity => entity(state, snapshot, true),
        Intent::Sort => sort(state),
        Intent::Reverse => reverse(state),
        Intent::ZoomIn | Intent::ZoomOut => {
            zoom(state, snapshot, intent == Intent::ZoomIn, &RANGES);
        }
        Intent::RangeShorter | Intent::RangeLonger => {
            let shorter = intent == Intent::RangeShorter;
            zoom(state, snapshot, shorter, &palette::RANGES);
        }
        _ => match state.place() {
            Place::Panel(_) => {
                if let Some(open) = state.open {
                    panels::press(state, open, intent, snapshot);
                }
            }
            Place::Detail => detail::press(state, intent, snapshot),
            Place::Log => log::press(state, intent, snapshot),
            Place::Panes if intent == Intent::Expand => {
                state.came_from = None;
                state.expanded = state.shown(snapshot).is_some();
            }
            Place::Panes => panes(state, snapshot, intent),
        },
    }
}

/// Another order of what is before the eyes.
fn sort(state: &mut UiState) {
    match state.place() {
        Place::Log | Place::Panel(Panel::Log) => state.log = state.log.next(),
        Place::Panel(Panel::Errors) => state.errors = state.errors.next(),
        Place::Panel(Panel::Entities) => state.entity_order = state.entity_order.next(),
        _ => {
            state.sort = match state.sort {
                Sort::Name => Sort::Score,
                Sort::Score => Sort::LastIncident,
                Sort::LastIncident => Sort::Name,
            }
        }
    }
}

/// The opposite order of the table before the eyes.
fn reverse(state: &mut UiState) {
    let reversed = &mut state.reversed;
    match state.open.map(|open| open.panel) {
        Some(Panel::Errors) => reversed.errors = !reversed.errors,
        Some(Panel::Entities) => reversed.entities = !reversed.entities,
        // The log is on the screen beside the panes as well.
        None | Some(Panel::Log) => reversed.log = !reversed.log,
        Some(_) => toast(state, Level::Info, "there is no table to sort here".into()),
    }
}

/// Sorts the open table by a column, or the other way round when it is sorted by that already.
pub(super) fn order_by(state: &mut UiState, order: Order) {
    let is_same = match order {
        Order::Log(order) => std::mem::replace(&mut state.log, order) == order,
        Order::Entities(order) => std::mem::replace(&mut state.entity_order, order) == order,
        Order::Errors(order) => std::mem::replace(&mut state.errors, order) == order,
    };
    let reversed = match order {
        Order::Log(_) => &mut state.reversed.log,
        Order::Entities(_) => &mut state.reversed.entities,
        Order::Errors(_) => &mut state.reversed.errors,
    };
    *reversed = is_same && !*reversed;
}

/// Where a moving key leads to from row `at` of `count` rows, `page` of them on a page.
pub(super) fn along(intent: Intent, at: usize, page: usize, count: usize) -> usize {
    let last = count.saturating_sub(1);
    let next = match intent {
        Intent::Up => at.saturating_sub(1),
        Intent::Down => at + 1,
        Intent::PageUp => at.saturating_sub(page),
        Intent::PageDown => at + page,
        Intent::Home => 0,
        Intent::End => last,
        _ => at,
    };
    next.min(last)
}

fn entity(state: &mut UiState, snapshot: &Snapshot, forward: bool) {
    let Some(pipeline) = state.pipeline(snapshot) else {
        return;
    };
    let count = pipeline.entities.len().max(1);
    let step = if forward { 1 } else { count - 1 };
    let next = (state.entity_index(pipeline) + step) % count;
    if let Some(view) = pipeline.entities.get(next) {
        state.show_entity(view.entity.clone());
    }
}

pub(super) fn panes(state: &mut UiState, snapshot: &Snapshot, intent: Intent) {
    let Some(entity) = state.shown(snapshot) else {
        return;
    };
    let order = state.order(entity);
    let place = state.selected_index(entity, &order);
    let layout = view::arrange(state, snapshot);
    let panes = if state.expanded {
        Panes::single()
    } else {
        Panes::of(state, entity, &order, layout.grid, layout.kind)
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
    // While a line is typed, it goes on filtering the place that it was opened for.
    any && !log.is_empty() && !state.expanded && state.prompt.is_none()
}

/// The next shorter or longer of `ranges`, seen from what is shown now; longer than all there is means all.
fn zoom(state: &mut UiState, snapshot: &Snapshot, shorter: bool, ranges: &[u64]) {
    if let Some(Next(range)) = step(state, snapshot, shorter, ranges) {
        set_range(state, range);
    }
}

fn set_range(state: &mut UiState, range: Option<Duration>) {
    match state.mode {
        Mode::LongTerm => state.long_range = range,
        Mode::Live | Mode::Test => state.live_range = range,
    }
}

/// The range that a key leads to; without one, all that is kept.
struct Next(Option<Duration>);

/// The neighbour of what is shown among `ranges` (seconds, ascending); `None` without data.
fn step(state: &UiState, snapshot: &Snapshot, shorter: bool, ranges: &[u64]) -> Option<Next> {
    let entity = state.shown(snapshot)?;
    let step = entity.grid.step();
    let kept = match (state.mode, &state.history.answer) {
        (Mode::LongTerm, Some(answer)) if state.long_range.is_none() => {
            answer.grid.step() * length(answer.grid.len())
        }
        (Mode::LongTerm, _) => Duration::MAX,
        _ => step * length(entity.grid.len()),
    };
    let now = state.range().unwrap_or(kept);
    let mut ranges = ranges.iter().map(|secs| Duration::from_secs(*secs));
    Some(Next(if shorter {
        ranges
            .rfind(|range| *range < now && *range >= step * 10)
            .or(state.range())
    } else {
        ranges.find(|range| *range > now && *range < kept)
    }))
}

/// The shortest range of [`RANGES`] that is at least `age`; `None`, which is all, when none is.
pub(super) fn range_over(age: Duration) -> Option<Duration> {
    let mut ranges = RANGES.map(Duration::from_secs).into_iter();
    ranges.find(|range| *range >= age)
}

fn length(points: usize) -> u32 {
    u32::try_from(points).unwrap_or(u32::MAX)
}
