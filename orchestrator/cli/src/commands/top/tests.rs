use chrono::TimeDelta;
use mesh_schemas::{Capability, Headers, Lane, Message, Namespace};
use serde_json::json;

use super::flow::Passed;
use super::open::{OpenRun, OpenRuns, STILL};
use super::print::lines;
use super::snapshot::{Agent, Queue, Rates, Snapshot};
use crate::commands::trace::story::tests::{Events, at};
use crate::terminal::Terminal;

const RUN: &str = "3.2c0b6e5e-6d1f-5f43-9d0e-6f2a3b0c9a11";

fn passes(passed: &mut Passed, subject: &str, body: &serde_json::Value) {
    let subject = format!("mesh.{subject}");
    let message = Message { subject, headers: Headers::new(), payload: body.to_string().into() };
    passed.take(&Namespace::new("mesh").unwrap(), &message, at(0));
}

#[test]
fn what_passes_is_counted() {
    let mut passed = Passed::new();
    passes(&mut passed, &format!("workflow.started.order.-.{RUN}"), &json!({}));
    for subject in ["task.completed", "task.completed", "task.failed"] {
        let subject = format!("{subject}.work.normal.{RUN}.pay.1");
        passes(&mut passed, &subject, &json!({"data": {"agent": "worker-1", "output": [1]}}));
    }
    passes(&mut passed, &format!("task.completed.work.normal.{RUN}.pay.2"), &json!({"agent": "worker-2"}));
    passes(&mut passed, &format!("task.completed.work.normal.{RUN}.pay.3"), &json!("no object"));
    passes(&mut passed, &format!("workflow.failed.order.-.{RUN}"), &json!({}));
    passes(&mut passed, "something.else", &json!({}));
    assert_eq!((passed.started, passed.failed, passed.completed), (1, 1, 0));
    assert_eq!((passed.tasks_done, passed.tasks_failed), (4, 1));
    assert_eq!(
        passed.by_agent.into_iter().collect::<Vec<_>>(),
        [("worker-1".to_owned(), 3), ("worker-2".to_owned(), 1)]
    );
    assert_eq!(passed.runs.len(), 2);
}

#[test]
fn runs_are_open_from_their_beginning_to_their_end() {
    let mut open = OpenRuns::default();
    let mut passed = Passed::new();
    passes(&mut passed, &format!("workflow.started.order.-.{RUN}"), &json!({}));
    open.hear(&passed);
    assert_eq!(open.len(), 1);
    let mut passed = Passed::new();
    passes(&mut passed, &format!("workflow.completed.order.-.{RUN}"), &json!({}));
    open.hear(&passed);
    assert_eq!(open.len(), 0);
}

fn open_run() -> OpenRun {
    OpenRun {
        run: RUN.parse().unwrap(),
        workflow: Some("order".parse().unwrap()),
        started: at(0),
        last_event: None,
        waiting_for: Vec::new(),
        is_stuck: false,
    }
}

#[test]
fn a_run_is_stuck_if_nobody_can_take_its_work_or_nothing_happens() {
    let mut events = Events::new();
    let begin = events.begin();
    events.created(10, "pay", 1, &begin);
    let mut open = open_run();
    let mut story = events.story(500);
    open.read(&story, at(500));
    assert_eq!((open.is_stuck, open.waiting_for.len()), (false, 1));
    open.read(&story, at(10) + STILL);
    assert!(open.is_stuck);
    story.tasks[0].attempts[0].is_unserved = true;
    open.read(&story, at(500));
    assert!(open.is_stuck);
}

fn snapshot() -> Snapshot {
    let capability: Capability = "a_capability_with_a_long_name".parse().unwrap();
    let queue = Queue {
        capability: capability.clone(),
        lane: Lane::Normal,
        waiting: 1_000_000,
        in_hand: 0,
        agents: 0,
        capacity: 0,
        free: 0,
        is_served: false,
    };
    let agent = Agent {
        agent: "agent-with-a-long-name-1".parse().unwrap(),
        capabilities: vec![capability; 3],
        capacity: 10,
        heartbeat: at(0),
        tasks_per_s: 12.34,
    };
    let waiting_for = vec!["task 'pay': waiting for what takes a long time to say ".repeat(3); 2];
    let open = OpenRun { waiting_for, is_stuck: true, ..open_run() };
    Snapshot {
        time: at(3_000),
        window_s: 2.0,
        rates: Rates {
            runs_started: 1.5,
            runs_completed: 12.0,
            runs_failed: 0.0,
            runs_cancelled: 0.0,
            tasks_done: 1_234.5,
            tasks_failed: 0.25,
        },
        open_runs: 1,
        is_full: false,
        queues: vec![queue; 40],
        agents: vec![agent; 40],
        slowest: vec![open; 10],
    }
}

#[test]
fn all_of_it_fits_on_a_terminal_of_80_columns_and_24_lines() {
    let terminal = Terminal { is_there: true, has_colours: false, columns: 80, lines: 24 };
    let lines = lines(&snapshot(), terminal);
    let text = lines.join("\n");
    assert!(lines.len() <= 24, "{} lines\n{text}", lines.len());
    assert!(lines.iter().all(|line| line.chars().count() <= 80), "{text}");
    assert_eq!(lines[1], "runs      1.5/s started, 12/s completed, 0/s failed, 0/s cancelled");
    assert_eq!(lines[2], "tasks     1234/s done, 0.2/s failed");
    assert!(text.contains("nobody serv") && text.contains("… and 37 more"), "{text}");
}

#[test]
fn without_a_terminal_nothing_is_cut() {
    let terminal = Terminal { is_there: false, has_colours: false, columns: 80, lines: 24 };
    let mut quiet = snapshot();
    (quiet.queues, quiet.agents) = (Vec::new(), Vec::new());
    quiet.time += TimeDelta::seconds(1);
    let text = lines(&quiet, terminal).join("\n");
    assert!(text.contains("takes a long time to say (and 1 more)"), "{text}");
    assert!(text.contains("FREE\nnone"), "{text}");
}
