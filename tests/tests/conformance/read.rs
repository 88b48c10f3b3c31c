//! Reading what is stored.

use anyhow::Result;
use futures::{StreamExt as _, TryStreamExt as _};
use mesh_bus::topology::Stream;
use mesh_bus::{BusError, MAX_SHORT_RUN, Publish};
use mesh_schemas::RunId;

use crate::server::Server;
use crate::support::{event, message, own, request, run, store, store_tasks, text};

on_every_bus!(
    a_run_is_read_in_order_and_nothing_else,
    a_run_of_more_subjects_than_one_request_takes_is_read,
    a_run_without_events_is_empty_up_to_the_end_of_the_log,
    what_was_stored_by_anyone_is_read,
    the_events_of_the_run_itself_and_of_everything_in_it_are_read,
    a_run_is_read_at_once_if_it_is_no_longer_than_was_said,
    the_rest_of_a_run_is_read,
    what_tells_of_a_run_as_a_whole_is_read,
    the_subjects_that_hold_a_message_are_listed,
    the_last_message_on_a_subject_is_read,
    the_last_messages_on_many_subjects_are_read_at_once,
    no_more_subjects_are_read_at_once_than_can_be,
    a_message_is_read_by_its_place,
);

async fn reads_a_run_of(server: &impl Server, count: u32) -> Result<()> {
    let bus = server.set_up().await?;
    let mine = run(1);
    let publish = |event: Publish| bus.publish(event);
    publish(event(run(2), 0)).await?;
    futures::stream::iter(0..count)
        .map(|number| publish(event(mine, number)))
        .buffer_unordered(64)
        .try_collect::<Vec<_>>()
        .await?;
    publish(event(run(2), 1)).await?;
    let log = bus.read_run(&mine).await?;
    assert_eq!(log.events.len(), count as usize);
    assert!(log.events.is_sorted_by(|a, b| a.sequence < b.sequence));
    assert!(log.events.iter().all(|event| event.message.subject.contains(&mine.to_string())));
    assert_eq!(log.end, u64::from(count) + 2, "the end is that of the stream, not of the run");
    for event in log.events.iter().step_by(100) {
        assert_eq!(bus.at(Stream::Events, event.sequence).await?.as_ref(), Some(event));
    }
    Ok(())
}

async fn a_run_is_read_in_order_and_nothing_else(server: &impl Server) -> Result<()> {
    reads_a_run_of(server, 5).await
}

async fn a_run_of_more_subjects_than_one_request_takes_is_read(server: &impl Server) -> Result<()> {
    // NATS hands out 1 024 at once.
    reads_a_run_of(server, 1_500).await
}

async fn a_run_without_events_is_empty_up_to_the_end_of_the_log(server: &impl Server) -> Result<()> {
    let bus = server.set_up().await?;
    let log = bus.read_run(&run(1)).await?;
    assert_eq!((log.events.len(), log.end), (0, 0));
    bus.publish(event(run(2), 0)).await?;
    store_tasks(&*bus, 1..=3).await?;
    let log = bus.read_run(&run(1)).await?;
    assert_eq!((log.events.len(), log.end), (0, 1), "the log is a stream of its own");
    Ok(())
}

async fn what_was_stored_by_anyone_is_read(server: &impl Server) -> Result<()> {
    let (bus, other) = (server.set_up().await?, server.connect().await?);
    for number in 0..20 {
        let (writer, reader) = if number % 2 == 0 { (&bus, &other) } else { (&other, &bus) };
        let sequence = store(&**writer, event(run(1), number)).await?;
        let log = reader.read_run(&run(1)).await?;
        assert!(log.end >= sequence);
        assert_eq!(log.events.last().map(|event| event.sequence), Some(sequence));
    }
    Ok(())
}

async fn the_events_of_the_run_itself_and_of_everything_in_it_are_read(server: &impl Server) -> Result<()> {
    let bus = server.set_up().await?;
    let run = run(1);
    let subjects = [
        format!("mesh.workflow.started.onboarding.-.{run}"),
        format!("mesh.workflow.signalled.-.-.{run}.cancel.one"),
        format!("mesh.workflow.signalled.onboarding.-.{run}.cancel.two"),
        format!("mesh.task.failed.risk.to-agent-7.{run}.t:3.2"),
        format!("mesh.task.completed.risk.high.{run}.t.1"),
        format!("mesh.timer.fired.-.-.{run}.deadline"),
        format!("mesh.workflow.completed.onboarding.-.{run}"),
    ];
    for subject in &subjects {
        store(&*bus, Publish::once(message(subject, "{}"))).await?;
    }
    let log = bus.read_run(&run).await?;
    let read: Vec<&str> = log.events.iter().map(|event| event.message.subject.as_str()).collect();
    assert_eq!(read, subjects);
    Ok(())
}

