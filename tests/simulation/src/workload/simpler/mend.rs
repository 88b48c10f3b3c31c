//! Takes out what refers to something that is not there any more.

use std::collections::{BTreeMap, BTreeSet};

use mesh_schemas::TaskId;
use serde_json::json;

use super::less::plain_work;
use crate::workload::expression::Sight;
use crate::workload::workflow::before;
use crate::workload::{Body, Expression, Join, MergeBy, Often, OnFailure, Quota, Task, Template, Workflow};

pub(super) fn workflow(workflow: &mut Workflow) {
    block(&mut workflow.tasks, &mut workflow.output, &Sight::default());
    if let Some(finally) = &mut workflow.finally {
        let tasks = workflow.tasks.keys().cloned().collect();
        let sight = Sight { tasks, outcome: true, ..Sight::default() };
        block(&mut finally.tasks, &mut None, &sight);
    }
}

fn block(tasks: &mut BTreeMap<TaskId, Task>, output: &mut Option<Template>, outer: &Sight) {
    let with = |tasks: &BTreeSet<TaskId>| {
        let tasks = outer.tasks.union(tasks).cloned().collect();
        Sight { tasks, ..outer.clone() }
    };
    let all: BTreeSet<TaskId> = tasks.keys().cloned().collect();
    for task in tasks.values_mut() {
        if let OnFailure::Task(other) = &task.on_failure
            && !all.contains(other)
        {
            task.on_failure = OnFailure::Fail;
        }
        match &mut task.join {
            _ if task.needs.is_empty() => task.join = Join::All,
            Join::Quorum { quorum: Quota::Count(count), .. } => {
                *count = (*count).min(u32::try_from(task.needs.len()).unwrap_or(u32::MAX));
            }
            _ => {}
        }
    }
    let seen: Vec<Sight> = all.iter().map(|id| with(&before(tasks, id))).collect();
    for (task, sight) in tasks.values_mut().zip(seen) {
        self::task(task, sight);
    }
    output.take_if(|output| !output.is_seen(&with(&all)));
}

fn task(task: &mut Task, mut sight: Sight) {
    task.when.take_if(|when| !when.is_seen(&sight));
    match &mut task.often {
        Often::Once => {}
        Often::Each(each) => {
            if !each.items.is_seen(&sight) {
                each.items = Template::Plain(json!([1, 2]));
            }
            each.adaptive.take_if(|adaptive| {
                let mut scores = std::iter::once(&adaptive.complexity).chain(&adaptive.dependency);
                !scores.all(|score| score.is_seen(&sight))
            });
            sight.items = true;
        }
        Often::Repeat(repeat) => {
            sight.iterations = true;
            if !repeat.until.is_seen(&sight) {
                repeat.until = Expression::Literal(true.into());
            }
        }
    }
    body(&mut task.body, &sight);
    merges(&mut task.body, &task.needs);
}

/// What is merged is needed, and there is something.
fn merges(body: &mut Body, needs: &BTreeSet<TaskId>) {
    match body {
        Body::Work(_) | Body::Group(_) => {}
        Body::Switch(cases) => cases.iter_mut().for_each(|case| merges(&mut case.body, needs)),
        Body::Merge(merge) => {
            merge.of.retain(|task| needs.contains(task));
            if !merge.names_them || merge.of.is_empty() {
                merge.of = needs.iter().cloned().collect();
            }
            if merge.by != MergeBy::Quality {
                (merge.weights, merge.default_quality) = (None, None);
            }
            if needs.is_empty() {
                *body = plain_work();
            }
        }
    }
}

fn body(body: &mut Body, sight: &Sight) {
    match body {
        Body::Work(work) => {
            for template in [&mut work.with, &mut work.output] {
                template.take_if(|template| !template.is_seen(sight));
            }
            // A plan sees nothing of what is around it.
            for plan in work.plan.iter_mut().flat_map(|planner| &mut planner.plans) {
                block(&mut plan.tasks, &mut plan.output, &Sight::default());
            }
        }
        Body::Merge(_) => {}
        Body::Group(group) => block(&mut group.tasks, &mut group.output, sight),
        Body::Switch(cases) => {
            let count = cases.len();
            for (number, case) in cases.iter_mut().enumerate() {
                // Only the last may go without a condition.
                let is_wrong = match &case.when {
                    Some(when) => !when.is_seen(sight),
                    None => number + 1 < count,
                };
                if is_wrong {
                    case.when = Some(Expression::Literal(true.into()));
                }
                self::body(&mut case.body, sight);
            }
        }
    }
}
