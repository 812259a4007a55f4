//! What operators' labels do to the threshold, and what that would have changed.
//!
//! All is in scores: errors over the calibrated threshold, so that rows of one model can be laid beside rows of the next.
//! Rows of incidents called false join the held-back windows, and the threshold is derived from both by the configured rule.
//! A budget of half an alarm a day may well have room for one that was called false; an operator's word outweighs it, so the
//! threshold also goes over the peak of every such incident that is within reach, and at most a quarter further. Labels raise the threshold at most
//! [`MOST`] times, all of them together, and never lower it: a false alarm higher than that stays an alarm.

use std::collections::BTreeMap;

use super::calibration::{Budget, calibrate};
use super::gates::JudgeRules;
use super::incident::Tracker;
use super::judge::{Judge, Row, Scored};
use crate::config::Threshold;
use crate::domain::{Entity, Incident, IncidentState, KeptScore, Label, LabelEffect, Time};

/// Labels raise the threshold at most so many times.
pub const MOST: f64 = crate::domain::MOST_RAISE;

/// So far over the peak of an incident called false.
const ROOM: f64 = 1.02;

/// A tail that few rows were added to may say much more; it is believed so far over the highest such peak.
const FURTHER: f64 = 1.25;

/// How many times the calibrated threshold is in force (1 to [`MOST`]).
///
/// `held_back`: scores of the model's held-back windows in the order of time; without them only peaks count. `false_rows`:
/// kept rows of each incident called false. A threshold that somebody set as a number is not raised.
#[must_use]
pub fn raise(held_back: &[f64], false_rows: &[Vec<f64>], rule: Threshold, budget: Budget) -> f64 {
    if matches!(rule, Threshold::Fixed(_)) {
        return 1.0;
    }
    let peaks = false_rows
        .iter()
        .map(|rows| rows.iter().copied().fold(0.0, f64::max));
    let within_reach = peaks.filter(|peak| is_within_reach(*peak));
    let over_peaks = within_reach.map(|peak| peak * ROOM).fold(1.0, f64::max);
    let of = |scores: &[f64]| {
        calibrate(scores, rule, budget)
            .ok()
            .map(|c| c.threshold_mse)
    };
    let joined: Vec<f64> = held_back
        .iter()
        .chain(false_rows.iter().flatten())
        .copied()
        .collect();
    let derived = match (of(held_back), of(&joined)) {
        (Some(alone), Some(joined)) if !false_rows.is_empty() && alone > 0.0 => joined / alone,
        _ => 1.0,
    };
    derived.clamp(over_peaks, over_peaks * FURTHER).min(MOST)
}

/// An incident that a replay made.
#[derive(Clone, Debug, PartialEq)]
struct Replayed {
    entity: Entity,
    start: Time,
    end: Time,
}

impl Replayed {
    fn touches(&self, entity: &Entity, start: Time, end: Time) -> bool {
        self.entity == *entity && self.start <= end && start <= self.end
    }
}

/// What changes between `before` and `after` times the calibrated threshold: the kept `rows` (in order of time per entity)
/// go through judge and tracker under both. `rules`: those of the pipeline without its features, for gates that look at one
/// row were asked when it came. `incidents` give the labels.
#[must_use]
pub fn effect(
    rows: &[KeptScore],
    incidents: &[Incident],
    rules: &JudgeRules,
    before: f64,
    after: f64,
) -> LabelEffect {
    let (was, would) = (replay(rows, rules, before), replay(rows, rules, after));
    let in_neither = |own: &Replayed, other: &[Replayed]| {
        !other
            .iter()
            .any(|o| o.touches(&own.entity, own.start, own.end))
    };
    let is_real = |own: &Replayed| {
        let real = incidents.iter().filter(|i| i.label == Some(Label::Real));
        real.into_iter()
            .any(|i| own.touches(&i.entity, i.start, i.end))
    };
    let told = |own: &Replayed| (own.entity.clone(), own.start);
    let gone = || was.iter().filter(|own| in_neither(own, &would));
    LabelEffect {
        raise_before: before,
        raise_after: after,
        replayed: was.len(),
        removed: gone().filter(|own| !is_real(own)).map(told).collect(),
        lost: gone().filter(|own| is_real(own)).map(told).collect(),
        returned: would
            .iter()
            .filter(|own| in_neither(own, &was))
            .map(told)
            .collect(),
        out_of_reach: false,
        height_unknown: false,
    }
}

/// Whether a false alarm of this peak (over the calibrated threshold) is one that labels can raise the threshold over.
#[must_use]
pub fn is_within_reach(peak: f64) -> bool {
    peak * ROOM <= MOST
}

