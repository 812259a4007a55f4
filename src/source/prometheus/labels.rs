//! Label sets as text.

use std::fmt::Write;

use crate::domain::Labels;

/// `{a="b",c="d"}`, ordered by name, values escaped as PromQL does. The empty set is `{}`.
pub(super) fn braced(labels: &Labels) -> String {
    let mut text = String::from("{");
    for (index, (name, value)) in labels.iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        text.push_str(name);
        text.push_str("=\"");
        for letter in value.chars() {
            match letter {
                '\\' => text.push_str("\\\\"),
                '"' => text.push_str("\\\""),
                '\n' => text.push_str("\\n"),
                other if other.is_control() => {
                    // Writing to a string does not fail.
                    let _ = write!(text, "\\u{:04x}", u32::from(other));
                }
                other => text.push(other),
            }
        }
        text.push('"');
    }
    text.push('}');
    text
}

/// `alias` alone, or with the labels behind it.
pub(super) fn named(alias: &str, labels: &Labels) -> String {
    if labels.is_empty() {
        alias.to_owned()
    } else {
        format!("{alias}{}", braced(labels))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn different_sets_have_different_names() {
        let set = |value: &str| Labels::from([("a".to_owned(), value.to_owned())]);
        assert_eq!(braced(&set("x\"y\\z\n\u{1b}")), r#"{a="x\"y\\z\n\u001b"}"#);
        assert_ne!(braced(&set("\\n")), braced(&set("\n")));
        assert_eq!(named("cpu", &Labels::new()), "cpu");
        assert_eq!(named("cpu", &set("1")), r#"cpu{a="1"}"#);
    }
}
