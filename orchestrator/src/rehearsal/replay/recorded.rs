use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use mesh_bus::RunOutcome;
use mesh_core::{Action, Decision, End, Event, Fact, Plan, Run, Started};
use mesh_schemas::payload::TaskError;
use mesh_schemas::{Attempt, Message, Namespace, RunId, StoredMessage, TaskId, TaskKey, TaskVerb, Timer};

use crate::rehearsal::{Course, Work, child};

/// Why a recorded run cannot be played again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordedError {
    /// Its log has no beginning.
    #[error("the log of run {0} does not begin with workflow.started")]
    NoBeginning(RunId),
    /// It has not ended.
    #[error("run {0} has not ended")]
    NotEnded(RunId),
    /// Its end is known, and not what led to it.
    #[error(
        "the events that are kept of run {0} do not lead to its end, so it cannot be played again: the oldest histories are \
         dropped where --history-limit is reached"
    )]
    Gone(RunId),
}

/// A run that has ended, as its log tells.
#[derive(Debug, Clone)]
pub struct Recorded {
    pub(super) namespace: Namespace,
    pub(super) begin: Event,
    pub(super) started: Started,
    /// How it went.
    pub(super) course: Course,
    /// What agents answered to the attempts that the run asked for: the first answer to each.
    pub(super) answers: BTreeMap<(TaskId, Attempt), Answer>,
    /// How late timers were.
    pub(super) lateness: BTreeMap<Timer, Mark>,
    /// What clients sent.
    pub(super) signals: Vec<(Mark, Message)>,
    /// How long each attempt without an answer is known to have had none.
    pub(super) silences: BTreeMap<(TaskId, Attempt), Mark>,
}

/// The answer to an attempt.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    /// How long after the attempt was asked for.
    pub(super) after: Mark,
    pub(super) message: Message,
    pub(super) verb: TaskVerb,
}

/// When something happened, from some beginning, and its place in the log, which decides between things that happened
/// at one time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Mark {
    pub(super) after: TimeDelta,
    pub(super) place: usize,
}

impl Recorded {
    /// Reads the log of a run, in its order, with the definition that the run followed.
    ///
    /// # Errors
    /// [`RecordedError`] if the run has no beginning or no end, or what led to that is not there.
    pub fn read(
        namespace: &Namespace,
        run: RunId,
        log: &[StoredMessage],
        plan: &Arc<Plan>,
    ) -> Result<Self, RecordedError> {
        // What the fold cannot take, orchestrators put aside: it is no part of the run.
        let readable = log.iter().filter_map(|stored| Some((Event::read(namespace, stored).ok()?, stored)));
        let mut events = readable.skip_while(|(event, _)| !matches!(event.fact, Fact::Started(_)));
        let (begin, _) = events.next().ok_or(RecordedError::NoBeginning(run))?;
        let Fact::Started(started) = begin.fact.clone() else { return Err(RecordedError::NoBeginning(run)) };
        let (state, step) = Run::start(&begin, &started, Arc::clone(plan));
        let mut reader = Reader::new(state, begin.time);
        reader.decided(&step.decisions);
        for (event, stored) in events {
            reader.take(&event, stored);
        }
        let why_not = if reader.has_ended { RecordedError::Gone(run) } else { RecordedError::NotEnded(run) };
        let (outcome, at) = reader.end.clone().ok_or(why_not)?;
        // What did not come is known not to have come before all that did.
        let place = reader.place + 1;
        for (timer, due) in reader.due.into_iter().filter(|(_, due)| *due < at) {
            reader.lateness.entry(timer).or_insert(Mark { after: at - due, place });
        }
        let silences = reader.asked_at.iter().filter(|(attempt, _)| !reader.answers.contains_key(*attempt));
        let silences =
            silences.map(|(attempt, asked)| (attempt.clone(), Mark { after: at - *asked, place })).collect();
        Ok(Self {
            namespace: namespace.clone(),
            course: Course::new(&reader.run, &reader.work, Some((outcome, at))),
            begin,
            started: *started,
            answers: reader.answers,
            lateness: reader.lateness,
            signals: reader.signals,
            silences,
        })
    }

    /// The run.
    #[must_use]
    pub fn run(&self) -> RunId {
        self.begin.run
    }

    /// How it went.
    #[must_use]
    pub fn course(&self) -> &Course {
        &self.course
    }
}

