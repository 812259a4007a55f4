//! `run` and `detect`: the engine, the listener, and the screen if there is one.

use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::watch;

use super::Context;
use crate::cli::{self, RunArgs};
use crate::config::{Config, Span, ThemeName};
use crate::disk::write_atomic;
use crate::domain::{Command, Control, HealthBoard, PipelineId, Snapshot, SourceState};
use crate::engine::clock::WallClock;
use crate::engine::open;
use crate::engine::run::{Setup, TestSource, start};
use crate::engine::{Handle, Running};
use crate::report::svg;
use crate::serve::Server;
use crate::source::replay::ReplaySource;
use crate::store::DataDir;
use crate::{logging, tui};

/// Step of the embedded default: a newcomer should not wait two hours for 120 windows.
const EMBEDDED_STEP: Span = Span::secs(5);

/// Rows of the sample played a second.
const SAMPLE_SPEED: f64 = 10.0;

/// Which of the sample's incidents `--once` shows, from 0: one that has others before it and two features in it.
const SHOWN_INCIDENT: usize = 2;

/// Rows of that incident in the frame.
const SHOWN_ROWS: u32 = 6;

/// Longest that `--once` waits for something to show.
const ONCE: Duration = Duration::from_mins(3);

/// How often a changed configuration file is looked for.
const LOOK_AT_FILE: Duration = Duration::from_secs(2);

/// Fits on two lines of an 80-column screen.
const BANNER: &str = "No configuration: a built-in sample plays (3), this host warms up behind it (1). \
    Next: PROMETHEUS_URL=http://… pulsewatch, or `pulsewatch config init`";

/// Runs until it is told to stop; a changed configuration file starts it anew with what it says.
///
/// # Errors
/// When the data directory is owned by another process, the source can't be set up, or the listener can't be had.
pub fn run(context: &Context, args: &RunArgs) -> anyhow::Result<()> {
    let screen = !args.no_tui
        && !args.once
        && std::io::stdout().is_terminal()
        && std::io::stdin().is_terminal();
    let _log = logging::start(
        &context.global,
        screen.then_some(context.data_dir.as_path()),
    )?;
    let data_dir = DataDir::own(&context.data_dir)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let result = runtime.block_on(watch_over(context, &data_dir, args, screen));
    // A training thread or a slow answer must not hold up the end.
    runtime.shutdown_timeout(Duration::from_secs(1));
    if let Some(reason) = data_dir.lost() {
        anyhow::bail!("the data directory was deleted or replaced while it was in use: {reason}");
    }
    result
}

/// Sessions, one after the other, as long as only the configuration changed.
async fn watch_over(
    context: &Context,
    data_dir: &DataDir,
    args: &RunArgs,
    screen: bool,
) -> anyhow::Result<()> {
    let mut config = Arc::new(if context.embedded {
        embedded(&context.config)
    } else {
        Config::clone(&context.config)
    });
    let mut notices = context.notes.clone();
    let mut file = Watched::default();
    loop {
        let said = std::mem::take(&mut notices);
        let opening = (context, data_dir, args);
        let ended = session(opening, Arc::clone(&config), said, screen, &mut file).await;
        match (ended, file.before.take()) {
            (Ok(End::Quit), _) => return Ok(()),
            (Ok(End::Reload(changed)), _) => {
                file.before = Some(std::mem::replace(&mut config, Arc::new(*changed)));
                notices.push("the configuration has changed and is in force".into());
            }
            (Err(error), None) => return Err(error),
            (Err(error), Some(before)) => {
                config = before;
                notices.push(format!(
                    "the changed configuration can't work and is not used, the one before it is in force again: {error:#}"
                ));
            }
        }
    }
}

/// The configuration file, as far as it was looked at.
#[derive(Default)]
struct Watched {
    /// What it said.
    seen: Option<Vec<u8>>,
    /// What was in force before its last change, until the change has proved to work.
    before: Option<Arc<Config>>,
}

/// The embedded default: this host at a step at which it is soon ready.
fn embedded(config: &Config) -> Config {
    let mut config = config.clone();
    config.source.step = EMBEDDED_STEP;
    config.detect.interval = EMBEDDED_STEP;
    config
}

/// What test mode plays: the sample, or for a frame that is printed once the part up to one of its incidents, at once.
fn sample(seed: u64, stands_still: bool) -> TestSource {
    Box::new(move |wall| {
        if stands_still {
            ReplaySource::sample(wall, 0.0, seed).map(in_an_incident)
        } else {
            ReplaySource::sample(wall, SAMPLE_SPEED, seed)
        }
    })
}

