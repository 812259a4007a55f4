//! Incidents of many entities that began together: one line of the log, until it is unfolded.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::domain::{Entity, Incident, PipelineView, Time};

use super::state::{UiState, key_of};

/// Incidents that begin within this time, or within a step where that is longer, began together.
const TOGETHER: Duration = Duration::from_mins(3);
/// Fewer entities are no group.
const FEWEST: usize = 6;

/// Incidents that began together.
#[derive(Clone, Debug)]
pub struct Group<'a> {
    /// The earliest start: what the group is known by.
    pub start: Time,
    /// The incidents, in the order in which they are listed.
    pub members: Vec<&'a Incident>,
    /// How many entities they are of.
    pub entities: usize,
}

impl<'a> Group<'a> {
    /// The one that stands for all: an open one before one that is over, then the highest.
    #[must_use]
    pub fn lead(&self) -> Option<&'a Incident> {
        let members = self.members.iter().rev().copied();
        members.max_by(|a, b| {
            let open = a.is_open().cmp(&b.is_open());
            open.then(a.peak_score.total_cmp(&b.peak_score))
        })
    }

    /// The longest of them.
    #[must_use]
    pub fn longest(&self) -> Duration {
        let lengths = self.members.iter().map(|incident| incident.duration());
        lengths.max().unwrap_or_default()
    }

    /// From the first to the last start.
    #[must_use]
    pub fn spread(&self) -> Duration {
        let starts = self.members.iter().map(|incident| incident.start);
        starts
            .max()
            .map_or(Duration::ZERO, |last| last.since(self.start))
    }

    /// Each first feature with the number of incidents that it drove, the most frequent first.
    #[must_use]
    pub fn drivers(&self) -> Vec<(&'a str, usize)> {
        let mut counted: Vec<(&str, usize)> = Vec::new();
        for part in self.members.iter().filter_map(|i| i.features.first()) {
            match counted.iter_mut().find(|(name, _)| *name == &*part.feature) {
                Some((_, count)) => *count += 1,
                None => counted.push((&part.feature, 1)),
            }
        }
        counted.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
        counted
    }

    /// Whether an incident is one of them.
    #[must_use]
    pub fn holds(&self, incident: &Incident) -> bool {
        let mut members = self.members.iter();
        members.any(|member| member.start == incident.start && member.entity == incident.entity)
    }
}

/// The groups among `listed`, the latest first.
fn groups<'a>(listed: &[&'a Incident], step: Duration) -> Vec<Group<'a>> {
    let within = TOGETHER.max(step);
    let mut starts: Vec<Time> = listed.iter().map(|incident| incident.start).collect();
    starts.sort_unstable();
    let mut found = Vec::new();
    let mut next = None;
    for start in starts {
        if next.is_some_and(|next| start <= next) {
            continue;
        }
        let until = start + within;
        let began = |incident: &&&Incident| (start..=until).contains(&incident.start);
        let members: Vec<&Incident> = listed.iter().filter(began).copied().collect();
        let entities: BTreeSet<&Entity> = members.iter().map(|i| &i.entity).collect();
        if entities.len() >= FEWEST {
            next = Some(until);
            found.push(Group {
                start,
                entities: entities.len(),
                members,
            });
        }
    }
    found.reverse();
    found
}

impl UiState {
    /// The groups among the incidents that the log lists.
    #[must_use]
    pub fn groups<'a>(&self, pipeline: &'a PipelineView) -> Vec<Group<'a>> {
        groups(&self.listed(pipeline), pipeline.step)
    }

    /// The group that an incident belongs to, and whether it is folded.
    #[must_use]
    pub fn group_of<'a>(
        &self,
        pipeline: &'a PipelineView,
        incident: &Incident,
    ) -> Option<(Group<'a>, bool)> {
        let mut groups = self.groups(pipeline).into_iter();
        let group = groups.find(|group| group.holds(incident))?;
        let folded = !self.unfolded.contains(&group.start);
        Some((group, folded))
    }

    /// The incidents that are lines of the log: of a folded group only one, the selected one or that which stands for all.
    #[must_use]
    pub fn incidents<'a>(&self, pipeline: &'a PipelineView) -> Vec<&'a Incident> {
        let listed = self.listed(pipeline);
        let mut groups = groups(&listed, pipeline.step);
        groups.retain(|group| !self.unfolded.contains(&group.start));
        if groups.is_empty() {
            return listed;
        }
        let mut lines = Vec::new();
        let mut shown = BTreeSet::new();
        for incident in listed {
            match groups.iter().find(|group| group.holds(incident)) {
                None => lines.push(incident),
                Some(group) if shown.insert(group.start) => {
                    let mut members = group.members.iter().copied();
                    let chosen = members.find(|i| self.incident.as_ref() == Some(&key_of(i)));
                    lines.extend(chosen.or_else(|| group.lead()));
                }
                Some(_) => {}
            }
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{IncidentState, Why};

    fn incident(entity: usize, start: i64) -> Incident {
        let time = Time::from_secs(start);
        Incident {
            id: 1,
            entity: Entity::named(&format!("host-{entity}")),
            start: time,
            end: time + Duration::from_secs(60),
            peak: time,
            peak_score: 1.0 + entity as f64,
            peak_alarm: None,
            state: IncidentState::Closed,
            features: Vec::new(),
            why: Why::default(),
            acknowledged: false,
            label: None,
        }
    }

    fn found(incidents: &[Incident], step: u64) -> Vec<(i64, usize)> {
        let listed: Vec<&Incident> = incidents.iter().collect();
        let groups = groups(&listed, Duration::from_secs(step));
        let told = groups
            .iter()
            .map(|g| (g.start.millis() / 1000, g.members.len()));
        told.collect()
    }

    #[test]
    fn many_entities_that_begin_together_are_a_group() {
        let mut all: Vec<Incident> = (0..31)
            .map(|i| incident(i, 1000 + i64::try_from(i % 3).unwrap() * 60))
            .collect();
        all.push(incident(3, 9000));
        assert_eq!(found(&all, 60), [(1000, 31)]);
        // Five are none, nor are many of one entity.
        assert_eq!(found(&all[..5], 60), []);
        let same: Vec<Incident> = (0..20).map(|i| incident(1, 1000 + i)).collect();
        assert_eq!(found(&same, 60), []);
        // Two storms, the later one first.
        all.extend((0..6).map(|i| incident(i, 5000)));
        assert_eq!(found(&all, 60), [(5000, 6), (1000, 31)]);
        // On a coarse grid, neighbouring rows are together.
        let coarse: Vec<Incident> = (0..8)
            .map(|i| incident(i, i64::try_from(i % 2).unwrap() * 300))
            .collect();
        assert_eq!(found(&coarse, 60), []);
        assert_eq!(found(&coarse, 300), [(0, 8)]);
    }

    #[test]
    fn the_highest_open_one_stands_for_all() {
        let mut all: Vec<Incident> = (0..6).map(|i| incident(i, 0)).collect();
        all[2].state = IncidentState::Open;
        let listed: Vec<&Incident> = all.iter().collect();
        let found = groups(&listed, TOGETHER);
        assert_eq!(found[0].lead().unwrap().entity, Entity::named("host-2"));
        assert_eq!(found[0].longest(), Duration::from_secs(60));
        assert!(found[0].holds(&all[5]) && !found[0].holds(&incident(7, 0)));
    }
}
