//! As much of Rust's lexical grammar as it takes to find paths: comments, strings and character literals are skipped.

/// A word or a single punctuation character, with its line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    pub text: String,
    pub line: usize,
}

/// The words and punctuation of a source file. Literals become the token `""`, `::` is one token.
pub fn tokens(source: &str) -> Vec<Token> {
    let mut lexer = Lexer {
        rest: source,
        line: 1,
    };
    std::iter::from_fn(|| lexer.next()).collect()
}

struct Lexer<'a> {
    rest: &'a str,
    line: usize,
}

impl Lexer<'_> {
    fn next(&mut self) -> Option<Token> {
        loop {
            let first = self.rest.chars().next()?;
            let line = self.line;
            let (text, length) = match first {
                _ if first.is_whitespace() => (None, first.len_utf8()),
                '/' if self.rest.starts_with("//") => (None, until(self.rest, 2, "\n")),
                '/' if self.rest.starts_with("/*") => (None, block_comment(self.rest)),
                '"' => (Some("\"\""), quoted(self.rest, 1)),
                '\'' => match character(self.rest) {
                    Some(length) => (Some("\"\""), length),
                    // A lifetime: its name follows as a word of its own.
                    None => (None, 1),
                },
                'a'..='z' | 'A'..='Z' | '_' | '0'..='9' => {
                    if let Some(length) = prefixed_literal(self.rest) {
                        (Some("\"\""), length)
                    } else {
                        let length = word(self.rest);
                        (Some(&self.rest[..length]), length)
                    }
                }
                ':' if self.rest.starts_with("::") => (Some("::"), 2),
                _ => (Some(&self.rest[..first.len_utf8()]), first.len_utf8()),
            };
            let text = text.map(str::to_owned);
            let (passed, rest) = self.rest.split_at(length);
            self.line += passed.matches('\n').count();
            self.rest = rest;
            if let Some(text) = text {
                return Some(Token { text, line });
            }
        }
    }
}

fn word(text: &str) -> usize {
    text.find(|c: char| !(c.is_alphanumeric() || c == '_'))
        .unwrap_or(text.len())
}

/// Length up to and with the first `end` after `from` bytes.
fn until(text: &str, from: usize, end: &str) -> usize {
    text[from..]
        .find(end)
        .map_or(text.len(), |at| from + at + end.len())
}

fn block_comment(text: &str) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < text.len() {
        let rest = &text.as_bytes()[at..];
        if rest.starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    text.len()
}

/// Length of a string literal whose opening quote ends at `from`.
fn quoted(text: &str, from: usize) -> usize {
    let mut escaped = false;
    for (at, c) in text[from..].char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return from + at + 1,
            _ => {}
        }
    }
    text.len()
}

/// Length of `'x'` or `'\…'`; `None` for a lifetime.
fn character(text: &str) -> Option<usize> {
    let mut chars = text.char_indices().skip(1);
    let (_, first) = chars.next()?;
    if first == '\\' {
        let (_, _escaped) = chars.next()?;
        return chars.find(|(_, c)| *c == '\'').map(|(at, _)| at + 1);
    }
    chars
        .next()
        .filter(|(_, c)| *c == '\'')
        .map(|(at, _)| at + 1)
}

/// Length of `r"…"`, `r#"…"#`, `b"…"`, `b'…'`, `br#"…"#`, `c"…"`; `None` when a plain word begins here.
fn prefixed_literal(text: &str) -> Option<usize> {
    let letters = word(text);
    if !matches!(&text[..letters], "r" | "b" | "br" | "c" | "cr") {
        return None;
    }
    let rest = &text[letters..];
    if text[..letters].ends_with('r') {
        let hashes = rest.len() - rest.trim_start_matches('#').len();
        if !rest[hashes..].starts_with('"') {
            return None;
        }
        let end = format!("\"{}", "#".repeat(hashes));
        return Some(until(text, letters + hashes + 1, &end));
    }
    match rest.chars().next()? {
        '"' => Some(quoted(text, letters + 1)),
        '\'' => character(rest).map(|length| letters + length),
        _ => None,
    }
}

#[test]
fn comments_and_literals_hide_nothing_and_show_nothing() {
    let source = r##"
// crate::a
/* crate::b /* nested */ crate::c */
let s = "crate::d \" crate::e"; let r = r#"crate::f "quoted" "#;
let c = '"'; let q = '\''; let b = b'x'; fn f<'a>(x: &'a str) {}
use crate::g; // crate::h
"##;
    let found: Vec<(String, usize)> = tokens(source)
        .windows(3)
        .filter(|w| w[0].text == "crate" && w[1].text == "::")
        .map(|w| (w[2].text.clone(), w[2].line))
        .collect();
    assert_eq!(found, [("g".to_owned(), 6)]);
}
