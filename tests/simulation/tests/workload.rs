//! Random workloads: the mesh accepts them, nothing in them is rare, and they can be made simpler.

use std::collections::BTreeMap;

use mesh_orchestrator::definitions;
use mesh_schemas::document::Format;
use mesh_simulation::workload::{Choices, Says, Task, Workflow, Workload, shrink};

/// Among so many seeds is everything that is looked for.
const SEEDS: u64 = 2_000;
/// How many definitions are checked, which takes longer than to make them.
const CHECKED: u64 = 500;

fn accept(workload: &Workload) {
    for workflow in workload.workflows.values() {
        let yaml = workflow.to_yaml();
        if let Err(problems) = definitions::check(&yaml, Format::Yaml) {
            panic!("seed {}:\n{yaml}\n{problems}", workload.seed);
        }
    }
}

#[test]
fn every_definition_is_accepted() {
    for seed in 0..CHECKED {
        accept(&Workload::generate(seed));
    }
}

#[test]
fn a_seed_always_makes_the_same_workload() {
    for seed in 0..100 {
        assert_eq!(Workload::generate(seed), Workload::generate(seed));
        assert_ne!(Workload::generate(seed), Workload::generate(seed + 1));
    }
}

/// Features, and in how many of a hundred seeds each is there at least.
const FEATURES: &[(&str, u64)] = &[
    ("action", 25),
    ("adaptive", 3),
    ("again from", 3),
    ("again with another input", 3),
    ("and", 8),
    ("any", 12),
    ("call", 12),
    ("call of a version", 3),
    ("call of what nobody knows", 0),
    ("call without waiting", 3),
    ("cancel", 20),
    ("cancel with a reason", 8),
    ("chain", 15),
    ("check", 15),
    ("choice", 15),
    ("compared with null", 10),
    ("continues", 50),
    ("correlation id", 30),
    ("deadline", 12),
    ("default quality", 0),
    ("dependency", 1),
    ("done again", 12),
    ("diamond", 10),
    ("direct task", 12),
    ("division", 10),
    ("early cancel", 3),
    ("early join", 25),
    ("error asked for", 8),
    ("fan", 15),
    ("fatal error", 20),
    ("fatal_on", 20),
    ("finally", 18),
    ("finally with a timeout", 8),
    ("foreach", 20),
    ("grace", 12),
    ("group", 18),
    ("group in a group or case", 6),
    ("hang", 10),
    ("has", 8),
    ("hasValue", 3),
    ("id of another request", 4),
    ("index", 4),
    ("input with more", 20),
    ("invalid plan", 6),
    ("isolated", 6),
    ("item used", 12),
    ("items of an object", 5),
    ("items of an output", 1),
    ("items of another loop", 0),
    ("items of the input", 0),
    ("items that are none", 0),
    ("iteration", 6),
    ("iterations asked for", 2),
    ("key", 0),
    ("long optional path", 4),
    ("many tasks", 4),
    ("many tasks may be planned", 2),
    ("max_items", 2),
    ("max_parallel", 10),
    ("meeting", 6),
    ("merge", 18),
    ("merge as a list", 5),
    ("merge by quality", 5),
    ("merge by task", 5),
    ("merge goes on without", 6),
    ("merge of all before", 8),
    ("merge of the first", 5),
    ("merge that says of what", 6),
    ("missing field", 10),
    ("need of a stand-in", 6),
    ("no case may hold", 8),
    ("no items", 1),
    ("no pause", 30),
    ("not", 5),
    ("null is foreseen", 20),
    ("on_max: continue", 8),
    ("or", 8),
    ("orValue", 15),
    ("outcome asked for", 4),
    ("outcome passed on", 4),
    ("outcome told", 4),
    ("output used", 50),
    ("panic", 20),
    ("pause", 10),
    ("pause before", 10),
    ("pause before by request", 6),
    ("pause before this", 3),
    ("pause with a reason", 5),
    ("plain data", 10),
    ("plain work only", 25),
    ("plan of more than work", 4),
    ("plan that asks for what it may not", 2),
    ("plan with an unknown need", 2),
    ("plan with another output", 3),
    ("plan with too many tasks", 1),
    ("planner", 13),
    ("planner in a plan", 5),
    ("planner in a plan in a plan", 1),
    ("plans that may ask for anything", 1),
    ("plans that may ask for less", 4),
    ("previous used", 8),
    ("quality asked for", 4),
    ("quality passed on", 4),
    ("quality said", 60),
    ("quorum", 18),
    ("quorum as a share", 8),
    ("random graph", 25),
    ("recovery: continue", 10),
    ("recovery: pause", 8),
    ("recovery: retry", 12),
    ("repeat", 15),
    ("request again", 18),
    ("request again with another input", 5),
    ("result used", 30),
    ("resume", 5),
    ("retry of a task", 3),
    ("retry with an input", 3),
    ("retry", 60),
    ("retry_after", 20),
    ("retryable error", 40),
    ("run", 30),
    ("run output", 40),
    ("run timeout", 20),
    ("runs when skipped", 15),
    ("second cancel", 3),
    ("several runs", 40),
    ("several workflows", 20),
    ("short run timeout", 10),
    ("short time for the end", 4),
    ("signal to what a task starts", 3),
    ("slower than ack_wait", 20),
    ("slower than its timeout", 20),
    ("stand-in", 25),
    ("stand-in needed", 2),
    ("stand-in of a stand-in", 4),
    ("status asked for", 12),
    ("switch", 15),
    ("task output", 40),
    ("text with expressions", 20),
    ("texts joined", 15),
    ("timeout", 50),
    ("timeout longer than ack_wait", 5),
    ("tolerate", 12),
    ("tolerate much", 6),
    ("until a number", 7),
    ("unusual answer", 5),
    ("unusual input", 3),
    ("unusual task output", 0),
    ("usual outcome of a plan", 10),
    ("weights", 1),
    ("what may be missing", 15),
    ("when", 40),
    ("whole output passed on", 20),
    ("with", 60),
    ("wrong kind", 8),
];

