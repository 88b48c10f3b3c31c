//! All blocks and bodies of a workflow, each before what is in it. Their places in this order name them.

use std::collections::BTreeMap;

use mesh_schemas::TaskId;

use crate::workload::{Body, Task, Workflow};

type Tasks = BTreeMap<TaskId, Task>;

pub(super) fn blocks(workflow: &Workflow) -> Vec<&Tasks> {
    let groups = bodies(workflow).into_iter().filter_map(|body| match body {
        Body::Group(group) => Some(&group.tasks),
        _ => None,
    });
    std::iter::once(&workflow.tasks).chain(groups).collect()
}

pub(super) fn bodies(workflow: &Workflow) -> Vec<&Body> {
    let mut found = Vec::new();
    workflow.tasks.values().for_each(|task| bodies_in(&task.body, &mut found));
    found
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
    let Some(mut left) = place.checked_sub(1) else { return change(&mut workflow.tasks) };
    let mut change = Some(change);
    for_each(&mut workflow.tasks, &mut |body| {
        let Body::Group(group) = body else { return };
        if left == 0
            && let Some(change) = change.take()
        {
            return change(&mut group.tasks);
        }
        left = left.saturating_sub(1);
    });
}

pub(super) fn change_body(workflow: &mut Workflow, place: usize, change: impl FnOnce(&mut Body)) {
    let (mut left, mut change) = (place, Some(change));
    for_each(&mut workflow.tasks, &mut |body| {
        if left == 0
            && let Some(change) = change.take()
        {
            return change(body);
        }
        left = left.saturating_sub(1);
    });
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
