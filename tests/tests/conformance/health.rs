//! How the bus tells that it is.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, Result};
use mesh_bus::topology::{Stream, Tidying, shard_consumer};
use mesh_bus::{Backlog, Bus, BusError, Connection, ConsumerState, Flow, Health, Instance, Report, Role};
use mesh_schemas::Lane;
use serde_json::json;

use crate::server::Server;
use crate::support::{
    agents, event, eventually, next, request, run, run_in, soon, store_tasks, stored, task, task_of,
};

on_every_bus!(
    a_namespace_that_is_not_there_is_looked_at_all_the_same,
    every_stream_is_told_of,
    what_waits_and_what_is_in_hand_is_told,
    what_is_before_consumers_is_told_with_the_age_of_work,
    messages_are_counted_by_their_subjects,
    a_connection_tells_when_it_was_lost,
    a_consumer_is_asked_while_somebody_receives,
    a_process_is_visible_until_it_takes_that_back,
    a_process_says_how_it_is_whenever_it_is_asked,
    a_process_without_a_proper_name_or_version_is_refused,
);

fn state(health: &Health, role: &Role) -> Result<ConsumerState> {
    let consumer = health.consumers.iter().find(|consumer| consumer.role == *role);
    consumer.and_then(|consumer| consumer.found.clone()).with_context(|| format!("no consumer of {role:?}"))
}

fn risk() -> Role {
    Role::Agents("risk".parse().expect("a capability"), Lane::Normal)
}

async fn a_namespace_that_is_not_there_is_looked_at_all_the_same(server: &impl Server) -> Result<()> {
    let health = server.connect().await?.health().await?;
    assert!(!health.server.version.is_empty());
    assert_eq!(health.server.max_payload, 1024 * 1024);
    assert_eq!((health.shards, health.clock), (None, None));
    assert_eq!(health.streams.len(), 9);
    assert!(health.streams.iter().all(|stream| stream.found.is_none()), "{health:?}");
    let consumers: Vec<_> =
        health.consumers.iter().map(|consumer| (&consumer.role, &consumer.found)).collect();
    let janitor = |tidying| Role::Janitor(tidying);
    let [archive, forget] = Tidying::ALL.map(janitor);
    let expected = [&Role::Relay, &Role::Timers, &archive, &forget].map(|role| (role, &None));
    assert_eq!(consumers, expected);
    assert_eq!((health.usage.streams.used, health.usage.consumers.used), (0, 0), "nothing was made");
    Ok(())
}

async fn every_stream_is_told_of(server: &impl Server) -> Result<()> {
    let bus = server.set_up().await?;
    store_tasks(&*bus, 1..=3).await?;
    bus.publish(event(run(1), 1)).await?;
    bus.publish(request("w", "x")).await?;
    let health = bus.health().await?;
    let messages = health.streams.iter().map(|stream| {
        let found = stream.found.as_ref();
        (stream.name.as_str(), found.map_or(u64::MAX, |found| found.messages))
    });
    let expected = [
        ("MESH_EVENTS", 1),
        ("MESH_INBOX", 1),
        ("MESH_TASKS", 3),
        ("MESH_HISTORY", 0),
        ("MESH_NOTES", 0),
        ("MESH_DEAD", 0),
        ("KV_MESH_WORKFLOWS", 0),
        ("KV_MESH_AGENTS", 0),
        ("OBJ_MESH_OBJECTS", 0),
    ];
    assert_eq!(messages.collect::<Vec<_>>(), expected);
    for stream in &health.streams {
        let found = stream.found.as_ref().context("a stream")?;
        assert_eq!((found.copies, found.difference.as_ref()), (1, None), "{stream:?}");
        assert!(found.behind.is_empty() && found.bytes.limit.is_none(), "{stream:?}");
        assert_eq!(found.bytes.used > 0, found.messages > 0, "{stream:?}");
    }
    assert_eq!(health.shards.map(|shards| shards.count()), Some(2));
    assert_eq!((health.usage.streams.used, health.usage.consumers.used), (9, 6));
    assert!(health.usage.storage.used > 0);
    let (difference, uncertainty) = health.clock.context("a clock")?;
    let uncertainty = chrono::TimeDelta::from_std(uncertainty)? + chrono::TimeDelta::milliseconds(1);
    assert!(difference.abs() <= uncertainty, "one machine has one clock: {difference} ± {uncertainty}");
    Ok(())
}

