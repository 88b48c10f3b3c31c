use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use mesh_bus::RunOutcome;
use mesh_core::Unreadable;
use mesh_schemas::payload::{RequestRejected, TaskError, code};
use mesh_schemas::{Namespace, RequestId, RunId, Shards, TaskKey, Timer};
use serde_json::Value;

use super::mock::{Answers, Mock};
use super::report::{CaseReport, Summary};
use super::{Case, Cases, SignalKind, judge};
use crate::definitions::Known;
use crate::rehearsal::child::started;
use crate::rehearsal::{Asked, Begun, Course, Opening, Rehearsal, Work};

/// What agents say when the timeout of a task is over.
const TIMED_OUT: &str = "the handler did not end within the time for the task";

/// What came of playing a case.
pub(super) enum Played {
    /// The run went to its end.
    Ended(Course),
    /// There was no run.
    Rejected(RequestRejected),
    /// The case does not say what becomes of this.
    Unmocked(Course, Box<Work>),
}

/// Plays a case of a workflow and compares what happens with what is expected.
///
/// # Errors
/// [`Unreadable`] if an event of our own cannot be read back, which is a defect.
pub fn test(known: &Known, cases: &Cases, case: &Case) -> Result<CaseReport, Unreadable> {
    let played = play(known, case)?;
    let run = match &played {
        Played::Ended(course) => Summary::new(course.outcome.as_ref(), Some(course)),
        Played::Rejected(rejected) => Summary::new(Some(&RunOutcome::Rejected(rejected.clone())), None),
        Played::Unmocked(course, _) => Summary::new(None, Some(course)),
    };
    let findings = judge::judge(cases, case, &played);
    let line = cases.position(case).map(|position| position.line);
    Ok(CaseReport { name: case.name.clone(), line, passed: findings.is_empty(), findings, run })
}

/// Something that is going to happen.
enum Coming {
    Fired(Timer),
    Signal(SignalKind),
    Completed(TaskKey, Value),
    Failed(TaskKey, TaskError),
}

impl Coming {
    /// What comes first of all that comes at one time: the end of a wait, then what comes from outside, then the
    /// answers of agents.
    fn rank(&self) -> u8 {
        match self {
            Self::Fired(_) => 0,
            Self::Signal(_) => 1,
            Self::Completed(..) | Self::Failed(..) => 2,
        }
    }
}

/// All that is going to happen, by time, rank and the order in which it was planned.
#[derive(Default)]
struct Agenda {
    coming: BTreeMap<(DateTime<Utc>, u8, u64), Coming>,
    planned: u64,
}

impl Agenda {
    fn plan(&mut self, at: DateTime<Utc>, coming: Coming) {
        self.planned += 1;
        self.coming.insert((at, coming.rank(), self.planned), coming);
    }

    fn next(&mut self) -> Option<(DateTime<Utc>, Coming)> {
        self.coming.pop_first().map(|((at, ..), coming)| (at, coming))
    }
}

fn play(known: &Known, case: &Case) -> Result<Played, Unreadable> {
    let mut rehearsal = match Rehearsal::begin(known, opening(known, case)?)? {
        Begun::Started(rehearsal) => rehearsal,
        Begun::Rejected(rejected) => return Ok(Played::Rejected(rejected)),
    };
    let mut agenda = Agenda::default();
    for signal in &case.events {
        agenda.plan(case.started_at + signal.after.get(), Coming::Signal(signal.kind.clone()));
    }
    loop {
        while let Some(asked) = rehearsal.next_asked() {
            match asked {
                Asked::Wait(timer, due) => agenda.plan(due, Coming::Fired(timer)),
                // It starts, unless the case has it otherwise.
                Asked::Start(work) if answers(case, &work).is_none() => {
                    let output = started(rehearsal.namespace(), &work.key);
                    agenda.plan(work.at, Coming::Completed(work.key, output));
                }
                Asked::Start(work) | Asked::Work(work) => {
                    let answers = answers(case, &work);
                    let Some(mock) = answers.and_then(|answers| answers.to(work.key.attempt.get())) else {
                        return Ok(Played::Unmocked(rehearsal.course(), work));
                    };
                    if let Some((at, coming)) = answer(mock, &work) {
                        agenda.plan(at, coming);
                    }
                }
            }
        }
        if rehearsal.outcome().is_some() {
            return Ok(Played::Ended(rehearsal.course()));
        }
        // Every run has a deadline, so something is always to come until it has ended.
        let Some((at, coming)) = agenda.next() else { return Ok(Played::Ended(rehearsal.course())) };
        match coming {
            Coming::Fired(timer) => rehearsal.fire(at, &timer)?,
            Coming::Signal(SignalKind::Cancel(reason)) => rehearsal.cancel(at, reason)?,
            Coming::Signal(SignalKind::Check) => rehearsal.check(at)?,
            Coming::Completed(key, output) => rehearsal.complete(at, &key, output)?,
            Coming::Failed(key, error) => rehearsal.fail(at, &key, error)?,
        }
    }
}

/// What is answered to the attempts of a task. Each item may have its own answers, or all of them the same.
fn answers<'a>(case: &'a Case, work: &Work) -> Option<&'a Answers> {
    let task = &work.key.task;
    case.mocks.get(task).or_else(|| case.mocks.get(&task.without_numbers()))
}

/// A run of its own for each name of a case, which is always the same.
fn opening(known: &Known, case: &Case) -> Result<Opening, Unreadable> {
    let namespace = Namespace::new("mesh").map_err(|error| Unreadable::Malformed(error.to_string()))?;
    let request = RequestId { source: format!("/{namespace}/cases"), id: case.name.clone() };
    let target = format!("workflow.{}", known.plan.definition.name);
    Ok(Opening {
        run: RunId::for_request(&target, &request, Shards::default()),
        namespace,
        request,
        correlation_id: case.correlation_id.clone(),
        trace: None,
        at: case.started_at,
        input: case.input.clone(),
        parent: None,
        config: case.config.clone(),
        taken_over: None,
        pause_before: Vec::new(),
    })
}

/// What an agent does with work, and when. It keeps the task's timeout itself, from when it takes the work, which here
/// is at once.
fn answer(mock: &Mock, work: &Work) -> Option<(DateTime<Utc>, Coming)> {
    let key = work.key.clone();
    let timeout = work.created.timeout_ms.map(std::time::Duration::from_millis);
    let timed_out = |timeout| {
        let error = TaskError {
            code: code::TIMEOUT.to_owned(),
            message: TIMED_OUT.to_owned(),
            retryable: true,
            retry_after: None,
        };
        (work.at + timeout, Coming::Failed(work.key.clone(), error))
    };
    match mock {
        Mock::Unanswered => None,
        Mock::Hangs => timeout.map(timed_out),
        Mock::Answer { takes, result } => Some(match (timeout, result) {
            (Some(timeout), _) if takes.get() > timeout => timed_out(timeout),
            (_, Ok(output)) => (work.at + takes.get(), Coming::Completed(key, output.clone())),
            (_, Err(error)) => (work.at + takes.get(), Coming::Failed(key, error.clone())),
        }),
    }
}
