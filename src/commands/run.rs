//! `run` and `detect`: the engine, the listener, and the screen if there is one.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::config_watch::{ConfigWatcher, Watched};
use super::screen::{self, Screen};
use super::shutdown::{Interrupted, Shutdown};
use super::signals::StopSignals;
use super::supervise::{self, Failure};
use super::{Context, once, with_causes};
use crate::cli::{self, RunArgs};
use crate::config::{Config, Span};
use crate::disk::remove_leftovers;
use crate::domain::{Component, Control, HealthBoard, Snapshot};
use crate::engine::clock::WallClock;
use crate::engine::run::{Setup, TestSource, start};
use crate::engine::{Handle, Running, open};
use crate::logging;
use crate::serve::{Bound, Server};
use crate::source::replay::ReplaySource;
use crate::store::DataDir;

/// Step of the embedded default: a newcomer should not wait two hours for 120 windows.
const EMBEDDED_STEP: Span = Span::secs(5);

/// Rows of the sample played a second.
const SAMPLE_SPEED: f64 = 10.0;

/// Which of the sample's incidents `--once` shows, from 0: one that has others before it and two features in it.
const SHOWN_INCIDENT: usize = 2;

/// Rows of that incident in the frame.
const SHOWN_ROWS: u32 = 6;

/// Of files that were set aside as damaged, so many of each name are kept.
const DAMAGED_KEPT: usize = 3;

/// Fits on two lines of an 80-column screen.
const BANNER: &str = "No configuration: a built-in sample plays (3), this host is watched too (1). \
    Next: PROMETHEUS_URL=http://… pulsewatch, or `pulsewatch config init`";

/// Runs until it is told to stop; a changed configuration file starts it anew with what it says.
///
/// # Errors
/// When the configuration lacks something ([`crate::config::ConfigErrors`]), the data directory is owned by another process,
/// the source can't be set up, or the listener can't be had; when engine or screen fail; when a second signal ended it before
/// it was done.
pub fn run(context: &Context, args: &RunArgs) -> anyhow::Result<()> {
    context.ready_to_run()?;
    let screen = Screen::of(args);
    let has_screen = screen == Screen::Dashboard;
    let health = HealthBoard::default();
    let _log = logging::start(
        &context.global,
        has_screen.then_some(context.data_dir.as_path()),
        &health,
    )?;
    if let Screen::Impossible(why) = screen {
        tracing::info!("running without the dashboard: {why}; `--no-tui` asks for this");
    }
    let data_dir = DataDir::own(&context.data_dir)?;
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        configuration = context.config_path.as_ref().map(|path| path.display().to_string()),
        data_dir = %context.data_dir.display(),
        "pulsewatch starts"
    );
    let removed = remove_leftovers(&context.data_dir, DAMAGED_KEPT);
    if removed > 0 {
        tracing::info!(
            removed,
            "what interrupted writes and old damage had left was removed"
        );
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let result = runtime.block_on(async {
        Run::new(context, &data_dir, args, has_screen, health)?
            .sessions()
            .await
    });
    if result.as_ref().is_err_and(anyhow::Error::is::<Interrupted>) {
        runtime.shutdown_background();
    } else {
        // A training thread or a slow answer must not hold up the end.
        runtime.shutdown_timeout(Duration::from_secs(1));
    }
    if let Some(reason) = data_dir.lost() {
        anyhow::bail!("the data directory was deleted or replaced while it was in use: {reason}");
    }
    result
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

/// What lasts over all sessions of a run.
struct Run<'c> {
    context: &'c Context,
    data_dir: &'c DataDir,
    args: &'c RunArgs,
    has_screen: bool,
    health: HealthBoard,
    signals: StopSignals,
    watcher: ConfigWatcher,
    /// The listener's socket. It stays over a reload, so that nobody is refused meanwhile and nobody else takes the port.
    socket: Option<Arc<Bound>>,
    /// The configuration before its last change, until the change has proved to work.
    before: Option<Arc<Config>>,
}

