use std::collections::BTreeMap;

use mesh_schemas::TaskId;

use crate::workload::template::Template;
use crate::workload::{
    Body, Finally, Group, Join, MergeBy, Often, OnFailure, Planner, Recovery, Task, Work, Workflow,
};

/// How much there is to understand of a workflow.
pub(super) fn of_workflow(workflow: &Workflow) -> usize {
    let output = workflow.output.as_ref().map_or(0, Template::size);
    let of_finally =
        |finally: &Finally| 5 + usize::from(finally.timeout.is_some()) + of_block(&finally.tasks);
    let recovery = match workflow.recovery {
        Recovery::Fail => 0,
        Recovery::Continue => 1,
        Recovery::Pause | Recovery::Retry(_) => 2,
    };
    let finally = workflow.finally.as_ref().map_or(0, of_finally);
    10 + 2 * usize::from(workflow.timeout.is_some()) + output + of_block(&workflow.tasks) + finally + recovery
}

fn of_block(tasks: &BTreeMap<TaskId, Task>) -> usize {
    tasks.values().map(of_task).sum()
}

fn of_task(task: &Task) -> usize {
    let join = match &task.join {
        Join::All => 0,
        Join::Any => 1,
        Join::Quorum { grace, deadline, .. } => {
            2 + usize::from(grace.is_some()) + usize::from(deadline.is_some())
        }
    };
    let often = match &task.often {
        Often::Once => 0,
        Often::Each(each) => {
            let limits = [each.max_parallel.is_some(), each.max_items.is_some(), each.tolerate.is_some()];
            let adaptive = each.adaptive.as_ref().map_or(0, |adaptive| {
                1 + adaptive.complexity.size() + adaptive.dependency.as_ref().map_or(0, Template::size)
            });
            4 + adaptive + each.items.size() + limits.into_iter().filter(|is_there| *is_there).count()
        }
        Often::Repeat(repeat) => 3 + repeat.until.size() + repeat.max as usize + usize::from(!repeat.goes_on),
    };
    let on_failure = match task.on_failure {
        OnFailure::Fail => 0,
        OnFailure::Continue => 1,
        OnFailure::Task(_) => 2,
    };
    let when = task.when.as_ref().map_or(0, |when| 1 + when.size());
    let skipped = usize::from(task.runs_when_skipped) + usize::from(task.pause_before);
    10 + task.needs.len() + join + often + on_failure + when + skipped + of_body(&task.body)
}

fn of_body(body: &Body) -> usize {
    match body {
        Body::Work(work) => of_work(work),
        Body::Merge(merge) => {
            let flags = [merge.names_them, merge.weights.is_some(), merge.default_quality.is_some()];
            let is_more =
                usize::from(merge.by != MergeBy::Collect) + usize::from(merge.by == MergeBy::Quality);
            2 + is_more + merge.of.len() + flags.into_iter().filter(|flag| *flag).count()
        }
        Body::Group(group) => 3 + of_group(group),
        Body::Switch(cases) => {
            let cases = cases
                .iter()
                .map(|case| 5 + of_body(&case.body) + case.when.as_ref().map_or(0, |when| 1 + when.size()));
            3 + cases.sum::<usize>()
        }
    }
}

fn of_work(work: &Work) -> usize {
    let flags = [work.action.is_some(), work.timeout.is_some(), work.retry.is_some()];
    let templates: usize = work.with.iter().chain(&work.output).map(|template| 1 + template.size()).sum();
    let call = work
        .call
        .as_ref()
        .map_or(0, |call| 8 + usize::from(!call.wait) + usize::from(call.version.is_some()));
    let own = flags.into_iter().filter(|flag| *flag).count() + call;
    own + templates + work.plan.as_deref().map_or(0, of_planner)
}

fn of_planner(planner: &Planner) -> usize {
    let plans = planner.plans.iter().map(|plan| 3 + of_group(plan));
    let limits = [planner.max_tasks.is_some(), planner.max_depth.is_some()];
    let limits = planner.capabilities.len() + limits.into_iter().filter(|is_there| *is_there).count();
    5 + limits + plans.sum::<usize>()
}

fn of_group(group: &Group) -> usize {
    of_block(&group.tasks) + group.output.as_ref().map_or(0, |output| 1 + output.size())
}
