//! `collect`, `preprocess`, `train`, `filter`: the engine's steps one by one, chained by files in the data directory.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::json;

use super::Context;
use super::progress::{Passes, Progress};
use crate::cli::{CollectArgs, FilterArgs, PreprocessArgs, TrainArgs};
use crate::config::{Config, Fill, Promote, Weights, Written};
use crate::disk::DirLock;
use crate::disk::Table;
use crate::disk::write_atomic;
use crate::domain::{Decision, Entity, Frame};
use crate::engine::cleaning::{self, LeftOut};
use crate::engine::collector::Collecting;
use crate::engine::labelling::Grounds;
use crate::engine::learn::{self, Learned, Prepared};
use crate::engine::processed::{self, Scalers};
use crate::engine::training::Training;
use crate::engine::{models, open, promotion, sequences};
use crate::model::{Bundle, Progress as Epochs};
use crate::prep::calendar;
use crate::report::{npy, plots};
use crate::source::Collect;
use crate::source::recording;
use crate::source::replay::ReplaySource;
use crate::store::datasets::{self, Calendar};
use crate::store::{DataDir, Journal, ModelMeta, Registry};

const NORMAL: &str = "normal_sequences.npy";

/// `collect`: history from the source, or a file, into `raw.parquet`.
///
/// # Errors
/// When the source can't be reached, the file can't be read, or the result can't be written.
pub fn collect(context: &Context, args: &CollectArgs, out: &mut dyn Write) -> anyhow::Result<()> {
    let _lock = own(context, args.output.as_deref())?;
    let output = args
        .output
        .clone()
        .unwrap_or_else(|| context.data_dir.join("raw.parquet"));
    let (frames, warnings) = match &args.input {
        Some(file) => recorded(context, file)?,
        None if context.embedded => (
            vec![
                ReplaySource::sample(context.now(), 0.0, 0)?
                    .recorded()
                    .clone(),
            ],
            vec!["no configuration: this is the built-in sample".into()],
        ),
        None => ask_source(context)?,
    };
    for warning in &warnings {
        tracing::warn!("{warning}");
    }
    let rows: usize = frames.iter().map(|frame| frame.grid().len()).sum();
    if rows == 0 {
        bail!(
            "the source has no rows in the period that was asked for; check `pulsewatch check`, or ask for another [history] period"
        );
    }
    let zone = learn::time_zone(&context.config)?;
    let calendars: Vec<_> = frames
        .iter()
        .map(|frame| calendar::columns(frame.grid(), &zone))
        .collect();
    let column = |at: usize| {
        calendars
            .iter()
            .flat_map(|c| {
                c.column(at)
                    .iter()
                    .map(|v| f64::from(*v))
                    .collect::<Vec<_>>()
            })
            .collect()
    };
    datasets::save_frames(
        &output,
        &frames,
        Some(&Calendar {
            day_of_week: column(0),
            hour_of_day: column(1),
        }),
    )?;
    let missing = frames
        .iter()
        .flat_map(|frame| frame.values().iter().copied().collect::<Vec<_>>())
        .filter(|v| v.is_nan())
        .count();
    let features: Vec<&str> = frames
        .first()
        .map(|f| f.schema().iter().map(|f| &*f.name).collect())
        .unwrap_or_default();
    let summary = json!({
        "output": output, "rows": rows, "features": features, "missing_values": missing, "warnings": warnings,
        "entities": frames.iter().map(|f| f.entity().name()).collect::<std::collections::BTreeSet<_>>().len(),
    });
    say(
        out,
        args.summary.json,
        &summary,
        &format!(
            "{rows} rows of {} features, {missing} values missing → {}",
            features.len(),
            output.display()
        ),
    )
}

/// The data directory for this process alone, unless what is written goes elsewhere.
fn own(context: &Context, output: Option<&Path>) -> anyhow::Result<Option<DirLock>> {
    let lock = output.is_none().then(|| DirLock::take(&context.data_dir));
    Ok(lock.transpose()?)
}

