//! What is known of one incident: under the log, and in the question before it gets a label.

use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Span;

use crate::domain::{Contribution, Gate, Incident, Label, PipelineView, Unit};
use crate::tui::state::UiState;
use crate::tui::text::{percent, short, width};
use crate::tui::theme::Theme;
use crate::tui::zone::Zone;

use super::detail::between;
use super::hints;
use super::log::{blame, lasting, peak, sign};
use super::pen::{Pen, Segment, bar, row};

/// Columns of a number.
const NUMBER: u16 = 11;
/// Columns of a band.
const BAND: u16 = 24;
/// Columns of the bar of a contribution.
const BAR: u16 = 12;

/// Draws it.
///
/// ```text
/// ── anomaly 42 ─────────────────────────────────────────────────────────────────
/// ● open   18 Nov 13:53 to 14:01, 8 min so far   peak 4.3× at 14:01   not seen yet
/// feature       contribution         value   expected                 band
/// latency        61 % ━━━━━━━────  840 ms     190 ms         142–238 ms  above
/// opened  ✓ threshold ✓ budget ✓ direction ✓ min_deviation ✓ min_duration
/// ```
pub fn draw(
    state: &UiState,
    pipeline: &PipelineView,
    incident: &Incident,
    theme: &Theme,
    buffer: &mut Buffer,
    area: Rect,
) {
    rule(incident, theme, buffer, area);
    facts(incident, (pipeline.step, &state.zone), theme, buffer, area);
    let gates: Vec<(&str, &[Gate])> = [
        ("opened", &*incident.why.opening),
        ("peak", &*incident.why.peak),
    ]
    .into_iter()
    .filter(|(_, gates)| !gates.is_empty())
    .collect();
    // The last line says which keys go on from here.
    let rest = area.height.saturating_sub(3);
    let below = short(gates.len()).min(rest / 3);
    features(pipeline, incident, theme, buffer, area, rest - below);
    let first = area.height.saturating_sub(1 + below);
    for (line, (name, gates)) in (first..).zip(gates.iter().take(usize::from(below))) {
        passed(name, gates, theme, buffer, area, line);
    }
    keys(state, theme, buffer, area);
}

fn rule(incident: &Incident, theme: &Theme, buffer: &mut Buffer, area: Rect) {
    let name = match incident.id {
        0 => " anomaly ".to_owned(),
        id => format!(" anomaly {id} "),
    };
    let rest = area.width.saturating_sub(2 + width(&name));
    Pen::on(buffer, area, 0)
        .say("──", theme.faint)
        .say(&name, theme.text)
        .say(&"─".repeat(usize::from(rest)), theme.faint);
}

/// State, times, peak, label, in as much room as there is.
fn facts(
    incident: &Incident,
    (step, zone): (Duration, &Zone),
    theme: &Theme,
    buffer: &mut Buffer,
    area: Rect,
) {
    let (glyph, style) = sign(incident, theme);
    let say = |rank: u8, words: String| Segment::new(rank, vec![Span::styled(words, theme.text)]);
    let mut left = vec![Segment::new(
        0,
        vec![
            Span::styled(format!("{glyph} "), style),
            Span::styled(incident.state.word(), style),
        ],
    )];
    if !incident.entity.is_sole() {
        let name = Span::styled(incident.entity.name().to_owned(), theme.strong);
        left.push(Segment::new(1, vec![name]));
    }
    left.push(say(2, lasted(incident, step, zone)));
    left.push(say(
        3,
        format!("peak {} at {}", peak(incident), zone.moment(incident.peak)),
    ));
    if let Some(label) = incident.label {
        let words = format!("labelled {}", label.word());
        left.push(Segment::new(4, vec![Span::styled(words, theme.warn)]));
    }
    let (seen, style) = if incident.acknowledged {
        ("✓ acknowledged", theme.good)
    } else {
        ("not seen yet", theme.dim)
    };
    left.push(Segment::new(5, vec![Span::styled(seen, style)]));
    row(buffer, area, 1, 3, left, Vec::new());
}

/// `18 Nov 13:53 to 18 Nov 14:01, 8 min`
fn lasted(incident: &Incident, step: Duration, zone: &Zone) -> String {
    let (start, length) = (zone.moment(incident.start), lasting(incident, step));
    if incident.is_open() {
        format!("since {start}, {length} so far")
    } else if incident.duration().is_zero() {
        format!("{start}, {length}")
    } else {
        format!("{start} to {}, {length}", zone.moment(incident.end))
    }
}

