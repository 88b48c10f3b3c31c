//! What was done to whom, and when.

use std::sync::{Mutex, PoisonError};

use super::millis;

/// Who suffers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Victim {
    Server,
    Orchestrator,
    /// By its process id.
    Agent(u32),
}

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Deed {
    /// SIGKILL, and started again a little later.
    Kill,
    /// SIGTERM, and started again a little later.
    Restart,
    /// SIGSTOP for longer than others wait, then SIGCONT.
    Freeze,
    /// Cut off from the other servers of its cluster, and only from them.
    Isolate,
}

impl Deed {
    pub(super) const ALL: [Self; 4] = [Self::Kill, Self::Restart, Self::Freeze, Self::Isolate];
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Fault {
    pub(super) victim: Victim,
    pub(super) deed: Deed,
    /// When it began, in milliseconds.
    pub(super) from: u64,
    /// When its victim, or its successor, was there again.
    to: Option<u64>,
}

impl Fault {
    /// Whether it was going on at some moment between two.
    pub(super) fn touches(&self, from: u64, to: u64) -> bool {
        self.from <= to && self.to.is_none_or(|end| from <= end)
    }
}

/// All that was done.
#[derive(Debug, Default)]
pub(super) struct Faults(Mutex<Vec<Fault>>);

impl Faults {
    /// Notes that a fault begins; the number is for [`Faults::over`].
    pub(super) fn begin(&self, victim: Victim, deed: Deed) -> usize {
        let mut faults = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        faults.push(Fault { victim, deed, from: millis(), to: None });
        faults.len() - 1
    }

    pub(super) fn over(&self, number: usize) {
        let mut faults = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(fault) = faults.get_mut(number) {
            fault.to = Some(millis());
        }
    }

    pub(super) fn all(&self) -> Vec<Fault> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
