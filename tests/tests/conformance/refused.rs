//! What a bus does not store, and how it says so.

use std::time::Duration;

use anyhow::Result;
use bytes::Bytes;
use mesh_bus::topology::{Bucket, MAX_REQUEST_BYTES, Stream};
use mesh_bus::{Bus, BusError, Publish, PublishError, Stored};
use mesh_schemas::{Headers, Message};

use crate::server::Server;
use crate::support::{event, message, request, run, task};

on_every_bus!(
    a_subject_of_no_stream_is_refused,
    a_subject_or_header_that_cannot_be_one_is_refused,
    a_filter_that_cannot_be_one_is_refused,
    a_full_stream_takes_no_more_for_now,
    a_schedule_or_a_time_to_live_where_none_is_kept_is_refused,
    a_request_may_be_as_large_as_a_request_may_be,
    a_message_may_be_as_large_as_the_server_takes,
);

/// The most that a NATS server takes, headers included.
const SERVER_BYTES: usize = 1024 * 1024;

async fn refused(bus: &dyn Bus, publish: Publish) -> Result<()> {
    let subject = publish.message.subject.clone();
    let result = bus.publish(publish).await;
    assert!(matches!(result, Err(PublishError::Refused(_))), "{subject}: {result:?}");
    Ok(())
}

async fn too_large(bus: &dyn Bus, publish: Publish) -> Result<()> {
    let result = bus.publish(publish).await;
    assert!(matches!(result, Err(PublishError::TooLarge(_))), "{result:?}");
    Ok(())
}

fn of_size(publish: Publish, bytes: usize) -> Publish {
    let message = Message { payload: Bytes::from(vec![b'x'; bytes]), ..publish.message };
    Publish { message, ..publish }
}

async fn a_subject_of_no_stream_is_refused(server: &impl Server) -> Result<()> {
    let bus = server.set_up().await?;
    let run = run(1);
    let subjects = [
        "mesh.nowhere".to_owned(),
        "other.workflow.requested.w".to_owned(),
        "mesh.workflow.requested".to_owned(),
        "mesh.workflow.requested.w.x".to_owned(),
        "mesh.agent.heartbeat.a1".to_owned(),
        format!("mesh.task.progress.risk.normal.{run}.t.1"),
        format!("mesh.task.completed.risk.normal.{run}.t"),
        format!("mesh.task.created.risk.normal.{run}.t.1.x"),
        format!("mesh.workflow.started.w.normal.{run}"),
        // A shard that the namespace does not have.
        format!("mesh.timer.fired.-.-.7.{}.deadline", run.uuid()),
        format!("mesh.task.created.risk.normal.7.{}.t.1", run.uuid()),
    ];
    for subject in subjects {
        refused(&*bus, Publish::once(message(&subject, "x"))).await?;
        refused(&*bus, Publish::plain(message(&subject, "x"))).await?;
    }
    Ok(())
}

async fn a_subject_or_header_that_cannot_be_one_is_refused(server: &impl Server) -> Result<()> {
    let bus = server.set_up().await?;
    for subject in ["", "mesh.workflow.requested.a b", "mesh.workflow.requested."] {
        refused(&*bus, Publish::plain(message(subject, "x"))).await?;
    }
    for (name, value) in [("a", "b\r\nc: d"), ("a", "b\n"), ("a:b", "c")] {
        let headers = Headers::new().with(name, value);
        let fact = event(run(1), 1);
        let message = Message { headers, ..fact.message.clone() };
        refused(&*bus, Publish { message: message.clone(), ..fact }).await?;
        let sent = bus.notify(message).await;
        assert!(matches!(sent, Err(BusError::Refused { .. })), "{name:?}: {value:?}: {sent:?}");
    }
    assert_eq!(bus.publish(event(run(1), 1)).await?, Stored::Now(1));
    Ok(())
}

async fn a_filter_that_cannot_be_one_is_refused(server: &impl Server) -> Result<()> {
    let bus = server.set_up().await?;
    for filter in ["", "mesh..x", ".mesh", "mesh.", "mesh.a b"] {
        let refused = bus.subscribe(filter).await.map(drop);
        assert!(matches!(refused, Err(BusError::Refused { .. })), "{filter:?}: {refused:?}");
    }
    Ok(())
}

