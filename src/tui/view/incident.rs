//! What is known of one incident: under the log, and in the question before it gets a label.

use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Span;

use crate::domain::{Contribution, EntityView, Gate, Incident, Label, PipelineView, Unit};
use crate::tui::groups::Group;
use crate::tui::lists::counts;
use crate::tui::state::UiState;
use crate::tui::text::{Names, percent, short, span, width};
use crate::tui::theme::Theme;
use crate::tui::zone::Zone;

use super::detail::between;
use super::hints;
use super::log::{blame, lasting, peak, sign};
use super::pen::{Pen, Segment, bar, row};
use super::plot::Ends;

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
    let group = state.group_of(pipeline, incident);
    let group = group.filter(|(_, folded)| *folded);
    rule(incident, group.map(|(group, _)| group), theme, buffer, area);
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

fn rule(
    incident: &Incident,
    group: Option<Group<'_>>,
    theme: &Theme,
    buffer: &mut Buffer,
    area: Rect,
) {
    let name = match (incident.id, group) {
        (id, Some(group)) => format!(
            " {} anomalies of {} entities began within {}; one of them: {id} ",
            group.members.len(),
            group.entities,
            span(group.spread().max(Duration::from_secs(60)))
        ),
        (0, None) => " anomaly ".to_owned(),
        (id, None) => format!(" anomaly {id} "),
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

/// A feature of an incident in words.
struct Shown<'a> {
    part: &'a Contribution,
    /// Its deviation counts.
    counts: bool,
    value: String,
    expected: String,
    band: String,
    /// Its contribution to the newest row and its value there, while the incident is open.
    now: Option<(String, String)>,
}

impl<'a> Shown<'a> {
    fn of(part: &'a Contribution, entity: Option<&EntityView>, incident: &Incident) -> Self {
        let features = entity.into_iter().flat_map(|entity| &entity.features);
        let found = features
            .enumerate()
            .find(|(_, feature)| feature.feature.name == part.feature);
        let unit = found.map_or(&Unit::None, |(_, feature)| &feature.feature.unit);
        let ends = found.map_or(Ends::NONE, |(_, feature)| Ends::of(feature));
        let (lower, upper) = ends.with(part.value).cut((part.lower, part.upper));
        let latest = entity.and_then(|entity| entity.latest.as_deref());
        let now = latest
            .filter(|verdict| incident.is_open() && verdict.score.is_some())
            .zip(found)
            .and_then(|(verdict, (column, _))| verdict.features.get(column))
            .map(|now| (percent(now.share), unit.show(now.value)));
        Self {
            part,
            counts: counts(entity, incident, part),
            value: unit.show(part.value),
            expected: unit.show(part.expected),
            band: between(unit, lower, upper).unwrap_or_else(|| "–".into()),
            now,
        }
    }
}

/// The contributions to the score with what was seen and what was expected at the peak, as many as `rows` hold under their
/// head; of an open incident also those of the newest row.
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
    let entity = pipeline.entity(&incident.entity).map(AsRef::as_ref);
    let shown: Vec<Shown<'_>> = incident
        .features
        .iter()
        .take(rows)
        .map(|part| Shown::of(part, entity, incident))
        .collect();
    let columns = Columns::over(area.width, &shown);
    let dim = theme.dim;
    let (word, spread) = if columns.bar > 0 {
        // The whole word goes on over the bars.
        (" contribution", 7)
    } else {
        ("contr.", 0)
    };
    let peak = if columns.now > 0 { "at peak" } else { "value" };
    Pen::on(buffer, area, 2)
        .cell("feature", columns.name, dim)
        .figure(word, 7 + spread, dim)
        .skip(columns.bar - spread)
        .figure(
            if columns.now > 0 { "now" } else { "" },
            columns.share_now,
            dim,
        )
        .figure(peak, columns.value, dim)
        .figure(if columns.now > 0 { "now" } else { "" }, columns.now, dim)
        .figure("expected", columns.value, dim)
        .figure(
            if columns.band > 0 { "band" } else { "" },
            columns.band,
            dim,
        );
    let names = Names::fit(
        shown.iter().map(|row| &*row.part.feature),
        columns.name.saturating_sub(1),
    );
    for (line, row) in (3..).zip(&shown) {
        let part = row.part;
        let mut pen = Pen::on(buffer, area, line);
        let plain = if row.counts { theme.text } else { theme.dim };
        pen.cell(&names.cut(&part.feature), columns.name, plain)
            .figure(&percent(part.share), 7, plain);
        if columns.bar > 0 {
            pen.skip(1)
                .spans(&bar(part.share, columns.bar - 1, theme.line, theme));
        }
        let (share, now) = row.now.as_ref().map_or(("", ""), |(s, v)| (s, v));
        pen.figure(share, columns.share_now, theme.strong)
            .figure(&row.value, columns.value, plain)
            .figure(now, columns.now, theme.strong)
            .figure(&row.expected, columns.value, dim);
        if columns.band > 0 {
            pen.figure(&row.band, columns.band, dim)
                .skip(2)
                .say(side(part), plain);
        }
    }
}

/// Widths of the columns of that table; one that is 0 is not drawn.
struct Columns {
    name: u16,
    bar: u16,
    /// Contribution to the newest row.
    share_now: u16,
    value: u16,
    /// Value in the newest row.
    now: u16,
    band: u16,
}

impl Columns {
    fn over(room: u16, shown: &[Shown<'_>]) -> Self {
        let longest = |of: fn(&Shown<'_>) -> u16| shown.iter().map(of).max().unwrap_or(0);
        let name = longest(|row| width(&row.part.feature)).max(10) + 1;
        let wide = room >= 90;
        let bar = if room >= 60 { BAR } else { 0 };
        let band = if wide { BAND } else { 0 };
        let side = if wide { 8 } else { 0 };
        let has_now = shown.iter().any(|row| row.now.is_some());
        let mut columns = Self {
            name: 0,
            bar,
            share_now: 0,
            value: NUMBER,
            now: 0,
            band,
        };
        let left = |columns: &Self| {
            let fixed = 7 + columns.bar + columns.share_now + columns.now;
            room.saturating_sub(fixed + 2 * columns.value + columns.band + side)
        };
        let short = name.min(16);
        if has_now && left(&columns) >= short + NUMBER {
            columns.now = NUMBER;
            if left(&columns) >= short + 7 {
                columns.share_now = 7;
            }
        }
        // Spare columns go to values that are longer than usual, then to names.
        let value = longest(|row| {
            let now = row.now.as_ref().map_or(0, |(_, value)| width(value));
            width(&row.value).max(width(&row.expected)).max(now)
        });
        let shares = if columns.now > 0 { 3 } else { 2 };
        let lacks = (value + 2).saturating_sub(NUMBER);
        let more = lacks.min(left(&columns).saturating_sub(short) / shares);
        columns.value += more;
        columns.now += if columns.now > 0 { more } else { 0 };
        columns.name = left(&columns).min(name.min(31));
        columns
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
pub fn about(
    incident: &Incident,
    entity: Option<&EntityView>,
    step: Duration,
    zone: &Zone,
) -> Vec<String> {
    let who = if incident.entity.is_sole() {
        String::new()
    } else {
        format!("{}: ", incident.entity)
    };
    let state = incident.state.word();
    let when = lasted(incident, step, zone);
    let mut lines = vec![format!("{who}{state}, {when}, peak {}", peak(incident))];
    let parts = blame(entity, incident, 4);
    if !parts.is_empty() {
        lines.push(parts);
    }
    let label = incident.label.map(Label::told);
    lines.extend(label.map(|told| format!("So far it is called {told}.")));
    lines
}
