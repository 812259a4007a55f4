//! Moving in the large chart: the crosshair, and the part of time that is shown.

use std::time::Duration;

use crate::domain::{Snapshot, Time};

use super::super::action::Intent;
use super::super::state::UiState;
use super::super::view::{self, Ruler};
use super::moves;

/// A moving key while one feature fills the screen.
pub(super) fn press(state: &mut UiState, intent: Intent, snapshot: &Snapshot) {
    match intent {
        Intent::Left => step(state, snapshot, false),
        Intent::Right => step(state, snapshot, true),
        Intent::PageUp => page(state, snapshot, false),
        Intent::PageDown => page(state, snapshot, true),
        Intent::Home => oldest(state, snapshot),
        Intent::End => (state.cursor, state.until) = (None, None),
        _ => moves::panes(state, snapshot, intent),
    }
}

fn ruler(state: &UiState, snapshot: &Snapshot) -> Option<Ruler> {
    Ruler::of(state, snapshot, view::arrange(state, snapshot).body)
}

/// The crosshair goes on by a column; at the edge the chart moves under it. Past the newest row there is nothing to point at:
/// the chart follows it again.
fn step(state: &mut UiState, snapshot: &Snapshot, forward: bool) {
    let Some(ruler) = ruler(state, snapshot) else {
        return;
    };
    if let Some(next) = ruler.beside(forward) {
        state.cursor = Some(next);
        return;
    }
    let until = moved(&ruler, ruler.column(), forward);
    if until == ruler.shown.1 && forward {
        (state.cursor, state.until) = (None, None);
        return;
    }
    show_until(state, &ruler, until);
    let found = self::ruler(state, snapshot).and_then(|ruler| ruler.beside(forward));
    state.cursor = found.or(state.cursor);
}

/// The chart moves by half of what it shows, and the crosshair with it.
fn page(state: &mut UiState, snapshot: &Snapshot, forward: bool) {
    let Some(ruler) = ruler(state, snapshot) else {
        return;
    };
    let half = ruler.length() / 2;
    let until = moved(&ruler, half, forward);
    let cursor = state.cursor.map(|cursor| {
        let moved = if forward {
            cursor + half
        } else {
            cursor - half
        };
        moved.min(until).max(ruler.kept.0.unwrap_or(moved))
    });
    show_until(state, &ruler, until);
    state.cursor = cursor;
}

/// The right edge after moving by `by`, as far as rows are kept.
fn moved(ruler: &Ruler, by: Duration, forward: bool) -> Time {
    let end = ruler.shown.1;
    let end = if forward { end + by } else { end - by };
    let first = ruler.kept.0.map(|oldest| oldest + ruler.length());
    end.max(first.unwrap_or(end)).min(ruler.kept.1)
}

fn show_until(state: &mut UiState, ruler: &Ruler, until: Time) {
    state.until = (until < ruler.kept.1).then_some(until);
}

/// The oldest row, in view and pointed at. As long as nobody knows which that is, all of history is shown instead.
fn oldest(state: &mut UiState, snapshot: &Snapshot) {
    let Some(ruler) = ruler(state, snapshot) else {
        return;
    };
    if let Some(oldest) = ruler.kept.0 {
        state.cursor = Some(oldest);
        show_until(state, &ruler, oldest + ruler.length());
    } else {
        state.long_range = None;
        (state.cursor, state.until) = (None, None);
    }
}

/// Where the moment that is pointed at was on the screen before a key.
pub(super) struct Held {
    range: Option<Duration>,
    at: Time,
    /// What part of the chart was to the right of it, 0 to 1.
    after: f64,
}

/// Remembers where on the screen the moment is that is pointed at; `None` when the chart follows the newest row.
pub(super) fn hold(state: &UiState, snapshot: &Snapshot) -> Option<Held> {
    if !state.expanded || (state.cursor.is_none() && state.until.is_none()) {
        return None;
    }
    let ruler = ruler(state, snapshot)?;
    let length = ruler.length().as_secs_f64();
    let after = ruler.shown.1.since(ruler.at).as_secs_f64() / length;
    Some(Held {
        range: state.range(),
        at: ruler.at,
        after: if after.is_finite() { after } else { 0.0 },
    })
}

/// After the time range has changed, shows the held moment where it was.
pub(super) fn keep(state: &mut UiState, snapshot: &Snapshot, held: Option<Held>) {
    let Some(held) = held.filter(|held| held.range != state.range()) else {
        return;
    };
    let Some(range) = state.range() else {
        return state.until = None;
    };
    let until = held.at + range.mul_f64(held.after.clamp(0.0, 1.0));
    state.until = Some(until);
    if let Some(ruler) = ruler(state, snapshot) {
        let first = ruler.kept.0.map_or(until, |oldest| oldest + range);
        show_until(state, &ruler, until.max(first));
    }
}
