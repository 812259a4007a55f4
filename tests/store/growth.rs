//! What a journal of months keeps: old incidents, counts, checkpoints and rows go, a bounded number at once.

use pulsewatch::domain::{Entity, IncidentState, KeptScore, Time};
use pulsewatch::store::{Batch, IncidentFilter, Journal, PRUNED_AT_ONCE};

use crate::{Incident, incident, open};

fn closed(entity: &str, start: i64) -> Incident {
    Incident {
        state: IncidentState::Closed,
        ..incident(entity, start)
    }
}

fn add(journal: &mut Journal, incidents: &[Incident]) {
    let batch = Batch {
        incidents,
        ..Batch::default()
    };
    journal.commit(&batch).unwrap();
}

#[test]
fn old_incidents_go_a_bounded_number_at_once_the_oldest_first() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = open(&dir.path().join("j"));
    let many = i64::try_from(PRUNED_AT_ONCE).unwrap() + 10;
    let all: Vec<Incident> = (0..many).map(|n| closed("a", n * 60)).collect();
    add(&mut journal, &all);
    let before = Time::from_secs(many * 100);
    assert_eq!(journal.prune(before).unwrap(), PRUNED_AT_ONCE);
    let left = journal.list(&IncidentFilter::default()).unwrap();
    assert_eq!(left.len(), 10);
    assert_eq!(left[9].start, Time::from_secs((many - 10) * 60));
    assert_eq!(journal.prune(before).unwrap(), 10);
    assert_eq!(journal.prune(before).unwrap(), 0);
}

#[test]
fn counts_of_entities_that_are_gone_go_and_the_total_stays() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("j");
    let mut journal = open(&path);
    let starts = [
        ("known", 0),
        ("old", 0),
        ("old", 60),
        ("a", 9000),
        ("b", 9060),
        ("c", 9120),
    ];
    add(
        &mut journal,
        &starts.map(|(entity, start)| closed(entity, start)),
    );
    let known = |entity: &Entity| entity.name() == "known";
    let names = |journal: &Journal| -> Vec<String> {
        let counts = journal.counts().unwrap();
        counts
            .keys()
            .map(|entity| entity.name().to_owned())
            .collect()
    };
    let before = Time::from_secs(5000);
    assert_eq!(journal.prune_counts(before, 9, known).unwrap(), 1);
    assert_eq!(names(&journal), ["a", "b", "c", "known"]);
    assert_eq!(journal.prune_counts(before, 2, known).unwrap(), 1);
    assert_eq!(names(&journal), ["b", "c", "known"]);
    assert_eq!(journal.prune_counts(before, 2, known).unwrap(), 0);
    assert_eq!(journal.total().unwrap(), 6);
    // One that comes back counts from 1; the total goes on.
    add(&mut journal, &[closed("old", 9900)]);
    drop(journal);
    let journal = open(&path);
    assert_eq!(journal.counts().unwrap()[&Entity::named("old")], 1);
    assert_eq!(journal.total().unwrap(), 7);
}

#[test]
fn an_entitys_checkpoint_is_written_with_its_incident_or_not_at_all_and_deleted_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = open(&dir.path().join("j"));
    let (a, b) = (Entity::named("a"), Entity::named("b"));
    let kept = |journal: &Journal| -> Vec<(String, Vec<u8>)> {
        let all = journal.entity_checkpoints().unwrap().into_iter();
        all.map(|(entity, value)| (entity.name().to_owned(), value))
            .collect()
    };
    let write =
        |journal: &mut Journal, incidents: &[Incident], entities: &[(Entity, Option<Vec<u8>>)]| {
            journal.commit(&Batch {
                incidents,
                entities,
                ..Batch::default()
            })
        };
    let one = [(a.clone(), Some(vec![1])), (b.clone(), Some(vec![2]))];
    write(&mut journal, &[incident("a", 1)], &one).unwrap();
    let unknown = Incident {
        id: 99,
        ..incident("a", 1)
    };
    write(&mut journal, &[unknown], &[(a.clone(), Some(vec![9]))]).unwrap_err();
    assert_eq!(
        kept(&journal),
        [("a".into(), vec![1]), ("b".into(), vec![2])]
    );
    write(&mut journal, &[], &[(a, None), (b, Some(vec![3]))]).unwrap();
    assert_eq!(kept(&journal), [("b".into(), vec![3])]);
}

#[test]
fn rows_near_the_threshold_go_by_age_and_by_number() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = open(&dir.path().join("j"));
    let row = |time: i64| KeptScore {
        entity: Entity::named("a"),
        time: Time::from_secs(time),
        score: 1.0,
        passed: true,
    };
    let rows: Vec<KeptScore> = (0..100_005).map(row).collect();
    journal.keep_scores(&rows).unwrap();
    let oldest = |journal: &Journal| {
        let (from, to) = (Time::from_secs(0), Time::from_secs(1000));
        journal.scores(None, from, to).unwrap()[0].time
    };
    assert_eq!(journal.prune_scores(Time::from_secs(0)).unwrap(), 5);
    assert_eq!(oldest(&journal), Time::from_secs(5));
    assert_eq!(journal.prune_scores(Time::from_secs(50)).unwrap(), 45);
    assert_eq!(oldest(&journal), Time::from_secs(50));
}
