//! The table of alarms.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::scores::{is_anomaly, score, time};
use crate::domain::{Time, Verdict};
use crate::engine::backtest::{Backtest, Row};
use crate::report::alarms::{Alarm, alarms};
use crate::report::judge::JudgeOptions;
use crate::report::ranking::runs;
use crate::report::table::{Align, Table};
use crate::source::recording::Spellings;

/// Features that an alarm names, those with the largest contributions at its peak.
const NAMED: usize = 3;
/// Contribution under which a feature is not worth naming.
const LEAST: f64 = 0.05;
/// Alarms that the table has; all are in the JSON report.
const SHOWN: usize = 50;

/// One alarm.
pub struct Line {
    /// Times of its first, highest and last row, as the file has them.
    start: String,
    peak: String,
    end: String,
    /// Score of the highest row.
    score: f64,
    rows: usize,
    /// Feature and contribution at the peak.
    features: Vec<(String, f64)>,
    /// First and last row of its event; `None` without labels.
    judged: Option<(Option<(String, String)>, usize)>,
}

/// The alarms of a backtest in the order of time, judged when there are labels.
pub fn lines(
    result: &Backtest,
    written: &Spellings,
    labels: Option<&[(Time, bool)]>,
    options: &JudgeOptions,
) -> Vec<Line> {
    let mut rows: Vec<&Row> = result.rows.iter().collect();
    rows.sort_by_key(|row| row.time);
    let known: Option<HashMap<Time, bool>> = labels.map(|labels| labels.iter().copied().collect());
    if let Some(known) = &known {
        // What nobody labelled is not judged.
        rows.retain(|row| known.contains_key(&row.time));
    }
    let truth: Vec<bool> = rows
        .iter()
        .map(|row| known.as_ref().and_then(|known| known.get(&row.time)) == Some(&true))
        .collect();
    let flags: Vec<bool> = rows.iter().map(|row| is_anomaly(row)).collect();
    let at = |row: usize| {
        rows.get(row)
            .map_or(String::new(), |row| time(row, written))
    };
    let events = runs(&truth);
    let event = |alarm: &Alarm| {
        let (first, last) = *events.get(alarm.event?)?;
        Some((at(first), at(last)))
    };
    alarms(&truth, &flags, options)
        .iter()
        .map(|alarm| {
            let own = rows.get(alarm.first..=alarm.last).unwrap_or_default();
            let height = |row: &&&Row| score(row).unwrap_or(f64::NEG_INFINITY);
            // Of equally high rows the first.
            let peak = own
                .iter()
                .rev()
                .max_by(|a, b| height(a).total_cmp(&height(b)));
            let verdict = peak.and_then(|row| row.verdict.as_deref());
            Line {
                start: at(alarm.first),
                peak: peak.map_or(String::new(), |row| time(row, written)),
                end: at(alarm.last),
                score: peak.and_then(|row| score(row)).unwrap_or(f64::NAN),
                rows: own.iter().filter(|row| is_anomaly(row)).count(),
                features: verdict.map_or(Vec::new(), |v| features(v, &result.features)),
                judged: known.is_some().then(|| (event(alarm), alarm.false_alarms)),
            }
        })
        .collect()
}

/// The features that carry a verdict.
fn features(verdict: &Verdict, names: &[String]) -> Vec<(String, f64)> {
    let shares = verdict.features.iter().map(|feature| feature.share);
    let mut carrying: Vec<(String, f64)> = names
        .iter()
        .cloned()
        .zip(shares)
        .filter(|(_, share)| *share >= LEAST)
        .collect();
    carrying.sort_by(|a, b| b.1.total_cmp(&a.1));
    carrying.truncate(NAMED);
    carrying
}

impl Line {
    /// As an object of the JSON report.
    pub fn json(&self) -> Value {
        let features: Vec<Value> = self
            .features
            .iter()
            .map(|(name, share)| json!({ "name": name, "contribution": share }))
            .collect();
        let mut value = json!({
            "start": self.start, "peak": self.peak, "end": self.end, "peak_score": self.score, "rows": self.rows,
            "features": features,
        });
        if let (Some(map), Some((event, count))) = (value.as_object_mut(), &self.judged) {
            let event = event
                .as_ref()
                .map(|(start, end)| json!({ "start": start, "end": end }));
            map.insert("event".into(), json!(event));
            map.insert("false".into(), json!(*count > 0 && event.is_none()));
            map.insert("false_alarms".into(), json!(count));
        }
        value
    }

    fn verdict(&self) -> String {
        match &self.judged {
            None => String::new(),
            Some((None, _)) => "false".into(),
            Some((Some((start, _)), 0)) => format!("event of {}", shown(start)),
            Some((Some((start, _)), _)) => {
                format!("event of {}, false where it goes on", shown(start))
            }
        }
    }
}

/// The alarms as a table, and what was left out of it.
pub fn table(lines: &[Line]) -> String {
    let judged = lines.iter().any(|line| line.judged.is_some());
    let mut columns = vec![
        ("start", Align::Left),
        ("peak", Align::Left),
        ("end", Align::Left),
        ("score", Align::Right),
        ("features", Align::Left),
    ];
    if judged {
        columns.push(("judged", Align::Left));
    }
    let mut table = Table::new(&columns);
    for line in lines.iter().take(SHOWN) {
        let features: Vec<String> = line
            .features
            .iter()
            .map(|(name, share)| format!("{name} {:.0} %", share * 100.0))
            .collect();
        table.row([
            shown(&line.start),
            shown(&line.peak),
            shown(&line.end),
            format!("{:.2}", line.score),
            features.join(", "),
            line.verdict(),
        ]);
    }
    let more = lines.len().saturating_sub(SHOWN);
    if more > 0 {
        format!("{table}… and {more} more (--json FILE has all)\n")
    } else {
        table.to_string()
    }
}

/// A time for people: what came as unix seconds in words.
fn shown(time: &str) -> String {
    let seconds = time.parse::<f64>().ok();
    let known = seconds.filter(|seconds| seconds.abs() < 1e11);
    known
        .and_then(Time::from_secs_f64)
        .map_or_else(|| time.to_owned(), |time| time.to_string())
}
