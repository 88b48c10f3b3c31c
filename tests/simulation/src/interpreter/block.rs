use std::collections::{BTreeMap, BTreeSet};

use mesh_schemas::TaskId;
use mesh_schemas::payload::code;
use serde_json::Value;

use super::life::Life;
use super::reading::{Failure, Fate, Marks, Reading, part};
use super::wait::Wait;
use crate::workload::{
    Around, Brings, FINALLY, Finally, Measures, OnFailure, Recovery, Seen, Task, Template, after, rescued_by,
};

/// Tasks that need each other: those of a run, or of a group.
pub(super) struct Block<'a> {
    pub(super) tasks: &'a BTreeMap<TaskId, Task>,
    pub(super) output: Option<&'a Template>,
    /// The group, or what is done finally; none for a run.
    pub(super) path: Option<TaskId>,
    /// What is done finally, if that is behind it.
    pub(super) finally: Option<&'a Finally>,
    pub(super) stands: BTreeMap<&'a TaskId, Stand<'a>>,
    /// What expressions see of the tasks that have ended.
    pub(super) seen: BTreeMap<TaskId, Seen>,
    /// Those that have ended, as far as those that wait for them know.
    pub(super) told: BTreeSet<&'a TaskId>,
    /// Those that are called to stand in for others.
    pub(super) called: BTreeSet<&'a TaskId>,
    /// Where those that have begun began.
    pub(super) began: BTreeMap<&'a TaskId, usize>,
}

/// How a task stands.
pub(super) enum Stand<'a> {
    Waits(Wait),
    Lives(Life<'a>),
    /// It has failed, and another is to stand in for it.
    Fallen(Failure),
    Over(Over),
}

/// How a task has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Over {
    Done,
    Failed,
    Skipped,
}

impl Stand<'_> {
    fn next(&self) -> Option<usize> {
        match self {
            Self::Waits(wait) => wait.next(),
            Self::Lives(life) => life.next(),
            Self::Fallen(_) | Self::Over(_) => None,
        }
    }

    fn is_for(&self, at: usize, retried: Option<&TaskId>) -> bool {
        match self {
            Self::Lives(life) => life.is_for(at, retried),
            other => retried.is_none() && other.next() == Some(at),
        }
    }
}

/// An event, in a block.
pub(super) struct Moment<'m, 'a> {
    pub(super) at: usize,
    pub(super) reading: &'m mut Reading<'a>,
    pub(super) around: Option<&'m Around<'m>>,
    /// Those that have ended by it, and nobody has been told.
    pub(super) fresh: Vec<&'a TaskId>,
}

impl<'a> Block<'a> {
    pub(super) fn new(
        tasks: &'a BTreeMap<TaskId, Task>,
        output: Option<&'a Template>,
        path: Option<TaskId>,
    ) -> Self {
        let stands = tasks.keys().map(|id| (id, Stand::Waits(Wait::default()))).collect();
        let (seen, told, called) = (BTreeMap::new(), BTreeSet::new(), BTreeSet::new());
        Self { tasks, output, path, finally: None, stands, seen, told, called, began: BTreeMap::new() }
    }

    pub(super) fn begin(
        &mut self,
        at: usize,
        reading: &mut Reading<'a>,
        around: Option<&Around<'_>>,
    ) -> Option<Fate> {
        let mut moment = Moment { at, reading, around, fresh: Vec::new() };
        let tasks = self.tasks;
        let mut first =
            tasks.iter().filter(|(id, task)| task.needs.is_empty() && rescued_by(tasks, id).is_none());
        let result = first.try_for_each(|(id, _)| self.begin_task(id, &mut moment));
        self.settle(result, moment)
    }

    pub(super) fn next(&self) -> Option<usize> {
        self.stands.values().filter_map(Stand::next).min()
    }

    pub(super) fn waits_for_word(&self, task: &TaskId) -> bool {
        self.stands.values().any(|stand| matches!(stand, Stand::Lives(life) if life.waits_for_word(task)))
    }

