//! The line that is typed, in place of the hint bar, and what matches it above.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Span;

use crate::domain::Snapshot;
use crate::tui::keymap::BINDINGS;
use crate::tui::palette::{self, Offer};
use crate::tui::state::{Panel, Place, Prompt, PromptKind, UiState};
use crate::tui::text::{cut, short, width};
use crate::tui::theme::Theme;

use super::layout::Layout;
use super::pen::{Pen, Segment, boxed};

/// Most rows of the list.
const ROWS: usize = 10;
/// Most columns of its box.
const WIDEST: u16 = 92;
/// Columns of an offer's name, where its sentence has room beside it.
const NAME: u16 = 20;

/// Draws the line, if one is typed, and what the palette offers.
///
/// ```text
/// ╭ actions ─────────────────────────────────── 3 found ╮
/// │▸ theme         next colours: light, contrast …    t │
/// │  theme dark    use these colours                    │
/// ╰─────────────────────────────────────────────────────╯
///  :theme▏                     ↑ ↓ choose  Enter does it
/// ```
pub fn draw(
    state: &UiState,
    snapshot: &Snapshot,
    theme: &Theme,
    buffer: &mut Buffer,
    layout: &Layout,
) {
    let Some(prompt) = &state.prompt else { return };
    // Without a hint bar, the lowest line of the body.
    let (body, line) = if layout.footer.is_empty() {
        let above = layout.body.height.saturating_sub(1);
        let line = Rect {
            y: layout.body.y + above,
            height: layout.body.height.min(1),
            ..layout.body
        };
        let body = Rect {
            height: above,
            ..layout.body
        };
        (body, line)
    } else {
        (layout.body, layout.footer)
    };
    super::clear(buffer, line, theme);
    match prompt.kind {
        PromptKind::Palette => {
            let offers = palette::offers(state, snapshot, &prompt.text);
            list(prompt, &offers, theme, buffer, body);
            let keys = [("↑ ↓", "choose"), ("Enter", "does it"), ("Esc", "closes")];
            typed(":", prompt, "", &keys, theme, buffer, line);
        }
        PromptKind::Filter(place) => {
            let found = matched(state, snapshot, place).map(|(found, all)| {
                let words = format!("{found} of {all}");
                if found == 0 {
                    format!("{words}: none")
                } else {
                    words
                }
            });
            let found = found.unwrap_or_default();
            let keys = [("Enter", "keeps"), ("Esc", "shows all")];
            typed("/", prompt, &found, &keys, theme, buffer, line);
        }
    }
}

/// How many of how many the words of a place let through; `None` where nothing is chosen from.
pub fn matched(state: &UiState, snapshot: &Snapshot, place: Place) -> Option<(usize, usize)> {
    match place {
        Place::Panes | Place::Panel(Panel::Errors) => {
            let entity = state.shown(snapshot)?;
            Some((state.order(entity).len(), entity.features.len()))
        }
        Place::Log | Place::Panel(Panel::Log) => {
            let pipeline = state.pipeline(snapshot)?;
            Some((state.listed(pipeline).len(), pipeline.incidents.len()))
        }
        Place::Panel(Panel::Entities) => {
            let pipeline = state.pipeline(snapshot)?;
            Some((state.entities(pipeline).len(), pipeline.entities.len()))
        }
        Place::Panel(Panel::Help) => {
            let found = super::help::found(state, &state.filters.help);
            Some((found.len(), BINDINGS.len()))
        }
        _ => None,
    }
}

