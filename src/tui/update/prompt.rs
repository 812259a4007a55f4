//! The line that is typed: choosing an action by its words, and what is shown in a place.

use crossterm::event::KeyCode;

use crate::domain::Snapshot;

use super::super::action::{Effect, Intent};
use super::super::keymap::Key;
use super::super::state::{Prompt, PromptKind, UiState};

/// Longest line.
const LONGEST: usize = 64;

/// Opens the line that a key asks for, where there is something to choose from.
pub(super) fn open(state: &mut UiState, intent: Intent) {
    let place = state.place();
    let kind = match intent {
        Intent::Palette => PromptKind::Palette,
        _ => PromptKind::Filter(place),
    };
    let text = match kind {
        PromptKind::Palette => String::new(),
        PromptKind::Filter(place) => match state.filters.of(place) {
            Some(word) => word.clone(),
            None => return,
        },
    };
    state.prompt = Some(Prompt {
        kind,
        text,
        chosen: 0,
    });
}

/// A key while a line is typed.
pub(super) fn typed(
    state: &mut UiState,
    key: Key,
    _snapshot: &Snapshot,
    _effects: &mut Vec<Effect>,
) {
    let Some(mut prompt) = state.prompt.take() else {
        return;
    };
    if key.is(KeyCode::Esc) {
        prompt.text.clear();
    } else if key.is(KeyCode::Backspace) {
        prompt.text.pop();
    } else if let Some(c) = key.typed()
        && prompt.text.chars().count() < LONGEST
    {
        prompt.text.push(c);
    }
    if let PromptKind::Filter(place) = prompt.kind
        && let Some(word) = state.filters.of(place)
    {
        word.clone_from(&prompt.text);
    }
    if !key.is(KeyCode::Esc) && !key.is(KeyCode::Enter) {
        state.prompt = Some(prompt);
    }
}
