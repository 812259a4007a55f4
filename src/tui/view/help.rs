//! The help screen, made from the binding table.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Span;

use crate::domain::Snapshot;
use crate::tui::action::Intent;
use crate::tui::keymap::{BINDINGS, Binding, Group};
use crate::tui::lists::all_in;
use crate::tui::state::UiState;
use crate::tui::text::{cut, short, width, wrap};
use crate::tui::theme::Theme;

use super::facts;
use super::pen::{Pen, Segment, boxed};

/// Columns of one column of help, where there is room for two.
const COLUMN: u16 = 64;
/// Narrowest of two columns.
const NARROW: u16 = 56;
/// Columns that keys take.
const KEYS: u16 = 11;

#[derive(Clone)]
enum Line {
    Head(&'static str),
    Key(String, String),
    Blank,
}

/// Everything on the screen, before it is cut to what has room.
struct Page {
    /// Where help is.
    spot: Rect,
    /// What a newcomer needs, over all columns.
    intro: Vec<String>,
    /// One or two columns of keys.
    columns: Vec<Vec<Line>>,
}

impl Page {
    fn of(state: &UiState, area: Rect) -> Self {
        let count: u16 = if area.width >= 2 * NARROW + 2 { 2 } else { 1 };
        let wide = (count * COLUMN + 2).min(area.width);
        let laid = |word: &str| {
            let intro = if word.is_empty() {
                wrap(&first_steps(state), wide.saturating_sub(4))
            } else {
                Vec::new()
            };
            let chapters = chapters(state, word, wide.saturating_sub(2) / count);
            let columns = if count == 2 {
                let (left, right) = halves(&chapters);
                vec![left, right]
            } else {
                vec![chapters.concat()]
            };
            Self {
                spot: area,
                intro,
                columns,
            }
        };
        // As high as all of it, so that it stands still while something is searched.
        let high = short(laid("").rows() + 2).min(area.height);
        let spot = Rect {
            x: area.x + (area.width - wide) / 2,
            y: area.y + (area.height - high) / 2,
            width: wide,
            height: high,
        };
        let page = laid(&state.filters.help);
        Self { spot, ..page }
    }

    fn rows(&self) -> usize {
        let above = match self.intro.len() {
            0 => 0,
            lines => lines + 1,
        };
        let tallest = self.columns.iter().map(Vec::len).max().unwrap_or(0);
        (above + tallest).max(1)
    }

