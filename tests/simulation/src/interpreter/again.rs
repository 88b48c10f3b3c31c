//! Runs that do others again in part.

use std::collections::{BTreeMap, BTreeSet};

use mesh_schemas::TaskId;
use mesh_schemas::payload::{self, TakenOver};
use serde_json::Value;

use super::block::{Block, Moment, Over, Stand};
use super::found::fits;
use crate::workload::{Body, Measure, Measures, Often, OnFailure, Seen, Workflow, after, rescued_by};

/// What a run takes over from another.
#[derive(Debug, Clone, PartialEq)]
pub struct Taken {
    /// What is seen of the tasks that went well.
    tasks: BTreeMap<TaskId, Seen>,
    skipped: BTreeSet<TaskId>,
}

/// What is kept of a task of a run that has ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Kept {
    /// The task.
    pub task: TaskId,
    /// How it went.
    pub went: Went,
}

/// How a task of a run that has ended went.
#[derive(Debug, Clone, PartialEq)]
pub enum Went {
    /// It went well, and this is seen of it.
    Well(Seen),
    /// It was skipped.
    Skipped,
    /// Nobody wanted it, and it never ended: a join had gone on without it, or it was not needed to stand in for another.
    Spare,
    /// It failed, or did not end.
    Wrong,
}

/// What stands in the beginning of a run.
pub(super) fn taken(data: &Value) -> Taken {
    let tasks = data.get("tasks").and_then(Value::as_object).into_iter().flatten();
    Taken {
        tasks: tasks.filter_map(|(id, taken)| Some((id.parse().ok()?, seen(taken)))).collect(),
        skipped: data.get("skipped").map(ids).unwrap_or_default(),
    }
}

pub(super) fn ids(data: &Value) -> BTreeSet<TaskId> {
    let all = data.as_array().into_iter().flatten();
    all.filter_map(|id| id.as_str()?.parse().ok()).collect()
}

/// What expressions see of a task that is taken over.
fn seen(taken: &Value) -> Seen {
    let member = |name: &str| taken.get(name).cloned().unwrap_or_default();
    let measures = measures(&member("measures"));
    let quality = match &measures {
        Measures::One(measure) => measure.quality.into(),
        _ => Value::Null,
    };
    let (output, iterations) = (member("output"), member("iterations"));
    Seen { output, iterations, quality, measures, status: "done".into(), ..Seen::default() }
}

fn measures(data: &Value) -> Measures {
    let items = data.get("Items").and_then(Value::as_object);
    match (data.get("One").map(measure), items) {
        (Some(one), _) => Measures::One(one),
        (None, Some(items)) => {
            let item = |(number, data): (&String, &Value)| Some((number.parse().ok()?, measure(data)));
            Measures::Items(items.iter().filter_map(item).collect())
        }
        _ => Measures::None,
    }
}

fn measure(data: &Value) -> Measure {
    let number = |name: &str| data.get(name).and_then(Value::as_u64).unwrap_or_default();
    let quality = data.get("quality").and_then(Value::as_f64);
    Measure { quality, millis: number("millis"), at: number("order") }
}

impl Taken {
    /// The tasks that are not done again.
    pub fn tasks(&self) -> impl Iterator<Item = &TaskId> {
        self.tasks.keys()
    }
}

impl<'a> Block<'a> {
    /// What a task that begins came to in the other run, if nothing that it needs went otherwise.
    pub(super) fn taken(&self, id: &TaskId, moment: &Moment<'_, 'a>) -> Option<Seen> {
        let taken = moment.reading.log.taken.as_ref().filter(|_| self.path.is_none())?;
        let seen = taken.tasks.get(id)?;
        (!self.needs_went_otherwise(id, moment)).then(|| seen.clone())
    }

    /// A task is not done again.
    pub(super) fn take_over(&mut self, id: &'a TaskId, seen: Seen, moment: &mut Moment<'_, 'a>) {
        let task = &self.tasks[id];
        let is_work = task.often == Often::Once && matches!(task.body, Body::Work(_));
        moment.reading.counts.done += u32::from(is_work);
        if task.often != Often::Once || !task.body.is_plain_work() {
            moment.reading.is_over(&self.path_of(id), moment.at);
        }
        self.note_end(id, Over::Done, seen, moment);
    }