/// A file's rows on the grid, and what was done with them.
fn recorded(context: &Context, file: &Path) -> anyhow::Result<(Vec<Frame>, Vec<String>)> {
    let recorded = recording::read(file, &context.reading()?)?;
    let rows = recorded.recording;
    let gridded = rows.frame(rows.step(), Entity::sole(), context.config.source.merge)?;
    let notices = recorded.notices.into_iter().chain(gridded.notice());
    let named = notices.map(|notice| format!("{}: {notice}", file.display()));
    let named = named.collect();
    Ok((vec![gridded.frame], named))
}

fn ask_source(context: &Context) -> anyhow::Result<(Vec<Frame>, Vec<String>)> {
    context.ready_to_collect()?;
    let now = context.now();
    let opened = open::open(&context.config, &context.data_dir, now)?;
    let settings = Collecting::of(&opened.config, &opened.source);
    let source = opened.source;
    let periods = settings.periods(source.now(now));
    let progress = Progress::of("collecting");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let batch = runtime.block_on(source.history(&periods, None, &|part| progress.set(part, "")))?;
    Ok((
        batch.frames,
        opened.notices.into_iter().chain(batch.warnings).collect(),
    ))
}

/// `preprocess`: `raw.parquet` into `processed.parquet` and `scaler.json`.
///
/// # Errors
/// When there is no raw data or it can't be prepared.
pub fn preprocess(
    context: &Context,
    args: &PreprocessArgs,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let lock = own(context, args.output.as_deref())?;
    let input = args
        .input
        .clone()
        .unwrap_or_else(|| context.data_dir.join("raw.parquet"));
    let output = args
        .output
        .clone()
        .unwrap_or_else(|| context.data_dir.join("processed.parquet"));
    let foreign = args.input.is_some() && !datasets::is_of_frames(&input);
    let frames = if foreign {
        // As `collect` would take it: times, labels and rows that share a time are its business.
        let (frames, notices) = recorded(context, &input)?;
        for notice in notices {
            tracing::warn!("{notice}");
        }
        frames
    } else {
        datasets::load_frames(&input).with_context(|| {
            format!(
                "run `pulsewatch collect` first, or name a file with --input ({})",
                input.display()
            )
        })?
    };
    let steps = frames.first().map(|frame| frame.grid().step());
    let config = on_step(&context.config, steps);
    let prepared = learn::prepare(frames, &left_out(context, &config, lock.as_ref())?, &config)?;
    let (table, scalers) = processed::to_table(&prepared, &config.preprocess);
    let gaps = processed::rows_with_gaps(&prepared);
    table.save(&output)?;
    let scaler = scaler_path(&output);
    datasets::save_json(&scaler, &scalers)?;
    let windows: usize = learn::groups(&prepared, &config)?
        .iter()
        .map(|(_, set)| set.len())
        .sum();
    let summary = json!({
        "output": output, "scaler": scaler, "rows": table.times.len(), "windows": windows, "rows_with_gaps": gaps,
        "left_out": prepared.left_out,
    });
    say(
        out,
        args.summary.json,
        &summary,
        &format!(
            "{} rows, {windows} usable windows → {} and {}\n{}{}",
            table.times.len(),
            output.display(),
            scaler.display(),
            prepared.left_out,
            about_gaps(gaps, config.preprocess.fill)
        ),
    )
}

/// What became of rows with a gap, where they are not filled.
fn about_gaps(rows: usize, fill: Fill) -> String {
    match fill {
        Fill::Drop if rows > 0 => format!(
            "\n{rows} rows lacked a value and were dropped; no window reaches over the places where they were"
        ),
        Fill::None if rows > 0 => {
            format!("\n{rows} rows lack a value and keep it missing; no window touches them")
        }
        _ => String::new(),
    }
}

/// The scaler stands beside the rows that it scaled.
fn scaler_path(processed: &Path) -> PathBuf {
    processed.with_file_name("scaler.json")
}

fn load_processed(path: &Path, config: &Config) -> anyhow::Result<Prepared> {
    let hint = || {
        format!(
            "run `pulsewatch preprocess` first, or name a file with --input ({})",
            path.display()
        )
    };
    let table = Table::load(path).with_context(hint)?;
    let scalers: Scalers = datasets::load_json(&scaler_path(path)).with_context(hint)?;
    processed::from_table(&table, scalers, &config.preprocess)
        .with_context(|| path.display().to_string())
}

