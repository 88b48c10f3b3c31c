//! Following a bucket.

use std::time::Duration;

use anyhow::{Context as _, Result};
use futures::StreamExt as _;
use mesh_bus::topology::Bucket;
use mesh_bus::{Entry, Watch};
use tokio::time::Instant;

use crate::server::Server;
use crate::support::{LONG, soon};

on_every_bus!(
    a_watch_shows_the_present_then_its_end_then_changes,
    a_watch_tells_of_every_change_in_order,
    what_is_gone_is_not_present,
    a_watch_tells_when_the_time_of_a_value_is_over,
    several_watch_independently,
);

async fn next(watch: &mut Watch) -> Result<Option<Entry>> {
    Ok(soon("an entry", watch.next()).await?.context("the watch ended")??)
}

type Summary = Option<(String, String, bool)>;

async fn summary(watch: &mut Watch) -> Result<Summary> {
    let entry = next(watch).await?;
    Ok(entry.map(|entry| (entry.key, String::from_utf8_lossy(&entry.value).into_owned(), entry.deleted)))
}

/// What of a bucket is there, at the beginning of a watch.
async fn present(watch: &mut Watch) -> Result<Vec<String>> {
    let mut present = Vec::new();
    while let Some(entry) = next(watch).await? {
        // A mark of what is gone may come along, and says so.
        present.extend((!entry.deleted).then_some(entry.key));
    }
    present.sort();
    Ok(present)
}

fn put(key: &str, value: &str) -> Summary {
    Some((key.to_owned(), value.to_owned(), false))
}

fn gone(key: &str) -> Summary {
    Some((key.to_owned(), String::new(), true))
}

async fn a_watch_shows_the_present_then_its_end_then_changes(server: &impl Server) -> Result<()> {
    let (bus, other) = (server.set_up().await?, server.connect().await?);
    let bucket = Bucket::Workflows;
    let mut empty = bus.watch(bucket).await?;
    assert_eq!(next(&mut empty).await?, None);
    bus.put(bucket, "a", "0".into(), None).await?;
    bus.put(bucket, "a", "1".into(), None).await?;
    bus.put(bucket, "b", "2".into(), None).await?;
    let mut watch = other.watch(bucket).await?;
    assert_eq!(summary(&mut watch).await?, put("a", "1"), "only the value that it has");
    assert_eq!(summary(&mut watch).await?, put("b", "2"));
    assert_eq!(next(&mut watch).await?, None);
    bus.put(bucket, "a", "3".into(), None).await?;
    bus.delete(bucket, "b").await?;
    assert_eq!(summary(&mut watch).await?, put("a", "3"));
    assert_eq!(summary(&mut watch).await?, gone("b"));
    // A key that was never there may be removed, too: that is told as well.
    bus.put(bucket, "c", "4".into(), None).await?;
    assert_eq!(summary(&mut watch).await?, put("c", "4"));
    Ok(())
}

async fn a_watch_tells_of_every_change_in_order(server: &impl Server) -> Result<()> {
    let bus = server.set_up().await?;
    let bucket = Bucket::Agents;
    let mut watch = bus.watch(bucket).await?;
    assert_eq!(next(&mut watch).await?, None);
    let mut revisions = Vec::new();
    for number in 0..50 {
        // NATS keeps one value for each key: what was replaced before it was read is not told.
        revisions.push(bus.put(bucket, "a", number.to_string().into(), None).await?);
        let entry = next(&mut watch).await?.context("a change")?;
        assert_eq!((entry.revision, entry.value), (revisions[number], number.to_string().into()));
    }
    assert!(revisions.is_sorted_by(|earlier, later| earlier < later));
    for number in 0..50 {
        bus.put(bucket, &format!("b{number}"), "x".into(), None).await?;
    }
    for number in 0..50 {
        assert_eq!(summary(&mut watch).await?, put(&format!("b{number}"), "x"));
    }
    Ok(())
}

async fn what_is_gone_is_not_present(server: &impl Server) -> Result<()> {
    let bus = server.set_up().await?;
    for bucket in Bucket::ALL {
        for key in ["a", "b", "c"] {
            bus.put(bucket, key, "x".into(), None).await?;
        }
        bus.delete(bucket, "b").await?;
        assert_eq!(present(&mut bus.watch(bucket).await?).await?, ["a", "c"]);
        bus.delete(bucket, "a").await?;
        bus.delete(bucket, "c").await?;
        assert!(present(&mut bus.watch(bucket).await?).await?.is_empty());
        bus.put(bucket, "b", "y".into(), None).await?;
        assert_eq!(present(&mut bus.watch(bucket).await?).await?, ["b"]);
    }
    Ok(())
}

async fn a_watch_tells_when_the_time_of_a_value_is_over(server: &impl Server) -> Result<()> {
    let bus = server.set_up().await?;
    let bucket = Bucket::Agents;
    bus.put(bucket, "long", "x".into(), Some(LONG * 10)).await?;
    let (second, begun) = (Duration::from_secs(1), Instant::now());
    bus.put(bucket, "short", "".into(), Some(second)).await?;
    let mut watch = bus.watch(bucket).await?;
    assert_eq!(present(&mut watch).await?, ["long", "short"]);
    assert_eq!(summary(&mut watch).await?, gone("short"));
    assert!(begun.elapsed() >= second.mul_f64(0.95), "after {:?}", begun.elapsed());
    assert_eq!(bus.get(bucket, "short").await?, None);
    // One that is renewed in time is told of, but not as gone.
    bus.put(bucket, "renewed", "1".into(), Some(second)).await?;
    bus.put(bucket, "renewed", "2".into(), Some(LONG * 10)).await?;
    bus.put(bucket, "short", "2".into(), Some(second)).await?;
    let mut told = Vec::new();
    while told.last() != Some(&gone("short")) {
        told.push(summary(&mut watch).await?);
    }
    told.retain(|entry| *entry != put("renewed", "1"));
    assert_eq!(told, [put("renewed", "2"), put("short", "2"), gone("short")]);
    Ok(())
}

async fn several_watch_independently(server: &impl Server) -> Result<()> {
    let (bus, other) = (server.set_up().await?, server.connect().await?);
    let bucket = Bucket::Workflows;
    let mut first = bus.watch(bucket).await?;
    let mut second = other.watch(bucket).await?;
    let mut agents = other.watch(Bucket::Agents).await?;
    assert_eq!(next(&mut first).await?, None);
    assert_eq!(next(&mut second).await?, None);
    bus.put(bucket, "a", "1".into(), None).await?;
    assert_eq!(summary(&mut first).await?, put("a", "1"));
    drop(first);
    other.put(bucket, "b", "2".into(), None).await?;
    assert_eq!(summary(&mut second).await?, put("a", "1"));
    assert_eq!(summary(&mut second).await?, put("b", "2"));
    bus.put(Bucket::Agents, "c", "3".into(), None).await?;
    assert_eq!(next(&mut agents).await?, None);
    assert_eq!(summary(&mut agents).await?, put("c", "3"));
    Ok(())
}
