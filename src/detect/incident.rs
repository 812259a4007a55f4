//! One entity's verdicts become incidents.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::gates::JudgeRules;
use super::judge::MIN_DURATION;
use crate::domain::{
    Contribution, Entity, Incident, IncidentState, Label, OTHERS, RowState, Time, Verdict, Why,
};

/// Features kept with an incident by name.
const FEATURES: usize = 10;

/// What a verdict changed.
#[derive(Clone, Debug, PartialEq)]
pub enum IncidentChange {
    /// A new one; its id is 0 until [`Tracker::assign`].
    Opened(Incident),
    /// It goes on: end, peak or features moved.
    Updated(Incident),
    /// It is over, its entity has vanished, or it settled.
    Closed(Incident),
}

impl IncidentChange {
    /// The incident as it is now.
    #[must_use]
    pub const fn incident(&self) -> &Incident {
        match self {
            Self::Opened(incident) | Self::Updated(incident) | Self::Closed(incident) => incident,
        }
    }
}

/// An incident, open or about to be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Current {
    incident: Incident,
    /// The last row that was not quiet.
    loud: Time,
}

/// Follows the incidents of one entity. Pure: time comes with the verdicts. Its state is at most three incidents, kept in
/// the checkpoint, so that a restart goes on with the same one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tracker {
    entity: Entity,
    latest: Option<Time>,
    open: Option<Current>,
    /// Candidates that only lack duration.
    pending: Option<Current>,
    /// One that is over, until its cooldown is over too: the next one may touch it.
    #[serde(default)]
    last: Option<Current>,
}

impl Tracker {
    /// A tracker without an incident.
    #[must_use]
    pub const fn new(entity: Entity) -> Self {
        Self {
            entity,
            latest: None,
            open: None,
            pending: None,
            last: None,
        }
    }

    /// Goes on with an incident that the journal has, when nothing is open: as if its last anomalous row had just been. One
    /// that is over is taken up again by an anomaly within its cooldown. Says whether it was taken.
    pub fn resume(&mut self, incident: Incident) -> bool {
        let free = self.open.is_none() && incident.entity == self.entity;
        if free {
            let current = Current {
                loud: incident.end,
                incident,
            };
            if current.incident.is_open() {
                self.open = Some(current);
            } else if current.incident.state != IncidentState::Settled {
                self.last = Some(current);
            }
        }
        free
    }

    /// The open incident.
    #[must_use]
    pub fn open(&self) -> Option<&Incident> {
        self.open.as_ref().map(|current| &current.incident)
    }

    /// Takes the next verdict. Opens an incident at the first anomalous row (it starts with the first candidate of that
    /// run), moves its end and peak with every further one, and closes it once `cooldown` has passed below `exit`; an
    /// anomaly within the cooldown belongs to the same incident, also when that was closed by a restart or because its
    /// entity had gone. One that is up still after `max_incident` closes as settled: tell the judge
    /// ([`super::judge::Judge::settle`]), or the next row opens another.
    ///
    /// A candidate that a gate other than `min_duration` stopped is quiet: what may not open an incident may not hold one
    /// open. Rows without a score are neither loud nor quiet, but time goes on. A verdict not later than the newest is
    /// ignored. At most two changes come back: one closed, then one opened; or one opened or updated, then that closed.
    pub fn track(&mut self, rules: &JudgeRules, verdict: &Verdict) -> Vec<IncidentChange> {
        if self.latest.is_some_and(|latest| verdict.time <= latest) {
            return Vec::new();
        }
        self.latest = Some(verdict.time);
        let mut changes = Vec::new();
        changes.extend(self.cool_down(rules.cooldown, verdict));
        // What began within the cooldown of the last one may still open.
        let begun = self.pending.as_ref().map(|pending| pending.incident.start);
        let begun = begun.unwrap_or(verdict.time);
        self.last = self
            .last
            .take()
            .filter(|last| begun.since(last.loud) <= rules.cooldown);
        if verdict.state != RowState::Scored {
            return changes;
        }
        let kind = Kind::of(
            verdict,
            rules.exit,
            self.open.is_some() || self.pending.is_some(),
        );
        match kind {
            Kind::Anomaly => changes.push(self.anomaly(rules, verdict)),
            Kind::Waiting => self.wait(rules, verdict),
            Kind::Between => self.hold(verdict.time),
            Kind::Quiet => self.pending = None,
        }
        if kind != Kind::Quiet {
            changes.extend(self.settle(rules, verdict.time));
        }
        changes
    }

