//! `check`: what would go wrong, before it does.

use std::io::Write;
use std::time::Duration;

use serde_json::{Value, json};

use super::Context;
use crate::cli::CheckArgs;
use crate::config::{Config, ConfigErrors, SourceKind, Weights, Written};
use crate::disk::free_space;
use crate::domain::Time;
use crate::engine::collector::Collecting;
use crate::engine::open;
use crate::model::Shape;
use crate::serve::Server;
use crate::source::Collect as _;
use crate::source::any::Source;
use crate::source::prometheus::{ProbeReport, QueryProbe};
use crate::source::replay::ReplaySource;

/// Bytes that one stored value takes in Parquet, roughly: metrics compress to a quarter or less.
const STORED: f64 = 4.0;

/// Multiply-adds a second that plain training reaches on one ordinary core, for an estimate only.
const FLOPS: f64 = 4e9;

/// `check`: what a run would refuse, source, series per query, disk, and an estimate of the cost.
///
/// # Errors
/// When a run could not begin or never train, the source can't be reached or a query fails.
pub fn run(context: &Context, args: &CheckArgs, out: &mut dyn Write) -> anyhow::Result<()> {
    let config = &context.config;
    context.ready_to_run()?;
    // A port that is taken is no fault here: it may be the engine that this configuration is for.
    Server::bind(&config.exporter, &config.api, false)?;
    let may_share =
        !config.entities.group_by.is_empty() && config.entities.weights == Weights::Shared;
    if !may_share {
        can_train(context, 1)?;
    }
    let asked = ask(context, args)?;
    let (series, rows) = match &asked {
        Asked::Server(probe) => {
            can_train(context, probe.entities())?;
            (probe.queries.iter().map(most_series).sum(), None)
        }
        Asked::File(file) => (file.columns, Some(file.rows as f64)),
        Asked::Nothing => (0, None),
    };
    let expected = if rows.is_some() {
        0
    } else {
        config.queries.len()
    };
    let estimate = estimate(config, series.max(expected).max(1), rows);
    let nearest = context.data_dir.ancestors().find(|path| path.exists());
    let free = nearest.and_then(|path| free_space(path).ok());
    if args.json {
        let queries: Vec<Value> = asked.queries().iter().map(query_json).collect();
        let mut report = json!({
            "configuration": context.config_path, "source": config.source.kind, "queries": queries, "series": series,
            "estimate": estimate.json(), "free_disk_bytes": free,
        });
        match (report.as_object_mut(), &asked) {
            (Some(map), Asked::File(file)) => drop(map.insert("file".into(), file.json())),
            (Some(map), Asked::Server(probe)) => {
                map.insert("warnings".into(), json!(probe.notes));
            }
            _ => {}
        }
        writeln!(out, "{}", serde_json::to_string_pretty(&report)?)?;
    } else {
        let from = context
            .config_path
            .as_ref()
            .map_or("built-in defaults".to_owned(), |p| p.display().to_string());
        writeln!(out, "configuration  ok ({from})")?;
        for note in &context.notes {
            writeln!(out, "               {note}")?;
        }
        say_source(out, context, args, &asked)?;
        writeln!(out, "estimate       {}", estimate.text())?;
        let free = free.map_or("unknown".to_owned(), |bytes| {
            crate::domain::Unit::Bytes.show(bytes as f64)
        });
        writeln!(
            out,
            "disk           {free} free for {}",
            context.data_dir.display()
        )?;
    }
    let queries = asked.queries();
    let failed = queries.iter().filter(|q| q.error.is_some());
    let failed: Vec<&str> = failed.map(|q| q.query.as_str()).collect();
    anyhow::ensure!(
        failed.is_empty(),
        "{} of {} queries failed: {}",
        failed.len(),
        queries.len(),
        failed.join(", ")
    );
    Ok(())
}

