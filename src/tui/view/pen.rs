//! Writing on a buffer without ever leaving a rectangle: rows of text, segments that give way, boxes, bars.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::Span;

use crate::tui::text::{cut, short, whole, width};
use crate::tui::theme::Theme;

/// Writes one row of a rectangle from left to right; what does not fit is cut with `…`.
pub struct Pen<'a> {
    buffer: &'a mut Buffer,
    x: u16,
    end: u16,
    y: u16,
}

impl<'a> Pen<'a> {
    /// At the start of row `row` of `area`; a row outside of it takes no ink.
    pub fn on(buffer: &'a mut Buffer, area: Rect, row: u16) -> Self {
        let area = area.intersection(buffer.area);
        let end = if row < area.height {
            area.right()
        } else {
            area.x
        };
        Self {
            buffer,
            x: area.x,
            end,
            y: area.y.saturating_add(row),
        }
    }

    /// Columns left.
    pub const fn room(&self) -> u16 {
        self.end.saturating_sub(self.x)
    }

    /// Writes `text`; modifiers of what was there before do not stay.
    pub fn say(&mut self, text: &str, style: Style) -> &mut Self {
        let style = Style {
            sub_modifier: Modifier::all().difference(style.add_modifier),
            ..style
        };
        let room = self.room();
        if room > 0 {
            let text = cut(text, room);
            let (x, _) = self
                .buffer
                .set_stringn(self.x, self.y, text, usize::from(room), style);
            self.x = x;
        }
        self
    }

