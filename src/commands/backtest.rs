//! `backtest`: recordings through the live pipeline, scored and, with labels, judged.

use std::collections::HashMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context as _, bail};
use serde_json::{Value, json};

use super::{BadUsage, Context};
use crate::cli::{BacktestArgs, Inject, InjectKind};
use crate::config::Config;
use crate::disk::write_atomic;
use crate::domain::{FeatureVerdict, Time, Verdict};
use crate::engine::backtest::{Backtest, Row, backtest, inject_into};
use crate::report::judge::{JudgeOptions, Judged, JudgedReport, judge};
use crate::source::inject::{InjectSpec, InjectionKind};
use crate::source::recording::{Recording, read_labels};

/// One input with what belongs to it.
struct Work {
    input: PathBuf,
    train_until: Time,
    labels: Option<PathBuf>,
    output: PathBuf,
}

/// `backtest`.
///
/// # Errors
/// When an input can't be read, has too little to learn from, or a result can't be written.
pub fn run(context: &Context, args: &BacktestArgs, out: &mut dyn Write) -> anyhow::Result<()> {
    let mut config = Config::clone(&context.config);
    config.autoencoder.seed = args.seed.unwrap_or(config.autoencoder.seed);
    let work = plan(args)?;
    let next = AtomicUsize::new(0);
    let done: Mutex<Vec<(usize, anyhow::Result<Value>)>> = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..args.jobs.min(work.len()) {
            scope.spawn(|| {
                while let Some((at, item)) = Some(next.fetch_add(1, Ordering::Relaxed))
                    .and_then(|at| Some((at, work.get(at)?)))
                {
                    let report =
                        one(item, args, &config).with_context(|| item.input.display().to_string());
                    done.lock()
                        .unwrap_or_else(std::sync::PoisonError::into_inner)
                        .push((at, report));
                }
            });
        }
    });
    let mut done = done
        .into_inner()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    done.sort_by_key(|(at, _)| *at);
    let (mut reports, mut failures) = (Vec::new(), Vec::new());
    for (_, report) in done {
        match report {
            Ok(report) => reports.push(report),
            Err(error) => failures.push(error),
        }
    }
    if let Some(path) = args.json.as_ref().filter(|_| !reports.is_empty()) {
        let whole = if let [report] = reports.as_slice() {
            report.clone()
        } else {
            json!({ "reports": reports })
        };
        write_atomic(path, format!("{whole:#}\n").as_bytes())?;
    }
    for report in &reports {
        say(out, report)?;
    }
    finished(failures, work.len())
}

/// What could be done was done; what could not fails the whole.
fn finished(mut failures: Vec<anyhow::Error>, inputs: usize) -> anyhow::Result<()> {
    match failures.len() {
        0 => Ok(()),
        1 if inputs == 1 => Err(failures.remove(0)),
        count => {
            let lines: Vec<String> = failures.iter().map(|e| format!("\n  {e:#}")).collect();
            bail!("{count} of {inputs} inputs failed:{}", lines.concat())
        }
    }
}

fn plan(args: &BacktestArgs) -> Result<Vec<Work>, BadUsage> {
    let several = args.input.len() > 1;
    if args.train_until.len() != 1 && args.train_until.len() != args.input.len() {
        return Err(BadUsage(format!(
            "--train-until is given {} times for {} inputs; give it once, or once per --input",
            args.train_until.len(),
            args.input.len()
        )));
    }
    if !args.labels.is_empty() && args.labels.len() != args.input.len() {
        return Err(BadUsage(format!(
            "--labels is given {} times for {} inputs; give it once per --input, in the same order",
            args.labels.len(),
            args.input.len()
        )));
    }
    let mut taken = HashMap::new();
    let mut work = Vec::new();
    // One time for all of them, or each its own.
    let moments = args.train_until.iter().cycle();
    for (at, (input, train_until)) in args.input.iter().zip(moments).enumerate() {
        let output = if several {
            args.output.join(format!("{}.csv", name_of(input)))
        } else {
            args.output.clone()
        };
        if let Some(other) = taken.insert(output.clone(), input) {
            return Err(BadUsage(format!(
                "{} and {} would both write {}; give the files different names, or run them apart",
                other.display(),
                input.display(),
                output.display()
            )));
        }
        work.push(Work {
            input: input.clone(),
            train_until: *train_until,
            labels: args.labels.get(at).cloned(),
            output,
        });
    }
    Ok(work)
}

/// A name for an input's output: the file's, or its folder's when all files are called alike (`NAME/series.csv.gz`).
fn name_of(input: &Path) -> String {
    let file = input
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    let mut stem = file.as_str();
    for ending in [".gz", ".csv", ".parquet"] {
        stem = stem.strip_suffix(ending).unwrap_or(stem);
    }
    let folder = input
        .parent()
        .and_then(Path::file_name)
        .map(|name| name.to_string_lossy().into_owned());
    folder
        .filter(|_| stem == "series" || stem == "data")
        .unwrap_or_else(|| stem.to_owned())
}

