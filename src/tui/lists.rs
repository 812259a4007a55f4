//! What the log, the error table and the list of entities show, and in which order: shared by drawing and by the keys
//! that move in them.

use std::cmp::{Ordering, Reverse};

use crate::domain::{
    Contribution, Direction, EntityView, Incident, Label, PipelineView, RowState, Verdict,
};

use super::state::{UiState, has, key_of};

pub use super::orders::{EntityOrder, ErrorOrder, LogOrder, Reversed, mark};

/// How an entity stands, by its newest verdict.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Standing {
    /// An anomaly, with its score.
    Anomalous(f64),
    /// Over the threshold, and a gate keeps it from being an anomaly.
    Over(f64),
    /// Under the threshold.
    Normal(f64),
    /// Too few samples to tell.
    Stale,
    /// No samples.
    Missing,
    /// Not judged yet; the part of the windows that a training needs.
    WarmingUp(f64),
}

impl Standing {
    /// Of one entity.
    #[must_use]
    pub fn of(entity: &EntityView) -> Self {
        let warming = Self::WarmingUp(entity.readiness.windows);
        let Some(verdict) = entity.latest.as_deref() else {
            return warming;
        };
        match (verdict.state, verdict.score) {
            (_, Some(score)) if verdict.is_anomaly => Self::Anomalous(score),
            (_, Some(score)) if score > 1.0 => Self::Over(score),
            (_, Some(score)) => Self::Normal(score),
            (RowState::Stale, None) => Self::Stale,
            (RowState::Missing, None) => Self::Missing,
            (RowState::WarmingUp | RowState::Scored, None) => warming,
        }
    }

    /// The score, if there is one.
    #[must_use]
    pub const fn score(self) -> Option<f64> {
        match self {
            Self::Anomalous(score) | Self::Over(score) | Self::Normal(score) => Some(score),
            Self::Stale | Self::Missing | Self::WarmingUp(_) => None,
        }
    }

    /// The larger the worse: anomalous, over the threshold, by score, unknown.
    #[must_use]
    pub const fn badness(self) -> (u8, f64) {
        match self {
            Self::Anomalous(score) => (3, score),
            Self::Over(score) => (2, score),
            Self::Normal(score) => (1, score),
            Self::Stale | Self::Missing | Self::WarmingUp(_) => (0, 0.0),
        }
    }
}

/// The first row of the page that row `at` of `count` rows is on. The last page is full: it begins earlier, so that it does
/// not end in blank rows, and all of its rows belong to it.
#[must_use]
pub fn page_start(at: usize, page: usize, count: usize) -> usize {
    let page = page.max(1);
    let last = count.saturating_sub(page);
    if at >= last { last } else { at - at % page }
}

/// Every word of `filter` is in `text`.
#[must_use]
pub fn all_in(text: &str, filter: &str) -> bool {
    filter.split_whitespace().all(|word| has(text, word))
}

/// A feature that carried less of an incident is neither named nor found: its share would read as 0 %.
pub const LEAST_SHARE: f64 = 0.005;

/// What a filter of the log looks at: number, entity, the features that carried it, state, label, whether somebody has seen it.
fn words(incident: &Incident) -> String {
    let label = incident.label.map_or("", Label::word);
    let seen = if incident.acknowledged {
        "acknowledged"
    } else {
        "new"
    };
    let mut text = format!(
        "#{} {} {} {label} {seen}",
        incident.id,
        incident.entity,
        incident.state.word()
    );
    let carried = incident.features.iter();
    for part in carried.filter(|part| part.share >= LEAST_SHARE) {
        text.push(' ');
        text.push_str(&part.feature);
    }
    text
}

/// The parts of an incident whose deviation at the peak counts, the largest first; all where it is not known that any does.
#[must_use]
pub fn counted<'a>(entity: Option<&EntityView>, incident: &'a Incident) -> Vec<&'a Contribution> {
    let all = || incident.features.iter();
    let counted: Vec<&Contribution> = all()
        .filter(|part| counts(entity, incident, part))
        .collect();
    if counted.is_empty() {
        all().collect()
    } else {
        counted
    }
}

/// Whether the deviation of a part of an incident counts: by the verdict on its peak while that is kept, else by the
/// direction alone.
#[must_use]
pub fn counts(entity: Option<&EntityView>, incident: &Incident, part: &Contribution) -> bool {
    let Some(entity) = entity else { return true };
    let mut features = entity.features.iter();
    let Some(column) = features.position(|f| f.feature.name == part.feature) else {
        return true;
    };
    let kept = entity
        .recent
        .binary_search_by(|v| v.time.cmp(&incident.peak));
    if let Some(verdict) = kept.ok().and_then(|at| entity.recent.get(at)) {
        return !verdict.excused.contains(&column);
    }
    let direction = entity.features.get(column).map(|f| f.feature.direction);
    match direction {
        Some(Direction::Above) => part.value > part.expected,
        Some(Direction::Below) => part.value < part.expected,
        _ => true,
    }
}

