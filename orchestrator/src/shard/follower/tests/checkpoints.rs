//! Runs that are written down.

use mesh_schemas::Envelope;

use super::*;

/// The checkpoints of a run, by the event up to which they know it.
async fn checkpoints(bus: &dyn Bus, run: RunId) -> Vec<u64> {
    let events = bus.read_run_itself(&run).await.expect("read").events;
    let upto = |subject: &str| match mesh_schemas::Subject::parse(bus.namespace(), subject) {
        Ok(mesh_schemas::Subject::Checkpointed { upto, .. }) => Some(upto),
        _ => None,
    };
    events.iter().filter_map(|event| upto(&event.message.subject)).collect()
}

#[tokio::test(start_paused = true)]
async fn a_newer_checkpoint_takes_the_place_of_an_older() {
    let mut desk = Desk::new(1).await;
    let one = run("1");
    desk.start(one).await;
    desk.settle().await;
    assert_eq!(checkpoints(&*desk.bus, one).await, [1]);
    desk.settle().await;
    desk.complete(one, "a").await;
    desk.settle().await;
    assert_eq!(checkpoints(&*desk.bus, one).await, [3]);
}

#[tokio::test(start_paused = true)]
async fn the_event_of_a_checkpoint_counts_for_nothing() {
    let mut desk = Desk::new(2).await;
    let one = run("1");
    desk.start(one).await;
    desk.settle().await;
    desk.complete(one, "a").await;
    desk.settle().await;
    assert_eq!(checkpoints(&*desk.bus, one).await, [2]);
    desk.settle().await;
    desk.complete(one, "b").await;
    desk.settle().await;
    assert_eq!(checkpoints(&*desk.bus, one).await, [2]);
}

/// What a checkpoint says of decisions must be true of all that were made before it.
#[tokio::test(start_paused = true)]
async fn a_checkpoint_waits_for_what_was_decided_before_it() {
    let mut desk = Desk::new(2).await;
    let one = run("1");
    desk.start(one).await;
    desk.settle().await;
    desk.complete(one, "a").await;
    let earlier = desk.take().await.expect("work");
    desk.complete(one, "b").await;
    desk.settle().await;
    assert_eq!(checkpoints(&*desk.bus, one).await, Vec::<u64>::new());
    desk.work(earlier).await;
    assert_eq!(checkpoints(&*desk.bus, one).await, [2]);
}

#[tokio::test(start_paused = true)]
async fn a_run_is_read_from_its_newest_checkpoint_that_is_of_use() {
    let mut desk = Desk::new(1).await;
    let (one, other) = (run("1"), run("2"));
    desk.start(one).await;
    desk.settle().await;
    desk.settle().await;
    desk.complete(one, "a").await;
    desk.settle().await;
    desk.settle().await;
    // Others wrote what is of no use: garbage, a state of another run, one whose digest is wrong, one that knows the
    // future, and one that another version wrote.
    let good = desk.bus.read_run_itself(&one).await.expect("read").events.pop().expect("a checkpoint");
    let good: Value = serde_json::from_slice(&good.message.payload).expect("JSON");
    assert_eq!(good["data"]["upto"], 3);
    let wrong = |upto: u64, change: &dyn Fn(&mut Value)| {
        let mut data = good["data"].clone();
        data["upto"] = json!(upto);
        change(&mut data);
        (format!("workflow.checkpointed.three.-.{one}.{upto}"), data)
    };
    let with_state = |data: &mut Value, from: &str, to: &str| {
        let state = data["state"].as_str().unwrap_or_default().replace(from, to);
        data["digest"] = json!(Digest::of(state.as_bytes()));
        data["state"] = json!(state);
    };
    for (subject, data) in [
        wrong(2, &|data| *data = json!("garbage")),
        wrong(4, &|data| with_state(data, &one.to_string(), &other.to_string())),
        wrong(5, &|data| data["state"] = json!("{}")),
        wrong(99, &|data| with_state(data, "\"upto\":3", "\"upto\":99")),
        wrong(6, &|data| data["rules"] = json!(2)),
        wrong(7, &|data| with_state(data, "\"format\":1", "\"format\":0")),
        wrong(8, &|data| data["state"] = Value::Null),
    ] {
        desk.store(&subject, data).await;
        desk.settle().await;
    }
    // Its own start is a checkpoint's worth.
    desk.start(other).await;
    desk.settle().await;
    desk.settle().await;
    desk.complete(one, "b").await;
    desk.settle().await;
    let (run, upto) = desk.last_folded();
    assert_eq!(run, one);
    let folded = desk.runs.lock().unwrap_or_else(PoisonError::into_inner).pop().expect("a run");
    let log = desk.bus.read_run(&one).await.expect("read").events;
    let events: Vec<Event> = log
        .iter()
        .filter(|stored| stored.sequence <= upto)
        .filter_map(|stored| Event::read(desk.bus.namespace(), stored).ok())
        .collect();
    let (expected, _) = mesh_core::replay(&folded.plan(), &events).expect("a run");
    assert_eq!(folded, expected);
}

/// A result that one orchestrator found counts in what it wrote down. If another did not find it, and said so, all go on as
/// the log has it.
#[tokio::test(start_paused = true)]
async fn a_result_that_was_given_up_as_lost_does_not_count_in_a_checkpoint() {
    let mut desk = Desk::new(1).await;
    let one = run("1");
    desk.start(one).await;
    desk.settle().await;
    desk.settle().await;
    desk.server.set_max_inline(1);
    let subject = format!("mesh.task.completed.work.normal.{one}.a.1");
    let data = json!({"output": "large"});
    let (headers, payload) = Envelope::new("a".to_owned(), "/agent".to_owned(), "task.completed", data)
        .encode()
        .expect("an event");
    let completed = Message { subject, headers, payload: payload.into() };
    mesh_bus::publish_event(&*desk.bus, &one, &Publish::once(completed)).await.expect("stored");
    desk.settle().await;
    assert_eq!(checkpoints(&*desk.bus, one).await, [3]);
    assert_eq!(status_of_a(&desk), "done");
    let error = json!({"code": "lost_output", "message": "nobody has it", "retryable": false});
    desk.store(&format!("task.failed.work.normal.{one}.a.1"), json!({ "error": error })).await;
    desk.settle().await;
    desk.settle().await;
    assert_eq!(status_of_a(&desk), "failed");
}

/// How the first task of the run stands that was folded last.
fn status_of_a(desk: &Desk) -> &'static str {
    let runs = desk.runs.lock().unwrap_or_else(PoisonError::into_inner);
    runs.last().expect("a run").tasks()[0].status
}
