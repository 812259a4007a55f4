//! Keeps the open connections: what each of them is doing, which one gives way to a newer one, and when one took too long.
//!
//! ```text
//!            bytes            whole head            answer made          all written
//!  Idle ───────────► Reading ───────────► Answering ───────────► Writing ───────────► Idle
//! ```
//!
//! hyper bounds the time of a head, but not that of an answer that its client does not read; it leaves that to what
//! carries the bytes. Both are bounded here, because only here is known which connection can best be given up.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// What clients may take of the listener.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at once; when one more comes, the one that has waited for its client longest is closed.
    pub connections: usize,
    /// Answers that are being made or written at once.
    pub answers: usize,
    /// How long a request's head may take, from its first byte or from the connection's begin.
    pub head: Duration,
    /// How long a connection may stay open without a request.
    pub idle: Duration,
    /// How long a client may take to read an answer.
    pub write: Duration,
    /// How long a client must have left an answer unread before it may lose its place to another request.
    pub stalled: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 256,
            answers: 64,
            head: Duration::from_secs(10),
            idle: Duration::from_secs(75),
            write: Duration::from_secs(30),
            stalled: Duration::from_secs(1),
        }
    }
}

/// What a connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Between two requests.
    Idle,
    /// A head has begun to arrive, or nothing has arrived at all yet.
    Reading,
    /// A request is being answered.
    Answering,
    /// The answer is made and not yet taken.
    Writing,
}

#[derive(Debug)]
struct Doing {
    phase: Phase,
    since: Instant,
    /// The place among the answers, from the request until its answer is written.
    place: Option<OwnedSemaphorePermit>,
}

/// One connection, shared by what reads and writes it, what answers it, and the list.
#[derive(Debug)]
pub(super) struct Connection {
    doing: Mutex<Doing>,
    limits: Limits,
    /// The phase is another one now.
    changed: Notify,
    /// It has to give way to another one.
    given_up: Notify,
}

impl Connection {
    fn new(limits: Limits) -> Self {
        Self {
            doing: Mutex::new(Doing {
                phase: Phase::Reading,
                since: Instant::now(),
                place: None,
            }),
            limits,
            changed: Notify::new(),
            given_up: Notify::new(),
        }
    }

    fn doing(&self) -> MutexGuard<'_, Doing> {
        self.doing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(&self, phase: Phase) {
        let mut doing = self.doing();
        (doing.phase, doing.since) = (phase, Instant::now());
        self.changed.notify_one();
    }

    /// Bytes have arrived.
    pub(super) fn read(&self) {
        if self.doing().phase == Phase::Idle {
            self.enter(Phase::Reading);
        }
    }

    /// A request's head is whole.
    pub(super) fn asked(&self) {
        self.enter(Phase::Answering);
    }

    /// The answer is made.
    pub(super) fn answered(&self) {
        self.enter(Phase::Writing);
    }

    /// All that was to be written is written.
    pub(super) fn written(&self) {
        if self.doing().phase == Phase::Writing {
            self.doing().place = None;
            self.enter(Phase::Idle);
        }
    }

    fn give_up(&self) {
        self.doing().place = None;
        self.given_up.notify_one();
    }

    /// Since when its client keeps it waiting; `None` while the client waits for an answer.
    fn waits_since(&self) -> Option<Instant> {
        let doing = self.doing();
        (doing.phase != Phase::Answering).then_some(doing.since)
    }

    /// Since when its client does not read an answer that has a place.
    fn stalls_since(&self) -> Option<Instant> {
        let doing = self.doing();
        let holds = doing.phase == Phase::Writing && doing.place.is_some();
        holds.then_some(doing.since)
    }

    /// When it is to be closed if nothing happens; the router bounds the time of an answer.
    fn deadline(&self) -> Option<Instant> {
        let doing = self.doing();
        let allowed = match doing.phase {
            Phase::Idle => self.limits.idle,
            Phase::Reading => self.limits.head,
            Phase::Writing => self.limits.write,
            Phase::Answering => return None,
        };
        Some(doing.since + allowed)
    }

    /// Waits until it is to be closed: its client took too long, or another connection needs its place.
    pub(super) async fn is_over(&self) -> &'static str {
        tokio::select! {
            () = self.given_up.notified() => "another connection needed its place",
            () = self.is_late() => "its client took too long",
        }
    }

    async fn is_late(&self) {
        loop {
            let deadline = self.deadline();
            let passes = async {
                match deadline {
                    Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = self.changed.notified() => {}
                () = passes => return,
            }
        }
    }
}

/// The open connections, at most [`Limits::connections`].
#[derive(Debug)]
pub(super) struct Connections {
    open: Mutex<Vec<Arc<Connection>>>,
    places: Arc<Semaphore>,
    limits: Limits,
}

impl Connections {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            open: Mutex::default(),
            places: Arc::new(Semaphore::new(limits.answers)),
            limits,
        }
    }

    fn open(&self) -> MutexGuard<'_, Vec<Arc<Connection>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a new connection in; where there is no room, the one that has waited for its client longest is given up.
    pub(super) fn admit(self: &Arc<Self>) -> Admitted {
        let connection = Arc::new(Connection::new(self.limits));
        let mut open = self.open();
        if open.len() >= self.limits.connections {
            let waiting = |(at, one): (usize, &Arc<Connection>)| Some((one.waits_since()?, at));
            let longest = open.iter().enumerate().filter_map(waiting).min();
            let given_up = open.swap_remove(longest.map_or(0, |(_, at)| at));
            given_up.give_up();
        }
        open.push(Arc::clone(&connection));
        Admitted {
            all: Arc::clone(self),
            connection,
        }
    }

    /// Takes a place among the answers for a connection, which it has until its answer is written; whether there was one.
    /// Where there is none, the client that has left an answer unread longest loses its connection.
    pub(super) fn place(&self, connection: &Connection) -> bool {
        if connection.doing().place.is_some() {
            return true;
        }
        if self.places.available_permits() == 0 {
            self.free_a_place();
        }
        let place = Arc::clone(&self.places).try_acquire_owned().ok();
        let found = place.is_some();
        connection.doing().place = place;
        found
    }

    fn free_a_place(&self) {
        let open = self.open();
        let stalled = open
            .iter()
            .filter_map(|one| Some((one.stalls_since()?, one)));
        if let Some((since, one)) = stalled.min_by_key(|(since, _)| *since)
            && since.elapsed() >= self.limits.stalled
        {
            one.give_up();
        }
    }
}

/// A connection in the list; it leaves the list when this is dropped.
pub(super) struct Admitted {
    all: Arc<Connections>,
    /// The connection.
    pub(super) connection: Arc<Connection>,
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.all
            .open()
            .retain(|one| !Arc::ptr_eq(one, &self.connection));
    }
}
