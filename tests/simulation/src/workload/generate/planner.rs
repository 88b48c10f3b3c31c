use std::collections::{BTreeMap, BTreeSet};

use mesh_schemas::{Capability, TaskId};

use super::block::Draft;
use super::body::{IDS, Maker};
use super::data::{data, object};
use super::view::{Shape, View};
use super::{CAPABILITIES, graph, name};
use crate::workload::choices::Choices;
use crate::workload::planner::Planner;
use crate::workload::task::{Body, Group, Task};

/// How many of a hundred tasks plan, by how many plans they stand in.
pub(super) const PLANNING: [u32; 3] = [12, 30, 18];

/// Ids of the tasks of plans, by how many plans these stand in. The number of the plan is added.
const TASKS: [[&str; 3]; 3] = [["x", "y", "z"], ["k", "l", "m"], ["r", "t", "w"]];

/// What nobody asks for.
const UNKNOWN: &str = "carve";

/// What an agent may plan and does, and what that comes to looks like.
pub(super) fn planner(maker: &Maker<'_>, choices: &mut Choices) -> (Planner, Shape) {
    choices.note(match maker.plans {
        0 => "planner",
        1 => "planner in a plan",
        _ => "planner in a plan in a plan",
    });
    let mut planner = Planner::default();
    if choices.chance("plans that may ask for less", 25) {
        planner
            .capabilities
            .extend(maker.capabilities.iter().filter(|_| choices.chance("may ask", 60)).cloned());
    }
    if choices.chance("plans that may ask for anything", 8) {
        planner.capabilities.extend(CAPABILITIES.map(name::<Capability>));
    }
    planner.max_depth = choices.weighted(&[(60, None), (12, Some(1)), (8, Some(2)), (20, Some(3))]);
    planner.max_tasks = choices.chance("many tasks may be planned", 15).then_some(9);
    let allowed: Vec<Capability> = planner.capabilities.iter().cloned().collect();
    let capabilities = if allowed.is_empty() { maker.capabilities } else { &allowed };
    let is_usual = choices.chance("usual outcome of a plan", 70);
    let within =
        Maker { capabilities, callable: &BTreeMap::new(), style: maker.style, plans: maker.plans + 1 };
    let count = choices.weighted(&[(45, 1), (35, 2), (20, 3)]);
    planner.plans = (0..count).map(|number| plan(&within, number, is_usual, choices)).collect();
    if choices.chance("invalid plan", 30) {
        spoil(&mut planner, choices);
    }
    (planner, if is_usual { Shape::Usual } else { Shape::Other })
}

/// A few tasks, which see nothing of what is around them.
fn plan(maker: &Maker<'_>, number: usize, is_usual: bool, choices: &mut Choices) -> Group {
    let outer = View::default();
    let depth = if choices.chance("plan of more than work", 25) { 1 } else { IDS.len() };
    let mut draft = Draft::new(maker, &outer, depth);
    let mut ids: Vec<TaskId> =
        TASKS[maker.plans - 1].iter().map(|id| name(&format!("{id}{number}"))).collect();
    choices.shuffle(&mut ids);
    ids.truncate(1 + choices.below(ids.len()));
    for (id, needs) in graph::connect(&ids, choices) {
        draft.task(id, needs, choices);
    }
    let output = if is_usual {
        Some(object(&mut draft.terms(choices)))
    } else {
        choices.chance("plan with another output", 50).then(|| data(&mut draft.terms(choices)))
    };
    Group { tasks: draft.tasks, output }
}

/// Makes one of the plans such that it cannot be followed.
fn spoil(planner: &mut Planner, choices: &mut Choices) {
    let number = choices.below(planner.plans.len());
    let tasks: &mut BTreeMap<TaskId, Task> = &mut planner.plans[number].tasks;
    let ids: BTreeSet<TaskId> = tasks.keys().cloned().collect();
    let task = ids.iter().nth(choices.below(ids.len())).and_then(|id| tasks.get_mut(id));
    match choices.below(3) {
        0 => {
            choices.note("plan with an unknown need");
            task.into_iter().for_each(|task| task.needs.extend([name("nobody")]));
        }
        1 if ids.len() > 1 => {
            choices.note("plan with too many tasks");
            planner.max_tasks = Some(ids.len() as u32 - 1);
        }
        _ => {
            if let Some(Task { body: Body::Work(work), .. }) = task {
                choices.note("plan that asks for what it may not");
                work.agent = name(UNKNOWN);
            }
        }
    }
}
