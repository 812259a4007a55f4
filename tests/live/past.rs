//! The history of a server is judged when the first model comes into force, and what was found in it stays apart from what
//! is found live.

use std::path::Path;
use std::time::Duration;

use pulsewatch::domain::{
    Command, Control as _, Entity, HistoryAnswer, HistoryQuery, Incident, IncidentState, Label,
    PipelineId, Snapshot, Time,
};
use pulsewatch::source::recording::{Reading, Recording, read_labels};
use pulsewatch::store::{DataDir, IncidentFilter, Journal};

use crate::common::servers::{History, Prometheus};
use crate::driven::{BEGIN, Driven, STEP, config, level, series};

const HOUR: i64 = 3600;
const METRICS: [&str; 3] = ["cpu_load", "latency", "memory"];
/// Hours of history.
const LEARNED: i64 = 96;
/// When latency doubles, in hours before the start, and how long for in minutes: one in each half.
const EVENTS: [(i64, i64); 2] = [(68, 40), (20, 40)];

fn events() -> Vec<(Time, Time)> {
    let event = |(hours, minutes): (i64, i64)| {
        let from = BEGIN - hours * HOUR;
        (Time::from_secs(from), Time::from_secs(from + minutes * 60))
    };
    EVENTS.into_iter().map(event).collect()
}

fn history() -> Vec<History> {
    let metrics = METRICS.iter().enumerate();
    let one = |(m, metric): (usize, &&str)| {
        let value = |time: i64| {
            let at = Time::from_secs(time);
            let hit = m == 1 && events().iter().any(|(from, to)| at >= *from && at < *to);
            let factor = if hit { 2.0 } else { 1.0 };
            Some(level(0, m, time) * factor)
        };
        let span = (BEGIN - (LEARNED + 1) * HOUR, BEGIN + HOUR);
        series(metric, "a", span, value)
    };
    metrics.map(one).collect()
}

fn past(snapshot: &Snapshot) -> Vec<&Incident> {
    let all = snapshot.live.incidents.iter();
    all.filter(|i| i.state == IncidentState::Past).collect()
}

/// Events that one of the incidents touches, and incidents that touch none.
fn found(incidents: &[&Incident], events: &[(Time, Time)], slack: Duration) -> (usize, usize) {
    let touch = |incident: &Incident, (from, to): &(Time, Time)| {
        incident.start <= *to + slack && incident.end + slack >= *from
    };
    let hit = events
        .iter()
        .filter(|e| incidents.iter().any(|i| touch(i, e)));
    let other = incidents
        .iter()
        .filter(|i| !events.iter().any(|e| touch(i, e)));
    (hit.count(), other.count())
}