    /// Whether a task has ended otherwise than in the other run, or what it needs has.
    pub(super) fn compare(&self, id: &TaskId, over: Over, moment: &mut Moment<'_, 'a>) {
        let Some(taken) = moment.reading.log.taken.as_ref().filter(|_| self.path.is_none()) else { return };
        let differs = taken.tasks.contains_key(id) || taken.skipped.contains(id) && over != Over::Skipped;
        if differs || self.needs_went_otherwise(id, moment) {
            moment.reading.otherwise.insert(id.clone());
        }
    }

    fn needs_went_otherwise(&self, id: &TaskId, moment: &Moment<'_, 'a>) -> bool {
        self.tasks[id].needs.iter().any(|need| moment.reading.otherwise.contains(need))
    }
}

/// What is kept of the tasks of a run that has ended.
pub(super) fn kept(root: &Block<'_>) -> Vec<Kept> {
    let went = |id: &TaskId| match &root.stands[id] {
        Stand::Over(Over::Done) => Went::Well(root.seen.get(id).cloned().unwrap_or_default()),
        // The run has failed with the one that it was to stand in for.
        Stand::Over(Over::Skipped)
            if rescued_by(root.tasks, id).is_some_and(|id| matches!(root.stands[id], Stand::Fallen(_))) =>
        {
            Went::Wrong
        }
        Stand::Over(Over::Skipped) => Went::Skipped,
        Stand::Over(Over::Failed) => Went::Wrong,
        // The one that it could have stood in for did not fail.
        Stand::Waits(_)
            if rescued_by(root.tasks, id)
                .is_some_and(|id| matches!(root.stands[id], Stand::Over(Over::Done | Over::Skipped))) =>
        {
            Went::Spare
        }
        Stand::Waits(_) | Stand::Lives(_) | Stand::Fallen(_) if root.is_free(id) => Went::Spare,
        Stand::Waits(_) | Stand::Lives(_) | Stand::Fallen(_) => Went::Wrong,
    };
    root.tasks.keys().map(|id| Kept { task: id.clone(), went: went(id) }).collect()
}

/// What a run takes over that does another one again from some tasks on; none if nothing is to be done again.
#[must_use]
pub fn taken_over(workflow: &Workflow, kept: &[Kept], from: &[TaskId]) -> Option<Taken> {
    let wrong = kept.iter().filter(|kept| kept.went == Went::Wrong).map(|kept| &kept.task);
    let mut queue: Vec<&TaskId> = wrong.chain(from).collect();
    let mut again = BTreeSet::new();
    while let Some(id) = queue.pop() {
        if again.insert(id) {
            queue.extend(after(&workflow.tasks, id).map(|(id, _)| id));
            queue.extend(rescued_by(&workflow.tasks, id));
            if let Some(OnFailure::Task(other)) = workflow.tasks.get(id).map(|task| &task.on_failure) {
                queue.push(other);
            }
        }
    }
    if again.is_empty() {
        return None;
    }
    let (mut tasks, mut skipped) = (BTreeMap::new(), BTreeSet::new());
    for Kept { task, went } in kept {
        match went {
            Went::Well(seen) if !again.contains(task) => drop(tasks.insert(task.clone(), seen.clone())),
            Went::Skipped => drop(skipped.insert(task.clone())),
            _ => {}
        }
    }
    Some(Taken { tasks, skipped })
}

/// Whether a run takes over what it should. What nobody asks for of a task need not be there.
#[must_use]
pub fn fits_taken_over(expected: &Taken, found: &TakenOver) -> bool {
    let fits_seen = |expected: &Seen, found: &payload::Taken| {
        let measures = found.measures.as_ref().map(measures);
        fits(&expected.output, &found.output)
            && found.iterations.as_ref().is_none_or(|found| fits(&expected.iterations, found))
            && measures.is_none_or(|found| found == expected.measures)
    };
    expected.skipped == found.skipped
        && expected.tasks.keys().eq(found.tasks.keys())
        && expected
            .tasks
            .values()
            .zip(found.tasks.values())
            .all(|(expected, found)| fits_seen(expected, found))
}
