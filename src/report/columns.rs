//! Plain columns of text, for terminals and pipes.

/// Which side of its column a word stands on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// Rows under a head, each column as wide as its widest word, two blanks between columns, none at line ends. A row that is
/// shorter than the head is filled with blanks; what is over is left out.
#[must_use]
pub fn columns(head: &[(&str, Side)], rows: &[Vec<String>]) -> String {
    let first: Vec<String> = head.iter().map(|(word, _)| (*word).to_owned()).collect();
    let lines = || std::iter::once(&first).chain(rows);
    let width = |column: usize| {
        let words = lines().filter_map(|row| row.get(column));
        words.map(|word| word.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let line = |row: &Vec<String>| {
        let words = head.iter().zip(&widths).enumerate();
        let words: Vec<String> = words
            .map(|(index, ((_, side), width))| {
                let word = row.get(index).map_or("", String::as_str);
                match side {
                    Side::Left => format!("{word:<width$}"),
                    Side::Right => format!("{word:>width$}"),
                }
            })
            .collect();
        words.join("  ").trim_end().to_owned() + "\n"
    };
    lines().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_words() {
        let rows = [
            vec!["7".into(), "µs".into(), "x".into()],
            vec!["1200".into(), "a longer word".into()],
        ];
        let text = columns(
            &[("ID", Side::Right), ("WHAT", Side::Left), ("", Side::Left)],
            &rows,
        );
        assert_eq!(
            text,
            "  ID  WHAT\n   7  µs             x\n1200  a longer word\n"
        );
    }
}
