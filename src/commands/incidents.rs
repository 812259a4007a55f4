//! `pulsewatch incidents`: the journal from the shell. Works while an engine runs: SQLite lets both in, and only the engine
//! makes, mends or brings over a journal.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;

use crate::cli::{IncidentsLabelArgs, LabelWord};
use crate::config::{Config, Span, Threshold};
use crate::domain::{Contribution, Gate, Incident, Label, LabelEffect, OTHERS, Schema, Time, Unit};
use crate::engine::labelling::{self, Grounds};
use crate::model::Bundle;
use crate::report::table::{Align, Table};
use crate::store::{DataDir, IncidentFilter, Journal, Registry};

/// Features named in a line of the list.
const NAMED: usize = 3;

/// Lists incidents, open ones first, then the newest first.
///
/// # Errors
/// When the journal can't be read or `out` not written.
pub fn list(
    data_dir: &Path,
    open: bool,
    limit: usize,
    json: bool,
    now: Time,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let filter = IncidentFilter {
        open_only: open,
        limit,
        ..IncidentFilter::default()
    };
    let incidents = match existing(data_dir) {
        Some(path) => Journal::open_to_read(&path)?.list(&filter)?,
        None => Vec::new(),
    };
    if json {
        return print_json(&incidents, out);
    }
    if incidents.is_empty() {
        let words = if open {
            "no open incidents"
        } else {
            "no incidents yet"
        };
        return Ok(writeln!(out, "{words}")?);
    }
    Ok(out.write_all(table(&incidents, now).as_bytes())?)
}

/// Shows all that is known of one incident.
///
/// # Errors
/// When there is no such incident, the journal can't be read, or `out` not written.
pub fn show(
    data_dir: &Path,
    config: &Config,
    id: u64,
    json: bool,
    now: Time,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let incident = find(&Journal::open_to_read(&holding(data_dir, id)?)?, id)?;
    if json {
        return print_json(&incident, out);
    }
    let units = Units::known(data_dir, config);
    Ok(out.write_all(page(&incident, &units, now).as_bytes())?)
}

/// What the values of features count: as the queries say, else as the model that scores has it (of this host, say).
struct Units<'a> {
    config: &'a Config,
    schema: Option<Schema>,
}

impl<'a> Units<'a> {
    /// Without a model, or with one that can't be read, the queries alone tell.
    fn known(data_dir: &Path, config: &'a Config) -> Self {
        let current = Registry::open(&DataDir::at(data_dir).models()).current();
        let bytes = current.ok().flatten().map(|(_, bytes, _)| bytes);
        let bundle = bytes.and_then(|bytes| Bundle::from_bytes(&bytes).ok());
        Self {
            config,
            schema: bundle.map(|bundle| bundle.schema),
        }
    }

    fn of(&self, feature: &str) -> Unit {
        let mut columns = self.schema.iter().flat_map(|schema| schema.iter());
        let column = columns.find(|column| &*column.name == feature);
        let alias = feature.split('{').next().unwrap_or(feature);
        let query = self.config.queries.get(alias);
        let unit = query.map(|query| &query.unit);
        let unit = unit.or_else(|| column.map(|column| &column.unit));
        unit.cloned().unwrap_or_default()
    }
}

/// Marks an incident as seen.
///
/// # Errors
/// When there is no such incident, the journal can't be written, or `out` not written.
pub fn acknowledge(
    data_dir: &Path,
    id: u64,
    json: bool,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let mut journal = Journal::open_to_change(&holding(data_dir, id)?)?;
    journal.acknowledge(id)?;
    if json {
        return print_json(&find(&journal, id)?, out);
    }
    Ok(writeln!(out, "incident {id} is marked as seen")?)
}

/// What `incidents label` says as JSON.
#[derive(serde::Serialize)]
struct Labelled {
    #[serde(flatten)]
    incident: Incident,
    effect: LabelEffect,
}

/// Calls an incident real or false or takes that back, and says what it changes; with `--preview` nothing is changed.
///
/// # Errors
/// When there is no such incident, the journal can't be written, or `out` not written.
pub fn label(
    data_dir: &Path,
    config: &Config,
    args: &IncidentsLabelArgs,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let id = args.id;
    let label = args.label.and_then(word);
    let path = holding(data_dir, id)?;
    let journal = Journal::open_to_read(&path)?;
    find(&journal, id)?;
    let grounds = Grounds::current(&Registry::open(&DataDir::at(data_dir).models()), config);
    let effect = labelling::preview(&journal, &grounds, config, (id, label))?;
    drop(journal);
    if !args.preview {
        Journal::open_to_change(&path)?.label(id, label)?;
    }
    if args.json {
        let incident = find(&Journal::open_to_read(&path)?, id)?;
        return print_json(&Labelled { incident, effect }, out);
    }
    let words = match label {
        Some(Label::Real) => "is labelled a real problem",
        Some(Label::False) => "is labelled a false alarm",
        None => "has no label any more",
    };
    if !args.preview {
        writeln!(out, "incident {id} {words}")?;
    }
    writeln!(out, "{}", effect.told())?;
    if matches!(config.detect.threshold, Threshold::Fixed(_)) {
        writeln!(out, "[detect] threshold is a number: no label moves it")?;
    }
    Ok(())
}

