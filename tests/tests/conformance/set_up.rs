//! Making a namespace, and using one that nobody made.

use std::fmt::Debug;

use anyhow::Result;
use futures::StreamExt as _;
use futures::future::try_join_all;
use mesh_bus::topology::{Bucket, Stream, Topology, relay_consumer, shard_consumer};
use mesh_bus::{Bus, BusError, Flow, From, Publish, PublishError, Stored};
use mesh_schemas::{ObjectName, ObjectOwner, Shards};

use crate::server::{Server, topology};
use crate::support::{agents, event, message, request, run, soon, take, task};

on_every_bus!(
    a_namespace_may_be_set_up_again_and_by_several_at_once,
    another_number_of_shards_is_refused,
    what_is_there_stays_when_it_is_set_up_again,
    what_is_said_of_the_disk_is_kept,
    the_shared_consumers_are_made,
    before_it_is_set_up_everything_says_so,
    before_it_is_set_up_messages_pass_all_the_same,
);

async fn a_namespace_may_be_set_up_again_and_by_several_at_once(server: &impl Server) -> Result<()> {
    let buses = try_join_all((0..3).map(|_| server.connect())).await?;
    let topology = Topology::default();
    try_join_all(buses.iter().map(|bus| bus.set_up(&topology))).await?;
    buses[1].set_up(&topology).await?;
    for bus in &buses {
        assert_eq!(bus.shards().await?, Shards::default());
    }
    Ok(())
}

async fn what_is_said_of_the_disk_is_kept(server: &impl Server) -> Result<()> {
    let bus = server.connect().await?;
    // Nothing is said, it is said, it stays, it is taken back.
    for (synced, kept) in
        [(None, false), (Some(true), true), (None, true), (Some(false), false), (None, false)]
    {
        bus.set_up(&Topology { synced, ..topology(2) }).await?;
        for bus in [&bus, &server.connect().await?] {
            assert_eq!(bus.health().await?.synced, kept, "after {synced:?}");
        }
    }
    assert_eq!(bus.shards().await?.count(), 2);
    Ok(())
}

async fn another_number_of_shards_is_refused(server: &impl Server) -> Result<()> {
    let bus = server.connect().await?;
    bus.set_up(&topology(4)).await?;
    for shards in [8, 2] {
        let refused = bus.set_up(&topology(shards)).await;
        let Err(BusError::Conflict { difference, mend, .. }) = refused else {
            anyhow::bail!("{refused:?}");
        };
        assert!(difference.contains('4') && difference.contains(&shards.to_string()), "{difference}");
        assert!(mend.contains("4 shards"), "{mend}");
    }
    for bus in [bus, server.connect().await?] {
        assert_eq!(bus.shards().await?.count(), 4);
    }
    Ok(())
}

async fn what_is_there_stays_when_it_is_set_up_again(server: &impl Server) -> Result<()> {
    let bus = server.set_up().await?;
    bus.publish(event(run(1), 1)).await?;
    bus.publish(request("w", "1")).await?;
    bus.put(Bucket::Workflows, "w", "x".into(), None).await?;
    let mut relay = bus.consume(&relay_consumer(bus.namespace()), Flow::Continuous(1)).await?;
    assert_eq!(take(&mut relay, 1).await?, ["1"]);
    let other = server.connect().await?;
    other.set_up(&topology(2)).await?;
    assert_eq!(other.publish(event(run(1), 1)).await?, Stored::Already);
    assert!(other.get(Bucket::Workflows, "w").await?.is_some());
    other.publish(request("w", "2")).await?;
    assert_eq!(take(&mut relay, 1).await?, ["2"], "who receives goes on");
    Ok(())
}

async fn the_shared_consumers_are_made(server: &impl Server) -> Result<()> {
    let bus = server.set_up().await?;
    let health = bus.health().await?;
    assert_eq!(
        health.consumers.len(),
        6,
        "two for the inbox, one for each shard, two of the janitor: {health:?}"
    );
    for consumer in &health.consumers {
        let found = consumer.found.as_ref();
        assert!(found.is_some_and(|found| found.difference.is_none()), "{consumer:?}");
    }
    // Nobody asks for work yet: the consumers of agents come with what they do.
    bus.ensure_consumer(&agents()).await?;
    assert_eq!(bus.health().await?.consumers.len(), 7);
    Ok(())
}

