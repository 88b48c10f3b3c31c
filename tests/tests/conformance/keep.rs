//! What is removed, what is kept how long, and how full it may be.

use std::time::Duration;

use anyhow::Result;
use mesh_bus::topology::{Limits, Stream, Topology, shard_consumer};
use mesh_bus::{Bus, Flow, Publish, PublishError, Stored};
use mesh_schemas::RunId;

use crate::server::{Server, topology};
use crate::support::{
    agents, body, event, eventually, impatient, message, next, nothing_comes_for, run, soon, store,
    store_tasks, take, text,
};

on_every_bus!(
    what_is_removed_holds_nothing_up,
    the_notes_of_a_run_are_removed_and_no_others,
    a_consumer_tells_up_to_where_all_is_settled,
    a_message_stands_right_behind_another_or_not_at_all,
    the_work_of_a_run_is_read,
    the_history_of_a_run_is_read,
    histories_are_dropped_when_they_are_old,
    the_oldest_histories_are_dropped_when_there_are_too_many,
    a_log_of_limited_size_takes_no_more_and_tells_how_full_it_is,
);

async fn what_is_removed_holds_nothing_up(server: &impl Server) -> Result<()> {
    let bus = server.set_up().await?;
    let mut work = bus.consume(&impatient(), Flow::Continuous(4)).await?;
    store_tasks(&*bus, 1..=2).await?;
    let (first, second) = (next(&mut work).await?, next(&mut work).await?);
    bus.remove(Stream::Tasks, 1).await?;
    let again = next(&mut work).await?;
    assert_eq!((body(&again), again.delivered), ("2".to_owned(), 2));
    // What is said of it harms nobody.
    first.acker.ack().await;
    second.acker.ack().await;
    again.acker.ack().await;
    store_tasks(&*bus, 3..=3).await?;
    assert_eq!(take(&mut work, 1).await?, ["3"]);
    assert!(nothing_comes_for(Duration::from_secs(1), &mut work).await);
    let settled = async || Ok(bus.settled(&impatient()).await? >= 3);
    eventually("a message that is gone to hold nothing up", settled).await
}

async fn the_notes_of_a_run_are_removed_and_no_others(server: &impl Server) -> Result<()> {
    let bus = server.set_up().await?;
    let (gone, other) = (run(1), run(2));
    let rejected = "request.rejected.w.0b5c1f6e-6f5e-5a39-9d0a-5d2f6f0a0001".to_owned();
    let note = |run, verb: &str| format!("task.{verb}.a.normal.{run}.t.1.1");
    for subject in [note(gone, "assigned"), note(gone, "released"), note(other, "assigned"), rejected.clone()]
    {
        bus.publish(Publish::plain(message(format!("mesh.{subject}"), ""))).await?;
    }
    bus.remove_notes(&gone).await?;
    bus.remove_notes(&gone).await?;
    let left = bus.list_subjects(Stream::Notes, "mesh.>").await?;
    assert_eq!(left, [note(other, "assigned"), rejected].map(|subject| format!("mesh.{subject}")).into());
    Ok(())
}

async fn a_consumer_tells_up_to_where_all_is_settled(server: &impl Server) -> Result<()> {
    let bus = server.set_up().await?;
    assert_eq!(bus.settled(&agents()).await?, 0, "it is not there");
    let mut work = bus.consume(&agents(), Flow::Continuous(8)).await?;
    store_tasks(&*bus, 1..=4).await?;
    let mut hand = Vec::new();
    for _ in 1..=4 {
        hand.push(next(&mut work).await?);
    }
    assert_eq!(bus.settled(&agents()).await?, 0);
    hand[1].acker.ack().await;
    hand[3].acker.nak(Duration::from_secs(600)).await;
    hand[0].acker.ack().await;
    let at_least = async |upto| Ok(bus.settled(&agents()).await? >= upto);
    eventually("the first two to be settled", || at_least(2)).await?;
    assert_eq!(bus.settled(&agents()).await?, 2);
    hand[2].acker.ack().await;
    eventually("the third to be settled", || at_least(3)).await?;
    assert_eq!(bus.settled(&agents()).await?, 3, "what is handed back for later is not settled");
    // Of what it does not deliver, nothing is to be settled.
    let shard = shard_consumer(bus.namespace(), run(1).shard());
    let mut events = bus.consume(&shard, Flow::Continuous(8)).await?;
    let last = store(&*bus, event(run(1), 1)).await?;
    take(&mut events, 1).await?;
    eventually("the event to be settled", async || Ok(bus.settled(&shard).await? >= last)).await
}

async fn a_message_stands_right_behind_another_or_not_at_all(server: &impl Server) -> Result<()> {
    let bus = server.set_up().await?;
    let part = |body: &str| message(history(run(1)), body.to_owned());
    assert_eq!(bus.publish(Publish::behind(part("early"), 7)).await?, Stored::Already);
    assert_eq!(bus.publish(Publish::behind(part("1"), 0)).await?, Stored::Now(1));
    assert_eq!(bus.publish(Publish::behind(part("other"), 0)).await?, Stored::Already);
    store(&*bus, Publish::plain(message(history(run(2)), "1"))).await?;
    assert_eq!(bus.publish(Publish::behind(part("2"), 1)).await?, Stored::Now(3));
    assert_eq!(bus.publish(Publish::behind(part("late"), 1)).await?, Stored::Already);
    assert_eq!(texts(&*bus, run(1)).await?, ["1", "2"]);
    Ok(())
}

