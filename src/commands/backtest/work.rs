//! What a backtest has to do: its inputs with what belongs to each.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde::Deserialize;

use crate::cli::BacktestArgs;
use crate::commands::BadUsage;
use crate::domain::Time;
use crate::report::judge::JudgeOptions;

/// What a corpus calls its series, in the order in which they are looked for.
const SERIES: [&str; 3] = ["series.csv", "series.csv.gz", "series.parquet"];
/// And its labels.
const LABELS: [&str; 2] = ["labels.csv", "labels.csv.gz"];
/// And what describes a series.
const META: &str = "meta.json";

/// One input with what belongs to it.
pub struct Work {
    /// For tables and the output.
    pub name: String,
    /// The series.
    pub input: PathBuf,
    /// Where learning ends.
    pub train_until: Time,
    /// What to judge against.
    pub labels: Option<PathBuf>,
    /// Where the scores go.
    pub output: PathBuf,
    /// What its folder says of it.
    pub meta: Meta,
}

/// `meta.json` beside a series: how it is to be judged. Keys that are not here are not read.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct Meta {
    /// Series of one family are also judged as one.
    pub family: Option<String>,
    /// End of the training part, unix seconds.
    train_end: Option<f64>,
    /// Seconds of a row.
    step: Option<f64>,
    /// Widest buffer of VUS, rows.
    vus_window: Option<usize>,
    /// First and last time of NAB's windows, unix seconds.
    nab_windows: Option<Vec<(f64, f64)>>,
}

impl Meta {
    /// The description of the series in `folder`; nothing is known when there is none.
    fn read(folder: &Path) -> anyhow::Result<Self> {
        let path = folder.join(META);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Self::default());
            }
            Err(error) => bail!("{}: {error}", path.display()),
        };
        serde_json::from_str::<Self>(&text)
            .map_err(anyhow::Error::from)
            .and_then(Self::checked)
            .with_context(|| path.display().to_string())
    }

    fn checked(self) -> anyhow::Result<Self> {
        let windows = self.nab_windows.iter().flatten();
        let times = windows.flat_map(|(first, last)| [first, last]);
        if let Some(time) = times
            .chain(&self.train_end)
            .find(|time| Time::from_secs_f64(**time).is_none())
        {
            bail!("{time:?} is no time; give unix seconds");
        }
        if let Some(step) = self.step.filter(|step| seconds(*step).is_none()) {
            bail!("`step` is {step}; give the seconds of a row, over 0");
        }
        Ok(self)
    }

    /// How the series is to be judged; `step` is the one that was found in it.
    pub fn options(&self, train_until: Time, step: Duration) -> JudgeOptions {
        let default = JudgeOptions::default();
        let windows = self.nab_windows.as_ref().map(|windows| {
            let time = Time::from_secs_f64;
            let ends = |(first, last): &(f64, f64)| Some((time(*first)?, time(*last)?));
            windows.iter().filter_map(ends).collect()
        });
        JudgeOptions {
            from: Some(train_until),
            step: Some(self.step.and_then(seconds).unwrap_or(step)),
            vus_window: self.vus_window.unwrap_or(default.vus_window),
            nab_windows: windows,
            ..default
        }
    }
}

fn seconds(step: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(step)
        .ok()
        .filter(|step| !step.is_zero())
}

/// What there is to do: the inputs as they were given, or every series of the corpus; and why some of these can't be.
///
/// # Errors
/// [`BadUsage`] for a command line that makes no sense; a corpus, or the description of an input, that can't be read.
pub fn plan(args: &BacktestArgs) -> anyhow::Result<(Vec<Work>, Vec<anyhow::Error>)> {
    match &args.corpus {
        Some(folder) => corpus(folder, &args.output),
        None => Ok((inputs(args)?, Vec::new())),
    }
}

