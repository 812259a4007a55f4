//! What this process takes of the machine, for the screen.
//!
//! The exporter has the process metrics that every Prometheus client has, from that library and as of the scrape; here are
//! the two figures that a person looks at, as of the snapshot and on every system.

use std::time::{Duration, Instant};

use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System, get_current_pid};

use crate::domain::ProcessView;

/// Between two looks: over less, processor time that is counted in hundredths of a second says little.
const APART: Duration = Duration::from_secs(2);

/// Looks at this process now and then.
pub struct Process {
    /// The system and this process in it; `None` where the system does not tell.
    system: Option<(System, Pid)>,
    /// When was last looked, and the processor time taken until then. By the clock that nobody sets: by one that is put right,
    /// the share in between is wrong.
    last: Option<(Instant, Duration)>,
    view: ProcessView,
}

impl Default for Process {
    /// Reads nothing yet.
    fn default() -> Self {
        Self {
            system: System::new().ok().zip(get_current_pid().ok()),
            last: None,
            view: ProcessView::default(),
        }
    }
}

impl Process {
    /// What it takes as of the last look, which is now when that was over two seconds ago. Nothing is known when it can't be
    /// read any more.
    pub fn look(&mut self, now: Instant) -> ProcessView {
        let ago = self
            .last
            .map(|(last, _)| now.saturating_duration_since(last));
        if ago.is_some_and(|ago| ago < APART) {
            return self.view;
        }
        let read = self.read();
        self.view = read.map_or_else(ProcessView::default, |(memory, taken)| ProcessView {
            memory: Some(memory),
            cpu: share(self.last, (now, taken)),
        });
        self.last = read.map(|(_, taken)| (now, taken));
        self.view
    }

    /// Resident bytes, and the processor time taken so far by all threads.
    fn read(&mut self) -> Option<(u64, Duration)> {
        let (system, pid) = self.system.as_mut()?;
        let wanted = ProcessRefreshKind::nothing()
            .with_memory()
            .with_cpu()
            .without_tasks();
        system.refresh_processes_specifics(ProcessesToUpdate::Some(&[*pid]), true, wanted);
        let process = system.process(*pid)?;
        let taken = Duration::from_millis(process.accumulated_cpu_time());
        Some((process.memory(), taken))
    }
}

/// Part of one core between two looks; `None` before the second one.
fn share(last: Option<(Instant, Duration)>, (now, taken): (Instant, Duration)) -> Option<f64> {
    let (then, before) = last?;
    let passed = now.saturating_duration_since(then).as_secs_f64();
    (passed > 0.0).then(|| taken.saturating_sub(before).as_secs_f64() / passed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_of_the_time_between_two_looks() {
        let start = Instant::now();
        let at = |secs, millis| {
            let time = start + Duration::from_secs(secs);
            (time, Duration::from_millis(millis))
        };
        assert_eq!(share(None, at(10, 500)), None);
        assert_eq!(share(Some(at(10, 500)), at(14, 600)), Some(0.025));
        assert_eq!(share(Some(at(10, 500)), at(10, 600)), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_has_memory_and_is_looked_at_every_two_seconds() {
        let (mut process, start) = (Process::default(), Instant::now());
        let mut look = |secs| process.look(start + Duration::from_secs(secs));
        let first = look(0);
        assert!(first.memory.is_some_and(|bytes| bytes > 1 << 20));
        assert_eq!(first.cpu, None);
        assert_eq!(look(1).cpu, None, "too soon");
        let later = look(2).cpu;
        assert!(later.is_some_and(|share| share >= 0.0));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_can_not_be_read_any_more_is_not_known() {
        let (mut process, start) = (Process::default(), Instant::now());
        process.look(start);
        let own = process.system.take();
        let gone = process.look(start + APART);
        assert_eq!(gone, ProcessView::default());
        process.system = own;
        let back = process.look(start + APART * 2);
        assert!(back.memory.is_some() && back.cpu.is_none(), "{back:?}");
    }
}