impl<'c> Run<'c> {
    fn new(
        context: &'c Context,
        data_dir: &'c DataDir,
        args: &'c RunArgs,
        has_screen: bool,
        health: HealthBoard,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            context,
            data_dir,
            args,
            has_screen,
            health,
            signals: StopSignals::listen()?,
            watcher: ConfigWatcher::new(context, !has_screen),
            socket: None,
            before: None,
        })
    }

    /// Sessions, one after the other, as long as only the configuration changed.
    async fn sessions(&mut self) -> anyhow::Result<()> {
        let mut config = Arc::new(if self.context.embedded {
            embedded(&self.context.config)
        } else {
            Config::clone(&self.context.config)
        });
        let mut notices = self.context.notes.clone();
        loop {
            let told = std::mem::take(&mut notices);
            let ended = self.session(&config, told).await;
            match (ended, self.before.take()) {
                (Ok(End::Quit), _) => return Ok(()),
                (Ok(End::Reload(changed)), _) => {
                    self.before = Some(std::mem::replace(&mut config, Arc::new(*changed)));
                    notices.push("the configuration has changed and is in force".into());
                }
                (Err(error), None) => return Err(error),
                (Err(error), Some(before)) => {
                    config = before;
                    notices.push(format!(
                        "the changed configuration is rejected, the previous one is kept: {}",
                        with_causes(&error)
                    ));
                }
            }
        }
    }

    /// One engine from its start to its end, with listener and screen. When this returns, nothing of it runs any more, unless
    /// the engine hangs or a signal ended the wait: then the program must end.
    async fn session(&mut self, config: &Arc<Config>, notices: Vec<String>) -> anyhow::Result<End> {
        let mode = self.mode();
        let (setup, socket) = self.prepare(config, mode, notices)?;
        let Running {
            snapshots,
            control,
            task,
        } = start(setup, Arc::new(WallClock))?;
        self.before = None;
        self.socket = socket;
        let engine = supervise::engine_end(task);
        let (stop, stopped) = watch::channel(false);
        let listening = self.serve(&snapshots, &control, &stopped);
        let failed = supervise::engine(
            engine.clone(),
            snapshots.clone(),
            supervise::LOOK,
            supervise::SILENT_LOOKS,
        );
        let end = tokio::select! {
            end = self.attend(config, &snapshots, &control, mode) => end,
            ended = failed => ended.map(|()| End::Quit).map_err(Into::into),
        };
        stop.send_replace(true);
        let quits = !matches!(end, Ok(End::Reload(_)));
        if quits {
            self.socket = None;
        }
        let mut shutdown = Shutdown::begin(&mut self.signals, quits);
        if !end.as_ref().is_err_and(is_hang) {
            shutdown.engine(engine, &*control).await??;
        }
        if let Some(listening) = listening {
            // The listener reports its failures itself.
            let _ = shutdown.wait_for("the HTTP listener", listening).await?;
        }
        let end = end?;
        Ok(if shutdown.quits() { End::Quit } else { end })
    }

    fn mode(&self) -> cli::Mode {
        self.args.mode.unwrap_or(if self.context.embedded {
            cli::Mode::Test
        } else {
            cli::Mode::Live
        })
    }

    /// Opens the source and the listener's socket: all that a configuration can fail by before an engine runs.
    fn prepare(
        &self,
        config: &Arc<Config>,
        mode: cli::Mode,
        mut notices: Vec<String>,
    ) -> anyhow::Result<(Setup, Option<Arc<Bound>>)> {
        let context = self.context;
        let opened = open::open(config, self.data_dir.path(), context.now())?;
        notices.extend(opened.notices);
        let once = self.args.once;
        let socket = if once {
            None
        } else {
            self.listen(config, &mut notices)?
        };
        let setup = Setup {
            config: opened.config,
            data_dir: self.data_dir.clone(),
            source: opened.source,
            test: sample(config.autoencoder.seed, once),
            start_test: mode == cli::Mode::Test && (self.has_screen || once),
            banner: (context.embedded && self.has_screen).then(|| BANNER.to_owned()),
            notices,
            health: self.health.clone(),
        };
        Ok((setup, socket))
    }

    /// The socket that is there, if its address stays; else a new one. A port that was set must be had, the default one may be
    /// taken.
    fn listen(
        &self,
        config: &Config,
        notices: &mut Vec<String>,
    ) -> anyhow::Result<Option<Arc<Bound>>> {
        let (exporter, api) = (&config.exporter, &config.api);
        if !exporter.enabled {
            self.health.recover(Component::Listener);
            return Ok(None);
        }
        let kept = self.socket.as_ref();
        let bound = match kept.filter(|bound| bound.was_asked_for(exporter.listen)) {
            Some(bound) => Some(bound.renewed(exporter, api)?),
            None => Server::bind(exporter, api, exporter.listen_is_explicit)?,
        };
        if let Some(bound) = &bound {
            tracing::info!(address = %bound.local_addr(), "listening");
            notices.extend(bound.warning());
        } else {
            let text = Server::port_taken(exporter);
            let now = self.context.now();
            self.health.fail(Component::Listener, now, text.as_str());
            notices.push(text);
        }
        Ok(bound.map(Arc::new))
    }

    /// Starts the listener and what keeps it running.
    fn serve(
        &self,
        snapshots: &watch::Receiver<Arc<Snapshot>>,
        control: &Arc<Handle>,
        stopped: &watch::Receiver<bool>,
    ) -> Option<JoinHandle<()>> {
        let bound = Arc::clone(self.socket.as_ref()?);
        let (snapshots, control, waiting) =
            (snapshots.clone(), Arc::clone(control), stopped.clone());
        let start = move || {
            let mut waiting = waiting.clone();
            let shutdown = async move {
                // The sender outlives the listener: waiting ends when it says so.
                let _ = waiting.wait_for(|stop| *stop).await;
            };
            let control: Arc<dyn Control> = Arc::<Handle>::clone(&control);
            let serving = bound
                .try_clone()?
                .serve(snapshots.clone(), control, shutdown);
            Ok(tokio::spawn(serving))
        };
        let health = self.health.clone();
        let kept = supervise::listener(start, stopped.clone(), health, supervise::BACKOFF);
        Some(tokio::spawn(kept))
    }

    /// Waits until the user, a signal or a changed configuration ends the session.
    async fn attend(
        &mut self,
        config: &Arc<Config>,
        snapshots: &watch::Receiver<Arc<Snapshot>>,
        control: &Arc<Handle>,
        mode: cli::Mode,
    ) -> anyhow::Result<End> {
        let (context, args, has_screen) = (self.context, self.args, self.has_screen);
        let snapshots = snapshots.clone();
        let shown = async {
            if args.once {
                once::print(snapshots, mode, &config.ui, args).await?;
            } else if has_screen {
                let control: Arc<dyn Control> = Arc::<Handle>::clone(control);
                let shown = screen::show(context, &config.ui, snapshots, control, mode);
                supervise::caught("the screen", shown).await??;
            } else {
                told_to_stop(snapshots).await;
            }
            Ok(End::Quit)
        };
        tokio::select! {
            ended = shown => ended,
            watched = self.watcher.changed(context, config) => Ok(match watched {
                Watched::Changed(config) => End::Reload(config),
                Watched::TerminalGone => {
                    tracing::info!("stopping: the terminal that this was started from is gone");
                    End::Quit
                }
            }),
            signal = self.signals.next() => {
                tracing::info!(signal, "stopping");
                if args.once {
                    let what = "something to show";
                    return Err(Interrupted { signal, what }.into());
                }
                Ok(End::Quit)
            }
        }
    }
}

/// Waits until the engine says that it stops, told by another reader.
async fn told_to_stop(mut snapshots: watch::Receiver<Arc<Snapshot>>) {
    let stopping = snapshots.wait_for(|snapshot| snapshot.stopping).await;
    if stopping.is_err() {
        // The engine ended without a word: its task says why.
        std::future::pending::<()>().await;
    }
}

fn is_hang(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(Failure::Silent(_)))
}
