//! Yes or no to something costly or lasting.

use crossterm::event::KeyCode;

use crate::domain::{ControlError, LabelEffect, Level};

use super::super::action::Effect;
use super::super::keymap::Key;
use super::super::state::UiState;
use super::{order, toast};

/// `y` and Enter say yes, `n` and Esc say no, whatever they are bound to. All other keys do nothing: the one that asked may
/// have been pressed twice.
pub(super) fn typed(state: &mut UiState, key: Key, effects: &mut Vec<Effect>) {
    if matches!(key.typed(), Some('n' | 'N')) || key.is(KeyCode::Esc) {
        state.question = None;
    } else if matches!(key.typed(), Some('y' | 'Y')) || key.is(KeyCode::Enter) {
        yes(state, effects);
    }
}

fn yes(state: &mut UiState, effects: &mut Vec<Effect>) {
    if let Some(question) = state.question.take()
        && order(state, question.command, effects)
    {
        toast(state, Level::Info, question.said);
    }
}

/// What a label would change has been worked out.
pub(super) fn answered(
    state: &mut UiState,
    ticket: u64,
    result: Result<LabelEffect, ControlError>,
) {
    let waiting = state.question.as_mut().filter(|q| q.ticket == Some(ticket));
    if let Some(question) = waiting {
        question.ticket = None;
        // The last line is the one that said so.
        question.detail.pop();
        question.detail.push(match result {
            Ok(effect) => effect.told(),
            Err(error) => format!("What it would change is not known: {error}."),
        });
    }
}
