//! What drives the score at the moment that is pointed at: a bar for each feature, the largest first.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Span;

use crate::domain::{EntityView, RowState, Verdict};
use crate::tui::text::{Names, percent, short, width, wrap};
use crate::tui::theme::Theme;

use super::super::pen::{Pen, bar};
use super::moment::{Moment, parts};

/// Columns of one bar with its name and figure, where bars stand side by side.
const CELL: u16 = 26;
/// Columns of a figure: `100 %`.
const FIGURE: u16 = 5;
/// Columns that a bar has at least, with the blanks around it, beside a long name.
const BAR: u16 = 13;

/// One feature's contribution.
struct Part<'a> {
    name: &'a str,
    share: f64,
    shown: bool,
    /// Its deviation counts.
    counts: bool,
}

/// Known parts, those that count first, then the largest; those that are as large by name.
fn ranked<'a>(entity: &'a EntityView, verdict: &Verdict, column: usize) -> Vec<Part<'a>> {
    let mut ranked: Vec<Part<'a>> = entity
        .features
        .iter()
        .zip(parts(verdict))
        .enumerate()
        .filter(|(_, (_, part))| part.share.is_finite())
        .map(|(at, (feature, part))| Part {
            name: &feature.feature.name,
            share: part.share,
            shown: at == column,
            counts: !verdict.excused.contains(&at),
        })
        .collect();
    ranked.sort_by(|a, b| {
        let larger = b.share.total_cmp(&a.share).then(a.name.cmp(b.name));
        b.counts.cmp(&a.counts).then(larger)
    });
    ranked
}

/// Why there are no bars.
fn nothing(moment: &Moment<'_>) -> &'static str {
    match moment.verdict.map(|verdict| verdict.state) {
        None => "not kept for this moment: only the newest rows keep contributions",
        Some(RowState::Scored) => "the contributions to this row are not known",
        Some(RowState::WarmingUp) => "no model had scored yet",
        Some(RowState::Stale) => "too little was observed to score this row",
        Some(RowState::Missing) => "nothing was observed",
    }
}

/// Draws the bars one under the other, and what the gates said under them.
///
/// ```text
/// contribution to the score
/// ▸ latency  ━━━━━━━━━━━━────────  61 %
///   cpu      ━━━━━───────────────  24 %
///
/// what an alarm has to pass
/// ✓ threshold  score 3.97, threshold 1
/// ```
pub fn column(
    entity: &EntityView,
    moment: &Moment<'_>,
    column: usize,
    theme: &Theme,
    buffer: &mut Buffer,
    area: Rect,
) {
    Pen::on(buffer, area, 0).say("contribution to the score", theme.dim);
    let ranked = moment
        .verdict
        .map(|verdict| ranked(entity, verdict, column))
        .unwrap_or_default();
    if ranked.is_empty() {
        for (row, line) in (1_u16..).zip(wrap(nothing(moment), area.width)) {
            Pen::on(buffer, area, row).say(&line, theme.dim);
        }
        return;
    }
    let longest = ranked.iter().map(|part| width(part.name)).max();
    let name = longest
        .unwrap_or(0)
        .min(area.width.saturating_sub(BAR + FIGURE));
    let names = Names::fit(ranked.iter().map(|part| part.name), name);
    let room = usize::from(area.height.saturating_sub(1));
    for (row, part) in (1..area.height).zip(listed(&ranked, room)) {
        let line = Rect {
            y: area.y + row,
            height: 1,
            ..area
        };
        draw(part, names, theme, buffer, line);
    }
    let used = short(ranked.len()).saturating_add(2).min(area.height);
    let below = Rect {
        y: area.y + used,
        height: area.height - used,
        ..area
    };
    if let Some(verdict) = moment.verdict {
        gates(verdict, theme, buffer, below);
    }
}

/// Draws the bars side by side, as many as there is room for.
pub fn strip(
    entity: &EntityView,
    moment: &Moment<'_>,
    column: usize,
    theme: &Theme,
    buffer: &mut Buffer,
    area: Rect,
) {
    if area.height == 0 || area.width < CELL {
        return;
    }
    let ranked = moment
        .verdict
        .map(|verdict| ranked(entity, verdict, column))
        .unwrap_or_default();
    if ranked.is_empty() {
        Pen::on(buffer, area, 0)
            .skip(1)
            .say("contribution to the score: ", theme.dim)
            .say(nothing(moment), theme.dim);
        return;
    }
    let across = area.width / CELL;
    let wide = area.width / across;
    let room = usize::from(across) * usize::from(area.height);
    let names = Names::fit(ranked.iter().map(|part| part.name), (wide - 2) / 2);
    for (place, part) in listed(&ranked, room).enumerate() {
        let (x, y) = (short(place) % across * wide, short(place) / across);
        let cell = Rect::new(area.x + x, area.y + y, wide.saturating_sub(2), 1);
        draw(part, names, theme, buffer, cell);
    }
}

/// The largest parts that there is room for; the last one gives way to the shown feature's, if that is not among them.
fn listed<'a>(ranked: &'a [Part<'a>], room: usize) -> impl Iterator<Item = &'a Part<'a>> {
    let shown = ranked.iter().skip(room).find(|part| part.shown);
    let largest = room.saturating_sub(usize::from(shown.is_some()));
    ranked.iter().take(largest).chain(shown)
}

/// The gates of the row, each with what it found where there is room for that.
fn gates(verdict: &Verdict, theme: &Theme, buffer: &mut Buffer, area: Rect) {
    if verdict.gates.is_empty() {
        return;
    }
    Pen::on(buffer, area, 0).say("what an alarm has to pass", theme.dim);
    for (row, gate) in (1..area.height).zip(&verdict.gates) {
        let (sign, style) = if gate.passed {
            ("✓ ", theme.good)
        } else {
            ("✗ ", theme.warn)
        };
        let mut pen = Pen::on(buffer, area, row);
        pen.say(sign, style).say(&gate.name, theme.text).skip(2);
        // Half a sentence helps nobody; the explanation has all of it.
        if width(&gate.detail) <= pen.room() {
            pen.say(&gate.detail, theme.dim);
        }
    }
}

fn draw(part: &Part<'_>, names: Names, theme: &Theme, buffer: &mut Buffer, area: Rect) {
    let (mark, style) = match (part.shown, part.counts) {
        (true, true) => ("▸ ", theme.strong),
        (true, false) => ("▸ ", theme.dim),
        (false, true) => ("  ", theme.text),
        (false, false) => ("  ", theme.dim),
    };
    let figure = percent(part.share);
    let mut pen = Pen::on(buffer, area, 0);
    let figure = format!("{figure:>room$}", room = usize::from(FIGURE));
    pen.right(&[Span::styled(figure, style)]);
    pen.say(mark, theme.accent)
        .say(&names.cut(part.name), style)
        .to(area, names.room() + 3);
    let room = pen.room().saturating_sub(1);
    let filled = if part.shown { theme.accent } else { theme.line };
    pen.spans(&bar(part.share, room, filled, theme));
}
