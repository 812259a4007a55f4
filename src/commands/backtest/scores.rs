//! `scores.csv`.

use crate::domain::{FeatureVerdict, Gate, Time, Verdict};
use crate::engine::backtest::{Backtest, Row};
use crate::source::recording::Spellings;

/// Relative to the threshold; `None` where there is none.
pub fn score(row: &Row) -> Option<f64> {
    row.verdict.as_ref().and_then(|verdict| verdict.score)
}

/// Whether the row was flagged.
pub fn is_anomaly(row: &Row) -> bool {
    row.verdict
        .as_ref()
        .is_some_and(|verdict| verdict.is_anomaly)
}

/// A row's time as the file has it, else unix seconds.
pub fn time(row: &Row, written: &Spellings) -> String {
    written
        .get(row.row)
        .map_or_else(|| seconds(row.time), str::to_owned)
}

/// `scores.csv`: times as they came in, score over threshold, flag, each feature's contribution; with `explain` also its
/// value, what was expected, the band ([`Backtest::band`]) and the gates.
pub fn csv(result: &Backtest, written: &Spellings, explain: bool) -> anyhow::Result<String> {
    let mut csv = csv::Writer::from_writer(Vec::new());
    let mut header = vec!["timestamp".to_owned(), "score".into(), "is_anomaly".into()];
    let explained: &[&str] = if explain {
        &["value", "expected", "lower", "upper"]
    } else {
        &[]
    };
    for what in [&["contribution"], explained].concat() {
        let names = result.features.iter();
        header.extend(names.map(|feature| format!("{feature}.{what}")));
    }
    if explain {
        header.push("gates".into());
    }
    csv.write_record(&header)?;
    for row in &result.rows {
        let mut record = vec![
            time(row, written),
            score(row).map_or(String::new(), |score| score.to_string()),
            u8::from(is_anomaly(row)).to_string(),
        ];
        let verdict = row.verdict.as_deref();
        let mut add = |pick: &dyn Fn(&FeatureVerdict, f64) -> f64| {
            record.extend(cells(verdict, &result.band, pick));
        };
        add(&|feature, _| feature.share);
        if explain {
            add(&|feature, _| feature.value);
            add(&|feature, _| feature.expected);
            add(&|feature, band| feature.expected - band);
            add(&|feature, band| feature.expected + band);
            record.push(verdict.map_or(String::new(), gates));
        }
        csv.write_record(&record)?;
    }
    Ok(String::from_utf8(csv.into_inner()?)?)
}

fn seconds(time: Time) -> String {
    if time.millis() % 1000 == 0 {
        (time.millis() / 1000).to_string()
    } else {
        time.as_secs_f64().to_string()
    }
}

/// A cell per feature, empty where nothing is known.
fn cells(
    verdict: Option<&Verdict>,
    band: &[f64],
    pick: &dyn Fn(&FeatureVerdict, f64) -> f64,
) -> Vec<String> {
    let mut cells: Vec<String> = verdict
        .iter()
        .flat_map(|verdict| &verdict.features)
        .zip(band)
        .map(|(feature, band)| pick(feature, *band))
        .map(|value| {
            if value.is_finite() {
                value.to_string()
            } else {
                String::new()
            }
        })
        .collect();
    cells.resize(band.len(), String::new());
    cells
}

fn gates(verdict: &Verdict) -> String {
    let gate = |gate: &Gate| {
        format!(
            "{} {}: {}",
            if gate.passed { "+" } else { "-" },
            gate.name,
            gate.detail
        )
    };
    verdict
        .gates
        .iter()
        .map(gate)
        .collect::<Vec<_>>()
        .join("; ")
}
