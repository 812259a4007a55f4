//! From what the terminal reports to what it means.

use crossterm::event::{Event, KeyEventKind, MouseButton, MouseEventKind};

use super::action::{Action, Pointer};
use super::keymap::Key;

/// The action of a terminal event; `None` for everything that is not a key, pasted text, a click, a turn of the wheel or a new
/// size.
pub fn action(event: &Event) -> Option<Action> {
    match event {
        Event::Key(key) if key.kind != KeyEventKind::Release => Some(Action::Key(Key::of(key))),
        Event::Paste(text) => Some(Action::Paste(text.clone())),
        Event::Resize(columns, rows) => Some(Action::Resize(*columns, *rows)),
        Event::Mouse(mouse) => {
            let pointer = match mouse.kind {
                MouseEventKind::Down(MouseButton::Left) => Pointer::Click,
                MouseEventKind::ScrollUp => Pointer::WheelUp,
                MouseEventKind::ScrollDown => Pointer::WheelDown,
                _ => return None,
            };
            Some(Action::Mouse(pointer, mouse.column, mouse.row))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use crossterm::event::{KeyCode, KeyEvent, KeyModifiers, MouseEvent};

    use super::*;

    #[test]
    fn keys_clicks_and_sizes_become_actions() {
        let press = |code, modifiers| Event::Key(KeyEvent::new(code, modifiers));
        let is = |event: Event, key: &str| {
            let wanted = Key::parse(key).unwrap();
            matches!(action(&event), Some(Action::Key(found)) if found == wanted)
        };
        assert!(is(press(KeyCode::Char('?'), KeyModifiers::SHIFT), "?"));
        assert!(is(
            press(KeyCode::Char('c'), KeyModifiers::CONTROL),
            "Ctrl-c"
        ));
        assert!(action(&Event::FocusLost).is_none());
        assert!(matches!(
            action(&Event::Paste("q\n".into())),
            Some(Action::Paste(text)) if text == "q\n"
        ));
        assert!(matches!(
            action(&Event::Resize(80, 24)),
            Some(Action::Resize(80, 24))
        ));
        let mut release = KeyEvent::new(KeyCode::Char('q'), KeyModifiers::NONE);
        release.kind = KeyEventKind::Release;
        assert!(action(&Event::Key(release)).is_none());
        let mouse = |kind| {
            Event::Mouse(MouseEvent {
                kind,
                column: 3,
                row: 4,
                modifiers: KeyModifiers::NONE,
            })
        };
        assert!(matches!(
            action(&mouse(MouseEventKind::ScrollUp)),
            Some(Action::Mouse(Pointer::WheelUp, 3, 4))
        ));
        assert!(action(&mouse(MouseEventKind::Moved)).is_none());
    }
}