/// Every folder in `folder` that describes a series, in the order of their names.
fn corpus(folder: &Path, output: &Path) -> anyhow::Result<(Vec<Work>, Vec<anyhow::Error>)> {
    let entries = std::fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let mut folders = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<Vec<_>, _>>()
        .with_context(|| folder.display().to_string())?;
    folders.retain(|path| path.join(META).is_file());
    folders.sort();
    if folders.is_empty() {
        bail!(
            "{} holds no series; lay it out as NAME/series.csv, NAME/labels.csv and NAME/{META}",
            folder.display()
        );
    }
    let (mut work, mut failures) = (Vec::new(), Vec::new());
    for folder in &folders {
        match member(folder, output) {
            Ok(member) => work.push(member),
            Err(error) => failures.push(error),
        }
    }
    Ok((work, failures))
}

/// One series of a corpus.
fn member(folder: &Path, output: &Path) -> anyhow::Result<Work> {
    let find = |names: &[&str]| {
        let mut paths = names.iter().map(|name| folder.join(name));
        paths.find(|path| path.is_file())
    };
    let Some(input) = find(&SERIES) else {
        bail!("{} has no {}", folder.display(), SERIES.join(", no "));
    };
    let meta = Meta::read(folder)?;
    let Some(train_until) = meta.train_end.and_then(Time::from_secs_f64) else {
        bail!(
            "{}: `train_end` is missing; say in unix seconds where learning ends",
            folder.join(META).display()
        );
    };
    let name = name_of(&input);
    Ok(Work {
        output: output.join(format!("{name}.csv")),
        name,
        input,
        train_until,
        labels: find(&LABELS),
        meta,
    })
}

fn inputs(args: &BacktestArgs) -> anyhow::Result<Vec<Work>> {
    let several = args.input.len() > 1;
    check_counts(args)?;
    let mut taken = HashMap::new();
    let mut work = Vec::new();
    for (at, input) in args.input.iter().enumerate() {
        let name = name_of(input);
        let output = if several {
            args.output.join(format!("{name}.csv"))
        } else {
            args.output.clone()
        };
        if let Some(other) = taken.insert(output.clone(), input) {
            return Err(BadUsage(format!(
                "{} and {} would both write {}; give the files different names, or run them apart",
                other.display(),
                input.display(),
                output.display()
            ))
            .into());
        }
        // What is beside a file belongs to it when the folder is the series' own.
        let meta = match input.parent().filter(|_| has_own_folder(input)) {
            Some(folder) => Meta::read(folder)?,
            None => Meta::default(),
        };
        // One time for all of them, or each its own.
        let given = args.train_until.get(at).or(args.train_until.first());
        let Some(train_until) = given
            .copied()
            .or_else(|| meta.train_end.and_then(Time::from_secs_f64))
        else {
            return Err(BadUsage(format!(
                "--train-until is missing, and no {META} with `train_end` describes {}; give it once, or once per --input",
                input.display()
            ))
            .into());
        };
        work.push(Work {
            name,
            input: input.clone(),
            train_until,
            labels: args.labels.get(at).cloned(),
            output,
            meta,
        });
    }
    Ok(work)
}

/// What is given once per input is.
fn check_counts(args: &BacktestArgs) -> Result<(), BadUsage> {
    let (inputs, moments, labels) = (args.input.len(), args.train_until.len(), args.labels.len());
    if moments > 1 && moments != inputs {
        return Err(BadUsage(format!(
            "--train-until is given {moments} times for {inputs} inputs; give it once, or once per --input"
        )));
    }
    if labels > 0 && labels != inputs {
        return Err(BadUsage(format!(
            "--labels is given {labels} times for {inputs} inputs; give it once per --input, in the same order"
        )));
    }
    Ok(())
}

/// A file's name without its endings.
fn stem(file: &Path) -> String {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let mut stem: &str = &name;
    for ending in [".gz", ".csv", ".parquet"] {
        stem = stem.strip_suffix(ending).unwrap_or(stem);
    }
    stem.to_owned()
}

/// Whether the folder is the series' own: all files are then called alike (`NAME/series.csv.gz`).
fn has_own_folder(input: &Path) -> bool {
    ["series", "data"].contains(&stem(input).as_str())
}

/// A name for an input: the file's, or its folder's when that is its own.
fn name_of(input: &Path) -> String {
    let folder = input.parent().and_then(Path::file_name);
    folder
        .filter(|_| has_own_folder(input))
        .map_or_else(|| stem(input), |name| name.to_string_lossy().into_owned())
}
