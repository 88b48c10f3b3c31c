use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use mesh_agents::AgentBuilder;
use mesh_bus::memory::MemoryServer;
use mesh_bus::topology::Bucket;
use mesh_bus::{Bus, RunOutcome};
use mesh_orchestrator::Options;
use mesh_schemas::{ErrorCode, Namespace, RunId};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::commands::runs::{Attending, ask_to_end, until_the_end};
use crate::failure::Failure;

/// How long the end of a cancelled run may take. It takes a moment: nothing is between it and us.
const ENDS_WITHIN: Duration = Duration::from_secs(10);

/// A mesh in this process: a bus, an orchestrator, and an agent.
pub(super) struct Mesh {
    server: MemoryServer,
    orchestrator: Part,
    agent: Part,
}

impl Mesh {
    /// Starts it, and returns when both take work.
    pub(super) async fn start(namespace: Namespace, agent: AgentBuilder) -> anyhow::Result<Self> {
        let server = MemoryServer::new(namespace);
        let bus = server.connect();
        let (ready, is_ready) = oneshot::channel();
        let mut orchestrator = Part::start("orchestrator", |stop| async move {
            let ready = move || {
                // Whoever does not wait for it any more has given up.
                let _ = ready.send(());
            };
            Ok(mesh_orchestrator::run_with(bus, Options::alone(), stop, ready).await?)
        });
        tokio::select! {
            Ok(()) = is_ready => {}
            error = orchestrator.died() => return Err(error),
        }
        let bus = server.connect();
        let mut registry = bus.watch(Bucket::Agents).await?;
        let mut agent = Part::start("agent", |stop| async move { Ok(agent.bus(bus).run_until(stop).await?) });
        let registered = async {
            while let Some(entry) = registry.next().await {
                if entry?.is_some() {
                    break;
                }
            }
            anyhow::Ok(())
        };
        tokio::select! {
            registered = registered => registered?,
            error = agent.died() => return Err(error),
        }
        Ok(Self { server, orchestrator, agent })
    }

    /// A connection.
    pub(super) fn bus(&self) -> Arc<dyn Bus> {
        self.server.connect()
    }

    /// Submits a request and stays with its run until it ends, which it is made to when the process is asked to stop.
    pub(super) async fn attend(
        &mut self,
        run: RunId,
        how: Attending<'_>,
        stop: &CancellationToken,
    ) -> anyhow::Result<RunOutcome> {
        let bus = self.bus();
        let mut end = std::pin::pin!(until_the_end(Arc::clone(&bus), run, how));
        tokio::select! {
            end = &mut end => return end,
            error = self.died() => return Err(error),
            () = stop.cancelled() => {}
        }
        tokio::select! {
            end = end => end,
            error = self.died() => Err(error),
            Err(error) = ask_to_end(&*bus, run, "interrupted") => Err(error),
            () = tokio::time::sleep(ENDS_WITHIN) => {
                let message = format!("the run did not end within {} s of being cancelled", ENDS_WITHIN.as_secs());
                Err(Failure::new(ErrorCode::NoOutcome, message).into())
            }
        }
    }

    async fn died(&mut self) -> anyhow::Error {
        tokio::select! {
            error = self.orchestrator.died() => error,
            error = self.agent.died() => error,
        }
    }

    /// Stops the agent, with whatever its programs have left running, and then the orchestrator.
    pub(super) async fn stop(self) -> anyhow::Result<()> {
        self.agent.stop().await?;
        self.orchestrator.stop().await
    }
}

/// What runs until it is told to stop.
struct Part {
    name: &'static str,
    stop: CancellationToken,
    task: JoinHandle<anyhow::Result<()>>,
}

impl Part {
    fn start<F>(name: &'static str, run: impl FnOnce(CancellationToken) -> F) -> Self
    where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let stop = CancellationToken::new();
        Self { name, task: tokio::spawn(run(stop.clone())), stop }
    }

    /// Returns when it ends although nobody told it to, and says why.
    async fn died(&mut self) -> anyhow::Error {
        let why = match (&mut self.task).await {
            Ok(Err(error)) => return error,
            Ok(Ok(())) => "nobody asked it to".to_owned(),
            Err(died) => died.to_string(),
        };
        Failure::new(ErrorCode::Died, format!("the {} stopped unexpectedly: {why}", self.name)).into()
    }

    async fn stop(self) -> anyhow::Result<()> {
        self.stop.cancel();
        self.task.await?
    }
}