async fn what_waits_and_what_is_in_hand_is_told(server: &impl Server) -> Result<()> {
    let bus = server.set_up().await?;
    bus.ensure_consumer(&agents()).await?;
    store_tasks(&*bus, 1..=3).await?;
    let before = state(&bus.health().await?, &risk())?;
    assert_eq!((before.pending, before.in_hand, before.repeated), (3, 0, 0));
    assert_eq!((before.waiting, before.pin.as_ref(), before.last_delivery), (0, None, None));
    let mut agent = bus.consume(&agents(), Flow::OnRequest).await?;
    agent.request(1);
    let first = next(&mut agent).await?;
    let health = bus.health().await?;
    let after = state(&health, &risk())?;
    assert_eq!((after.pending, after.in_hand, after.repeated, after.difference), (2, 1, 0, None));
    assert!(after.last_delivery.is_some_and(|last| last <= after.at), "{health:?}");
    first.acker.nak(std::time::Duration::ZERO).await;
    agent.request(1);
    let again = next(&mut agent).await?;
    again.acker.ack().await;
    let settled = async || Ok(state(&bus.health().await?, &risk())?.in_hand < 2);
    eventually("an acknowledgement", settled).await?;
    bus.publish(event(run(1), 1)).await?;
    let health = bus.health().await?;
    let shards = [0, 1].map(|shard| state(&health, &Role::Shard(shard)));
    let pending = shards.into_iter().map(|shard| Ok(shard?.pending)).sum::<Result<u64>>()?;
    assert_eq!(pending, 1);
    Ok(())
}

async fn what_is_before_consumers_is_told_with_the_age_of_work(server: &impl Server) -> Result<()> {
    let bus = server.set_up().await?;
    assert_eq!(bus.backlogs(Stream::Tasks).await?, []);
    bus.ensure_consumer(&agents()).await?;
    let empty = Backlog { role: risk(), pending: 0, in_hand: 0, asking: 0, oldest: None };
    assert_eq!(bus.backlogs(Stream::Tasks).await?, [empty]);
    let first = stored(&*bus, Stream::Tasks, task(1)).await?;
    let second = stored(&*bus, Stream::Tasks, task(2)).await?;
    // Nobody waits for this one.
    bus.publish(task_of("other", 3)).await?;
    let waiting = |pending, in_hand, oldest| Backlog { role: risk(), pending, in_hand, asking: 0, oldest };
    assert_eq!(bus.backlogs(Stream::Tasks).await?, [waiting(2, 0, Some(first.time))]);
    let mut agent = bus.consume(&agents(), Flow::OnRequest).await?;
    agent.request(1);
    next(&mut agent).await?;
    assert_eq!(bus.backlogs(Stream::Tasks).await?, [waiting(1, 1, Some(second.time))]);
    agent.request(1);
    next(&mut agent).await?;
    assert_eq!(bus.backlogs(Stream::Tasks).await?, [waiting(0, 2, None)]);
    bus.publish(event(run_in(1), 1)).await?;
    let shard =
        |shard, pending| Backlog { role: Role::Shard(shard), pending, in_hand: 0, asking: 0, oldest: None };
    assert_eq!(bus.backlogs(Stream::Events).await?, [shard(0, 0), shard(1, 1)]);
    assert_eq!(bus.backlogs(Stream::Dead).await?, []);
    Ok(())
}

async fn messages_are_counted_by_their_subjects(server: &impl Server) -> Result<()> {
    let bus = server.connect().await?;
    let error = bus.count(Stream::Tasks, "mesh.>").await.expect_err("there is no stream");
    assert!(matches!(error, BusError::NotSetUp(_)), "{error}");
    let bus = server.set_up().await?;
    assert_eq!(bus.count(Stream::Tasks, "mesh.>").await?, 0);
    store_tasks(&*bus, 1..=3).await?;
    bus.publish(task_of("other", 4)).await?;
    assert_eq!(bus.count(Stream::Tasks, "mesh.>").await?, 4);
    assert_eq!(bus.count(Stream::Tasks, "mesh.task.created.risk.>").await?, 3);
    assert_eq!(bus.count(Stream::Tasks, "mesh.task.created.none.>").await?, 0);
    Ok(())
}

async fn a_connection_tells_when_it_was_lost(server: &impl Server) -> Result<()> {
    let bus = server.set_up().await?;
    assert_eq!(bus.connection(), Connection::default());
    let before = bus.moment();
    server.stop()?;
    eventually("the loss", async || Ok(bus.connection().lost.is_some())).await?;
    assert!(bus.connection().lost.is_some_and(|lost| lost >= before));
    server.start()?;
    let there = Connection { lost: None, returns: 1 };
    eventually("the connection", async || Ok(bus.connection() == there)).await
}