/// `train`: a new model version with its pictures.
///
/// # Errors
/// When there is too little data, training fails, or the model can't be written.
pub fn train(context: &Context, args: &TrainArgs, out: &mut dyn Write) -> anyhow::Result<()> {
    if !context.config.detects() {
        let path = ["autoencoder", "enabled"];
        let problem = "no model is trained with this setting and [forecast] enabled = false";
        let remedy = "write true for one of them, or take it out, to train one";
        Written::refuse(vec![context.written.error(&path, problem, remedy)])?;
    }
    let lock = own(context, None)?;
    let started = context.now();
    let (input, sequences) = training_input(context, args);
    let mut prepared = load_processed(&input, &context.config)?;
    let mut config = Config::clone(&on_step(&context.config, step(&prepared)));
    config.autoencoder.epochs = args.epochs.unwrap_or(config.autoencoder.epochs);
    config.autoencoder.seed = args.seed.unwrap_or(config.autoencoder.seed);
    let bar = Progress::of("training");
    let networks = match config.entities.weights {
        Weights::Shared => 1,
        Weights::Own => prepared.stretches.len().max(1),
    };
    let mut passes = Passes::new(networks);
    let mut hear = |p: Epochs| {
        let part = passes.part(&p);
        let pass = passes.number();
        bar.set(
            part,
            &format!(
                "pass {pass} of at most 2, epoch {} of {}, loss {:.6}",
                p.epoch, p.epochs, p.train_loss
            ),
        );
    };
    let cancel = AtomicBool::new(false);
    let mut training = Training::new(&cancel, &mut hear);
    let (learned, can_be_compared) = if let Some(file) = sequences {
        learn_filtered(&file, &prepared, &config, &mut training)?
    } else {
        let out = left_out(context, &config, lock.as_ref())?;
        let learned = cleaning::refine(&mut prepared, &out, &config, &mut training)?;
        (learned, true)
    };
    drop(bar);
    let registry = Registry::open(&DataDir::at(&context.data_dir).models());
    let champion = models::load(&registry, &config)?
        .model
        .map(|(bundle, _)| bundle);
    let scoring = registry.current_version()?;
    let is_same = scoring == Some(models::version(&learned.bundle)?);
    let is_asked = args.force || config.retrain.promote == Promote::Always;
    let decision = if is_same {
        models::same_again()
    } else if champion.is_some() && !can_be_compared && !is_asked {
        Decision {
            promoted: false,
            reason: format!(
                "its sequences are not of {}, so it can't be compared with the model that scores",
                input.display()
            ),
            comparison: None,
        }
    } else {
        promotion::decide(&prepared, &learned, champion.as_ref(), args.force, &config)?
    };
    let times = (started, context.now());
    let meta = models::keep(&registry, &learned, &decision, times, config.retrain.keep)?;
    let plots = DataDir::at(&context.data_dir).plots();
    draw(&learned, &plots)?;
    let summary = json!({
        "version": meta.version, "model": meta,
        "windows": { "available": meta.windows, "trained_on": learned.trained_windows, "held_back": learned.held_back.len() },
        "suggested_threshold_mse": meta.threshold_mse, "plots": plots,
        "left_out": learned.left_out,
    });
    let remedy = if decision.promoted {
        String::new()
    } else {
        format!(
            "\nthe model before it goes on scoring; `pulsewatch models use {}` or `pulsewatch train --force` takes the new one all the same",
            meta.version
        )
    };
    let text = format!(
        "model {}: trained on {} of {} windows, {} held back; {} epochs, validation loss {:.6}\n{}\nsuggested threshold (mean squared error): {:.6} ({})\n{}{remedy}\npictures: {}",
        meta.version,
        learned.trained_windows,
        meta.windows,
        learned.held_back.len(),
        meta.epochs,
        meta.val_loss,
        learned.left_out,
        meta.threshold_mse,
        meta.threshold_rule,
        decision.told(),
        plots.display()
    );
    say(out, args.summary.json, &summary, &text)
}

