//! Values by key, for a time or for good.

use std::time::Duration;

use anyhow::{Context as _, Result};
use mesh_bus::topology::{AGENT_TTL, Bucket, Stream};
use mesh_bus::{Bus, BusError};

use crate::server::Server;
use crate::support::{LONG, eventually};

on_every_bus!(
    values_are_put_got_and_deleted,
    revisions_grow_with_every_change,
    buckets_are_apart,
    a_value_is_gone_after_its_time,
    a_value_that_is_put_again_has_its_time_anew,
    what_is_no_key_is_refused,
);

async fn keys(bus: &dyn Bus, bucket: Bucket) -> Result<Vec<String>> {
    let mut keys: Vec<_> = bus.entries(bucket).await?.into_iter().map(|entry| entry.key).collect();
    keys.sort();
    Ok(keys)
}

async fn values_are_put_got_and_deleted(server: &impl Server) -> Result<()> {
    let (bus, other) = (server.set_up().await?, server.connect().await?);
    for bucket in Bucket::ALL {
        assert_eq!(bus.get(bucket, "a").await?, None);
        let before = bus.now();
        let first = bus.put(bucket, "a", "1".into(), None).await?;
        bus.put(bucket, "a.b", "2".into(), None).await?;
        bus.put(bucket, "empty", "".into(), None).await?;
        let got = other.get(bucket, "a").await?.context("a value")?;
        assert_eq!((got.key.as_str(), got.value.as_ref(), got.revision), ("a", b"1".as_ref(), first));
        assert!(!got.deleted);
        assert!(got.time + Duration::from_millis(1) >= before && got.time <= bus.now());
        assert!(bus.entries(bucket).await?.contains(&got));
        let empty = other.get(bucket, "empty").await?.context("an empty value is one")?;
        assert!(empty.value.is_empty() && !empty.deleted);
        other.put(bucket, "a", "3".into(), None).await?;
        assert_eq!(bus.get(bucket, "a").await?.map(|entry| entry.value), Some("3".into()));
        assert_eq!(keys(&*bus, bucket).await?, ["a", "a.b", "empty"]);
        other.delete(bucket, "a").await?;
        bus.delete(bucket, "never").await?;
        assert_eq!(bus.get(bucket, "a").await?, None);
        assert_eq!(keys(&*bus, bucket).await?, ["a.b", "empty"]);
        bus.put(bucket, "a", "4".into(), None).await?;
        assert_eq!(other.get(bucket, "a").await?.map(|entry| entry.value), Some("4".into()));
    }
    Ok(())
}

async fn revisions_grow_with_every_change(server: &impl Server) -> Result<()> {
    let bus = server.set_up().await?;
    let bucket = Bucket::Workflows;
    let mut revisions = vec![bus.put(bucket, "a", "1".into(), None).await?];
    revisions.push(bus.put(bucket, "b", "1".into(), None).await?);
    revisions.push(bus.put(bucket, "a", "1".into(), None).await?);
    bus.delete(bucket, "a").await?;
    revisions.push(bus.put(bucket, "a", "2".into(), None).await?);
    assert!(revisions.is_sorted_by(|earlier, later| earlier < later), "{revisions:?}");
    assert!(revisions[3] > revisions[2] + 1, "a deletion is a change, too: {revisions:?}");
    assert_eq!(bus.get(bucket, "b").await?.map(|entry| entry.revision), Some(revisions[1]));
    Ok(())
}

async fn buckets_are_apart(server: &impl Server) -> Result<()> {
    let bus = server.set_up().await?;
    bus.put(Bucket::Workflows, "a", "1".into(), None).await?;
    assert_eq!(bus.get(Bucket::Agents, "a").await?, None);
    assert!(bus.entries(Bucket::Agents).await?.is_empty());
    bus.put(Bucket::Agents, "a", "2".into(), None).await?;
    bus.delete(Bucket::Agents, "a").await?;
    assert_eq!(bus.get(Bucket::Workflows, "a").await?.map(|entry| entry.value), Some("1".into()));
    for stream in Stream::ALL {
        assert_eq!(bus.last(stream, ">").await?, None, "a bucket is no part of a stream");
    }
    Ok(())
}

async fn a_value_is_gone_after_its_time(server: &impl Server) -> Result<()> {
    let bus = server.set_up().await?;
    let bucket = Bucket::Agents;
    bus.put(bucket, "short", "x".into(), Some(Duration::from_secs(1))).await?;
    bus.put(bucket, "long", "x".into(), Some(LONG * 10)).await?;
    let put = bus.get(bucket, "short").await?.context("it is there at first")?.time;
    assert_eq!(keys(&*bus, bucket).await?, ["long", "short"]);
    eventually("its end", async || Ok(bus.get(bucket, "short").await?.is_none())).await?;
    assert!(bus.now() - put >= chrono::TimeDelta::seconds(1));
    assert_eq!(keys(&*bus, bucket).await?, ["long"]);
    // It may come back.
    bus.put(bucket, "short", "y".into(), Some(AGENT_TTL)).await?;
    assert_eq!(bus.get(bucket, "short").await?.map(|entry| entry.value), Some("y".into()));
    Ok(())
}

async fn a_value_that_is_put_again_has_its_time_anew(server: &impl Server) -> Result<()> {
    let bus = server.set_up().await?;
    let (bucket, second) = (Bucket::Agents, Some(Duration::from_secs(1)));
    for (key, time) in [("renewed", Some(LONG * 10)), ("kept", None)] {
        bus.put(bucket, key, "x".into(), second).await?;
        bus.put(bucket, key, "y".into(), time).await?;
    }
    bus.put(bucket, "shortened", "x".into(), Some(LONG * 10)).await?;
    bus.put(bucket, "shortened", "y".into(), second).await?;
    // The first times of the others end before this one.
    eventually("its end", async || Ok(bus.get(bucket, "shortened").await?.is_none())).await?;
    assert_eq!(keys(&*bus, bucket).await?, ["kept", "renewed"]);
    assert_eq!(bus.get(bucket, "kept").await?.map(|entry| entry.value), Some("y".into()));
    Ok(())
}

async fn what_is_no_key_is_refused(server: &impl Server) -> Result<()> {
    let bus = server.set_up().await?;
    let bucket = Bucket::Workflows;
    let refused = |result: Result<(), BusError>, key: &str| {
        assert!(matches!(result, Err(BusError::Refused { .. })), "{key:?}: {result:?}");
    };
    for key in ["", ".", "a.", ".a", "a..b", "a b", "*", "a.>", "ä"] {
        refused(bus.get(bucket, key).await.map(drop), key);
        refused(bus.put(bucket, key, "x".into(), None).await.map(drop), key);
        refused(bus.delete(bucket, key).await, key);
    }
    for key in ["a", "merchant-onboarding.0f3e", "a/b=c_d", "A1"] {
        bus.put(bucket, key, "x".into(), None).await?;
    }
    assert_eq!(bus.entries(bucket).await?.len(), 4);
    Ok(())
}
