//! Source, readiness and this process: whether what is shown can be relied on.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Span;

use crate::domain::{
    ComponentHealth, EntityView, ModelView, PipelineView, Snapshot, SourceState, Time, Unit,
};
use crate::tui::state::UiState;
use crate::tui::text::{exact_span, number, percent, short, span};
use crate::tui::theme::Theme;
use crate::tui::zone::Zone;

use super::facts::{self, Line, Row};
use super::pen::boxed;

/// Pages from this width on have two columns.
const TWO_FROM: u16 = 96;
/// Blank columns between the two.
const BETWEEN: u16 = 3;
/// A row that is farther behind is told with its day.
const A_DAY: std::time::Duration = std::time::Duration::from_hours(24);

/// How many lines can be the first one.
pub fn lines(state: &UiState, snapshot: &Snapshot) -> usize {
    let area = facts::inside(state, snapshot);
    // Colours do not move lines.
    let theme = Theme::new(state.theme, crate::tui::ColorDepth::None, true);
    let page = Page::of(state, snapshot, &theme, area.width);
    facts::reach(usize::from(page.height()), area.height)
}

/// Draws the panel from line `first` on.
///
/// ```text
/// ╭ health ──────────────────────────────────────────────────────╮
/// │ source                          readiness                    │
/// │ name      prometheus http://…   windows   ━━━━━━━  120 of 120│
/// │ state     ● up                  24 h      ━━━────  41 %      │
/// │                                                              │
/// │ scoring                         process                      │
/// │ model     20261118T105500Z      memory    45.2 MiB           │
/// │                                                              │
/// │ warnings                                                     │
/// │ none                                                         │
/// ╰──────────────────────────────────────────────────────────────╯
/// ```
pub fn draw(
    state: &UiState,
    snapshot: &Snapshot,
    first: usize,
    theme: &Theme,
    buffer: &mut Buffer,
    area: Rect,
) {
    let room = facts::room(area);
    let page = Page::of(state, snapshot, theme, room.width);
    let right = facts::note(state, page.height() > room.height, String::new(), theme);
    let title = [Span::styled("health", theme.strong)];
    let inner = facts::padded(boxed(buffer, area, theme.accent, &title, right));
    facts::page(
        buffer,
        inner,
        page.height(),
        first,
        theme,
        |buffer, area| {
            page.draw(buffer, area);
        },
    );
}

/// Two columns, or one, and lines under them over the whole width.
#[derive(Default)]
struct Page {
    left: Vec<Line>,
    right: Vec<Line>,
    below: Vec<Line>,
}

impl Page {
    fn of(state: &UiState, snapshot: &Snapshot, theme: &Theme, room: u16) -> Self {
        let Some(pipeline) = state.pipeline(snapshot) else {
            return Self::default();
        };
        let shown = state.shown(snapshot);
        let source = source(state, snapshot, pipeline, theme);
        let readiness = readiness(pipeline, shown, theme);
        let scoring = scoring(state, pipeline, theme);
        let process = process(state, snapshot, theme);
        let mut warnings = warnings(pipeline, theme);
        if let Some(parts) = parts(state, snapshot, theme) {
            warnings = joined([parts, warnings]);
        }
        if room < TWO_FROM {
            let all = [source, readiness, scoring, process, warnings];
            return Self {
                left: facts::lines(joined(all), room, theme),
                ..Self::default()
            };
        }
        let half = (room - BETWEEN) / 2;
        // Sections side by side begin on the same line.
        let upper = [source, readiness].map(|rows| facts::lines(rows, half, theme));
        let lower = [scoring, process].map(|rows| facts::lines(rows, half, theme));
        let down = upper.iter().map(Vec::len).max().unwrap_or(0) + 1;
        let [left, right] = {
            let mut columns = upper;
            for (column, rest) in columns.iter_mut().zip(lower) {
                column.resize(down, Line::new());
                column.extend(rest);
            }
            columns
        };
        let below = facts::lines(joined([vec![], warnings]), room, theme);
        Self { left, right, below }
    }

    fn columns(&self) -> usize {
        self.left.len().max(self.right.len())
    }

    fn height(&self) -> u16 {
        short(self.columns() + self.below.len())
    }

    fn draw(&self, buffer: &mut Buffer, area: Rect) {
        let half = if self.right.is_empty() {
            area.width
        } else {
            (area.width.saturating_sub(BETWEEN)) / 2
        };
        let left = Rect {
            width: half,
            ..area
        };
        facts::write(&self.left, buffer, left);
        let right = Rect {
            x: area.x + (half + BETWEEN).min(area.width),
            width: area.width.saturating_sub(half + BETWEEN),
            ..area
        };
        facts::write(&self.right, buffer, right);
        let above = short(self.columns()).min(area.height);
        let below = Rect {
            y: area.y + above,
            height: area.height - above,
            ..area
        };
        facts::write(&self.below, buffer, below);
    }
}