/// The contributions to the score with what was seen and what was expected, as many as `rows` hold under their head.
fn features(
    pipeline: &PipelineView,
    incident: &Incident,
    theme: &Theme,
    buffer: &mut Buffer,
    area: Rect,
    rows: u16,
) {
    let rows = usize::from(rows.saturating_sub(1));
    if rows == 0 {
        return;
    }
    let wide = area.width >= 90;
    let bar_room = if area.width >= 60 { BAR } else { 0 };
    let fixed = 7 + bar_room + 2 * NUMBER + if wide { BAND + 8 } else { 0 };
    let names = incident.features.iter().map(|part| width(&part.feature));
    let longest = names.max().unwrap_or(0).clamp(10, 30);
    let name = area.width.saturating_sub(fixed).min(longest + 1);
    let dim = theme.dim;
    // The whole word goes on over the bars.
    let (word, spread) = if bar_room > 0 {
        (" contribution", 7)
    } else {
        ("contr.", 0)
    };
    Pen::on(buffer, area, 2)
        .cell("feature", name, dim)
        .figure(word, 7 + spread, dim)
        .skip(bar_room - spread)
        .figure("value", NUMBER, dim)
        .figure("expected", NUMBER, dim)
        .figure(if wide { "band" } else { "" }, BAND, dim);
    let entity = pipeline.entity(&incident.entity);
    for (line, part) in (3..).zip(incident.features.iter().take(rows)) {
        let found = entity
            .into_iter()
            .flat_map(|entity| &entity.features)
            .find(|f| f.feature.name == part.feature);
        let unit = found.map_or(&Unit::None, |found| &found.feature.unit);
        let mut pen = Pen::on(buffer, area, line);
        pen.cell(&part.feature, name, theme.text)
            .figure(&percent(part.share), 7, theme.text);
        if bar_room > 0 {
            pen.skip(1)
                .spans(&bar(part.share, bar_room - 1, theme.line, theme));
        }
        pen.figure(&unit.show(part.value), NUMBER, theme.text)
            .figure(&unit.show(part.expected), NUMBER, dim);
        if wide {
            let band = between(unit, part.lower, part.upper);
            pen.figure(band.as_deref().unwrap_or("–"), BAND, dim)
                .skip(2)
                .say(side(part), theme.text);
        }
    }
}

/// On which side of its band a value lies; nothing when the band is unknown.
fn side(part: &Contribution) -> &'static str {
    if part.value > part.upper {
        "above"
    } else if part.value < part.lower {
        "below"
    } else if part.value >= part.lower && part.value <= part.upper {
        "within"
    } else {
        ""
    }
}

/// `opened  ✓ threshold ✓ budget ✓ direction`
fn passed(name: &str, gates: &[Gate], theme: &Theme, buffer: &mut Buffer, area: Rect, line: u16) {
    let mut pen = Pen::on(buffer, area, line);
    pen.cell(name, 8, theme.dim);
    for gate in gates {
        let (glyph, style) = if gate.passed {
            ("✓ ", theme.good)
        } else {
            ("✗ ", theme.warn)
        };
        pen.say(glyph, style).say(&gate.name, theme.text).skip(2);
    }
}

fn keys(state: &UiState, theme: &Theme, buffer: &mut Buffer, area: Rect) {
    let mut pen = Pen::on(buffer, area, area.height.saturating_sub(1));
    for (key, words) in hints::of_incident(state) {
        if pen.room() < width(&key) + 1 + width(&words) {
            break;
        }
        pen.say(&key, theme.accent)
            .skip(1)
            .say(&words, theme.dim)
            .skip(2);
    }
}

/// What is asked about, before an incident gets a label: who and when, how high, what it was about, what it was called.
pub fn about(incident: &Incident, step: Duration, zone: &Zone) -> Vec<String> {
    let who = if incident.entity.is_sole() {
        String::new()
    } else {
        format!("{}: ", incident.entity)
    };
    let state = incident.state.word();
    let when = lasted(incident, step, zone);
    let mut lines = vec![format!("{who}{state}, {when}, peak {}", peak(incident))];
    let parts = blame(incident, 4);
    if !parts.is_empty() {
        lines.push(parts);
    }
    let label = incident.label.map(Label::told);
    lines.extend(label.map(|told| format!("So far it is called {told}.")));
    lines
}