/// How far a feature is from what is expected, in half widths of its band; `None` when one of them is unknown.
#[must_use]
pub fn deviation(verdict: Option<&Verdict>, column: usize) -> Option<f64> {
    let part = verdict?.features.get(column)?;
    let half = (part.upper - part.lower) / 2.0;
    let away = (part.value - part.expected).abs() / half;
    (half > 0.0 && away.is_finite()).then_some(away)
}

impl UiState {
    /// The incidents that the filter of the log lets through, in its order.
    #[must_use]
    pub fn listed<'a>(&self, pipeline: &'a PipelineView) -> Vec<&'a Incident> {
        let filter = &self.filters.log;
        let all = pipeline.incidents.iter();
        let mut listed: Vec<&Incident> = all
            .filter(|incident| filter.is_empty() || all_in(&words(incident), filter))
            .collect();
        match self.log {
            LogOrder::Newest => {}
            LogOrder::Longest => listed.sort_by_key(|i| (!i.is_open(), Reverse(i.duration()))),
            LogOrder::Highest => listed.sort_by(|a, b| {
                let open = b.is_open().cmp(&a.is_open());
                open.then(b.peak_score.total_cmp(&a.peak_score))
            }),
            LogOrder::Entity => listed.sort_by(|a, b| {
                let open = b.is_open().cmp(&a.is_open());
                open.then(a.entity.name().cmp(b.entity.name()))
            }),
        }
        if self.reversed.log {
            listed.reverse();
        }
        listed
    }

    /// Position of the selected incident among [`Self::incidents`]; the first when it is not among them.
    #[must_use]
    pub fn incident_index(&self, pipeline: &PipelineView) -> usize {
        self.place_in(&self.incidents(pipeline))
    }

    /// The same among those that are at hand.
    #[must_use]
    pub fn place_in(&self, listed: &[&Incident]) -> usize {
        let wanted = self.incident.as_ref();
        let at = listed.iter().position(|i| wanted == Some(&key_of(i)));
        at.unwrap_or(0)
    }

    /// The selected incident, or the first that the log shows; `None` when it shows none.
    #[must_use]
    pub fn chosen_incident<'a>(&self, pipeline: &'a PipelineView) -> Option<&'a Incident> {
        let listed = self.incidents(pipeline);
        listed.get(self.place_in(&listed)).copied()
    }

    /// Columns of the entity's features that the filter lets through, in the order of the error table. What is unknown
    /// comes last.
    #[must_use]
    pub fn error_order(&self, entity: &EntityView) -> Vec<usize> {
        let filter = &self.filters.panes;
        let mut order: Vec<usize> = (0..)
            .zip(&entity.features)
            .filter(|(_, f)| has(&f.feature.name, filter))
            .map(|(column, _)| column)
            .collect();
        let name = |i: usize| entity.features.get(i).map(|f| &*f.feature.name);
        let reversed = self.reversed.errors;
        if self.errors == ErrorOrder::Name {
            order.sort_by_key(|i| name(*i));
            if reversed {
                order.reverse();
            }
            return order;
        }
        let latest = entity.latest.as_deref();
        let size = |i: usize| match self.errors {
            ErrorOrder::Error => entity.features.get(i).and_then(|f| f.mse),
            ErrorOrder::Deviation => deviation(latest, i),
            ErrorOrder::Share | ErrorOrder::Name => entity.features.get(i).and_then(|f| f.share),
        };
        let known = |i: usize| size(i).filter(|v| !v.is_nan());
        order.sort_by(|a, b| {
            let by_size = match (known(*a), known(*b)) {
                (Some(a), Some(b)) if reversed => a.total_cmp(&b),
                (Some(a), Some(b)) => b.total_cmp(&a),
                (a, b) => b.is_some().cmp(&a.is_some()),
            };
            by_size.then_with(|| name(*a).cmp(&name(*b)))
        });
        order
    }

    /// The entities that the panel shows, in its order, with how they stand.
    #[must_use]
    pub fn entities<'a>(&self, pipeline: &'a PipelineView) -> Vec<(&'a EntityView, Standing)> {
        let filter = &self.filters.entities;
        let all = pipeline.entities.iter().map(AsRef::as_ref);
        let mut listed: Vec<(&EntityView, Standing)> = all
            .filter(|view| all_in(&view.entity.to_string(), filter))
            .map(|view| (view, Standing::of(view)))
            .collect();
        // Stable, so that equals stay by name; what can't be compared stays last.
        let reversed = self.reversed.entities;
        let towards = |order: Ordering| if reversed { order.reverse() } else { order };
        match self.entity_order {
            EntityOrder::Worst => listed.sort_by(|(_, a), (_, b)| {
                let (a, b) = (a.badness(), b.badness());
                if a.0 == 0 || b.0 == 0 {
                    return b.0.cmp(&a.0);
                }
                towards(b.0.cmp(&a.0).then(b.1.total_cmp(&a.1)))
            }),
            EntityOrder::Name if reversed => listed.reverse(),
            EntityOrder::Name => {}
            EntityOrder::Open => {
                let open = |view: &EntityView| {
                    let incident = pipeline.open_incidents.get(&view.entity);
                    incident.map(|incident| incident.duration())
                };
                listed.sort_by(|(a, _), (b, _)| match (open(a), open(b)) {
                    (Some(a), Some(b)) => towards(b.cmp(&a)),
                    (a, b) => b.is_some().cmp(&a.is_some()),
                });
            }
        }
        listed
    }

    /// Position of the entity that is pointed at among `listed`: the shown one before the arrows moved, the first when it
    /// is not listed.
    #[must_use]
    pub fn pointed_index(
        &self,
        pipeline: &PipelineView,
        listed: &[(&EntityView, Standing)],
    ) -> usize {
        let shown = pipeline.entities.get(self.entity_index(pipeline));
        let wanted = self.pointed.as_ref().or(shown.map(|view| &view.entity));
        let at = listed
            .iter()
            .position(|(view, _)| Some(&view.entity) == wanted);
        at.unwrap_or(0)
    }

    /// Position of the model that is pointed at among the pipeline's.
    #[must_use]
    pub fn model_index(&self, pipeline: &PipelineView) -> usize {
        let mut versions = pipeline.models.iter().map(|entry| &entry.model.version);
        let at = versions.position(|version| Some(version) == self.model.as_ref());
        at.unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Entity, IncidentState, Time, Why};

    #[test]
    fn every_word_of_a_filter_must_be_there() {
        assert!(all_in("#41 web-1 closed real new memory", "MEM real"));
        assert!(!all_in("#41 web-1 closed real new memory", "memory false"));
        assert!(all_in("anything", "  "));
    }

    #[test]
    fn an_incident_is_found_by_the_features_that_carried_it() {
        let part = |feature: &str, share| Contribution {
            feature: feature.into(),
            share,
            value: 1.0,
            expected: 2.0,
            lower: f64::NAN,
            upper: f64::NAN,
        };
        let time = Time::from_secs(0);
        let incident = Incident {
            id: 41,
            entity: Entity::named("web-1"),
            start: time,
            end: time,
            peak: time,
            peak_score: 2.0,
            peak_alarm: None,
            state: IncidentState::Closed,
            features: vec![part("memory", 0.99), part("temperature", 0.004)],
            why: Why::default(),
            acknowledged: false,
            label: None,
        };
        assert_eq!(words(&incident), "#41 web-1 closed  new memory");
    }

    #[test]
    fn the_last_page_is_full() {
        assert_eq!(page_start(5, 32, 66), 0);
        assert_eq!(page_start(33, 32, 66), 32);
        assert_eq!(page_start(40, 32, 66), 34);
        assert_eq!(page_start(65, 32, 66), 34);
        assert_eq!(page_start(3, 32, 8), 0);
        assert_eq!(page_start(3, 0, 8), 3);
    }

    #[test]
    fn orders_come_round() {
        let mut log = LogOrder::default();
        let mut entities = EntityOrder::default();
        let mut errors = ErrorOrder::default();
        for order in LogOrder::ALL {
            assert_eq!(log, order);
            log = log.next();
        }
        for order in EntityOrder::ALL {
            assert_eq!(entities, order);
            entities = entities.next();
        }
        for order in ErrorOrder::ALL {
            assert_eq!(errors, order);
            errors = errors.next();
        }
        assert_eq!(
            (log, entities, errors),
            (
                LogOrder::default(),
                EntityOrder::default(),
                ErrorOrder::default()
            )
        );
    }

    #[test]
    fn what_is_unknown_is_never_the_worst() {
        let unknown = Standing::Missing.badness();
        assert!(unknown < Standing::Normal(0.0).badness());
        assert!(Standing::Normal(0.9).badness() < Standing::Over(1.1).badness());
        assert!(Standing::Over(9.0).badness() < Standing::Anomalous(1.1).badness());
    }
}
