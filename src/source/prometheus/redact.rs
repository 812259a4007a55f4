//! Keeps secrets out of messages, also when a server or a proxy repeats them.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};

/// Shorter ones would be found in every other word; they are no secrets worth the name.
const SHORTEST: usize = 4;

/// Knows what must not be shown.
#[derive(Clone, Default)]
pub(super) struct Redactor(Vec<SecretString>);

impl Redactor {
    /// Never show this.
    pub fn hide(&mut self, secret: SecretString) {
        if secret.expose_secret().len() >= SHORTEST {
            self.0.push(secret);
            // A secret that is part of another one must not break that one up first.
            self.0
                .sort_by_key(|s| std::cmp::Reverse(s.expose_secret().len()));
        }
    }

    /// Never show this, if it is long enough to be a token rather than a word such as `true`.
    pub fn hide_if_long(&mut self, text: &str) {
        if text.len() >= 2 * SHORTEST {
            self.hide(SecretString::from(text));
        }
    }

    /// `text` on one line, at most `most` characters of it, secrets masked and control characters gone.
    pub fn clean(&self, text: &str, most: usize) -> String {
        let mut text = text.to_owned();
        for secret in &self.0 {
            text = text.replace(secret.expose_secret(), "********");
        }
        let mut line = String::new();
        for (count, letter) in text.trim().chars().enumerate() {
            if count == most {
                line.push('…');
                break;
            }
            line.push(if letter.is_control() { ' ' } else { letter });
        }
        line
    }
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Redactor({} secrets)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_flattens_and_shortens() {
        let mut redactor = Redactor::default();
        redactor.hide(SecretString::from("hunter2"));
        redactor.hide(SecretString::from("e"));
        redactor.hide_if_long("true");
        redactor.hide_if_long("0123456789");
        assert_eq!(
            redactor.clean("\u{1b}[31mtrue hunter2\n0123456789 ", 200),
            " [31mtrue ******** ********"
        );
        assert_eq!(redactor.clean("äöü", 2), "äö…");
        assert!(!format!("{redactor:?}").contains("hunter2"));
    }
}
