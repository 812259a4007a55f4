//! Makes text from elsewhere fit to be printed: a control character is shown as an escape and never reaches a terminal.

use std::borrow::Cow;
use std::fmt::Write as _;

/// `text` with every control character (C0, DEL, C1) but those of `kept` written as `\n`, `\t`, `\r` or `\u{1b}`.
#[must_use]
pub fn printable<'t>(text: &'t str, kept: &[char]) -> Cow<'t, str> {
    let is_wrong = |letter: char| letter.is_control() && !kept.contains(&letter);
    if !text.contains(is_wrong) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 8);
    for letter in text.chars() {
        if is_wrong(letter) {
            // Writing to a string does not fail.
            let _ = write!(shown, "{}", letter.escape_default());
        } else {
            shown.push(letter);
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
        assert_eq!(printable(text, &[]), r"a\u{1b}[31mb\u{9b}1m\n\tä\u{7f}");
        assert_eq!(
            printable(text, &['\n', '\t']),
            "a\\u{1b}[31mb\\u{9b}1m\n\tä\\u{7f}"
        );
        assert!(matches!(printable("plain – text", &[]), Cow::Borrowed(_)));
    }
}
