//! Content that is too large for a message, by its owner and what it is.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use bytes::Bytes;
use futures::future::try_join_all;
use mesh_bus::topology::OBJECT_CHUNK_BYTES;
use mesh_bus::{Bus, BusError};
use mesh_schemas::{Digest, MAX_OBJECT_BYTES, ObjectName, ObjectOwner};

use crate::server::Server;
use crate::support::{run, until_done};

on_every_bus!(
    what_is_put_is_had_by_everyone_whatever_its_size,
    the_same_content_is_one_object_of_its_owner,
    several_may_put_the_same_content_at_once,
    an_object_that_is_not_there_is_none,
    content_that_is_too_large_is_refused,
    all_objects_of_an_owner_are_removed_and_nothing_else,
    an_object_may_be_removed_alone_and_put_again,
    objects_are_listed_by_owner_with_the_time_of_the_newest,
    objects_are_there_after_an_outage,
);

/// An owner of its own for each number.
fn owner(number: u32) -> ObjectOwner {
    ObjectOwner::Run(run(number))
}

/// Content of a length, another for each seed.
fn content(length: usize, seed: u8) -> Bytes {
    let mut state = u32::from(seed) + 1;
    let next = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..length).map(next).collect()
}

async fn bytes_used(bus: &dyn Bus) -> Result<u64> {
    let health = bus.health().await?;
    let bucket = health.streams.last().context("the bucket of objects")?;
    assert_eq!(bucket.name, "OBJ_MESH_OBJECTS");
    Ok(bucket.found.as_ref().context("the bucket is there")?.bytes.used)
}

async fn what_is_put_is_had_by_everyone_whatever_its_size(server: &impl Server) -> Result<()> {
    let (bus, other) = (server.set_up().await?, server.connect().await?);
    let chunk = OBJECT_CHUNK_BYTES;
    for (number, length) in [0, 1, chunk - 1, chunk, chunk + 1, 20 * chunk + 7].into_iter().enumerate() {
        let content = content(length, u8::try_from(number)?);
        let name = bus.put_object(&owner(1), content.clone()).await?;
        assert_eq!(name, ObjectName::of(owner(1), &content));
        for reader in [&bus, &other] {
            assert!(reader.object(&name).await? == Some(content.clone()), "{length} bytes");
        }
    }
    let definition = ObjectOwner::Definition("hello".parse()?, Digest::of(b"definition"));
    let name = bus.put_object(&definition, "x".into()).await?;
    assert_eq!(other.object(&name).await?, Some("x".into()));
    Ok(())
}

async fn the_same_content_is_one_object_of_its_owner(server: &impl Server) -> Result<()> {
    let (bus, other) = (server.set_up().await?, server.connect().await?);
    let content = content(100_000, 1);
    let name = bus.put_object(&owner(1), content.clone()).await?;
    let once = bytes_used(&*bus).await?;
    assert!(once >= 100_000);
    assert_eq!(bus.put_object(&owner(1), content.clone()).await?, name);
    assert_eq!(other.put_object(&owner(1), content.clone()).await?, name);
    assert_eq!(bytes_used(&*bus).await?, once, "nothing was written");
    let theirs = bus.put_object(&owner(2), content.clone()).await?;
    assert_ne!(theirs, name);
    assert!(bytes_used(&*bus).await? >= 200_000, "each owner has its own");
    Ok(())
}

async fn several_may_put_the_same_content_at_once(server: &impl Server) -> Result<()> {
    let bus = server.set_up().await?;
    let buses: Vec<Arc<dyn Bus>> = try_join_all((0..4).map(|_| server.connect())).await?;
    let (owner, content) = (owner(1), content(3 * OBJECT_CHUNK_BYTES, 1));
    let puts = buses.iter().map(|bus| bus.put_object(&owner, content.clone()));
    for name in try_join_all(puts).await? {
        assert!(bus.object(&name).await?.as_ref() == Some(&content));
    }
    bus.remove_objects(&owner).await?;
    assert_eq!(bytes_used(&*bus).await?, 0, "what was written twice goes, too");
    Ok(())
}

async fn an_object_that_is_not_there_is_none(server: &impl Server) -> Result<()> {
    let bus = server.set_up().await?;
    let name = ObjectName::of(owner(1), b"x");
    assert_eq!(bus.object(&name).await?, None);
    bus.put_object(&owner(1), "y".into()).await?;
    bus.put_object(&owner(2), "x".into()).await?;
    assert_eq!(bus.object(&name).await?, None, "other content, and another owner");
    bus.remove_object(&name).await?;
    Ok(())
}

