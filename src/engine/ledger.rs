//! The incidents of a pipeline: kept in the journal for live data, in memory alone for test data.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

use crate::domain::{Entity, Incident, IncidentState, Label, Time};
use crate::store::{
    Batch, IncidentFilter, Journal, JournalError, PRUNED_AT_ONCE, Remembered, Rescued,
};

/// Incidents that a snapshot carries.
const SHOWN: usize = 200;

/// Incidents without a journal are numbered from here on, so that no number names a test incident and a kept one.
const TEST_IDS: u64 = 1_000_001;

/// Changes that are held while the journal can't be written (a full disk); the oldest updates are dropped first, and a
/// dropped update of an incident that is still open comes again with its next row.
const HELD: usize = 10_000;

/// Changes of the journal that one look takes in; the next look goes on after them.
const LOOKED_AT: usize = 1000;

/// Entities that are gone whose count of incidents is kept, those with the newest incidents.
const GONE_COUNTED: usize = 1000;

/// What [`Ledger::prune`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Incidents that were deleted.
    pub incidents: usize,
    /// There may be more to delete.
    pub more: bool,
}

/// A pipeline's incidents.
#[derive(Debug)]
pub struct Ledger {
    journal: Option<Journal>,
    unwritten: Vec<Incident>,
    /// What was found in the history, until it is written.
    past: Option<Vec<Incident>>,
    shown: Vec<Incident>,
    /// The open incident of every entity that has one: at most one an entity.
    open: Arc<BTreeMap<Entity, Arc<Incident>>>,
    /// The same for snapshots, until something changes.
    shared: OnceLock<Arc<[Incident]>>,
    /// Per entity; without those that are long gone.
    counts: Arc<BTreeMap<Entity, u64>>,
    /// Of all entities, those that are gone among them.
    total: u64,
    session: u64,
    next_id: u64,
    /// The journal's last change that was looked at.
    heard: u64,
    /// Incidents that the last commit wrote as opened or over, for the log.
    changes: Vec<Incident>,
}

impl Ledger {
    /// A ledger over a journal, with what it already holds; or one in memory.
    ///
    /// # Errors
    /// [`JournalError`] when the journal can't be read.
    pub fn new(journal: Option<Journal>) -> Result<Self, JournalError> {
        // The number first: what changes while the list is read is looked at again.
        let heard = journal.as_ref().map_or(Ok(0), Journal::last_change)?;
        let (shown, open, counts, total) = match &journal {
            Some(journal) => (
                journal.list(&shown())?,
                open_ones(journal)?,
                journal.counts()?,
                journal.total()?,
            ),
            None => (Vec::new(), BTreeMap::new(), BTreeMap::new(), 0),
        };
        Ok(Self {
            journal,
            unwritten: Vec::new(),
            past: None,
            shown,
            open: Arc::new(open),
            shared: OnceLock::new(),
            counts: Arc::new(counts),
            total,
            session: 0,
            next_id: TEST_IDS,
            heard,
            changes: Vec::new(),
        })
    }

    /// The journal, if there is one.
    pub fn journal(&self) -> Option<&Journal> {
        self.journal.as_ref()
    }

    /// The journal, to write into it.
    pub fn journal_mut(&mut self) -> Option<&mut Journal> {
        self.journal.as_mut()
    }

    /// A new incident. In memory it gets its id at once, which is returned; the journal gives one with the next
    /// [`Ledger::commit`], so that incident and checkpoint are written together or not at all.
    pub fn open(&mut self, incident: &Incident) -> Option<u64> {
        let counts = Arc::make_mut(&mut self.counts);
        *counts.entry(incident.entity.clone()).or_default() += 1;
        self.total += 1;
        self.session += 1;
        let mut incident = incident.clone();
        if self.journal.is_none() {
            incident.id = self.next_id;
            self.next_id += 1;
        }
        self.hold(&incident);
        self.show(&incident);
        (incident.id != 0).then_some(incident.id)
    }

    /// Incidents that the journal has as opened or over since the last call; at most as many as one commit writes.
    pub fn take_changes(&mut self) -> Vec<Incident> {
        std::mem::take(&mut self.changes)
    }

    /// Whether all changes are in the journal.
    pub fn is_written(&self) -> bool {
        self.unwritten.is_empty() && self.past.is_none()
    }

    /// The next commit writes what was found in the history, in place of what was found before.
    pub fn replace_past(&mut self, found: Vec<Incident>) {
        self.past = Some(found);
    }

