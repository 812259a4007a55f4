//! The two lines at the top: where the data comes from and what scores it; the score and the counts.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Span;

use crate::domain::{
    EntityView, Incident, PipelineView, Provisional, RowState, Snapshot, SourceState, StaleReason,
    Verdict,
};
use crate::tui::action::Intent;
use crate::tui::state::{Mode, UiState};
use crate::tui::text::{self, number, span};
use crate::tui::theme::Theme;

use super::pen::{Segment, bar, row};
use super::why::glossary;

/// Most columns of an entity's name.
const LONGEST: u16 = 32;
/// Columns of the score bar.
const BAR: u16 = 20;

/// Draws the header; with one line, the score goes before the source.
///
/// ```text
/// pulsewatch  1 Live  2 Long-term  3 Test   ● prometheus http://…   polls every 30 s   model 3 h old   14:02:11 UTC
/// ● anomaly 1.84 ━━━━━━━━━━┃━━━━━━━━──      web-1 2 of 14   1 open · 3 this session · 17 in all
/// ```
pub fn draw(state: &UiState, snapshot: &Snapshot, theme: &Theme, buffer: &mut Buffer, area: Rect) {
    let pipeline = state.pipeline(snapshot);
    let entity = state.shown(snapshot);
    let is_old = pipeline.is_some_and(|p| state.freshness(snapshot, p).is_stale());
    let padded = Rect {
        x: area.x + u16::from(area.width > 2),
        width: area.width.saturating_sub(2),
        ..area
    };
    let wide = area.width >= 80;
    let clock = Segment::new(
        if wide || area.height >= 2 { 2 } else { 4 },
        vec![Span::styled(
            state.zone.clock_with_zone(state.now),
            theme.dim,
        )],
    );
    if area.height < 2 {
        let mut left = vec![tab(state, theme)];
        left.extend(judgement(pipeline, entity, is_old, theme, false));
        let right = faults(state, snapshot, theme).into_iter().chain([clock]);
        return row(buffer, padded, 0, 2, left, right.collect());
    }
    let mut first = if wide {
        tabs(state, theme)
    } else {
        vec![tab(state, theme)]
    };
    let mut right = Vec::new();
    right.extend(faults(state, snapshot, theme));
    first.extend(source(state, snapshot, pipeline, theme));
    right.extend(model(state, pipeline, theme));
    right.push(clock);
    row(buffer, padded, 0, 2, first, right);
    let left = judgement(pipeline, entity, is_old, theme, wide);
    let right = counts(state, snapshot, entity, theme);
    row(buffer, padded, 1, 3, left, right);
}

fn tabs(state: &UiState, theme: &Theme) -> Vec<Segment> {
    let keys = [Intent::Live, Intent::LongTerm, Intent::Test];
    let mut spans = Vec::new();
    for (mode, intent) in Mode::ALL.into_iter().zip(keys) {
        let words = format!(" {} {} ", state.keymap.key(intent), mode.title());
        let style = if mode == state.mode {
            theme.tab
        } else {
            theme.dim
        };
        spans.push(Span::styled(words, style));
    }
    vec![
        Segment::new(5, vec![Span::styled("pulsewatch", theme.strong)]),
        Segment::new(0, spans),
    ]
}

fn tab(state: &UiState, theme: &Theme) -> Segment {
    let words = format!(" {} ", state.mode.title());
    Segment::new(0, vec![Span::styled(words, theme.tab)])
}

/// `! listener +1  H`: parts of the program that do not work, for as long as they do not.
fn faults(state: &UiState, snapshot: &Snapshot, theme: &Theme) -> Option<Segment> {
    let (component, _) = snapshot
        .faults()
        .min_by_key(|(component, _)| !component.is_essential())?;
    let style = if component.is_essential() {
        theme.bad
    } else {
        theme.warn
    };
    let more = match snapshot.faults().count() - 1 {
        0 => String::new(),
        more => format!(" +{more}"),
    };
    let mut spans = vec![Span::styled(format!("! {}{more}", component.name()), style)];
    if state.hints {
        let key = state.keymap.key(Intent::Health);
        spans.push(Span::styled(format!("  {key}"), theme.accent));
    }
    Some(Segment::new(1, spans))
}