    fn inside(&self) -> usize {
        usize::from(self.spot.height.saturating_sub(2))
    }
}

/// Draws help over the middle of `area`, from line `first` on; in two columns where there is room.
pub fn draw(state: &UiState, first: usize, theme: &Theme, buffer: &mut Buffer, area: Rect) {
    let page = Page::of(state, area);
    super::clear(buffer, page.spot, theme);
    let (rows, inside) = (page.rows(), page.inside());
    let first = first.min(rows.saturating_sub(inside));
    let (title, note) = captions(state, theme, rows > inside);
    let inner = boxed(buffer, page.spot, theme.accent, &title, note);
    for (row, words) in page.intro.iter().enumerate().skip(first).take(inside) {
        Pen::on(buffer, inner, short(row - first))
            .skip(1)
            .say(words, theme.text);
    }
    let above = match page.intro.len() {
        0 => 0,
        lines => lines + 1,
    };
    let half = inner.width / short(page.columns.len()).max(1);
    for (column, lines) in page.columns.iter().enumerate() {
        let spot = Rect {
            x: inner.x + half * short(column),
            width: half,
            ..inner
        };
        for (at, line) in lines.iter().enumerate() {
            let row = (above + at).checked_sub(first);
            if let Some(row) = row.filter(|row| *row < inside) {
                write(line, theme, buffer, spot, short(row));
            }
        }
    }
    if page.columns.iter().all(Vec::is_empty) {
        let words = format!("no key has “{}” in its words", state.filters.help);
        Pen::on(buffer, inner, 0).skip(1).say(&words, theme.warn);
    }
}

/// Title and note of the frame: how many keys, what is searched for, and how to go on.
fn captions(state: &UiState, theme: &Theme, scrolls: bool) -> (Vec<Span<'static>>, Vec<Segment>) {
    let word = &state.filters.help;
    let mut title = vec![Span::styled("keys", theme.strong)];
    if word.is_empty() {
        let count = format!("  {}", BINDINGS.len());
        title.push(Span::styled(count, theme.dim));
    } else {
        let count = format!("  {} of {}", found(state, word).len(), BINDINGS.len());
        title.push(Span::styled(count, theme.dim));
        title.push(Span::styled(format!("  /{word}"), theme.accent));
    }
    let key = |intent| state.keymap.key(intent);
    let mut notes = Vec::new();
    if scrolls {
        let more = Span::styled(facts::more(state), theme.dim);
        notes.push(Segment::new(2, vec![more]));
    }
    let words = format!("{} searches", key(Intent::Filter));
    notes.push(Segment::new(3, vec![Span::styled(words, theme.dim)]));
    let words = format!("{} closes", key(Intent::Back));
    notes.push(Segment::new(1, vec![Span::styled(words, theme.dim)]));
    (title, notes)
}

/// How many steps it can be scrolled by, and one.
pub fn lines(state: &UiState, snapshot: &Snapshot) -> usize {
    let page = Page::of(state, super::arrange(state, snapshot).body);
    page.rows().saturating_sub(page.inside()) + 1
}

/// Bindings that have every word of the search in their key, name or sentence.
pub fn found(state: &UiState, search: &str) -> Vec<&'static Binding> {
    let fits = |binding: &&Binding| {
        let name = binding.name.replace('_', " ");
        let keys = state.keymap.keys(binding.intent);
        let text = format!("{name} {} {} {keys}", binding.short, binding.help);
        all_in(&text, search)
    };
    BINDINGS.iter().filter(fits).collect()
}

/// What is wrong, why, and what to do: three keys.
fn first_steps(state: &UiState) -> String {
    let key = |intent| state.keymap.key(intent);
    format!(
        "Start here. What is wrong: {} on a red pane, {} lists all. Why: {}. What to do: {} seen, {} false alarm, {} real.",
        key(Intent::Expand),
        key(Intent::Log),
        key(Intent::Why),
        key(Intent::Acknowledge),
        key(Intent::MarkFalse),
        key(Intent::MarkReal),
    )
}

fn keys_room(column: u16) -> u16 {
    if column < 44 { 9 } else { KEYS }
}

/// The chapters with a key in them, each with a blank line after it; sentences are broken to `column` columns.
fn chapters(state: &UiState, search: &str, column: u16) -> Vec<Vec<Line>> {
    let room = column.saturating_sub(keys_room(column) + 1);
    let found = found(state, search);
    let chapter = |group: Group| {
        let mut lines = Vec::new();
        for binding in found.iter().filter(|b| b.group == group) {
            let mut keys = state.keymap.keys(binding.intent);
            for part in wrap(binding.help, room) {
                lines.push(Line::Key(std::mem::take(&mut keys), part));
            }
        }
        if !lines.is_empty() {
            lines.insert(0, Line::Head(group.title()));
            lines.push(Line::Blank);
        }
        lines
    };
    let mut chapters: Vec<Vec<Line>> = Group::ALL.into_iter().map(chapter).collect();
    chapters.retain(|lines| !lines.is_empty());
    if let Some(last) = chapters.last_mut() {
        last.pop();
    }
    chapters
}

/// Chapters in two columns of nearly the same height.
fn halves(chapters: &[Vec<Line>]) -> (Vec<Line>, Vec<Line>) {
    let total: usize = chapters.iter().map(Vec::len).sum();
    let (mut left, mut right) = (Vec::new(), Vec::new());
    for chapter in chapters {
        let side = if right.is_empty() && left.len() + chapter.len() / 2 <= total / 2 {
            &mut left
        } else {
            &mut right
        };
        side.extend(chapter.iter().cloned());
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
            let room = keys_room(area.width);
            let keys = cut(keys, room - 1);
            pen.skip(room.saturating_sub(width(&keys) + 2))
                .say(&keys, theme.accent)
                .to(area, room)
                .say(help, theme.text);
        }
    }
}
