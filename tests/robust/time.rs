//! Clocks that jump, samples that are late, and sources that are away for long.

use std::time::Duration;

use pulsewatch::domain::Time;

use crate::common::misbehaving::Reply;
use crate::fixture::{
    LEARNED, STEP, config, is_scoring, is_up, noticed, scored_at, scoring, server, stale, wave,
};

/// Times of the verdicts that are scores, as they come: each once, later than the one before.
#[derive(Default)]
struct Verdicts(Vec<i64>);

impl Verdicts {
    fn take(&mut self, snapshot: &pulsewatch::domain::Snapshot) {
        let Some(time) = scored_at(snapshot) else {
            return;
        };
        if self.0.last() != Some(&time) {
            assert!(
                self.0.last().is_none_or(|last| time > *last),
                "{time} was judged after {:?}",
                self.0.last()
            );
            self.0.push(time);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_steps_back_a_little_stops_nothing_and_judges_nothing_twice() {
    let dir = tempfile::tempdir().unwrap();
    let fake = server().await;
    let config = config(&fake.url(), &["cpu", "load"]);
    let mut driver = scoring(&config, dir.path()).await;
    driver.go_on(5).await;
    let mut verdicts = Verdicts::default();
    verdicts.take(&driver.snapshot());
    let (right, looks) = (driver.now, |d: &crate::common::driver::Driver| {
        d.snapshot().live.counters.collect_seconds.count
    });

    driver.set(right - Duration::from_secs(3 * 60));
    let before = looks(&driver);
    for _ in 0..3 {
        driver.go_on(1).await;
        verdicts.take(&driver.snapshot());
    }
    assert!(looks(&driver) >= before + 3, "it goes on looking");
    assert!(is_up(&driver.snapshot()));
    assert_eq!(verdicts.0.len(), 1, "nothing is judged again");
    while driver.now < right + Duration::from_secs(10 * 60) {
        driver.go_on(1).await;
        verdicts.take(&driver.snapshot());
    }
    assert!(verdicts.0.len() >= 9, "{:?}", verdicts.0);
    assert_eq!(*verdicts.0.last().unwrap(), driver.now.millis() / 1000);
    assert!(!noticed(&driver.snapshot(), "set back"));
    assert!(driver.snapshot().live.incidents.is_empty());
    driver.stop().await;
}

/// Host and server are ahead together and come back, by a day or an hour: what was judged under the wrong clock is dropped and
/// said so, and from the next row on everything is judged as if the clock had always been right.
#[tokio::test(flavor = "multi_thread")]
async fn rows_ahead_of_a_clock_that_was_set_back_are_dropped_and_detection_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let fake = server().await;
    let config = config(&fake.url(), &["cpu", "load"]);
    let mut driver = scoring(&config, dir.path()).await;
    for ahead in [86_400, 3600] {
        let right = driver.now;
        let wrong = right + Duration::from_secs(ahead);
        driver.set(wrong);
        driver
            .until("judged ahead", |s| {
                s.now >= wrong && scored_at(s) == Some(s.now.millis() / 1000)
            })
            .await;
        let told = |s: &pulsewatch::domain::Snapshot| {
            let set_back = s.notices.iter().filter(|n| n.text.contains("set back"));
            set_back.count()
        };
        let before = told(&driver.snapshot());
        driver.set(right + Duration::from_secs(60));
        let back = driver.wait("told", |s| told(s) > before).await;
        let notice = back.notices.iter().rfind(|n| n.text.contains("set back"));
        assert_eq!(notice.unwrap().level, pulsewatch::domain::Level::Warning);
        let view = &back.live.entities[0];
        assert!(
            view.grid.last() <= Some(driver.now),
            "{:?}",
            view.grid.last()
        );
        // A spike right after it is found.
        let spike = driver.now.millis() / 1000 + 2 * STEP;
        fake.change(|world| {
            world.forget("load");
            world.add("load", &[], move |t| {
                Some(crate::fixture::bumped(t, 1.0, spike, spike + 10 * STEP))
            });
        });
        let found = driver
            .until("the spike", |s| crate::fixture::open_incident(s).is_some())
            .await;
        let incident = crate::fixture::open_incident(&found).unwrap();
        assert!(incident.start >= Time::from_secs(spike), "{incident:?}");
        assert!(
            incident.start <= Time::from_secs(spike + 3 * STEP),
            "{incident:?}"
        );
        driver
            .until("over", |s| crate::fixture::open_incident(s).is_none())
            .await;
        driver.go_on(60).await;
        assert_eq!(told(&driver.snapshot()), before + 1, "told once");
    }
    driver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_under_a_clock_that_was_put_right_judges_from_the_present_on() {
    let dir = tempfile::tempdir().unwrap();
    let fake = server().await;
    let config = config(&fake.url(), &["cpu", "load"]);
    let mut driver = scoring(&config, dir.path()).await;
    let right = driver.now;
    let wrong = right + Duration::from_secs(86_400);
    driver.set(wrong);
    driver
        .until("judged ahead", |s| {
            s.now >= wrong && scored_at(s) == Some(s.now.millis() / 1000)
        })
        .await;
    driver.stop().await;
    let now = right + Duration::from_secs(120);
    let mut driver = crate::common::driver::Driver::open(&config, dir.path(), now);
    assert!(
        noticed(&driver.snapshot(), "set back"),
        "{:?}",
        driver.told()
    );
    driver.go_on(3).await;
    let snapshot = driver
        .until("scoring", |s| scored_at(s) == Some(s.now.millis() / 1000))
        .await;
    assert!(snapshot.now < right + Duration::from_secs(3600));
    driver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_ran_ahead_and_was_put_right_costs_no_day() {
    let dir = tempfile::tempdir().unwrap();
    let fake = server().await;
    let config = config(&fake.url(), &["cpu", "load"]);
    let mut driver = scoring(&config, dir.path()).await;
    let mut verdicts = Verdicts::default();
    verdicts.take(&driver.snapshot());
    let right = driver.now;

    // The server's own clock stays right: it has no samples of tomorrow.
    fake.change(|world| world.until = right.millis() / 1000);
    driver.set(right + Duration::from_secs(86_400));
    driver.go_on(3).await;
    assert!(!is_scoring(&driver.snapshot()), "tomorrow is not known");
    assert!(is_up(&driver.snapshot()));

    fake.change(|world| world.until = i64::MAX);
    driver.set(right + Duration::from_secs(120));
    let soon = right + Duration::from_secs(40 * 60);
    while driver.now < soon {
        driver.go_on(1).await;
        verdicts.take(&driver.snapshot());
    }
    assert!(is_scoring(&driver.snapshot()), "{:?}", driver.told());
    assert_eq!(*verdicts.0.last().unwrap(), driver.now.millis() / 1000);
    let view = &driver.snapshot().live.entities[0];
    assert_eq!(view.grid.last(), Some(driver.now));
    assert_eq!(view.grid.len(), view.scores.len());
    driver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_day_is_caught_up_with() {
    let dir = tempfile::tempdir().unwrap();
    let fake = server().await;
    let config = config(&fake.url(), &["cpu", "load"]);
    let mut driver = scoring(&config, dir.path()).await;
    driver.set(driver.now + Duration::from_secs(86_400));
    let snapshot = driver
        .until("on again", |s| scored_at(s) == Some(s.now.millis() / 1000))
        .await;
    assert!(is_up(&snapshot) && is_scoring(&snapshot));
    // The rows of the night were there at the server: they are scored too.
    let scores = &snapshot.live.entities[0].scores;
    assert!(scores.tail(100).iter().all(|s| s.is_finite()), "{scores:?}");
    driver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn late_samples_fill_what_is_missing_and_never_replace_what_was_judged() {
    let dir = tempfile::tempdir().unwrap();
    let fake = server().await;
    let config = config(&fake.url(), &["cpu", "load"]);
    let mut driver = scoring(&config, dir.path()).await;
    let late = driver.now.millis() / 1000 + 2 * STEP;
    fake.change(|world| {
        world.forget("load");
        world.add("load", &[], move |t| (t != late).then(|| wave(t, 1.0)));
    });
    driver
        .until("past it", |s| scored_at(s).is_some_and(|t| t > late))
        .await;
    let at = |s: &pulsewatch::domain::Snapshot| {
        let view = &s.live.entities[0];
        let row = view.grid.row(Time::from_secs(late)).unwrap();
        let get = |series: &pulsewatch::domain::Series| series.iter().nth(row).unwrap();
        (
            get(&view.features[1].values),
            get(&view.scores),
            get(&view.anomalous),
        )
    };
    let cpu = |s: &pulsewatch::domain::Snapshot| {
        let view = &s.live.entities[0];
        let row = view.grid.row(Time::from_secs(late)).unwrap();
        view.features[0].values.iter().nth(row).unwrap()
    };
    let before = at(&driver.snapshot());
    assert!(before.0.is_nan() && before.1.is_finite(), "{before:?}");
    fake.change(|world| {
        world.forget("load");
        world.add("load", &[], |t| Some(wave(t, 1.0)));
        // The server also has another value by now for what was judged already.
        world.forget("cpu");
        world.add("cpu", &[], move |t| {
            Some(wave(t, 0.0) + if t == late { 5.0 } else { 0.0 })
        });
    });
    let judged = cpu(&driver.snapshot());
    assert!(judged.is_finite());
    driver.until("amended", |s| at(s).0.is_finite()).await;
    assert_eq!(cpu(&driver.snapshot()), judged);
    let after = at(&driver.snapshot());
    assert_eq!(after.0, wave(late, 1.0));
    assert_eq!((after.1, after.2), (before.1, before.2));
    assert!(driver.snapshot().live.incidents.is_empty());
    driver.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_was_away_for_thousands_of_steps_is_taken_up_with_bounded_work() {
    let dir = tempfile::tempdir().unwrap();
    let fake = server().await;
    let config = config(&fake.url(), &["cpu", "load"]);
    let mut driver = scoring(&config, dir.path()).await;
    for away in [5_000 * STEP, 20 * 365 * 86_400] {
        fake.change(|world| world.trouble = Some(Reply::status(503, "", "gone")));
        driver.until("stale", |s| stale(s).is_some()).await;
        driver.set(driver.now + Duration::from_secs(away as u64));
        driver.go_on(1).await;
        let points = fake.change(|world| {
            world.trouble = None;
            std::mem::take(&mut world.points)
        });
        assert!(
            points < 10 * LEARNED * 2,
            "{points} points asked for while it failed"
        );
        let snapshot = driver
            .until("scoring again", |s| {
                is_up(s) && scored_at(s) == Some(s.now.millis() / 1000)
            })
            .await;
        let asked = fake.change(|world| std::mem::take(&mut world.points));
        assert!(asked < 20 * LEARNED, "{asked} points asked for");
        let view = &snapshot.live.entities[0];
        assert!(view.grid.len() <= config.ui.max_points);
        assert_eq!(view.grid.len(), view.scores.len());
        assert_eq!(view.grid.last(), Some(snapshot.now));
        assert!(noticed(&snapshot, "is back"));
    }
    driver.stop().await;
}