/// The sample up to some rows into one of its incidents, for a frame that is printed once.
fn in_an_incident(sample: ReplaySource) -> ReplaySource {
    match sample.incidents().get(SHOWN_INCIDENT) {
        Some((start, _)) => {
            let stop = *start + sample.step() * SHOWN_ROWS;
            sample.until(stop)
        }
        None => sample,
    }
}

enum End {
    Quit,
    Reload(Box<Config>),
}

async fn session(
    (context, data_dir, args): (&Context, &DataDir, &RunArgs),
    config: Arc<Config>,
    mut notices: Vec<String>,
    screen: bool,
    file: &mut Watched,
) -> anyhow::Result<End> {
    let now = context.now();
    let opened = open::open(&config, data_dir.path(), now)?;
    notices.extend(opened.notices);
    let bound = if args.once {
        None
    } else {
        listen(&config, &mut notices)?
    };
    let mode = args.mode.unwrap_or(if context.embedded {
        cli::Mode::Test
    } else {
        cli::Mode::Live
    });
    let setup = Setup {
        config: opened.config,
        data_dir: data_dir.clone(),
        source: opened.source,
        test: sample(config.autoencoder.seed, args.once),
        start_test: mode == cli::Mode::Test && (screen || args.once),
        banner: (context.embedded && screen).then(|| BANNER.to_owned()),
        notices,
        health: HealthBoard::default(),
    };
    let running = start(setup, Arc::new(WallClock))?;
    file.before = None;
    let (stop, stopped) = watch::channel(false);
    let serving = bound.map(|bound| {
        let mut stopped = stopped.clone();
        let shutdown = async move {
            // The sender outlives the listener: waiting ends when it says so.
            let _ = stopped.wait_for(|stop| *stop).await;
        };
        tokio::spawn(bound.serve(running.snapshots.clone(), running.control.clone(), shutdown))
    });
    let end = if args.once {
        once(&running, mode, config.ui.theme, args)
            .await
            .map(|()| End::Quit)
    } else if screen {
        with_screen(context, &config, &running, mode, file).await
    } else {
        headless(context, &config, &running, file).await
    };
    stop.send_replace(true);
    shut_down(running).await;
    if let Some(serving) = serving {
        serving.await.context("the listener's task failed")??;
    }
    end
}

/// Binds the listener: a port that was set must be had, the default one may be taken.
fn listen(
    config: &Config,
    notices: &mut Vec<String>,
) -> anyhow::Result<Option<crate::serve::Bound>> {
    if !config.exporter.enabled {
        return Ok(None);
    }
    let explicit = config.exporter.listen != crate::config::ExporterConfig::default().listen;
    let bound = Server::bind(&config.exporter, &config.api, explicit)?;
    match &bound {
        Some(bound) => notices.extend(bound.warning()),
        None => notices.push(Server::port_taken(&config.exporter)),
    }
    Ok(bound)
}

async fn shut_down(running: Running) {
    // A full queue drains within a tick; an engine that has ended needs no word.
    while running.control.send(Command::Shutdown) == Err(crate::domain::ControlError::Busy) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let _ = tokio::time::timeout(Duration::from_secs(10), running.task).await;
}

async fn with_screen(
    context: &Context,
    config: &Arc<Config>,
    running: &Running,
    mode: cli::Mode,
    file: &mut Watched,
) -> anyhow::Result<End> {
    let options = tui::Options {
        mode: screen_mode(mode),
        config: config.ui.clone(),
        shots: DataDir::at(&context.data_dir).plots(),
        picture: svg::svg,
        write: |path, bytes| write_atomic(path, bytes).map_err(std::io::Error::other),
        memory: DataDir::at(&context.data_dir).screen_memory(),
        color: color_depth(context),
        unicode: tui::has_glyphs(variable),
    };
    let control: Arc<Handle> = Arc::clone(&running.control);
    tokio::select! {
        ended = tui::run(running.snapshots.clone(), control, options) => Ok(ended.map(|()| End::Quit)?),
        changed = changed_file(context, config, &mut file.seen) => Ok(changed),
    }
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn color_depth(context: &Context) -> tui::ColorDepth {
    match context.global.color {
        cli::Color::Never => tui::ColorDepth::None,
        cli::Color::Auto => tui::ColorDepth::detect(variable),
        cli::Color::Always => tui::ColorDepth::forced(variable),
    }
}

fn screen_mode(mode: cli::Mode) -> tui::Mode {
    match mode {
        cli::Mode::Live => tui::Mode::Live,
        cli::Mode::LongTerm => tui::Mode::LongTerm,
        cli::Mode::Test => tui::Mode::Test,
    }
}

/// Waits for a signal or a changed configuration.
async fn headless(
    context: &Context,
    config: &Arc<Config>,
    running: &Running,
    file: &mut Watched,
) -> anyhow::Result<End> {
    let mut snapshots = running.snapshots.clone();
    let told = async {
        // Ends when the engine has stopped, by itself or told by another reader.
        let _ = snapshots.wait_for(|snapshot| snapshot.stopping).await;
    };
    tokio::select! {
        () = told => Ok(End::Quit),
        signal = stop_signal() => {
            tracing::info!(signal, "stopping");
            Ok(End::Quit)
        }
        changed = changed_file(context, config, &mut file.seen) => Ok(changed),
    }
}

#[cfg(unix)]
async fn stop_signal() -> &'static str {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut terminate), Ok(mut interrupt)) = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
    ) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    }
}