/// Sections with a blank line between them.
fn joined<const N: usize>(sections: [Vec<Row>; N]) -> Vec<Row> {
    let mut all = Vec::new();
    for (at, section) in sections.into_iter().enumerate() {
        if at > 0 {
            all.push(Row::Blank);
        }
        all.extend(section);
    }
    all
}

fn source(
    state: &UiState,
    snapshot: &Snapshot,
    pipeline: &PipelineView,
    theme: &Theme,
) -> Vec<Row> {
    let source = &pipeline.source;
    let fact = |name, words: String| Row::Fact(name, words, theme.text);
    let mut rows = vec![Row::Head("source"), fact("name", source.name.clone())];
    rows.extend(connection(state, snapshot, pipeline, theme));
    let last = source.last_success.map_or_else(
        || "none yet".to_owned(),
        |last| format!("{} ago", span(state.now.since(last))),
    );
    rows.push(fact("last data", last));
    rows.extend(newest(pipeline, state.now, &state.zone).map(|words| fact("newest row", words)));
    let step = exact_span(pipeline.step);
    rows.push(if source.recorded {
        fact("samples", format!("step {step}"))
    } else {
        let interval = exact_span(snapshot.interval);
        fact("polls", format!("every {interval}, step {step}"))
    });
    let took = &pipeline.counters.collect_seconds;
    if took.count > 0 {
        // An average of so many looks needs no exact count.
        let mean = took.sum / took.count as f64;
        let words = format!("{}, {} on average", took.count, Unit::Seconds.show(mean));
        rows.push(fact("collections", words));
    }
    let errors: Vec<String> = pipeline
        .counters
        .collect_errors
        .iter()
        .map(|(reason, count)| format!("{count} × {reason}"))
        .collect();
    rows.push(if errors.is_empty() {
        fact("failed", "none since the start".into())
    } else {
        Row::Fact("failed", errors.join(", "), theme.warn)
    });
    rows
}

/// The state in a word, and what went wrong.
fn connection(
    state: &UiState,
    snapshot: &Snapshot,
    pipeline: &PipelineView,
    theme: &Theme,
) -> Vec<Row> {
    let row = |words: &str, style| vec![Row::Fact("state", words.to_owned(), style)];
    let source = &pipeline.source;
    let Some(reason) = state.freshness(snapshot, pipeline).reason() else {
        return match source.state {
            SourceState::Connecting => row("◌ connecting", theme.warn),
            SourceState::Finished => row("○ the recording has ended", theme.dim),
            SourceState::Up | SourceState::Stale { .. } => row("● up", theme.good),
        };
    };
    let lasting = source.last_success.map_or_else(
        || "✗ never worked yet".to_owned(),
        |last| format!("✗ stale for {}", span(state.now.since(last))),
    );
    let mut rows = row(&lasting, theme.bad);
    if let SourceState::Stale { retry_at, .. } = source.state {
        let wait = retry_at.since(state.now);
        let next = if wait.is_zero() {
            "now".into()
        } else {
            format!("in {}", span(wait))
        };
        rows.push(Row::Fact("next try", next, theme.text));
    }
    rows.push(Row::Fact("error", reason.to_string(), theme.warn));
    rows
}

/// How far the newest row is behind; recordings live in their own time.
fn newest(pipeline: &PipelineView, now: Time, zone: &Zone) -> Option<String> {
    let newest = pipeline
        .entities
        .iter()
        .filter_map(|e| e.grid.last())
        .max()?;
    let lag = now.since(newest);
    Some(if pipeline.source.recorded {
        format!("{}, of a recording", zone.second(newest))
    } else if lag < A_DAY {
        format!("{}, {} behind", zone.clock_with_zone(newest), span(lag))
    } else {
        format!("{}, {} behind", zone.second(newest), span(lag))
    })
}

fn readiness(pipeline: &PipelineView, shown: Option<&EntityView>, theme: &Theme) -> Vec<Row> {
    let ready = &pipeline.readiness;
    let words = format!("{} of {}", ready.have, ready.need);
    let mut rows = vec![
        Row::Head("readiness"),
        facts::known("windows".into(), ready.ratio(), words, theme),
    ];
    let waits = match (ready.text.is_empty(), ready.eta) {
        (false, _) => ready.text.clone(),
        (true, Some(eta)) => format!("ready in about {}", exact_span(eta)),
        (true, None) => "ready".into(),
    };
    rows.push(Row::Fact("state", waits, theme.text));
    let Some(entity) = shown else { return rows };
    if !entity.entity.is_sole() {
        rows.push(Row::Fact("entity", entity.entity.to_string(), theme.text));
        let own = entity.readiness.windows;
        rows.push(facts::known("its windows".into(), own, percent(own), theme));
    }
    for (period, known) in &entity.readiness.seasons {
        let name = format!("season {}", exact_span(*period));
        rows.push(facts::known(name, *known, percent(*known), theme));
    }
    rows
}

