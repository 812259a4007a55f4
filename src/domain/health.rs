//! Keeps which parts of the program work, which have failed and since when, for log, screen, `/metrics` and `/readyz`.
//!
//! A part reports its own failure and recovery to the [`HealthBoard`]; the engine copies the board into each snapshot.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::Time;

/// A part of the program that can fail on its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Component {
    /// The task that asks the live source for recent rows.
    Collector,
    /// The task that fetches history.
    History,
    /// The training thread.
    Training,
    /// The forecasting thread.
    Forecast,
    /// The thread that judges the history.
    Past,
    /// The journal: it can be read and written.
    Journal,
    /// The data directory: it is there and still owned by this process.
    DataDir,
    /// The model registry: new models can be written.
    Registry,
    /// The history cache.
    Cache,
    /// The log file.
    Log,
    /// The HTTP listener.
    Listener,
}

impl Component {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 11] = [
        Self::Collector,
        Self::History,
        Self::Training,
        Self::Forecast,
        Self::Past,
        Self::Journal,
        Self::DataDir,
        Self::Registry,
        Self::Cache,
        Self::Log,
        Self::Listener,
    ];

    /// The `component` label in `/metrics`, and the name on screen and in the log.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Collector => "collector",
            Self::History => "history",
            Self::Training => "training",
            Self::Forecast => "forecast",
            Self::Past => "past",
            Self::Journal => "journal",
            Self::DataDir => "data_dir",
            Self::Registry => "registry",
            Self::Cache => "cache",
            Self::Log => "log",
            Self::Listener => "listener",
        }
    }

    /// Without it nothing new is judged, or incidents would be lost with the process: its fault makes the program not
    /// ready. With a fault of another part, scoring and what is known of incidents can be relied on.
    #[must_use]
    pub const fn is_essential(self) -> bool {
        matches!(self, Self::Collector | Self::Journal | Self::DataDir)
    }
}

/// Why a part does not work now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// When it failed first; later failures without a recovery between keep this time.
    pub since: Time,
    /// What happened and what to do, one readable sentence.
    pub text: String,
}

/// How one part is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComponentHealth {
    /// Which part.
    pub component: Component,
    /// Why it does not work; `None` while it works.
    pub fault: Option<Fault>,
    /// How often it was started again since the process started.
    pub restarts: u64,
}

/// Where parts report how they are doing. Clones share one board. It holds one entry per [`Component`] that has reported.
#[derive(Clone, Debug, Default)]
pub struct HealthBoard(Arc<Mutex<Parts>>);

/// Each part's fault, if it has one, and how often it was started again.
type Parts = BTreeMap<Component, (Option<Fault>, u64)>;

impl HealthBoard {
    /// A part has failed at `now`; `true` when it worked before, so that the failure is reported once.
    pub fn fail(&self, component: Component, now: Time, text: impl Into<String>) -> bool {
        let mut parts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (fault, _) = parts.entry(component).or_default();
        let is_new = fault.is_none();
        let since = fault.as_ref().map_or(now, |fault| fault.since);
        *fault = Some(Fault {
            since,
            text: text.into(),
        });
        is_new
    }

    /// A part works; returns the fault that is over, if there was one.
    pub fn recover(&self, component: Component) -> Option<Fault> {
        let mut parts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        parts.entry(component).or_default().0.take()
    }

    /// A part was started again after a failure.
    pub fn restarted(&self, component: Component) {
        let mut parts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        parts.entry(component).or_default().1 += 1;
    }

    /// All parts that have reported, in the order of [`Component::ALL`].
    #[must_use]
    pub fn view(&self) -> Arc<[ComponentHealth]> {
        let parts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let health =
            |(component, (fault, restarts)): (&Component, &(Option<Fault>, u64))| ComponentHealth {
                component: *component,
                fault: fault.clone(),
                restarts: *restarts,
            };
        parts.iter().map(health).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_new_once_and_keeps_its_first_time_until_it_is_over() {
        let board = HealthBoard::default();
        assert!(board.fail(Component::Journal, Time::from_secs(1), "disk full"));
        assert!(!board.fail(Component::Journal, Time::from_secs(9), "disk still full"));
        let view = board.clone().view();
        let fault = view.first().and_then(|part| part.fault.clone());
        let expected = Fault {
            since: Time::from_secs(1),
            text: "disk still full".into(),
        };
        assert_eq!(fault.as_ref(), Some(&expected));
        assert_eq!(board.recover(Component::Journal), Some(expected));
        assert_eq!(board.recover(Component::Journal), None);
        board.restarted(Component::Journal);
        let view = board.view();
        assert_eq!((view.len(), view[0].restarts), (1, 1));
        assert!(view[0].fault.is_none());
    }

    #[test]
    fn parts_are_listed_in_their_own_order() {
        assert!(Component::ALL.is_sorted());
    }
}
