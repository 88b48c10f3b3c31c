//! How the rules scale: a workflow of many tasks in sequence, or side by side, read, compiled and run to its end.
//!
//! `cargo run --release -p mesh-core --example scale -- 100000`

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Instant;

use chrono::{DateTime, Utc};
use mesh_core::{Action, Decision, Event, Fact, Plan, Run, Started};
use mesh_schemas::document::Format;
use mesh_schemas::payload::{TaskCompleted, WorkflowStarted};
use mesh_schemas::{Definition, Digest, RULES_VERSION, RequestId, RunId, Shards, TaskKey};
use serde_json::json;

/// Finished tasks at which the cost of the next events is told.
const MARKS: [usize; 6] = [10, 100, 1_000, 10_000, 50_000, 99_000];

fn main() {
    let count = std::env::args().nth(1).and_then(|count| count.parse().ok()).unwrap_or(100_000);
    println!("{count} tasks in sequence, each with the output of the one before");
    sequence(&text(count, true));
    let count = count / 10;
    println!("\n{count} tasks side by side, all of whose outputs are the run's");
    sequence(&text(count, false));
}

fn text(count: usize, in_sequence: bool) -> String {
    let mut text = "mesh: v1\nname: long\n".to_owned();
    if in_sequence {
        let _ = writeln!(text, "output: ${{tasks.t{:06}.output}}", count - 1);
    }
    text.push_str("tasks:\n");
    for n in 0..count {
        let _ = writeln!(text, "  t{n:06}:\n    agent: worker");
        if let Some(before) = n.checked_sub(1).filter(|_| in_sequence) {
            let _ = writeln!(
                text,
                "    needs: [t{before:06}]\n    with: {{ n: \"${{tasks.t{before:06}.output}}\" }}"
            );
        }
    }
    text
}

fn sequence(text: &str) {
    println!("{:>34} {} bytes", "definition", text.len());
    let definition = timed("parsed from YAML", || read(text, Format::Yaml));
    let json = timed("written as JSON", || definition.canonical_json());
    timed("parsed from JSON", || read(&json, Format::Json));
    timed("read as it is stored", || serde_json::from_str::<Definition>(&json).expect("a definition"));
    timed("digest of that text", || Digest::of(json.as_bytes()));
    timed("digest", || definition.digest());
    let plan = Arc::new(timed("compiled", || Plan::compile(&definition).expect("it is sound")));
    follow(&plan);
}

fn follow(plan: &Arc<Plan>) {
    let request = RequestId { source: "scale".to_owned(), id: "1".to_owned() };
    let id = RunId::for_request("workflow.long", &request, Shards::default());
    let data = WorkflowStarted {
        digest: plan.digest.clone(),
        rules: RULES_VERSION,
        config: None,
        input: json!(1),
        request,
        capability: None,
        parent: None,
        taken_over: None,
        pause_before: Vec::new(),
    };
    let started = Started {
        workflow: Some(plan.definition.name.clone()),
        data,
        lost: None,
        correlation_id: None,
        trace: None,
    };
    let event = |sequence, fact| Event {
        run: id,
        id: format!("event-{sequence}"),
        sequence,
        time: DateTime::<Utc>::UNIX_EPOCH,
        fact,
        defect: None,
    };
    let first = event(1, Fact::Started(Box::new(started.clone())));
    let (mut run, step) = timed("started", || Run::start(&first, &started, Arc::clone(plan)));
    let mut open = created(step.decisions);
    let mut at = 1;
    let begin = Instant::now();
    let mut mark = Instant::now();
    while let Some(key) = open.pop() {
        if MARKS.contains(&at) {
            mark = Instant::now();
        }
        let outcome = TaskCompleted { output: json!(at), quality: None, usage: None, agent: None };
        at += 1;
        open.extend(created(run.apply(&event(at as u64, Fact::Completed(key, Box::new(outcome)))).decisions));
        if let Some(mark_at) = MARKS.iter().find(|mark| **mark + 50 == at) {
            println!("{:>34} {:?}", format!("an event behind {mark_at} tasks"), mark.elapsed() / 50);
            let state = timed("saved", || run.save().unwrap_or_default());
            println!("{:>34} {} bytes", "state", state.len());
            let restored = || Run::restore(&first, &started, Arc::clone(plan), &state).expect("it was saved");
            assert_eq!(timed("restored", restored), run);
        }
    }
    assert!(run.has_ended());
    println!("{:>34} {:?} for {at} events", "the whole log folded", begin.elapsed());
}

fn created(decisions: Vec<Decision>) -> Vec<TaskKey> {
    let key = |decision: Decision| match decision.action {
        Action::Create(key, _) => Some(key),
        _ => None,
    };
    decisions.into_iter().filter_map(key).collect()
}

fn read(text: &str, format: Format) -> Definition {
    mesh_schemas::definition::parse(text, format).unwrap_or_else(|problems| panic!("{problems}"))
}

fn timed<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let begin = Instant::now();
    let result = work();
    println!("{what:>34} {:?}", begin.elapsed());
    result
}