fn one(work: &Work, args: &BacktestArgs, config: &Config) -> anyhow::Result<Value> {
    let mut recording = Recording::read(&work.input)?;
    if let Some((first, last)) = recording
        .span()
        .filter(|(first, last)| work.train_until <= *first || work.train_until > *last)
    {
        bail!(
            "rows run from {first} to {last}, so --train-until {} leaves none to {}; give a time between them",
            work.train_until,
            if work.train_until <= first {
                "learn from"
            } else {
                "score"
            }
        );
    }
    let mut labels = work.labels.as_deref().map(read_labels).transpose()?;
    if let Some(inject) = &args.inject {
        let spec = spec(inject, config.autoencoder.seed);
        labels = Some(inject_into(
            &mut recording,
            work.train_until,
            spec,
            labels.as_deref().unwrap_or_default(),
        ));
    }
    let result = backtest(&recording, work.train_until, config)?;
    write_atomic(&work.output, scores_csv(&result, args.explain)?.as_bytes())?;
    let scored = result
        .rows
        .iter()
        .filter(|row| score(row).is_some())
        .count();
    let flagged = result.rows.iter().filter(|row| is_anomaly(row)).count();
    let mut report = json!({
        "input": work.input, "output": work.output, "rows": result.rows.len(), "scored": scored, "flagged": flagged,
        "features": result.features.len(), "step_seconds": result.step.as_secs_f64(),
        "threshold_mse": result.learned.bundle.calibration.threshold_mse,
        "threshold_rule": result.learned.bundle.calibration.rule,
        "training_windows": result.learned.bundle.windows, "epochs": result.learned.bundle.epochs,
        "seed": config.autoencoder.seed,
    });
    if let (Some(labels), Some(map)) = (labels, report.as_object_mut()) {
        map.insert(
            "judged".into(),
            serde_json::to_value(judged(&result, &labels, work.train_until)?)?,
        );
    }
    Ok(report)
}

fn spec(inject: &Inject, seed: u64) -> InjectSpec {
    let kind = inject.kind.map(|kind| match kind {
        InjectKind::Spike => InjectionKind::Spike,
        InjectKind::Shift => InjectionKind::Shift,
        InjectKind::Dropout => InjectionKind::Dropout,
        InjectKind::Flat => InjectionKind::Flatline,
    });
    InjectSpec {
        count: inject.count,
        kind,
        seed: inject.seed.unwrap_or(seed),
    }
}

fn score(row: &Row) -> Option<f64> {
    row.verdict.as_ref().and_then(|verdict| verdict.score)
}

fn is_anomaly(row: &Row) -> bool {
    row.verdict
        .as_ref()
        .is_some_and(|verdict| verdict.is_anomaly)
}

/// The measures over every labelled row; only rows from `train_until` on are judged.
fn judged(
    result: &Backtest,
    labels: &[(Time, bool)],
    train_until: Time,
) -> anyhow::Result<JudgedReport> {
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
    let options = JudgeOptions {
        step: Some(result.step),
        from: Some(train_until),
        ..JudgeOptions::default()
    };
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

/// `scores.csv`: unix seconds, score over threshold, flag, each feature's share; with `explain` also what was expected, the
/// band ([`Backtest::band`]) and the gates.
fn scores_csv(result: &Backtest, explain: bool) -> anyhow::Result<String> {
    let mut csv = csv::Writer::from_writer(Vec::new());
    let mut header = vec!["timestamp".to_owned(), "score".into(), "is_anomaly".into()];
    header.extend(result.features.iter().cloned());
    if explain {
        for what in ["expected", "lower", "upper"] {
            let names = result.features.iter();
            header.extend(names.map(|feature| format!("{feature}.{what}")));
        }
        header.push("gates".into());
    }
    csv.write_record(&header)?;
    for row in &result.rows {
        let mut record = vec![
            seconds(row.time),
            score(row).map_or(String::new(), |score| score.to_string()),
            u8::from(is_anomaly(row)).to_string(),
        ];
        let verdict = row.verdict.as_deref();
        let mut add = |pick: &dyn Fn(&FeatureVerdict, f64) -> f64| {
            record.extend(cells(verdict, &result.band, pick));
        };
        add(&|feature, _| feature.share);
        if explain {
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
    let gate = |gate: &crate::domain::Gate| {
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

fn say(out: &mut dyn Write, report: &Value) -> anyhow::Result<()> {
    let text = |key: &str| {
        report
            .get(key)
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
    if let Some(judged) = report
        .get("judged")
        .and_then(|j| serde_json::from_value::<JudgedReport>(j.clone()).ok())
    {
        writeln!(out, "{}", judged.table())?;
    }
    Ok(())
}
