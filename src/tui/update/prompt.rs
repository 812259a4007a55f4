//! The line that is typed: choosing an action by its words, and what is shown in a place.

use crossterm::event::KeyCode;

use crate::domain::{Command, Level, Snapshot};

use super::super::action::{Effect, Intent};
use super::super::keymap::Key;
use super::super::palette::{self, Run};
use super::super::state::{Place, Prompt, PromptKind, UiState};
use super::super::text;
use super::super::view;
use super::{moves, order, press, recolor, toast};

/// Longest line, in characters.
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
            None => return toast(state, Level::Info, "there is no list to filter here".into()),
        },
    };
    state.prompt = Some(Prompt {
        kind,
        text,
        chosen: 0,
    });
}

/// A key while a line is typed.
pub(super) fn typed(state: &mut UiState, key: Key, snapshot: &Snapshot, effects: &mut Vec<Effect>) {
    let Some(mut prompt) = state.prompt.take() else {
        return;
    };
    let closes = key.is(KeyCode::Backspace) && prompt.text.is_empty();
    if key.is(KeyCode::Esc) || closes {
        if let PromptKind::Filter(place) = prompt.kind {
            filter(state, place, "");
        }
    } else if key.is(KeyCode::Enter) {
        if prompt.kind == PromptKind::Palette {
            run(state, &prompt, snapshot, effects);
        }
    } else if let Some(intent) = moving(key) {
        let filters = prompt.kind != PromptKind::Palette;
        if !filters {
            choose(state, &mut prompt, intent, snapshot);
        }
        // Back first: what moves under an open line does not leave the place that the line filters.
        state.prompt = Some(prompt);
        if filters {
            moves::press(state, intent, snapshot);
        }
    } else {
        if edit(&mut prompt.text, key) {
            edited(state, &mut prompt);
        }
        state.prompt = Some(prompt);
    }
}

/// Text that is pasted into the line.
pub(super) fn pasted(state: &mut UiState, text: &str) {
    let Some(mut prompt) = state.prompt.take() else {
        return;
    };
    if insert(&mut prompt.text, text) {
        edited(state, &mut prompt);
    }
    state.prompt = Some(prompt);
}

/// What follows from another text in the line.
fn edited(state: &mut UiState, prompt: &mut Prompt) {
    prompt.chosen = 0;
    if let PromptKind::Filter(place) = prompt.kind {
        filter(state, place, &prompt.text);
    }
}

/// What a key moves while a line is typed. These keys are fixed, not those of the table: there letters are letters, whatever
/// they are bound to.
fn moving(key: Key) -> Option<Intent> {
    [
        (KeyCode::Up, Intent::Up),
        (KeyCode::BackTab, Intent::Up),
        (KeyCode::Down, Intent::Down),
        (KeyCode::Tab, Intent::Down),
        (KeyCode::PageUp, Intent::PageUp),
        (KeyCode::PageDown, Intent::PageDown),
    ]
    .into_iter()
    .find(|(code, _)| key.is(*code))
    .map(|(_, intent)| intent)
}

/// Changes the text; says whether it did.
fn edit(text: &mut String, key: Key) -> bool {
    let before = text.len();
    if key.is(KeyCode::Backspace) {
        text.pop();
    } else if key.is_control('u') {
        text.clear();
    } else if key.is_control('w') {
        let kept = text.trim_end();
        let end = kept.rfind(char::is_whitespace).map_or(0, |at| at + 1);
        text.truncate(end);
    } else if let Some(c) = key.typed()
        && !c.is_control()
        && text.chars().count() < LONGEST
    {
        text.push(c);
    }
    text.len() != before
}

/// Adds the first line of `pasted` that says something, as far as there is room; says whether there was anything.
fn insert(text: &mut String, pasted: &str) -> bool {
    let before = text.len();
    let line = pasted
        .split(['\n', '\r'])
        .find(|line| !line.trim().is_empty());
    let letters = line.unwrap_or_default().trim().chars();
    let room = LONGEST.saturating_sub(text.chars().count());
    text.extend(letters.filter(|letter| !letter.is_control()).take(room));
    text.len() != before
}

/// Shows what `word` is in; a list starts at its first line again.
fn filter(state: &mut UiState, place: Place, word: &str) {
    if let Some(kept) = state.filters.of(place) {
        word.clone_into(kept);
    }
    if let Some(open) = &mut state.open {
        open.line = 0;
    }
}

/// Moves the choice; past an end it goes on at the other.
fn choose(state: &UiState, prompt: &mut Prompt, intent: Intent, snapshot: &Snapshot) {
    let count = palette::offers(state, snapshot, &prompt.text).len();
    let last = count.saturating_sub(1);
    let at = prompt.chosen.min(last);
    prompt.chosen = match intent {
        Intent::Up => at.checked_sub(1).unwrap_or(last),
        Intent::Down if at == last => 0,
        Intent::Down => at + 1,
        Intent::PageUp => at.saturating_sub(view::offered(state, snapshot)),
        _ => (at + view::offered(state, snapshot)).min(last),
    };
}

/// Does what was chosen, or says why it can't.
fn run(state: &mut UiState, prompt: &Prompt, snapshot: &Snapshot, effects: &mut Vec<Effect>) {
    let offers = palette::offers(state, snapshot, &prompt.text);
    let chosen = offers.into_iter().nth(prompt.chosen);
    let Some(offer) = chosen else {
        return toast(state, Level::Warning, palette::refusal(&prompt.text));
    };
    match offer.run {
        Run::Press(intent) => press(state, intent, snapshot, effects),
        Run::Theme(theme) => recolor(state, theme),
        Run::Range(range) => moves::show_range(state, snapshot, range),
        Run::Entity(entity) => state.show_entity(entity),
        Run::Order(order) => moves::order_by(state, order),
        Run::Interval(interval) => {
            if order(state, Command::SetInterval(interval), effects) {
                let said = format!("polling every {}", text::span(interval));
                toast(state, Level::Info, said);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(text: &str, key: &str) -> String {
        let mut text = text.to_owned();
        edit(&mut text, Key::parse(key).unwrap());
        text
    }

    #[test]
    fn lines_are_edited_at_their_end() {
        assert_eq!(after("cp", "u"), "cpu");
        assert_eq!(after("温度", "Backspace"), "温");
        assert_eq!(after("disk 温度", "Ctrl-w"), "disk ");
        assert_eq!(after("disk  ", "Ctrl-w"), "");
        assert_eq!(after("anything", "Ctrl-u"), "");
        assert_eq!(after("a", "Space"), "a ");
        assert_eq!(after("a", "Ctrl-x"), "a");
        assert_eq!(after(&"x".repeat(LONGEST), "y"), "x".repeat(LONGEST));
    }

    #[test]
    fn of_what_is_pasted_one_bounded_line_is_taken() {
        let mut text = "disk".to_owned();
        assert!(insert(&mut text, "\r\n _\u{1b}[31mread\u{7}\nrm -rf\n"));
        assert_eq!(text, "disk_[31mread");
        assert!(!insert(&mut text, "\n\r\n"));
        assert!(insert(&mut text, &"ö".repeat(100_000)));
        assert_eq!(text.chars().count(), LONGEST);
        assert!(!insert(&mut text, "more"));
    }
}
