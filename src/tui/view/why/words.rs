//! The explanation in words: what was found, of what it is made, which rule decided, what to do.

use std::time::Duration;

use crate::domain::{
    Gate, Incident, Label, PipelineView, Provisional, RowState, Snapshot, StaleReason, Time,
    Verdict,
};
use crate::tui::action::Intent;
use crate::tui::state::{Mode, UiState};
use crate::tui::text::{number, percent, span};

use super::super::log::lasting;
use super::glossary;
use super::line::{Line, Look};
use super::subject::{Part, Place, Subject, features};
use super::table::table;

const A_DAY: Duration = Duration::from_hours(24);

/// The explanation for a box of `room` columns; lines may be longer, but for those of tables.
pub fn lines(state: &UiState, snapshot: &Snapshot, room: u16) -> Vec<Line> {
    let Some(pipeline) = state.pipeline(snapshot) else {
        return vec![Line::of(Look::Strong, "Nothing is judged yet.")];
    };
    let subject = Subject::of(state, snapshot);
    let newest = pipeline.entities.first().and_then(|e| e.grid.last());
    let words = Words {
        state,
        pipeline,
        reason: state.freshness(snapshot, pipeline).reason(),
        parts: features(&subject, pipeline),
        newest: newest.unwrap_or(state.now),
        room,
    };
    match subject {
        Subject::Incident(incident) => words.incident(incident),
        Subject::Row(verdict, incident) => words.row(verdict, incident),
        Subject::Forgotten(time, kept) => words.forgotten(time, kept),
        Subject::Unjudged(time) => words.no_row(
            time,
            "○ Nothing was judged at this moment.",
            "There is no row of it: the source gave none, or nobody looked.",
        ),
        Subject::Ahead(time) => words.no_row(
            time,
            "○ This has not happened yet.",
            "What is drawn there is a forecast; only what has been observed is judged.",
        ),
        Subject::Nothing => words.nothing(),
    }
}

/// The gate that keeps a row from being an anomaly.
fn stopping(gates: &[Gate]) -> Option<&Gate> {
    gates.iter().find(|gate| !gate.passed)
}

fn heading(words: &str) -> [Line; 2] {
    [Line::blank(), Line::of(Look::Strong, words)]
}

/// A figure with its name.
fn fact(name: &str, words: String) -> Line {
    Line::of(Look::Dim, format!("{name:<8}"))
        .and(Look::Text, words)
        .hanging(8)
}

/// What the last rows alone say, without a model.
fn so_far(provisional: &Provisional) -> Vec<Line> {
    let score = number(provisional.score);
    let confidence = percent(provisional.confidence);
    vec![
        fact(
            "score",
            format!("{score}, provisional (confidence {confidence})"),
        ),
        Line::of(
            Look::Dim,
            "Seen from the last rows alone, without a model: for the eye, it never raises an alarm.",
        ),
    ]
}

/// Every gate that was asked, with what it asks; the one that stopped the row is marked.
fn gates(title: &str, gates: &[Gate]) -> Vec<Line> {
    if gates.is_empty() {
        return Vec::new();
    }
    let mut lines = heading(title).to_vec();
    let candidate = gates.first().is_some_and(|gate| gate.passed);
    let first = stopping(gates).filter(|_| candidate);
    for gate in gates {
        let (sign, look) = match (gate.passed, candidate) {
            (true, _) => ("✓", Look::Good),
            (false, true) => ("✗", Look::Warn),
            (false, false) => ("✗", Look::Text),
        };
        let mut line = Line::of(look, format!("{sign} {}", gate.name)).hanging(2);
        if first.is_some_and(|first| first.name == gate.name) {
            line = line.and(Look::Warn, " ← stopped here");
        }
        if let Some(entry) = glossary::of(gate) {
            line = line.and(Look::Dim, format!("  {}", entry.asks));
        }
        lines.push(line);
        lines.push(Line::of(Look::Text, gate.detail.clone()).indented(2));
    }
    lines
}

