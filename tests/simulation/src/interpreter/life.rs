use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use mesh_schemas::payload::code;
use mesh_schemas::{Attempt, Lane, TaskId, Timer};
use serde_json::Value;

use super::log::{Error, Fact, Log};
use super::retry;
use crate::workload::{Scope, Task, Workflow};

/// The lives of all tasks, as if nothing but tasks could end the run.
pub(super) struct Lives {
    pub(super) all: BTreeMap<TaskId, Life>,
    /// What dependents see of those that have ended.
    pub(super) outputs: BTreeMap<TaskId, Value>,
}

/// What becomes of a task. Events are told by their places in the log.
#[derive(Default)]
pub(super) struct Life {
    /// Where the last of its needs has ended.
    pub(super) ready: Option<usize>,
    /// Input of every attempt; null if there is none.
    pub(super) input: Value,
    /// The attempts.
    pub(super) tries: Vec<Try>,
    /// Why there can be no attempt at all, if its condition or its input has no value.
    pub(super) impossible: bool,
    /// Where and how it has ended.
    pub(super) over: Option<(usize, Over)>,
}

/// One attempt of a task.
pub(super) struct Try {
    pub(super) attempt: Attempt,
    /// Where it is created.
    pub(super) created: usize,
    /// Where its first outcome stands.
    pub(super) answered: Option<usize>,
    /// Where and for how long a pause begins before the next.
    pub(super) pause: Option<(usize, RangeInclusive<Duration>)>,
}

/// How a task has ended.
pub(super) enum Over {
    Done,
    Skipped,
    /// For good, which the run survives if the task says so.
    Failed {
        error: Error,
        tolerated: bool,
    },
}

impl Over {
    /// Whether the run ends with it.
    pub(super) fn ends_run(&self) -> bool {
        matches!(self, Self::Failed { tolerated: false, .. })
    }
}

impl Lives {
    pub(super) fn of(workflow: &Workflow, log: &Log) -> Self {
        let mut lives = Self { all: BTreeMap::new(), outputs: BTreeMap::new() };
        // Each after all that it needs.
        while lives.all.len() < workflow.tasks.len() {
            let known = lives.all.len();
            for (id, task) in &workflow.tasks {
                if !lives.all.contains_key(id) && task.needs.iter().all(|need| lives.all.contains_key(need)) {
                    let (life, output) = lives.life(id, task, log);
                    lives.all.insert(id.clone(), life);
                    lives.outputs.insert(id.clone(), output);
                }
            }
            assert!(lives.all.len() > known, "tasks need each other in a circle");
        }
        lives
    }

    /// The life of a task, and its output, which is null unless it is done.
    fn life(&self, id: &TaskId, task: &Task, log: &Log) -> (Life, Value) {
        let Some(ready) = self.ready(task, log) else { return (Life::default(), Value::Null) };
        let mut life = Life { ready: Some(ready), ..Life::default() };
        let needs_skipped =
            task.needs.iter().any(|need| matches!(self.all[need].over, Some((_, Over::Skipped))));
        if needs_skipped && !task.runs_when_skipped {
            life.over = Some((ready, Over::Skipped));
            return (life, Value::Null);
        }
        let scope =
            Scope { input: &log.input, outputs: &self.outputs, run: &log.variables, result: &Value::Null };
        let wanted = task.when.as_ref().map_or(Ok(true), |when| when.truth(&scope));
        let input = task.with.as_ref().map_or_else(|| Ok(log.input.clone()), |with| with.render(&scope));
        match (wanted, input) {
            (Ok(false), _) => {
                life.over = Some((ready, Over::Skipped));
                (life, Value::Null)
            }
            (Err(_), _) | (_, Err(_)) => {
                life.impossible = true;
                life.over = Some((ready, failed(task, Error::fatal(code::EXPRESSION))));
                (life, Value::Null)
            }
            (Ok(true), Ok(input)) => {
                life.input = input;
                let output = life.run(id, task, log, &scope);
                (life, output)
            }
        }
    }

    /// Where the last need of a task has ended so that the run goes on; for a task without needs, where the run began.
    fn ready(&self, task: &Task, log: &Log) -> Option<usize> {
        task.needs.iter().try_fold(log.started, |last, need| match &self.all[need].over {
            Some((at, over)) if !over.ends_run() => Some(last.max(*at)),
            _ => None,
        })
    }
}

impl Life {
    /// Follows the attempts from the first on, and gives the output.
    fn run(&mut self, id: &TaskId, task: &Task, log: &Log, scope: &Scope<'_>) -> Value {
        let (mut attempt, mut next) = (Attempt::FIRST, self.ready);
        while let Some(created) = next {
            let answer = log.first_behind(created, |fact| answer(fact, id, task, attempt));
            let mut tried =
                Try { attempt, created, answered: answer.as_ref().map(|(at, _)| *at), pause: None };
            next = None;
            match answer {
                None => {}
                Some((at, Ok(result))) => {
                    let scope = Scope { result: &result, ..*scope };
                    let output = task
                        .output
                        .as_ref()
                        .map_or_else(|| Ok(result.clone()), |output| output.render(&scope));
                    self.tries.push(tried);
                    return match output {
                        Ok(output) => {
                            self.over = Some((at, Over::Done));
                            output
                        }
                        Err(_) => {
                            self.over = Some((at, failed(task, Error::fatal(code::EXPRESSION))));
                            Value::Null
                        }
                    };
                }
                Some((at, Err(error))) => match retry::pause(task.retry.as_ref(), attempt, &error) {
                    None => self.over = Some((at, failed(task, error))),
                    // Without a pause there is nothing to wait for.
                    Some(pause) if pause.end().is_zero() => next = Some(at),
                    Some(pause) => {
                        let timer = |fact: &Fact| is_end_of_pause(fact, id, attempt).then_some(());
                        next = log.first_behind(at, timer).map(|(at, ())| at);
                        tried.pause = Some((at, pause));
                    }
                },
            }
            self.tries.push(tried);
            attempt = attempt.next();
        }
        Value::Null
    }
}

fn failed(task: &Task, error: Error) -> Over {
    Over::Failed { error, tolerated: task.continues }
}

/// The outcome that an event is for an attempt, if it came the way that the work went.
fn answer(fact: &Fact, id: &TaskId, task: &Task, attempt: Attempt) -> Option<Result<Value, Error>> {
    let (tried, outcome) = match fact {
        Fact::Completed(tried, output) => (tried, Ok(output)),
        Fact::Failed(tried, error) => (tried, Err(error)),
        _ => return None,
    };
    let fits = tried.task == *id
        && tried.attempt == attempt
        && tried.capability == task.agent
        && tried.lane == Lane::Normal;
    fits.then(|| outcome.cloned().map_err(Error::clone))
}

fn is_end_of_pause(fact: &Fact, id: &TaskId, attempt: Attempt) -> bool {
    matches!(fact, Fact::Fired(Timer::Retry { task, after }) if task == id && *after == attempt)
}
