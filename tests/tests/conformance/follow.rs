//! Reading along.

use std::collections::BTreeSet;
use std::future::ready;
use std::time::Duration;

use anyhow::{Context as _, Result};
use chrono::{DateTime, Utc};
use futures::future::try_join_all;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use mesh_bus::topology::Stream;
use mesh_bus::{Bus, Follow, From};

use crate::server::Server;
use crate::support::{event, own, run, soon, stored, task, text};

on_every_bus!(
    what_is_there_is_read_then_what_comes,
    only_what_passes_a_filter_is_read,
    reading_may_begin_at_a_time,
    reading_may_begin_now,
    several_read_independently,
    what_is_removed_meanwhile_does_not_move_the_end,
);

fn everything() -> Vec<String> {
    vec!["mesh.>".to_owned()]
}

/// The body of the next message; `None` where those that were there end.
async fn next(follow: &mut Follow) -> Result<Option<String>> {
    let message = soon("a message", follow.next()).await?.context("it ended")??;
    Ok(message.map(|stored| text(&stored.message)))
}

async fn expect<const N: usize>(follow: &mut Follow, expected: [Option<&str>; N]) -> Result<()> {
    for expected in expected {
        assert_eq!(next(follow).await?.as_deref(), expected);
    }
    Ok(())
}

async fn store_events(bus: &dyn Bus, numbers: impl IntoIterator<Item = u32>) -> Result<()> {
    for number in numbers {
        bus.publish(event(run(1), number)).await?;
    }
    Ok(())
}

async fn what_is_there_is_read_then_what_comes(server: &impl Server) -> Result<()> {
    let bus = server.set_up().await?;
    let mut empty = bus.follow(Stream::Events, everything(), From::Begin).await?;
    expect(&mut empty, [None]).await?;
    store_events(&*bus, 0..2).await?;
    let mut follow = bus.follow(Stream::Events, everything(), From::Begin).await?;
    expect(&mut follow, [Some("0"), Some("1"), None]).await?;
    let third = stored(&*bus, Stream::Events, event(run(1), 2)).await?;
    store_events(&*bus, [3]).await?;
    expect(&mut empty, [Some("0"), Some("1"), Some("2"), Some("3")]).await?;
    let read = soon("an event", follow.next()).await?.context("it ended")??;
    assert_eq!(read.as_ref().map(|read| (own(&read.message), read.sequence)), Some((own(&third.message), 3)));
    assert_eq!(read.map(|read| read.time), Some(third.time));
    expect(&mut follow, [Some("3")]).await
}

async fn only_what_passes_a_filter_is_read(server: &impl Server) -> Result<()> {
    let bus = server.set_up().await?;
    let filters = vec![format!("mesh.*.*.*.*.{}.>", run(1)), format!("mesh.*.*.*.*.{}.>", run(2))];
    for (number, of) in [1, 3, 2, 3, 1].into_iter().enumerate() {
        bus.publish(event(run(of), u32::try_from(number)?)).await?;
    }
    bus.publish(task(1)).await?;
    let mut follow = bus.follow(Stream::Events, filters, From::Begin).await?;
    expect(&mut follow, [Some("0"), Some("2"), Some("4"), None]).await?;
    bus.publish(event(run(3), 5)).await?;
    bus.publish(event(run(2), 6)).await?;
    expect(&mut follow, [Some("6")]).await?;
    // The last one that is there need not be one of ours.
    bus.publish(event(run(3), 7)).await?;
    let one = vec![format!("mesh.*.*.*.*.{}.>", run(2))];
    let mut follow = bus.follow(Stream::Events, one, From::Begin).await?;
    expect(&mut follow, [Some("2"), Some("6"), None]).await?;
    let none = vec!["mesh.workflow.>".to_owned()];
    expect(&mut bus.follow(Stream::Events, none, From::Begin).await?, [None]).await
}

