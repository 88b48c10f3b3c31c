//! What an outcome costs: it is taken into the state of its run, and what follows from it is decided.

use std::fmt::Write as _;
use std::hint::black_box;
use std::sync::Arc;

use mesh_core::{Event, Fact, Plan, Run, Started};
use mesh_schemas::payload::WorkflowStarted;
use mesh_schemas::{Definition, RULES_VERSION};
use serde_json::{Value, json};

use crate::data::{AGENT, WORKFLOW, completed, event, key, request};
use crate::{Scenario, Work};

/// Outcomes that are counted.
const REPETITIONS: usize = 100;
/// Outcomes behind those that have gone before: those that are counted, the one before them, and one that is left, so that
/// the end of the run is no part of it.
const BEHIND: usize = REPETITIONS + 2;
/// Finished tasks, or items of a loop, that the outcomes which are counted come behind.
const FINISHED: [usize; 3] = [10, 1_000, MOST];
/// A run has no more tasks, and a loop no more items: there the last outcomes before the end are counted.
const MOST: usize = 100_000;
/// Items of the loop that are under way at a time.
const WIDTH: usize = 8;

pub(crate) fn scenarios() -> Vec<Scenario> {
    let of = |shape: &str, prepare: fn(usize) -> Work| {
        FINISHED.map(|finished| {
            Scenario::new(format!("fold-{shape}-{finished}"), REPETITIONS, move || prepare(finished))
        })
    };
    of("sequence", sequence).into_iter().chain(of("foreach", foreach)).collect()
}

/// Tasks one after another, each with the output of the one before, of which so many have finished.
fn sequence(finished: usize) -> Work {
    let count = (finished + BEHIND).min(MOST);
    let mut tasks = String::new();
    for n in 0..count {
        // As it is stored, which is quicker to read than what people write.
        let comma = if n == 0 { "" } else { "," };
        let _ = write!(tasks, r#"{comma}"t{n:06}":{{"agent":"{AGENT}""#);
        if let Some(before) = n.checked_sub(1) {
            let _ =
                write!(tasks, r#","needs":["t{before:06}"],"with":{{"n":"${{tasks.t{before:06}.output}}"}}"#);
        }
        tasks.push('}');
    }
    let run = started(&format!(r#"{{"mesh":"v1","name":"{WORKFLOW}","tasks":{{{tasks}}}}}"#), json!(1));
    follow(run, count - BEHIND, |n| format!("t{n:06}"))
}

/// A loop over items, of which so many have finished.
fn foreach(finished: usize) -> Work {
    let behind = BEHIND + WIDTH;
    let count = (finished + behind).min(MOST);
    let each = json!({ "in": "${input}", "max_parallel": WIDTH, "max_items": MOST });
    let task = json!({ "foreach": each, "agent": AGENT, "with": { "n": "${item}" } });
    let definition = json!({ "mesh": "v1", "name": WORKFLOW, "tasks": { "fan": task } });
    let run = started(&definition.to_string(), (0..count).collect());
    follow(run, count - behind, |n| format!("fan:{n}"))
}

/// A run that has just begun.
fn started(definition: &str, input: Value) -> Run {
    let definition: Definition = serde_json::from_str(definition).expect("it is a definition");
    let plan = Arc::new(Plan::compile(&definition).unwrap_or_else(|problems| panic!("{problems:?}")));
    let data = WorkflowStarted {
        digest: plan.digest.clone(),
        rules: RULES_VERSION,
        config: None,
        input,
        request: request(),
        capability: None,
        parent: None,
        taken_over: None,
        pause_before: Vec::new(),
    };
    let workflow = Some(plan.definition.name.clone());
    let started = Started { workflow, data, lost: None, correlation_id: None, trace: None };
    Run::start(&event(1, Fact::Started(Box::new(started.clone()))), &started, plan).0
}

/// Takes the next outcome of the run each time; so many have gone before.
fn follow(mut run: Run, finished: usize, task: impl Fn(usize) -> String) -> Work {
    let outcome = |n: usize| completed(n + 2, key(&task(n)), json!(n));
    for n in 0..finished {
        run.apply(&outcome(n));
    }
    let next: Vec<Event> = (finished..finished + BEHIND - 1).map(outcome).collect();
    let mut at = 0;
    Box::new(move || {
        let step = black_box(&mut run).apply(black_box(&next[at]));
        at += 1;
        // The task that follows, or the next item.
        assert!(step.stray.is_none() && step.decisions.len() == 1);
    })
}
