//! What is explained: an incident, or a row of the shown entity.

use std::cmp::Ordering;

use crate::domain::{
    Contribution, EntityView, FeatureVerdict, Incident, PipelineView, Snapshot, Time, Unit, Verdict,
};
use crate::tui::lists::counts;
use crate::tui::state::{Focus, UiState};

use super::super::detail::{parts, pointed, verdict_before};
use super::super::plot::{Ends, Window};

/// What is explained.
pub enum Subject<'a> {
    /// A run of anomalous rows.
    Incident(&'a Incident),
    /// The verdict on one row, and the incident that the row is part of.
    Row(&'a Verdict, Option<&'a Incident>),
    /// A row of which the verdict is not kept; how many are.
    Forgotten(Time, usize),
    /// A moment that nobody judged, among those of which verdicts are kept.
    Unjudged(Time),
    /// A moment of the forecast.
    Ahead(Time),
    /// Nothing has been judged.
    Nothing,
}

impl<'a> Subject<'a> {
    /// What the operator looks at: the selected incident when the log is in focus, the moment under the crosshair of the
    /// large chart, else the newest row.
    pub fn of(state: &UiState, snapshot: &'a Snapshot) -> Self {
        let Some(pipeline) = state.pipeline(snapshot) else {
            return Self::Nothing;
        };
        if !state.expanded
            && state.focus == Focus::Log
            && let Some(incident) = state.chosen_incident(pipeline)
        {
            return Self::Incident(incident);
        }
        let Some(entity) = state.shown(snapshot) else {
            return Self::Nothing;
        };
        if state.expanded && (state.cursor.is_some() || state.until.is_some()) {
            return Self::at(state, pipeline, entity);
        }
        entity.latest.as_deref().map_or(Self::Nothing, |verdict| {
            Self::Row(verdict, incident_at(pipeline, entity, verdict.time))
        })
    }

    /// The moment under the crosshair: no row but one that its column stands for explains it.
    fn at(state: &UiState, pipeline: &'a PipelineView, entity: &'a EntityView) -> Self {
        let window = Window::of(state, entity);
        let time = pointed(state, &window);
        let half = entity.grid.step() / 2;
        let newest = entity.grid.last().max(window.grid.last());
        if newest.is_some_and(|newest| newest + half < time) {
            return Self::Ahead(time);
        }
        let near = verdict_before(entity, time + half)
            .filter(|verdict| (time + half).since(verdict.time) <= window.grid.step());
        if let Some(verdict) = near {
            return Self::Row(verdict, incident_at(pipeline, entity, verdict.time));
        }
        let is_kept = entity.recent.first().is_some_and(|v| v.time <= time);
        match incident_at(pipeline, entity, time) {
            Some(incident) => Self::Incident(incident),
            None if is_kept => Self::Unjudged(time),
            None if entity.recent.is_empty() => Self::Nothing,
            None => Self::Forgotten(time, entity.recent.len()),
        }
    }

    /// The incident that words can be said on.
    pub const fn incident(&self) -> Option<&'a Incident> {
        match self {
            Self::Incident(incident) => Some(incident),
            Self::Row(_, incident) => *incident,
            Self::Forgotten(..) | Self::Unjudged(_) | Self::Ahead(_) | Self::Nothing => None,
        }
    }
}

/// The incident that is explained.
pub fn explained<'a>(state: &UiState, snapshot: &'a Snapshot) -> Option<&'a Incident> {
    Subject::of(state, snapshot).incident()
}

fn incident_at<'a>(
    pipeline: &'a PipelineView,
    entity: &EntityView,
    time: Time,
) -> Option<&'a Incident> {
    let mut incidents = pipeline.incidents.iter();
    incidents.find(|i| i.entity == entity.entity && i.start <= time && time <= i.end)
}

/// One feature's part in what is explained.
pub struct Part {
    /// Feature name.
    pub name: String,
    /// Its unit.
    pub unit: Unit,
    /// 0 to 1; NaN when unknown.
    pub share: f64,
    /// Observed value; NaN when missing.
    pub value: f64,
    /// What was expected; NaN when unknown.
    pub expected: f64,
    /// Lower end of what was expected; NaN when unknown.
    pub lower: f64,
    /// Upper end.
    pub upper: f64,
    /// Its deviation matters: by its direction, its size, and nothing that excuses it.
    pub counts: bool,
}

