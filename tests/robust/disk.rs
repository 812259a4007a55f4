//! Disks that are full or must not be written.

use std::fs;
use std::path::Path;
use std::process::Command as Process;
use std::time::Duration;

use pulsewatch::config::{Config, Promote, Span};
use pulsewatch::disk::DirLock;
use pulsewatch::domain::{Command, Component, Incident, PipelineId, Snapshot};
use pulsewatch::engine::open::open;
use pulsewatch::store::{DataDir, IncidentFilter, Journal};

use crate::binary::App;
use crate::common::driver::Driver;
use crate::common::fake::Fake;
use crate::common::http;
use crate::common::servers::free_port;
use crate::fixture::{
    STEP, bumped, config, exported, is_scoring, noticed, open_incident, opened, scoring, server,
    value,
};
use crate::restart::break_cpu;

/// A file system of its own, gone when dropped.
struct Disk(tempfile::TempDir);

impl Disk {
    /// `None` where mounting is not allowed.
    fn mount(size: &str) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let mounted = Process::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(dir.path())
            .output()
            .is_ok_and(|out| out.status.success());
        if !mounted {
            println!("skipped: this user can't mount a file system of its own");
        }
        mounted.then(|| Self(dir))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn fill(&self) {
        let ballast = self.path().join("ballast");
        let mut file = fs::File::create(ballast).unwrap();
        while std::io::Write::write_all(&mut file, &[1; 1024]).is_ok() {}
    }