async fn a_run_is_read_at_once_if_it_is_no_longer_than_was_said(server: &impl Server) -> Result<()> {
    let bus = server.set_up().await?;
    for number in 0..1_026 {
        bus.publish(event(run(u32::from(number >= 3)), number)).await?;
    }
    let (short, long) = (run(0), run(1));
    let read = bus.read_short_run(&short, 3).await?.map(|log| (log.events.len(), log.end));
    assert_eq!(read, Some((3, 1_026)));
    assert_eq!(bus.read_short_run(&short, 2).await?, None);
    assert_eq!(bus.read_short_run(&long, 1_022).await?, None);
    let read = bus.read_short_run(&long, MAX_SHORT_RUN).await?.map(|log| log.events.len());
    assert_eq!(read, Some(1_023));
    for number in 2_000..2_002 {
        bus.publish(event(long, number)).await?;
    }
    assert_eq!(bus.read_short_run(&long, MAX_SHORT_RUN).await?, None, "there are 1 025");
    let read = bus.read_short_run(&run(2), 1).await?.map(|log| (log.events.len(), log.end));
    assert_eq!(read, Some((0, 1_028)), "one without events");
    Ok(())
}

async fn the_rest_of_a_run_is_read(server: &impl Server) -> Result<()> {
    let bus = server.set_up().await?;
    for number in 0..10 {
        bus.publish(event(run(number % 2), number)).await?;
    }
    let rest = async |after: u64| -> Result<(Vec<u64>, u64)> {
        let log = bus.read_run_after(&run(1), after).await?;
        Ok((log.events.iter().map(|event| event.sequence).collect(), log.end))
    };
    assert_eq!(rest(0).await?, (vec![2, 4, 6, 8, 10], 10));
    assert_eq!(rest(5).await?, (vec![6, 8, 10], 10));
    assert_eq!(rest(6).await?, (vec![8, 10], 10));
    assert_eq!(rest(10).await?, (vec![], 10));
    bus.remove(Stream::Events, 10).await?;
    assert_eq!(rest(7).await?.0, [8]);
    assert_eq!(bus.read_run_after(&run(2), 0).await?.events, []);
    Ok(())
}

async fn what_tells_of_a_run_as_a_whole_is_read(server: &impl Server) -> Result<()> {
    let bus = server.set_up().await?;
    let run = run(1);
    let subjects = [
        format!("mesh.workflow.started.onboarding.-.{run}"),
        format!("mesh.task.completed.risk.high.{run}.t.1"),
        format!("mesh.workflow.checkpointed.onboarding.-.{run}.2"),
        format!("mesh.workflow.signalled.onboarding.-.{run}.cancel.two"),
        format!("mesh.timer.fired.-.-.{run}.deadline"),
        format!("mesh.workflow.checkpointed.onboarding.-.{run}.5"),
        format!("mesh.workflow.completed.onboarding.-.{run}"),
    ];
    for subject in &subjects {
        store(&*bus, Publish::once(message(subject, "{}"))).await?;
    }
    let log = bus.read_run_itself(&run).await?;
    let read: Vec<u64> = log.events.iter().map(|event| event.sequence).collect();
    assert_eq!(read, [1, 3, 6, 7]);
    Ok(())
}

async fn the_subjects_that_hold_a_message_are_listed(server: &impl Server) -> Result<()> {
    let bus = server.set_up().await?;
    let of = |run: RunId| format!("mesh.*.*.*.*.{run}.>");
    assert!(bus.list_subjects(Stream::Events, &of(run(1))).await?.is_empty());
    for number in 0..20 {
        bus.publish(event(run(number % 2), number)).await?;
    }
    bus.remove(Stream::Events, 2).await?;
    let listed = bus.list_subjects(Stream::Events, &of(run(1))).await?;
    let expected = (1..10).map(|place| event(run(1), 2 * place + 1).message.subject);
    assert_eq!(listed, expected.collect());
    assert_eq!(bus.list_subjects(Stream::Events, "mesh.>").await?.len(), 19);
    assert!(bus.list_subjects(Stream::Tasks, "mesh.>").await?.is_empty(), "another stream");
    Ok(())
}

