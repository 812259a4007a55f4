//! From what the terminal reports to what it means.

use crossterm::event::{Event, KeyEventKind};

use super::action::Action;
use super::keymap::{Key, Keymap};

/// The action of a terminal event; `None` for keys without a binding and for everything that is not a key or a new size.
pub fn action(event: &Event, keymap: &Keymap) -> Option<Action> {
    match event {
        Event::Key(key) if key.kind != KeyEventKind::Release => {
            keymap.intent(Key::of(key)).map(Action::Press)
        }
        Event::Resize(columns, rows) => Some(Action::Resize(*columns, *rows)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

    use super::*;
    use crate::tui::action::Intent;

    #[test]
    fn keys_and_sizes_become_actions() {
        let keymap = Keymap::new(&std::collections::BTreeMap::new()).unwrap();
        let press = |code, modifiers| Event::Key(KeyEvent::new(code, modifiers));
        let of = |event: Event| action(&event, &keymap);
        assert!(matches!(
            of(press(KeyCode::Char('?'), KeyModifiers::SHIFT)),
            Some(Action::Press(Intent::Help))
        ));
        assert!(matches!(
            of(press(KeyCode::Char('c'), KeyModifiers::CONTROL)),
            Some(Action::Press(Intent::Quit))
        ));
        assert!(of(press(KeyCode::Char('é'), KeyModifiers::NONE)).is_none());
        assert!(of(Event::FocusLost).is_none());
        assert!(matches!(
            of(Event::Resize(80, 24)),
            Some(Action::Resize(80, 24))
        ));
        let mut release = KeyEvent::new(KeyCode::Char('q'), KeyModifiers::NONE);
        release.kind = KeyEventKind::Release;
        assert!(of(Event::Key(release)).is_none());
    }
}
