//! The help screen, made from the binding table.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Span;

use crate::tui::action::Intent;
use crate::tui::keymap::{BINDINGS, Group};
use crate::tui::state::UiState;
use crate::tui::text::{short, width};
use crate::tui::theme::Theme;

use super::pen::{Pen, Segment, boxed};

/// Columns of one column of help.
const COLUMN: u16 = 57;
/// Columns that keys take.
const KEYS: u16 = 11;

enum Line {
    Head(&'static str),
    Key(String, &'static str),
    Blank,
}

/// Draws help over the middle of `area`, from line `first` on; in two columns where there is room.
pub fn draw(state: &UiState, first: usize, theme: &Theme, buffer: &mut Buffer, area: Rect) {
    let chapters = chapters(state);
    let columns = if area.width >= 2 * COLUMN + 4 { 2 } else { 1 };
    let (left, right) = if columns == 2 {
        halves(&chapters)
    } else {
        (chapters.iter().flatten().collect(), Vec::new())
    };
    let tallest = short(left.len().max(right.len()));
    let wide = (columns * COLUMN + 4).min(area.width);
    let high = (tallest + 2).min(area.height);
    let spot = Rect {
        x: area.x + (area.width - wide) / 2,
        y: area.y + (area.height - high) / 2,
        width: wide,
        height: high,
    };
    super::clear(buffer, spot, theme);
    let inside = usize::from(high.saturating_sub(2));
    let first = first.min(usize::from(tallest).saturating_sub(inside));
    let mut words = format!("{} closes", state.keymap.key(Intent::Back));
    if usize::from(tallest) > inside {
        let (down, up) = (state.keymap.key(Intent::Down), state.keymap.key(Intent::Up));
        words = format!("{down} {up} more · {words}");
    }
    let title = [Span::styled("keys", theme.strong)];
    let note = vec![Segment::new(0, vec![Span::styled(words, theme.dim)])];
    let inner = boxed(buffer, spot, theme.accent, &title, note);
    let half = inner.width / columns;
    for (column, lines) in [left, right].into_iter().enumerate() {
        let spot = Rect {
            x: inner.x + half * short(column),
            width: half,
            ..inner
        };
        for (row, line) in lines.into_iter().skip(first).take(inside).enumerate() {
            write(line, theme, buffer, spot, short(row));
        }
    }
}

/// Lines in one column.
pub fn lines(state: &UiState) -> usize {
    chapters(state).iter().map(Vec::len).sum()
}

fn chapters(state: &UiState) -> Vec<Vec<Line>> {
    let chapter = |group: Group| {
        let mut lines = vec![Line::Head(group.title())];
        let rows = BINDINGS.iter().filter(|b| b.group == group);
        lines.extend(rows.map(|b| Line::Key(state.keymap.keys(b.intent), b.help)));
        lines.push(Line::Blank);
        lines
    };
    Group::ALL.into_iter().map(chapter).collect()
}

/// Chapters in two columns of nearly the same height.
fn halves(chapters: &[Vec<Line>]) -> (Vec<&Line>, Vec<&Line>) {
    let total: usize = chapters.iter().map(Vec::len).sum();
    let (mut left, mut right) = (Vec::new(), Vec::new());
    for chapter in chapters {
        let side = if right.is_empty() && left.len() + chapter.len() / 2 <= total / 2 {
            &mut left
        } else {
            &mut right
        };
        side.extend(chapter);
    }
    (left, right)
}

fn write(line: &Line, theme: &Theme, buffer: &mut Buffer, area: Rect, row: u16) {
    let mut pen = Pen::on(buffer, area, row);
    match line {
        Line::Blank => {}
        Line::Head(title) => {
            pen.skip(1).say(title, theme.strong);
        }
        Line::Key(keys, help) => {
            let keys_room = if area.width < 40 { 9 } else { KEYS };
            pen.skip(keys_room.saturating_sub(width(keys) + 2))
                .say(keys, theme.accent)
                .to(area, keys_room)
                .say(help, theme.text);
        }
    }
}
