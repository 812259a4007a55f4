//! Makes text from elsewhere fit to be printed: what a terminal would obey, and what nobody would see, is shown as an escape.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Whether a character is better shown as an escape: controls (C0, DEL, C1), those that change the direction of text, and
/// those that take no room.
#[must_use]
pub fn is_unprintable(letter: char) -> bool {
    letter.is_control()
        || matches!(
            letter,
            '\u{ad}'
                | '\u{34f}'
                | '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

/// `text` with every character that is [`is_unprintable`], but those of `kept`, as `\n`, `\t`, `\r` or `\u001b`: what JSON
/// has for it too, so that JSON stays the same JSON.
#[must_use]
pub fn printable<'t>(text: &'t str, kept: &[char]) -> Cow<'t, str> {
    let is_wrong = |letter: char| is_unprintable(letter) && !kept.contains(&letter);
    if !text.contains(is_wrong) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 8);
    for letter in text.chars() {
        match letter {
            letter if !is_wrong(letter) => shown.push(letter),
            '\n' => shown.push_str("\\n"),
            '\t' => shown.push_str("\\t"),
            '\r' => shown.push_str("\\r"),
            letter => {
                for unit in letter.encode_utf16(&mut [0; 2]) {
                    // Writing to a string does not fail.
                    let _ = write!(shown, "\\u{unit:04x}");
                }
            }
        }
    }
    Cow::Owned(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_shown_and_not_sent() {
        let text = "a\u{1b}[31mb\u{9b}1m\n\tä\u{7f}";
        assert_eq!(printable(text, &[]), r"a\u001b[31mb\u009b1m\n\tä\u007f");
        assert_eq!(
            printable(text, &['\n', '\t']),
            "a\\u001b[31mb\\u009b1m\n\tä\\u007f"
        );
        assert!(matches!(printable("plain – text", &[]), Cow::Borrowed(_)));
    }

    #[test]
    fn what_turns_text_around_or_is_not_seen_is_shown() {
        let text = "user\u{202e}gpj\u{2066}.exe \u{200b}x\u{200d}\u{feff}\u{e0041}温é e\u{301}";
        let shown = printable(text, &[]);
        assert_eq!(
            shown,
            "user\\u202egpj\\u2066.exe \\u200bx\\u200d\\ufeff\\udb40\\udc41温é e\u{301}"
        );
        let json: String = serde_json::from_str(&format!("\"{shown}\"")).unwrap();
        assert_eq!(json, text);
    }
}
