//! What a backtest reports: figures of each series, measures against labels, families and all of them as one.

use std::collections::{BTreeMap, HashMap};
use std::io::Write;

use serde_json::{Value, json};

use super::alarms::{self, Line};
use super::scores::{is_anomaly, score};
use super::work::Work;
use crate::domain::Time;
use crate::engine::backtest::{Backtest, Row};
use crate::report::judge::{Judged, JudgedReport, judge};
use crate::report::summary::{by_family, judged_table, together};
use crate::source::recording::Spellings;

/// What a backtest of one series brought, with what belongs to it.
pub struct Outcome<'a> {
    /// The scores.
    pub result: &'a Backtest,
    /// What to judge against.
    pub labels: Option<&'a [(Time, bool)]>,
    /// The rows' times as the file has them.
    pub written: &'a Spellings,
    /// What there is to know of how the file was read.
    pub notices: &'a [String],
}

/// What came out for one series.
pub struct Report {
    name: String,
    family: Option<String>,
    /// What was done, but for the judgement.
    figures: Value,
    alarms: Vec<Line>,
    judged: Option<JudgedReport>,
}

impl Report {
    /// The report of one series; judged when there are labels.
    ///
    /// # Errors
    /// When no labelled row is at or after the end of training.
    pub fn new(work: &Work, outcome: &Outcome<'_>, seed: u64) -> anyhow::Result<Self> {
        let (result, labels) = (outcome.result, outcome.labels);
        let options = work.meta.options(work.train_until, result.step);
        let alarms = alarms::lines(result, outcome.written, labels, &options);
        let rows = result.rows.iter();
        let scored = rows.clone().filter(|row| score(row).is_some()).count();
        let flagged = rows.filter(|row| is_anomaly(row)).count();
        let learned = result.learned.as_ref();
        let bundle = learned.map(|learned| &learned.bundle);
        let rule = bundle.map(|b| b.calibration.rule.clone());
        Ok(Self {
            name: work.name.clone(),
            family: work.meta.family.clone(),
            figures: json!({
                "name": work.name, "input": work.input, "output": work.output, "train_until": work.train_until,
                "rows": result.rows.len(), "scored": scored, "flagged": flagged,
                "features": result.features.len(), "step_seconds": result.step.as_secs_f64(),
                "threshold_mse": bundle.map(|b| b.calibration.threshold_mse), "threshold_rule": rule,
                "training_windows": bundle.map(|b| b.windows), "epochs": bundle.map(|b| b.epochs), "seed": seed,
                "left_out": learned.map(|l| &l.left_out), "superseded": result.superseded.0, "warnings": outcome.notices,
                "alarms": alarms.iter().map(Line::json).collect::<Vec<_>>(),
            }),
            alarms,
            judged: labels
                .map(|labels| judged(work, result, labels))
                .transpose()?,
        })
    }

    fn json(&self) -> Value {
        let mut value = self.figures.clone();
        if let Some(map) = value.as_object_mut() {
            if let Some(family) = &self.family {
                map.insert("family".into(), json!(family));
            }
            if let Some(judged) = &self.judged {
                map.insert("judged".into(), json!(judged));
            }
        }
        value
    }
}

/// The measures over every labelled row; only rows from `train_until` on are judged.
fn judged(work: &Work, result: &Backtest, labels: &[(Time, bool)]) -> anyhow::Result<JudgedReport> {
    let rows: HashMap<Time, &Row> = result.rows.iter().map(|row| (row.time, row)).collect();
    let of = |time: &Time| rows.get(time).copied();
    let times: Vec<Time> = labels.iter().map(|(time, _)| *time).collect();
    let truth: Vec<bool> = labels.iter().map(|(_, label)| *label).collect();
    let scores: Vec<f64> = times
        .iter()
        .map(|time| of(time).and_then(score).unwrap_or(f64::NAN))
        .collect();
    let flags: Vec<bool> = times
        .iter()
        .map(|time| of(time).is_some_and(is_anomaly))
        .collect();
    let options = work.meta.options(work.train_until, result.step);
    Ok(judge(
        &Judged {
            times: &times,
            labels: &truth,
            scores: &scores,
            flags: &flags,
        },
        &options,
    )?)
}

/// Gives series whose family nobody named the one that they share with others by name: what stands before the first `_` or
/// `-`.
pub fn find_families(reports: &mut [Report]) {
    let prefix = |report: &Report| {
        let (prefix, _) = report.name.split_once(['_', '-'])?;
        (report.family.is_none() && !prefix.is_empty()).then(|| prefix.to_owned())
    };
    let mut members: BTreeMap<String, usize> = BTreeMap::new();
    for prefix in reports.iter().filter_map(prefix) {
        *members.entry(prefix).or_default() += 1;
    }
    for report in reports {
        if let Some(prefix) = prefix(report).filter(|p| members.get(p).is_some_and(|n| *n > 1)) {
            report.family = Some(prefix);
        }
    }
}

/// The judgements of families, and of all series as one; `None` when none was judged.
fn pooled(reports: &[Report]) -> Option<(BTreeMap<&str, JudgedReport>, JudgedReport)> {
    let all: Vec<&JudgedReport> = reports.iter().filter_map(|r| r.judged.as_ref()).collect();
    let named = reports
        .iter()
        .filter_map(|r| Some((r.family.as_deref()?, r.judged.as_ref()?)));
    (!all.is_empty()).then(|| (by_family(named), together(&all)))
}

/// The report as JSON: one series as it is, several as `reports` with `families` and `all`.
pub fn whole(reports: &[Report], failed: &[String], several: bool) -> Value {
    if let ([report], false) = (reports, several) {
        return report.json();
    }
    let mut whole = json!({
        "reports": reports.iter().map(Report::json).collect::<Vec<_>>(), "failed": failed,
    });
    if let (Some(map), Some((families, all))) = (whole.as_object_mut(), pooled(reports)) {
        map.insert("families".into(), json!(families));
        map.insert("all".into(), json!(all));
    }
    whole
}

/// The report for people.
///
/// # Errors
/// When `out` can't be written to.
pub fn say(out: &mut dyn Write, reports: &[Report], several: bool) -> anyhow::Result<()> {
    for report in reports {
        let text = |key: &str| {
            let value = report.figures.get(key);
            value
                .map(|v| v.as_str().map_or_else(|| v.to_string(), str::to_owned))
                .unwrap_or_default()
        };
        writeln!(
            out,
            "{}: {} rows, {} scored, {} flagged → {}",
            text("input"),
            text("rows"),
            text("scored"),
            text("flagged"),
            text("output")
        )?;
    }
    if let ([report], false) = (reports, several) {
        if !report.alarms.is_empty() {
            writeln!(out, "\n{}", alarms::table(&report.alarms))?;
        }
        if let Some(judged) = &report.judged {
            writeln!(out, "{}", judged.table())?;
        }
        return Ok(());
    }
    let Some((families, all)) = pooled(reports) else {
        return Ok(());
    };
    let series: Vec<(String, JudgedReport)> = reports
        .iter()
        .filter_map(|r| Some((r.name.clone(), r.judged.clone()?)))
        .collect();
    let mut summary: Vec<(String, JudgedReport)> = families
        .into_iter()
        .map(|(family, judged)| (family.to_owned(), judged))
        .collect();
    summary.push(("all".into(), all));
    writeln!(out, "\n{}", judged_table("series", &series))?;
    writeln!(out, "{}", judged_table("family", &summary))?;
    Ok(())
}