    /// Entities with changes that are not in the journal yet.
    pub fn unwritten(&self) -> BTreeSet<&Entity> {
        self.unwritten.iter().map(|held| &held.entity).collect()
    }

    /// An incident went on or ended.
    pub fn update(&mut self, incident: &Incident) {
        let open = self.open.get(&incident.entity).map(Arc::as_ref);
        let mut known = open.into_iter().chain(&self.shown);
        if let Some(known) = known.find(|known| same(known, incident)) {
            let kept = Incident {
                id: known.id,
                acknowledged: known.acknowledged,
                label: known.label,
                ..incident.clone()
            };
            self.hold(&kept);
            self.show(&kept);
        } else {
            self.hold(incident);
            self.show(incident);
        }
    }

    /// The incident of an entity that ended last, or goes on. A ledger in memory knows those that it shows.
    ///
    /// # Errors
    /// [`JournalError`] when the journal can't be read.
    pub fn latest(&self, entity: &Entity) -> Result<Option<Incident>, JournalError> {
        let own = self.shown.iter().chain(&self.unwritten);
        let known = own
            .filter(|known| known.entity == *entity && !known.is_past())
            .max_by_key(|known| (known.end, known.id));
        match &self.journal {
            // Fewer are shown than a snapshot may carry: there are no others.
            Some(journal) if known.is_none() && self.shown.len() == SHOWN => journal.latest(entity),
            _ => Ok(known.cloned()),
        }
    }

    fn hold(&mut self, incident: &Incident) {
        if self.journal.is_none() {
            return;
        }
        self.unwritten.retain(|held| !same(held, incident));
        if self.unwritten.len() >= HELD {
            self.unwritten.remove(0);
        }
        self.unwritten.push(incident.clone());
    }

    fn show(&mut self, incident: &Incident) {
        self.shared.take();
        let open = self.open.get(&incident.entity);
        if incident.is_open() {
            Arc::make_mut(&mut self.open)
                .insert(incident.entity.clone(), Arc::new(incident.clone()));
        } else if open.is_some_and(|open| same(open, incident)) {
            Arc::make_mut(&mut self.open).remove(&incident.entity);
        }
        self.shown.retain(|known| !same(known, incident));
        self.shown.push(incident.clone());
        self.shown
            .sort_by_key(|i| (!i.is_open(), std::cmp::Reverse((i.start, i.id))));
        self.shown.truncate(SHOWN);
    }

    /// Writes what changed, with the rest of `batch`, in one transaction; returns the incidents that were new, with their ids.
    /// What could not be written is tried again next time.
    ///
    /// # Errors
    /// [`JournalError`], after which nothing is lost: the changes are still held.
    pub fn commit(&mut self, batch: &Batch<'_>) -> Result<Vec<Incident>, JournalError> {
        let Some(journal) = &mut self.journal else {
            return Ok(Vec::new());
        };
        let ids = journal.commit(&Batch {
            incidents: &self.unwritten,
            past: self.past.as_deref(),
            ..*batch
        })?;
        self.shared.take();
        let is_past_written = self.past.take().is_some();
        let mut new = Vec::new();
        self.changes.clear();
        for (mut incident, id) in std::mem::take(&mut self.unwritten).into_iter().zip(ids) {
            let is_new = incident.id == 0;
            if is_new {
                if let Some(known) = self.shown.iter_mut().find(|known| same(known, &incident)) {
                    known.id = id;
                }
                change_open(
                    &mut self.open,
                    |open| same(open, &incident),
                    |open| open.id = id,
                );
                incident.id = id;
                self.changes.push(Incident {
                    state: IncidentState::Open,
                    ..incident.clone()
                });
            }
            if !incident.is_open() {
                self.changes.push(incident.clone());
            }
            if is_new {
                new.push(incident);
            }
        }
        if is_past_written {
            self.show_again();
        }
        Ok(new)
    }

    /// Shows what the journal has, of which everything is written. When it can't be read, what was shown stays.
    fn show_again(&mut self) {
        match self.journal.as_ref().map(|journal| journal.list(&shown())) {
            Some(Ok(listed)) => self.shown = listed,
            Some(Err(error)) => tracing::warn!("past incidents can't be listed yet: {error}"),
            None => {}
        }
        self.shared.take();
    }