/// The sign, the text with its cursor, and at the right what it found and what keys do; of a text that is too long, the
/// end.
fn typed(
    sign: &str,
    prompt: &Prompt,
    found: &str,
    keys: &[(&str, &str)],
    theme: &Theme,
    buffer: &mut Buffer,
    line: Rect,
) {
    let mut pen = Pen::on(buffer, line, 0);
    pen.skip(1).say(sign, theme.accent);
    let least = width(&prompt.text).min(16) + 2;
    let mut hints = Vec::new();
    for (key, word) in keys {
        hints.push(Span::styled((*key).to_owned(), theme.accent));
        hints.push(Span::styled(format!(" {word}  "), theme.dim));
    }
    let found = [Span::styled(format!("  {found}  "), theme.text)];
    let all: Vec<Span<'_>> = found.iter().cloned().chain(hints).collect();
    if super::pen::spans_width(&all) + least <= pen.room() {
        pen.right(&all);
    } else if super::pen::spans_width(&found) + least <= pen.room() {
        pen.right(&found);
    }
    let text = tail(&prompt.text, pen.room().saturating_sub(1));
    pen.say(text, theme.strong).say("▏", theme.accent);
}

/// The end of `text` that has room.
fn tail(text: &str, room: u16) -> &str {
    let mut rest = text;
    while width(rest) > room {
        let mut chars = rest.chars();
        chars.next();
        rest = chars.as_str();
    }
    rest
}

/// Actions that are seen at once over a body.
pub fn rows(body: Rect) -> usize {
    usize::from(body.height.saturating_sub(2)).min(ROWS)
}

fn list(prompt: &Prompt, offers: &[Offer], theme: &Theme, buffer: &mut Buffer, area: Rect) {
    let most = rows(area);
    if most == 0 {
        return;
    }
    let chosen = prompt.chosen.min(offers.len().saturating_sub(1));
    let high = short(offers.len().clamp(1, most)) + 2;
    let spot = Rect {
        y: area.bottom() - high,
        width: area.width.min(WIDEST),
        height: high,
        ..area
    };
    super::clear(buffer, spot, theme);
    buffer.set_style(spot, theme.over);
    let words = match offers.len() {
        0 => "none".to_owned(),
        count => format!("{} of {count}", chosen + 1),
    };
    let note = vec![Segment::new(0, vec![Span::styled(words, theme.dim)])];
    let title = [Span::styled("actions", theme.strong)];
    let inner = boxed(buffer, spot, theme.accent, &title, note);
    if offers.is_empty() {
        let words = palette::refusal(&prompt.text);
        Pen::on(buffer, inner, 0)
            .skip(1)
            .say(&words, theme.warn.patch(theme.over));
    }
    // The chosen one stays in sight with some of those before it.
    let first = (chosen + 1).saturating_sub(most);
    for (row, (index, offer)) in offers.iter().enumerate().skip(first).take(most).enumerate() {
        let spot = Rect {
            y: inner.y + short(row),
            height: 1,
            ..inner
        };
        write(offer, index == chosen, theme, buffer, spot);
    }
}

fn write(offer: &Offer, chosen: bool, theme: &Theme, buffer: &mut Buffer, row: Rect) {
    if chosen {
        buffer.set_style(row, theme.raised);
    }
    let over = |style: ratatui::style::Style| {
        if chosen {
            style
        } else {
            style.patch(theme.over)
        }
    };
    let mut pen = Pen::on(buffer, row, 0);
    if row.width >= 24 && !offer.key.is_empty() {
        let key = [Span::styled(
            format!("  {} ", offer.key),
            over(theme.accent),
        )];
        pen.right(&key);
    }
    let name = if chosen { theme.strong } else { theme.text };
    pen.say(if chosen { "▸" } else { " " }, theme.accent)
        .skip(1);
    if row.width >= 56 {
        pen.say(&cut(&offer.words, NAME), over(name))
            .to(row, NAME + 4)
            .say(&offer.help, over(theme.dim));
    } else {
        pen.say(&offer.words, over(name));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_long_text_the_end_is_seen() {
        assert_eq!(tail("温度 sensor", 6), "sensor");
        assert_eq!(tail("温度", 3), "度");
        assert_eq!(tail("cpu", 8), "cpu");
        assert_eq!(tail("cpu", 0), "");
    }
}
