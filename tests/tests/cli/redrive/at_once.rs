//! Several who redrive the same letters, and one who is killed while at it.

use std::time::Duration;

use anyhow::{Result, ensure};
use mesh_bus::DeadEnd;
use mesh_tests::{TestServer, World};
use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, BufReader};

use super::{HELD, begun, bury, letters, message};
use crate::support::Person;

/// How many letters there are.
const LETTERS: u64 = 60;

/// Requests with and without an identity of their own.
async fn bury_requests(world: &World) -> Result<()> {
    for sequence in 1..=LETTERS {
        let data = json!({"n": sequence});
        let body = if sequence % 2 == 0 {
            json!({"specversion": "1.0", "id": sequence.to_string(), "source": "/shop", "type": "order", "data": data})
        } else {
            data
        };
        let request = message("workflow.requested.held", body.to_string());
        bury(world, DeadEnd::UnreadableRequest, request, sequence).await?;
    }
    Ok(())
}

#[tokio::test]
async fn two_at_once_begin_each_run_once() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    world.apply(HELD).await?;
    bury_requests(&world).await?;
    let people = [Person::of(&world)?, Person::of(&world)?];
    let both = people.each_ref().map(|person| super::redrive(person, &["--all"]));
    for result in futures::future::join_all(both).await {
        let (said, told) = result?;
        let known = |told: &serde_json::Value| told["result"] == "redriven" || told["result"] == "gone";
        ensure!(told.iter().all(known), "{said:?}");
    }
    ensure!(letters(&world).await?.is_empty());
    ensure!(begun(&world, "held").await?.len() as u64 == LETTERS);
    orchestrator.stop().await
}

#[tokio::test]
async fn one_that_is_killed_in_the_middle_is_finished_by_the_next() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    world.apply(HELD).await?;
    bury_requests(&world).await?;
    let person = Person::of(&world)?;
    // At other places each time: between the sending, the beginning of the run, and the removal of the letter.
    for round in 0..5_u64 {
        let mut child = person.command(&["dead", "redrive", "--all"])?.spawn()?;
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        for _ in 0..=round {
            mesh_tests::patiently("a letter", lines.next_line()).await??;
        }
        tokio::time::sleep(Duration::from_micros(700 * round)).await;
        child.kill().await?;
    }
    let left = letters(&world).await?.len();
    ensure!(left > 0, "nobody was killed in the middle");
    let (said, told) = super::redrive(&person, &["--all"]).await?;
    ensure!(said.code == 0 && told.len() == left, "{said:?}");
    ensure!(letters(&world).await?.is_empty());
    ensure!(begun(&world, "held").await?.len() as u64 == LETTERS);
    orchestrator.stop().await
}
