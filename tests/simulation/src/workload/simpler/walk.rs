//! All blocks and bodies of a workflow, each before what is in it. Their places in this order name them.

use std::collections::BTreeMap;

use mesh_schemas::TaskId;

use crate::workload::{Body, Task, Workflow};

type Tasks = BTreeMap<TaskId, Task>;

pub(super) fn blocks(workflow: &Workflow) -> Vec<&Tasks> {
    let mut found = Vec::new();
    for tasks in whole(workflow) {
        found.push(tasks);
        let mut bodies = Vec::new();
        tasks.values().for_each(|task| bodies_in(&task.body, &mut bodies));
        found.extend(bodies.into_iter().filter_map(|body| match body {
            Body::Group(group) => Some(&group.tasks),
            _ => None,
        }));
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

fn bodies_in<'a>(body: &'a Body, found: &mut Vec<&'a Body>) {
    found.push(body);
    match body {
        Body::Work(_) | Body::Merge(_) => {}
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
        for_each(tasks, &mut |body| {
            if let Body::Group(group) = body {
                visit(&mut group.tasks);
            }
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
        Body::Work(_) | Body::Merge(_) => {}
        Body::Group(group) => for_each(&mut group.tasks, visit),
        Body::Switch(cases) => cases.iter_mut().for_each(|case| for_each_in(&mut case.body, visit)),
    }
}