/// The prepared rows, and the sequences that `filter` left of them when those are to be trained on.
fn training_input(context: &Context, args: &TrainArgs) -> (PathBuf, Option<PathBuf>) {
    let processed = || context.data_dir.join("processed.parquet");
    match &args.input {
        Some(file) if file.extension().is_some_and(|end| end == "npy") => {
            (processed(), Some(file.clone()))
        }
        input => {
            let left = args.on_filtered.then(|| context.data_dir.join(NORMAL));
            (input.clone().unwrap_or_else(processed), left)
        }
    }
}

/// Learns from the sequences that `filter` left. Says also whether the model can be compared with another one: only when
/// they are windows of the prepared rows, whose times are known.
fn learn_filtered(
    file: &Path,
    prepared: &Prepared,
    config: &Config,
    training: &mut Training<'_>,
) -> anyhow::Result<(Learned, bool)> {
    let windows = read_sequences(file)?;
    let (have, need) = (windows.dim().0, config.windows_needed());
    if have < need {
        bail!(
            "{}: `filter` left {have} normal sequences, and a training needs {need}; run `pulsewatch filter` with a higher --threshold",
            file.display()
        );
    }
    let found = sequences::among(&windows, prepared, config)?;
    let can_be_compared = found.is_some();
    let learned = if let Some(groups) = found {
        learn::learn_from(prepared, groups, config, training)?
    } else {
        let set = sequences::as_set(&windows, prepared.schema.len())?;
        let groups = vec![(Entity::sole(), set)];
        Learned {
            // They are of other rows, and do not say when they were.
            held_back_at: Vec::new(),
            ..learn::learn_from(prepared, groups, config, training)?
        }
    };
    let learned = learn::with_views(learned, prepared, config, training.cancel)?;
    Ok((learned, can_be_compared))
}

/// What is not learned from, by the configuration and by the journal's labels.
fn left_out(
    context: &Context,
    config: &Config,
    owned: Option<&DirLock>,
) -> anyhow::Result<LeftOut> {
    let out = LeftOut::of(config);
    Ok(match journal(context, owned)? {
        Some(journal) => out.and_incidents(&journal.labelled()?, cleaning::around(config)),
        None => out,
    })
}

/// The journal, if there is one. Only the owner of the data directory sets a damaged one aside or brings an older one over.
fn journal(context: &Context, owned: Option<&DirLock>) -> anyhow::Result<Option<Journal>> {
    let path = DataDir::at(&context.data_dir).journal();
    if !path.exists() {
        return Ok(None);
    }
    if owned.is_none() {
        return Ok(Some(Journal::open_to_read(&path)?));
    }
    let (journal, notice) = Journal::open(&path)?;
    if let Some(notice) = notice {
        tracing::warn!("{notice}");
    }
    Ok(Some(journal))
}

/// The configuration on the step of the rows, which is the one that the engine has for them.
fn on_step(config: &Arc<Config>, step: Option<Duration>) -> Arc<Config> {
    let mut config = Arc::clone(config);
    if let Some(step) = step.filter(|step| *step != config.source.step.0) {
        Arc::make_mut(&mut config).source.step.0 = step;
    }
    config
}

/// The step of prepared rows.
fn step(prepared: &Prepared) -> Option<Duration> {
    let mut stretches = prepared.stretches.values().flatten();
    stretches.next().map(|stretch| stretch.grid.step())
}

/// What `filter` left, `[n, window, columns]`.
fn read_sequences(path: &Path) -> anyhow::Result<ndarray::Array3<f32>> {
    let bytes = std::fs::read(path)
        .with_context(|| format!("run `pulsewatch filter` first ({})", path.display()))?;
    let array = npy::from_npy(&bytes).with_context(|| path.display().to_string())?;
    array.into_dimensionality().with_context(|| {
        format!(
            "{} does not hold sequences [n, window, features]",
            path.display()
        )
    })
}