/// Folds a recorded run and notes what the world did.
struct Reader {
    run: Run,
    begin: DateTime<Utc>,
    /// Store time of the last event. Servers whose clocks differ may let it go back in the log; here it stands still then,
    /// so that the order of time is the order of the log.
    now: DateTime<Utc>,
    place: usize,
    work: Vec<Work>,
    asked_at: BTreeMap<(TaskId, Attempt), DateTime<Utc>>,
    /// What orchestrators gave up, which a replay decides anew.
    given_up: Vec<(TaskKey, TaskError)>,
    due: BTreeMap<Timer, DateTime<Utc>>,
    answers: BTreeMap<(TaskId, Attempt), Answer>,
    lateness: BTreeMap<Timer, Mark>,
    signals: Vec<(Mark, Message)>,
    /// Whether its end was recorded.
    has_ended: bool,
    /// The end that its events led to.
    end: Option<(RunOutcome, DateTime<Utc>)>,
}

impl Reader {
    fn new(run: Run, begin: DateTime<Utc>) -> Self {
        Self {
            run,
            begin,
            now: begin,
            place: 0,
            work: Vec::new(),
            asked_at: BTreeMap::new(),
            given_up: Vec::new(),
            due: BTreeMap::new(),
            answers: BTreeMap::new(),
            lateness: BTreeMap::new(),
            signals: Vec::new(),
            has_ended: false,
            end: None,
        }
    }

    fn take(&mut self, event: &Event, stored: &StoredMessage) {
        self.now = self.now.max(event.time);
        self.place += 1;
        self.has_ended |= matches!(event.fact, Fact::Ended);
        let step = self.run.apply(&Event { time: self.now, ..event.clone() });
        if step.stray.is_none() {
            self.note(event, stored);
        }
        self.decided(&step.decisions);
    }

    fn since(&self, begin: DateTime<Utc>) -> Mark {
        Mark { after: self.now - begin, place: self.place }
    }

    fn note(&mut self, event: &Event, stored: &StoredMessage) {
        match &event.fact {
            Fact::Completed(key, _) => self.answer(key, TaskVerb::Completed, stored),
            Fact::Failed(key, error) => {
                let given_up = |(task, reason): &(TaskKey, TaskError)| task == key && reason == error;
                if !self.given_up.iter().any(given_up) {
                    self.answer(key, TaskVerb::Failed, stored);
                }
            }
            Fact::Fired(timer) => {
                if let Some(due) = self.due.get(timer) {
                    // Clocks that differ may let a timer come early.
                    self.lateness.insert(timer.clone(), self.since(*due));
                }
            }
            Fact::Cancel(_) | Fact::Pause(_) | Fact::Resume | Fact::Retry(_) | Fact::Check => {
                self.signals.push((self.since(self.begin), stored.message.clone()));
            }
            // What is given up for a lost result is an answer.
            Fact::Started(_)
            | Fact::Ended
            | Fact::Told
            | Fact::Routed(..)
            | Fact::Lost(..)
            | Fact::Checkpoint => {}
        }
    }

    fn answer(&mut self, key: &TaskKey, verb: TaskVerb, stored: &StoredMessage) {
        let attempt = (key.task.clone(), key.attempt);
        if let Some(asked) = self.asked_at.get(&attempt) {
            let answer = Answer { after: self.since(*asked), message: stored.message.clone(), verb };
            self.answers.entry(attempt).or_insert(answer);
        }
    }

    fn decided(&mut self, decisions: &[Decision]) {
        for decision in decisions {
            match &decision.action {
                Action::Create(key, created) => {
                    self.asked_at.insert((key.task.clone(), key.attempt), self.now);
                    let work = Work { key: key.clone(), created: (**created).clone(), at: self.now };
                    self.work.push(work);
                }
                Action::Route(..) | Action::Pause(..) | Action::Resume(_) => {}
                Action::StartChild(key, child) => {
                    self.asked_at.insert((key.task.clone(), key.attempt), self.now);
                    let created = child::created(&self.run.plan().digest, key, child, self.now);
                    self.work.push(Work { key: key.clone(), created, at: self.now });
                }
                // What becomes of other runs is recorded there.
                Action::CancelChild(..) | Action::Report(..) => {}
                Action::GiveUp(key, error) => self.given_up.push((key.clone(), error.clone())),
                Action::SetTimer(timer, due) => {
                    self.due.insert(timer.clone(), *due);
                }
                Action::End(end) => {
                    let outcome = match end.clone() {
                        End::Completed(completed) => RunOutcome::Completed(completed),
                        End::Failed(failed) => RunOutcome::Failed(failed),
                        End::Cancelled(cancelled) => RunOutcome::Cancelled(cancelled),
                    };
                    self.end = Some((outcome, self.now));
                }
            }
        }
    }
}

impl Mark {
    /// For what was not recorded: it comes when it is to come, behind what was recorded for that time.
    pub(super) fn on_time() -> Self {
        Self { after: TimeDelta::zero(), place: usize::MAX }
    }
}
