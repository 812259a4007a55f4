//! Which rows are known not to be normal, or known to be.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::config::Config;
use crate::domain::{Entity, Incident, Label, Time};
use crate::engine::judging::maintenance;

/// Whether a time is one that is not learned from; for recurring times.
pub type Recurring = Arc<dyn Fn(&Entity, Time) -> bool + Send + Sync>;

/// Why a row is known not to be normal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// `[history] exclude`.
    Excluded,
    /// An incident that was called real.
    Labelled,
    /// A maintenance window, or another time that comes again.
    Maintenance,
}

/// From and to, both included.
pub(super) type Stretch = (Time, Time);

/// Which rows training leaves out, and which it must not. Grows with the incidents it is told of, which the journal bounds.
#[derive(Clone, Default)]
pub struct LeftOut {
    everyone: Vec<Stretch>,
    own: BTreeMap<Entity, Vec<Stretch>>,
    normal: BTreeMap<Entity, Vec<Stretch>>,
    recurring: Vec<Recurring>,
    /// Incidents with a label, by their number.
    labelled: BTreeSet<u64>,
}

impl fmt::Debug for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LeftOut")
            .field("everyone", &self.everyone)
            .field("own", &self.own)
            .field("normal", &self.normal)
            .field("recurring", &self.recurring.len())
            .field("labelled", &self.labelled.len())
            .finish()
    }
}

impl LeftOut {
    /// What the configuration says: `[history] exclude`, and the maintenance windows that hold for all of an entity's
    /// queries. (Where these can't be told, the pipeline says so.)
    #[must_use]
    pub fn of(config: &Config) -> Self {
        let millis = |at: jiff::Timestamp| Time::from_millis(at.as_millisecond());
        let exclude = config.history.exclude.iter();
        let out = Self {
            everyone: exclude.map(|p| (millis(p.start), millis(p.end))).collect(),
            ..Self::default()
        };
        match maintenance(config) {
            Ok(windows) if !windows.is_empty() => {
                out.and_recurring(Arc::new(move |entity: &Entity, time| {
                    windows.is_maintenance(time, entity, None)
                }))
            }
            _ => out,
        }
    }

    /// And what operators said: real incidents are left out, with `around` to both sides (half a window: where an error
    /// was first seen is not where its cause began); false ones stay in, however far they stick out.
    #[must_use]
    pub fn and_incidents(mut self, incidents: &[Incident], around: Duration) -> Self {
        for incident in incidents {
            let list = match incident.label {
                Some(Label::Real) => &mut self.own,
                Some(Label::False) => &mut self.normal,
                None => continue,
            };
            self.labelled.insert(incident.id);
            list.entry(incident.entity.clone())
                .or_default()
                .push((incident.start - around, incident.end + around));
        }
        self
    }

    /// And times that come again, such as maintenance windows.
    #[must_use]
    pub fn and_recurring(mut self, recurring: Recurring) -> Self {
        self.recurring.push(recurring);
        self
    }

    /// Whether an incident's label, or that it has none any more, may change what is left out.
    #[must_use]
    pub fn concerns(&self, incident: &Incident) -> bool {
        incident.label.is_some() || self.labelled.contains(&incident.id)
    }

    /// Whether a row is left out.
    #[must_use]
    pub fn has(&self, entity: &Entity, time: Time) -> bool {
        self.known(entity, time).is_some()
    }

    /// Why a row is left out; `None` for one that is learned from.
    pub(super) fn known(&self, entity: &Entity, time: Time) -> Option<Known> {
        if within(&self.everyone, time) {
            Some(Known::Excluded)
        } else if self.own.get(entity).is_some_and(|own| within(own, time)) {
            Some(Known::Labelled)
        } else {
            let recurs = self.recurring.iter().any(|recurs| recurs(entity, time));
            recurs.then_some(Known::Maintenance)
        }
    }

    /// Whether an operator called what was found there a false alarm.
    #[must_use]
    pub fn is_normal(&self, entity: &Entity, time: Time) -> bool {
        self.normal.get(entity).is_some_and(|own| within(own, time))
    }
}

pub(super) fn within(stretches: &[Stretch], time: Time) -> bool {
    stretches
        .iter()
        .any(|(from, to)| (*from..=*to).contains(&time))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Maintenance, WindowEnd};

    #[test]
    fn maintenance_windows_are_left_out_of_whom_they_are_for() {
        let moment = |secs| WindowEnd::Moment(jiff::Timestamp::from_second(secs).unwrap());
        let mut config = Config::default();
        config.detect.maintenance = vec![Maintenance {
            name: "move".into(),
            days: Vec::new(),
            start: moment(10),
            end: moment(20),
            timezone: None,
            queries: Vec::new(),
            entities: vec!["db-*".into()],
        }];
        let out = LeftOut::of(&config);
        let has = |entity, secs| out.has(&Entity::named(entity), Time::from_secs(secs));
        assert!(has("db-1", 10) && has("db-1", 19) && !has("db-1", 21));
        assert!(!has("web", 15));
        config.detect.maintenance[0].queries = vec!["cpu".into()];
        assert!(!LeftOut::of(&config).has(&Entity::named("db-1"), Time::from_secs(15)));
    }
}