/// The loss curve and the histogram of held-back errors with the threshold.
fn draw(learned: &Learned, folder: &Path) -> anyhow::Result<()> {
    // A model without a network has no losses.
    if !learned.losses.is_empty() {
        let losses = plots::loss_png(&learned.losses, learned.best_epoch)?;
        write_atomic(&folder.join("loss.png"), &losses)?;
    }
    let histogram =
        plots::histogram_png(&learned.held_back, learned.bundle.calibration.threshold_mse)?;
    Ok(write_atomic(
        &folder.join("reconstruction_error_histogram.png"),
        &histogram,
    )?)
}

/// `filter`: every window as normal or anomalous under the current model.
///
/// # Errors
/// When there is no model, it does not fit the data, or the result can't be written.
pub fn filter(context: &Context, args: &FilterArgs, out: &mut dyn Write) -> anyhow::Result<()> {
    let _lock = own(context, None)?;
    let dir = &context.data_dir;
    let target = args.output.as_ref().unwrap_or(dir);
    let prepared = load_processed(&dir.join("processed.parquet"), &context.config)?;
    let config = on_step(&context.config, step(&prepared));
    let registry = Registry::open(&DataDir::at(dir).models());
    let (bundle, meta) = current_model(&registry, &config)?;
    let version = meta.version;
    bundle.fits(&prepared.schema)?;
    anyhow::ensure!(
        !bundle.networks.is_empty(),
        "filter sorts windows by how well a network rebuilds them, and model {version} has no network: its forecast detects alone; write true for [autoencoder] enabled and train"
    );
    if bundle.scalers != prepared.scalers {
        tracing::warn!(
            "model {version} learned from rows on another scale than those of processed.parquet; run `pulsewatch train` for a \
             model of these"
        );
    }
    let threshold = match args.threshold {
        Some(threshold) => threshold,
        None => bundle.calibration.threshold_mse * raise(context, &registry, &config)?,
    };
    let sorted = sequences::sort(&prepared, &bundle, threshold, &config)?;
    write_atomic(&target.join(NORMAL), &npy::to_npy(&sorted.normal)?)?;
    write_atomic(
        &target.join("anomalous_sequences.npy"),
        &npy::to_npy(&sorted.anomalous)?,
    )?;
    if args.all_errors {
        write_atomic(
            &target.join("all_sequence_errors.npy"),
            &npy::to_npy(&sorted.errors)?,
        )?;
    }
    let (normal, anomalous) = (sorted.normal.dim().0, sorted.anomalous.dim().0);
    let summary = json!({ "model": version, "threshold_mse": threshold, "normal": normal, "anomalous": anomalous, "output": target });
    say(
        out,
        args.summary.json,
        &summary,
        &format!(
            "model {version}, threshold {threshold:.6}: {normal} normal and {anomalous} anomalous sequences → {}",
            target.display()
        ),
    )
}

/// The model that the engine would score with.
fn current_model(registry: &Registry, config: &Config) -> anyhow::Result<(Bundle, ModelMeta)> {
    let found = models::load(registry, config)?;
    let taken = found.model.is_some();
    for notice in found.notices.iter().filter(|_| taken) {
        tracing::warn!("{notice}");
    }
    found.model.with_context(|| match found.notices.as_slice() {
        [] => "there is no model yet; run `pulsewatch train` first".to_owned(),
        notices => format!("{}; run `pulsewatch train`", notices.join("; ")),
    })
}

/// How many times the calibrated threshold is in force, by the journal's labels.
fn raise(context: &Context, registry: &Registry, config: &Config) -> anyhow::Result<f64> {
    let Some(journal) = journal(context, None)? else {
        return Ok(1.0);
    };
    let labelled = journal.labelled()?;
    Ok(Grounds::current(registry, config).raise(&journal, &labelled)?)
}

/// The result, for people or for programs.
fn say(
    out: &mut dyn Write,
    as_json: bool,
    summary: &serde_json::Value,
    text: &str,
) -> anyhow::Result<()> {
    if as_json {
        serde_json::to_writer_pretty(&mut *out, summary)?;
        writeln!(out)?;
    } else {
        writeln!(out, "{text}")?;
    }
    Ok(())
}
