//! Words with a look, before they are broken into the lines of a box.

use ratatui::style::Style;
use ratatui::text::Span;

use crate::tui::text::width;
use crate::tui::theme::Theme;

/// What a piece of a line is, and so how it looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// Ordinary words.
    Text,
    /// A heading, or what counts most.
    Strong,
    /// What explains other words.
    Dim,
    /// As it should be.
    Good,
    /// Not as it should be.
    Warn,
    /// Anomalous.
    Bad,
    /// A key.
    Key,
}

impl Look {
    const fn style(self, theme: &Theme) -> Style {
        match self {
            Self::Text => theme.text,
            Self::Strong => theme.strong,
            Self::Dim => theme.dim,
            Self::Good => theme.good,
            Self::Warn => theme.warn,
            Self::Bad => theme.bad,
            Self::Key => theme.accent,
        }
    }
}

/// One line of words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line {
    pieces: Vec<(Look, String)>,
    /// Blanks before every line that it is broken into.
    indent: u16,
    /// Blanks more before all but the first of these.
    hang: u16,
    /// Columns matter: it is cut where it is too long, not broken.
    is_row: bool,
}

impl Line {
    /// A blank line.
    pub fn blank() -> Self {
        Self::default()
    }

    /// A line that may be broken between words.
    pub fn of(look: Look, words: impl Into<String>) -> Self {
        Self::blank().and(look, words)
    }

    /// A line of a table.
    pub fn row(look: Look, words: impl Into<String>) -> Self {
        Self {
            is_row: true,
            ..Self::of(look, words)
        }
    }

    /// The same line with more behind it.
    pub fn and(mut self, look: Look, words: impl Into<String>) -> Self {
        self.pieces.push((look, words.into()));
        self
    }

    /// The same line further in.
    pub fn indented(self, indent: u16) -> Self {
        Self { indent, ..self }
    }

    /// The same line, with what is broken off further in.
    pub fn hanging(self, hang: u16) -> Self {
        Self { hang, ..self }
    }

    /// Its words.
    pub fn words(&self) -> String {
        let mut words = " ".repeat(usize::from(self.indent));
        for (_, piece) in &self.pieces {
            words.push_str(piece);
        }
        words.trim_end().to_owned()
    }

    /// Its spans.
    pub fn spans(&self, theme: &Theme) -> Vec<Span<'static>> {
        let mut spans = vec![Span::raw(" ".repeat(usize::from(self.indent)))];
        let pieces = self.pieces.iter();
        spans.extend(pieces.map(|(look, words)| Span::styled(words.clone(), look.style(theme))));
        spans
    }

    /// Broken into lines of at most `room` columns, between words.
    pub fn broken(self, room: u16) -> Vec<Self> {
        let room = room.saturating_sub(self.indent + self.hang).max(8);
        if self.is_row || self.pieces.is_empty() {
            return vec![self];
        }
        let mut lines = vec![Self::blank().indented(self.indent)];
        let mut used = 0;
        for (look, piece) in &self.pieces {
            for word in piece.split_inclusive(' ') {
                let wide = width(word.trim_end());
                if used > 0 && used + wide > room {
                    if let Some((_, last)) = lines.last_mut().and_then(|l| l.pieces.last_mut()) {
                        last.truncate(last.trim_end().len());
                    }
                    lines.push(Self::blank().indented(self.indent + self.hang));
                    used = 0;
                }
                used += width(word);
                if let Some(line) = lines.last_mut() {
                    line.pieces.push((*look, word.to_owned()));
                }
            }
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stay_whole_and_keep_their_looks() {
        let line = Line::of(Look::Key, "Enter ")
            .and(Look::Text, "shows the chart of it")
            .indented(2)
            .hanging(1);
        let broken = line.clone().broken(16);
        let words: Vec<String> = broken.iter().map(Line::words).collect();
        assert_eq!(words, ["  Enter shows", "   the chart of", "   it"]);
        // No blank is left where it was broken: it would not fit.
        let wide = |line: &Line| {
            line.pieces
                .iter()
                .map(|(_, words)| width(words))
                .sum::<u16>()
        };
        assert_eq!(broken.first().map(wide), Some(11));
        assert_eq!(line.words(), "  Enter shows the chart of it");
        assert_eq!(Line::row(Look::Text, "a   b   c").broken(4).len(), 1);
        assert_eq!(Line::blank().broken(4), [Line::blank()]);
    }
}
