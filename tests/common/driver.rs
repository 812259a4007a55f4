//! An engine whose clock a test drives, faster than time.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use pulsewatch::config::Config;
use pulsewatch::domain::{Command, Control, HealthBoard, Snapshot, Time};
use pulsewatch::engine::clock::ManualClock;
use pulsewatch::engine::open::open;
use pulsewatch::engine::run::{Setup, start};
use pulsewatch::engine::{EngineError, Handle, Running};
use pulsewatch::source::any::Source;
use pulsewatch::source::replay::ReplaySource;
use pulsewatch::store::DataDir;

/// Longest that a test waits for one thing, in real time.
const PATIENCE: Duration = Duration::from_secs(90);

/// A running engine.
pub struct Driver {
    running: Running,
    clock: ManualClock,
    /// What its clock shows.
    pub now: Time,
    /// How far the clock goes on at once.
    pub pace: Duration,
}

impl Driver {
    /// An engine over the configured source, at `now`.
    pub fn open(config: &Config, dir: &Path, now: Time) -> Self {
        let opened = open(&Arc::new(config.clone()), dir, now).unwrap();
        Self::start(opened.config, opened.source, dir, now).unwrap()
    }

    /// An engine over `source`.
    pub fn start(
        config: Arc<Config>,
        source: Source,
        dir: &Path,
        now: Time,
    ) -> Result<Self, EngineError> {
        Self::over(config, source, dir.into(), now)
    }

    /// An engine over `source`, in a data directory that may be owned.
    pub fn over(
        config: Arc<Config>,
        source: Source,
        data_dir: DataDir,
        now: Time,
    ) -> Result<Self, EngineError> {
        let clock = ManualClock::at(now);
        let pace = config.detect.interval.0;
        let setup = Setup {
            config,
            data_dir,
            source,
            test: Box::new(|wall| ReplaySource::sample(wall, 0.0, 1)),
            start_test: false,
            banner: None,
            notices: Vec::new(),
            health: HealthBoard::default(),
        };
        Ok(Self {
            running: start(setup, Arc::new(clock.clone()))?,
            clock,
            now,
            pace,
        })
    }

    /// What readers see now.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.running.snapshots.borrow())
    }

    /// The whole of the engine's watch, for an exporter.
    pub fn snapshots(&self) -> tokio::sync::watch::Receiver<Arc<Snapshot>> {
        self.running.snapshots.clone()
    }

    /// Sends a command that must be taken.
    pub fn send(&self, command: Command) {
        self.running.control.send(command).unwrap();
    }

    /// The way to it.
    pub fn control(&self) -> &dyn Control {
        &*self.running.control
    }

    /// The way to it, for a listener.
    pub fn shared_control(&self) -> Arc<Handle> {
        Arc::clone(&self.running.control)
    }

    /// Sets the clock, forward or back.
    pub fn set(&mut self, now: Time) {
        self.now = now;
        self.clock.set(now);
    }

    /// Waits until a snapshot is as wanted, with the clock standing still.
    pub async fn wait(&self, what: &str, wanted: impl Fn(&Snapshot) -> bool) -> Arc<Snapshot> {
        let mut snapshots = self.running.snapshots.clone();
        let found = tokio::time::timeout(PATIENCE, snapshots.wait_for(|s| wanted(s))).await;
        if let Ok(Ok(found)) = found {
            return Arc::clone(&found);
        }
        panic!("never {what}: {:#?}", self.told());
    }

    /// Drives the clock on, one pace after the other, until a snapshot is as wanted.
    pub async fn until(&mut self, what: &str, wanted: impl Fn(&Snapshot) -> bool) -> Arc<Snapshot> {
        self.until_with(what, |_| (), wanted).await
    }

    /// As [`Driver::until`], with something to do at each pace.
    pub async fn until_with(
        &mut self,
        what: &str,
        mut each: impl FnMut(Time),
        wanted: impl Fn(&Snapshot) -> bool,
    ) -> Arc<Snapshot> {
        let began = std::time::Instant::now();
        while began.elapsed() < PATIENCE {
            if let Some(found) = Some(self.snapshot()).filter(|s| wanted(s)) {
                return found;
            }
            if self.snapshot().live.training.is_some() {
                // Time stands still meanwhile, so that what comes after does not depend on how fast this machine is.
                let mut snapshots = self.running.snapshots.clone();
                let over = snapshots.wait_for(|s| s.live.training.is_none());
                let _ = tokio::time::timeout(Duration::from_secs(1), over).await;
                continue;
            }
            let next = self.now + self.pace;
            each(next);
            self.step(next).await;
        }
        panic!("never {what}: {:#?}", self.told());
    }

    /// Sets the clock and waits until the engine has looked at its source at that time, or is busy with something longer.
    async fn step(&mut self, next: Time) {
        let looks = |s: &Snapshot| s.live.counters.collect_seconds.count;
        let before = looks(&self.snapshot());
        self.set(next);
        let mut snapshots = self.running.snapshots.clone();
        let looked = snapshots.wait_for(|s| looks(s) > before && s.now >= next);
        let _ = tokio::time::timeout(Duration::from_millis(100), looked).await;
    }

    /// Drives the clock on by `paces`.
    pub async fn go_on(&mut self, paces: usize) {
        for _ in 0..paces {
            self.step(self.now + self.pace).await;
        }
    }

    /// All that was told, for messages of tests.
    pub fn told(&self) -> Vec<String> {
        let snapshot = self.snapshot();
        let mut told: Vec<String> = snapshot.notices.iter().map(|n| n.text.clone()).collect();
        told.extend(snapshot.live.source.warnings.iter().cloned());
        told.push(format!(
            "now {} {:?} {:?} {:?} {:?}",
            snapshot.now,
            snapshot.live.source.state,
            snapshot.live.readiness,
            snapshot.live.training,
            snapshot.live.last_training,
        ));
        told.extend(snapshot.live.entities.iter().map(|e| {
            let latest = e.latest.as_ref().map(|v| (v.time, v.state, v.score));
            format!("{} to {:?}: {latest:?}", e.entity, e.grid.last())
        }));
        told.extend(snapshot.live.incidents.iter().map(|i| {
            format!(
                "incident {} from {} to {}: {:?}",
                i.id, i.start, i.end, i.state
            )
        }));
        told
    }

    /// Ends the engine as a user would.
    pub async fn stop(self) -> Arc<Snapshot> {
        self.running.control.send(Command::Shutdown).unwrap();
        self.running.task.await.unwrap();
        let last = Arc::clone(&self.running.snapshots.borrow());
        assert!(last.stopping);
        last
    }

    /// Ends the engine without a word, as a power cut would.
    pub async fn kill(mut self) {
        self.running.task.abort();
        assert!(self.running.task.await.unwrap_err().is_cancelled());
        // Its thread has ended when nothing is published any more.
        while self.running.snapshots.changed().await.is_ok() {}
    }
}