/// The incidents that kept rows make at `raise` times the calibrated threshold. A row that was not kept was quiet.
fn replay(rows: &[KeptScore], rules: &JudgeRules, raise: f64) -> Vec<Replayed> {
    let mut by_entity: BTreeMap<&Entity, Vec<&KeptScore>> = BTreeMap::new();
    for row in rows {
        by_entity.entry(&row.entity).or_default().push(row);
    }
    let mut found: Vec<Replayed> = Vec::new();
    for (entity, rows) in by_entity {
        let (mut judge, mut tracker) = (Judge::new(entity.clone()), Tracker::new(entity.clone()));
        let mut own: Vec<Replayed> = Vec::new();
        let mut next = rows.iter().skip(1).map(|row| row.time);
        for row in &rows {
            let score = if row.passed { row.score / raise } else { 0.0 };
            let quiet = row.time + rules.step;
            let lonely = next.next().is_none_or(|next| next > quiet);
            let after = lonely.then_some((quiet, 0.0));
            for (time, score) in std::iter::once((row.time, score)).chain(after) {
                let scored = Scored {
                    time,
                    score,
                    alarm: f64::NAN,
                    ruling: None,
                    mse: f64::NAN,
                    features: Vec::new(),
                    usual: [].into(),
                    own: None,
                };
                let verdict = judge.judge(rules, Row::Scored(scored));
                for change in tracker.track(rules, &verdict) {
                    let incident = change.incident();
                    if incident.state == IncidentState::Settled {
                        judge.settle(incident);
                    }
                    match own.last_mut().filter(|last| last.start == incident.start) {
                        Some(last) => last.end = incident.end,
                        None => own.push(Replayed {
                            entity: entity.clone(),
                            start: incident.start,
                            end: incident.end,
                        }),
                    }
                }
            }
        }
        found.extend(own);
    }
    found
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::config::{BudgetScope, DetectConfig};
    use crate::domain::Why;

    fn budget() -> Budget {
        Budget {
            windows_per_day: 1440.0,
            entities: 1,
            per_day: 0.5,
            scope: BudgetScope::Installation,
        }
    }

    fn rows(start: i64, scores: &[f64]) -> Vec<KeptScore> {
        let minutes = (start..).zip(scores);
        minutes
            .map(|(minute, score)| KeptScore {
                entity: Entity::sole(),
                time: Time::from_secs(minute * 60),
                score: *score,
                passed: true,
            })
            .collect()
    }

    fn incident(start: i64, label: Option<Label>) -> Incident {
        Incident {
            id: 1,
            entity: Entity::sole(),
            start: Time::from_secs(start * 60),
            end: Time::from_secs((start + 2) * 60),
            peak: Time::from_secs(start * 60),
            peak_score: 2.0,
            peak_alarm: None,
            state: IncidentState::Closed,
            features: Vec::new(),
            why: Why::default(),
            acknowledged: false,
            label,
        }
    }

    fn rules() -> JudgeRules {
        let detect = DetectConfig::default();
        JudgeRules::new(
            &detect,
            &BTreeMap::new(),
            &Arc::from([]),
            Duration::from_mins(1),
        )
    }

    #[test]
    fn a_false_alarm_raises_the_threshold_over_its_peak_and_no_further_than_the_bound() {
        let held_back: Vec<f64> = (0..500).map(|n| 0.2 + f64::from(n % 97) / 200.0).collect();
        let of = |rows: &[Vec<f64>]| raise(&held_back, rows, Threshold::Auto, budget());
        assert_eq!(of(&[]), 1.0);
        let raised = of(&[vec![1.1, 1.6, 1.3]]);
        assert!((1.6..=MOST).contains(&raised), "{raised}");
        assert!(of(&[vec![1.1, 1.6], vec![2.0]]) >= raised);
        assert!(of(&[vec![900.0; 30]]) <= MOST);
        assert_eq!(
            raise(&held_back, &[vec![1.6]], Threshold::Fixed(0.1), budget()),
            1.0
        );
        // A model of an older release has no held-back errors: peaks still count.
        assert!((raise(&[], &[vec![1.5]], Threshold::Auto, budget()) - 1.53).abs() < 1e-9);
    }

    #[test]
    fn a_replay_says_what_would_have_gone_and_what_would_be_lost() {
        let kept = [
            rows(100, &[0.95, 1.2, 1.4, 0.95]),
            rows(300, &[1.3]),
            rows(500, &[1.5, 1.6]),
            rows(700, &[4.0, 3.0]),
        ]
        .concat();
        let incidents = [incident(100, None), incident(500, Some(Label::Real))];
        let effect = effect(&kept, &incidents, &rules(), 1.0, 2.0);
        assert_eq!(
            (effect.replayed, effect.removed.len(), effect.lost.len()),
            (4, 2, 1)
        );
        assert_eq!(effect.removed[0].1, Time::from_secs(101 * 60));
        assert!(
            effect
                .told()
                .starts_with("Replaying stored data: 2 of 4 incidents would go, 1 real one lost."),
            "{}",
            effect.told()
        );
        let back = super::effect(&kept, &incidents, &rules(), 2.0, 1.0);
        assert_eq!(
            (back.replayed, back.removed.len(), back.returned.len()),
            (1, 0, 3)
        );
    }

    #[test]
    fn rows_that_a_gate_stopped_make_no_incident() {
        let mut kept = rows(100, &[5.0, 5.0]);
        for row in &mut kept {
            row.passed = false;
        }
        assert_eq!(effect(&kept, &[], &rules(), 1.0, 1.0).replayed, 0);
    }
}
