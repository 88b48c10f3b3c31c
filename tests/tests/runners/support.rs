//! A mesh with one agent, and tasks for it.

use anyhow::{Context as _, Result, bail};
use mesh_agents::AgentBuilder;
use mesh_bus::topology::Stream;
use mesh_bus::{RunOutcome, submit};
use mesh_schemas::payload::{TaskError, TaskFailed};
use mesh_schemas::{Decoded, Digest, Envelope, RunId, StoredMessage};
use mesh_tests::{Running, TestServer, World};
use serde_json::Value;

/// A server, an orchestrator and an agent.
pub(crate) struct Mesh {
    pub(crate) world: World,
    orchestrator: Running,
    agent: Option<Running>,
    _server: TestServer,
}

/// Nobody works but those that a test starts.
pub(crate) async fn mesh() -> Result<Mesh> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    Ok(Mesh { world, orchestrator, agent: None, _server: server })
}

impl Mesh {
    pub(crate) async fn with(mut self, agent: AgentBuilder) -> Result<Self> {
        self.agent = Some(self.world.agent(agent).await?);
        Ok(self)
    }

    /// Begins a run of one task of a capability. `more` are keys of the task, each with a comma after it.
    pub(crate) async fn start(&self, capability: &str, more: &str, input: Value) -> Result<RunId> {
        let definition = format!(
            "
mesh: v1
name: {capability}
output: '${{tasks.work.output}}'
tasks: {{work: {{agent: {capability}, with: '${{input}}', {more} retry: {{max_attempts: 1}}}}}}
"
        );
        self.world.apply(&definition).await?;
        let id = Digest::of(format!("{input}/{more}").as_bytes()).to_string();
        let request = mesh_bus::Request {
            correlation_id: Some("an order ä".to_owned()),
            trace: mesh_schemas::TraceContext::new(TRACEPARENT, Some("vendor=value")),
            ..self.world.request(capability, &id, input)?
        };
        Ok(submit(&*self.world.bus, &request).await?)
    }

    /// The outcome of one task of a capability.
    pub(crate) async fn task(
        &self,
        capability: &str,
        input: Value,
    ) -> Result<std::result::Result<Value, TaskError>> {
        let run = self.start(capability, "", input).await?;
        match self.world.ended(run).await? {
            RunOutcome::Completed(completed) => Ok(Ok(completed.output)),
            RunOutcome::Failed(_) => Ok(Err(self.error(run).await?)),
            other => bail!("the run neither completed nor failed: {other:?}"),
        }
    }

    /// The output of one task of a capability.
    pub(crate) async fn output(&self, capability: &str, input: Value) -> Result<Value> {
        self.task(capability, input).await?.map_err(|error| anyhow::anyhow!("the task failed: {error:?}"))
    }

    /// The error of one task of a capability.
    pub(crate) async fn failure(&self, capability: &str, input: Value) -> Result<TaskError> {
        match self.task(capability, input).await? {
            Err(error) => Ok(error),
            Ok(output) => bail!("the task of {capability} did not fail: {output}"),
        }
    }

    /// The error of the only task of a run.
    pub(crate) async fn error(&self, run: RunId) -> Result<TaskError> {
        let stored = self.world.first(Stream::Events, &format!("task.failed.*.*.{run}.>")).await?;
        Ok(data::<TaskFailed>(&stored)?.error)
    }

    /// Asks for the end of a run.
    pub(crate) async fn cancel(&self, run: RunId) -> Result<()> {
        self.world.publish(&format!("workflow.signalled.-.-.{run}.cancel.1"), "").await
    }

    /// Stops the agent.
    pub(crate) async fn stop_agent(&mut self) -> Result<()> {
        self.agent.take().context("there is no agent")?.stop().await
    }

    pub(crate) async fn stop(mut self) -> Result<()> {
        if self.agent.is_some() {
            self.stop_agent().await?;
        }
        self.orchestrator.stop().await
    }
}

/// The trace that every run belongs to.
pub(crate) const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn data<T: serde::de::DeserializeOwned>(stored: &StoredMessage) -> Result<T> {
    match Envelope::decode(&stored.message.headers, &stored.message.payload)? {
        Decoded::Event(event) => Ok(event.data()?),
        Decoded::Bare(_) => bail!("{} is no CloudEvent", stored.message.subject),
    }
}
