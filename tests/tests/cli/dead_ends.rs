//! Every place where the mesh gives a message up: a message is led into each, and its letter is found by `mesh dead list`.
//!
//! [`DeadEnd`] names the places, and no letter can be written for another. A new one does not compile here until somebody
//! says how a message comes to it.

mod agents;
mod orchestrators;
mod sources;

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use async_nats::jetstream::consumer::{FromConsumer as _, pull};
use mesh_bus::topology::Stream;
use mesh_bus::{DeadEnd, Reason};
use mesh_schemas::{RequestId, RunId, Shards};
use mesh_tests::{Running, TestServer, World};
use serde_json::Value;

use crate::support::Person;

/// The largest message that the server takes here: small, so that little is too much.
const MAX_PAYLOAD: usize = 16 * 1024;

/// A message that was led into a dead end.
struct Provoked {
    end: DeadEnd,
    /// The subject that it was found on, without the namespace.
    subject: String,
    /// What its letter must say.
    error: &'static str,
}

impl Provoked {
    fn new(end: DeadEnd, subject: impl Into<String>, error: &'static str) -> Self {
        Self { end, subject: subject.into(), error }
    }
}

/// A mesh on a server that takes small messages only.
struct Small {
    world: World,
    orchestrator: Running,
    person: Person,
    jetstream: async_nats::jetstream::Context,
    configuration: PathBuf,
    /// Last, so that it goes last.
    _server: TestServer,
}

impl Small {
    async fn start() -> Result<Self> {
        let configuration = std::env::temp_dir().join(format!("mesh-small-{}.conf", uuid::Uuid::new_v4()));
        std::fs::write(&configuration, format!("max_payload: {MAX_PAYLOAD}\n"))?;
        let server = TestServer::start_with(&["--config", &configuration.to_string_lossy()])?;
        let world = World::on(&server.url()).await?;
        let orchestrator = world.orchestrator().await?;
        let jetstream = async_nats::jetstream::new(async_nats::connect(server.url()).await?);
        let person = Person::of(&world)?;
        Ok(Self { world, orchestrator, person, jetstream, configuration, _server: server })
    }

    /// Has a consumer deliver one more kind of subject, as somebody who runs a newer mesh might.
    async fn widen(&self, stream: Stream, consumer: &str, subject: &str) -> Result<()> {
        let stream = self.jetstream.get_stream(stream.name(&self.world.namespace)).await?;
        let info = stream.consumer_info(consumer).await?;
        let mut config = pull::Config::try_from_consumer_config(info.config)
            .map_err(|error| anyhow::anyhow!("no pull consumer: {error}"))?;
        if !config.filter_subject.is_empty() {
            config.filter_subjects.push(std::mem::take(&mut config.filter_subject));
        }
        config.filter_subjects.push(format!("{}.{subject}", self.world.namespace));
        stream.update_consumer(config).await?;
        Ok(())
    }

    /// Waits for the letter about each, and looks for it in what `mesh dead list` says.
    async fn finds(&self, all: &[Provoked]) -> Result<()> {
        let about = |subject: &str| format!("{}.{subject}", self.world.namespace);
        for Provoked { end, subject, .. } in all {
            let place = format!("dead.{}.{}", end.stream().short_name(), end.reason());
            let subject = about(subject);
            let is_it = |letter: &mesh_schemas::StoredMessage| {
                letter.message.headers.get("ce-subject") == Some(&subject)
            };
            let found = self.world.until(Stream::Dead, &place, is_it).await;
            found.with_context(|| format!("{end:?}: no letter {place} about {subject}"))?;
        }
        let arguments = ["dead", "list", "-o", "json", "--limit", "1000"];
        let listed = self.person.says(&arguments).await?.json()?;
        for Provoked { end, subject, error } in all {
            let subject = about(subject);
            let mut listed = listed.as_array().into_iter().flatten();
            let letter = listed.find(|letter| {
                letter["subject"] == *subject
                    && letter["reason"] == end.reason().as_str()
                    && letter["stream"] == end.stream().short_name()
            });
            let letter = letter.with_context(|| format!("{end:?}: {subject} is not listed"))?;
            let told = letter["error"].as_str().unwrap_or_default();
            ensure!(told.contains(error), "{end:?}: {told:?} does not say {error:?}");
        }
        Ok(())
    }

    async fn end(self) -> Result<()> {
        std::fs::remove_file(&self.configuration)?;
        self.orchestrator.stop().await
    }
}

/// A run that nobody asked for.
fn nobodys() -> RunId {
    let id = RequestId { source: "/nobody".to_owned(), id: uuid::Uuid::new_v4().to_string() };
    RunId::for_request("workflow.held", &id, Shards::default())
}

/// Dead ends of messages of one stream.
fn of(is_of: impl Fn(Stream) -> bool) -> impl Iterator<Item = DeadEnd> {
    DeadEnd::ALL.iter().copied().filter(move |end| is_of(end.stream()))
}

#[tokio::test]
async fn every_dead_end_of_orchestrators_leaves_a_letter() -> Result<()> {
    let mesh = Small::start().await?;
    let mut all = Vec::new();
    for end in of(|stream| stream != Stream::Tasks) {
        all.push(orchestrators::provoke(&mesh, end).await.with_context(|| format!("{end:?}"))?);
    }
    mesh.finds(&all).await?;
    mesh.end().await
}

#[tokio::test]
async fn every_dead_end_of_agents_leaves_a_letter() -> Result<()> {
    let mesh = Small::start().await?;
    for agent in [agents::Kind::Rust, agents::Kind::Python] {
        let site = agents::Site::new(&mesh, agent).await?;
        let ends = of(|stream| stream == Stream::Tasks);
        // Agents do not bind to a consumer that delivers what is no work, so that comes when they have bound.
        let (later, before): (Vec<_>, Vec<_>) = ends.partition(|end| *end == DeadEnd::TaskType);
        let mut all = Vec::new();
        for end in before {
            all.push(site.provoke(end).await.with_context(|| format!("{agent:?}: {end:?}"))?);
        }
        let running = site.start_agent().await?;
        mesh.finds(&all).await?;
        for end in later {
            all.push(site.provoke(end).await.with_context(|| format!("{agent:?}: {end:?}"))?);
        }
        mesh.finds(&all).await?;
        running.stop().await?;
    }
    mesh.end().await
}

#[test]
fn every_reason_has_a_dead_end() {
    let led_to: BTreeSet<&str> = DeadEnd::ALL.iter().map(|end| end.reason().as_str()).collect();
    assert_eq!(led_to, Reason::ALL.map(Reason::as_str).into());
}

/// The data of the first work of a run, as a model of what agents are given.
async fn work_of(world: &World, run: RunId) -> Result<Value> {
    let task = world.first(Stream::Tasks, &format!("task.created.*.*.{run}.>")).await?;
    let mut event: Value = serde_json::from_slice(&task.message.payload)?;
    Ok(event["data"].take())
}
