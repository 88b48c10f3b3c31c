use std::fmt;
use std::sync::Arc;

use super::event::Event;

/// Whom assertions are about, and what is shown when one of them does not hold.
#[derive(Debug, Clone)]
pub(super) struct Story {
    pub(super) who: String,
    pub(super) events: Arc<[Event]>,
}

impl Story {
    pub(super) fn new(who: impl Into<String>, events: Vec<Event>) -> Self {
        Self { who: who.into(), events: events.into() }
    }

    /// The same events, told of somebody in particular.
    pub(super) fn about(&self, who: impl Into<String>) -> Self {
        Self { who: who.into(), events: Arc::clone(&self.events) }
    }

    /// An assertion that does not hold.
    #[track_caller]
    pub(super) fn fail(&self, what: impl fmt::Display) -> ! {
        panic!("{}: {what}\n{self}", self.who)
    }

    /// The first event for which something can be said.
    pub(super) fn first<T>(&self, found: impl FnMut(&Event) -> Option<T>) -> Option<T> {
        self.events.iter().find_map(found)
    }
}

impl fmt::Display for Story {
    /// What happened, a line for each event.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.events.is_empty() {
            return f.write_str("nothing happened");
        }
        f.write_str("what happened:")?;
        self.events.iter().try_for_each(|event| write!(f, "\n  {event}"))
    }
}