async fn a_full_stream_takes_no_more_for_now(server: &impl Server) -> Result<()> {
    let bus = server.set_up().await?;
    server.limit(Stream::Events, Some(2)).await?;
    for number in 1..=2 {
        bus.publish(event(run(1), number)).await?;
    }
    let full = bus.publish(event(run(1), 3)).await;
    assert!(matches!(full, Err(PublishError::Retry(_))), "{full:?}");
    assert_eq!(bus.read_run(&run(1)).await?.events.len(), 2, "nothing was dropped to make room");
    assert_eq!(bus.publish(event(run(1), 1)).await?, Stored::Already, "what is known is still known");
    assert_eq!(bus.publish(task(1)).await?, Stored::Now(1), "another stream has room");
    server.limit(Stream::Events, None).await?;
    assert_eq!(bus.publish(event(run(1), 3)).await?, Stored::Now(3));
    Ok(())
}

async fn a_schedule_or_a_time_to_live_where_none_is_kept_is_refused(server: &impl Server) -> Result<()> {
    let bus = server.set_up().await?;
    let ttl = Some(Duration::from_secs(60));
    refused(&*bus, Publish { ttl, ..event(run(1), 1) }).await?;
    refused(&*bus, Publish { ttl, ..task(1) }).await?;
    let due = bus.now() + Duration::from_secs(60);
    let target = event(run(1), 2).message.subject;
    refused(&*bus, Publish::at(event(run(1), 1).message, due, target.clone())).await?;
    // A schedule stays within its stream.
    let set = format!("mesh.timer.set.-.-.{}.deadline", run(1));
    refused(&*bus, Publish::at(message(&set, "x"), due, target)).await?;
    for stream in Stream::ALL {
        assert_eq!(bus.last(stream, "mesh.>").await?, None);
    }
    let put = bus.put(Bucket::Workflows, "w", "x".into(), ttl).await;
    assert!(matches!(put, Err(BusError::Refused { .. })), "{put:?}");
    Ok(())
}

async fn a_request_may_be_as_large_as_a_request_may_be(server: &impl Server) -> Result<()> {
    let bus = server.set_up().await?;
    assert_eq!(bus.publish(of_size(request("w", ""), MAX_REQUEST_BYTES)).await?, Stored::Now(1));
    too_large(&*bus, of_size(request("w", ""), MAX_REQUEST_BYTES + 1)).await?;
    let mut with_headers = of_size(request("w", ""), MAX_REQUEST_BYTES - 100);
    with_headers.message.headers.set("x", "y".repeat(100));
    too_large(&*bus, with_headers).await
}

async fn a_message_may_be_as_large_as_the_server_takes(server: &impl Server) -> Result<()> {
    let bus = server.set_up().await?;
    // What NATS itself adds to an event is far less than this.
    let room = 1024;
    assert_eq!(bus.publish(of_size(event(run(1), 1), SERVER_BYTES - room)).await?, Stored::Now(1));
    too_large(&*bus, of_size(event(run(1), 2), SERVER_BYTES + 1)).await?;
    let mut with_headers = of_size(event(run(1), 2), SERVER_BYTES - room);
    with_headers.message.headers.set("x", "y".repeat(room));
    too_large(&*bus, with_headers).await?;
    // One that is stored already is too large all the same.
    too_large(&*bus, of_size(event(run(1), 1), SERVER_BYTES + 1)).await?;
    let sent = bus.notify(of_size(event(run(1), 2), SERVER_BYTES + 1).message).await;
    assert!(matches!(sent, Err(BusError::Refused { .. })), "{sent:?}");
    let put = bus.put(Bucket::Workflows, "w", vec![b'x'; SERVER_BYTES + 1].into(), None).await;
    assert!(matches!(put, Err(BusError::Refused { .. })), "{put:?}");
    assert_eq!(bus.read_run(&run(1)).await?.events.len(), 1);
    Ok(())
}