const fn word(label: LabelWord) -> Option<Label> {
    match label {
        LabelWord::Real => Some(Label::Real),
        LabelWord::False => Some(Label::False),
        LabelWord::None => None,
    }
}

/// The journal's file, if there is one: asking a question must not make one.
fn existing(data_dir: &Path) -> Option<PathBuf> {
    let path = DataDir::at(data_dir).journal();
    path.exists().then_some(path)
}

/// The journal's file, which holds incident `id` if any does.
fn holding(data_dir: &Path, id: u64) -> anyhow::Result<PathBuf> {
    existing(data_dir).with_context(|| {
        format!(
            "there is no incident {id}: {} holds no journal yet",
            data_dir.display()
        )
    })
}

fn find(journal: &Journal, id: u64) -> anyhow::Result<Incident> {
    journal.get(id)?.with_context(|| {
        format!("there is no incident {id}; `pulsewatch incidents list` shows those there are")
    })
}

fn table(incidents: &[Incident], now: Time) -> String {
    let mut table = Table::new(&[
        ("ID", Align::Right),
        ("STATE", Align::Left),
        ("ENTITY", Align::Left),
        ("START", Align::Left),
        ("AGE", Align::Right),
        ("DURATION", Align::Right),
        ("PEAK", Align::Right),
        ("SEEN", Align::Left),
        ("LABEL", Align::Left),
        ("FEATURES", Align::Left),
    ]);
    for i in incidents {
        table.row([
            i.id.to_string(),
            i.state.word().into(),
            i.entity.to_string(),
            i.start.to_string(),
            ago(now, i.start),
            span(i.duration()),
            score(i.peak_score),
            if i.acknowledged { "yes" } else { "no" }.into(),
            i.label.map_or("–", Label::word).into(),
            named(&i.features),
        ]);
    }
    table.to_string()
}

fn page(incident: &Incident, units: &Units<'_>, now: Time) -> String {
    let (from, age) = (incident.start, ago(now, incident.start));
    let so_far = if incident.is_open() {
        " (last anomalous row so far)"
    } else {
        ""
    };
    let facts = [
        ("state", incident.state.word().to_owned()),
        ("entity", incident.entity.to_string()),
        ("start", format!("{from}, {age} ago")),
        ("end", format!("{}{so_far}", incident.end)),
        ("duration", span(incident.duration())),
        ("peak", peak(incident)),
        (
            "seen",
            if incident.acknowledged { "yes" } else { "no" }.to_owned(),
        ),
        ("label", incident.label.map_or("–", Label::word).to_owned()),
    ];
    let facts = facts.map(|(name, fact)| format!("  {name:<9} {fact}\n"));
    let mut table = Table::new(&[
        ("", Align::Left),
        ("FEATURE", Align::Left),
        ("CONTRIBUTION", Align::Right),
        ("VALUE AT PEAK", Align::Right),
        ("EXPECTED", Align::Right),
        ("BAND", Align::Left),
    ]);
    for f in &incident.features {
        let unit = units.of(&f.feature);
        let (value, expected) = (unit.show(f.value), unit.show(f.expected));
        let band = band(f, &unit);
        table.row(["", &*f.feature, &share(f.share), &value, &expected, &band]);
    }
    format!(
        "incident {}\n{}\n{table}\n{}",
        incident.id,
        facts.concat(),
        why(incident)
    )
}

/// The highest score, and how far over the threshold that alarms go by: two quantities unless the threshold is fixed.
fn peak(incident: &Incident) -> String {
    let score = format!("score {} at {}", score(incident.peak_score), incident.peak);
    incident.peak_alarm.map_or(score.clone(), |alarm| {
        format!("{score}, at most {alarm:.2} times the calibrated threshold")
    })
}

/// `35 to 45`
fn band(part: &Contribution, unit: &Unit) -> String {
    if part.lower.is_nan() || part.upper.is_nan() {
        return "–".into();
    }
    format!("{} to {}", unit.show(part.lower), unit.show(part.upper))
}

