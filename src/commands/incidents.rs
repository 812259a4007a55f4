//! `pulsewatch incidents`: the journal from the shell. Works while an engine runs: SQLite lets both in, and only the engine
//! makes, mends or brings over a journal.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;

use crate::cli::{IncidentsLabelArgs, IncidentsListArgs, LabelWord};
use crate::config::{Config, Span, Threshold};
use crate::domain::{Contribution, Gate, Incident, Label, LabelEffect, OTHERS, Schema, Time, Unit};
use crate::engine::labelling::{self, Grounds};
use crate::model::Bundle;
use crate::report::table::{Align, Table};
use crate::store::{DataDir, IncidentFilter, Journal, Registry};

/// Features named in a line of the list.
const NAMED: usize = 3;

/// Lists incidents, open ones first, then the newest first: those that were found live, or those found in the history.
///
/// # Errors
/// When the journal can't be read or `out` not written.
pub fn list(
    data_dir: &Path,
    args: &IncidentsListArgs,
    now: Time,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let filter = IncidentFilter {
        open_only: args.open,
        past: Some(args.past),
        since: args.since.map(|since| since.before(now)),
        limit: args.limit,
        ..IncidentFilter::default()
    };
    let journal = existing(data_dir).map(|path| Journal::open_to_read(&path));
    let journal = journal.transpose()?;
    let listed = |filter: &IncidentFilter| {
        let listed = journal.as_ref().map(|journal| journal.list(filter));
        listed.transpose().map(Option::unwrap_or_default)
    };
    let incidents = listed(&filter)?;
    if args.json {
        return print_json(&incidents, out);
    }
    if !incidents.is_empty() {
        return Ok(out.write_all(table(&incidents, now).as_bytes())?);
    }
    let when = args.since.map_or("", |_| " since then");
    let words = match (args.open, args.past) {
        (true, _) => format!("no open incidents{when}"),
        (_, true) => format!("no past incidents{when}: none was found in the history"),
        _ if args.since.is_some() => format!("no incidents{when}"),
        _ => "no incidents yet".into(),
    };
    let past = IncidentFilter {
        past: Some(true),
        limit: 1,
        ..filter
    };
    let hint = if args.open || args.past || listed(&past)?.is_empty() {
        ""
    } else {
        "; `incidents list --past` lists those found in the history"
    };
    Ok(writeln!(out, "{words}{hint}")?)
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
mod tests;