async fn content_that_is_too_large_is_refused(server: &impl Server) -> Result<()> {
    let bus = server.set_up().await?;
    let refused = bus.put_object(&owner(1), vec![b'x'; MAX_OBJECT_BYTES + 1].into()).await;
    let Err(BusError::Refused { error, .. }) = refused else { anyhow::bail!("{refused:?}") };
    assert!(error.contains(&MAX_OBJECT_BYTES.to_string()), "{error}");
    assert_eq!(bytes_used(&*bus).await?, 0);
    let name = bus.put_object(&owner(1), vec![b'x'; MAX_OBJECT_BYTES].into()).await?;
    assert_eq!(bus.object(&name).await?.map(|content| content.len()), Some(MAX_OBJECT_BYTES));
    Ok(())
}

async fn all_objects_of_an_owner_are_removed_and_nothing_else(server: &impl Server) -> Result<()> {
    let (bus, other) = (server.set_up().await?, server.connect().await?);
    let mut names = Vec::new();
    for seed in 0..20 {
        names.push(bus.put_object(&owner(1), content(1_000, seed)).await?);
    }
    let kept = bus.put_object(&owner(2), content(1_000, 1)).await?;
    let used = bytes_used(&*bus).await?;
    other.remove_objects(&owner(1)).await?;
    for name in &names {
        assert_eq!(bus.object(name).await?, None);
    }
    assert!(bus.object(&kept).await?.is_some());
    let left = bytes_used(&*bus).await?;
    assert!(left > 0 && left < used / 10, "{left} of {used} bytes are left");
    bus.remove_objects(&owner(1)).await?;
    bus.remove_objects(&owner(3)).await?;
    assert!(bus.object(&kept).await?.is_some());
    let again = bus.put_object(&owner(1), content(1_000, 0)).await?;
    assert_eq!(again, names[0]);
    assert!(other.object(&again).await?.is_some(), "an owner may come back");
    Ok(())
}

async fn an_object_may_be_removed_alone_and_put_again(server: &impl Server) -> Result<()> {
    let bus = server.set_up().await?;
    let (first, second) = (content(1_000, 1), content(1_000, 2));
    let name = bus.put_object(&owner(1), first.clone()).await?;
    let kept = bus.put_object(&owner(1), second).await?;
    for _ in 0..2 {
        bus.remove_object(&name).await?;
        assert_eq!(bus.object(&name).await?, None);
        assert!(bus.object(&kept).await?.is_some());
    }
    assert_eq!(bus.put_object(&owner(1), first.clone()).await?, name);
    assert_eq!(bus.object(&name).await?, Some(first));
    Ok(())
}

async fn objects_are_listed_by_owner_with_the_time_of_the_newest(server: &impl Server) -> Result<()> {
    let (bus, other) = (server.set_up().await?, server.connect().await?);
    assert_eq!(bus.objects().await?, []);
    bus.put_object(&owner(1), content(2 * OBJECT_CHUNK_BYTES, 1)).await?;
    bus.put_object(&owner(2), content(1_000, 1)).await?;
    tokio::time::sleep(Duration::from_millis(2)).await;
    let between = bus.now();
    tokio::time::sleep(Duration::from_millis(2)).await;
    bus.put_object(&owner(1), content(1_000, 2)).await?;
    let mut listed = other.objects().await?;
    listed.sort_by_key(|owned| owned.newest);
    let owners: Vec<_> = listed.iter().map(|owned| owned.owner.clone()).collect();
    assert_eq!(owners, [owner(2), owner(1)]);
    assert!(listed[0].newest <= between && listed[1].newest >= between, "{listed:?}");
    assert!(listed.iter().all(|owned| owned.strays.is_empty()), "{listed:?}");
    listed[1].remove(&*other).await?;
    assert_eq!(bus.objects().await?, listed[..1]);
    Ok(())
}

async fn objects_are_there_after_an_outage(server: &impl Server) -> Result<()> {
    let bus = server.set_up().await?;
    let content = content(3 * OBJECT_CHUNK_BYTES, 1);
    let name = bus.put_object(&owner(1), content.clone()).await?;
    server.stop()?;
    // That it cannot be reached is not that it is missing.
    let unread = bus.object(&name).await;
    assert!(unread.as_ref().is_err_and(BusError::is_retryable), "{unread:?}");
    let unwritten = bus.put_object(&owner(2), content.clone()).await;
    assert!(unwritten.as_ref().is_err_and(BusError::is_retryable), "{unwritten:?}");
    server.start()?;
    let read = until_done(async || bus.object(&name).await, BusError::is_retryable).await?;
    assert!(read.as_ref() == Some(&content));
    let put = async || bus.put_object(&owner(2), content.clone()).await;
    let name = until_done(put, BusError::is_retryable).await?;
    assert!(bus.object(&name).await? == Some(content));
    Ok(())
}
