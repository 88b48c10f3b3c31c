//! Messages that pass by: sent, heard by whoever listens, and not kept.

use anyhow::Result;
use futures::StreamExt as _;
use mesh_bus::topology::{Stream, timer_consumer};
use mesh_bus::{Flow, Publish, Stored, Subscription};
use mesh_schemas::Message;

use crate::server::Server;
use crate::support::{event, eventually, message, next, own, run, soon, task};

on_every_bus!(
    what_is_sent_after_a_subscription_was_made_is_heard,
    what_was_sent_before_is_not_heard,
    a_filter_may_have_wildcards,
    everyone_who_listens_hears_everything_once,
    what_is_stored_is_heard_too,
    what_comes_due_is_not_heard,
    what_is_sent_to_a_stream_is_kept_there,
);

async fn heard(subscription: &mut Subscription) -> Result<Option<Message>> {
    Ok(soon("a message", subscription.next()).await?.map(|message| own(&message)))
}

async fn what_is_sent_after_a_subscription_was_made_is_heard(server: &impl Server) -> Result<()> {
    let bus = server.set_up().await?;
    let other = server.connect().await?;
    for number in 0..50 {
        let subject = format!("mesh.agent.heartbeat.a{number}");
        let mut listening = bus.subscribe(&subject).await?;
        let mut sent = message(&subject, "alive");
        sent.headers.set("ce-id", number.to_string());
        other.notify(sent.clone()).await?;
        assert_eq!(heard(&mut listening).await?, Some(sent));
    }
    Ok(())
}

async fn what_was_sent_before_is_not_heard(server: &impl Server) -> Result<()> {
    let bus = server.set_up().await?;
    bus.notify(message("mesh.agent.heartbeat.a1", "before")).await?;
    let mut listening = bus.subscribe("mesh.agent.heartbeat.a1").await?;
    bus.notify(message("mesh.agent.heartbeat.a1", "after")).await?;
    assert_eq!(heard(&mut listening).await?.as_ref().map(crate::support::text), Some("after".to_owned()));
    for stream in Stream::ALL {
        assert_eq!(bus.last(stream, "mesh.>").await?, None, "nothing of it is kept");
    }
    Ok(())
}

async fn a_filter_may_have_wildcards(server: &impl Server) -> Result<()> {
    let bus = server.set_up().await?;
    let progress = |run, capability: &str| format!("mesh.task.progress.{capability}.normal.{run}.t.1");
    let subjects = [
        progress(run(1), "risk"),
        progress(run(2), "risk"),
        progress(run(1), "score"),
        "mesh.task.progress".to_owned(),
        "mesh.agent.heartbeat.a1".to_owned(),
    ];
    let filters = [
        (format!("mesh.task.progress.*.*.{}.*.*", run(1)), vec![0, 2]),
        ("mesh.task.progress.risk.>".to_owned(), vec![0, 1]),
        ("mesh.task.progress.>".to_owned(), vec![0, 1, 2]),
        ("mesh.*.*".to_owned(), vec![3]),
        ("mesh.task.progress".to_owned(), vec![3]),
        ("mesh.>".to_owned(), vec![0, 1, 2, 3, 4]),
    ];
    let mut listening = Vec::new();
    for (filter, expected) in filters {
        listening.push((bus.subscribe(&filter).await?, filter, expected));
    }
    for subject in &subjects {
        bus.notify(message(subject, "")).await?;
    }
    // What every filter lets through, to see the end of what was heard.
    bus.notify(message(progress(run(1), "risk"), "end")).await?;
    bus.notify(message("mesh.task.progress", "end")).await?;
    for (mut subscription, filter, expected) in listening {
        let mut all = Vec::new();
        while let Some(message) = heard(&mut subscription).await?.filter(|heard| heard.payload.is_empty()) {
            all.push(subjects.iter().position(|subject| *subject == message.subject));
        }
        assert_eq!(all, expected.into_iter().map(Some).collect::<Vec<_>>(), "{filter}");
    }
    Ok(())
}

async fn everyone_who_listens_hears_everything_once(server: &impl Server) -> Result<()> {
    let bus = server.set_up().await?;
    let other = server.connect().await?;
    let filter = "mesh.task.cancelled.risk.>";
    let mut all =
        [bus.subscribe(filter).await?, bus.subscribe(filter).await?, other.subscribe(filter).await?];
    for number in 0..10 {
        let subject = format!("mesh.task.cancelled.risk.normal.{}.t.1", run(number));
        bus.notify(message(subject, number.to_string())).await?;
    }
    for subscription in &mut all {
        for number in 0..10 {
            let message = heard(subscription).await?;
            assert_eq!(message.as_ref().map(crate::support::text), Some(number.to_string()));
        }
    }
    Ok(())
}

async fn what_is_stored_is_heard_too(server: &impl Server) -> Result<()> {
    let bus = server.set_up().await?;
    let other = server.connect().await?;
    let mut listening = other.subscribe("mesh.task.*.>").await?;
    for publish in [event(run(1), 1), task(1)] {
        assert_eq!(bus.publish(publish.clone()).await?, Stored::Now(1));
        assert_eq!(heard(&mut listening).await?, Some(publish.message));
    }
    Ok(())
}

async fn what_comes_due_is_not_heard(server: &impl Server) -> Result<()> {
    let bus = server.set_up().await?;
    let mut listening = bus.subscribe("mesh.timer.>").await?;
    let mut relay = bus.consume(&timer_consumer(bus.namespace()), Flow::Continuous(8)).await?;
    let (set, due) = ["set", "due"].map(|verb| format!("mesh.timer.{verb}.-.-.{}.deadline", run(1))).into();
    bus.publish(Publish::at(message(&set, "x"), bus.now(), due.clone())).await?;
    assert_eq!(next(&mut relay).await?.stored.message.subject, due);
    bus.notify(message("mesh.timer.end", "")).await?;
    let mut all = Vec::new();
    while let Some(message) = heard(&mut listening).await?.filter(|heard| heard.subject != "mesh.timer.end") {
        all.push(message.subject);
    }
    assert_eq!(all, [set]);
    Ok(())
}

async fn what_is_sent_to_a_stream_is_kept_there(server: &impl Server) -> Result<()> {
    let bus = server.set_up().await?;
    let assigned = message(format!("mesh.task.assigned.risk.normal.{}.t.1.1", run(1)), "{}");
    bus.notify(assigned.clone()).await?;
    let kept = async || {
        let last = bus.last(Stream::Notes, &assigned.subject).await?;
        Ok(last.is_some_and(|last| own(&last.message) == assigned))
    };
    eventually("the note", kept).await?;
    assert_eq!(bus.publish(Publish::plain(assigned.clone())).await?, Stored::Now(2));
    Ok(())
}
