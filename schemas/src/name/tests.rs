use proptest::prelude::*;

use super::{AgentId, Capability, Lane, Namespace, TaskId, Timer, WorkflowName, number};
use crate::Attempt;

#[test]
fn a_name_is_one_plain_token() {
    for good in ["a", "risk", "7", "_x", "merchant-onboarding", "a_b-c", &"a".repeat(64)] {
        assert_eq!(WorkflowName::new(good).map(|name| name.as_str().to_owned()).as_deref(), Ok(good));
    }
    for bad in ["", "-", "-a", "A", "a.b", "a b", "a*", ">", "ä", "a\n", &"a".repeat(65)] {
        let error = Capability::new(bad).expect_err(bad);
        assert_eq!((error.what, error.text.as_str()), ("capability", bad));
    }
}

#[test]
fn a_task_id_may_name_what_belongs_to_a_task() {
    for good in ["a", "assess_risk", "a1", "a:0", "a:17", "a:b", "a:1:2", "each:3:lint", "g:b:12:c_d"] {
        assert!(TaskId::new(good).is_ok(), "{good}");
    }
    for bad in [
        "",
        "1a",
        "_a",
        "a-b",
        "A",
        "a:",
        "a:X",
        "a:01",
        "a:+1",
        "a::1",
        ":1",
        &"a".repeat(65),
        &format!("a{}", ":b".repeat(128)),
    ] {
        assert!(TaskId::new(bad).is_err(), "{bad}");
    }
}

#[test]
fn names_are_checked_when_they_are_read() {
    assert_eq!(
        serde_json::from_str::<AgentId>("\"risk-1\"").map(String::from).ok().as_deref(),
        Some("risk-1")
    );
    let error = serde_json::from_str::<AgentId>("\"Risk 1\"").expect_err("not a name").to_string();
    assert!(error.contains("\"Risk 1\" is not a valid agent id: use 1 to 64"), "{error}");
}

#[test]
fn streams_bear_the_namespace() {
    assert_eq!(Namespace::default().stream("EVENTS"), "MESH_EVENTS");
    assert_eq!(Namespace::new("test-1").map(|name| name.stream("KV")).as_deref(), Ok("TEST-1_KV"));
}

#[test]
fn only_known_lanes_are_lanes() {
    for text in ["high", "normal", "low", "to-risk-1", "to-to-a"] {
        assert_eq!(text.parse::<Lane>().map(|lane| lane.to_string()).as_deref(), Ok(text));
    }
    for text in ["", "High", "to-", "to--a", "urgent", "to-A"] {
        assert_eq!(text.parse::<Lane>().expect_err(text).what, "lane");
    }
}

#[test]
fn only_known_timers_are_timers() {
    let retry = Timer::Retry { task: TaskId::new("assess_risk").expect("a task"), after: Attempt::FIRST };
    assert_eq!(retry.to_string(), "retry-assess_risk-1");
    assert_eq!("retry-assess_risk-1".parse(), Ok(retry));
    assert_eq!("deadline".parse(), Ok(Timer::Deadline));
    assert_eq!("finally".parse(), Ok(Timer::Finally));
    for timer in
        [Timer::Grace(TaskId::new("a:1:b").expect("a task")), Timer::Join(TaskId::new("a").expect("a task"))]
    {
        assert_eq!(timer.to_string().parse(), Ok(timer));
    }
    for text in [
        "",
        "retry",
        "retry-a",
        "retry-a-0",
        "retry-a-01",
        "retry-a-1-2",
        "deadline-1",
        "retry--1",
        "grace-",
        "join-A",
    ] {
        assert_eq!(text.parse::<Timer>().expect_err(text).what, "timer");
    }
}

proptest! {
    #[test]
    fn a_number_has_one_spelling(text in "[+0-9]{0,4}") {
        match number::<u32>(&text) {
            Some(value) => prop_assert_eq!(value.to_string(), text),
            None => prop_assert!(text.is_empty() || text.contains('+') || (text.starts_with('0') && text != "0")),
        }
    }
}
