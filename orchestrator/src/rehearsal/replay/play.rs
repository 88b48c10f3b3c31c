use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use mesh_bus::RunOutcome;
use mesh_core::Unreadable;
use mesh_schemas::{Attempt, Message, RunId, TaskId, Timer};

use super::compare::{self, Change};
use super::recorded::{Mark, Recorded};
use crate::definitions::Known;
use crate::rehearsal::{Asked, Begun, Course, Opening, Rehearsal};

/// How a recorded run would go with another definition.
#[derive(Debug, Clone, PartialEq)]
pub struct Replayed {
    /// The run.
    pub run: RunId,
    /// What would be otherwise.
    pub changes: Vec<Change>,
    /// What nobody can tell the outcome of, because it was not recorded: how the run goes on from there is not known.
    pub untold: Vec<(TaskId, Attempt)>,
    /// How it would go, as far as can be told; `None` if it would not begin.
    pub course: Option<Course>,
}

impl Replayed {
    /// Whether it would go as it went.
    #[must_use]
    pub fn is_same(&self) -> bool {
        self.changes.is_empty() && self.untold.is_empty()
    }

    /// Whether it would end in a way that is known, or not begin at all.
    #[must_use]
    pub fn is_told(&self) -> bool {
        self.course.as_ref().is_none_or(|course| course.outcome.is_some())
    }
}

/// Plays a recorded run again, with a definition that may be another one.
///
/// # Errors
/// [`Unreadable`] if an event of our own cannot be read back, which is a defect.
pub fn replay(recorded: &Recorded, changed: &Known) -> Result<Replayed, Unreadable> {
    let run = recorded.run();
    let opening = Opening {
        namespace: recorded.namespace.clone(),
        run,
        request: recorded.started.data.request.clone(),
        correlation_id: recorded.started.correlation_id.clone(),
        trace: recorded.started.trace.clone(),
        at: recorded.begin.time,
        input: recorded.started.data.input.clone(),
        parent: recorded.started.data.parent.clone(),
        config: recorded.started.data.config.clone(),
        taken_over: recorded.started.data.taken_over.clone(),
        pause_before: recorded.started.data.pause_before.clone(),
    };
    match Rehearsal::begin(changed, opening)? {
        Begun::Rejected(rejected) => {
            let changes = compare::outcome(&recorded.course, &RunOutcome::Rejected(rejected));
            Ok(Replayed { run, changes, untold: Vec::new(), course: None })
        }
        Begun::Started(rehearsal) => {
            let (course, untold) = Replay::new(recorded, *rehearsal).play()?;
            let changes = compare::courses(&recorded.course, &course);
            Ok(Replayed { run, changes, untold, course: Some(course) })
        }
    }
}

/// Something that is going to happen.
enum Coming {
    Fired(Timer),
    Signal(Message),
    /// The outcome of an attempt, on its subject.
    Answer(Message),
    /// From here on it is not known whether an attempt has an outcome.
    Unknown(TaskId, Attempt),
}

struct Replay<'a> {
    recorded: &'a Recorded,
    rehearsal: Rehearsal,
    /// By time, place in the recorded log and the order in which it was planned.
    coming: BTreeMap<(DateTime<Utc>, usize, u64), Coming>,
    planned: u64,
    untold: Vec<(TaskId, Attempt)>,
}

impl<'a> Replay<'a> {
    fn new(recorded: &'a Recorded, rehearsal: Rehearsal) -> Self {
        let mut replay =
            Self { recorded, rehearsal, coming: BTreeMap::new(), planned: 0, untold: Vec::new() };
        for (mark, message) in &recorded.signals {
            replay.plan(recorded.begin.time, *mark, Coming::Signal(message.clone()));
        }
        replay
    }

    fn plan(&mut self, begin: DateTime<Utc>, mark: Mark, coming: Coming) {
        self.planned += 1;
        self.coming.insert((begin + mark.after, mark.place, self.planned), coming);
    }

    fn play(mut self) -> Result<(Course, Vec<(TaskId, Attempt)>), Unreadable> {
        loop {
            while let Some(asked) = self.rehearsal.next_asked() {
                self.asked(asked);
            }
            if self.rehearsal.outcome().is_some() {
                break;
            }
            let Some(((at, ..), coming)) = self.coming.pop_first() else { break };
            match coming {
                Coming::Unknown(task, attempt) => self.untold.push((task, attempt)),
                Coming::Answer(message) => self.rehearsal.take(at, message)?,
                Coming::Fired(timer) if self.untold.is_empty() || timer != Timer::Deadline => {
                    self.rehearsal.fire(at, &timer)?;
                }
                Coming::Signal(message) if self.untold.is_empty() => self.rehearsal.take(at, message)?,
                // The run might have ended before.
                Coming::Fired(_) | Coming::Signal(_) => break,
            }
        }
        Ok((self.rehearsal.course(), self.untold))
    }

    fn asked(&mut self, asked: Asked) {
        match asked {
            Asked::Wait(timer, due) => {
                let on_time = Mark::on_time();
                let mark = *self.recorded.lateness.get(&timer).unwrap_or(&on_time);
                self.plan(due, mark, Coming::Fired(timer));
            }
            Asked::Work(work) | Asked::Start(work) => {
                let attempt = (work.key.task.clone(), work.key.attempt);
                if let Some(answer) = self.recorded.answers.get(&attempt) {
                    // Who it is asked of may be another than then, and so the subject.
                    let subject = work.key.subject(answer.verb).render(&self.recorded.namespace);
                    let message = Message { subject, ..answer.message.clone() };
                    self.plan(work.at, answer.after, Coming::Answer(message));
                } else if let Some(mark) = self.recorded.silences.get(&attempt) {
                    let (task, attempt) = attempt;
                    self.plan(work.at, *mark, Coming::Unknown(task, attempt));
                } else {
                    self.untold.push(attempt);
                }
            }
        }
    }
}
