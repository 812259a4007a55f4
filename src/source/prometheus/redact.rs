//! Keeps secrets out of messages, also when a server or a proxy repeats them.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};

use super::reading::Reading;
use crate::domain::is_unprintable;

/// Shorter ones would be found in every other word; they are no secrets worth the name.
const SHORTEST: usize = 4;

/// What stands in for a secret.
const MASK: &str = "********";

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

    /// `text` on one line, at most `most` characters of it, secrets masked (also those that were written percent-encoded or
    /// with the escapes of JSON or HTML) and what can't be printed gone.
    pub fn clean(&self, text: &str, most: usize) -> String {
        let text = self.masked(text);
        let mut line = String::new();
        for (count, letter) in text.trim().chars().enumerate() {
            if count == most {
                line.push('…');
                break;
            }
            line.push(if is_unprintable(letter) { ' ' } else { letter });
        }
        line
    }

    fn masked(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for reading in Reading::ALL {
            if reading.may_differ(&text) {
                text = self.masked_as(&text, reading);
            }
        }
        text
    }

    /// Masks the secrets that are in `text` as it is read in one way.
    fn masked_as(&self, text: &str, reading: Reading) -> String {
        let read = reading.of(text);
        let bytes: Vec<u8> = read.iter().map(|(byte, _)| *byte).collect();
        let mut hidden = vec![false; text.len()];
        for secret in self.0.iter().map(|s| s.expose_secret().as_bytes()) {
            for (start, found) in bytes.windows(secret.len()).enumerate() {
                if found == secret {
                    let spans = read.iter().skip(start).take(secret.len());
                    for at in spans.flat_map(|(_, span)| span.clone()) {
                        if let Some(place) = hidden.get_mut(at) {
                            *place = true;
                        }
                    }
                }
            }
        }
        let mut shown = String::with_capacity(text.len());
        let mut before = false;
        for (at, letter) in text.char_indices() {
            let is_hidden = hidden.get(at).copied().unwrap_or_default();
            match (is_hidden, before) {
                (true, false) => shown.push_str(MASK),
                (true, true) => {}
                (false, _) => shown.push(letter),
            }
            before = is_hidden;
        }
        shown
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
    fn secrets_are_found_however_a_server_writes_them() {
        let secret = "p\u{e4}/s+s \"<&w%41'rd";
        let mut redactor = Redactor::default();
        redactor.hide(SecretString::from(secret));
        let form: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
        let percent = form.replace('+', "%20");
        let json = serde_json::to_string(secret).unwrap();
        let go = json
            .trim_matches('"')
            .replace('<', "\\u003c")
            .replace('&', "\\u0026");
        let html = secret
            .replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('"', "&#34;");
        let forms = [
            secret.to_owned(),
            form.clone(),
            percent.clone(),
            percent.to_lowercase().replace("s%2bs", "s+s"),
            json.trim_matches('"').replace('/', "\\/"),
            go,
            html.replace('\'', "&#x27;"),
            html.replace('\'', "&apos;"),
        ];
        for form in forms {
            let text = format!("no such thing: {form}; ask the owner");
            let shown = redactor.clean(&text, 300).replace('"', "");
            assert_eq!(
                shown,
                format!("no such thing: {MASK}; ask the owner"),
                "{form}"
            );
        }
    }

    #[test]
    fn overlapping_and_repeated_secrets_leave_nothing() {
        let mut redactor = Redactor::default();
        for secret in ["abcabc", "cabcxyz", "abcabc-and-more"] {
            redactor.hide(SecretString::from(secret));
        }
        assert_eq!(redactor.clean("abcabcabcxyz!", 99), "********!");
        assert_eq!(redactor.clean("abcabc-and-more", 99), "********");
        assert_eq!(
            redactor.clean("100 % of &c; \\ and %zz", 99),
            "100 % of &c; \\ and %zz"
        );
    }

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
