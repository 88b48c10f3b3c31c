use std::time::Duration;

use anyhow::{Context as _, Result};
use futures::StreamExt as _;
use mesh_bus::topology::Bucket;
use mesh_bus::{Bus, BusError, Entry, Watch};

use crate::support::{LONG, World};

async fn next(watch: &mut Watch) -> Result<Option<Entry>> {
    Ok(tokio::time::timeout(LONG, watch.next()).await?.context("the watch ended")??)
}

fn summary(entry: Option<Entry>) -> Option<(String, String, bool)> {
    entry.map(|entry| (entry.key, String::from_utf8_lossy(&entry.value).into_owned(), entry.deleted))
}

fn put(key: &str, value: &str) -> Option<(String, String, bool)> {
    Some((key.to_owned(), value.to_owned(), false))
}

fn gone(key: &str) -> Option<(String, String, bool)> {
    Some((key.to_owned(), String::new(), true))
}

#[tokio::test]
async fn values_are_put_got_and_deleted() -> Result<()> {
    let world = World::new().await?;
    let (bus, bucket) = (&world.bus, Bucket::Workflows);
    assert_eq!(bus.get(bucket, "a").await?, None);
    let first = bus.put(bucket, "a", "1".into(), None).await?;
    let second = bus.put(bucket, "a.b", "2".into(), None).await?;
    assert!(second > first);
    let got = bus.get(bucket, "a").await?.context("a value")?;
    assert_eq!((got.value.as_ref(), got.revision), (b"1".as_ref(), first));
    bus.delete(bucket, "a").await?;
    bus.delete(bucket, "never").await?;
    assert_eq!(bus.get(bucket, "a").await?, None);
    let entries = bus.entries(bucket).await?;
    assert_eq!(entries.into_iter().map(|entry| entry.key).collect::<Vec<_>>(), ["a.b"]);
    assert!(matches!(bus.get(bucket, "a.>").await, Err(BusError::Refused { .. })));
    Ok(())
}

#[tokio::test]
async fn a_watch_shows_the_present_then_its_end_then_changes() -> Result<()> {
    let world = World::new().await?;
    let (bus, bucket) = (&world.bus, Bucket::Workflows);
    let mut empty = bus.watch(bucket).await?;
    assert_eq!(next(&mut empty).await?, None);
    assert!(bus.entries(bucket).await?.is_empty());
    bus.put(bucket, "a", "1".into(), None).await?;
    bus.put(bucket, "b", "2".into(), None).await?;
    let mut watch = bus.watch(bucket).await?;
    assert_eq!(summary(next(&mut watch).await?), put("a", "1"));
    assert_eq!(summary(next(&mut watch).await?), put("b", "2"));
    assert_eq!(next(&mut watch).await?, None);
    bus.put(bucket, "a", "3".into(), None).await?;
    bus.delete(bucket, "b").await?;
    assert_eq!(summary(next(&mut watch).await?), put("a", "3"));
    assert_eq!(summary(next(&mut watch).await?), gone("b"));
    Ok(())
}

#[tokio::test]
async fn a_value_is_gone_after_its_time_and_the_watch_tells() -> Result<()> {
    let world = World::new().await?;
    let (bus, bucket) = (&world.bus, Bucket::Agents);
    bus.put(bucket, "long", "x".into(), Some(LONG * 10)).await?;
    bus.put(bucket, "short", "x".into(), Some(Duration::from_secs(1))).await?;
    let mut watch = bus.watch(bucket).await?;
    let begun = std::time::Instant::now();
    while summary(next(&mut watch).await?) != gone("short") {}
    assert!(begun.elapsed() < Duration::from_secs(4), "after {:?}", begun.elapsed());
    assert_eq!(bus.get(bucket, "short").await?, None);
    assert!(bus.get(bucket, "long").await?.is_some());
    assert_eq!(bus.entries(bucket).await?.len(), 1);
    Ok(())
}

#[tokio::test]
async fn a_watch_survives_the_server() -> Result<()> {
    let mut world = World::new().await?;
    let bucket = Bucket::Workflows;
    world.bus.put(bucket, "a", "1".into(), None).await?;
    let mut watch = world.bus.watch(bucket).await?;
    assert_eq!(summary(next(&mut watch).await?), put("a", "1"));
    assert_eq!(next(&mut watch).await?, None);
    world.server.restart()?;
    while let Err(error) = world.bus.put(bucket, "a", "2".into(), None).await {
        assert!(error.is_retryable(), "{error}");
    }
    assert_eq!(summary(next(&mut watch).await?), put("a", "2"));
    Ok(())
}