async fn reading_may_begin_at_a_time(server: &impl Server) -> Result<()> {
    let bus = server.set_up().await?;
    for number in 0..3 {
        store_events(&*bus, [number]).await?;
        // So that each has a time of its own, by any clock.
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let second = bus.read_run(&run(1)).await?.events[1].time;
    let mut since = bus.follow(Stream::Events, everything(), From::Time(second)).await?;
    expect(&mut since, [Some("1"), Some("2"), None]).await?;
    let after = From::Time(second + Duration::from_nanos(1));
    expect(&mut bus.follow(Stream::Events, everything(), after).await?, [Some("2"), None]).await?;
    for later in [second + Duration::from_secs(3_600), DateTime::<Utc>::MAX_UTC] {
        let mut none = bus.follow(Stream::Events, everything(), From::Time(later)).await?;
        assert_eq!(next(&mut none).await?, None, "{later}");
    }
    let mut all = bus.follow(Stream::Events, everything(), From::Time(DateTime::<Utc>::MIN_UTC)).await?;
    expect(&mut all, [Some("0"), Some("1"), Some("2"), None]).await?;
    store_events(&*bus, [3]).await?;
    expect(&mut since, [Some("3")]).await?;
    expect(&mut all, [Some("3")]).await
}

async fn reading_may_begin_now(server: &impl Server) -> Result<()> {
    let bus = server.set_up().await?;
    store_events(&*bus, 0..3).await?;
    let mut follow = bus.follow(Stream::Events, everything(), From::Now).await?;
    // What is stored once `follow` has returned is read, whether or not anybody looked before.
    store_events(&*bus, 3..5).await?;
    let mut read = Vec::new();
    while read.iter().flatten().count() < 2 {
        read.push(next(&mut follow).await?);
    }
    let texts: Vec<&str> = read.iter().flatten().map(String::as_str).collect();
    assert_eq!(texts, ["3", "4"]);
    let mut idle = bus.follow(Stream::Events, everything(), From::Now).await?;
    expect(&mut idle, [None]).await?;
    store_events(&*bus, [5]).await?;
    expect(&mut idle, [Some("5")]).await
}

async fn several_read_independently(server: &impl Server) -> Result<()> {
    let bus = server.set_up().await?;
    store_events(&*bus, 0..2).await?;
    let other = server.connect().await?;
    let mut first = bus.follow(Stream::Events, everything(), From::Begin).await?;
    let mut second = other.follow(Stream::Events, everything(), From::Begin).await?;
    let mut tasks = other.follow(Stream::Tasks, everything(), From::Begin).await?;
    expect(&mut first, [Some("0"), Some("1"), None]).await?;
    expect(&mut second, [Some("0")]).await?;
    drop(first);
    bus.publish(task(7)).await?;
    expect(&mut second, [Some("1"), None]).await?;
    expect(&mut tasks, [None, Some("7")]).await
}

/// Whoever reads a log from which a janitor removes is told where it ends: neither before the last message that stays, nor
/// never.
async fn what_is_removed_meanwhile_does_not_move_the_end(server: &impl Server) -> Result<()> {
    const COUNT: u32 = 3_000;
    let bus = server.set_up().await?;
    let all: Vec<u32> = (0..COUNT).collect();
    for some in all.chunks(256) {
        try_join_all(some.iter().map(|number| bus.publish(event(run(1), *number)))).await?;
    }
    let last = u64::from(COUNT);
    let mut removed = BTreeSet::new();
    for round in 0..4_u64 {
        let now: BTreeSet<u64> = (1..last).filter(|n| n % 5 == round).collect();
        let remove = async {
            let removals: Vec<_> = now.iter().map(|sequence| bus.remove(Stream::Events, *sequence)).collect();
            stream::iter(removals).buffer_unordered(64).try_for_each(|_| ready(Ok(()))).await
        };
        let read = async {
            let mut follow = bus.follow(Stream::Events, everything(), From::Begin).await?;
            let mut read = BTreeSet::new();
            while let Some(stored) = soon("the end", follow.next()).await?.context("it ended")?? {
                read.insert(stored.sequence);
            }
            anyhow::Ok(read)
        };
        let ((), read) = futures::try_join!(async { remove.await.map_err(anyhow::Error::from) }, read)?;
        removed.extend(now);
        let missing: Vec<u64> = (1..=last).filter(|n| !removed.contains(n) && !read.contains(n)).collect();
        assert_eq!(missing, [] as [u64; 0], "in round {round}");
    }
    Ok(())
}
