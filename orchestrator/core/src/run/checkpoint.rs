//! A run's state, written down: a cache of the log up to some event, so that a long log need not be folded again.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::sync::Arc;

use mesh_schemas::{Attempt, Digest, RunId, TaskId};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Run, TaskState};
use crate::event::{Event, Started};
use crate::plan::Plan;

/// Version of the form in which a state is written. One more with every change of what is written, or of what it means.
const FORMAT: u32 = 1;

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
    /// A letter for each task in the order of the plan, equal ones counted: `d1024aw98975`.
    tasks: String,
    /// The last attempts of tasks, if they are not the first, by place.
    attempts: BTreeMap<usize, Attempt>,
    outputs: Cow<'a, BTreeMap<TaskId, Value>>,
}

/// Only what every version writes.
#[derive(Deserialize)]
struct Form {
    format: u32,
}

impl Run {
    /// The state as bytes; `None` if the run has ended or its state is larger than [`MAX_STATE_BYTES`].
    ///
    /// With it goes a claim that only its writer can make: that all decisions up to [`Run::upto`] are stored.
    #[must_use]
    pub fn save(&self) -> Option<Vec<u8>> {
        if self.has_ended() {
            return None;
        }
        let attempts = self.tasks.iter().enumerate().filter_map(|(place, task)| match *task {
            TaskState::Active(attempt)
            | TaskState::GivenUp(attempt)
            | TaskState::Pausing(attempt)
            | TaskState::Done(attempt)
            | TaskState::Failed(attempt) => Some((place, attempt)),
            TaskState::Waiting(_) | TaskState::Skipped => None,
        });
        let state = State {
            format: FORMAT,
            run: self.header.run,
            digest: Cow::Borrowed(&self.plan.digest),
            upto: self.upto,
            tasks: letters(&self.tasks),
            attempts: attempts.filter(|(_, attempt)| *attempt != Attempt::FIRST).collect(),
            outputs: Cow::Borrowed(&self.outputs),
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
        self.tasks = tasks(&state.tasks, &state.attempts, &self.plan)?;
        let ended: Vec<bool> = self.tasks.iter().map(|task| task.has_ended()).collect();
        self.open = ended.iter().filter(|ended| !**ended).count();
        if self.open == 0 || state.upto < self.upto {
            return Err("it is not that of a run that goes on");
        }
        for (place, task) in self.tasks.iter_mut().enumerate() {
            let needs = self.plan.tasks[place].needs.iter().filter(|need| !ended[**need]).count();
            match (task, needs) {
                (TaskState::Waiting(open), 1..) => *open = needs,
                (TaskState::Waiting(_), 0) | (_, 1..) => {
                    return Err("a task stands otherwise than its needs allow");
                }
                _ => {}
            }
        }
        self.readers = self.plan.readers(|place| !ended[place]);
        self.outputs = state.outputs.into_owned();
        let kept = (0..ended.len()).filter(|place| ended[*place] && self.readers[*place] > 0);
        let kept: Vec<&TaskId> = kept.map(|place| &self.plan.tasks[place].id).collect();
        if kept.len() != self.outputs.len() || !kept.into_iter().eq(self.outputs.keys()) {
            return Err("it lacks an output, or has one that nobody can ask for");
        }
        self.upto = state.upto;
        Ok(())
    }
}

fn letter(task: TaskState) -> char {
    match task {
        TaskState::Waiting(_) => 'w',
        TaskState::Active(_) => 'a',
        TaskState::Pausing(_) => 'p',
        TaskState::GivenUp(_) => 'g',
        TaskState::Done(_) => 'd',
        TaskState::Failed(_) => 'f',
        TaskState::Skipped => 's',
    }
}

fn letters(tasks: &[TaskState]) -> String {
    let mut text = String::new();
    for equal in tasks.chunk_by(|a, b| letter(*a) == letter(*b)) {
        text.extend(equal.first().map(|task| letter(*task)));
        if equal.len() > 1 {
            let _ = write!(text, "{}", equal.len());
        }
    }
    text
}

/// The tasks of a plan by their letters.
fn tasks(
    letters: &str,
    attempts: &BTreeMap<usize, Attempt>,
    plan: &Plan,
) -> Result<Vec<TaskState>, &'static str> {
    let mut tasks = Vec::with_capacity(plan.tasks.len());
    let mut rest = letters;
    while let Some(letter) = rest.chars().next() {
        rest = &rest[letter.len_utf8()..];
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let count = if digits == 0 { Ok(1) } else { rest[..digits].parse::<usize>() };
        let count = count.ok().filter(|count| *count <= plan.tasks.len() - tasks.len());
        for place in tasks.len()..tasks.len() + count.ok_or("it has more tasks than the plan")? {
            let attempt = attempts.get(&place).copied().unwrap_or(Attempt::FIRST);
            tasks.push(match letter {
                'w' => TaskState::Waiting(0),
                'a' => TaskState::Active(attempt),
                'p' => TaskState::Pausing(attempt),
                'g' => TaskState::GivenUp(attempt),
                'd' => TaskState::Done(attempt),
                'f' => TaskState::Failed(attempt),
                's' => TaskState::Skipped,
                _ => return Err("a task stands in a way that there is not"),
            });
        }
        rest = &rest[digits..];
    }
    if tasks.len() == plan.tasks.len() { Ok(tasks) } else { Err("it has fewer tasks than the plan") }
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
