//! Tasks in a row.

use std::time::Instant;

use anyhow::{Result, ensure};
use mesh_bus::Bus as _;
use mesh_bus::topology::Stream;
use mesh_tests::{Process, TestServer, World};
use serde_json::{Value, json};

use crate::support::{
    agent, archive, checkpoints, compare_cold_loads, output, remove_checkpoints, sequence, set_up, so_many,
};

#[tokio::test(flavor = "multi_thread")]
async fn three_thousand_in_sequence() -> Result<()> {
    in_sequence(3_000).await
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes: make huge"]
async fn a_hundred_thousand_in_sequence() -> Result<()> {
    in_sequence(100_000).await
}

/// The orchestrator is killed when half is done, and again, with no checkpoint left, when three quarters are.
async fn in_sequence(count: usize) -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let first = Process::orchestrator(&world)?;
    set_up(&world, &sequence(count)).await?;
    let agent = world.agent(agent("work")).await?;
    let begin = Instant::now();
    let run = world.start("sequence", Value::Null).await?;
    let done = format!("task.completed.*.*.{run}.>");

    so_many(&world, Stream::Events, &done, count / 2).await?;
    println!("{} tasks in sequence in {:?}, {}", count / 2, begin.elapsed(), first.memory()?);
    first.kill9()?;
    compare_cold_loads(&world, run).await?;
    let there = world.bus.list_subjects(Stream::Events, &format!("{}.{done}", world.namespace)).await?.len();
    let started = Instant::now();
    let second = Process::orchestrator(&world)?;
    // The one that was under way, and one more.
    let back = so_many(&world, Stream::Events, &done, there + 2).await?;
    println!("taken over {:?} after the start", back - started);

    so_many(&world, Stream::Events, &done, count / 4 * 3).await?;
    println!("{}", second.memory()?);
    second.kill9()?;
    ensure!(remove_checkpoints(&world, run).await? >= 1, "there was no checkpoint");
    let there = world.bus.list_subjects(Stream::Events, &format!("{}.{done}", world.namespace)).await?.len();
    let started = Instant::now();
    let third = Process::orchestrator(&world)?;
    let back = so_many(&world, Stream::Events, &done, there + 2).await?;
    println!("taken over without a checkpoint {:?} after the start", back - started);

    ensure!(output(&world, run).await? == json!(count), "the output is wrong");
    println!("{count} tasks in sequence in {:?} in all, {}", begin.elapsed(), third.memory()?);
    let events = world.bus.read_run(&run).await?.events.len();
    let left = checkpoints(&world, run).await?;
    println!(
        "{events} events, checkpoints: {:?}",
        left.iter().map(|(_, data)| data.upto).collect::<Vec<_>>()
    );
    ensure!(left.len() <= 2, "older checkpoints stay");
    ensure!(events == count + 2 + left.len(), "{events} events");
    let created =
        world.bus.list_subjects(Stream::Tasks, &format!("{}.task.created.>", world.namespace)).await?;
    ensure!(created.len() == count, "{} tasks", created.len());
    agent.stop().await?;
    ensure!(third.terminate()?, "the orchestrator did not end well");
    archive(&world, run).await
}