async fn the_work_of_a_run_is_read(server: &impl Server) -> Result<()> {
    let bus = server.set_up().await?;
    assert_eq!(bus.read_work(&run(1)).await?, []);
    for (of, subject) in [(1, "risk.normal"), (2, "risk.normal"), (1, "pay.to-agent-7")] {
        let subject = format!("mesh.task.created.{subject}.{}.t.1", run(of));
        store(&*bus, Publish::once(message(subject, of.to_string()))).await?;
    }
    store(&*bus, event(run(1), 1)).await?;
    let places = async |number| -> Result<Vec<u64>> {
        Ok(bus.read_work(&run(number)).await?.iter().map(|task| task.sequence).collect())
    };
    assert_eq!((places(1).await?, places(2).await?), (vec![1, 3], vec![2]));
    bus.remove(Stream::Tasks, 1).await?;
    assert_eq!(places(1).await?, [3]);
    Ok(())
}

async fn the_history_of_a_run_is_read(server: &impl Server) -> Result<()> {
    let (bus, other) = (server.set_up().await?, server.connect().await?);
    assert_eq!(bus.read_history(&run(1)).await?, []);
    for (of, body) in [(1, "1"), (2, "x"), (1, "2")] {
        store(&*bus, Publish::plain(message(history(run(of)), body))).await?;
        let expected = texts(&*other, run(of)).await?;
        assert_eq!(expected.last().map(String::as_str), Some(body), "what was stored by anyone is read");
    }
    let late = format!("mesh.history.late.w.completed.{}", run(1));
    for body in ["late", "later"] {
        store(&*bus, Publish::plain(message(late.clone(), body))).await?;
    }
    assert_eq!(texts(&*bus, run(1)).await?, ["1", "2", "late", "later"]);
    assert_eq!((texts(&*bus, run(2)).await?, texts(&*bus, run(3)).await?), (vec!["x".into()], vec![]));
    let named_late = format!("mesh.history.late.failed.{}", run(4));
    store(&*bus, Publish::plain(message(named_late, "4"))).await?;
    assert_eq!(texts(&*bus, run(4)).await?, ["4"], "a workflow may be called so");
    assert_eq!(bus.health().await?.late_runs, 1, "however many messages it takes");
    Ok(())
}

async fn histories_are_dropped_when_they_are_old(server: &impl Server) -> Result<()> {
    let bus = server.connect().await?;
    bus.set_up(&limited(Limits { history_age: Some(Duration::from_secs(600)), ..Limits::default() })).await?;
    store(&*bus, Publish::plain(message(history(run(1)), "1"))).await?;
    store(&*bus, event(run(1), 1)).await?;
    assert_eq!(texts(&*bus, run(1)).await?, ["1"]);
    // It may be changed later, and stays as it is when nothing is said.
    bus.set_up(&limited(Limits { history_age: Some(Duration::from_secs(1)), ..Limits::default() })).await?;
    bus.set_up(&limited(Limits::default())).await?;
    eventually("the history to be dropped", async || Ok(texts(&*bus, run(1)).await?.is_empty())).await?;
    assert_eq!(bus.read_run(&run(1)).await?.events.len(), 1, "the log has no age");
    Ok(())
}

async fn the_oldest_histories_are_dropped_when_there_are_too_many(server: &impl Server) -> Result<()> {
    let bus = server.connect().await?;
    bus.set_up(&limited(Limits { history_bytes: Some(10_000), ..Limits::default() })).await?;
    assert_eq!((bus.limit(Stream::History).await?, bus.limit(Stream::Events).await?), (Some(10_000), None));
    for number in 1..=3 {
        store(&*bus, Publish::plain(message(history(run(number)), "x".repeat(4_000)))).await?;
    }
    eventually("the oldest to be dropped", async || Ok(texts(&*bus, run(1)).await?.is_empty())).await?;
    assert_eq!((texts(&*bus, run(2)).await?.len(), texts(&*bus, run(3)).await?.len()), (1, 1));
    Ok(())
}

async fn a_log_of_limited_size_takes_no_more_and_tells_how_full_it_is(server: &impl Server) -> Result<()> {
    let bus = server.connect().await?;
    bus.set_up(&limited(Limits::default())).await?;
    assert_eq!(bus.fill().await?, None, "nothing bounds it");
    let limit = |bytes| limited(Limits { log_bytes: Some(bytes), ..Limits::default() });
    bus.set_up(&limit(20_000)).await?;
    bus.set_up(&limited(Limits::default())).await?;
    let large = |number| {
        let Publish { message, .. } = event(run(1), number);
        Publish::once(mesh_schemas::Message { payload: "x".repeat(6_000).into(), ..message })
    };
    for number in 1..=3 {
        store(&*bus, large(number)).await?;
    }
    let full = bus.publish(large(4)).await;
    assert!(matches!(full, Err(PublishError::Retry(_))), "{full:?}");
    let fill = bus.fill().await?.map(|fill| (fill.what, fill.share.limit, fill.share.thousandths()));
    assert!(
        matches!(&fill, Some((what, Some(20_000), 900..=1_000)) if what == "MESH_EVENTS"),
        "it is nearly full: {fill:?}"
    );
    assert_eq!(bus.read_run(&run(1)).await?.events.len(), 3, "nothing was dropped to make room");
    bus.remove(Stream::Events, 2).await?;
    assert_eq!(soon("room", bus.publish(large(4))).await??, Stored::Now(4));
    bus.set_up(&limit(0)).await?;
    assert_eq!((bus.publish(large(5)).await?, bus.fill().await?), (Stored::Now(5), None));
    Ok(())
}

fn limited(limits: Limits) -> Topology {
    Topology { limits, ..topology(2) }
}

/// Where the history of a run stands.
fn history(run: RunId) -> String {
    format!("mesh.history.w.completed.{run}")
}

async fn texts(bus: &dyn Bus, run: RunId) -> Result<Vec<String>> {
    Ok(bus.read_history(&run).await?.iter().map(|stored| text(&stored.message)).collect())
}
