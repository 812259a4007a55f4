//! Judgements as tables, and several of them as one.

use std::collections::BTreeMap;

use super::judge::{JudgedReport, part};
use super::nab;
use super::table::{Align, Table};

/// Measures of the tables, in the order of [`cells`].
const TITLES: [&str; 11] = [
    "VUS-PR",
    "AUC-PR",
    "events",
    "recall",
    "precision",
    "false/day",
    "FFR %",
    "delay",
    "NAB rows",
    "NAB onset",
    "scored %",
];

/// A readable table with a row for each named judgement; `of` says what is named.
#[must_use]
pub fn judged_table(of: &str, reports: &[(String, JudgedReport)]) -> Table {
    let mut columns = vec![(of, Align::Left)];
    columns.extend(TITLES.map(|title| (title, Align::Right)));
    let mut table = Table::new(&columns);
    for (name, report) in reports {
        table.row([vec![name.clone()], cells(report)].concat());
    }
    table
}

impl JudgedReport {
    /// This report as a table of its own, a line per measure.
    #[must_use]
    pub fn table(&self) -> Table {
        let mut table = Table::new(&[("measure", Align::Left), ("value", Align::Right)]);
        for (title, value) in TITLES.iter().zip(cells(self)) {
            table.row([(*title).to_owned(), value]);
        }
        table
    }
}

/// NAB's scores stand there only when its windows were given.
fn cells(report: &JudgedReport) -> Vec<String> {
    let number = |value: Option<f64>, decimals: usize| {
        value.map_or_else(|| "–".into(), |v| format!("{v:.decimals$}"))
    };
    let nab = |value: Option<f64>| number(value.filter(|_| report.nab_given), 1);
    let seconds = |secs| crate::domain::Unit::Seconds.show(secs);
    vec![
        number(report.vus_pr, 3),
        number(report.auc_pr, 3),
        format!("{}/{}", report.events_found, report.events),
        number(report.event_recall, 2),
        number(report.event_precision, 2),
        number(report.false_alarms_per_day, 2),
        number(Some(100.0 * report.false_flag_rate), 2),
        report.delay_secs.map_or_else(|| "–".into(), seconds),
        nab(report.nab_rows),
        nab(report.nab_onset),
        number(Some(100.0 * report.coverage), 1),
    ]
}

/// Series of one family as one, families in the order of their names.
#[must_use]
pub fn by_family<'a>(
    reports: impl IntoIterator<Item = (&'a str, &'a JudgedReport)>,
) -> BTreeMap<&'a str, JudgedReport> {
    let mut families: BTreeMap<&str, Vec<&JudgedReport>> = BTreeMap::new();
    for (family, report) in reports {
        families.entry(family).or_default().push(report);
    }
    families
        .into_iter()
        .map(|(family, reports)| (family, together(&reports)))
        .collect()
}

/// Several series as one: counts and NAB's raw sums are added up (those of series whose NAB windows were given, when there
/// are any), measures of ranking, rates of rows and times are means over the series that have them.
#[must_use]
pub fn together(reports: &[&JudgedReport]) -> JudgedReport {
    let count = |of: fn(&JudgedReport) -> usize| reports.iter().map(|r| of(r)).sum::<usize>();
    let mean = |of: fn(&JudgedReport) -> Option<f64>| {
        let known: Vec<f64> = reports.iter().filter_map(|r| of(r)).collect();
        (!known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64)
    };
    let days: f64 = reports.iter().map(|r| r.days).sum();
    let (events, found) = (count(|r| r.events), count(|r| r.events_found));
    let false_alarms = count(|r| r.false_alarms);
    let nab_given = reports.iter().any(|r| r.nab_given);
    let of_nab = || reports.iter().filter(|r| r.nab_given == nab_given);
    let nab_windows = of_nab().map(|r| r.nab_windows).sum();
    let rows_raw = of_nab().map(|r| r.nab_rows_raw).sum();
    let onset_raw = of_nab().map(|r| r.nab_onset_raw).sum();
    JudgedReport {
        rows: count(|r| r.rows),
        days,
        coverage: mean(|r| Some(r.coverage)).unwrap_or(0.0),
        events,
        vus_pr: mean(|r| r.vus_pr),
        auc_pr: mean(|r| r.auc_pr),
        events_found: found,
        event_recall: part(found, events),
        event_precision: part(found, found + false_alarms),
        alarms: count(|r| r.alarms),
        false_alarms,
        false_alarms_per_day: (days > 0.0).then(|| false_alarms as f64 / days),
        false_flag_rate: mean(|r| Some(r.false_flag_rate)).unwrap_or(0.0),
        delay_secs: mean(|r| r.delay_secs),
        delay_share: mean(|r| r.delay_share),
        nab_given,
        nab_windows,
        nab_rows_raw: rows_raw,
        nab_onset_raw: onset_raw,
        nab_rows: nab::scaled(rows_raw, nab_windows),
        nab_onset: nab::scaled(onset_raw, nab_windows),
    }
}