    /// Rows after `time` have not been, after all: the clock was wrong. Their verdicts are taken when they come. An open
    /// incident that began in them is closed and returned; one that began before goes on from `time`.
    pub fn rewind(&mut self, time: Time) -> Option<IncidentChange> {
        self.latest = self.latest.map(|latest| latest.min(time));
        self.pending = self.pending.take().filter(|own| own.loud <= time);
        self.last = self.last.take().filter(|own| own.loud <= time);
        let mut open = self.open.take()?;
        if open.incident.start > time {
            open.incident.state = IncidentState::Closed;
            return Some(IncidentChange::Closed(open.incident));
        }
        open.loud = open.loud.min(time);
        open.incident.end = open.incident.end.min(time);
        self.open = Some(open);
        None
    }

    /// Gives the open incident the id that the journal chose. Says whether there was one without an id.
    pub fn assign(&mut self, id: u64) -> bool {
        let open = self.open.as_mut().filter(|open| open.incident.id == 0);
        open.map(|open| open.incident.id = id).is_some()
    }

    /// Marks the open incident as seen, if it is the one with this id; so the next change does not undo it.
    pub fn acknowledge(&mut self, id: u64) -> bool {
        let open = self.open.as_mut().filter(|open| open.incident.id == id);
        open.map(|open| open.incident.acknowledged = true).is_some()
    }

    /// Labels the open incident, if it is the one with this id; so the next change does not undo it.
    pub fn label(&mut self, id: u64, label: Option<Label>) -> bool {
        let open = self.open.as_mut().filter(|open| open.incident.id == id);
        open.map(|open| open.incident.label = label).is_some()
    }

    /// Takes over what operators said of the open incident, if it is this one; so the next change does not undo it.
    pub fn hear(&mut self, said: &Incident) {
        if let Some(open) = self.open.as_mut().filter(|o| o.incident.id == said.id) {
            open.incident.acknowledged = said.acknowledged;
            open.incident.label = said.label;
        }
    }

    /// The entity went away at `now`: what is open closes as vanished, its end where it was last anomalous. Verdicts up to
    /// `now` are ignored from here on.
    pub fn vanish(&mut self, now: Time) -> Option<IncidentChange> {
        self.latest = self.latest.max(Some(now));
        self.pending = None;
        self.close(IncidentState::Vanished)
    }

    fn close(&mut self, state: IncidentState) -> Option<IncidentChange> {
        self.open.take().map(|open| {
            IncidentChange::Closed(Incident {
                state,
                ..open.incident
            })
        })
    }

    /// Closes what has been quiet for long enough when `verdict` comes. An anomaly at the very end of the cooldown is still
    /// the same incident.
    fn cool_down(&mut self, cooldown: Duration, verdict: &Verdict) -> Option<IncidentChange> {
        let open = self.open.as_ref()?;
        let quiet = verdict.time.since(open.loud);
        let over = quiet > cooldown || (quiet == cooldown && !verdict.is_anomaly);
        over.then(|| self.close(IncidentState::Closed)).flatten()
    }

    /// Closes an incident that is up still after `max_incident`.
    fn settle(&mut self, rules: &JudgeRules, now: Time) -> Option<IncidentChange> {
        let open = self.open.as_ref()?;
        let lasted = now.since(open.incident.start);
        let over = !rules.max_incident.is_zero() && lasted >= rules.max_incident;
        over.then(|| self.close(IncidentState::Settled)).flatten()
    }

    fn anomaly(&mut self, rules: &JudgeRules, verdict: &Verdict) -> IncidentChange {
        let earlier = self.take_pending(rules, verdict.time);
        let touched = self.last.take().filter(|_| self.open.is_none());
        let opened = self.open.is_none() && touched.is_none();
        let current = match (self.open.take(), touched, earlier) {
            (Some(open), _, _) => open,
            (None, Some(last), Some(pending)) => last.joined(pending),
            (None, Some(last), None) => last,
            (None, None, Some(pending)) => pending,
            (None, None, None) => self.begin(rules, verdict),
        };
        let mut current = current.extended(rules, verdict);
        current.incident.state = IncidentState::Open;
        if opened {
            current.incident.why.opening.clone_from(&verdict.gates);
        }
        let incident = self.open.insert(current).incident.clone();
        if opened {
            IncidentChange::Opened(incident)
        } else {
            IncidentChange::Updated(incident)
        }
    }

    /// A candidate that only lacks duration: it holds an open incident, or becomes the start of the next one.
    fn wait(&mut self, rules: &JudgeRules, verdict: &Verdict) {
        self.hold(verdict.time);
        if self.open.is_none() {
            let current = match self.take_pending(rules, verdict.time) {
                Some(pending) => pending,
                None => self.begin(rules, verdict),
            };
            self.pending = Some(current.extended(rules, verdict));
        }
    }