    fn free(&self) {
        fs::remove_file(self.path().join("ballast")).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Process::new("umount").arg("-l").arg(self.path()).output();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_stops_nothing_and_loses_nothing() {
    let Some(disk) = Disk::mount("12m") else {
        return;
    };
    let data = disk.path().join("data");
    let fake = server().await;
    let mut config = config(&fake.url(), &["cpu", "load"]);
    // A model that learned from the shift below is worse on what was before.
    config.retrain.promote = Promote::Always;
    let mut driver = scoring(&config, &data).await;
    let model = driver.snapshot().live.model.clone().unwrap().version;
    disk.fill();
    let from = driver.now.millis() / 1000 + 3 * STEP;
    fake.change(|world| {
        world.forget("cpu");
        world.add("cpu", &[], move |t| Some(bumped(t, 0.0, from, i64::MAX)));
    });
    let full = |text: &&String| text.contains("journal could not be written");
    driver
        .until("told", |s| noticed(s, "journal could not be written"))
        .await;
    driver
        .until("an incident", |s| open_incident(s).is_some())
        .await;
    driver.go_on(30).await;
    let told = driver.told();
    assert_eq!(told.iter().filter(full).count(), 1, "told once: {told:?}");
    assert!(told.iter().any(|t| t.contains("disk is full")), "{told:?}");
    assert!(is_scoring(&driver.snapshot()));
    assert!(
        fault(&driver.snapshot(), Component::Journal).is_some_and(|f| f.contains("disk is full"))
    );
    assert_eq!(fault(&driver.snapshot(), Component::Registry), None);

    // A model that can't be kept scores all the same.
    driver.send(Command::Retrain(PipelineId::Live));
    let snapshot = driver
        .until("trained", |s| {
            s.live.model.as_ref().is_some_and(|m| m.version != model)
        })
        .await;
    assert!(
        noticed(&snapshot, "could not be kept"),
        "{:?}",
        driver.told()
    );
    assert!(fault(&snapshot, Component::Registry).is_some_and(|f| f.contains("disk is full")));
    driver.go_on(3).await;
    let incident = open_incident(&driver.snapshot()).unwrap().clone();

    disk.free();
    driver
        .until("written", |s| noticed(s, "journal is written again"))
        .await;
    let snapshot = driver
        .until("has an id", |s| open_incident(s).is_some_and(|i| i.id != 0))
        .await;
    assert_eq!(fault(&snapshot, Component::Journal), None);
    let open = open_incident(&snapshot).unwrap().clone();
    assert_eq!(open.start, incident.start);
    let now = driver.now;
    driver.kill().await;
    let (journal, _) = Journal::open(&data.join("journal.sqlite")).unwrap();
    let kept = journal.list(&IncidentFilter::default()).unwrap();
    drop(journal);
    assert_eq!(kept.len(), snapshot.live.incidents.len());
    assert!(
        kept.iter()
            .any(|i| i.id == open.id && i.start == open.start)
    );

    // The checkpoint is there as well: the same incident goes on.
    let mut driver = Driver::open(&config, &data, now);
    assert_eq!(
        driver.snapshot().live.model.as_ref().unwrap().version,
        model
    );
    driver
        .until("goes on", |s| {
            open_incident(s).is_some_and(|i| i.id == open.id && i.end > open.end)
        })
        .await;
    driver.stop().await;
}

/// Why a part does not work.
fn fault(snapshot: &Snapshot, part: Component) -> Option<String> {
    let health = snapshot
        .health
        .iter()
        .find(|health| health.component == part)?;
    health.fault.as_ref().map(|fault| fault.text.clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cache_that_can_not_be_written_is_told_until_it_can() {
    let dir = tempfile::tempdir().unwrap();
    // A file where the folder should be can't be written into, not even by root.
    let blocked = DataDir::at(dir.path()).cache();
    fs::write(&blocked, "").unwrap();
    let fake = server().await;
    let mut config = config(&fake.url(), &["cpu", "load"]);
    config.history.cache = true;
    config.history.chunk = Span::secs(3600);
    let mut driver = scoring(&config, dir.path()).await;
    let snapshot = driver.snapshot();
    let text = fault(&snapshot, Component::Cache).unwrap();
    assert!(text.contains(&*blocked.to_string_lossy()), "{text}");
    let exported = exported(&driver).await;
    assert_eq!(
        value(&exported, "component_up{component=\"cache\"}"),
        Some(0.0)
    );

    fs::remove_file(&blocked).unwrap();
    driver.send(Command::Retrain(PipelineId::Live));
    let snapshot = driver
        .until("written again", |s| fault(s, Component::Cache).is_none())
        .await;
    assert!(noticed(&snapshot, "history can be written to disk again"));
    let told = driver.told();
    let errors = told.iter().filter(|told| **told == text).count();
    assert_eq!(errors, 1, "told once: {told:?}");
    driver.stop().await;
}

/// An engine that owns its directory, in the middle of an incident that is in the journal.
async fn alarmed(config: &Config, fake: &Fake, data: &Path) -> (Driver, Incident) {
    let driver = scoring(config, data).await;
    let now = driver.now;
    driver.stop().await;
    let config = std::sync::Arc::new(config.clone());
    let engine = open(&config, data, now).unwrap();
    let data = DataDir::own(data).unwrap();
    let mut driver = Driver::over(engine.config, engine.source, data, now).unwrap();
    break_cpu(fake, now.millis() / 1000 + 3 * STEP, i64::MAX);
    let snapshot = opened(&mut driver).await;
    let incident = open_incident(&snapshot).unwrap().clone();
    (driver, incident)
}

/// The incident goes on in a journal that is in its place, also after a crash.
async fn goes_on(mut driver: Driver, config: &Config, data: &Path, incident: &Incident) {
    driver.go_on(5).await;
    assert!(is_scoring(&driver.snapshot()));
    let (now, path) = (driver.now, data.join("journal.sqlite"));
    driver.kill().await;
    let (journal, _) = Journal::open(&path).unwrap();
    let kept = journal.list(&IncidentFilter::default()).unwrap();
    assert_eq!(kept.len(), 1, "{kept:?}");
    assert_eq!((kept[0].id, kept[0].start), (incident.id, incident.start));
    drop(journal);
    let mut driver = Driver::open(config, data, now);
    let end = now + Duration::from_secs(STEP as u64);
    let snapshot = driver
        .until("goes on", |s| open_incident(s).is_some_and(|i| i.end > end))
        .await;
    assert_eq!(open_incident(&snapshot).unwrap().id, incident.id);
    assert_eq!(snapshot.live.counters.incidents_total, 1);
    driver.stop().await;
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn a_data_directory_that_is_deleted_is_made_again_and_stays_owned() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let fake = server().await;
    let config = config(&fake.url(), &["cpu", "load"]);
    let (mut driver, incident) = alarmed(&config, &fake, &data).await;
    fs::remove_dir_all(&data).unwrap();
    let snapshot = driver
        .until("told", |s| {
            noticed(s, "was deleted or replaced while it was in use")
        })
        .await;
    assert!(fault(&snapshot, Component::DataDir).is_some());
    let snapshot = driver
        .until("well", |s| fault(s, Component::DataDir).is_none())
        .await;
    assert!(
        noticed(&snapshot, "all that was in it was written again"),
        "{:?}",
        driver.told()
    );
    assert_eq!(fault(&snapshot, Component::Journal), None);
    assert!(DirLock::take(&data).is_err(), "a second one is refused");
    let told = driver.told();
    let times = told
        .iter()
        .filter(|text| text.contains("while it was in use"))
        .count();
    assert_eq!(times, 2, "once each of directory and journal: {told:?}");
    // The model went with the directory; one that is trained on this shift would find it normal.
    driver.send(Command::Acknowledge(incident.id));
    driver
        .wait("acknowledged", |s| {
            open_incident(s).is_some_and(|i| i.acknowledged)
        })
        .await;
    driver.kill().await;
    let (journal, _) = Journal::open(&data.join("journal.sqlite")).unwrap();
    let kept = journal.list(&IncidentFilter::default()).unwrap();
    assert!(
        kept.len() == 1 && kept[0].id == incident.id && kept[0].acknowledged,
        "{kept:?}"
    );
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn a_journal_that_is_overwritten_loses_no_incident() {
    let dir = tempfile::tempdir().unwrap();
    let fake = server().await;
    let config = config(&fake.url(), &["cpu", "load"]);
    let (mut driver, incident) = alarmed(&config, &fake, dir.path()).await;
    let path = dir.path().join("journal.sqlite");
    let junk = vec![0xA5; fs::metadata(&path).unwrap().len() as usize];
    fs::write(&path, junk).unwrap();
    let snapshot = driver
        .until("told", |s| {
            noticed(s, "was deleted, replaced or damaged while it was in use")
        })
        .await;
    assert!(noticed(&snapshot, "written again"), "{:?}", driver.told());
    assert!(fault(&snapshot, Component::Journal).is_some());
    driver
        .until("well", |s| fault(s, Component::Journal).is_none())
        .await;
    assert!(dir.path().join("journal.sqlite.damaged-1").exists());
    goes_on(driver, &config, dir.path(), &incident).await;
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn a_program_whose_directory_another_one_owns_ends_with_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let port = free_port();
    let config = format!("[source]\nkind = \"host\"\n[exporter]\nlisten = \"127.0.0.1:{port}\"\n");
    let app = App::start(&data, &config, &[]);
    let began = std::time::Instant::now();
    while !http::answers(port, "/livez") {
        assert!(began.elapsed() < Duration::from_secs(60), "{}", app.log());
        std::thread::sleep(Duration::from_millis(20));
    }
    // Between two looks of the engine; when it was faster, the directory is its own again.
    let _other = loop {
        // Whatever is being written there is deleted with the next try.
        let _ = fs::remove_dir_all(&data);
        if let Ok(other) = DirLock::take(&data) {
            break other;
        }
    };
    let (code, said) = app.ended();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("in use by another pulsewatch"), "{said}");
    assert!(
        !data.join("journal.sqlite").exists(),
        "nothing is written beside the owner"
    );
}

#[test]
fn a_data_directory_that_must_not_be_written_is_named() {
    let Some(disk) = Disk::mount("1m") else {
        return;
    };
    let done = Process::new("mount")
        .args(["-o", "remount,ro"])
        .arg(disk.path())
        .status();
    assert!(done.unwrap().success());
    let app = App::start(disk.path(), "[source]\nkind = \"host\"\n", &[]);
    let (code, said) = app.ended();
    assert_eq!(code, Some(1), "{said}");
    let path = disk.path().to_str().unwrap();
    assert!(
        said.contains(path) && said.to_lowercase().contains("read-only"),
        "{said}"
    );
    assert_eq!(said.trim().lines().count(), 1, "{said}");
}