/// The source's name with a dot for its state.
fn source(
    state: &UiState,
    snapshot: &Snapshot,
    pipeline: Option<&PipelineView>,
    theme: &Theme,
) -> Vec<Segment> {
    let Some(pipeline) = pipeline else {
        return Vec::new();
    };
    let source = &pipeline.source;
    // A long name must not drive out the clock with its zone, nor the mark of a fault.
    let longest = match state.size.0 {
        0..60 => 12,
        60..100 if snapshot.faults().next().is_some() => 20,
        _ => 48,
    };
    let freshness = state.freshness(snapshot, pipeline);
    let (dot, word, style) = match (&source.state, freshness.is_stale()) {
        (_, true) => ("✗", " stale", theme.bad),
        (SourceState::Connecting, false) => ("◌", " connecting", theme.warn),
        (SourceState::Finished, false) => ("○", " recording has ended", theme.dim),
        (SourceState::Up | SourceState::Stale { .. }, false) => ("●", "", theme.good),
    };
    let mut segments = vec![Segment::new(
        1,
        vec![
            Span::styled(format!("{dot} "), style),
            Span::styled(text::cut(&source.name, longest).into_owned(), theme.text),
            Span::styled(word, style),
        ],
    )];
    // It may be about to fail, which takes its whole timeout: an error is not known yet.
    if let Some(StaleReason::Silent(silent)) = freshness.reason() {
        let words = format!("last data {} ago", span(silent));
        segments.push(Segment::new(2, vec![Span::styled(words, theme.warn)]));
    }
    segments.extend(
        pace(snapshot, pipeline).map(|words| Segment::new(6, vec![Span::styled(words, theme.dim)])),
    );
    segments
}

/// How often it is polled; a recording is played faster than that, so what a sample of it stands for.
fn pace(snapshot: &Snapshot, pipeline: &PipelineView) -> Option<String> {
    match (pipeline.source.recorded, &pipeline.source.state) {
        (_, SourceState::Finished) => None,
        (false, _) => Some(format!("polls every {}", span(snapshot.interval))),
        (true, _) => Some(format!("{} samples", text::attribute(pipeline.step))),
    }
}

fn model(state: &UiState, pipeline: Option<&PipelineView>, theme: &Theme) -> Vec<Segment> {
    let Some(model) = pipeline.and_then(|p| p.model.as_ref()) else {
        return vec![Segment::new(
            3,
            vec![Span::styled("no model yet", theme.dim)],
        )];
    };
    let age = span(state.now.since(model.trained_at));
    let age = Segment::new(3, vec![Span::styled(format!("model {age} old"), theme.dim)]);
    if state.mode == Mode::Test {
        // Its models are not kept, so a version would name nothing.
        return vec![age];
    }
    // The part that tells when; what makes it unique is for `pulsewatch models list`.
    let version = model.version.split('-').next().unwrap_or_default();
    let version = text::cut(version, 24).into_owned();
    vec![Segment::new(7, vec![Span::styled(version, theme.dim)]), age]
}