/// Where a value is, seen from what was expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Over the band by more than its width.
    FarAbove,
    /// Over the band.
    Above,
    /// In the band.
    Within,
    /// Under the band.
    Below,
    /// Under the band by more than its width.
    FarBelow,
    /// No value.
    Missing,
    /// No expectation.
    Unknown,
}

impl Place {
    /// In words, behind "is".
    pub const fn words(self) -> &'static str {
        match self {
            Self::FarAbove => "far above",
            Self::Above => "above",
            Self::Within => "within",
            Self::Below => "below",
            Self::FarBelow => "far below",
            Self::Missing => "missing",
            Self::Unknown => "–",
        }
    }
}

impl Part {
    fn of_row(
        entity: &EntityView,
        verdict: &Verdict,
        column: usize,
        part: &FeatureVerdict,
    ) -> Option<Self> {
        let view = entity.features.get(column)?;
        let feature = &view.feature;
        let ends = Ends::of(view).with(part.value);
        let (lower, upper) = ends.cut((part.lower, part.upper));
        Some(Self {
            name: feature.name.to_string(),
            unit: feature.unit.clone(),
            share: part.share,
            value: part.value,
            expected: part.expected,
            lower,
            upper,
            counts: !verdict.excused.contains(&column),
        })
    }

    fn of_incident(entity: Option<&EntityView>, incident: &Incident, part: &Contribution) -> Self {
        let feature = entity.and_then(|entity| {
            let mut features = entity.features.iter();
            features.find(|f| f.feature.name == part.feature)
        });
        let ends = feature.map_or(Ends::NONE, Ends::of).with(part.value);
        let (lower, upper) = ends.cut((part.lower, part.upper));
        Self {
            name: part.feature.to_string(),
            unit: feature.map(|f| f.feature.unit.clone()).unwrap_or_default(),
            share: part.share,
            value: part.value,
            expected: part.expected,
            lower,
            upper,
            counts: counts(entity, incident, part),
        }
    }

    /// Where the value is.
    pub fn place(&self) -> Place {
        let wide = (self.upper - self.lower).max(f64::MIN_POSITIVE);
        match self.value {
            value if !value.is_finite() => Place::Missing,
            _ if !self.lower.is_finite() || !self.upper.is_finite() => Place::Unknown,
            value if value > self.upper + wide => Place::FarAbove,
            value if value > self.upper => Place::Above,
            value if value < self.lower - wide => Place::FarBelow,
            value if value < self.lower => Place::Below,
            _ => Place::Within,
        }
    }

    /// How far off the value is: in percent of what was expected, or in the unit where that says little.
    pub fn off(&self) -> Option<String> {
        let off = self.value - self.expected;
        let part = off / self.expected.abs();
        let sign = if off < 0.0 { "" } else { "+" };
        if !off.is_finite() || part.abs() < 0.005 {
            None
        } else if part.abs() < 9.995 {
            Some(format!("{sign}{:.0} %", part * 100.0))
        } else {
            Some(format!("{sign}{}", self.unit.show(off)))
        }
    }
}

/// The features of what is explained: those that count first, then the largest part.
pub fn features(subject: &Subject<'_>, pipeline: &PipelineView) -> Vec<Part> {
    let mut found: Vec<Part> = match subject {
        Subject::Incident(incident) => {
            let entity = pipeline.entity(&incident.entity).map(AsRef::as_ref);
            let parts = incident.features.iter();
            let parts = parts.map(|part| Part::of_incident(entity, incident, part));
            parts.collect()
        }
        Subject::Row(verdict, _) => match pipeline.entity(&verdict.entity) {
            Some(entity) => parts(verdict)
                .iter()
                .enumerate()
                .filter_map(|(column, part)| Part::of_row(entity, verdict, column, part))
                .collect(),
            None => Vec::new(),
        },
        Subject::Forgotten(..) | Subject::Unjudged(_) | Subject::Ahead(_) | Subject::Nothing => {
            Vec::new()
        }
    };
    let rank = |part: &Part| {
        if part.share.is_finite() {
            part.share
        } else {
            -1.0
        }
    };
    // Stable: the parts of an incident are in their order already.
    found.sort_by(|a, b| {
        let larger = match subject {
            Subject::Incident(_) => Ordering::Equal,
            _ => rank(b).total_cmp(&rank(a)),
        };
        b.counts.cmp(&a.counts).then(larger)
    });
    found
}