/// Whether the history can hold enough windows of so many entities.
fn can_train(context: &Context, entities: usize) -> Result<(), ConfigErrors> {
    let too_short = context.config.history_too_short(entities);
    let found = too_short.map(|(key, problem, remedy)| {
        let path = ["history", key];
        context.written.error(&path, problem, remedy)
    });
    Written::refuse(found.into_iter().collect())
}

/// Series that a query has, now or in its history.
fn most_series(query: &QueryProbe) -> usize {
    let past = query.past.as_ref().map_or(0, |past| past.series);
    query.series.max(past)
}

/// What the source has to say.
enum Asked {
    Server(ProbeReport),
    File(Recorded),
    Nothing,
}

impl Asked {
    fn queries(&self) -> &[QueryProbe] {
        match self {
            Self::Server(probe) => &probe.queries,
            Self::File(_) | Self::Nothing => &[],
        }
    }
}

/// A recorded file as it was read.
struct Recorded {
    name: String,
    rows: usize,
    columns: usize,
    step: f64,
    span: Option<(Time, Time)>,
    notices: Vec<String>,
}

impl Recorded {
    fn of(source: &ReplaySource, opened: Vec<String>) -> Self {
        let frame = source.recorded();
        let grid = frame.grid();
        Self {
            name: source.name(),
            rows: grid.len(),
            columns: frame.schema().len(),
            step: grid.step().as_secs_f64(),
            span: grid.last().map(|last| (grid.start(), last)),
            notices: [opened, source.notices()].concat(),
        }
    }

    fn json(&self) -> Value {
        let text = |time: Time| time.to_string();
        json!({
            "name": self.name, "rows": self.rows, "columns": self.columns, "step_seconds": self.step,
            "from": self.span.map(|span| text(span.0)), "to": self.span.map(|span| text(span.1)), "warnings": self.notices,
        })
    }

    fn say(&self, out: &mut dyn Write) -> std::io::Result<()> {
        let span = self
            .span
            .map_or(String::new(), |(from, to)| format!(", from {from} to {to}"));
        writeln!(
            out,
            "source         {}: {} rows of {} columns every {} s{span}",
            self.name, self.rows, self.columns, self.step
        )?;
        for notice in &self.notices {
            writeln!(out, "               warning: {notice}")?;
        }
        Ok(())
    }
}

