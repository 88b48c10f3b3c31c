use std::time::Duration;

use anyhow::{Context as _, Result};
use chrono::{DateTime, Utc};
use futures::{StreamExt as _, TryStreamExt as _};
use mesh_bus::topology::Stream;
use mesh_bus::{Bus, Follow, From, Publish};

use crate::support::{LONG, World, event, message, run};

async fn reads_a_run_of(count: u32) -> Result<()> {
    let world = World::new().await?;
    let mine = run(1);
    let publish = |event: Publish| world.bus.publish(event);
    futures::stream::iter(0..count)
        .map(|number| publish(event(mine, number)))
        .buffer_unordered(64)
        .try_collect::<Vec<_>>()
        .await?;
    publish(event(run(2), 0)).await?;
    let log = world.bus.read_run(&mine).await?;
    assert_eq!(log.events.len(), count as usize);
    assert!(log.events.is_sorted_by(|a, b| a.sequence < b.sequence));
    assert!(log.events.iter().all(|event| event.message.subject.contains(&mine.to_string())));
    assert_eq!(log.end, u64::from(count) + 1, "the end is that of the stream, not of the run");
    Ok(())
}

#[tokio::test]
async fn a_short_run_is_read() -> Result<()> {
    reads_a_run_of(5).await
}

#[tokio::test]
async fn a_run_of_more_subjects_than_one_request_takes_is_read() -> Result<()> {
    reads_a_run_of(1_500).await
}

#[tokio::test]
async fn a_run_that_is_too_long_for_one_answer_is_read() -> Result<()> {
    let world = World::new().await?;
    // 100 MB, and the server sends at most 64 MiB at once.
    for number in 0..110 {
        let mut event = event(run(1), number);
        event.message.payload = vec![b'x'; 960 * 1024].into();
        world.bus.publish(event).await?;
    }
    assert_eq!(world.bus.read_run(&run(1)).await?.events.len(), 110);
    Ok(())
}

#[tokio::test]
async fn a_run_without_events_is_empty_up_to_the_end_of_the_log() -> Result<()> {
    let world = World::new().await?;
    world.bus.publish(event(run(2), 0)).await?;
    let log = world.bus.read_run(&run(1)).await?;
    assert_eq!((log.events.len(), log.end), (0, 1));
    Ok(())
}

#[tokio::test]
async fn the_events_that_belong_to_the_run_itself_are_read_too() -> Result<()> {
    let world = World::new().await?;
    let started = format!("mesh.workflow.started.onboarding.-.{}", run(1));
    world.bus.publish(Publish::once(message(&started, "{}"))).await?;
    world.bus.publish(event(run(1), 1)).await?;
    let log = world.bus.read_run(&run(1)).await?;
    let subjects: Vec<&str> = log.events.iter().map(|event| event.message.subject.as_str()).collect();
    assert_eq!(subjects.len(), 2);
    assert_eq!(subjects[0], started);
    Ok(())
}

#[tokio::test]
async fn the_last_message_on_a_subject_is_read_with_its_headers() -> Result<()> {
    let world = World::new().await?;
    let mut note = message("mesh.agent.registered.a1", "one");
    note.headers.set("ce-id", "x");
    world.bus.publish(Publish::plain(note.clone())).await?;
    note.payload = "two".into();
    world.bus.publish(Publish::plain(note.clone())).await?;
    for subject in ["mesh.agent.registered.a1", "mesh.agent.registered.*"] {
        let last = world.bus.last(Stream::Notes, subject).await?.expect("a message");
        assert_eq!((last.message, last.sequence), (note.clone(), 2));
    }
    assert_eq!(world.bus.last(Stream::Notes, "mesh.agent.registered.a2").await?, None);
    Ok(())
}

#[tokio::test]
async fn following_shows_what_is_there_then_what_comes_over_a_restart_too() -> Result<()> {
    let mut world = World::new().await?;
    world.bus.publish(event(run(1), 0)).await?;
    let filters = vec![format!("mesh.*.*.*.*.{}.>", run(1))];
    let mut all = world.bus.follow(Stream::Events, filters.clone(), From::Begin).await?;
    let mut new = world.bus.follow(Stream::Events, filters, From::Now).await?;
    assert_eq!(next(&mut all).await?, Some("0".to_owned()));
    assert_eq!(next(&mut all).await?, None);
    assert_eq!(next(&mut new).await?, None);
    world.server.kill9()?;
    world.server.restart()?;
    while let Err(error) = world.bus.publish(event(run(1), 1)).await {
        assert!(error.is_retryable(), "{error}");
    }
    world.bus.publish(event(run(2), 1)).await?;
    world.bus.publish(event(run(1), 2)).await?;
    for follow in [&mut all, &mut new] {
        assert_eq!(next(follow).await?, Some("1".to_owned()));
        assert_eq!(next(follow).await?, Some("2".to_owned()));
    }
    Ok(())
}

#[tokio::test]
async fn following_may_begin_at_a_time() -> Result<()> {
    let world = World::new().await?;
    for number in 0..3 {
        world.bus.publish(event(run(1), number)).await?;
    }
    let filters = vec!["mesh.>".to_owned()];
    let second = world.bus.read_run(&run(1)).await?.events[1].time;
    let mut since = world.bus.follow(Stream::Events, filters.clone(), From::Time(second)).await?;
    for expected in [Some("1"), Some("2"), None] {
        assert_eq!(next(&mut since).await?.as_deref(), expected);
    }
    for later in [second + Duration::from_secs(3600), DateTime::<Utc>::MAX_UTC] {
        let mut none = world.bus.follow(Stream::Events, filters.clone(), From::Time(later)).await?;
        assert_eq!(next(&mut none).await?, None, "{later}");
    }
    let mut all = world.bus.follow(Stream::Events, filters, From::Time(DateTime::<Utc>::MIN_UTC)).await?;
    assert_eq!(next(&mut all).await?.as_deref(), Some("0"));
    Ok(())
}

/// The body of the next message; `None` where those that were there end.
async fn next(follow: &mut Follow) -> Result<Option<String>> {
    loop {
        let message = tokio::time::timeout(LONG, follow.next()).await?.context("it ended")?;
        match message {
            Ok(message) => {
                return Ok(
                    message.map(|stored| String::from_utf8_lossy(&stored.message.payload).into_owned())
                );
            }
            Err(error) => assert!(error.is_retryable(), "{error}"),
        }
    }
}
