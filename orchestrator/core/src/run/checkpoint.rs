//! A run's state, written down: a cache of the log up to some event, so that a long log need not be folded again.

mod frame;
pub(super) mod nodes;

use std::borrow::Cow;
use std::io;
use std::sync::Arc;

use mesh_schemas::payload::TaskCounts;
use mesh_schemas::{Digest, RunId};
use serde::{Deserialize, Serialize};

use super::Run;
use super::hold::Hold;
use super::state::Frame;
use crate::event::{Event, Started};
use crate::plan::Plan;

/// Version of the form in which a state is written. One more with every change of what is written, or of what it means.
const FORMAT: u32 = 4;

/// Largest state that is written. A run that holds more is folded from its log: writing it down again and again would
/// cost more than that.
pub const MAX_STATE_BYTES: usize = 16 * 1024 * 1024;

/// Why a written state is of no use. The log is there all the same.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotRestored {
    /// It is no state, or not a whole one.
    #[error("the state cannot be read: {0}")]
    Unreadable(String),
    /// It is of another form than this version writes.
    #[error("the state is of form {0}, and this version knows {FORMAT}")]
    Format(u32),
    /// It is of another run, or of another definition.
    #[error("the state belongs to another run or definition")]
    Other,
}

/// What is written.
#[derive(Serialize, Deserialize)]
struct State<'a> {
    format: u32,
    run: RunId,
    digest: Cow<'a, Digest>,
    /// Sequence of the last event that it knows.
    upto: u64,
    counts: TaskCounts,
    root: Cow<'a, Frame>,
    #[serde(default)]
    hold: Cow<'a, Hold>,
}

/// Only what every version writes.
#[derive(Deserialize)]
struct Form {
    format: u32,
}

impl Run {
    /// The state as bytes; `None` if the run has ended or is about to, or its state is larger than [`MAX_STATE_BYTES`].
    ///
    /// With it goes a claim that only its writer can make: that all decisions up to [`Run::upto`] are stored.
    #[must_use]
    pub fn save(&self) -> Option<Vec<u8>> {
        // What is done at the end is soon over.
        if self.has_ended() || self.is_closing() {
            return None;
        }
        let state = State {
            format: FORMAT,
            run: self.header.run,
            digest: Cow::Borrowed(&self.plan.digest),
            upto: self.upto,
            counts: self.counts,
            root: Cow::Borrowed(&self.root),
            hold: Cow::Borrowed(&self.hold),
        };
        let mut bytes = Bounded(Vec::new());
        serde_json::to_writer(&mut bytes, &state).ok()?;
        Some(bytes.0)
    }

    /// The run that a saved state is of, as it was made from these events; `event` is its `started`.
    ///
    /// # Errors
    /// [`NotRestored`] if the state is not one of this run that this version can read.
    pub fn restore(
        event: &Event,
        started: &Started,
        plan: Arc<Plan>,
        bytes: &[u8],
    ) -> Result<Self, NotRestored> {
        let unreadable = |error: serde_json::Error| NotRestored::Unreadable(error.to_string());
        let Form { format } = serde_json::from_slice(bytes).map_err(unreadable)?;
        if format != FORMAT {
            return Err(NotRestored::Format(format));
        }
        let state: State<'_> = serde_json::from_slice(bytes).map_err(unreadable)?;
        if state.run != event.run || *state.digest != plan.digest || started.data.digest != plan.digest {
            return Err(NotRestored::Other);
        }
        let mut run = Self::new(event, started, plan);
        run.fill(state).map_err(|error| NotRestored::Unreadable(error.to_owned()))?;
        Ok(run)
    }

    fn fill(&mut self, state: State<'_>) -> Result<(), &'static str> {
        let mut root = state.root.into_owned();
        root.complete(&self.plan.root, "")?;
        if root.open == 0 || state.upto < self.upto {
            return Err("it is not that of a run that goes on");
        }
        self.root = root;
        self.hold = state.hold.into_owned();
        self.counts = state.counts;
        self.upto = state.upto;
        Ok(())
    }
}

/// Takes up to [`MAX_STATE_BYTES`].
struct Bounded(Vec<u8>);

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > MAX_STATE_BYTES {
            return Err(io::Error::other("the state is too large"));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