fn not_set_up<T: Debug>(operation: &str, result: Result<T, BusError>) {
    let told = matches!(&result, Err(BusError::NotSetUp(namespace)) if namespace == "mesh");
    assert!(told, "{operation}: {result:?}");
}

async fn before_it_is_set_up_everything_says_so(server: &impl Server) -> Result<()> {
    let bus = server.connect().await?;
    let (spec, bucket, run) = (shard_consumer(bus.namespace(), 0), Bucket::Agents, run(1));
    let filters = vec!["mesh.>".to_owned()];
    not_set_up("shards", bus.shards().await);
    not_set_up("consume", bus.consume(&spec, Flow::OnRequest).await.map(drop));
    not_set_up("ensure_consumer", bus.ensure_consumer(&spec).await);
    not_set_up("delivered", bus.delivered(&spec).await);
    not_set_up("read_run", bus.read_run(&run).await);
    not_set_up("read_short_run", bus.read_short_run(&run, 9).await);
    not_set_up("read_run_after", bus.read_run_after(&run, 1).await);
    not_set_up("read_run_itself", bus.read_run_itself(&run).await);
    not_set_up("list_subjects", bus.list_subjects(Stream::Notes, "mesh.>").await);
    not_set_up("read_work", bus.read_work(&run).await);
    not_set_up("read_history", bus.read_history(&run).await);
    not_set_up("settled", bus.settled(&spec).await);
    not_set_up("remove", bus.remove(Stream::Events, 1).await);
    not_set_up("fill", bus.fill().await);
    not_set_up("limit", bus.limit(Stream::History).await);
    not_set_up("follow", bus.follow(Stream::Notes, filters, From::Begin).await.map(drop));
    not_set_up("last", bus.last(Stream::Notes, "mesh.>").await);
    not_set_up("last_on_each", bus.last_on_each(Stream::Notes, &["mesh.>".into()]).await);
    not_set_up("at", bus.at(Stream::Notes, 1).await);
    not_set_up("remove", bus.remove(Stream::Notes, 1).await);
    not_set_up("get", bus.get(bucket, "a").await);
    not_set_up("put", bus.put(bucket, "a", "x".into(), None).await);
    not_set_up("delete", bus.delete(bucket, "a").await);
    not_set_up("entries", bus.entries(bucket).await);
    not_set_up("watch", bus.watch(bucket).await.map(drop));
    let name = ObjectName::of(ObjectOwner::Run(run), b"x");
    not_set_up("put_object", bus.put_object(name.owner(), "x".into()).await);
    not_set_up("object", bus.object(&name).await);
    not_set_up("remove_objects", bus.remove_objects(name.owner()).await);
    not_set_up("remove_object", bus.remove_object(&name).await);
    not_set_up("objects", bus.objects().await);
    not_set_up("remove_notes", bus.remove_notes(&run).await);
    for publish in [event(run, 1), task(1), request("w", "x")] {
        let refused = bus.publish(publish).await;
        assert!(matches!(refused, Err(PublishError::Refused(_))), "{refused:?}");
    }
    // Nothing of it was made, and nothing of it stands in the way of what comes.
    assert_eq!(bus.health().await?.usage.streams.used, 0);
    bus.set_up(&topology(4)).await?;
    assert_eq!(bus.shards().await?.count(), 4);
    assert_eq!(bus.publish(event(run, 1)).await?, Stored::Now(1));
    Ok(())
}

async fn before_it_is_set_up_messages_pass_all_the_same(server: &impl Server) -> Result<()> {
    let bus: std::sync::Arc<dyn Bus> = server.connect().await?;
    let mut listening = bus.subscribe("mesh.>").await?;
    let sent = [message("mesh.agent.heartbeat.a1", "1"), event(run(1), 1).message];
    for message in &sent {
        bus.notify(message.clone()).await?;
        assert_eq!(soon("a message", listening.next()).await?.as_ref(), Some(message));
    }
    bus.unschedule(&format!("mesh.timer.set.-.-.{}.deadline", run(1))).await?;
    bus.set_up(&topology(2)).await?;
    assert_eq!(bus.publish(Publish::once(sent[1].clone())).await?, Stored::Now(1), "nothing was kept");
    Ok(())
}