/// What the newest verdict says, or how far from one.
fn judgement(
    pipeline: Option<&PipelineView>,
    entity: Option<&EntityView>,
    is_old: bool,
    theme: &Theme,
    wide: bool,
) -> Vec<Segment> {
    let Some(pipeline) = pipeline else {
        return vec![Segment::new(0, vec![Span::styled("starting", theme.warn)])];
    };
    let verdict = entity.and_then(|e| e.latest.as_deref());
    if let Some((verdict, score)) = verdict.and_then(|v| Some((v, v.score?))) {
        return if is_old {
            old_score(score, verdict.is_anomaly, theme)
        } else {
            let open = pipeline.open_incidents.contains_key(&verdict.entity);
            score_segments((score, open), verdict, theme, wide)
        };
    }
    if pipeline.model.is_none() {
        return readiness(pipeline, entity, theme, wide);
    }
    let words = match verdict.map(|v| v.state) {
        Some(RowState::Stale) => "◌ too few samples to judge",
        Some(RowState::Missing) => "◌ no samples at this time",
        _ => "◌ collecting the first window",
    };
    vec![Segment::new(0, vec![Span::styled(words, theme.warn)])]
}

/// The newest row in a word; while an incident is open it says so first, as the row may be quiet by itself.
fn score_segments(
    (score, is_open): (f64, bool),
    verdict: &Verdict,
    theme: &Theme,
    wide: bool,
) -> Vec<Segment> {
    let (newest, style) = match (verdict.is_anomaly, score > 1.0) {
        (true, _) => ("anomaly".to_owned(), theme.bad),
        (false, true) => {
            let why = glossary::stopped(&verdict.gates).unwrap_or("over the threshold");
            (format!("no alarm: {why}"), theme.warn)
        }
        (false, false) => ("normal".to_owned(), theme.good),
    };
    let (word, style) = match (is_open && !verdict.is_anomaly, wide) {
        (false, _) => (format!("● {newest}"), style),
        (true, true) => (format!("● incident open; newest row: {newest}"), theme.bad),
        (true, false) => ("● incident open".to_owned(), theme.bad),
    };
    let mut segments = vec![
        Segment::new(0, vec![Span::styled(word, style)]),
        Segment::new(
            1,
            vec![
                Span::styled("score ", theme.dim),
                Span::styled(
                    number(score),
                    if score > 1.0 { theme.bad } else { theme.strong },
                ),
            ],
        ),
    ];
    let room = if wide { BAR } else { BAR / 2 };
    let style = if score > 1.0 { theme.hot } else { theme.line };
    segments.push(Segment::new(
        if wide { 2 } else { 5 },
        threshold_bar(score, room, style, theme),
    ));
    segments
}

/// A score that nothing newer has confirmed.
fn old_score(score: f64, anomaly: bool, theme: &Theme) -> Vec<Segment> {
    let word = if anomaly { "anomalous" } else { "normal" };
    let words = format!("○ {word} when last seen");
    vec![
        Segment::new(0, vec![Span::styled(words, theme.dim)]),
        Segment::new(
            1,
            vec![Span::styled(format!("score {}", number(score)), theme.dim)],
        ),
    ]
}

/// A bar from 0 to twice the threshold with the threshold in its middle.
pub fn threshold_bar(score: f64, room: u16, style: Style, theme: &Theme) -> Vec<Span<'static>> {
    let half = room / 2;
    let mut spans = bar(score.min(1.0), half, style, theme);
    spans.push(Span::styled("┃", theme.strong));
    if score > 1.0 {
        spans.extend(bar((score - 1.0).min(1.0), half, style, theme));
    } else {
        spans.extend(bar(0.0, half, style, theme));
    }
    spans
}

fn readiness(
    pipeline: &PipelineView,
    entity: Option<&EntityView>,
    theme: &Theme,
    wide: bool,
) -> Vec<Segment> {
    let ready = &pipeline.readiness;
    let words = match (&pipeline.training, ready.text.is_empty()) {
        (Some(_), _) => "learning what is normal".to_owned(),
        (None, false) => ready.text.clone(),
        (None, true) => "ready to train".to_owned(),
    };
    let mut segments = vec![Segment::new(
        0,
        vec![
            Span::styled("◌ ", theme.warn),
            Span::styled(words, theme.text),
        ],
    )];
    if wide && pipeline.training.is_none() {
        let gauge = bar(ready.ratio(), BAR, theme.warn, theme);
        segments.push(Segment::new(2, gauge));
        let part = text::percent(ready.ratio());
        segments.push(Segment::new(3, vec![Span::styled(part, theme.dim)]));
    }
    let latest = entity.and_then(|entity| entity.latest.as_deref());
    let provisional = latest.and_then(|verdict| verdict.provisional.as_ref());
    segments.extend(provisional.map(|known| so_far(known, theme)));
    segments.extend(entity.and_then(|entity| seasons(entity, theme)));
    segments
}