async fn all_of(engine: &Driven, entity: Entity) -> HistoryAnswer {
    let query = HistoryQuery {
        pipeline: PipelineId::Live,
        entity,
        from: None,
        to: None,
        max_points: 500,
    };
    engine.running.control.history(query).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_history_is_judged_when_a_model_comes_into_force() {
    let server = Prometheus::with_history(&history());
    let dir = tempfile::tempdir().unwrap();
    let settings = || config(&server, &METRICS, (LEARNED * HOUR).unsigned_abs());
    let mut engine = Driven::start(settings(), dir.path(), BEGIN);
    let judged = engine
        .until("judged the history", |s| !past(s).is_empty())
        .await;
    let slack = Duration::from_secs(STEP.unsigned_abs() * 10);
    let (hit, other) = found(&past(&judged), &events(), slack);
    assert_eq!(hit, 2, "{:#?}", past(&judged));
    assert!(other <= 4, "{other} others in four days");
    let told = judged.notices.iter().map(|notice| notice.text.as_str());
    let told: Vec<&str> = told.filter(|text| text.contains("past incident")).collect();
    assert!(
        told.len() == 1 && told[0].contains("learned from the other half"),
        "{told:?}"
    );

    // They count nowhere, and nothing is open.
    let counters = &judged.live.counters;
    assert_eq!(
        (counters.incidents_total, counters.incidents_session),
        (0, 0)
    );
    assert!(judged.live.open_incidents.is_empty());
    assert!(
        past(&judged)
            .iter()
            .all(|i| i.id > 0 && !i.features.is_empty())
    );

    // The whole range has scores, the events are marked, at the feature that they are about, outside of its band.
    let answer = all_of(&engine, Entity::named("a")).await;
    let scored = answer.scores.iter().filter(|score| score.is_finite());
    assert!(scored.count() > answer.grid.len() * 9 / 10);
    for (from, _) in events() {
        let row = answer.grid.row(from + slack).unwrap();
        let around = row - 1..row + 2;
        assert!(answer.anomalous[around.clone()].contains(&true), "{from}");
        let [cpu, latency, _] = &answer.series[..] else {
            panic!("{} series", answer.series.len());
        };
        assert!(latency.anomalous[around.clone()].contains(&true));
        assert!(!cpu.anomalous[around.clone()].contains(&true));
        let outside = |row: usize| latency.values[row] > latency.upper[row];
        assert!(around.clone().any(outside), "{:?}", &latency.upper[around]);
    }

    // What is labelled stays when the next model judges anew, and is not found a second time beside it.
    let first = past(&judged).last().map(|i| (i.id, i.start)).unwrap();
    let send = |command| engine.running.control.send(command).unwrap();
    send(Command::Label(first.0, Some(Label::Real)));
    send(Command::Retrain(PipelineId::Live));
    let again = engine
        .until("judged again", |s| {
            let ids: Vec<u64> = past(s).iter().map(|i| i.id).collect();
            ids.contains(&first.0) && ids.iter().any(|id| *id > first.0 + 1)
        })
        .await;
    let labelled = past(&again).into_iter().filter(|i| i.label.is_some());
    assert_eq!(
        labelled.map(|i| (i.id, i.start)).collect::<Vec<_>>(),
        [first]
    );
    let (hit, other) = found(&past(&again), &events(), slack);
    assert!(hit == 2 && other <= 4, "{:#?}", past(&again));
    let kept = past(&again).len();
    for _ in 0..3 {
        engine.tick().await;
    }
    let last = engine.stop().await;
    assert_eq!(last.live.counters.incidents_total, 0);
    let journal = Journal::open_to_read(&DataDir::at(dir.path()).journal()).unwrap();
    let filter = IncidentFilter {
        past: Some(true),
        ..IncidentFilter::default()
    };
    assert_eq!(journal.list(&filter).unwrap().len(), kept);
}

/// Over labelled data of one's own: `PAST_SERIES` names a folder with `series.csv` and `labels.csv`, `PAST_DAYS` how much of
/// its end is the history. Prints what was found.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "asks for data"]
async fn labelled_data_behind_a_server() {
    let Ok(folder) = std::env::var("PAST_SERIES") else {
        return;
    };
    let days = std::env::var("PAST_DAYS").map_or(14, |days| days.parse().unwrap());
    let file = |name: &str| {
        let plain = Path::new(&folder).join(format!("{name}.csv"));
        let packed = Path::new(&folder).join(format!("{name}.csv.gz"));
        if plain.is_file() { plain } else { packed }
    };
    let recording = Recording::read(&file("series")).unwrap();
    let step = i64::try_from(recording.step().as_secs()).unwrap();
    let last = recording.span().unwrap().1.millis() / 1000;
    let shift = (BEGIN - last) / 86_400 * 86_400;
    let moved = |time: Time| time.millis() / 1000 + shift;
    let columns = recording.columns.iter().enumerate();
    let all: Vec<History> = columns
        .map(|(column, name)| {
            let values = recording.values.column(column);
            let samples = recording.times.iter().zip(values);
            let samples = samples
                .map(|(time, value)| (moved(*time), *value))
                .collect();
            History::new(name, &[("instance", "a")], samples)
        })
        .collect();
    let server = Prometheus::with_history(&all);
    let names: Vec<&str> = recording.columns.iter().map(AsRef::as_ref).collect();
    let mut settings = config(&server, &names, days * 86_400);
    let defaults = pulsewatch::config::Config::default();
    settings.autoencoder = defaults.autoencoder;
    settings.source.step = pulsewatch::config::Span::secs(step.unsigned_abs());
    settings.detect.interval = settings.source.step;
    let dir = tempfile::tempdir().unwrap();
    let now = last + shift;
    let engine = Driven::start(settings, dir.path(), now);
    let trained = engine.trained().await;
    let began = std::time::Instant::now();
    let judged = engine
        .until("judged the history", |s| !past(s).is_empty())
        .await;
    println!("judged in {:.1} s", began.elapsed().as_secs_f64());
    println!(
        "trained in {:?}",
        trained.live.last_training.as_ref().unwrap().took
    );
    let since = Time::from_secs(now) - Duration::from_secs(days * 86_400);
    let reading = Reading::new(None, Time::from_secs(now)).unwrap();
    let labels = read_labels(&file("labels"), &reading).unwrap();
    let mut events: Vec<(Time, Time)> = Vec::new();
    for (time, _) in labels.into_iter().filter(|(_, label)| *label) {
        let at = Time::from_secs(moved(time));
        match events.last_mut() {
            Some(event) if at.since(event.1) <= recording.step() => event.1 = at,
            _ => events.push((at, at)),
        }
    }
    events.retain(|(_, to)| *to >= since);
    for notice in judged.notices.iter() {
        println!("{}", notice.text);
    }
    let (hit, other) = found(&past(&judged), &events, recording.step());
    println!(
        "{hit} of {} events, {other} others in {days} days",
        events.len()
    );
    for i in past(&judged) {
        println!(
            "{} – {} {:.2} {:?}",
            i.start, i.end, i.peak_score, i.peak_alarm
        );
    }
    println!("{events:?}");
}
