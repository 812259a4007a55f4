//! Long-term mode's questions: when to ask, and what to do with the answer.

use std::sync::Arc;
use std::time::Duration;

use crate::domain::{ControlError, HistoryAnswer, HistoryQuery, Snapshot};

use super::super::action::Effect;
use super::super::state::{HistoryTopic, Mode, UiState};

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
    let topic = HistoryTopic {
        entity: entity.entity.clone(),
        range: state.long_range,
        max_points: max_points(state.size.0),
    };
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
    effects.push(Effect::Query {
        ticket: state.history.ticket,
        query: HistoryQuery {
            pipeline: state.mode.pipeline(),
            entity: topic.entity.clone(),
            from: topic
                .range
                .map(|range| entity.grid.last().unwrap_or(snapshot.now) - range),
            to: None,
            max_points: topic.max_points,
        },
    });
    state.history.asked = Some((topic, snapshot.now));
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
    match result {
        Ok(answer) => {
            let topic = state.history.asked.as_ref().map(|(topic, _)| topic);
            state.history.of = topic.map(|topic| topic.entity.clone());
            state.history.answer = Some(Arc::new(answer));
            state.history.error = None;
        }
        Err(error) => state.history.error = Some(error),
    }
}