    /// Marks an incident as seen; whether there is one of that id.
    ///
    /// # Errors
    /// [`JournalError`] when the journal can't be written.
    pub fn acknowledge(&mut self, id: u64) -> Result<bool, JournalError> {
        let kept = match &mut self.journal {
            Some(journal) => is_there(journal.acknowledge(id))?,
            None => false,
        };
        Ok(self.change(id, |incident| incident.acknowledged = true) || kept)
    }

    /// Labels an incident; whether there is one of that id.
    ///
    /// # Errors
    /// [`JournalError`] when the journal can't be written.
    pub fn label(&mut self, id: u64, label: Option<Label>) -> Result<bool, JournalError> {
        let kept = match &mut self.journal {
            Some(journal) => is_there(journal.label(id, label))?,
            None => false,
        };
        Ok(self.change(id, |incident| incident.label = label) || kept)
    }

    /// Takes over what was said of incidents through another process (`incidents ack`) since the last look. Returns the
    /// incidents that changed since, the pipeline's own changes among them.
    ///
    /// # Errors
    /// [`JournalError`] when the journal can't be read.
    pub fn hear(&mut self) -> Result<Vec<Incident>, JournalError> {
        let news = match &self.journal {
            Some(journal) => journal.changes_since(self.heard, LOOKED_AT)?,
            None => Vec::new(),
        };
        if let Some(last) = news.last() {
            self.heard = last.seq;
        }
        let changed: Vec<Incident> = news.into_iter().map(|change| change.incident).collect();
        for incident in &changed {
            self.change(incident.id, |known| {
                known.acknowledged = incident.acknowledged;
                known.label = incident.label;
            });
        }
        Ok(changed)
    }

    fn change(&mut self, id: u64, change: impl Fn(&mut Incident)) -> bool {
        self.shared.take();
        let mut found = change_open(&mut self.open, |open| open.id == id, &change);
        for incident in self
            .shown
            .iter_mut()
            .chain(&mut self.unwritten)
            .filter(|incident| incident.id == id)
        {
            change(incident);
            found = true;
        }
        found
    }

    /// Incidents for a snapshot: open ones first, then newest first; at most 200.
    pub fn shown(&self) -> Arc<[Incident]> {
        let shared = self.shared.get_or_init(|| self.shown.clone().into());
        Arc::clone(shared)
    }

    /// The open incident of every entity that has one, however many there are.
    pub fn open_incidents(&self) -> Arc<BTreeMap<Entity, Arc<Incident>>> {
        Arc::clone(&self.open)
    }

    /// Incidents opened: in all, since this process began, and by entity. Entities that are long gone count in the first only.
    pub fn counts(&self) -> (u64, u64, Arc<BTreeMap<Entity, u64>>) {
        (self.total, self.session, Arc::clone(&self.counts))
    }

    /// Deletes from the journal what ended before `before`, but never the newest incident, and forgets the counts of entities
    /// that `is_known` does not know and that had their newest incident before `before`, or are not among the 1,000 newest of
    /// such. A bounded number of each.
    ///
    /// # Errors
    /// [`JournalError`] when the journal can't be read or written; this can be tried again.
    pub fn prune(
        &mut self,
        before: Time,
        is_known: impl Fn(&Entity) -> bool,
    ) -> Result<Pruned, JournalError> {
        // Counts are read anew below: what is not written yet would be missing.
        let Some(journal) = self.journal.as_mut().filter(|_| self.unwritten.is_empty()) else {
            return Ok(Pruned::default());
        };
        let deleted = journal.prune(before)?;
        let forgotten = journal.prune_counts(before, GONE_COUNTED, is_known)?;
        if forgotten > 0 {
            self.counts = Arc::new(journal.counts()?);
        }
        if deleted > 0 {
            let is_kept = |incident: &Incident| incident.is_open() || incident.end >= before;
            self.shown.retain(is_kept);
            self.shared.take();
        }
        Ok(Pruned {
            incidents: deleted,
            more: deleted.max(forgotten) >= PRUNED_AT_ONCE,
        })
    }

    /// When the newest incident that is known was last anomalous.
    pub fn newest(&self) -> Option<Time> {
        self.shown.iter().map(|incident| incident.end).max()
    }

