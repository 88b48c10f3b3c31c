use std::collections::BTreeSet;
use std::time::Duration;

use mesh_schemas::{Attempt, RequestId, TaskId};
use serde_json::{Value, json};

use super::{name, script};
use crate::workload::choices::Choices;
use crate::workload::run::{Again, Inner, Run, Says, Sending, Signal, Target};
use crate::workload::task::Recovery;
use crate::workload::workflow::Workflow;

/// In which time the runs begin.
const BEGINNINGS: u64 = 3_000;

/// The run in a place. `taken` holds what requests were made for before.
pub(super) fn run(
    place: usize,
    target: Target,
    workflow: &Workflow,
    taken: &mut BTreeSet<(Target, String)>,
    choices: &mut Choices,
) -> Run {
    let mut id = format!("r{place}");
    // One id for two targets is two runs.
    if place > 0 && choices.chance("id of another request", 15) {
        let other = "r0".to_owned();
        if !taken.contains(&(target.clone(), other.clone())) {
            id = other;
        }
    }
    taken.insert((target.clone(), id.clone()));
    let begins = if choices.chance("begins at once", 50) { 0 } else { choices.among(0..=BEGINNINGS) };
    let mut sent = vec![Sending { at: Duration::from_millis(begins), input: input(choices) }];
    if choices.chance("request again", 15) {
        let same = !choices.chance("request again with another input", 30);
        let input = if same { sent[0].input.clone() } else { input(choices) };
        sent.push(Sending { at: Duration::from_millis(begins + choices.among(0..=5_000)), input });
    }
    let correlation_id = choices.chance("correlation id", 30).then(|| format!("order-{place}"));
    Run {
        target,
        request: RequestId { source: "/simulation".to_owned(), id },
        correlation_id,
        sent,
        signals: signals(begins, workflow, choices),
        inner: inner(begins, workflow, choices),
        script: script::script(workflow, choices),
        pause_before: pause_before(workflow, choices),
        again: again(workflow, choices),
    }
}

/// The tasks before which a request says that the run is to be paused.
fn pause_before(workflow: &Workflow, choices: &mut Choices) -> BTreeSet<TaskId> {
    if workflow.name.is_none() || !choices.chance("pause before by request", 8) {
        return BTreeSet::new();
    }
    workflow.tasks.keys().filter(|_| choices.chance("pause before this", 35)).cloned().collect()
}

/// How a run is done again.
fn again(workflow: &Workflow, choices: &mut Choices) -> Option<Again> {
    if workflow.name.is_none() || !choices.chance("done again", 15) {
        return None;
    }
    let from = workflow.tasks.keys().filter(|_| choices.chance("again from", 20)).cloned().collect();
    let other = choices.chance("again with another input", 30);
    let input = if other { input(choices) } else { Value::Null };
    Some(Again { from, input, script: script::script(workflow, choices) })
}

fn signals(begins: u64, workflow: &Workflow, choices: &mut Choices) -> Vec<Signal> {
    let mut signals = Vec::new();
    let mut send = |at: u64, says: Says| {
        let id = name(&format!("s{}", signals.len()));
        signals.push(Signal { at: Duration::from_millis(at), id, says });
    };
    if choices.chance("cancel", 15) {
        let at = if choices.chance("early cancel", 20) { 0 } else { begins + choices.among(0..=6_000) };
        let reason = choices.chance("cancel with a reason", 50).then(|| "not wanted".to_owned());
        send(at, Says::Cancel(reason));
        if choices.chance("second cancel", 20) {
            send(at + choices.among(0..=1_000), Says::Cancel(Some("really".to_owned())));
        }
    }
    if choices.chance("pause", 10) {
        let at = begins + choices.among(0..=5_000);
        let reason = choices.chance("pause with a reason", 50).then(|| "lunch".to_owned());
        send(at, Says::Pause(reason));
        if choices.chance("resume", 60) {
            send(at + choices.among(0..=4_000), Says::Resume);
        }
    }
    if workflow.recovery == Recovery::Pause {
        let works = workflow.works();
        for _ in 0..choices.weighted(&[(30, 0), (40, 1), (30, 2)]) {
            let named = choices.chance("retry of a task", 50);
            let task = named.then(|| works[choices.below(works.len())].0.clone());
            let input = choices.chance("retry with an input", 50).then(|| input(choices));
            send(begins + choices.among(500..=12_000), Says::Retry { task, input });
        }
    }
    if choices.chance("check", 12) {
        send(begins + choices.among(0..=6_000), Says::Check);
    }
    signals
}

/// What clients tell the runs that tasks start.
fn inner(begins: u64, workflow: &Workflow, choices: &mut Choices) -> Vec<Inner> {
    let works = workflow.works();
    let calls: Vec<_> = works.into_iter().filter(|(_, work)| work.call.is_some()).collect();
    if calls.is_empty() || !choices.chance("signal to what a task starts", 35) {
        return Vec::new();
    }
    let says = match choices.weighted(&[(50, 0), (30, 1), (20, 2)]) {
        0 => vec![Says::Cancel(choices.chance("inner cancel with a reason", 50).then(|| "no".to_owned()))],
        1 => vec![Says::Pause(None), Says::Resume],
        _ => vec![Says::Check],
    };
    let mut at = begins + choices.among(0..=5_000);
    let (task, work) = &calls[choices.below(calls.len())];
    let send = |(number, says)| {
        at += choices.among(0..=1_500);
        let id = name(&format!("i{number}"));
        let signal = Signal { at: Duration::from_millis(at), id, says };
        Inner { task: task.clone(), attempt: Attempt::FIRST, workflow: work.agent.clone(), signal }
    };
    says.into_iter().enumerate().map(send).collect()
}

fn input(choices: &mut Choices) -> Value {
    if choices.chance("unusual input", 3) {
        return vec![Value::Null, json!([1]), json!({})].swap_remove(choices.below(3));
    }
    let mut input = json!({
        "n": choices.below(10),
        "text": choices.pick(&["", "in", "zwölf"]),
        "ok": choices.chance("ok input", 70),
    });
    if choices.chance("input with more", 20) {
        input["extra"] = json!({ "list": [1, 2] });
    }
    input
}
