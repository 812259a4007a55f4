//! Long-term mode's questions: when to ask, and what to do with the answer.

use std::sync::Arc;
use std::time::Duration;

use crate::domain::{ControlError, EntityView, Grid, HistoryAnswer, HistoryQuery, Snapshot, Time};

use super::super::action::Effect;
use super::super::state::{HistoryTopic, Mode, UiState};
use super::super::view;

/// An answer older than this is asked for again.
const FRESH: Duration = Duration::from_secs(30);

/// Asks when long-term mode is shown and what is at hand is about something else, or old.
pub(super) fn ask(state: &mut UiState, snapshot: &Snapshot, effects: &mut Vec<Effect>) {
    if state.mode != Mode::LongTerm {
        return;
    }
    let Some(entity) = state.shown(snapshot) else {
        return;
    };
    let topic = topic(state, entity);
    let due = match &state.history.asked {
        Some((asked, when)) if *asked == topic => {
            state.frozen.is_none() && !state.history.pending && snapshot.now.since(*when) >= FRESH
        }
        _ => true,
    };
    if !due {
        return;
    }
    state.history.ticket += 1;
    state.history.pending = true;
    let newest = entity.grid.last().unwrap_or(snapshot.now);
    let from = match (topic.range, topic.until) {
        (Some(range), None) => Some(newest - range),
        // Half a window more than is shown, so that a step to the side is no new question.
        (Some(range), Some(until)) => Some(until - range - range / 2),
        (None, _) => None,
    };
    effects.push(Effect::Query {
        ticket: state.history.ticket,
        query: HistoryQuery {
            pipeline: state.mode.pipeline(),
            entity: topic.entity.clone(),
            from,
            to: topic.until,
            max_points: topic.max_points,
        },
    });
    state.history.asked = Some((topic, snapshot.now));
}

/// What is to be asked for: what is shown, or, of an earlier time, the half windows that it lies in.
fn topic(state: &UiState, entity: &EntityView) -> HistoryTopic {
    let edge = view::edge(state, entity).zip(state.long_range);
    let points = max_points(state.size.0);
    HistoryTopic {
        entity: entity.entity.clone(),
        range: state.long_range,
        until: edge.map(|(until, range)| round_up(until, range / 2)),
        max_points: if edge.is_some() {
            points * 3 / 2
        } else {
            points
        },
    }
}

/// The first multiple of `step` since the epoch that is not before `time`.
fn round_up(time: Time, step: Duration) -> Time {
    let before = Grid::align(time, step);
    if before == time { time } else { before + step }
}

/// Two dots a column, in steps so that dragging a window's edge does not ask anew for every column.
fn max_points(columns: u16) -> usize {
    (usize::from(columns) * 2).div_ceil(100).clamp(2, 20) * 100
}

/// Keeps the newest question's answer; older ones come too late and are dropped.
pub(super) fn answered(
    state: &mut UiState,
    ticket: u64,
    result: Result<HistoryAnswer, ControlError>,
) {
    if ticket != state.history.ticket {
        return;
    }
    state.history.pending = false;
    let topic = state.history.asked.as_ref().map(|(topic, _)| topic.clone());
    match (result, topic) {
        (Ok(answer), Some(topic)) => {
            if topic.range.is_none() && !answer.grid.is_empty() {
                state.history.oldest = Some((topic.entity.clone(), answer.grid.start()));
            }
            state.history.of = Some(topic.entity);
            state.history.answer = Some(Arc::new(answer));
            state.history.error = None;
        }
        (Err(ControlError::NotFound), Some(topic)) if topic.until.is_some() => {
            nothing_so_old(state, &topic);
        }
        (Err(error), _) => state.history.error = Some(error),
        (Ok(_), None) => {}
    }
}

/// Nothing is kept of the time that was asked for: back to where something is.
fn nothing_so_old(state: &mut UiState, topic: &HistoryTopic) {
    if let (Some(until), Some(range)) = (topic.until, topic.range) {
        state.history.oldest = Some((topic.entity.clone(), until));
        (state.cursor, state.until) = (None, Some(until + range));
    }
}
