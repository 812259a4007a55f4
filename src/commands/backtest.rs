//! `backtest`: recordings through the live pipeline, scored and, with labels, judged.

mod alarms;
mod report;
mod scores;
mod work;

use std::collections::{BTreeSet, HashSet};
use std::io::Write;
use std::num::NonZero;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, anyhow, bail};

use self::report::{Outcome, Report, find_families};
use self::work::{Work, plan};
use super::Context;
use super::progress::Progress;
use crate::cli::{BacktestArgs, Inject, InjectKind};
use crate::config::Config;
use crate::disk::write_atomic;
use crate::domain::Time;
use crate::engine::backtest::{Backtest, backtest, inject_into};
use crate::engine::training::TrainingCache;
use crate::source::inject::{InjectSpec, InjectionKind};
use crate::source::recording::{self, Reading, Recording, read_labels};

/// `backtest`. Each job holds one input at a time, so memory grows with `--jobs`, not with the number of inputs; what
/// is written does not depend on it.
///
/// # Errors
/// When an input can't be read, has too little to learn from, or a result can't be written.
pub fn run(context: &Context, args: &BacktestArgs, out: &mut dyn Write) -> anyhow::Result<()> {
    let mut config = Config::clone(&context.config);
    config.autoencoder.seed = args.seed.unwrap_or(config.autoencoder.seed);
    let (work, mut failures) = plan(args)?;
    let inputs = work.len() + failures.len();
    let course = Course {
        args,
        config: &config,
        reading: context.reading()?,
        notices: Mutex::default(),
        cache: args.cache.as_deref().map(TrainingCache::new),
        trainings: AtomicUsize::new(0),
        recalled: AtomicUsize::new(0),
        told: Told::new(work.len()),
    };
    let mut reports = Vec::new();
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
    let failed: Vec<String> = failures.iter().map(super::with_causes).collect();
    // The report is there for whoever ran it, also when it can't be kept.
    report::say(out, &reports, several)?;
    if let Some(path) = args.json.as_ref().filter(|_| !reports.is_empty()) {
        let whole = report::whole(&reports, &failed, several);
        write_atomic(path, format!("{whole:#}\n").as_bytes())?;
    }
    finished(failures, inputs)
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
    reading: Reading,
    /// What was said of some input, so that it is said once.
    notices: Mutex<BTreeSet<String>>,
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
                        let report = catch_unwind(AssertUnwindSafe(|| self.one(item, *at)))
                            .unwrap_or_else(|_| {
                                Err(anyhow!(
                                    "this is a defect of the program: it panicked; see the log"
                                ))
                            })
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
        let recorded = recording::read(&work.input, &self.reading)?;
        let (mut recording, mut notices) = (recorded.recording, recorded.notices);
        check_split(work, &recording)?;
        let given = work.labels.as_deref();
        let mut labels = given
            .map(|path| read_labels(path, &self.reading))
            .transpose()?;
        if recorded.labels.is_some() {
            notices.push(match given {
                Some(path) => format!(
                    "it is judged by {}, not by the labels in it",
                    path.display()
                ),
                None => "it is judged by the labels in it".into(),
            });
            labels = labels.or(recorded.labels);
        }
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
        let written = &recorded.written;
        let csv = scores::csv(&result, written, args.explain)?;
        write_atomic(&work.output, csv.as_bytes())?;
        notices.extend(result.superseded.1.clone());
        notices.extend(result.too_little.clone());
        let labels = labels.as_deref();
        notices.extend(
            labels
                .map(|labels| check_labels(work, &result, labels))
                .transpose()?
                .flatten(),
        );
        self.say(work, &notices);
        let outcome = Outcome {
            result: &result,
            labels,
            written,
            notices: &notices,
        };
        Report::new(work, &outcome, config.autoencoder.seed)
    }

    /// Logs what there is to know of an input; what was said of another one is not said again.
    fn say(&self, work: &Work, notices: &[String]) {
        let mut said = self.notices.lock().unwrap_or_else(PoisonError::into_inner);
        for notice in notices {
            if said.insert(notice.clone()) {
                tracing::warn!("{}: {notice}", work.input.display());
            }
        }
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

/// Labels must be of these rows; how many are not is said.
fn check_labels(
    work: &Work,
    result: &Backtest,
    labels: &[(Time, bool)],
) -> anyhow::Result<Option<String>> {
    let until = work.train_until;
    let rows: HashSet<Time> = result.rows.iter().map(|row| row.time).collect();
    let judged: Vec<Time> = labels
        .iter()
        .map(|(time, _)| *time)
        .filter(|time| *time >= until)
        .collect();
    let strange = judged.iter().filter(|time| !rows.contains(time)).count();
    let name = || {
        work.labels
            .as_ref()
            .map_or("the labels".into(), |path| path.display().to_string())
    };
    if strange > 0 && strange == judged.len() {
        let span = |times: &mut dyn Iterator<Item = Time>| {
            let (first, last) = times.fold(
                (None, None),
                |(first, last): (Option<Time>, Option<Time>), time| {
                    (
                        Some(first.map_or(time, |first| first.min(time))),
                        Some(last.map_or(time, |last| last.max(time))),
                    )
                },
            );
            let text = |time: Option<Time>| time.map_or(String::new(), |time| time.to_string());
            format!("{} to {}", text(first), text(last))
        };
        bail!(
            "{}: none of the {strange} labelled times from {until} on is the time of a row; the labels run from {}, the rows from \
             {}; label the times that the series has",
            name(),
            span(&mut judged.iter().copied()),
            span(&mut rows.iter().copied())
        );
    }
    Ok((strange > 0).then(|| {
        format!(
            "{}: {strange} of {} labelled times are of no row and count as rows without a score",
            name(),
            judged.len()
        )
    }))
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
