//! Writes what commands print, with control characters of foreign text (labels, answers, settings) and what is not seen
//! shown as escapes.

use std::io::{self, Write};

use crate::domain::printable;

/// What text may hold: ends of lines and tabs.
const KEPT: [char; 2] = ['\n', '\t'];

/// Text written to it reaches the inner writer without control, bidirectional and invisible characters, but for ends of
/// lines and tabs. Anything that is not
/// UTF-8 is replaced as such.
pub struct Printer<W: Write> {
    inner: W,
    /// The beginning of a character whose rest has not come yet; at most three bytes.
    begun: Vec<u8>,
}

impl<W: Write> Printer<W> {
    /// Writes to `inner`.
    pub const fn new(inner: W) -> Self {
        Self {
            inner,
            begun: Vec::new(),
        }
    }
}

impl<W: Write> Write for Printer<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut text = std::mem::take(&mut self.begun);
        text.extend_from_slice(bytes);
        if let Err(error) = std::str::from_utf8(&text)
            && error.error_len().is_none()
        {
            self.begun = text.split_off(error.valid_up_to());
        }
        let text = String::from_utf8_lossy(&text);
        self.inner.write_all(printable(&text, &KEPT).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_shown_also_when_a_character_comes_in_pieces() {
        let mut out = Printer::new(Vec::new());
        let text = "name\u{1b}]0;x\u{7} \u{9b}2J ä\n\tend";
        for byte in text.bytes() {
            out.write_all(&[byte]).unwrap();
        }
        let printed = String::from_utf8(out.inner).unwrap();
        assert_eq!(printed, "name\\u001b]0;x\\u0007 \\u009b2J ä\n\tend");
    }

    #[test]
    fn json_stays_the_same_json() {
        let name = "a\u{1b}\u{7f}\u{9b}\u{202e}\u{200b}\u{e0041}b";
        let mut out = Printer::new(Vec::new());
        let value = serde_json::json!({ "name": name });
        writeln!(out, "{value:#}").unwrap();
        let printed = String::from_utf8(out.inner).unwrap();
        assert!(printed.is_ascii(), "{printed}");
        let read: serde_json::Value = serde_json::from_str(&printed).unwrap();
        assert_eq!(read, value);
    }
}