struct Words<'a> {
    state: &'a UiState,
    pipeline: &'a PipelineView,
    /// Why nothing new is judged.
    reason: Option<StaleReason<'a>>,
    /// The largest first.
    parts: Vec<Part>,
    /// The newest row: recordings live in their own time.
    newest: Time,
    room: u16,
}

impl Words<'_> {
    fn incident(&self, incident: &Incident) -> Vec<Line> {
        let mut lines = vec![Line::of(
            Look::Bad,
            format!("● Anomaly: {}.", self.culprit()),
        )];
        lines.push(Line::blank());
        lines.extend(self.life(incident));
        lines.push(fact(
            "peak",
            format!(
                "{} at {}, the threshold is 1",
                number(incident.peak_score),
                self.at(incident.peak)
            ),
        ));
        lines.extend(self.features("What drove the score at its peak"));
        lines.extend(self.now(incident));
        let (opening, peak) = (&incident.why.opening, &incident.why.peak);
        lines.extend(gates("What it passed when it opened", opening));
        if opening.iter().map(outcome).ne(peak.iter().map(outcome)) {
            lines.extend(gates("What its highest row passed", peak));
        }
        lines.extend(heading("What to do"));
        lines.extend(self.orders(incident));
        lines
    }

    fn row(&self, verdict: &Verdict, incident: Option<&Incident>) -> Vec<Line> {
        let mut lines = vec![self.verdict(verdict), Line::blank()];
        let newest = verdict.time == self.newest;
        let note = if newest { ", the newest row" } else { "" };
        lines.push(fact("row", format!("{}{note}", self.at(verdict.time))));
        if let Some(incident) = incident {
            lines.extend(self.life(incident));
        } else if self.pipeline.grouped {
            lines.push(fact("entity", verdict.entity.to_string()));
        }
        if let Some(score) = verdict.score {
            let words = format!("{}, the threshold is 1", number(score));
            lines.push(fact("score", words));
        }
        if let Some(provisional) = &verdict.provisional {
            lines.extend(so_far(provisional));
        }
        lines.extend(self.features("What drives the score"));
        lines.extend(gates("What an alarm has to pass", &verdict.gates));
        lines.extend(heading("What to do"));
        lines.extend(match incident {
            Some(incident) => self.orders(incident),
            None => self.advice(verdict),
        });
        lines
    }

    /// The verdict on a row in one sentence.
    fn verdict(&self, verdict: &Verdict) -> Line {
        let unscored = |words: &str| Line::of(Look::Warn, format!("○ Not judged: {words}."));
        match verdict.state {
            RowState::WarmingUp => {
                unscored("there is no model yet, or not enough rows before this one")
            }
            RowState::Stale => unscored("too much of its window is missing to tell"),
            RowState::Missing => unscored("the source has no sample of this time"),
            RowState::Scored if verdict.is_anomaly => {
                Line::of(Look::Bad, format!("● Anomaly: {}.", self.culprit()))
            }
            RowState::Scored if verdict.score.is_some_and(|score| score > 1.0) => {
                let why = glossary::stopped(&verdict.gates).unwrap_or("stopped by a rule");
                let open = self.is_newest_of_open(verdict);
                let (look, words) = if open {
                    let words = format!("● An incident is open; this row alone: {why}. ");
                    (Look::Bad, words)
                } else {
                    (Look::Warn, format!("○ No alarm: {why}. "))
                };
                Line::of(look, words).and(
                    Look::Text,
                    format!("The score is high: {}.", self.culprit()),
                )
            }
            RowState::Scored if self.is_newest_of_open(verdict) => Line::of(
                Look::Bad,
                "● An incident is open; this row alone is normal: the score is under its threshold.",
            ),
            RowState::Scored => Line::of(Look::Good, "✓ Normal: the score is under its threshold."),
        }
    }

    /// Whether a verdict is the newest of an entity whose incident is open.
    fn is_newest_of_open(&self, verdict: &Verdict) -> bool {
        let latest = self.pipeline.entity(&verdict.entity);
        let latest = latest.and_then(|entity| entity.latest.as_ref());
        latest.is_some_and(|latest| latest.time == verdict.time)
            && self.pipeline.open_incidents.contains_key(&verdict.entity)
    }

    /// Who it is about, in one sentence: `latency is far above what is expected, 840 ms instead of 190–230 ms`.
    fn culprit(&self) -> String {
        let Some(first) = self.parts.first() else {
            return "the score is over its threshold".into();
        };
        if !first.counts {
            return "no metric is off far enough, and in a direction that matters".into();
        }
        let name = &first.name;
        let share = percent(first.share);
        match first.place() {
            Place::Missing => format!("{name} is missing"),
            Place::Within | Place::Unknown if first.share.is_finite() => {
                format!(
                    "{name} does not move as it usually does and contributes {share} of the score"
                )
            }
            Place::Within | Place::Unknown => format!("{name} does not move as it usually does"),
            place => format!("{name} is {} what is expected", place.words()),
        }
    }

    fn at(&self, time: Time) -> String {
        format!(
            "{} {}",
            self.state.zone.stamp(time, self.newest),
            self.state.zone.name(time)
        )
    }

    /// Number, entity, times and state of an incident.
    fn life(&self, incident: &Incident) -> Vec<Line> {
        let mut words = vec![incident.state.word().to_owned()];
        words.push(if incident.acknowledged {
            "acknowledged".into()
        } else {
            "not acknowledged".into()
        });
        let label = incident.label.map(Label::told);
        words.extend(label.map(|told| format!("marked as {told}")));
        let number = match incident.id {
            0 => String::new(),
            id => format!("{id}, "),
        };
        let state = format!("{number}{}", words.join(", "));
        let mut lines = vec![fact("anomaly", state)];
        if self.pipeline.grouped {
            lines.push(fact("entity", incident.entity.to_string()));
        }
        let end = if incident.is_open() {
            "now".to_owned()
        } else if incident.duration() < Duration::from_hours(20) {
            self.state.zone.clock(incident.end)
        } else {
            self.at(incident.end)
        };
        let lasting = lasting(incident, self.pipeline.step);
        let words = format!("{lasting}, from {} to {end}", self.at(incident.start));
        lines.push(fact("lasting", words));
        lines
    }

    fn features(&self, title: &str) -> Vec<Line> {
        if self.parts.is_empty() {
            return Vec::new();
        }
        let mut lines = heading(title).to_vec();
        lines.extend(table(&self.parts, self.room));
        lines
    }

    /// What drives the score of the newest row of an incident that is open.
    fn now(&self, incident: &Incident) -> Vec<Line> {
        let entity = self.pipeline.entity(&incident.entity);
        let latest = entity.filter(|_| incident.is_open());
        let Some(verdict) = latest.and_then(|entity| entity.latest.as_deref()) else {
            return Vec::new();
        };
        if verdict.time == incident.peak || verdict.score.is_none() {
            return Vec::new();
        }
        let parts = features(&Subject::Row(verdict, None), self.pipeline);
        let score = number(verdict.score.unwrap_or(f64::NAN));
        let mut lines = heading(&format!("What drives it now (score {score})")).to_vec();
        lines.extend(table(&parts, self.room));
        lines
    }

    fn key(&self, intent: Intent, words: &str) -> Line {
        let key = self.state.keymap.key(intent);
        Line::of(Look::Key, format!("{key:<6}"))
            .and(Look::Text, words)
            .hanging(6)
    }

    /// Whether less than a day was observed of an incident's entity; a season is known when two of its periods were.
    fn is_young(&self, incident: &Incident) -> bool {
        let entity = self.pipeline.entity(&incident.entity);
        let seasons = entity.map_or(&[][..], |entity| &entity.readiness.seasons);
        let day = seasons.iter().find(|(period, _)| *period == A_DAY);
        day.is_some_and(|(_, known)| *known < 0.5)
    }

    /// What can be said on an incident, and what makes fewer of its kind.
    fn orders(&self, incident: &Incident) -> Vec<Line> {
        let mut lines = Vec::new();
        if !self.state.expanded {
            lines.push(self.key(Intent::Expand, "look at its chart"));
        }
        if self.state.mode == Mode::Test {
            lines.push(Line::of(
                Look::Dim,
                "Anomalies of test mode are not kept: there is nothing to mark.",
            ));
        } else if !self.state.may(Intent::MarkReal) {
            lines.push(Line::of(
                Look::Dim,
                "This screen only looks: [ui] read_only is true.",
            ));
        } else {
            if !incident.acknowledged {
                lines.push(self.key(Intent::Acknowledge, "mark it as seen"));
            }
            lines.push(self.key(Intent::MarkReal, "a real problem: the alarm is confirmed"));
            lines.push(self.key(
                Intent::MarkFalse,
                "a false alarm: the threshold learns; asks first",
            ));
        }
        if self.is_young(incident) {
            lines.push(Line::of(
                Look::Warn,
                "Less than a day of this entity is known: what comes once a day is not learned yet, so take alarms with caution.",
            ));
        }
        lines.push(Line::of(
            Look::Dim,
            "Too many like this? [detect] min_duration lets short ones pass, mute or min_deviation what does not matter, [[detect.maintenance]] planned work, and false_alarms_per_day makes all of them rarer.",
        ));
        lines
    }

    /// What to do about a row that is part of no incident.
    fn advice(&self, verdict: &Verdict) -> Vec<Line> {
        let readiness = &self.pipeline.readiness;
        match (verdict.state, stopping(&verdict.gates)) {
            (RowState::WarmingUp, _) => {
                let mut lines = Vec::new();
                if !readiness.text.is_empty() {
                    lines.push(Line::of(Look::Text, format!("Wait: {}.", readiness.text)));
                }
                if let Some(eta) = readiness.eta {
                    let words = format!("Scores come in about {}.", span(eta));
                    lines.push(Line::of(Look::Text, words));
                }
                lines.push(self.key(Intent::Training, "how far the training is"));
                lines
            }
            (RowState::Stale | RowState::Missing, _) => {
                let mut lines = Vec::new();
                if let Some(reason) = self.reason {
                    lines.push(Line::of(Look::Warn, reason.to_string()));
                }
                lines.push(self.key(Intent::Health, "how the source is"));
                lines
            }
            (RowState::Scored, Some(gate)) if verdict.score.is_some_and(|score| score > 1.0) => {
                let setting = glossary::of(gate).map_or("", |entry| entry.setting);
                vec![Line::of(
                    Look::Text,
                    format!(
                        "Nothing, unless this should have been an alarm: {setting} decided that it is none."
                    ),
                )]
            }
            (RowState::Scored, _) => vec![Line::of(Look::Text, "Nothing: no alarm was raised.")],
        }
    }

    fn forgotten(&self, time: Time, kept: usize) -> Vec<Line> {
        vec![
            Line::of(Look::Strong, "The verdict on this moment is not at hand."),
            Line::blank(),
            fact("row", self.at(time)),
            Line::blank(),
            Line::of(
                Look::Text,
                format!(
                    "{kept} verdicts of this entity are: the newest ones, and none from before this run began. Older anomalies are in the log."
                ),
            ),
            Line::blank(),
            self.key(Intent::Log, "the log of all anomalies"),
            self.key(Intent::End, "after closing this: the newest row"),
        ]
    }

    /// A moment without a row to judge.
    fn no_row(&self, time: Time, title: &str, words: &str) -> Vec<Line> {
        vec![
            Line::of(Look::Strong, title),
            Line::blank(),
            fact("time", self.at(time)),
            Line::blank(),
            Line::of(Look::Text, words),
            Line::blank(),
            self.key(Intent::End, "after closing this: the newest row"),
        ]
    }

    fn nothing(&self) -> Vec<Line> {
        let mut lines = vec![Line::of(Look::Strong, "○ Nothing has been judged yet.")];
        let readiness = &self.pipeline.readiness.text;
        if !readiness.is_empty() {
            lines.push(Line::blank());
            lines.push(Line::of(Look::Text, format!("It waits: {readiness}.")));
        }
        lines.push(Line::blank());
        lines.push(self.key(Intent::Health, "how the source is"));
        lines
    }
}

/// What a gate said, without its figures.
fn outcome(gate: &Gate) -> (&str, bool) {
    (&gate.name, gate.passed)
}