fn scoring(state: &UiState, pipeline: &PipelineView, theme: &Theme) -> Vec<Row> {
    let fact = |name, words: String| Row::Fact(name, words, theme.text);
    let mut rows = vec![Row::Head("scoring")];
    match &pipeline.model {
        Some(model) => {
            let age = exact_span(state.now.since(model.trained_at));
            rows.push(fact("model", model.version.clone()));
            rows.push(fact("its age", age));
            rows.push(fact("threshold", threshold(pipeline, model)));
        }
        None => rows.push(Row::Fact("model", "none yet".into(), theme.warn)),
    }
    let scored = pipeline.last_scored.map_or_else(
        || "nothing yet".to_owned(),
        |last| format!("{} ago", span(state.now.since(last))),
    );
    rows.push(fact("last scored", scored));
    let features = pipeline.entities.first().map_or(0, |e| e.features.len());
    let shown = format!("{}, {features} features each", pipeline.entities.len());
    rows.push(fact("entities", shown));
    let counters = &pipeline.counters;
    rows.push(counted("late ticks", counters.ticks_late, "", theme));
    let over = " series over the cap";
    rows.push(counted("left out", counters.series_left_out, over, theme));
    rows
}

/// The threshold in force; when labels raised it also the calibrated one, which the list of models has.
fn threshold(pipeline: &PipelineView, model: &ModelView) -> String {
    let (force, rule) = (number(model.threshold_mse), &model.threshold_rule);
    let kept = pipeline.models.iter().find(|entry| entry.is_current);
    match kept.map(|entry| number(entry.model.threshold_mse)) {
        Some(calibrated) if calibrated != force => {
            format!("{force} ({rule} {calibrated}, raised by labels)")
        }
        _ => format!("{force} ({rule})"),
    }
}

/// A count that should be 0, and what it is a count of.
fn counted(name: &'static str, count: u64, of: &str, theme: &Theme) -> Row {
    match count {
        0 => Row::Fact(name, "none".into(), theme.text),
        _ => Row::Fact(name, format!("{count}{of}"), theme.warn),
    }
}

fn process(state: &UiState, snapshot: &Snapshot, theme: &Theme) -> Vec<Row> {
    let process = snapshot.process;
    let memory = process.memory.map_or_else(
        || "not told by this system".to_owned(),
        |bytes| Unit::Bytes.show(bytes as f64),
    );
    let cpu = process.cpu.map_or_else(
        || "not known yet".to_owned(),
        |share| format!("{:.1} % of a core", share * 100.0),
    );
    let build = snapshot.build;
    let up = exact_span(state.now.since(snapshot.started));
    [
        ("memory", memory),
        ("processor", cpu),
        ("running for", up),
        ("version", format!("{} for {}", build.version, build.target)),
    ]
    .into_iter()
    .fold(vec![Row::Head("process")], |mut rows, (name, words)| {
        rows.push(Row::Fact(name, words, theme.text));
        rows
    })
}

/// The parts of the program that have a fault or were started again; `None` when there is none.
fn parts(state: &UiState, snapshot: &Snapshot, theme: &Theme) -> Option<Vec<Row>> {
    let part = |part: &ComponentHealth| {
        let again = match part.restarts {
            0 => String::new(),
            times => format!(", started again {times} ×"),
        };
        let name = part.component.name();
        match &part.fault {
            Some(fault) => {
                let lasting = span(state.now.since(fault.since));
                let words = format!("✗ for {lasting}{again}: {}", fault.text);
                Some(Row::Fact(name, words, theme.bad))
            }
            None if part.restarts > 0 => {
                let words = format!("● works{again}");
                Some(Row::Fact(name, words, theme.text))
            }
            None => None,
        }
    };
    let rows: Vec<Row> = snapshot.health.iter().filter_map(part).collect();
    let head = std::iter::once(Row::Head("parts of the program"));
    (!rows.is_empty()).then(|| head.chain(rows).collect())
}

fn warnings(pipeline: &PipelineView, theme: &Theme) -> Vec<Row> {
    let mut rows = vec![Row::Head("warnings")];
    let warnings = &pipeline.source.warnings;
    if warnings.is_empty() {
        rows.push(Row::Words("none".into(), theme.text));
    }
    for warning in warnings {
        rows.push(Row::Words(format!("! {warning}"), theme.warn));
    }
    if pipeline.source.more_warnings > 0 {
        let more = format!("and {} more", pipeline.source.more_warnings);
        rows.push(Row::Words(more, theme.warn));
    }
    rows
}