async fn a_consumer_is_asked_while_somebody_receives(server: &impl Server) -> Result<()> {
    let bus = server.set_up().await?;
    let asked = async |role: &Role| Ok::<_, anyhow::Error>(state(&bus.health().await?, role)?.is_asked());
    let shard = (shard_consumer(bus.namespace(), 1), Role::Shard(1), event(run_in(1), 1));
    for (spec, role, publish) in [(agents(), risk(), task(1)), shard] {
        bus.ensure_consumer(&spec).await?;
        assert!(!asked(&role).await?, "nobody receives");
        let mut receiver = bus.consume(&spec, Flow::Continuous(1)).await?;
        let (sender, mut received) = tokio::sync::mpsc::unbounded_channel();
        let receiving = tokio::spawn(async move {
            while let Ok(delivery) = receiver.next().await {
                delivery.acker.ack().await;
                sender.send(delivery.pin)?;
            }
            anyhow::Ok(())
        });
        eventually("a request for messages", async || asked(&role).await).await?;
        bus.publish(publish).await?;
        let pin = soon("a delivery", received.recv()).await?.context("a delivery")?;
        let state = state(&bus.health().await?, &role)?;
        assert!(state.is_asked() && state.pin == pin, "{state:?}");
        receiving.abort();
        // An owner is taken to be there until it has been silent for its time.
        eventually("the end of the requests", async || Ok(!asked(&role).await?)).await?;
    }
    Ok(())
}

/// The report of a process that has nothing to say.
fn silent() -> Report {
    Arc::new(|| json!(null))
}

async fn instances(bus: &dyn Bus, name: &str) -> Result<Vec<String>> {
    let mut instances: Vec<Instance> = bus.instances(name).await?;
    instances.sort_by(|a, b| a.version.cmp(&b.version));
    Ok(instances.into_iter().map(|instance| instance.version).collect())
}

async fn a_process_is_visible_until_it_takes_that_back(server: &impl Server) -> Result<()> {
    // Whether or not the namespace is there.
    let (bus, other) = (server.connect().await?, server.connect().await?);
    assert_eq!(instances(&*bus, "risk").await?, [""; 0]);
    let first = bus.announce("risk", "1.2.3", "Looks at risks", silent()).await?;
    let second = other.announce("risk", "1.2.4", "Looks at risks, too", silent()).await?;
    let _score = bus.announce("score", "0.1.0", "Counts", silent()).await?;
    let seen = async || Ok(instances(&*bus, "risk").await? == ["1.2.3", "1.2.4"]);
    eventually("both", seen).await?;
    let ids: Vec<String> = other.instances("risk").await?.into_iter().map(|instance| instance.id).collect();
    assert!(ids.len() == 2 && ids[0] < ids[1], "{ids:?}");
    drop(first);
    eventually("the end of one", async || Ok(instances(&*other, "risk").await? == ["1.2.4"])).await?;
    drop(second);
    Ok(())
}

async fn a_process_says_how_it_is_whenever_it_is_asked(server: &impl Server) -> Result<()> {
    let (bus, other) = (server.connect().await?, server.connect().await?);
    let asked = Arc::new(AtomicU64::new(0));
    let times = Arc::clone(&asked);
    let report: Report = Arc::new(move || json!({ "asked": times.fetch_add(1, Ordering::Relaxed) + 1 }));
    let ours = bus.announce("risk", "1.2.3", "Looks at risks", report).await?;
    let theirs = other.announce("risk", "1.2.3", "Looks at risks", silent()).await?;
    assert_ne!(ours.id(), theirs.id());
    let reported = async |id: &str| {
        let all = other.instances("risk").await?;
        let found = all.into_iter().find(|instance| instance.id == id);
        Ok::<_, anyhow::Error>(found.context("it is not there")?.report)
    };
    for time in 1..=2 {
        assert_eq!(reported(ours.id()).await?, json!({ "asked": time }));
    }
    assert_eq!(reported(theirs.id()).await?, json!(null));
    Ok(())
}

async fn a_process_without_a_proper_name_or_version_is_refused(server: &impl Server) -> Result<()> {
    let bus = server.connect().await?;
    for (name, version) in [("risk", "not a version"), ("risk", ""), ("", "1.0.0"), ("a risk", "1.0.0")] {
        let refused = bus.announce(name, version, "", silent()).await.map(drop);
        assert!(matches!(refused, Err(BusError::Refused { .. })), "{name:?} {version:?}: {refused:?}");
    }
    bus.announce("a-risk_2", "1.0.0-rc.1+b7", "", silent()).await?;
    Ok(())
}
