use mesh_schemas::payload::code;
use mesh_schemas::{Attempt, Lane, TaskId, Timer};
use serde_json::Value;

use super::block::Block;
use super::expected::{self, Decided, UNTOLD, Wait};
use super::hold::Asked;
use super::life::{Begun, Life};
use super::log::{Error, Fact, Made};
use super::plan;
use super::reading::{Failure, Fate, Marks, Reading};
use super::retry;
use crate::workload::{Around, Planner, Work};

/// Work for an agent: attempts, the pauses between them, and what the agent planned.
pub(super) struct WorkLife<'a> {
    work: &'a Work,
    path: TaskId,
    attempt: Attempt,
    next: Next<'a>,
}

/// What comes next, and where; nowhere if the log does not have it.
enum Next<'a> {
    Answer(Option<(usize, Result<Made, Error>)>),
    EndOfPause(Option<usize>),
    /// Somebody has to say that it is to be tried again.
    Word,
    /// What the agent planned goes on.
    Plan(Box<Block<'a>>),
}

impl<'a> WorkLife<'a> {
    pub(super) fn begin(
        work: &'a Work,
        path: &TaskId,
        at: usize,
        reading: &mut Reading<'a>,
        around: &Around<'_>,
    ) -> Begun<'a> {
        let (attempt, next) = (Attempt::FIRST, Next::Answer(None));
        let mut life = Self { work, path: path.clone(), attempt, next };
        match life.create(at, reading, around) {
            None => Ok(Life::Work(Box::new(life))),
            Some(fate) => Err(fate),
        }
    }

    /// The attempt is asked for, if there is an input.
    fn create(&mut self, at: usize, reading: &mut Reading<'a>, around: &Around<'_>) -> Option<Fate> {
        let given = reading.hold.inputs.get(&self.path);
        let input = match (&self.work.with, around.item()) {
            _ if given.is_some() => Ok(given.cloned().unwrap_or_default()),
            (Some(with), _) => with.render(&reading.scope(around, &Value::Null)),
            (None, Some((item, ..))) => Ok(item.clone()),
            (None, None) => Ok(reading.log.input.clone()),
        };
        let Ok(input) = input else { return Some(impossible(&self.path, self.attempt, at, reading)) };
        let what = match &self.work.call {
            Some(call) => Asked::Run(expected::Called::new(self.work, call, input, reading, at)),
            None => Asked::Work(expected::Work::new(self.work, input, reading, at)),
        };
        reading.ask_for((self.path.clone(), self.attempt), what, at);
        self.next = Next::Answer(reading.log.first_behind(at, |fact| self.answer(fact)));
        None
    }

    /// The outcome that an event is for the attempt, if it came the way that the work went.
    fn answer(&self, fact: &Fact) -> Option<Result<Made, Error>> {
        let (tried, outcome) = match fact {
            Fact::Completed(tried, made) => (tried, Ok(made)),
            Fact::Failed(tried, error) => (tried, Err(error)),
            _ => return None,
        };
        let fits = tried.task == self.path
            && tried.attempt == self.attempt
            && tried.capability == self.work.agent
            && tried.lane == Lane::Normal;
        fits.then(|| outcome.cloned().map_err(Error::clone))
    }

    pub(super) fn next(&self) -> Option<usize> {
        match &self.next {
            Next::Answer(answer) => answer.as_ref().map(|(at, _)| *at),
            Next::EndOfPause(at) => *at,
            Next::Word => None,
            Next::Plan(block) => block.next(),
        }
    }

    pub(super) fn go_on(
        &mut self,
        at: usize,
        reading: &mut Reading<'a>,
        around: &Around<'_>,
    ) -> Option<Fate> {
        reading.forget(&self.path, self.attempt);
        match std::mem::replace(&mut self.next, Next::Answer(None)) {
            Next::EndOfPause(_) | Next::Word => self.again(at, reading, around),
            Next::Answer(None) => None,
            Next::Answer(Some((_, Ok(Made { output: result, quality })))) => {
                match self.work.plan.as_deref() {
                    None => Some(self.came_to(result, quality, reading, around)),
                    Some(planner) => self.planned(planner, &result, at, reading, around),
                }
            }
            Next::Answer(Some((_, Err(error)))) => self.failed(error, at, reading, around),
            Next::Plan(mut block) => match block.go_on(at, reading, None) {
                Some(fate) => Some(self.plan_over(fate, reading, around)),
                None => {
                    self.next = Next::Plan(block);
                    None
                }
            },
        }
    }

    /// It has a result, of which its output is made.
    fn came_to(
        &self,
        result: Value,
        quality: Option<f64>,
        reading: &mut Reading<'a>,
        around: &Around<'_>,
    ) -> Fate {
        let output = match &self.work.output {
            None => Ok(result),
            Some(output) => output.render(&reading.scope(around, &result)),
        };
        let failed = |_| Fate::Failed(Failure::expression(&self.path));
        let done = |output| Fate::Done(output, Marks { quality, items: None });
        let fate = output.map_or_else(failed, done);
        reading.count(&fate);
        fate
    }

    /// What the agent returned is done in place of the task, if that can be. It sees nothing of what is around.
    fn planned(
        &mut self,
        planner: &'a Planner,
        returned: &Value,
        at: usize,
        reading: &mut Reading<'a>,
        around: &Around<'_>,
    ) -> Option<Fate> {
        let Some(plan) = plan::followed(planner, &self.path, returned, reading.workflow) else {
            let fate = Fate::Failed(Failure::found(code::INVALID_PLAN, Some(&self.path)));
            reading.count(&fate);
            return Some(fate);
        };
        let mut block = Block::new(&plan.tasks, plan.output.as_ref(), Some(self.path.clone()));
        if let Some(fate) = block.begin(at, reading, None) {
            return Some(self.plan_over(fate, reading, around));
        }
        self.next = Next::Plan(Box::new(block));
        None
    }

    /// What a plan came to is the result of the task. How good the plan was says nothing of that.
    fn plan_over(&self, fate: Fate, reading: &mut Reading<'a>, around: &Around<'_>) -> Fate {
        match fate {
            Fate::Done(result, _) => self.came_to(result, None, reading, around),
            fate => {
                reading.count(&fate);
                fate
            }
        }
    }

    fn failed(
        &mut self,
        error: Error,
        at: usize,
        reading: &mut Reading<'a>,
        around: &Around<'_>,
    ) -> Option<Fate> {
        let pause = retry::pause(self.work.retry.as_ref(), self.attempt, &error);
        let is_recovered = !reading.is_spare;
        let recovered =
            || retry::recovered(reading.workflow, self.work.retry.as_ref(), &self.path, self.attempt);
        match pause.or_else(|| if is_recovered { recovered() } else { None }) {
            None if is_recovered && retry::waits_for_word(reading.workflow, &self.path) => {
                self.next = Next::Word;
                reading.hold.stuck.insert(self.path.clone());
                reading.pause(Some(self.path.clone()), Some(UNTOLD.to_string()), at);
                None
            }
            None => {
                let Error { code, message, retryable, .. } = error;
                let fatal_on = self.work.retry.as_ref().map_or(&[][..], |retry| &retry.fatal_on);
                let retryable = retryable && !fatal_on.contains(&code);
                let fate = Fate::Failed(Failure { task: Some(self.path.clone()), code, message, retryable });
                reading.count(&fate);
                Some(fate)
            }
            // Without a pause there is nothing to wait for.
            Some(pause) if pause.end().is_zero() => self.again(at, reading, around),
            Some(pause) => {
                let timer = Timer::Retry { task: self.path.clone(), after: self.attempt };
                let what = Wait::behind(reading.log.events[at].time, &pause);
                self.next = Next::EndOfPause(reading.log.fired_behind(at, &timer));
                reading.expected.timers.insert(timer, Decided { at, what });
                None
            }
        }
    }

    fn again(&mut self, at: usize, reading: &mut Reading<'a>, around: &Around<'_>) -> Option<Fate> {
        self.attempt = self.attempt.next();
        self.create(at, reading, around)
    }

    /// Whether it is the work that is tried again because somebody says so.
    pub(super) fn waits_for_word(&self, task: &TaskId) -> bool {
        match &self.next {
            Next::Word => self.path == *task,
            Next::Plan(block) => block.waits_for_word(task),
            Next::Answer(_) | Next::EndOfPause(_) => false,
        }
    }

    /// An attempt that is with an agent is given up; one that is kept back, or was to be created by the very event that ends
    /// it, is not.
    pub(super) fn cut(&self, at: usize, code: &'static str, reading: &mut Reading<'a>) {
        reading.forget(&self.path, self.attempt);
        match &self.next {
            Next::Word => {
                reading.counts.failed += 1;
                reading.hold.stuck.remove(&self.path);
            }
            Next::EndOfPause(_) => reading.counts.cancelled += 1,
            Next::Plan(block) => {
                reading.counts.cancelled += 1;
                block.cut(at, code, reading);
            }
            Next::Answer(_) => {
                reading.counts.cancelled += 1;
                let key = (self.path.clone(), self.attempt);
                let is_run = reading.expected.called.contains_key(&key);
                if is_run || reading.expected.created.contains_key(&key) {
                    reading.give_up(&self.path, self.attempt, at, code);
                }
                if is_run && self.work.call.as_ref().is_some_and(|call| call.wait) {
                    reading.expected.uncalled.insert(key, Decided { at, what: () });
                }
            }
        }
    }
}

/// An attempt of which the condition or the input has no value: it is reported as failed, without an agent.
pub(super) fn impossible(path: &TaskId, attempt: Attempt, at: usize, reading: &mut Reading<'_>) -> Fate {
    reading.give_up(path, attempt, at, code::EXPRESSION);
    let fate = Fate::Failed(Failure::expression(path));
    reading.count(&fate);
    fate
}
