use mesh_schemas::payload::code;
use mesh_schemas::{Attempt, TaskId, Timer};
use serde_json::Value;

use super::block::{Block, Moment, Over, Stand};
use super::each::EachLife;
use super::expected::{self, Decided};
use super::life::{Begun, Life, never_began};
use super::reading::{Failure, Fate, Marks};
use super::repeat::RepeatLife;
use super::work;
use crate::workload::{Around, Brings, Join, Often, OnFailure, Quota, Task, after, rescued_by};

/// What a task that has not begun waits for. The places are those of the timers in the log, if they are there.
#[derive(Default)]
pub(super) struct Wait {
    /// It has enough, and waits for the others.
    grace: Option<Option<usize>>,
    /// The first of them has begun, and the time for enough of them runs.
    deadline: Option<Option<usize>>,
}

impl Wait {
    pub(super) fn next(&self) -> Option<usize> {
        self.grace.into_iter().chain(self.deadline).flatten().min()
    }

    pub(super) fn grace_ends(&self, at: usize) -> bool {
        self.grace == Some(Some(at))
    }
}

impl<'a> Block<'a> {
    /// A task that waits looks whether it may begin.
    pub(super) fn hear(&mut self, id: &'a TaskId, moment: &mut Moment<'_, 'a>) -> Result<(), Failure> {
        let Stand::Waits(wait) = &self.stands[id] else { return Ok(()) };
        let task = &self.tasks[id];
        let is_called = rescued_by(self.tasks, id).is_none() || self.called.contains(id);
        let is_whole = is_called && task.needs.iter().all(|need| self.told.contains(need));
        let (is_enough, grace) = match &task.join {
            Join::All if is_whole => return self.begin_task(id, moment),
            Join::All => return Ok(()),
            Join::Any => (self.has(Quota::Count(1), task), None),
            Join::Quorum { quorum, grace, .. } => (self.has(*quorum, task), *grace),
        };
        let all_skipped = task.needs.iter().all(|need| self.is(need, Over::Skipped));
        match grace.filter(|grace| !grace.is_zero()) {
            _ if is_whole && (is_enough || all_skipped) => self.begin_task(id, moment),
            _ if is_whole => self.missed(id, moment),
            _ if !is_enough || wait.grace.is_some() || !self.may_begin(id) => Ok(()),
            None => self.begin_task(id, moment),
            Some(grace) => {
                let ends = self.set(Timer::Grace(self.path_of(id)), grace, moment);
                if let Some(Stand::Waits(wait)) = self.stands.get_mut(id) {
                    wait.grace = Some(ends);
                }
                Ok(())
            }
        }
    }

    /// A time that a task waits is over: that for the others, or that for enough of them.
    pub(super) fn wait_over(
        &mut self,
        id: &'a TaskId,
        in_grace: bool,
        moment: &mut Moment<'_, 'a>,
    ) -> Result<(), Failure> {
        let task = &self.tasks[id];
        match task.join {
            Join::Quorum { quorum, .. } if !in_grace && !self.has(quorum, task) => self.missed(id, moment),
            _ => self.begin_task(id, moment),
        }
    }

    fn missed(&mut self, id: &'a TaskId, moment: &mut Moment<'_, 'a>) -> Result<(), Failure> {
        let failure = Failure::found(code::QUORUM_MISSED, Some(&self.path_of(id)));
        let fate = never_began(Fate::Failed(failure), moment.reading);
        self.over(id, fate, Value::Null, moment)
    }

    /// Whether so many of what a task needs went well.
    fn has(&self, quorum: Quota, task: &Task) -> bool {
        let well = task.needs.iter().filter(|need| self.told.contains(need) && self.is(need, Over::Done));
        well.count() >= quorum.at_least(task.needs.len())
    }

    fn is(&self, id: &TaskId, how: Over) -> bool {
        matches!(self.stands[id], Stand::Over(over) if over == how)
    }

    /// Sets a timer, and looks where it fires.
    fn set(&self, timer: Timer, after: std::time::Duration, moment: &mut Moment<'_, 'a>) -> Option<usize> {
        let Moment { at, reading, .. } = moment;
        let what = expected::Wait::exactly(reading.log.events[*at].time + after);
        let fires = reading.log.fired_behind(*at, &timer);
        reading.expected.timers.insert(timer, Decided { at: *at, what });
        fires
    }

    /// A task begins: those behind it that wait for a limited time wait from now on.
    fn time_joins(&mut self, id: &'a TaskId, moment: &mut Moment<'_, 'a>) {
        after(self.tasks, id).for_each(|(other, _)| self.time_join(other, moment));
    }

    /// A task is called to stand in for another. Its limited time runs if something that it needs has begun.
    pub(super) fn time_called(&mut self, id: &'a TaskId, moment: &mut Moment<'_, 'a>) {
        let has_begun = |need: &TaskId| !matches!(self.stands[need], Stand::Waits(_));
        if self.tasks[id].needs.iter().any(has_begun) {
            self.time_join(id, moment);
        }
    }

    fn time_join(&mut self, id: &'a TaskId, moment: &mut Moment<'_, 'a>) {
        if let (Join::Quorum { deadline: Some(deadline), .. }, Stand::Waits(Wait { deadline: None, .. })) =
            (&self.tasks[id].join, &self.stands[id])
            && self.may_begin(id)
        {
            let ends = self.set(Timer::Join(self.path_of(id)), *deadline, moment);
            if let Some(Stand::Waits(wait)) = self.stands.get_mut(id) {
                wait.deadline = Some(ends);
            }
        }
    }

