//! Tasks side by side.

use std::time::Instant;

use anyhow::{Result, ensure};
use mesh_bus::Bus as _;
use mesh_bus::topology::Stream;
use mesh_tests::{Process, TestServer, World};
use serde_json::{Value, json};

use crate::support::{agent, archive, output, parallel, set_up, short_runs, so_many};

#[tokio::test(flavor = "multi_thread")]
async fn two_thousand_in_parallel() -> Result<()> {
    in_parallel(2_000).await
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes: make huge"]
async fn ten_thousand_in_parallel() -> Result<()> {
    in_parallel(10_000).await
}

/// The orchestrator is killed while it creates the tasks, and again while they come back.
async fn in_parallel(count: usize) -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let first = Process::orchestrator(&world)?;
    set_up(&world, &parallel(count)).await?;
    let begin = Instant::now();
    let run = world.start("parallel", Value::Null).await?;
    let created = format!("task.created.*.*.{run}.>");
    so_many(&world, Stream::Tasks, &created, count / 4).await?;
    first.kill9()?;
    let there =
        world.bus.list_subjects(Stream::Tasks, &format!("{}.{created}", world.namespace)).await?.len();
    println!("killed when {there} of {count} tasks were there, {:?} after the start", begin.elapsed());
    let quick = world.agent(agent("quick")).await?;
    let started = Instant::now();
    let second = Process::orchestrator(&world)?;
    let all = async { so_many(&world, Stream::Tasks, &created, count).await.map(drop) };
    short_runs(&world, run, all).await?;
    let took = started.elapsed();
    println!("all are there {took:?} after the next orchestrator began, {}", second.memory()?);

    let agent = world.agent(agent("work")).await?;
    let working = Instant::now();
    let done = format!("task.completed.*.*.{run}.>");
    let middle = async { so_many(&world, Stream::Events, &done, count / 2).await.map(drop) };
    short_runs(&world, run, middle).await?;
    println!("half is done {:?} after the agent began, {}", working.elapsed(), second.memory()?);
    second.kill9()?;
    let killed = Instant::now();
    let third = Process::orchestrator(&world)?;
    let end = async {
        let output = output(&world, run).await?;
        ensure!(output == json!(count - 1), "the output is {output}");
        Ok(())
    };
    short_runs(&world, run, end).await?;
    println!(
        "ended {:?} after the kill, {:?} in all, {}",
        killed.elapsed(),
        begin.elapsed(),
        third.memory()?
    );
    let created = world.bus.list_subjects(Stream::Tasks, &format!("{}.{created}", world.namespace)).await?;
    ensure!(created.len() == count + 1, "{} tasks", created.len());
    agent.stop().await?;
    quick.stop().await?;
    ensure!(third.terminate()?, "the orchestrator did not end well");
    archive(&world, run).await
}
