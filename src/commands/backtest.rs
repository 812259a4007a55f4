//! `backtest`: recordings through the live pipeline, scored and, with labels, judged.

use std::collections::HashMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context as _, bail};
use serde_json::{Value, json};

use super::Context;
use crate::cli::{BacktestArgs, Inject, InjectKind};
use crate::config::Config;
use crate::disk::write_atomic;
use crate::domain::{Time, Verdict};
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
    let reports = done
        .into_iter()
        .map(|(_, report)| report)
        .collect::<anyhow::Result<Vec<Value>>>()?;
    if let Some(path) = &args.json {
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
    Ok(())
}

fn plan(args: &BacktestArgs) -> anyhow::Result<Vec<Work>> {
    let several = args.input.len() > 1;
    if args.train_until.len() != 1 && args.train_until.len() != args.input.len() {
        bail!(
            "--train-until is given {} times for {} inputs; give it once, or once per --input",
            args.train_until.len(),
            args.input.len()
        );
    }
    if !args.labels.is_empty() && args.labels.len() != args.input.len() {
        bail!(
            "--labels is given {} times for {} inputs; give it once per --input, in the same order",
            args.labels.len(),
            args.input.len()
        );
    }
    let item = |(at, input): (usize, &PathBuf)| {
        let until = args
            .train_until
            .get(at)
            .or(args.train_until.first())
            .copied()
            .context("--train-until is missing")?;
        let output = if several {
            args.output.join(format!("{}.csv", name_of(input, at)))
        } else {
            args.output.clone()
        };
        Ok(Work {
            input: input.clone(),
            train_until: until,
            labels: args.labels.get(at).cloned(),
            output,
        })
    };
    args.input.iter().enumerate().map(item).collect()
}

/// A name for an input's output: the file's, or its folder's when all files are called alike (`NAME/series.csv.gz`).
fn name_of(input: &Path, at: usize) -> String {
    let file = input
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    let stem = file.split('.').next().unwrap_or_default().to_owned();
    let folder = input
        .parent()
        .and_then(Path::file_name)
        .map(|name| name.to_string_lossy().into_owned());
    match folder {
        Some(folder) if stem == "series" || stem == "data" => folder,
        _ if stem.is_empty() => at.to_string(),
        _ => stem,
    }
}

fn one(work: &Work, args: &BacktestArgs, config: &Config) -> anyhow::Result<Value> {
    let mut recording = Recording::read(&work.input)?;
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

/// `scores.csv`: unix seconds, score over threshold, flag, each feature's share; with `explain` what was expected too.
fn scores_csv(result: &Backtest, explain: bool) -> anyhow::Result<String> {
    let mut csv = csv::Writer::from_writer(Vec::new());
    let mut header = vec!["timestamp".to_owned(), "score".into(), "is_anomaly".into()];
    header.extend(result.features.iter().cloned());
    if explain {
        header.extend(
            result
                .features
                .iter()
                .map(|feature| format!("{feature}.expected")),
        );
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
        record.extend(cells(verdict, result.features.len(), |feature| {
            feature.share
        }));
        if explain {
            record.extend(cells(verdict, result.features.len(), |feature| {
                feature.expected
            }));
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

fn cells(
    verdict: Option<&Verdict>,
    count: usize,
    pick: impl Fn(&crate::domain::FeatureVerdict) -> f64,
) -> Vec<String> {
    let mut cells: Vec<String> = verdict
        .iter()
        .flat_map(|verdict| &verdict.features)
        .map(pick)
        .map(|value| {
            if value.is_finite() {
                value.to_string()
            } else {
                String::new()
            }
        })
        .collect();
    cells.resize(count, String::new());
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
