//! `backtest`: recordings through the live pipeline, scored and, with labels, judged.

mod report;
mod scores;
mod work;

use std::io::Write;
use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, bail};

use self::report::{Report, find_families};
use self::work::{Work, plan};
use super::Context;
use super::progress::Progress;
use crate::cli::{BacktestArgs, Inject, InjectKind};
use crate::config::Config;
use crate::disk::write_atomic;
use crate::engine::backtest::{backtest, inject_into};
use crate::engine::training::TrainingCache;
use crate::source::inject::{InjectSpec, InjectionKind};
use crate::source::recording::{Recording, read_labels};

/// `backtest`. Each job holds one input at a time, so memory grows with `--jobs`, not with the number of inputs; what
/// is written does not depend on it.
///
/// # Errors
/// When an input can't be read, has too little to learn from, or a result can't be written.
pub fn run(context: &Context, args: &BacktestArgs, out: &mut dyn Write) -> anyhow::Result<()> {
    let mut config = Config::clone(&context.config);
    config.autoencoder.seed = args.seed.unwrap_or(config.autoencoder.seed);
    let work = plan(args)?;
    let course = Course {
        args,
        config: &config,
        cache: args.cache.as_deref().map(TrainingCache::new),
        trainings: AtomicUsize::new(0),
        recalled: AtomicUsize::new(0),
        told: Told::new(work.len()),
    };
    let (mut reports, mut failures) = (Vec::new(), Vec::new());
    for done in course.all(&work) {
        match done {
            Ok(report) => reports.push(report),
            Err(error) => failures.push(error),
        }
    }
    if args.cache.is_some() {
        let recalled = course.recalled.load(Ordering::Relaxed);
        let all = course.trainings.load(Ordering::Relaxed);
        tracing::info!("{recalled} of {all} trainings were in the cache");
    }
    find_families(&mut reports);
    let several = work.len() > 1 || args.corpus.is_some();
    if let Some(path) = args.json.as_ref().filter(|_| !reports.is_empty()) {
        let whole = report::whole(&reports, several);
        write_atomic(path, format!("{whole:#}\n").as_bytes())?;
    }
    report::say(out, &reports, several)?;
    finished(failures, work.len())
}

/// What could be done was done; what could not fails the whole.
fn finished(mut failures: Vec<anyhow::Error>, inputs: usize) -> anyhow::Result<()> {
    match failures.len() {
        0 => Ok(()),
        1 if inputs == 1 => Err(failures.remove(0)),
        count => {
            let lines: Vec<String> = failures
                .iter()
                .map(|e| format!("\n  {}", super::with_causes(e)))
                .collect();
            bail!("{count} of {inputs} inputs failed:{}", lines.concat())
        }
    }
}

/// What all inputs have in common.
struct Course<'a> {
    args: &'a BacktestArgs,
    config: &'a Config,
    cache: Option<TrainingCache>,
    trainings: AtomicUsize,
    recalled: AtomicUsize,
    told: Told,
}

impl Course<'_> {
    /// Every input's report, in their order. The largest files are begun first, so that none is left to run alone at the
    /// end.
    fn all(&self, work: &[Work]) -> Vec<anyhow::Result<Report>> {
        let size = |item: &Work| std::fs::metadata(&item.input).map_or(0, |meta| meta.len());
        let mut order: Vec<(usize, &Work)> = work.iter().enumerate().collect();
        order.sort_by_key(|(_, item)| std::cmp::Reverse(size(item)));
        let next = AtomicUsize::new(0);
        let done: Mutex<Vec<(usize, anyhow::Result<Report>)>> = Mutex::new(Vec::new());
        let processors = || std::thread::available_parallelism().map_or(1, NonZero::get);
        let jobs = self.args.jobs.unwrap_or_else(processors);
        std::thread::scope(|scope| {
            for _ in 0..jobs.min(work.len()) {
                scope.spawn(|| {
                    while let Some((at, item)) = order.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let report = self
                            .one(item, *at)
                            .with_context(|| item.input.display().to_string());
                        self.told.set(*at, 1.0);
                        done.lock()
                            .unwrap_or_else(PoisonError::into_inner)
                            .push((*at, report));
                    }
                });
            }
        });
        let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
        done.sort_by_key(|(at, _)| *at);
        done.into_iter().map(|(_, report)| report).collect()
    }

    fn one(&self, work: &Work, at: usize) -> anyhow::Result<Report> {
        let (args, config) = (self.args, self.config);
        let mut recording = Recording::read(&work.input)?;
        check_split(work, &recording)?;
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
        let cache = self.cache.as_ref();
        let mut told = |part| self.told.set(at, part);
        let result = backtest(&recording, work.train_until, config, cache, &mut told)?;
        self.trainings
            .fetch_add(result.trainings, Ordering::Relaxed);
        self.recalled.fetch_add(result.recalled, Ordering::Relaxed);
        let csv = scores::csv(&result, args.explain)?;
        write_atomic(&work.output, csv.as_bytes())?;
        Report::new(work, &result, labels.as_deref(), config.autoencoder.seed)
    }
}

/// There must be rows on both sides of `--train-until`.
fn check_split(work: &Work, recording: &Recording) -> anyhow::Result<()> {
    let until = work.train_until;
    let Some((first, last)) = recording
        .span()
        .filter(|(first, last)| until <= *first || until > *last)
    else {
        return Ok(());
    };
    let lacking = if until <= first {
        "learn from"
    } else {
        "score"
    };
    bail!(
        "rows run from {first} to {last}, so --train-until {until} leaves none to {lacking}; give a time between them"
    )
}

/// How far all inputs are together.
struct Told {
    bar: Progress,
    parts: Mutex<Vec<f64>>,
}

impl Told {
    fn new(inputs: usize) -> Self {
        Self {
            bar: Progress::of("backtesting"),
            parts: Mutex::new(vec![0.0; inputs]),
        }
    }

    /// Input number `at` is done to this part, 0 to 1.
    fn set(&self, at: usize, part: f64) {
        let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = parts.get_mut(at) {
            *slot = part;
        }
        let done = parts.iter().filter(|part| **part >= 1.0).count();
        let mean = parts.iter().sum::<f64>() / parts.len().max(1) as f64;
        self.bar
            .set(mean, &format!("{done} of {} inputs done", parts.len()));
    }
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