    /// Loud at `time`, without a candidate.
    fn hold(&mut self, time: Time) {
        for current in self.open.iter_mut().chain(&mut self.pending) {
            current.loud = time;
        }
    }

    fn take_pending(&mut self, rules: &JudgeRules, time: Time) -> Option<Current> {
        self.pending
            .take()
            .filter(|pending| time.since(pending.loud) <= rules.patience())
    }

    fn begin(&self, rules: &JudgeRules, verdict: &Verdict) -> Current {
        Current {
            incident: Incident {
                id: 0,
                entity: self.entity.clone(),
                start: verdict.time,
                end: verdict.time,
                peak: verdict.time,
                peak_score: verdict.score.unwrap_or(1.0),
                peak_alarm: verdict.alarm,
                state: IncidentState::Open,
                features: contributions(rules, verdict),
                why: Why {
                    opening: verdict.gates.clone(),
                    peak: verdict.gates.clone(),
                },
                acknowledged: false,
                label: None,
            },
            loud: verdict.time,
        }
    }
}

impl Current {
    fn extended(mut self, rules: &JudgeRules, verdict: &Verdict) -> Self {
        self.loud = verdict.time;
        self.incident.end = verdict.time;
        self.incident.peak_alarm = higher(self.incident.peak_alarm, verdict.alarm);
        if let Some(score) = verdict.score.filter(|s| *s > self.incident.peak_score) {
            self.incident.peak = verdict.time;
            self.incident.peak_score = score;
            self.incident.features = contributions(rules, verdict);
            self.incident.why.peak.clone_from(&verdict.gates);
        }
        self
    }

    /// This incident with candidates that followed it.
    fn joined(mut self, later: Self) -> Self {
        self.loud = later.loud;
        self.incident.end = later.incident.end;
        self.incident.peak_alarm = higher(self.incident.peak_alarm, later.incident.peak_alarm);
        if later.incident.peak_score > self.incident.peak_score {
            self.incident.peak = later.incident.peak;
            self.incident.peak_score = later.incident.peak_score;
            self.incident.features = later.incident.features;
            self.incident.why.peak = later.incident.why.peak;
        }
        self
    }
}

/// The higher of two, either of which may be unknown.
fn higher(one: Option<f64>, other: Option<f64>) -> Option<f64> {
    one.into_iter().chain(other).reduce(f64::max)
}

/// How a scored row counts for incidents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Passed every gate.
    Anomaly,
    /// A candidate that only lacks duration.
    Waiting,
    /// No candidate, but not below `exit` either, in a run or an incident.
    Between,
    /// Below `exit`, or stopped by a gate.
    Quiet,
}

impl Kind {
    fn of(verdict: &Verdict, exit: f64, running: bool) -> Self {
        let score = verdict.score.unwrap_or(0.0);
        let stopped = verdict.gates.iter().filter(|gate| !gate.passed);
        if verdict.is_anomaly {
            Self::Anomaly
        } else if score > 1.0 {
            let mut stopped = stopped.map(|gate| gate.name == MIN_DURATION);
            if stopped.all(|lacks_time| lacks_time) {
                Self::Waiting
            } else {
                Self::Quiet
            }
        } else if running && score >= exit {
            Self::Between
        } else {
            Self::Quiet
        }
    }
}

/// The features of a verdict by share, largest first, those without a share left out; at most ten, and what the others
/// carry together.
fn contributions(rules: &JudgeRules, verdict: &Verdict) -> Vec<Contribution> {
    let mut all: Vec<Contribution> = verdict
        .features
        .iter()
        .enumerate()
        .filter(|(_, feature)| feature.share > 0.0)
        .filter_map(|(column, feature)| {
            Some(Contribution {
                feature: rules.name(column)?.clone(),
                share: feature.share,
                value: feature.value,
                expected: feature.expected,
                lower: feature.lower,
                upper: feature.upper,
            })
        })
        .collect();
    all.sort_by(|a, b| b.share.total_cmp(&a.share));
    let others: f64 = all.iter().skip(FEATURES).map(|part| part.share).sum();
    all.truncate(FEATURES);
    if others > 0.0 {
        all.push(Contribution {
            feature: OTHERS.into(),
            share: others,
            value: f64::NAN,
            expected: f64::NAN,
            lower: f64::NAN,
            upper: f64::NAN,
        });
    }
    all
}