    pub(super) fn go_on(
        &mut self,
        at: usize,
        reading: &mut Reading<'a>,
        around: Option<&Around<'_>>,
    ) -> Option<Fate> {
        let retried = reading.hold.retried.clone();
        let mut stands = self.stands.iter();
        let (&id, _) = stands.find(|(_, stand)| stand.is_for(at, retried.as_ref()))?;
        let is_free = self.is_free(id);
        let stand = self.stands.get_mut(id)?;
        let mut moment = Moment { at, reading, around, fresh: Vec::new() };
        let result = match stand {
            Stand::Lives(life) => {
                let inside = Around { parent: around, brings: Brings::Tasks(&self.seen) };
                let is_around_spare = moment.reading.is_spare;
                moment.reading.is_spare |= is_free;
                let fate = life.go_on(at, moment.reading, &inside);
                moment.reading.is_spare = is_around_spare;
                let (fate, iterations) = (fate?, life.iterations());
                self.over(id, fate, iterations, &mut moment)
            }
            Stand::Waits(wait) => {
                let in_grace = wait.grace_ends(at);
                self.wait_over(id, in_grace, &mut moment)
            }
            Stand::Fallen(_) | Stand::Over(_) => Ok(()),
        };
        self.settle(result, moment)
    }

    /// A task is over; an error if the block fails with it.
    pub(super) fn over(
        &mut self,
        id: &'a TaskId,
        fate: Fate,
        iterations: Value,
        moment: &mut Moment<'_, 'a>,
    ) -> Result<(), Failure> {
        let task = &self.tasks[id];
        if !matches!(fate, Fate::Skipped) && !is_plain_work(task) {
            moment.reading.is_over(&self.path_of(id), moment.at);
        }
        let seen = |status: &str| Seen { status: status.into(), ..Seen::default() };
        match fate {
            Fate::Done(output, Marks { quality, items }) => {
                let began = self.began.get(id).copied().unwrap_or(moment.at);
                let one = || Measures::One(moment.reading.measure(quality, began, moment.at));
                let measures = items.map_or_else(one, Measures::Items);
                let quality = quality.into();
                let seen = Seen { output, iterations, quality, measures, ..seen("done") };
                self.end(id, Over::Done, seen, moment);
            }
            Fate::Skipped => {
                // Nobody stands in for the one that fell, then.
                if let Some(Stand::Fallen(failure)) = rescued_by(self.tasks, id).map(|id| &self.stands[id]) {
                    let failure = failure.clone();
                    self.stands.insert(id, Stand::Over(Over::Skipped));
                    self.seen.insert(id.clone(), seen("skipped"));
                    return Err(failure);
                }
                self.end(id, Over::Skipped, seen("skipped"), moment);
            }
            Fate::Failed(failure) => {
                let seen = Seen { error: failure.seen(), iterations, ..seen("failed") };
                match &task.on_failure {
                    OnFailure::Continue => self.end(id, Over::Failed, seen, moment),
                    OnFailure::Fail if self.goes_on_without(moment.reading) => {
                        self.end(id, Over::Failed, seen, moment);
                    }
                    _ if self.is_free(id) => {
                        self.end(id, Over::Failed, seen, moment);
                    }
                    OnFailure::Task(_) => {
                        self.seen.insert(id.clone(), seen);
                        self.stands.insert(id, Stand::Fallen(failure));
                        moment.fresh.push(id);
                    }
                    _ => {
                        self.seen.insert(id.clone(), seen);
                        self.stands.insert(id, Stand::Over(Over::Failed));
                        return Err(failure);
                    }
                }
            }
        }
        Ok(())
    }

    /// A task has ended for good, and with it the one that it stands in for.
    fn end(&mut self, id: &'a TaskId, over: Over, seen: Seen, moment: &mut Moment<'_, 'a>) {
        self.compare(id, over, moment);
        self.note_end(id, over, seen, moment);
    }