    /// Whether a task stands in for none, or for one that has failed.
    fn may_begin(&self, id: &TaskId) -> bool {
        rescued_by(self.tasks, id).is_none_or(|other| matches!(self.stands[other], Stand::Fallen(_)))
    }

    pub(super) fn begin_task(&mut self, id: &'a TaskId, moment: &mut Moment<'_, 'a>) -> Result<(), Failure> {
        self.time_joins(id, moment);
        self.began.insert(id, moment.at);
        let taken = self.taken(id, moment);
        let (begun, iterations) = self.begun(id, taken.is_some(), moment);
        match begun {
            Err(Fate::Done(..)) if let Some(seen) = taken => {
                self.take_over(id, seen, moment);
                Ok(())
            }
            Ok(life) => {
                self.stands.insert(id, Stand::Lives(life));
                Ok(())
            }
            Err(fate) => {
                if let Some(Stand::Waits(wait)) = self.stands.get_mut(id) {
                    *wait = Wait::default();
                }
                self.over(id, fate, iterations, moment)
            }
        }
    }

    fn begun(&self, id: &'a TaskId, is_taken: bool, moment: &mut Moment<'_, 'a>) -> (Begun<'a>, Value) {
        let (task, path, at) = (&self.tasks[id], self.path_of(id), moment.at);
        let around = Around { parent: moment.around, brings: Brings::Tasks(&self.seen) };
        let reading = &mut *moment.reading;
        let is_skipped = self.is_skipped(task);
        let is_named = self.path.is_none() && reading.log.pause_before.contains(id);
        if (task.pause_before || is_named) && !is_skipped && !is_taken {
            reading.pause(Some(path.clone()), None, at);
        }
        let wanted = match &task.when {
            _ if is_skipped => Ok(false),
            None => Ok(true),
            Some(when) => when.truth(&reading.scope(&around, &Value::Null)),
        };
        let begun = match (wanted, &task.often) {
            (Ok(false), _) => Err(never_began(Fate::Skipped, reading)),
            (Err(_), Often::Once) if task.body.work().is_some() => {
                Err(work::impossible(&path, Attempt::FIRST, at, reading))
            }
            (Err(_), _) => Err(never_began(Fate::Failed(Failure::expression(&path)), reading)),
            // What it comes to is known.
            (Ok(true), _) if is_taken => Err(Fate::Done(Value::Null, Marks::default())),
            (Ok(true), Often::Once) => Life::begin(&task.body, &path, at, reading, &around),
            (Ok(true), Often::Each(each)) => EachLife::begin(each, &task.body, &path, at, reading, &around),
            (Ok(true), Often::Repeat(repeat)) => {
                let mut life = RepeatLife::new(repeat, &task.body, &path);
                return match life.begin(at, reading, &around) {
                    None => (Ok(Life::Repeat(Box::new(life))), Value::Null),
                    Some(fate) => (Err(fate), life.iterations()),
                };
            }
        };
        (begun, Value::Null)
    }

    /// Whether a task is skipped for what it needs was.
    fn is_skipped(&self, task: &Task) -> bool {
        let mut skipped = task.needs.iter().map(|need| self.is(need, Over::Skipped));
        let is_skipped = match task.join {
            Join::All => skipped.any(|skipped| skipped),
            Join::Any | Join::Quorum { .. } => !task.needs.is_empty() && skipped.all(|skipped| skipped),
        };
        is_skipped && !task.runs_when_skipped
    }

    /// Whether the block goes on for a task.
    pub(super) fn is_waiting(&self) -> bool {
        self.tasks.keys().any(|id| !matches!(self.stands[id], Stand::Over(_)) && !self.is_free(id))
    }

    /// Whether nobody waits for a task: somebody has gone on without it, and whoever else needs it has gone on too, is not waited
    /// for itself, or will never be called; neither the output nor what is done finally asks for it; and the same is true of those that stand in for it or
    /// that it stands in for.
    pub(super) fn is_free(&self, id: &TaskId) -> bool {
        let first = std::iter::successors(Some(id), |id| rescued_by(self.tasks, id)).last();
        let chain = || std::iter::successors(first, |id| stand_in(&self.tasks[*id]));
        let needed_by = || chain().flat_map(|id| after(self.tasks, id)).map(|(other, _)| other);
        // One that was never called did not go on, and will not.
        let is_spared = |id: &TaskId| self.is(id, Over::Skipped) && rescued_by(self.tasks, id).is_some();
        let is_past = |id: &TaskId| match self.stands[id] {
            Stand::Waits(_) => self.is_free(id),
            _ => !is_spared(id),
        };
        !matches!(self.stands[id], Stand::Over(_))
            && needed_by().any(is_past)
            && needed_by().all(|id| is_past(id) || is_spared(id))
            && !chain().any(|id| self.is_used(id))
    }

    /// Whether the output of the block asks for a task, or what is done finally.
    fn is_used(&self, id: &TaskId) -> bool {
        let in_output = self.output.map_or_else(|| self.is_last(id), |output| output.mentions(id));
        in_output || self.finally.is_some_and(|finally| finally.mentions(id))
    }

    /// Whether nobody needs a task, and it stands in for none: then its output is one of those of the block.
    pub(super) fn is_last(&self, id: &TaskId) -> bool {
        after(self.tasks, id).next().is_none() && rescued_by(self.tasks, id).is_none()
    }
}

/// The task that stands in for one.
fn stand_in(task: &Task) -> Option<&TaskId> {
    match &task.on_failure {
        OnFailure::Task(other) => Some(other),
        _ => None,
    }
}
