//! How work comes to the dead ends of agents, whatever they are written in.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use chrono::Utc;
use mesh_agents::{Agent, Context, TaskFailure};
use mesh_bus::topology::{Stream, agent_consumer};
use mesh_bus::{Bus as _, DeadEnd, Flow};
use mesh_schemas::Lane;
use mesh_tests::{Running, World, patiently};
use serde_json::{Value, json};
use tokio::process::{Child, Command};

use super::{MAX_PAYLOAD, Provoked, Small, nobodys, work_of};

/// How often work may be lost.
const MAX_LOST: usize = 5;

/// What an agent is written with.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Rust,
    Python,
}

/// Work for agents of one kind, before there is one.
pub(super) struct Site<'a> {
    mesh: &'a Small,
    kind: Kind,
    capability: &'static str,
}

/// An agent that runs.
pub(super) enum Agents {
    Rust(Running),
    Python(Child),
}

impl Agents {
    pub(super) async fn stop(self) -> Result<()> {
        match self {
            Self::Rust(agent) => agent.stop().await,
            Self::Python(mut agent) => Ok(agent.kill().await?),
        }
    }
}

async fn work(_context: Context, input: Value) -> Result<Value, TaskFailure> {
    Ok(input)
}

impl<'a> Site<'a> {
    pub(super) async fn new(mesh: &'a Small, kind: Kind) -> Result<Self> {
        let capability = match kind {
            Kind::Rust => "rust",
            Kind::Python => "python",
        };
        let site = Self { mesh, kind, capability };
        mesh.world.bus.ensure_consumer(&site.consumer()?).await?;
        Ok(site)
    }

    fn consumer(&self) -> Result<mesh_bus::ConsumerSpec> {
        Ok(agent_consumer(&self.mesh.world.namespace, &self.capability.parse()?, &Lane::Normal))
    }

    pub(super) async fn start_agent(&self) -> Result<Agents> {
        let world = &self.mesh.world;
        Ok(match self.kind {
            Kind::Rust => {
                let agent = Agent::builder("worker").capacity(4).capability(self.capability, work);
                Agents::Rust(world.agent(agent).await?)
            }
            Kind::Python => Agents::Python(python(world, self.capability)?),
        })
    }

    /// Stores work that an agent will have to give up.
    pub(super) async fn provoke(&self, end: DeadEnd) -> Result<Provoked> {
        let (world, capability) = (&self.mesh.world, self.capability);
        let (subject, error) = match end {
            DeadEnd::TaskSubject => {
                let subject = format!("task.created.{capability}.normal.{}.T.1", nobodys());
                world.publish(&subject, "{}").await?;
                (subject, "T")
            }
            DeadEnd::TaskType => {
                self.take_what_is_no_work().await?;
                let subject = format!("task.resumed.{capability}.normal.{}.t.1", nobodys());
                world.publish(&subject, "{}").await?;
                (subject, "only task.created is work")
            }
            DeadEnd::UnreadableTask => {
                let subject = format!("task.created.{capability}.normal.{}.t.1", nobodys());
                world.publish(&subject, "\u{fffd}").await?;
                (subject, "JSON")
            }
            DeadEnd::PoisonTask => (self.lose_too_often().await?, "5 deliveries ended without an outcome"),
            DeadEnd::LargeOutcome => (self.leave_no_room().await?, "16384"),
            _ => bail!("orchestrators come to it"),
        };
        Ok(Provoked::new(end, subject, error))
    }

    /// Has the tasks' stream and the agents' consumer take another kind of message.
    async fn take_what_is_no_work(&self) -> Result<()> {
        let name = Stream::Tasks.name(&self.mesh.world.namespace);
        let stream = self.mesh.jetstream.get_stream(&name).await?;
        let mut config = stream.cached_info().config.clone();
        let resumed = format!("{}.task.resumed.>", self.mesh.world.namespace);
        if !config.subjects.contains(&resumed) {
            config.subjects.push(resumed);
            self.mesh.jetstream.update_stream(&config).await?;
        }
        let consumer = self.consumer()?.name;
        self.mesh.widen(Stream::Tasks, &consumer, &format!("task.resumed.{}.>", self.capability)).await
    }

    /// Work that was taken as often as is allowed, by nobody who brought it to an end.
    async fn lose_too_often(&self) -> Result<String> {
        let world = &self.mesh.world;
        let name = format!("lost-{}", self.capability);
        world
            .apply(&format!("{{mesh: v1, name: {name}, tasks: {{t: {{agent: {}}}}}}}", self.capability))
            .await?;
        let run = world.start(&name, json!({})).await?;
        let subject = format!("task.created.{}.normal.{run}.t.1", self.capability);
        world.first(Stream::Tasks, &subject).await?;
        let mut deliveries = world.bus.consume(&self.consumer()?, Flow::OnRequest).await?;
        let mut lost = 0;
        while lost < MAX_LOST {
            deliveries.request(1);
            let delivery = patiently("the work", deliveries.next()).await??;
            lost += usize::from(delivery.stored.message.subject.ends_with(&subject));
            delivery.acker.nak(Duration::ZERO).await;
        }
        deliveries.stop().await;
        Ok(subject)
    }

    /// Work that just fits, so that what comes of it does not.
    async fn leave_no_room(&self) -> Result<String> {
        let subject = format!("task.created.{}.normal.{}.t.1", self.capability, nobodys());
        let mut event = json!({
            "specversion": "1.0", "id": "1", "source": "x", "type": "x", "data": self.task().await?,
            "correlationid": "",
        });
        let rest = event.to_string().len();
        event["correlationid"] = "x".repeat(MAX_PAYLOAD - rest - 1).into();
        self.mesh.world.publish(&subject, event.to_string()).await?;
        Ok(subject)
    }

    /// The data of work that can be read.
    async fn task(&self) -> Result<Value> {
        let world = &self.mesh.world;
        world.apply(super::orchestrators::HELD).await?;
        let mut task = work_of(world, world.start("held", json!({})).await?).await?;
        task["input"] = json!({"do": "return"});
        // Old work is looked up first: nobody has asked for this.
        task["basis"] = json!(Utc::now());
        Ok(task)
    }
}

/// The agent of the Python package's own tests, as a process.
fn python(world: &World, capability: &str) -> Result<Child> {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let tools = std::env::var_os("PYTHONPATH").map_or_else(|| top.join("target/tools/python"), PathBuf::from);
    let path = std::env::join_paths([top.join("agents/python"), tools])?;
    Command::new("python3")
        .arg(top.join("agents/python/tests/worker.py"))
        .arg(capability)
        .env("PYTHONPATH", path)
        .env("MESH_NATS_URL", &world.url)
        .env("MESH_NAMESPACE", world.namespace.as_str())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .context("start python3")
}
