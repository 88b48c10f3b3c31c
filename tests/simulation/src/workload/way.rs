use std::collections::BTreeMap;

use mesh_schemas::TaskId;

use super::planner::Planner;
use super::task::{Body, Often, Task, Work};
use super::workflow::{FINALLY, Workflow};

/// What an id leads through, from the outside in.
#[derive(Debug, Default)]
pub(crate) struct Way<'a> {
    /// The tasks.
    pub(crate) tasks: Vec<&'a Task>,
    /// Those that plan, and have planned what is behind them, or may plan themselves.
    pub(crate) planners: Vec<&'a Planner>,
}

impl Workflow {
    /// The work that a full id leads to: `review:lint`, `each:3`, `route:0:a`. What is planned belongs to who plans it.
    #[must_use]
    pub fn work(&self, id: &TaskId) -> Option<&Work> {
        self.follow(id, &mut Way::default())
    }

    /// What an id leads through.
    pub(crate) fn way(&self, id: &TaskId) -> Way<'_> {
        let mut way = Way::default();
        let _ = self.follow(id, &mut way);
        way
    }

    fn follow<'a>(&'a self, id: &TaskId, way: &mut Way<'a>) -> Option<&'a Work> {
        let mut parts = id.parts().peekable();
        let mut tasks: &BTreeMap<TaskId, Task> = &self.tasks;
        if let Some(finally) = self.finally.as_ref().filter(|_| parts.peek() == Some(&FINALLY)) {
            parts.next();
            tasks = &finally.tasks;
        }
        loop {
            let task = tasks.get(&parts.next()?.parse::<TaskId>().ok()?)?;
            way.tasks.push(task);
            if task.often != Often::Once {
                parts.next()?.parse::<u32>().ok()?;
            }
            let mut body = &task.body;
            while let Body::Switch(cases) = body {
                body = &cases.get(parts.next()?.parse::<usize>().ok()?)?.body;
            }
            match body {
                Body::Group(group) => tasks = &group.tasks,
                Body::Work(work) => {
                    way.planners.extend(work.plan.as_deref());
                    let Some(part) = parts.peek() else { return Some(work) };
                    tasks = &work.plan.as_ref()?.with(&part.parse().ok()?)?.tasks;
                }
                Body::Switch(_) | Body::Merge(_) => return None,
            }
        }
    }
}

/// Whether an id is of something that is done finally.
pub(crate) fn is_final(id: &TaskId) -> bool {
    id.parts().next() == Some(FINALLY)
}