#[cfg(not(unix))]
async fn stop_signal() -> &'static str {
    if tokio::signal::ctrl_c().await.is_err() {
        return std::future::pending().await;
    }
    "Ctrl-C"
}

/// Ends when the configuration file says something else that is valid; what is not valid is reported and changes nothing.
/// SIGHUP makes it look at once.
async fn changed_file(context: &Context, config: &Arc<Config>, seen: &mut Option<Vec<u8>>) -> End {
    let Some(path) = context.config_path.clone() else {
        return std::future::pending().await;
    };
    let mut hangup = Hangup::new();
    loop {
        let asked = hangup.or_after(LOOK_AT_FILE).await;
        let text = std::fs::read(&path).ok();
        if text.is_none() || (!asked && text == *seen) {
            continue;
        }
        *seen = text;
        match Context::load(context.global.clone()) {
            Ok(fresh) if *fresh.config != **config => {
                return End::Reload(Box::new(Config::clone(&fresh.config)));
            }
            Ok(_) => {}
            Err(errors) => tracing::error!("the changed configuration is not used: {errors}"),
        }
    }
}

/// SIGHUP, where there is such a thing.
struct Hangup {
    #[cfg(unix)]
    signal: Option<tokio::signal::unix::Signal>,
}

impl Hangup {
    #[cfg(unix)]
    fn new() -> Self {
        Self {
            signal: tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup()).ok(),
        }
    }

    #[cfg(not(unix))]
    fn new() -> Self {
        Self {}
    }

    /// Waits for the signal (`true`), at most `span`.
    #[cfg(unix)]
    async fn or_after(&mut self, span: Duration) -> bool {
        if let Some(signal) = &mut self.signal {
            tokio::time::timeout(span, signal.recv()).await.is_ok()
        } else {
            tokio::time::sleep(span).await;
            false
        }
    }

    #[cfg(not(unix))]
    async fn or_after(&mut self, span: Duration) -> bool {
        tokio::time::sleep(span).await;
        false
    }
}

/// One frame as text (and as a picture), once there is something to show.
async fn once(
    running: &Running,
    mode: cli::Mode,
    theme: ThemeName,
    args: &RunArgs,
) -> anyhow::Result<()> {
    let id = if mode == cli::Mode::Test {
        PipelineId::Test
    } else {
        PipelineId::Live
    };
    let mut snapshots = running.snapshots.clone();
    // When time runs out, what is there is shown: it says itself what is missing.
    let _ = tokio::time::timeout(
        ONCE,
        snapshots.wait_for(|snapshot| has_something(snapshot, id)),
    )
    .await;
    let snapshot = Arc::clone(&snapshots.borrow());
    let theme = tui::Theme::new(theme, tui::ColorDepth::True, true);
    let buffer = tui::overview(
        &snapshot,
        screen_mode(mode),
        &theme,
        args.size.width,
        args.size.height,
    );
    std::io::stdout().write_all(tui::buffer_text(&buffer).as_bytes())?;
    if let Some(path) = &args.svg {
        write_atomic(path, svg::svg(&buffer).as_bytes())?;
    }
    Ok(())
}

/// A scored row, or a reason why there is none.
fn has_something(snapshot: &Snapshot, id: PipelineId) -> bool {
    snapshot.pipeline(id).is_some_and(|pipeline| {
        let waiting = pipeline.training.is_none()
            && pipeline.model.is_none()
            && !pipeline.entities.is_empty();
        pipeline.last_scored.is_some()
            || matches!(pipeline.source.state, SourceState::Stale { .. })
            || waiting
    })
}
