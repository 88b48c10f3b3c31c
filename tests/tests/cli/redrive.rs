//! `mesh dead redrive` and `mesh dead drop`: what becomes of letters.

mod at_once;
mod events;
mod filters;
mod requests;
mod work;

use anyhow::{Context as _, Result, ensure};
use mesh_bus::topology::Stream;
use mesh_bus::{Bus as _, DeadEnd, dead_letter};
use mesh_schemas::{Headers, Message, RunId, StoredMessage, Subject};
use mesh_tests::World;
use serde_json::Value;

use crate::support::{Person, Said};

/// One task that nobody does unless a test does.
const HELD: &str = "
mesh: v1
name: held
tasks: {t: {agent: held, retry: {max_attempts: 2, initial: 0s}}}
";

/// Has a letter written about a message as if it had been found at a place in its stream. Returns the letter's number.
async fn bury(world: &World, end: DeadEnd, message: Message, sequence: u64) -> Result<u64> {
    let message = Message { subject: format!("{}.{}", world.namespace, message.subject), ..message };
    let stored = StoredMessage { message, sequence, time: world.bus.now() };
    dead_letter(&*world.bus, end, &stored, "it was not understood").await?;
    let last = world.bus.last(Stream::Dead, &format!("{}.dead.>", world.namespace)).await?;
    Ok(last.context("a letter")?.sequence)
}

fn message(subject: impl Into<String>, payload: impl Into<String>) -> Message {
    Message { subject: subject.into(), headers: Headers::new(), payload: payload.into().into() }
}

/// Redrives by these arguments, and gives what is told of each letter.
async fn redrive(person: &Person, arguments: &[&str]) -> Result<(Said, Vec<Value>)> {
    let said = person.says(&[&["dead", "redrive", "-o", "json"], arguments].concat()).await?;
    let told = said.out.lines().map(serde_json::from_str).collect::<Result<_, _>>();
    let told = told.with_context(|| format!("{said:?}"))?;
    Ok((said, told))
}

/// Redrives one letter, which is dealt with.
async fn redriven(person: &Person, number: u64) -> Result<Value> {
    let (said, mut told) = redrive(person, &[&number.to_string()]).await?;
    ensure!(said.code == 0 && told.len() == 1 && told[0]["result"] == "redriven", "{said:?}");
    ensure!(said.err.ends_with("1 letter redriven\n"), "{said:?}");
    Ok(told.remove(0))
}

/// Redrives one letter, which cannot be dealt with and stays: why.
async fn refused(world: &World, person: &Person, number: u64) -> Result<String> {
    let (said, told) = redrive(person, &[&number.to_string()]).await?;
    ensure!(said.code == 1 && told.len() == 1 && told[0]["result"] == "refused", "{said:?}");
    ensure!(said.err.ends_with("1 refused\n"), "{said:?}");
    ensure!(world.bus.at(Stream::Dead, number).await?.is_some(), "the letter is gone: {said:?}");
    Ok(told[0]["message"].as_str().context("a reason")?.to_owned())
}

/// The numbers of the letters that there are.
async fn letters(world: &World) -> Result<Vec<u64>> {
    Ok(world.stored(Stream::Dead, "dead.>").await?.iter().map(|letter| letter.sequence).collect())
}

/// The runs of a workflow that have begun.
async fn begun(world: &World, workflow: &str) -> Result<Vec<RunId>> {
    let started = world.stored(Stream::Events, &format!("workflow.started.{workflow}.>")).await?;
    let run = |stored: &StoredMessage| Subject::parse(&world.namespace, &stored.message.subject).ok()?.run();
    Ok(started.iter().filter_map(run).collect())
}
