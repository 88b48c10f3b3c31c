use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use mesh_schemas::{Capability, TaskId, WorkflowName};

use super::expression::Expression;
use super::task::{Body, Often, OnFailure, Recovery, Task, Work};
use super::template::Template;
use super::way::is_final;

/// A workflow as the workload means it. What is absent here is absent in the definition too: which value then counts is
/// for its reader to know.
#[derive(Debug, Clone, PartialEq)]
pub struct Workflow {
    /// Its name; none for the workflow of a directly requested task.
    pub name: Option<WorkflowName>,
    /// The tasks by id.
    pub tasks: BTreeMap<TaskId, Task>,
    /// Output of a run.
    pub output: Option<Template>,
    /// Longest time that a run may take.
    pub timeout: Option<Duration>,
    /// What follows when a task failed for good and nothing makes up for it.
    pub recovery: Recovery,
    /// What is done when it is decided how a run ends.
    pub finally: Option<Finally>,
}

/// Tasks that are done when it is decided how a run ends.
#[derive(Debug, Clone, PartialEq)]
pub struct Finally {
    /// The tasks by id.
    pub tasks: BTreeMap<TaskId, Task>,
    /// How long they may take in all.
    pub timeout: Option<Duration>,
}

/// What the ids of the tasks begin with that are done finally.
pub(crate) const FINALLY: &str = "finally";

/// Longest time that a hanging attempt may keep a run open, so that a simulation of it ends soon.
const LONGEST_HANG: Duration = Duration::from_secs(60);

/// Of how many items agents are told what to do with them, if they are to do anything but succeed.
const SCRIPTED_ITEMS: u32 = 3;

impl Workflow {
    /// The workflow of a directly requested task: one task named `task`, with input and output of the run.
    ///
    /// # Panics
    /// Never: `task` is a task id.
    #[must_use]
    pub fn single_task(capability: &Capability) -> Self {
        let task: TaskId = "task".parse().unwrap_or_else(|_| unreachable!("a task id"));
        Self {
            name: None,
            output: Some(Template::Whole(Expression::Output(task.clone()))),
            tasks: BTreeMap::from([(task, Task::new(capability.clone()))]),
            timeout: None,
            recovery: Recovery::Fail,
            finally: None,
        }
    }

    /// Whether it pauses by itself.
    #[must_use]
    pub fn pauses(&self) -> bool {
        self.recovery == Recovery::Pause || self.parts().tasks.iter().any(|(_, task)| task.pause_before)
    }

    /// The work that a run may ask for, with its full ids, of the first items and of all iterations, and of all plans.
    #[must_use]
    pub fn works(&self) -> Vec<(TaskId, &Work)> {
        let mut found = Vec::new();
        works_of(&self.tasks, "", &mut found);
        if let Some(finally) = &self.finally {
            works_of(&finally.tasks, &format!("{FINALLY}:"), &mut found);
        }
        found
    }

    /// Whether a task of it may start a run of a workflow.
    #[must_use]
    pub fn calls(&self, name: &WorkflowName) -> bool {
        let is_it = |work: &Work| work.call.is_some() && work.agent.as_str() == name.as_str();
        self.works().into_iter().any(|(_, work)| is_it(work))
    }

    /// Whether an attempt of a task that hangs ends soon, by its own timeout or with the run.
    #[must_use]
    pub fn may_hang(&self, task: &TaskId) -> bool {
        let timeout = self.work(task).and_then(|work| work.timeout);
        let whole = match &self.finally {
            Some(finally) if is_final(task) => finally.timeout,
            _ => self.timeout,
        };
        timeout.is_some() || whole.is_some_and(|timeout| timeout <= LONGEST_HANG)
    }
}

fn works_of<'a>(tasks: &'a BTreeMap<TaskId, Task>, prefix: &str, found: &mut Vec<(TaskId, &'a Work)>) {
    for (id, task) in tasks {
        let path = format!("{prefix}{id}");
        match &task.often {
            Often::Once => works_in(&task.body, &path, found),
            Often::Each(_) => {
                (0..SCRIPTED_ITEMS).for_each(|item| works_in(&task.body, &format!("{path}:{item}"), found));
            }
            Often::Repeat(repeat) => {
                (1..=repeat.max).for_each(|number| works_in(&task.body, &format!("{path}:{number}"), found));
            }
        }
    }
}

fn works_in<'a>(body: &'a Body, path: &str, found: &mut Vec<(TaskId, &'a Work)>) {
    match body {
        Body::Work(work) => {
            let id = path.parse().unwrap_or_else(|_| unreachable!("{path:?} is made of ids and numbers"));
            found.push((id, work));
            let plans = work.plan.iter().flat_map(|planner| &planner.plans);
            plans.for_each(|plan| works_of(&plan.tasks, &format!("{path}:"), found));
        }
        Body::Merge(_) => {}
        Body::Group(group) => works_of(&group.tasks, &format!("{path}:"), found),
        Body::Switch(cases) => {
            for (number, case) in cases.iter().enumerate() {
                works_in(&case.body, &format!("{path}:{number}"), found);
            }
        }
    }
}

/// The tasks of a block that have ended before a task begins, or could have if its join waited for them.
#[must_use]
pub(super) fn before(tasks: &BTreeMap<TaskId, Task>, task: &TaskId) -> BTreeSet<TaskId> {
    let mut before = BTreeSet::new();
    let mut open = waits_for(tasks, task);
    while let Some(task) = open.pop() {
        if before.insert(task.clone()) {
            open.extend(waits_for(tasks, task));
        }
    }
    before
}

/// What a task needs, what stands in for that, and what the task itself stands in for.
fn waits_for<'a>(tasks: &'a BTreeMap<TaskId, Task>, task: &'a TaskId) -> Vec<&'a TaskId> {
    let needs: Vec<&TaskId> = tasks.get(task).into_iter().flat_map(|task| &task.needs).collect();
    let stand_ins = needs.iter().filter_map(|need| match &tasks.get(*need)?.on_failure {
        OnFailure::Task(other) => Some(other),
        _ => None,
    });
    let stands_in_for = rescued_by(tasks, task);
    stand_ins.chain(stands_in_for).chain(needs.iter().copied()).collect()
}

/// The task that another stands in for.
#[must_use]
pub(crate) fn rescued_by<'a>(tasks: &'a BTreeMap<TaskId, Task>, task: &TaskId) -> Option<&'a TaskId> {
    let mut stands_in = tasks
        .iter()
        .filter(|(_, other)| matches!(&other.on_failure, OnFailure::Task(stand_in) if stand_in == task));
    stands_in.next().map(|(id, _)| id)
}

/// The tasks that need a task directly, in the order of their ids.
pub(crate) fn after<'a>(
    tasks: &'a BTreeMap<TaskId, Task>,
    task: &'a TaskId,
) -> impl Iterator<Item = (&'a TaskId, &'a Task)> {
    tasks.iter().filter(move |(_, other)| other.needs.contains(task))
}
