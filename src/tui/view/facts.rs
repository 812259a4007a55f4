//! Pages of names and what is known under them, which scroll where they are taller than their place.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Span;

use crate::domain::Snapshot;
use crate::tui::action::Intent;
use crate::tui::state::UiState;
use crate::tui::text::{left, short, width, wrap};
use crate::tui::theme::Theme;

use super::pen::{Pen, Segment, bar};

/// One row of cells.
pub type Line = Vec<Span<'static>>;

/// Columns of the names, the blank after them included, and of a page too narrow for that.
const NAMES: (u16, u16) = (15, 13);
/// Narrower pages have the narrower names.
const NARROW: u16 = 48;
/// Most columns of a gauge.
const GAUGE: u16 = 30;
/// Columns that the words after a gauge have at least, so that gauges on top of each other are equally long.
const AFTER: u16 = 12;

/// What a page consists of.
pub enum Row {
    /// A heading.
    Head(&'static str),
    /// A name and a sentence, broken where it is too long.
    Fact(&'static str, String, Style),
    /// A name, a part of a whole as a bar in this style, and the part in words.
    Gauge(String, f64, String, Style),
    /// A name and cells that can't be broken.
    Cells(&'static str, Line),
    /// A sentence without a name.
    Words(String, Style),
    /// Nothing.
    Blank,
}

/// How much of what is needed is there: a warning until it is all.
pub fn known(name: String, part: f64, words: String, theme: &Theme) -> Row {
    let style = if part < 1.0 { theme.warn } else { theme.good };
    Row::Gauge(name, part, words, style)
}

/// Columns of the names on a page `room` columns wide.
pub const fn names(room: u16) -> u16 {
    if room < NARROW { NAMES.1 } else { NAMES.0 }
}

/// The lines of a page `room` columns wide.
pub fn lines(rows: Vec<Row>, room: u16, theme: &Theme) -> Vec<Line> {
    let column = names(room);
    let named = |name: &str| Span::styled(left(name, column), theme.dim);
    let mut lines: Vec<Line> = Vec::new();
    for row in rows {
        match row {
            Row::Blank => lines.push(Vec::new()),
            Row::Head(title) => lines.push(vec![Span::styled(title, theme.strong)]),
            Row::Cells(name, cells) => {
                lines.push(std::iter::once(named(name)).chain(cells).collect());
            }
            Row::Words(text, style) => {
                let broken = wrap(&text, room).into_iter();
                lines.extend(broken.map(|part| vec![Span::styled(part, style)]));
            }
            Row::Fact(name, text, style) => {
                let parts = wrap(&text, room.saturating_sub(column)).into_iter();
                let name = std::iter::once(name).chain(std::iter::repeat(""));
                lines.extend(
                    name.zip(parts)
                        .map(|(name, part)| vec![named(name), Span::styled(part, style)]),
                );
            }
            Row::Gauge(name, part, words, style) => {
                let after = (width(&words) + 2).max(AFTER);
                let wide = room.saturating_sub(column + after).min(GAUGE);
                let mut line = vec![named(&name)];
                line.extend(bar(part, wide, style, theme));
                line.push(Span::styled(format!("  {words}"), theme.text));
                lines.push(line);
            }
        }
    }
    lines
}

/// Writes lines from the top of `area`; those that have no room are left out.
pub fn write(lines: &[Line], buffer: &mut Buffer, area: Rect) {
    for (row, line) in (0..area.height).zip(lines) {
        Pen::on(buffer, area, row).spans(line);
    }
}

/// How many of a page's `height` rows can be the first on a place `visible` rows high.
pub fn reach(height: usize, visible: u16) -> usize {
    height.saturating_sub(usize::from(visible)) + 1
}

/// The inside of a panel that fills the body, without a column of air at both sides.
pub fn inside(state: &UiState, snapshot: &Snapshot) -> Rect {
    room(super::arrange(state, snapshot).body)
}

/// The room for words in a box over `area`, before it is drawn.
pub fn room(area: Rect) -> Rect {
    padded(Rect {
        width: area.width.saturating_sub(2),
        height: area.height.saturating_sub(2),
        ..area
    })
}

/// A column of air at both sides of a panel's inside.
pub fn padded(inner: Rect) -> Rect {
    let air = u16::from(inner.width > 2);
    Rect {
        x: inner.x + air,
        width: inner.width - 2 * air,
        ..inner
    }
}

/// The keys that show the rest of what is longer than its place.
pub fn more(state: &UiState) -> String {
    let (down, up) = (state.keymap.key(Intent::Down), state.keymap.key(Intent::Up));
    format!("{down} {up} more")
}

/// What stands at the right of a panel's title: keys, and that there is more to see.
pub fn note(state: &UiState, more: bool, words: String, theme: &Theme) -> Vec<Segment> {
    let mut right = Vec::new();
    if more {
        let more = Span::styled(self::more(state), theme.dim);
        right.push(Segment::new(1, vec![more]));
    }
    if !words.is_empty() {
        right.push(Segment::new(0, vec![Span::styled(words, theme.dim)]));
    }
    right
}

/// Draws a page `height` rows tall on `area`, from row `first` on: aside, when it is taller, and the part that shows is
/// copied.
pub fn page(
    buffer: &mut Buffer,
    area: Rect,
    height: u16,
    first: usize,
    theme: &Theme,
    draw: impl FnOnce(&mut Buffer, Rect),
) {
    if height <= area.height {
        return draw(buffer, area);
    }
    let whole = Rect::new(0, 0, area.width, height);
    let mut aside = Buffer::empty(whole);
    aside.set_style(whole, theme.ground);
    draw(&mut aside, whole);
    let first = short(first).min(height - area.height);
    for (y, x) in (0..area.height).flat_map(|y| (0..area.width).map(move |x| (y, x))) {
        let from = aside.cell((x, y + first));
        let to = buffer.cell_mut((area.x + x, area.y + y));
        if let (Some(from), Some(to)) = (from, to) {
            to.clone_from(from);
        }
    }
}
