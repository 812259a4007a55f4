//! Which rooms a source file knows.

use crate::lexer::{Token, tokens};

/// A path that leads out of its own module tree, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Arrow {
    pub line: usize,
    /// The first name of the path: a room.
    pub to: String,
}

/// Every room that `source` names through `root` (`crate`, or `pulsewatch` for the binary), in any of the forms
/// `use crate::a`, `use crate::{a::b, c}`, `crate::a::f()`; and every chain of `super` that climbs above the room, as an
/// arrow to `super`. `depth` says how many names lead from the root to this file's module. Modules under
/// `#[cfg(test)]` are left out.
pub fn arrows(source: &str, root: &str, depth: usize) -> Vec<Arrow> {
    let tokens = without_tests(&tokens(source));
    let mut found = Vec::new();
    let mut nested: Vec<usize> = Vec::new();
    let mut braces = 0_usize;
    for (at, token) in tokens.iter().enumerate() {
        match token.text.as_str() {
            "{" => {
                if opens_module(&tokens, at) {
                    nested.push(braces);
                }
                braces += 1;
            }
            "}" => {
                braces = braces.saturating_sub(1);
                if nested.last() == Some(&braces) {
                    nested.pop();
                }
            }
            "super"
                if !follows(&tokens, at, "::") && supers(&tokens, at) >= depth + nested.len() =>
            {
                found.push(arrow(token, "super"));
            }
            text if text == root && !follows(&tokens, at, "::") => {
                found.extend(heads(&tokens, at + 1));
            }
            _ => {}
        }
    }
    found.sort();
    found.dedup();
    found
}

fn arrow(token: &Token, to: &str) -> Arrow {
    Arrow {
        line: token.line,
        to: to.to_owned(),
    }
}

fn text(tokens: &[Token], at: usize) -> &str {
    tokens.get(at).map_or("", |token| token.text.as_str())
}

/// Whether the token before `at` is `before`.
fn follows(tokens: &[Token], at: usize, before: &str) -> bool {
    at > 0 && text(tokens, at - 1) == before
}

/// Whether the `{` at `at` opens `mod name {`.
fn opens_module(tokens: &[Token], at: usize) -> bool {
    at > 1 && text(tokens, at - 2) == "mod"
}

/// How many `super::` follow each other from `at` on.
fn supers(tokens: &[Token], at: usize) -> usize {
    tokens[at..]
        .chunks_exact(2)
        .take_while(|pair| pair[0].text == "super" && pair[1].text == "::")
        .count()
}

/// The first names after a root whose `::` is at `at`: one, or those of a group in braces.
fn heads(tokens: &[Token], at: usize) -> Vec<Arrow> {
    if text(tokens, at) != "::" {
        return Vec::new();
    }
    if text(tokens, at + 1) != "{" {
        return tokens
            .get(at + 1)
            .map(|token| arrow(token, &token.text))
            .into_iter()
            .collect();
    }
    let (mut found, mut depth, mut first) = (Vec::new(), 0_usize, true);
    for token in &tokens[at + 1..] {
        match token.text.as_str() {
            "{" => depth += 1,
            "}" => depth -= 1,
            "," if depth == 1 => first = true,
            name if depth == 1 && first => {
                found.push(arrow(token, name));
                first = false;
            }
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    found
}

/// The tokens outside of `#[cfg(test)] mod … { … }`.
fn without_tests(tokens: &[Token]) -> Vec<Token> {
    const TEST: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let mut kept = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let is_test = TEST
            .iter()
            .enumerate()
            .all(|(i, word)| text(tokens, at + i) == *word);
        if is_test && let Some(end) = module_end(tokens, at + TEST.len()) {
            at = end;
        } else {
            kept.push(tokens[at].clone());
            at += 1;
        }
    }
    kept
}

/// One past the end of the module that begins at `at`, after further attributes; `None` when it is no module.
fn module_end(tokens: &[Token], mut at: usize) -> Option<usize> {
    while text(tokens, at) == "#" {
        at = matching(tokens, at + 1, "[", "]")?;
    }
    while matches!(text(tokens, at), "pub" | "(" | ")" | "crate" | "super") {
        at += 1;
    }
    if text(tokens, at) != "mod" {
        return None;
    }
    match text(tokens, at + 2) {
        "{" => matching(tokens, at + 2, "{", "}"),
        _ => Some(at + 3),
    }
}

/// One past the bracket that closes the one at `at`.
fn matching(tokens: &[Token], at: usize, open: &str, close: &str) -> Option<usize> {
    let mut depth = 0_usize;
    for (offset, token) in tokens[at..].iter().enumerate() {
        if token.text == open {
            depth += 1;
        } else if token.text == close {
            depth -= 1;
        }
        if depth == 0 {
            return Some(at + offset + 1);
        }
    }
    None
}

#[test]
fn every_form_of_path_is_found() {
    let source = "
use crate::{alpha::{self, deep}, beta, gamma::One as Two};
fn f(x: crate::delta::Three) { crate::epsilon::call(); }
pub(crate) struct S;
use super::sibling;
use super::super::outside;
mod inner { use super::super::sibling; use super::own; }
#[cfg(test)]
#[allow(unused)]
mod tests { use crate::zeta; use super::super::super::x; }
use crate::eta;
";
    let found: Vec<(usize, String)> = arrows(source, "crate", 2)
        .into_iter()
        .map(|arrow| (arrow.line, arrow.to))
        .collect();
    let expected = [
        (2, "alpha"),
        (2, "beta"),
        (2, "gamma"),
        (3, "delta"),
        (3, "epsilon"),
        (6, "super"),
        (11, "eta"),
    ];
    assert_eq!(found, expected.map(|(line, to)| (line, to.to_owned())));
}