    /// Writes several spans.
    pub fn spans(&mut self, spans: &[Span<'_>]) -> &mut Self {
        for span in spans {
            self.say(&span.content, span.style);
        }
        self
    }

    /// Leaves columns as they are.
    pub fn skip(&mut self, columns: u16) -> &mut Self {
        self.x = self.x.saturating_add(columns).min(self.end);
        self
    }

    /// Goes on at `column` columns from the start of `area`, if that is further on.
    pub fn to(&mut self, area: Rect, column: u16) -> &mut Self {
        self.x = self.x.max(area.x.saturating_add(column)).min(self.end);
        self
    }

    /// Writes `text` from the left into `room` columns, the last of them blank, and goes on after them.
    pub fn cell(&mut self, text: &str, room: u16, style: Style) -> &mut Self {
        let after = self.x.saturating_add(room).min(self.end);
        self.say(&cut(text, room.saturating_sub(1).min(self.room())), style);
        self.x = after;
        self
    }

    /// Writes `text` to the right end of `room` columns, the first of them blank, and goes on after them.
    pub fn figure(&mut self, text: &str, room: u16, style: Style) -> &mut Self {
        let after = self.x.saturating_add(room).min(self.end);
        let text = cut(text, room.saturating_sub(1));
        self.skip(room.saturating_sub(width(&text)));
        self.say(&text, style);
        self.x = after;
        self
    }

    /// Writes at the right end and keeps these columns free from then on; what does not fit whole is left out.
    pub fn right(&mut self, spans: &[Span<'_>]) -> &mut Self {
        let wide = spans_width(spans);
        if wide > 0 && wide <= self.room() {
            let (start, end) = (self.x, self.end - wide);
            self.x = end;
            self.spans(spans);
            (self.x, self.end) = (start, end);
        }
        self
    }
}

/// Columns of several spans.
pub fn spans_width(spans: &[Span<'_>]) -> u16 {
    spans
        .iter()
        .fold(0, |sum, span| sum.saturating_add(width(&span.content)))
}

/// A piece of a row that can give way to more important ones.
pub struct Segment {
    spans: Vec<Span<'static>>,
    /// 0 stays longest.
    rank: u8,
}

impl Segment {
    /// A piece and its rank: the highest rank gives way first.
    pub fn new(rank: u8, spans: Vec<Span<'static>>) -> Self {
        Self { spans, rank }
    }
}

/// Writes segments from the left and from the right with `gap` columns between them; where the row is too short, the
/// highest ranks are left out.
pub fn row(
    buffer: &mut Buffer,
    area: Rect,
    line: u16,
    gap: u16,
    mut left: Vec<Segment>,
    mut right: Vec<Segment>,
) {
    let wide = |segments: &[Segment]| -> u16 {
        segments.iter().fold(0, |sum, segment| {
            sum.saturating_add(spans_width(&segment.spans))
                .saturating_add(gap)
        })
    };
    while left.len() + right.len() > 1
        && wide(&left).saturating_add(wide(&right)) > area.width + gap
    {
        let highest = left.iter().chain(&right).map(|s| s.rank).max().unwrap_or(0);
        let side = if left.iter().any(|s| s.rank == highest) {
            &mut left
        } else {
            &mut right
        };
        if let Some(at) = side.iter().rposition(|s| s.rank == highest) {
            side.remove(at);
        }
    }
    let mut pen = Pen::on(buffer, area, line);
    for segment in right.iter().rev() {
        pen.right(&segment.spans);
        pen.end = pen.end.saturating_sub(gap).max(pen.x);
    }
    if right.is_empty() {
        pen.end = pen.end.max(pen.x);
    }
    for segment in &left {
        pen.spans(&segment.spans).skip(gap);
    }
}

/// Draws a box with a title at the left and words at the right of its upper border; gives the inside.
pub fn boxed(
    buffer: &mut Buffer,
    area: Rect,
    border: Style,
    title: &[Span<'_>],
    right: Vec<Segment>,
) -> Rect {
    let area = area.intersection(buffer.area);
    if area.width < 2 || area.height < 2 {
        return Rect::new(area.x, area.y, 0, 0);
    }
    let rule = "─".repeat(usize::from(area.width - 2));
    let last = area.height - 1;
    Pen::on(buffer, area, 0)
        .say("╭", border)
        .say(&rule, border)
        .say("╮", border);
    Pen::on(buffer, area, last)
        .say("╰", border)
        .say(&rule, border)
        .say("╯", border);
    for line in 1..last {
        Pen::on(buffer, area, line).say("│", border);
        Pen::on(buffer, area, line)
            .to(area, area.width - 1)
            .say("│", border);
    }
    let upper = Rect {
        x: area.x + 1,
        width: area.width - 2,
        height: 1,
        ..area
    };
    captions(buffer, upper, border, title, right);
    Rect::new(area.x + 1, area.y + 1, area.width - 2, area.height - 2)
}

/// Words on a border, with a blank on both sides of each.
fn captions(
    buffer: &mut Buffer,
    upper: Rect,
    border: Style,
    title: &[Span<'_>],
    right: Vec<Segment>,
) {
    let blank = |spans: &[Span<'_>]| -> Vec<Span<'static>> {
        let mut padded = vec![Span::styled(" ", border)];
        padded.extend(
            spans
                .iter()
                .map(|s| Span::styled(s.content.to_string(), s.style)),
        );
        padded.push(Span::styled(" ", border));
        padded
    };
    // The title keeps a third of the border before the words at the right give way to it.
    let reserve = spans_width(title).min(upper.width / 3).saturating_add(3);
    let room = upper.width.saturating_sub(reserve);
    let mut kept: Vec<Segment> = Vec::new();
    let mut ranked = right;
    let total = |segments: &[Segment]| -> u16 {
        segments
            .iter()
            .map(|s| spans_width(&s.spans).saturating_add(3))
            .fold(0, u16::saturating_add)
    };
    while total(&ranked) > room {
        let Some(at) = (0..ranked.len()).max_by_key(|i| ranked.get(*i).map(|s| s.rank)) else {
            break;
        };
        ranked.remove(at);
    }
    kept.append(&mut ranked);
    let mut pen = Pen::on(buffer, upper, 0);
    for segment in kept.iter().rev() {
        pen.right(&blank(&segment.spans));
        pen.end = pen.end.saturating_sub(1).max(pen.x);
    }
    if !title.is_empty() && pen.room() > 3 {
        pen.say(" ", border);
        pen.end -= 1;
        pen.spans(title);
        pen.end += 1;
        pen.say(" ", border);
    }
}

/// What reads as 0 %.
const NOTHING: f64 = 0.005;

/// A horizontal bar of `room` columns, filled to `part` (0 to 1); empty only for what reads as 0 %.
pub fn bar(part: f64, room: u16, filled: Style, theme: &Theme) -> Vec<Span<'static>> {
    let full = whole(part.clamp(0.0, 1.0) * f64::from(room)).min(usize::from(room));
    let full = if part >= NOTHING {
        full.max(usize::from(room > 0))
    } else {
        0
    };
    let rest = usize::from(room) - full;
    vec![
        Span::styled("━".repeat(full), filled),
        Span::styled("─".repeat(rest), theme.faint),
    ]
}

/// Heights of a cell, below a whole one.
const BLOCKS: [char; 7] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇'];

/// A sparkline of the values in `room` columns: each column's highest, with the value's index it begins at. Seven heights,
/// so that lines on top of each other stay apart; gaps stay blank.
pub fn spark(values: &[f64], room: u16, unicode: bool) -> Vec<(char, usize)> {
    const PLAIN: [char; 7] = ['.', ':', '-', '=', '+', '*', '#'];
    let finite = || values.iter().copied().filter(|v| v.is_finite());
    let low = finite().fold(f64::INFINITY, f64::min);
    let high = finite().fold(f64::NEG_INFINITY, f64::max);
    let columns = usize::from(room).min(values.len());
    let glyphs = if unicode { BLOCKS } else { PLAIN };
    (0..columns)
        .map(|column| {
            let from = column * values.len() / columns;
            let to = ((column + 1) * values.len() / columns).max(from + 1);
            let bin = values.get(from..to).unwrap_or_default();
            let top = bin.iter().copied().fold(f64::NAN, f64::max);
            let glyph = if top.is_finite() {
                let part = if high > low {
                    (top - low) / (high - low)
                } else {
                    0.3
                };
                glyphs.get(whole(part * 6.0)).copied().unwrap_or(' ')
            } else {
                ' '
            };
            (glyph, from)
        })
        .collect()
}

/// The rectangle of a table in a panel: where there is room, a blank at both sides, the left one for [`point`].
pub const fn table(inner: Rect) -> Rect {
    if inner.width < 60 {
        return inner;
    }
    Rect {
        x: inner.x + 1,
        width: inner.width - 2,
        ..inner
    }
}

/// Makes the selected row of a table stand out, and points at it from the blank or border before it.
pub fn point(buffer: &mut Buffer, table: Rect, line: u16, theme: &Theme) {
    if line < table.height {
        let row = Rect {
            y: table.y + line,
            height: 1,
            ..table
        };
        if table.x > buffer.area.x {
            let before = Rect {
                x: row.x - 1,
                width: 1,
                ..row
            };
            let free = buffer
                .cell(before.as_position())
                .is_some_and(|c| matches!(c.symbol(), " " | "│"));
            if free {
                Pen::on(buffer, before, 0).say("▸", theme.accent);
            }
        }
        buffer.set_style(row.intersection(buffer.area), theme.raised);
    }
}

/// A block as high as `part` (0 to 1) of a cell; on a plain terminal a digit, in tenths.
pub fn block(part: f64, unicode: bool) -> char {
    const DIGITS: [char; 10] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9'];
    let glyphs: &[char] = if unicode { &BLOCKS } else { &DIGITS };
    let last = glyphs.len() - 1;
    let step = whole((part * glyphs.len() as f64).floor()).min(last);
    glyphs.get(step).copied().unwrap_or(' ')
}

/// Lines in the middle of a rectangle, each with its style; long ones are broken.
pub fn centered(buffer: &mut Buffer, area: Rect, lines: &[(String, Style)]) {
    let room = area.width.saturating_sub(4).min(72);
    let broken: Vec<(String, Style)> = lines
        .iter()
        .flat_map(|(text, style)| {
            let mut parts = crate::tui::text::wrap(text, room);
            if parts.is_empty() {
                parts.push(String::new());
            }
            parts.into_iter().map(|part| (part, *style))
        })
        .collect();
    let first = area.height.saturating_sub(short(broken.len())) / 2;
    for (line, (text, style)) in broken.iter().enumerate() {
        let left = area.width.saturating_sub(width(text)) / 2;
        Pen::on(buffer, area, first.saturating_add(short(line)))
            .skip(left)
            .say(text, *style);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ThemeName;
    use crate::tui::theme::ColorDepth;

    #[test]
    fn only_what_reads_as_nothing_has_no_bar() {
        let theme = Theme::new(ThemeName::Dark, ColorDepth::None, true);
        let filled = |part, room| {
            let spans = bar(part, room, theme.line, &theme);
            spans.first().map_or(0, |span| span.content.chars().count())
        };
        assert_eq!(
            [0.0, 0.004, f64::NAN].map(|part| filled(part, 3)),
            [0, 0, 0]
        );
        assert_eq!(
            [0.006, 0.36, 0.6, 1.0].map(|part| filled(part, 3)),
            [1, 1, 2, 3]
        );
        assert_eq!(filled(0.9, 0), 0);
    }
}