#[test]
fn no_feature_is_rare() {
    let mut seeds: BTreeMap<&str, u64> = BTreeMap::new();
    for seed in 0..SEEDS {
        let mut choices = Choices::new(seed);
        let _ = Workload::draw(seed, &mut choices);
        for feature in choices.on().keys() {
            *seeds.entry(feature).or_default() += 1;
        }
    }
    for (feature, count) in &seeds {
        println!("{:>5.1} %  {feature}", 100.0 * *count as f64 / SEEDS as f64);
    }
    for (feature, least) in FEATURES {
        let count = seeds.get(feature).copied().unwrap_or_default();
        assert!(count * 100 >= least * SEEDS, "'{feature}' is in {count} of {SEEDS} seeds, not in {least} %");
    }
}

#[test]
fn simpler_workloads_are_smaller_and_accepted() {
    for seed in 0..4 {
        let workload = Workload::generate(seed);
        let simpler = workload.simpler();
        assert!(simpler.is_sorted_by_key(Workload::size));
        for workload in simpler.iter().step_by(3) {
            accept(workload);
        }
        assert!(simpler.iter().all(|simpler| simpler.size() < workload.size()));
    }
}

#[test]
fn a_workload_shrinks_to_what_matters() {
    let is_cancelled = |run: &mesh_simulation::workload::Run| {
        run.signals.iter().any(|signal| matches!(signal.says, Says::Cancel(_)))
    };
    let is_faulty = |workload: &Workload| {
        let retries = |run: &mesh_simulation::workload::Run| {
            workload.workflow(run).is_some_and(|flow| flow.tasks.values().any(|task| task.when.is_some()))
        };
        workload.runs.iter().any(|run| is_cancelled(run) && retries(run))
    };
    let faulty = (0..SEEDS).map(Workload::generate).filter(is_faulty).take(10);
    for workload in faulty {
        let small = shrink(workload, is_faulty);
        assert_eq!((small.runs.len(), small.workflows.len()), (1, 1), "{small}");
        assert_eq!(small.runs[0].signals.len(), 1, "{small}");
        let workflow = small.workflow(&small.runs[0]).expect("the run's workflow is there");
        assert_eq!(workflow.tasks.len(), 1, "{small}");
        assert!(small.runs[0].script.is_empty() && workflow.output.is_none(), "{small}");
    }
}

#[test]
fn what_agents_plan_shrinks_with_the_rest() {
    let plans = |task: &Task| task.body.work().and_then(|work| work.plan.clone());
    let plans_twice = |workflow: &Workflow| {
        let planned = workflow.parts().tasks.into_iter().filter_map(|(_, task)| plans(task));
        planned
            .flat_map(|planner| planner.plans)
            .flat_map(|plan| plan.tasks.into_values())
            .any(|task| plans(&task).is_some())
    };
    let is_faulty = |workload: &Workload| {
        workload.runs.iter().filter_map(|run| workload.workflow(run)).any(|workflow| plans_twice(&workflow))
    };
    for workload in (0..SEEDS).map(Workload::generate).filter(is_faulty).take(2) {
        let small = shrink(workload, is_faulty);
        accept(&small);
        let workflow = small.workflow(&small.runs[0]).expect("the run's workflow is there");
        // One that plans, and in its plan another, in the plan of which there is one task.
        assert_eq!((small.runs.len(), workflow.works().len()), (1, 3), "{small}");
        let told = small.to_string();
        assert_eq!(told.matches("plan: true").count(), 2, "{told}");
        assert_eq!(told.matches("# plan 0").count(), 2, "{told}");
    }
}

#[test]
fn runs_that_tasks_start_shrink_with_the_rest() {
    let is_pinned = |workflow: &Workflow| {
        let works = workflow.works();
        works.iter().any(|(_, work)| work.call.as_ref().is_some_and(|call| call.version.is_some()))
    };
    let is_faulty = |workload: &Workload| {
        workload.runs.iter().filter_map(|run| workload.workflow(run)).any(|workflow| is_pinned(&workflow))
    };
    for workload in (0..SEEDS).map(Workload::generate).filter(is_faulty).take(2) {
        let small = shrink(workload, is_faulty);
        accept(&small);
        let workflow = small.workflow(&small.runs[0]).expect("the run's workflow is there");
        assert_eq!((small.runs.len(), small.workflows.len(), workflow.works().len()), (1, 2, 1), "{small}");
        let (_, work) = workflow.works().remove(0);
        let version = work.call.as_ref().and_then(|call| call.version.clone());
        let called = small.workflows.iter().find(|(name, _)| name.as_str() == work.agent.as_str());
        assert_eq!(
            version,
            called.map(|(_, called)| called.digest()),
            "it is the one that is there: {small}"
        );
    }
}
