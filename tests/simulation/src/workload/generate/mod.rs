//! Random workloads. Most runs have five to forty events; what is rare in life (timeouts, cancels, expressions without a
//! value) is common here.

mod block;
mod body;
mod call;
mod data;
mod finally;
mod graph;
mod merge;
mod planner;
mod run;
mod script;
mod terms;
mod view;
mod work;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use mesh_schemas::{Capability, WorkflowName};

use super::choices::Choices;
use super::task::Recovery;
use super::workflow::Workflow;
use super::{Target, Workload};
use block::{Draft, Style};
use body::Maker;
use view::View;

/// Names of capabilities; few, so that tasks and runs meet at the same agents.
const CAPABILITIES: [&str; 3] = ["draw", "paint", "weigh"];
/// Names of workflows.
const WORKFLOWS: [&str; 3] = ["alpha", "beta-2", "gamma_3"];

/// A name that is written in this crate, and is one.
fn name<T: std::str::FromStr>(text: &str) -> T {
    text.parse().unwrap_or_else(|_| unreachable!("{text:?} is a name"))
}

pub(super) fn workload(seed: u64, choices: &mut Choices) -> Workload {
    let capabilities: Vec<Capability> =
        CAPABILITIES[..choices.among(1..=3) as usize].iter().map(|text| name(text)).collect();
    let count = choices.weighted(&[(55, 1), (33, 2), (12, 3)]);
    let mut workflows: BTreeMap<WorkflowName, Workflow> = BTreeMap::new();
    for text in &WORKFLOWS[..count] {
        // Each may start runs of those that are there already, so that there is an end to it.
        let made = workflow(name(text), &capabilities, &workflows, choices);
        workflows.insert(name(text), made);
    }
    let called = call::scripts(&workflows, choices);
    let names: Vec<&WorkflowName> = workflows.keys().collect();
    let mut taken = BTreeSet::new();
    let mut runs = Vec::new();
    for place in 0..choices.weighted(&[(40, 1), (30, 2), (20, 3), (10, 4)]) {
        let target = if choices.chance("direct task", 10) {
            Target::Task(capabilities[choices.below(capabilities.len())].clone())
        } else {
            Target::Workflow(names[choices.below(names.len())].clone())
        };
        let workflow = match &target {
            Target::Workflow(name) => &workflows[name],
            Target::Task(capability) => &Workflow::single_task(capability),
        };
        runs.push(run::run(place, target.clone(), workflow, &mut taken, choices));
    }
    if runs.len() > 1 {
        choices.note("several runs");
    }
    if workflows.len() > 1 {
        choices.note("several workflows");
    }
    Workload { seed, workflows, runs, called }
}

fn workflow(
    name: WorkflowName,
    capabilities: &[Capability],
    callable: &BTreeMap<WorkflowName, Workflow>,
    choices: &mut Choices,
) -> Workflow {
    let style = Style::new(choices);
    let (maker, outer) = (Maker { capabilities, callable, style, plans: 0 }, View::default());
    let mut draft = Draft::new(&maker, &outer, 0);
    for (id, needs) in graph::draw(style.is_plain, choices) {
        draft.task(id, needs, choices);
    }
    let output = choices.chance("run output", 60).then(|| draft.run_output(choices));
    let timeout = choices.chance("run timeout", 25).then(|| {
        if choices.chance("short run timeout", 60) {
            Duration::from_millis(choices.among(100..=15_000))
        } else {
            Duration::from_secs(3_600)
        }
    });
    let recovery = choices.weighted(&[
        (60, Recovery::Fail),
        (12, Recovery::Pause),
        (14, Recovery::Continue),
        (9, Recovery::Retry(1)),
        (7, Recovery::Retry(2)),
    ]);
    choices.note(match recovery {
        Recovery::Fail => "no recovery",
        Recovery::Continue => "recovery: continue",
        Recovery::Pause => "recovery: pause",
        Recovery::Retry(_) => "recovery: retry",
    });
    let finally =
        choices.chance("finally", 25).then(|| finally::finally(&maker, &draft.seen_finally(), choices));
    Workflow { name: Some(name), tasks: draft.tasks, output, timeout, recovery, finally }
}