async fn the_last_message_on_a_subject_is_read(server: &impl Server) -> Result<()> {
    let bus = server.set_up().await?;
    let mut note = message("mesh.agent.registered.a1", "one");
    note.headers.set("ce-id", "x");
    bus.publish(Publish::plain(note.clone())).await?;
    note.payload = "two".into();
    bus.publish(Publish::plain(note.clone())).await?;
    for subject in ["mesh.agent.registered.a1", "mesh.agent.registered.*", "mesh.*.registered.a1", "mesh.>"] {
        let last = bus.last(Stream::Notes, subject).await?;
        let last = last.map(|last| (own(&last.message), last.sequence));
        assert_eq!(last, Some((note.clone(), 2)), "{subject}");
    }
    bus.publish(Publish::plain(message("mesh.agent.registered.a2", "three"))).await?;
    let last = async |subject: &str| bus.last(Stream::Notes, subject).await;
    let texts = [
        last("mesh.agent.registered.a1").await?,
        last("mesh.agent.registered.*").await?,
        last("mesh.agent.deregistered.*").await?,
        last("mesh.agent.registered").await?,
    ];
    let texts = texts.map(|last| last.map(|last| text(&last.message)));
    assert_eq!(texts, [Some("two".to_owned()), Some("three".to_owned()), None, None]);
    assert_eq!(bus.last(Stream::Dead, "mesh.agent.registered.a1").await?, None, "another stream");
    Ok(())
}

async fn the_last_messages_on_many_subjects_are_read_at_once(server: &impl Server) -> Result<()> {
    let bus = server.set_up().await?;
    let each = async |filters: &[&str]| -> Result<Vec<_>> {
        let filters: Vec<String> = filters.iter().map(|filter| (*filter).to_owned()).collect();
        let last = bus.last_on_each(Stream::Notes, &filters).await?;
        Ok(last.iter().map(|last| (last.sequence, text(&last.message))).collect())
    };
    assert_eq!(each(&["mesh.agent.registered.a1", "mesh.>"]).await?, []);
    for (subject, content) in [
        ("registered.a1", "one"),
        ("registered.a1", "two"),
        ("deregistered.b2", "three"),
        ("registered.a3", "four"),
    ] {
        bus.publish(Publish::plain(message(format!("mesh.agent.{subject}"), content))).await?;
    }
    let [two, three, four] = [(2, "two"), (3, "three"), (4, "four")].map(|(at, text)| (at, text.to_owned()));
    let named = each(&["mesh.agent.registered.a3", "mesh.agent.registered.none", "mesh.agent.registered.a1"]);
    assert_eq!(named.await?, [two.clone(), four.clone()]);
    // What passes several filters is there once.
    let wild = each(&["mesh.agent.registered.*", "mesh.agent.registered.a1", "mesh.agent.*.b2"]);
    assert_eq!(wild.await?, [two, three, four]);
    Ok(())
}

async fn no_more_subjects_are_read_at_once_than_can_be(server: &impl Server) -> Result<()> {
    let bus = server.set_up().await?;
    let note = |number: usize| Publish::plain(message(format!("mesh.agent.registered.a{number}"), "x"));
    let filters = ["mesh.agent.>".to_owned()];
    for number in 0..MAX_SHORT_RUN {
        bus.publish(note(number)).await?;
    }
    assert_eq!(bus.last_on_each(Stream::Notes, &filters).await?.len(), MAX_SHORT_RUN);
    bus.publish(note(MAX_SHORT_RUN)).await?;
    let error = bus.last_on_each(Stream::Notes, &filters).await.expect_err("too many");
    assert!(matches!(error, BusError::Refused { .. }), "{error}");
    Ok(())
}

async fn a_message_is_read_by_its_place(server: &impl Server) -> Result<()> {
    let bus = server.set_up().await?;
    store_tasks(&*bus, 1..=2).await?;
    bus.publish(request("w", "x")).await?;
    let second = bus.at(Stream::Tasks, 2).await?;
    assert_eq!(second.map(|second| (second.sequence, text(&second.message))), Some((2, "2".to_owned())));
    assert_eq!(bus.at(Stream::Tasks, 3).await?, None);
    assert_eq!(bus.at(Stream::Events, 1).await?, None);
    Ok(())
}
