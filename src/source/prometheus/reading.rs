//! Reads text as a program would that percent-encoded it or escaped it for JSON or HTML, and knows where each byte stood.

use std::ops::Range;

/// Longest escape, in bytes: `&quot;`, `\u00e4`, `&#x0027;` and the like.
const LONGEST: usize = 10;

/// One way to read a text.
#[derive(Clone, Copy, Debug)]
pub(super) enum Reading {
    /// As it stands.
    Plain,
    /// With percent-encoded bytes, as in addresses.
    Percent,
    /// The same with `+` for a space, as in forms.
    Form,
    /// With the escapes of a JSON string.
    Json,
    /// With HTML's character references.
    Html,
    /// With all of them at once: what one program escaped, another may have escaped again.
    Every,
}

/// A byte that was read, and where in the text it stood.
pub(super) type Read = (u8, Range<usize>);

impl Reading {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Plain,
        Self::Percent,
        Self::Form,
        Self::Json,
        Self::Html,
        Self::Every,
    ];

    /// Whether the text can read differently than [`Self::Plain`].
    pub fn may_differ(self, text: &str) -> bool {
        match self {
            Self::Plain => true,
            Self::Percent => text.contains('%'),
            Self::Form => text.contains(['%', '+']),
            Self::Json => text.contains('\\'),
            Self::Html => text.contains('&'),
            Self::Every => text.contains(['%', '\\', '&']),
        }
    }

    /// The bytes of `text` read in this way, in order.
    pub fn of(self, text: &str) -> Vec<Read> {
        let mut read = Vec::with_capacity(text.len());
        let mut at = 0;
        while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
            if let Some((length, bytes)) = self.escape(rest) {
                let span = at..at + length;
                read.extend(bytes.as_slice().iter().map(|byte| (*byte, span.clone())));
                at += length;
            } else {
                let length = rest.chars().next().map_or(1, char::len_utf8);
                let bytes = rest.bytes().take(length).enumerate();
                read.extend(bytes.map(|(i, byte)| (byte, at + i..at + i + 1)));
                at += length;
            }
        }
        read
    }

    /// The escape that `rest` begins with: its length, and the bytes that it stands for.
    fn escape(self, rest: &str) -> Option<(usize, Vec<u8>)> {
        let first = rest.chars().next()?;
        match (first, self) {
            ('%', Self::Percent | Self::Form | Self::Every) => percent(rest),
            ('+', Self::Form) => Some((1, vec![b' '])),
            ('\\', Self::Json | Self::Every) => json(rest),
            ('&', Self::Html | Self::Every) => html(rest),
            _ => None,
        }
    }
}

fn percent(rest: &str) -> Option<(usize, Vec<u8>)> {
    let digits = rest.get(1..3)?;
    let byte = u8::from_str_radix(digits, 16).ok()?;
    Some((3, vec![byte]))
}

fn json(rest: &str) -> Option<(usize, Vec<u8>)> {
    let short = match rest.chars().nth(1)? {
        'n' => b'\n',
        'r' => b'\r',
        't' => b'\t',
        'b' => 8,
        'f' => 12,
        plain @ ('"' | '\\' | '/') => u8::try_from(plain).ok()?,
        'u' => {
            let code = u32::from_str_radix(rest.get(2..6)?, 16).ok()?;
            return Some((6, utf8(code)?));
        }
        _ => return None,
    };
    Some((2, vec![short]))
}

fn html(rest: &str) -> Option<(usize, Vec<u8>)> {
    let end = rest.bytes().take(LONGEST).position(|byte| byte == b';')?;
    let name = rest.get(1..end)?;
    let code = match name {
        "amp" => u32::from(b'&'),
        "lt" => u32::from(b'<'),
        "gt" => u32::from(b'>'),
        "quot" => u32::from(b'"'),
        "apos" => u32::from(b'\''),
        _ => {
            let number = name.strip_prefix('#')?;
            match number.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => number.parse().ok()?,
            }
        }
    };
    Some((end + 1, utf8(code)?))
}

fn utf8(code: u32) -> Option<Vec<u8>> {
    let letter = char::from_u32(code)?;
    Some(letter.encode_utf8(&mut [0; 4]).as_bytes().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(reading: Reading, text: &str) -> String {
        let bytes = reading.of(text).into_iter().map(|(byte, _)| byte).collect();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn escapes_are_read_and_what_is_none_stays() {
        assert_eq!(read(Reading::Percent, "%C3%a4+%4"), "ä+%4");
        assert_eq!(read(Reading::Form, "a+b%20"), "a b ");
        assert_eq!(read(Reading::Json, r#"\u00e4\/\"\n\x\"#), "ä/\"\n\\x\\");
        assert_eq!(
            read(Reading::Html, "&lt;&#34;&#x27;&amp;&nbsp;&"),
            "<\"'&&nbsp;&"
        );
        assert_eq!(read(Reading::Every, r"%41\u0042&#67;ö"), "ABCö");
    }

    #[test]
    fn every_byte_knows_where_it_stood() {
        let read = Reading::Percent.of("ä%2F!");
        let spans: Vec<_> = read.into_iter().map(|(_, span)| span).collect();
        assert_eq!(spans, [0..1, 1..2, 2..5, 5..6]);
    }
}
