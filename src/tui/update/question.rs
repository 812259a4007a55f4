//! Yes or no to something costly or lasting.

use crossterm::event::KeyCode;

use crate::domain::{ControlError, LabelEffect, Level};

use super::super::action::{Effect, Intent};
use super::super::keymap::Key;
use super::super::state::UiState;
use super::{order, toast};

/// `n` and Esc say no, whatever they are bound to; `y`, Enter, or the key that asked, says yes. Everything else leaves the
/// question where it is.
pub(super) fn typed(state: &mut UiState, key: Key, effects: &mut Vec<Effect>) {
    let bound = state.keymap.intent(key);
    let asked = state.question.as_ref().map(|question| question.again);
    let again = bound.is_some() && bound == asked;
    if matches!(key.typed(), Some('n' | 'N')) || key.is(KeyCode::Esc) {
        state.question = None;
    } else if matches!(key.typed(), Some('y' | 'Y')) || key.is(KeyCode::Enter) || again {
        yes(state, effects);
    }
}

/// The same for what keys ask for.
pub(super) fn press(state: &mut UiState, intent: Intent, effects: &mut Vec<Effect>) {
    let asked = state.question.as_ref().map(|question| question.again);
    match intent {
        Intent::Expand => yes(state, effects),
        Intent::Back => state.question = None,
        Intent::Quit => effects.push(Effect::Quit),
        _ if Some(intent) == asked => yes(state, effects),
        _ => {}
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