/// The gates that it passed, row by row.
fn why(incident: &Incident) -> String {
    let rows = [
        ("when it opened", &incident.why.opening),
        ("at its peak", &incident.why.peak),
    ];
    let kept = rows.iter().filter(|(_, gates)| !gates.is_empty());
    let texts: Vec<String> = kept
        .map(|(row, gates)| {
            let lines: String = gates.iter().map(gate).collect();
            format!("  why, {row}\n{lines}")
        })
        .collect();
    if texts.is_empty() {
        return "  why       not kept by the release that wrote this\n".into();
    }
    texts.concat()
}

fn gate(gate: &Gate) -> String {
    let sign = if gate.passed { "passed" } else { "stopped" };
    format!("    {sign:<7} {}: {}\n", gate.name, gate.detail)
}

/// `cpu 75 %, memory 20 %, 3 more`
fn named(features: &[Contribution]) -> String {
    let mut words: Vec<String> = features
        .iter()
        .take(NAMED)
        .map(|f| format!("{} {}", f.feature, share(f.share)))
        .collect();
    if features.last().is_some_and(|last| &*last.feature == OTHERS) {
        words.push("more".into());
    } else if features.len() > NAMED {
        words.push(format!("{} more", features.len() - NAMED));
    }
    words.join(", ")
}

fn share(part: f64) -> String {
    if part.is_finite() {
        format!("{:.0} %", part * 100.0)
    } else {
        "–".into()
    }
}

fn score(score: f64) -> String {
    if score.is_finite() {
        format!("{score:.1}")
    } else {
        "–".into()
    }
}

/// Whole minutes, or seconds below ten minutes: what a person tells another.
pub(super) fn span(length: Duration) -> String {
    let secs = length.as_secs();
    let unit = match secs {
        0..600 => 1,
        600..86_400 => 60,
        _ => 3600,
    };
    Span::secs(secs / unit * unit).to_string()
}

/// How long `then` is past; `–` when it lies ahead (a recording, a clock that stepped back).
pub(super) fn ago(now: Time, then: Time) -> String {
    if now < then {
        return "–".into();
    }
    span(now.since(then))
}