/// How much of each season is known, as long as one is not.
fn seasons(entity: &EntityView, theme: &Theme) -> Option<Segment> {
    let all = &entity.readiness.seasons;
    let open = all.iter().any(|(_, known)| *known < 1.0);
    let parts: Vec<String> = all
        .iter()
        .map(|(period, known)| format!("{} {}", text::exact_span(*period), text::percent(*known)))
        .collect();
    let words = format!("seasons known: {}", parts.join(", "));
    open.then(|| Segment::new(4, vec![Span::styled(words, theme.dim)]))
}

/// The score of the first minutes, and how far it can be trusted.
fn so_far(known: &Provisional, theme: &Theme) -> Segment {
    let style = if known.score > 1.0 {
        theme.warn
    } else {
        theme.text
    };
    let confidence = format!(" (confidence {})", text::percent(known.confidence));
    Segment::new(
        1,
        vec![
            Span::styled("provisional score ", theme.dim),
            Span::styled(number(known.score), style),
            Span::styled(confidence, theme.dim),
        ],
    )
}

/// Incidents of this session. A configuration that was read anew begins to count at 0, and an incident that is taken up again
/// is not counted twice: those listed that began since the start are not fewer. Recordings live in their own time.
fn session(snapshot: &Snapshot, pipeline: &PipelineView) -> u64 {
    let began = |incident: &&Incident| incident.start >= snapshot.started;
    let listed = if pipeline.source.recorded {
        0
    } else {
        pipeline.incidents.iter().filter(began).count()
    };
    let counted = pipeline.counters.incidents_session;
    counted.max(u64::try_from(listed).unwrap_or(u64::MAX))
}

/// Which entity, and how many incidents.
fn counts(
    state: &UiState,
    snapshot: &Snapshot,
    entity: Option<&EntityView>,
    theme: &Theme,
) -> Vec<Segment> {
    let Some(pipeline) = state.pipeline(snapshot) else {
        return Vec::new();
    };
    let mut segments = Vec::new();
    if let Some(entity) = entity.filter(|e| !e.entity.is_sole()) {
        let all = pipeline.entities.iter().map(|view| view.entity.name());
        let names = text::Names::fit(all, LONGEST);
        let name = names.cut(entity.entity.name()).into_owned();
        let place = format!(
            "  {} of {}",
            state.entity_index(pipeline) + 1,
            pipeline.entities.len()
        );
        segments.push(Segment::new(
            1,
            vec![
                Span::styled(name, theme.strong),
                Span::styled(place, theme.dim),
            ],
        ));
    }
    let open = pipeline.open_incidents.len();
    let style = if open > 0 { theme.bad } else { theme.dim };
    let counters = &pipeline.counters;
    segments.push(Segment::new(7, vec![Span::styled("anomalies", theme.dim)]));
    segments.push(Segment::new(
        2,
        vec![Span::styled(format!("{open} open"), style)],
    ));
    segments.push(Segment::new(
        4,
        vec![Span::styled(
            format!("{} this session", session(snapshot, pipeline)),
            theme.dim,
        )],
    ));
    // Test mode keeps none from earlier sessions.
    if state.mode != Mode::Test {
        let words = format!("{} in all", counters.incidents_total);
        segments.push(Segment::new(5, vec![Span::styled(words, theme.dim)]));
    }
    segments
}