/// Opens the source as a run would: a recorded file is read, and a Prometheus-compatible server asked unless `--offline`.
fn ask(context: &Context, args: &CheckArgs) -> anyhow::Result<Asked> {
    if context.config.source.kind == SourceKind::Host {
        // It would take over the history that a running engine keeps.
        return Ok(Asked::Nothing);
    }
    let now = context.now();
    let opened = open::open(&context.config, &context.data_dir, now)?;
    let settings = Collecting::of(&opened.config, &opened.source);
    let source = match opened.source {
        Source::Prometheus(source) => source,
        Source::Replay(source) => {
            return Ok(Asked::File(Recorded::of(&source, opened.notices)));
        }
        Source::Host(_) => return Ok(Asked::Nothing),
    };
    if args.offline {
        return Ok(Asked::Nothing);
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let due = settings.due(now, Duration::ZERO);
    Ok(Asked::Server(
        runtime.block_on(source.probe(now, &settings.periods(due)))?,
    ))
}

fn say_source(
    out: &mut dyn Write,
    context: &Context,
    args: &CheckArgs,
    asked: &Asked,
) -> std::io::Result<()> {
    match (context.config.source.kind, asked) {
        (_, Asked::File(file)) => file.say(out),
        (_, Asked::Server(probe)) => {
            let version = probe
                .server
                .as_deref()
                .unwrap_or("a server that does not tell its version");
            writeln!(out, "source         reached, {version}")?;
            for note in &probe.notes {
                writeln!(out, "               warning: {note}")?;
            }
            for query in &probe.queries {
                let name = &query.query;
                match &query.error {
                    Some(error) => writeln!(out, "query          {name} ({}): {error}", query.expr),
                    None => writeln!(out, "query          {name}: {} series", query.series),
                }?;
                for warning in &query.warnings {
                    writeln!(out, "               warning: {warning}")?;
                }
            }
            Ok(())
        }
        (SourceKind::Prometheus | SourceKind::Replay, _) => writeln!(
            out,
            "source         not asked{}",
            if args.offline { " (--offline)" } else { "" }
        ),
        (SourceKind::Host, _) => writeln!(out, "source         this host, no network needed"),
    }
}

fn query_json(query: &QueryProbe) -> Value {
    let past = query
        .past
        .as_ref()
        .map(|past| json!({ "series": past.series, "not_a_number": past.not_a_number }));
    json!({ "name": query.query, "expr": query.expr, "series": query.series, "history": past, "error": query.error.as_ref().map(ToString::to_string), "warnings": query.warnings })
}

/// What a run will cost, roughly.
struct Estimate {
    series: usize,
    rows: f64,
    memory: f64,
    training_seconds: f64,
    disk: f64,
}

/// For so many series, and rows of a recording when it is one.
fn estimate(config: &Config, series: usize, rows: Option<f64>) -> Estimate {
    let period: f64 = if config.history.periods.is_empty() {
        config.history.period.0.as_secs_f64()
    } else {
        config
            .history
            .periods
            .iter()
            .map(|p| p.end.duration_since(p.start).as_secs_f64())
            .sum()
    };
    let rows = rows.unwrap_or(period / config.source.step.0.as_secs_f64());
    let shape = Shape::new(
        &config.autoencoder,
        series.min(config.entities.max_features),
    );
    let weights = shape.weights().unwrap_or(usize::MAX) as f64;
    let windows = rows.min(config.autoencoder.max_windows as f64);
    // Forward and backward are about six multiply-adds per weight and row of a window.
    let work = 6.0
        * weights
        * windows
        * config.autoencoder.window as f64
        * config.autoencoder.epochs as f64;
    // The forecast alone is learned in a moment.
    let work = if config.autoencoder.enabled {
        work
    } else {
        0.0
    };
    let values = rows * series as f64;
    Estimate {
        series,
        rows,
        memory: 40e6 + values * 24.0,
        training_seconds: work / FLOPS,
        disk: values * STORED * 2.0,
    }
}

/// A rough length of time: nothing finer than half a unit, `3½ min`.
fn roughly(seconds: f64) -> String {
    let (unit, word) = match seconds {
        s if s < 60.0 => return format!("{:.0} s", s.max(1.0)),
        s if s < 3600.0 => (60.0, "min"),
        s if s < 172_800.0 => (3600.0, "h"),
        _ => (86_400.0, "d"),
    };
    let halves = (seconds / unit * 2.0).round();
    let whole = (halves / 2.0).floor();
    let is_half = halves > whole * 2.0 && whole < 10.0;
    format!("{whole:.0}{} {word}", if is_half { "½" } else { "" })
}

impl Estimate {
    fn json(&self) -> Value {
        json!({
            "series": self.series, "rows": self.rows, "memory_bytes": self.memory,
            "training_seconds": self.training_seconds, "disk_bytes": self.disk,
        })
    }

    fn text(&self) -> String {
        use crate::domain::Unit::Bytes;
        format!(
            "{} series × {:.0} rows: about {} of memory while training, training takes up to about {}, {} on disk",
            self.series,
            self.rows,
            Bytes.show(self.memory),
            roughly(self.training_seconds),
            Bytes.show(self.disk)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::roughly;

    #[test]
    fn an_estimate_shows_no_figure_that_it_does_not_know() {
        let shown = [0.2, 45.2, 200.4, 1260.0, 5400.0, 200_000.0].map(roughly);
        assert_eq!(shown, ["1 s", "45 s", "3½ min", "21 min", "1½ h", "2½ d"]);
    }
}
