//! Disks that are full or must not be written.

use std::fs;
use std::path::Path;
use std::process::Command as Process;

use pulsewatch::config::Promote;
use pulsewatch::domain::{Command, PipelineId};
use pulsewatch::store::{IncidentFilter, Journal};

use crate::binary::App;
use crate::common::driver::Driver;
use crate::fixture::{STEP, bumped, config, is_scoring, noticed, open_incident, scoring, server};

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
    driver.go_on(3).await;
    let incident = open_incident(&driver.snapshot()).unwrap().clone();

    disk.free();
    driver
        .until("written", |s| noticed(s, "journal is written again"))
        .await;
    let snapshot = driver
        .until("has an id", |s| open_incident(s).is_some_and(|i| i.id != 0))
        .await;
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