/// One JSON value, readable, with a line end.
pub(super) fn print_json(value: &impl serde::Serialize, out: &mut dyn Write) -> anyhow::Result<()> {
    serde_json::to_writer_pretty(&mut *out, value)?;
    Ok(writeln!(out)?)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::domain::{Entity, IncidentState, Why};

    const START: i64 = 1_700_000_000;

    fn now() -> Time {
        Time::from_secs(START + 3 * 3600)
    }

    fn incident(state: IncidentState) -> Incident {
        let feature = |name: &str, share, value| Contribution {
            feature: Arc::from(name),
            share,
            value,
            expected: 40.0,
            lower: 35.0,
            upper: if value.is_nan() { f64::NAN } else { 45.0 },
        };
        let gate = |name: &str, passed| Gate {
            name: name.into(),
            passed,
            detail: "what was measured".into(),
        };
        Incident {
            id: 0,
            entity: Entity::named("web-1"),
            start: Time::from_secs(START),
            end: Time::from_secs(START + 750),
            peak: Time::from_secs(START + 60),
            peak_score: 3.456,
            peak_alarm: Some(1.25),
            state,
            features: vec![
                feature("cpu", 0.7, 97.5),
                feature("memory", 0.2, f64::NAN),
                feature("disk", 0.06, 1.0),
                feature("load", 0.04, 2.0),
            ],
            why: Why {
                opening: vec![gate("threshold", true), gate("min_duration", true)],
                peak: vec![gate("threshold", true), gate("min_duration", false)],
            },
            acknowledged: false,
            label: None,
        }
    }

    /// A data directory with two incidents, and the engine that has the journal open.
    fn data_dir() -> (tempfile::TempDir, Journal) {
        let dir = tempfile::tempdir().unwrap();
        let (mut journal, _) = Journal::open(&DataDir::at(dir.path()).journal()).unwrap();
        for state in [IncidentState::Closed, IncidentState::Open] {
            journal.insert(&incident(state)).unwrap();
        }
        (dir, journal)
    }

    fn said(work: impl FnOnce(&mut dyn Write) -> anyhow::Result<()>) -> String {
        let mut out = Vec::new();
        work(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_list_is_a_table_with_open_ones_first() {
        let (dir, _engine) = data_dir();
        let text = said(|out| list(dir.path(), false, 50, false, now(), out));
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3);
        assert!(lines[0].starts_with("ID  STATE   ENTITY  START"), "{text}");
        assert_eq!(
            lines[1],
            " 2  open    web-1   2023-11-14T22:13:20Z   3h       12m   3.5  no    –      cpu 70 %, memory 20 %, disk 6 %, 1 more"
        );
        assert!(lines[2].contains("closed"), "{text}");
        let open = said(|out| list(dir.path(), true, 50, false, now(), out));
        assert_eq!(open.lines().count(), 2);
        assert_eq!(
            said(|out| list(dir.path(), false, 1, false, now(), out))
                .lines()
                .count(),
            2
        );
    }

    #[test]
    fn nothing_yet_is_said_and_makes_no_file() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        let text = said(|out| list(&data, false, 50, false, now(), out));
        assert_eq!(text, "no incidents yet\n");
        let text = said(|out| list(&data, true, 50, false, now(), out));
        assert_eq!(text, "no open incidents\n");
        assert_eq!(said(|out| list(&data, false, 50, true, now(), out)), "[]\n");
        let error = acknowledge(&data, 3, false, &mut Vec::new()).unwrap_err();
        assert!(error.to_string().contains("no journal yet"), "{error}");
        assert!(!data.exists());
    }

    #[test]
    fn one_incident_is_shown_in_full() {
        let (dir, _engine) = data_dir();
        let text = said(|out| show(dir.path(), &Config::default(), 2, false, now(), out));
        for words in [
            "incident 2\n",
            "start     2023-11-14T22:13:20Z, 3h ago\n",
            "(last anomalous row so far)",
            "peak      score 3.5 at 2023-11-14T22:14:20Z, at most 1.25 times the calibrated threshold",
            "FEATURE  CONTRIBUTION  VALUE AT PEAK  EXPECTED  BAND\n",
            "cpu              70 %           97.5        40  35 to 45\n",
            "memory           20 %              –        40  –\n",
            "  why, when it opened\n    passed  threshold: what was measured\n    passed  min_duration:",
            "  why, at its peak\n    passed  threshold: what was measured\n    stopped min_duration:",
        ] {
            assert!(text.contains(words), "{words:?} in\n{text}");
        }
        let closed = said(|out| show(dir.path(), &Config::default(), 1, false, now(), out));
        assert!(
            closed.contains("end       2023-11-14T22:25:50Z\n"),
            "{closed}"
        );
        let text = said(|out| show(dir.path(), &Config::default(), 2, true, now(), out));
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(json["why"]["peak"][1]["name"], "min_duration");
        assert_eq!(json["why"]["opening"][1]["passed"], true);
        assert_eq!(json["features"][0]["upper"], 45.0);
        let error = show(
            dir.path(),
            &Config::default(),
            9,
            false,
            now(),
            &mut Vec::new(),
        )
        .unwrap_err();
        assert!(error.to_string().contains("no incident 9"), "{error}");
    }

    #[test]
    fn values_have_the_units_of_their_queries() {
        let (dir, _engine) = data_dir();
        let text = "[source]\nurl = \"http://h\"\n[queries.cpu]\nexpr = \"up\"\nunit = \"percent\"\n[queries.disk]\nexpr = \"up\"\nunit = \"bytes/s\"\n";
        let config = crate::config::parse(text, "test").unwrap();
        let text = said(|out| show(dir.path(), &config, 2, false, now(), out));
        assert!(text.contains("35 % to 45 %"), "{text}");
        assert!(text.contains("35 B/s to 45 B/s"), "{text}");
    }

    #[test]
    fn operators_words_are_kept_while_an_engine_runs() {
        let (dir, engine) = data_dir();
        let text = said(|out| acknowledge(dir.path(), 2, false, out));
        assert_eq!(text, "incident 2 is marked as seen\n");
        let word = |word, json| IncidentsLabelArgs {
            id: 2,
            label: word,
            clear: false,
            preview: false,
            json,
        };
        let config = Config::default();
        let told = word(Some(LabelWord::False), true);
        let text = said(|out| label(dir.path(), &config, &told, out));
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            (&json["label"], &json["acknowledged"]),
            (&"false".into(), &true.into())
        );
        assert!(json["features"][1]["value"].is_null());
        let read = engine.get(2).unwrap().unwrap();
        assert!(read.acknowledged && read.label == Some(Label::False));
        let text = said(|out| label(dir.path(), &config, &word(None, false), out));
        assert!(
            text.starts_with("incident 2 has no label any more\nReplaying stored data: 0 of"),
            "{text}"
        );
        let other = IncidentsLabelArgs { id: 9, ..told };
        assert!(label(dir.path(), &config, &other, &mut Vec::new()).is_err());
    }

    #[test]
    fn lengths_are_told_as_people_tell_them() {
        for (secs, text) in [(0, "0s"), (90, "1m30s"), (750, "12m"), (90_061, "1d1h")] {
            assert_eq!(span(Duration::from_secs(secs)), text);
        }
        assert_eq!(ago(Time::from_secs(1), Time::from_secs(2)), "–");
    }
}
