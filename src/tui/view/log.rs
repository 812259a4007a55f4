//! The anomaly log: open incidents first, then the newest.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Span;

use crate::domain::{Incident, IncidentState, Label, PipelineView, Time};
use crate::tui::state::{Panel, Place, UiState};
use crate::tui::text::{self, cut, percent, short, span, when};
use crate::tui::theme::Theme;

use super::pen::{Pen, Segment, boxed, centered};

/// Draws the log.
///
/// ```text
/// ╭ anomalies ───────────────── 1 open ╮
/// │● 14:02  12 min  4.2×  latency 61 % │
/// │○ 09:40   3 min  1.3×  cpu 80 %  ✓  │
/// ```
pub fn draw(
    state: &UiState,
    pipeline: &PipelineView,
    theme: &Theme,
    buffer: &mut Buffer,
    area: Rect,
) {
    let focused = matches!(state.place(), Place::Log | Place::Panel(Panel::Log));
    let border = if focused { theme.accent } else { theme.faint };
    let open = pipeline.incidents.iter().filter(|i| i.is_open()).count();
    let title = [Span::styled(
        "anomalies",
        if focused { theme.strong } else { theme.text },
    )];
    let mut right = Vec::new();
    if open > 0 {
        let words = format!("{open} open");
        right.push(Segment::new(0, vec![Span::styled(words, theme.bad)]));
    }
    let inner = boxed(buffer, area, border, &title, right);
    if pipeline.incidents.is_empty() {
        let words = if pipeline.model.is_some() {
            "none so far"
        } else {
            "none so far: nothing is judged before the first model"
        };
        return centered(buffer, inner, &[(words.to_owned(), theme.dim)]);
    }
    let selected = state.incident_index(pipeline);
    let page = usize::from(inner.height).max(1);
    let first = selected / page * page;
    let now = newest(pipeline).unwrap_or(state.now);
    let listed = pipeline.incidents.iter().enumerate().skip(first).take(page);
    for (line, (index, incident)) in listed.enumerate() {
        let row = Row {
            incident,
            grouped: pipeline.grouped,
            step: pipeline.step,
            now,
        };
        let line = short(line);
        row.draw(theme, buffer, inner, line);
        if index == selected {
            let band = Rect {
                y: inner.y + line,
                height: 1,
                ..inner
            };
            buffer.set_style(band, theme.raised);
        }
    }
}

/// The newest row of the data: recordings live in their own time.
fn newest(pipeline: &PipelineView) -> Option<Time> {
    pipeline.entities.first().and_then(|e| e.grid.last())
}

/// Colour and sign of an incident's state; the sign survives without colour.
pub fn sign(incident: &Incident, theme: &Theme) -> (&'static str, Style) {
    match incident.state {
        IncidentState::Open => ("●", theme.bad),
        IncidentState::Closed => ("○", theme.dim),
        IncidentState::Vanished => ("◌", theme.dim),
        IncidentState::Settled => ("◐", theme.dim),
    }
}

/// How long it lasted or lasts; one row alone is less than a step.
pub fn lasting(incident: &Incident, step: std::time::Duration) -> String {
    let length = incident.duration();
    if length.is_zero() {
        format!("<{}", span(step))
    } else {
        span(length)
    }
}

/// Who carried less than this is not named: it would read as 0 %.
const LEAST: f64 = 0.005;

/// `latency 61 %, cpu 22 %`: at most `count` features, largest first.
pub fn blame(incident: &Incident, count: usize) -> String {
    let parts: Vec<String> = incident
        .features
        .iter()
        .take(count)
        .filter(|part| part.share >= LEAST)
        .map(|part| format!("{} {}", part.feature, percent(part.share)))
        .collect();
    parts.join(", ")
}

struct Row<'a> {
    incident: &'a Incident,
    grouped: bool,
    step: std::time::Duration,
    now: Time,
}

impl Row<'_> {
    fn draw(&self, theme: &Theme, buffer: &mut Buffer, area: Rect, line: u16) {
        let incident = self.incident;
        let (glyph, style) = sign(incident, theme);
        let text = if incident.is_open() {
            theme.text
        } else {
            theme.dim
        };
        let mut pen = Pen::on(buffer, area, line);
        let mut marks = Vec::new();
        let wide = area.width >= 56;
        match incident.label {
            Some(Label::False) if wide => marks.push(Span::styled(" false", theme.dim)),
            Some(Label::Real) if wide => marks.push(Span::styled(" real", theme.warn)),
            Some(Label::False) => marks.push(Span::styled(" ✗", theme.dim)),
            Some(Label::Real) => marks.push(Span::styled(" !", theme.warn)),
            None => {}
        }
        if incident.acknowledged {
            marks.push(Span::styled(" ✓", theme.good));
        }
        pen.right(&marks);
        pen.say(glyph, style)
            .skip(1)
            .say(&when(incident.start, self.now), text);
        let lasting = lasting(incident, self.step);
        pen.to(area, 9)
            .skip(6_u16.saturating_sub(text::width(&lasting)))
            .say(&lasting, text)
            .skip(1);
        if self.grouped {
            let room = (area.width / 5).clamp(6, 16);
            let at = 16;
            pen.say(&cut(incident.entity.name(), room), text)
                .to(area, at + room + 1);
        }
        let peak = match incident.peak_score.min(9999.0) {
            score if score < 99.95 => format!("{score:.1}×"),
            score => format!("{score:.0}×"),
        };
        pen.skip(5_u16.saturating_sub(text::width(&peak)))
            .say(&peak, if incident.is_open() { theme.bad } else { text })
            .skip(2)
            .say(&blame(incident, 3), text);
    }
}
