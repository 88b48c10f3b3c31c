use std::sync::Arc;

use mesh_core::{Fact, Plan, Started};
use mesh_schemas::definition::TaskBuilder;
use mesh_schemas::payload::{TaskCompleted, WorkflowStarted};
use mesh_schemas::{Attempt, Definition, Lane, RequestId, RunId, Shards, TaskKey};
use serde_json::{Value, json};

use super::*;

/// A run of so many tasks side by side, all of whose outputs are wanted at the end; and its first event.
fn started(tasks: usize) -> (Event, Run) {
    let mut builder = Definition::builder("wide").expect("a name");
    for task in 0..tasks {
        let worker = TaskBuilder::new("work").expect("a capability");
        builder = builder.task(&format!("t{task}"), worker).expect("an id");
    }
    let plan = Arc::new(Plan::compile(&builder.build()).expect("a plan"));
    let request = RequestId { source: "test".to_owned(), id: "1".to_owned() };
    let run = RunId::for_request("workflow.wide", &request, Shards::default());
    let data = WorkflowStarted {
        digest: plan.digest.clone(),
        rules: 1,
        config: None,
        input: Value::Null,
        request,
        capability: None,
        parent: None,
        taken_over: None,
        pause_before: Vec::new(),
    };
    let started = Started { workflow: None, data, lost: None, correlation_id: None, trace: None };
    let fact = Fact::Started(Box::new(started.clone()));
    let event =
        Event { run, id: "1".to_owned(), sequence: 1, time: DateTime::UNIX_EPOCH, fact, defect: None };
    let (run, _) = Run::start(&event, &started, plan);
    (event, run)
}

/// The next event of a run: a task is done, with an output of so many bytes.
fn next(before: &Event, bytes: usize) -> Event {
    let key = TaskKey {
        capability: "work".parse().expect("a name"),
        lane: Lane::Normal,
        run: before.run,
        task: format!("t{}", before.sequence - 1).parse().expect("an id"),
        attempt: Attempt::FIRST,
    };
    let output = json!("x".repeat(bytes));
    let done = TaskCompleted { output, quality: None, usage: None, agent: None };
    Event { sequence: before.sequence + 1, fact: Fact::Completed(key, Box::new(done)), ..before.clone() }
}

/// After which events a run is written down whose events bring so many bytes each, and how much of it in all.
fn written(fewest: usize, events: usize, bytes: usize) -> (Vec<u64>, usize, Run) {
    let (mut event, mut run) = started(events + 1);
    let mut pace = Pace::new(fewest, Grown::default(), Vec::new());
    let (mut at, mut all) = (Vec::new(), 0);
    for _ in 0..events {
        event = next(&event, bytes);
        run.apply(&event);
        pace.folded(&event, bytes + 100, &run);
        if let Some((saved, _)) = pace.stored(event.sequence) {
            all += saved.state.len();
            at.push(saved.upto);
        }
    }
    (at, all, run)
}

/// Where a state holds all that its events brought, it is written each time the log has about doubled.
#[test]
fn what_is_written_stays_below_twice_the_log() {
    let (at, all, _) = written(100, 5_000, 10_000);
    assert!((4..10).contains(&at.len()), "{at:?}");
    assert!(all <= 2 * 5_000 * 10_100, "{all} bytes");
}

#[test]
fn small_states_are_written_at_the_shortest_pace() {
    assert_eq!(written(100, 350, 1).0, [101, 201, 301]);
}

#[test]
fn what_is_too_large_is_not_written() {
    let (at, _, run) = written(20, 40, mesh_core::MAX_STATE_BYTES / 10);
    assert!(at.is_empty(), "{at:?}");
    assert!(run.save().is_none() && !run.has_ended());
}

#[test]
fn what_is_being_stored_is_waited_for() {
    let (first, mut run) = started(5);
    let mut pace = Pace::new(2, Grown::default(), Vec::new());
    let mut events = vec![first];
    for _ in 0..3 {
        let event = next(events.last().expect("an event"), 1);
        run.apply(&event);
        pace.folded(&event, 500, &run);
        events.push(event);
    }
    // Written down after the second of them, which waits for the first, and not for the third.
    assert!(pace.stored(3).is_none());
    let (saved, _) = pace.stored(2).expect("a state");
    assert_eq!(saved.upto, 3);
}
