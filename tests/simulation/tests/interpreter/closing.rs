//! What is done when it is decided how a run ends, on logs written by hand, of which the fold of `mesh-core` makes the same.

use std::collections::BTreeMap;
use std::time::Duration;

use mesh_schemas::Timer;
use mesh_simulation::interpreter::End;
use mesh_simulation::workload::{Expression, Finally, Task, Template};
use serde_json::{Value, json};

use crate::log::{Log, doing, failed, given, id, task};

/// A task, and two that tell finally how it went, one after the other.
fn log() -> Log {
    let told = Template::List(vec![
        Template::Whole(Expression::Outcome.field("status")),
        Template::Whole(Expression::Status(id("a"))),
    ]);
    let mut tell = given(Expression::Input);
    tell.with = Some(told);
    let tasks: BTreeMap<_, Task> =
        [(id("tell"), doing(&[], tell)), (id("tidy"), task(&["tell"]))].into_iter().collect();
    let mut log = Log::of([("a", task(&[]))]);
    log.workflow.finally = Some(Finally { tasks, timeout: Some(Duration::from_secs(20)) });
    log.start(json!({}))
}

fn told(log: &Log) -> Option<(usize, Value)> {
    log.created("finally:tell", "1")
}

#[test]
fn it_is_done_however_a_run_ends() {
    let open = log().completed("a", "1", json!(1));
    assert_eq!((open.end(), told(&open)), (None, Some((1, json!(["completed", "done"])))));
    assert_eq!(open.expected().timers[&Timer::Finally].at, 1);
    let done = open.completed("finally:tell", "1", json!(0)).completed("finally:tidy", "1", json!(0));
    assert_eq!(done.end(), Some((3, End::Completed { output: json!({ "a": 1 }) })));
    assert_eq!(done.expected().end.expect("an end").what.tasks.done, 3);
    let open = log().fatal("a", "1");
    assert_eq!(told(&open), Some((1, json!(["failed", "failed"]))));
    assert_eq!(open.fatal("finally:tell", "1").end(), Some((2, failed("no", Some("a")))));
    let open = log().cancelled("");
    assert_eq!(told(&open), Some((1, json!(["cancelled", null]))));
    assert_eq!(open.given_up(), [("a".to_owned(), 1, "run_ended")]);
}

#[test]
fn what_fails_in_it_fails_a_run_that_would_have_completed() {
    let log = log().completed("a", "1", json!(1)).fatal("finally:tell", "1");
    assert_eq!(log.end(), Some((2, failed("no", Some("finally:tell")))));
}

#[test]
fn it_has_a_time_of_its_own_and_a_second_cancel_ends_it() {
    let open = log().completed("a", "1", json!(1)).fired(Timer::Deadline);
    assert_eq!(open.end(), None);
    let log = open.fired(Timer::Finally);
    assert_eq!(log.end(), Some((3, failed("timeout", None))));
    assert_eq!(log.given_up(), [("finally:tell".to_owned(), 3, "run_ended")]);
    let log = self::log().fatal("a", "1").cancelled("");
    assert_eq!(log.end(), Some((2, End::Cancelled { reason: None })));
}