    pub(super) fn note_end(&mut self, id: &'a TaskId, over: Over, seen: Seen, moment: &mut Moment<'_, 'a>) {
        let output = seen.output.clone();
        self.stands.insert(id, Stand::Over(over));
        self.seen.insert(id.clone(), seen);
        moment.fresh.push(id);
        if let Some(fallen) = rescued_by(self.tasks, id)
            && let Stand::Fallen(failure) = &self.stands[fallen]
        {
            let (error, status) = (failure.seen(), "failed".into());
            let seen = Seen { output, status, error, ..Seen::default() };
            self.end(fallen, Over::Failed, seen, moment);
        }
    }

    /// Goes on until nothing more follows from the event: those that have ended are told of one by one, the last one first.
    fn settle(&mut self, mut result: Result<(), Failure>, mut moment: Moment<'_, 'a>) -> Option<Fate> {
        while result.is_ok()
            && let Some(id) = moment.fresh.pop()
        {
            result = self.tell(id, &mut moment);
        }
        let fate = match result {
            Err(failure) => Fate::Failed(failure),
            Ok(()) if self.is_waiting() => return None,
            Ok(()) => self.all_over(&moment),
        };
        let Moment { at, reading, .. } = moment;
        reading.void(self.path.as_ref(), at);
        self.cut(at, if self.is_whole() { code::RUN_ENDED } else { code::OVERTAKEN }, reading);
        Some(match fate {
            Fate::Failed(failure) => {
                let task = failure.task.or_else(|| self.path.clone());
                Fate::Failed(Failure { task, ..failure })
            }
            fate => fate,
        })
    }

    /// Whether it goes on without a task that failed for good, if nothing else makes up for that.
    fn goes_on_without(&self, reading: &Reading<'_>) -> bool {
        self.path.is_none() && reading.workflow.recovery == Recovery::Continue
    }

    /// Whether it is all of a run, or all that is done finally.
    fn is_whole(&self) -> bool {
        self.path.as_ref().is_none_or(|path| path.as_str() == FINALLY)
    }

    /// Tells those behind a task that it is over.
    fn tell(&mut self, id: &'a TaskId, moment: &mut Moment<'_, 'a>) -> Result<(), Failure> {
        if let OnFailure::Task(other) = &self.tasks[id].on_failure {
            if let Stand::Fallen(_) = self.stands[id] {
                self.called.insert(other);
                self.hear(other, moment)?;
                self.time_called(other, moment);
                return Ok(());
            }
            if let Stand::Waits(_) = self.stands[other] {
                moment.reading.count(&Fate::Skipped);
                self.over(other, Fate::Skipped, Value::Null, moment)?;
            }
        }
        self.told.insert(id);
        after(self.tasks, id).try_for_each(|(other, _)| self.hear(other, moment))
    }

    /// What comes of it when all that is waited for has ended.
    fn all_over(&self, moment: &Moment<'_, 'a>) -> Fate {
        let Some(output) = self.output else {
            let last = self.tasks.keys().filter(|id| self.is_last(id));
            let output =
                |id: &TaskId| (id.to_string(), self.seen.get(id).cloned().unwrap_or_default().output);
            return Fate::Done(last.map(output).collect(), Marks::default());
        };
        let around = Around { parent: moment.around, brings: Brings::Tasks(&self.seen) };
        match output.render(&moment.reading.scope(&around, &Value::Null)) {
            Ok(output) => Fate::Done(output, Marks::default()),
            Err(_) => Fate::Failed(Failure::found(code::EXPRESSION, None)),
        }
    }

    pub(super) fn cut(&self, at: usize, code: &'static str, reading: &mut Reading<'a>) {
        for stand in self.stands.values() {
            match stand {
                Stand::Waits(_) => reading.counts.cancelled += 1,
                Stand::Lives(life) => life.cut(at, code, reading),
                Stand::Fallen(_) | Stand::Over(_) => {}
            }
        }
    }

    pub(super) fn path_of(&self, id: &TaskId) -> TaskId {
        part(self.path.as_ref(), id)
    }
}

fn is_plain_work(task: &Task) -> bool {
    task.often == crate::workload::Often::Once && task.body.is_plain_work()
}
