use mesh_schemas::TaskId;

use super::figures::Figures;
use super::sample::Sample;
use crate::commands::trace::story::tests::{Events, at, completed};

fn figures(events: &[Events], until: i64) -> Figures {
    let mut figures = Figures::new("order".parse().unwrap(), at(0), at(until));
    events.iter().for_each(|events| figures.add(&events.story(until)));
    figures.conclude();
    figures
}

fn about(figures: &Figures) -> Vec<(&'static str, Option<&str>)> {
    let about = figures.insights.iter();
    about.map(|insight| (insight.about, insight.task.as_ref().map(TaskId::as_str))).collect()
}

/// One task that an agent took after some milliseconds, and was at for some.
fn single(wait: i64, work: i64) -> Events {
    let mut events = Events::new();
    let begin = events.begin();
    events.created(0, "pay", 1, &begin);
    events.assigned(wait, "pay", 1, 1);
    let pay = events.completed(wait + work, "pay", 1);
    events.ended(wait + work, "completed", &pay);
    events
}

/// One whose only task failed.
fn failed() -> Events {
    let mut events = Events::new();
    let begin = events.begin();
    events.created(0, "pay", 1, &begin);
    events.assigned(0, "pay", 1, 1);
    let pay = events.failed(10, "pay", 1, "broken");
    events.ended(10, "failed", &pay);
    events
}

#[test]
fn runs_and_attempts_are_counted() {
    let figures = figures(&[completed(), completed(), failed(), Events::new()], 2_000);
    let runs = &figures.runs;
    assert_eq!((runs.started, runs.completed, runs.failed, runs.running), (4, 2, 1, 1));
    assert_eq!(runs.failures["broken"], 1);
    assert!((runs.success_rate.unwrap() - 2.0 / 3.0).abs() < 1e-9);
    let duration = figures.duration.unwrap();
    assert_eq!((duration.count, duration.p50_ms, duration.max_ms), (2, 1_420, 1_420));
    let load = &figures.tasks[&TaskId::new("load").unwrap()];
    assert_eq!((load.attempts, load.retries, load.failed, load.failures["flaky"]), (4, 2, 2, 2));
    let slow = &figures.tasks[&TaskId::new("slow").unwrap()];
    assert_eq!((slow.wait.unwrap().p50_ms, slow.work.unwrap().p50_ms), (489, 500));
    assert!((slow.critical_share - 2_000.0 / 2_850.0).abs() < 1e-9, "{}", slow.critical_share);
}

#[test]
fn a_run_that_waits_for_what_nobody_does_stands_out() {
    let mut events = Events::new();
    let begin = events.begin();
    events.created(0, "pay", 1, &begin);
    let mut story = events.story(5_000);
    story.note_unserved(&|_| false);
    story.settle(at(5_000));
    let mut figures = Figures::new("order".parse().unwrap(), at(0), at(5_000));
    figures.add(&story);
    figures.conclude();
    assert_eq!(about(&figures), [("stuck_runs", None)]);
    let finding = &figures.insights[0].finding;
    assert!(finding.starts_with("1 run waits for what nobody does: "), "{finding}");
    assert!(finding.ends_with("which no agent that is alive has: start one"), "{finding}");
}

#[test]
fn items_of_a_loop_are_one_task() {
    let mut events = Events::new();
    let begin = events.begin();
    for number in 0..3 {
        events.created(0, &format!("each:{number}"), 1, &begin);
        events.completed(10, &format!("each:{number}"), 1);
    }
    let figures = figures(&[events], 100);
    assert_eq!(figures.tasks.keys().map(TaskId::as_str).collect::<Vec<_>>(), ["each"]);
    assert_eq!(figures.tasks.values().next().unwrap().attempts, 3);
}

#[test]
fn what_goes_well_does_not_stand_out() {
    let runs: Vec<Events> = (0..20).map(|_| single(10, 500)).collect();
    assert_eq!(about(&figures(&runs, 1_000)), []);
}

#[test]
fn failures_stand_out() {
    let mut runs: Vec<Events> = (0..18).map(|_| single(10, 500)).collect();
    runs.extend([failed(), failed()]);
    let figures = figures(&runs, 1_000);
    assert_eq!(about(&figures), [("success", None), ("failing_task", Some("pay"))]);
    assert_eq!(
        figures.insights[0].finding,
        "2 of 20 runs failed (90.0% went well), most often with `broken` (2 times)"
    );
}

#[test]
fn retries_and_one_large_task_stand_out() {
    let runs: Vec<Events> = (0..6).map(|_| completed()).collect();
    assert_eq!(
        about(&figures(&runs, 2_000)),
        [("failing_task", Some("load")), ("retries", None), ("largest_task", Some("slow"))]
    );
}

#[test]
fn waits_that_are_longer_than_the_work_stand_out() {
    let runs: Vec<Events> = (0..6).map(|_| single(5_000, 500)).collect();
    let figures = figures(&runs, 6_000);
    assert_eq!(about(&figures), [("too_few_agents", Some("pay"))]);
    assert!(figures.insights[0].advice.contains("too few agents with 'work'"), "{:?}", figures.insights);
}

#[test]
fn uneven_work_and_late_runs_stand_out() {
    let mut runs: Vec<Events> = (0..8).map(|_| single(0, 100)).collect();
    runs.extend([single(0, 2_000), single(0, 2_000)]);
    let mut open = Events::new();
    let begin = open.begin();
    open.created(0, "pay", 1, &begin);
    runs.push(open);
    assert_eq!(about(&figures(&runs, 6_000)), [("uneven_task", Some("pay"))]);
    let figures = figures(&runs, 6_001);
    assert_eq!(about(&figures), [("late_runs", None), ("uneven_task", Some("pay"))]);
    let finding = &figures.insights[0].finding;
    assert!(
        finding.starts_with(
            "1 run has been going on for more than 3 times as long as nine of ten take (2s): 3."
        ),
        "{finding}"
    );
    assert!(finding.ends_with("task 'pay': waiting 6s 1ms for an agent with capability 'work'"), "{finding}");
}

#[test]
fn quantiles_are_those_of_all_values_as_long_as_they_fit() {
    let mut sample = Sample::default();
    assert_eq!(sample.quantiles(), None);
    (1..=100).for_each(|value| sample.add(value));
    let found = sample.quantiles().unwrap();
    assert_eq!((found.count, found.p50_ms, found.p90_ms, found.p99_ms, found.max_ms), (100, 50, 90, 99, 100));
    let mut many = Sample::default();
    (0..1_000_000).for_each(|value| many.add(value));
    let found = many.quantiles().unwrap();
    assert_eq!((found.count, found.max_ms), (1_000_000, 999_999));
    assert!(found.p90_ms.abs_diff(900_000) < 1_000, "{found:?}");
}