    /// Writes the journal anew whose file is gone or damaged; `None` when there is no journal.
    ///
    /// # Errors
    /// [`JournalError`]; this can be tried again.
    pub fn rescue(&mut self) -> Result<Option<Rescued>, JournalError> {
        let Some(journal) = &mut self.journal else {
            return Ok(None);
        };
        let open = self.open.values().map(Arc::as_ref);
        let known = open.chain(&self.shown).chain(&self.unwritten);
        let remembered = Remembered {
            incidents: &known.cloned().collect::<Vec<_>>(),
            counts: &self.counts,
            total: self.total,
            last_change: self.heard,
        };
        journal.write_anew(&remembered).map(Some)
    }
}

/// The incidents that a snapshot carries.
fn shown() -> IncidentFilter {
    IncidentFilter {
        limit: SHOWN,
        ..IncidentFilter::default()
    }
}

/// The journal's open incidents by entity, the newest where an entity has several.
fn open_ones(journal: &Journal) -> Result<BTreeMap<Entity, Arc<Incident>>, JournalError> {
    let mut open = BTreeMap::new();
    for incident in journal.list(&IncidentFilter {
        open_only: true,
        limit: usize::MAX,
        ..IncidentFilter::default()
    })? {
        let entity = incident.entity.clone();
        open.entry(entity).or_insert_with(|| Arc::new(incident));
    }
    Ok(open)
}

/// Changes the open incident that is the one looked for; whether there is one.
fn change_open(
    open: &mut Arc<BTreeMap<Entity, Arc<Incident>>>,
    is_it: impl Fn(&Incident) -> bool,
    change: impl Fn(&mut Incident),
) -> bool {
    let found = open.values().find(|incident| is_it(incident));
    let Some(entity) = found.map(|incident| incident.entity.clone()) else {
        return false;
    };
    if let Some(incident) = Arc::make_mut(open).get_mut(&entity) {
        change(Arc::make_mut(incident));
    }
    true
}

/// An incident that the journal does not have may be another pipeline's: no error.
fn is_there(outcome: Result<(), JournalError>) -> Result<bool, JournalError> {
    match outcome {
        Ok(()) => Ok(true),
        Err(JournalError::NotFound { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// The same incident, also before it has an id: one entity has one incident that starts at a time, and those found in the
/// history stay as they are.
fn same(a: &Incident, b: &Incident) -> bool {
    if a.is_past() || b.is_past() {
        false
    } else if a.id != 0 && b.id != 0 {
        a.id == b.id
    } else {
        a.entity == b.entity && a.start == b.start
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Why;

    fn incident(entity: usize) -> Incident {
        let time = Time::from_secs(i64::try_from(entity).unwrap());
        Incident {
            id: 0,
            entity: Entity::named(&format!("host-{entity:03}")),
            start: time,
            end: time,
            peak: time,
            peak_score: 2.0,
            peak_alarm: None,
            state: IncidentState::Open,
            features: Vec::new(),
            why: Why::default(),
            acknowledged: false,
            label: None,
        }
    }

    fn over(path: &std::path::Path) -> Ledger {
        let (journal, _) = Journal::open(path).unwrap();
        Ledger::new(Some(journal)).unwrap()
    }

    #[test]
    fn all_open_incidents_are_known_however_few_are_shown() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal.sqlite");
        let mut ledger = over(&path);
        for entity in 0..250 {
            ledger.open(&incident(entity));
        }
        ledger.commit(&Batch::default()).unwrap();
        // The oldest is not among those that are shown.
        let first = Entity::named("host-000");
        assert!(ledger.shown.iter().all(|shown| shown.entity != first));
        let id = ledger.open_incidents()[&first].id;
        assert!(id > 0);
        ledger.acknowledge(id).unwrap();
        ledger.update(&incident(0));
        let known = Arc::clone(&ledger.open_incidents()[&first]);
        assert_eq!((known.id, known.acknowledged), (id, true));
        ledger.commit(&Batch::default()).unwrap();

        let mut ledger = over(&path);
        assert_eq!(ledger.open_incidents().len(), 250);
        assert!(ledger.open_incidents()[&first].acknowledged);
        for entity in 0..250 {
            ledger.update(&Incident {
                state: IncidentState::Closed,
                ..incident(entity)
            });
            assert_eq!(ledger.open_incidents().len(), 249 - entity);
        }
        ledger.commit(&Batch::default()).unwrap();
        assert!(ledger.shown.iter().all(|shown| shown.entity != first));
        let latest = ledger.latest(&first).unwrap().unwrap();
        assert_eq!((latest.id, latest.state), (id, IncidentState::Closed));
        assert_eq!(ledger.latest(&Entity::named("host-250")).unwrap(), None);
    }
}
