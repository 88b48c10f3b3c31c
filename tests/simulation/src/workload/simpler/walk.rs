//! All blocks and bodies of a workflow and of what agents plan, each before what is in it. Their places in this order name them.

use std::collections::BTreeMap;

use mesh_schemas::TaskId;

use crate::workload::{Body, Group, Task, Work, Workflow};

type Tasks = BTreeMap<TaskId, Task>;

pub(super) fn blocks(workflow: &Workflow) -> Vec<&Tasks> {
    let mut found = Vec::new();
    for tasks in whole(workflow) {
        found.push(tasks);
        let mut bodies = Vec::new();
        tasks.values().for_each(|task| bodies_in(&task.body, &mut bodies));
        for body in bodies {
            match body {
                Body::Group(group) => found.push(&group.tasks),
                Body::Work(work) => found.extend(plans(work).map(|plan| &plan.tasks)),
                Body::Switch(_) | Body::Merge(_) => {}
            }
        }
    }
    found
}

pub(super) fn bodies(workflow: &Workflow) -> Vec<&Body> {
    let mut found = Vec::new();
    whole(workflow).flat_map(Tasks::values).for_each(|task| bodies_in(&task.body, &mut found));
    found
}

/// The tasks of the run, and those that are done finally.
fn whole(workflow: &Workflow) -> impl Iterator<Item = &Tasks> {
    let finally = workflow.finally.as_ref().map(|finally| &finally.tasks);
    std::iter::once(&workflow.tasks).chain(finally)
}

fn whole_mut(workflow: &mut Workflow) -> impl Iterator<Item = &mut Tasks> {
    let finally = workflow.finally.as_mut().map(|finally| &mut finally.tasks);
    std::iter::once(&mut workflow.tasks).chain(finally)
}

fn plans(work: &Work) -> impl Iterator<Item = &Group> {
    work.plan.iter().flat_map(|planner| &planner.plans)
}

fn plans_mut(work: &mut Work) -> impl Iterator<Item = &mut Group> {
    work.plan.iter_mut().flat_map(|planner| &mut planner.plans)
}

fn bodies_in<'a>(body: &'a Body, found: &mut Vec<&'a Body>) {
    found.push(body);
    match body {
        Body::Merge(_) => {}
        Body::Work(work) => {
            plans(work).flat_map(|plan| plan.tasks.values()).for_each(|task| bodies_in(&task.body, found));
        }
        Body::Group(group) => group.tasks.values().for_each(|task| bodies_in(&task.body, found)),
        Body::Switch(cases) => cases.iter().for_each(|case| bodies_in(&case.body, found)),
    }
}

pub(super) fn change_block(workflow: &mut Workflow, place: usize, change: impl FnOnce(&mut Tasks)) {
    let (mut left, mut change) = (place, Some(change));
    let mut visit = |tasks: &mut Tasks| {
        if left == 0
            && let Some(change) = change.take()
        {
            return change(tasks);
        }
        left = left.saturating_sub(1);
    };
    for tasks in whole_mut(workflow) {
        visit(tasks);
        for_each(tasks, &mut |body| match body {
            Body::Group(group) => visit(&mut group.tasks),
            Body::Work(work) => plans_mut(work).for_each(|plan| visit(&mut plan.tasks)),
            Body::Switch(_) | Body::Merge(_) => {}
        });
    }
}

pub(super) fn change_body(workflow: &mut Workflow, place: usize, change: impl FnOnce(&mut Body)) {
    let (mut left, mut change) = (place, Some(change));
    for tasks in whole_mut(workflow) {
        for_each(tasks, &mut |body| {
            if left == 0
                && let Some(change) = change.take()
            {
                return change(body);
            }
            left = left.saturating_sub(1);
        });
    }
}

fn for_each(tasks: &mut Tasks, visit: &mut dyn FnMut(&mut Body)) {
    tasks.values_mut().for_each(|task| for_each_in(&mut task.body, visit));
}

fn for_each_in(body: &mut Body, visit: &mut dyn FnMut(&mut Body)) {
    visit(body);
    match body {
        Body::Merge(_) => {}
        Body::Work(work) => plans_mut(work).for_each(|plan| for_each(&mut plan.tasks, visit)),
        Body::Group(group) => for_each(&mut group.tasks, visit),
        Body::Switch(cases) => cases.iter_mut().for_each(|case| for_each_in(&mut case.body, visit)),
    }
}
