//! The moment that is pointed at in the large chart, and what is known of it.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Span;

use crate::domain::{EntityView, FeatureVerdict, FeatureView, Time, Unit, Verdict};
use crate::tui::state::UiState;
use crate::tui::text::{number, percent};
use crate::tui::theme::Theme;
use crate::tui::zone::Zone;

use super::super::pen::{Segment, row};
use super::super::plot::{Ends, Plot, Window};

/// What is known of one feature at one moment; what is not is `None`.
pub struct Moment<'a> {
    /// When; one of the window's rows, or a time of the forecast.
    pub time: Time,
    /// What was observed.
    pub value: Option<f64>,
    /// What is forecast, with its band.
    pub ahead: Option<(f64, f64, f64)>,
    /// The verdict on the row, while it is kept.
    pub verdict: Option<&'a Verdict>,
    /// The score of the row.
    pub score: Option<f64>,
    /// The feature's contribution to the verdict.
    pub part: Option<&'a FeatureVerdict>,
}

impl<'a> Moment<'a> {
    /// The moment that is pointed at in `window`.
    pub fn of(
        state: &UiState,
        entity: &'a EntityView,
        window: &Window<'_>,
        feature: (usize, &Plot),
    ) -> Self {
        Self::at(pointed(state, window), entity, window, feature)
    }

    /// Any moment of `window`.
    pub fn at(
        time: Time,
        entity: &'a EntityView,
        window: &Window<'_>,
        (column, plot): (usize, &Plot),
    ) -> Self {
        let row = window.grid.row(time);
        let value = row.and_then(|row| plot.values.get(row).copied());
        let verdict = verdict_at(entity, time);
        let score = row.and_then(|row| window.scores(entity).get(row).copied());
        Self {
            time,
            value: value.filter(|value| value.is_finite()),
            ahead: row.is_none().then(|| forecast(plot, time)).flatten(),
            verdict,
            score: score.filter(|score| score.is_finite()),
            part: verdict.and_then(|verdict| parts(verdict).get(column)),
        }
    }
}

/// The moment that is pointed at: the cursor, or the newest row of the window.
pub fn pointed(state: &UiState, window: &Window<'_>) -> Time {
    let newest = window.grid.last().unwrap_or(window.axis.to);
    let cursor = state.cursor.unwrap_or(newest);
    cursor.min(window.axis.to).max(window.axis.from)
}

/// The verdict on the row at `time`, if it is among those that are kept.
fn verdict_at(entity: &EntityView, time: Time) -> Option<&Verdict> {
    let half = entity.grid.step() / 2;
    verdict_before(entity, time + half).filter(|verdict| time.since(verdict.time) <= half)
}

/// The newest kept verdict that is not later than `time`.
pub fn verdict_before(entity: &EntityView, time: Time) -> Option<&Verdict> {
    let kept = entity.recent.partition_point(|v| v.time <= time);
    let verdict = entity.recent.get(kept.checked_sub(1)?)?;
    Some(verdict)
}

/// The features of a verdict, provisional ones when no model has scored it.
pub fn parts(verdict: &Verdict) -> &[FeatureVerdict] {
    let provisional = verdict.provisional.as_ref();
    match provisional.filter(|_| verdict.features.is_empty()) {
        Some(provisional) => &provisional.features,
        None => &verdict.features,
    }
}

fn forecast(plot: &Plot, time: Time) -> Option<(f64, f64, f64)> {
    let forecast = plot.forecast.as_ref()?;
    let row = forecast.grid.row(time)?;
    let at = |values: &[f64]| values.get(row).copied();
    Some((
        at(&forecast.yhat)?,
        at(&forecast.lower)?,
        at(&forecast.upper)?,
    ))
}

/// `190–230 ms`: a band, its unit once where both ends share it; `None` when an end is not known.
pub fn between(unit: &Unit, lower: f64, upper: f64) -> Option<String> {
    if !lower.is_finite() || !upper.is_finite() {
        return None;
    }
    let (low, high) = (unit.show(lower), unit.show(upper));
    let dash = if lower < 0.0 { " to " } else { "–" };
    Some(match (low.split_once(' '), high.split_once(' ')) {
        (Some((number, one)), Some((_, other))) if one == other => format!("{number}{dash}{high}"),
        _ => format!("{low}{dash}{high}"),
    })
}

/// Says in one row what is known of the moment; what matters least gives way first.
///
/// ```text
/// 14:02:00   value 840 ms ↑   expected 190–230 ms   score 3.9   contribution 61 %
/// ```
pub fn readout(
    moment: &Moment<'_>,
    feature: &FeatureView,
    (now, zone): (Time, &Zone),
    theme: &Theme,
    buffer: &mut Buffer,
    area: Rect,
) {
    let unit = &feature.feature.unit;
    let mut segments = vec![Segment::new(
        1,
        vec![Span::styled(zone.stamp(moment.time, now), theme.accent)],
    )];
    let mut known = |rank: u8, name: &'static str, shown: Span<'static>| {
        segments.push(Segment::new(
            rank,
            vec![Span::styled(name, theme.dim), shown],
        ));
    };
    let ends = Ends::of(feature);
    let band = moment.part.map(|part| ends.cut((part.lower, part.upper)));
    if let Some((yhat, lower, upper)) = moment.ahead {
        let (lower, upper) = ends.cut((lower, upper));
        known(
            0,
            "forecast ",
            Span::styled(unit.show(yhat), theme.forecast),
        );
        if let Some(band) = between(unit, lower, upper) {
            known(2, "forecast band ", Span::styled(band, theme.text));
        }
    } else {
        known(0, "value ", value(moment, band, unit, theme));
    }
    if let Some(band) = band.and_then(|(lower, upper)| between(unit, lower, upper)) {
        known(3, "expected ", Span::styled(band, theme.text));
    }
    if let Some(score) = moment.score {
        let style = if score > 1.0 { theme.bad } else { theme.text };
        known(2, "score ", Span::styled(number(score), style));
    }
    if let Some(part) = moment.part.filter(|part| part.share.is_finite()) {
        let words = format!("contribution {}", percent(part.share));
        known(4, "", Span::styled(words, theme.text));
    }
    let area = Rect {
        x: area.x + u16::from(area.width > 0),
        width: area.width.saturating_sub(1),
        ..area
    };
    row(buffer, area, 0, 3, segments, Vec::new());
}

/// The value, with an arrow when it is outside of what was expected.
fn value(
    moment: &Moment<'_>,
    band: Option<(f64, f64)>,
    unit: &Unit,
    theme: &Theme,
) -> Span<'static> {
    let Some(value) = moment.value else {
        return Span::styled("missing", theme.warn);
    };
    let shown = unit.show(value);
    match band {
        Some((_, upper)) if value > upper => Span::styled(format!("{shown} ↑"), theme.warn),
        Some((lower, _)) if value < lower => Span::styled(format!("{shown} ↓"), theme.warn),
        _ => Span::styled(shown, theme.strong),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bands_name_their_unit_once() {
        let shown = |unit: &Unit, lower, upper| between(unit, lower, upper).unwrap_or_default();
        assert_eq!(shown(&Unit::Seconds, 0.19, 0.23), "190–230 ms");
        assert_eq!(shown(&Unit::Seconds, 0.9, 1.5), "900 ms–1.5 s");
        assert_eq!(shown(&Unit::Celsius, -5.0, 3.0), "-5 to 3 °C");
        assert_eq!(shown(&Unit::None, 1.0, 3.0), "1–3");
        assert_eq!(shown(&Unit::Percent, f64::NAN, 3.0), "");
    }
}
