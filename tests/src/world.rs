//! A mesh of one's own: a namespace on a NATS server, orchestrators and agents in this process.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use futures::StreamExt as _;
use mesh_agents::AgentBuilder;
use mesh_bus::nats::{ConnectOptions, NatsBus};
use mesh_bus::topology::{Bucket, Stream};
use mesh_bus::{Bus, From, Publish, Request, RunOutcome, RunWaiter, Target, run_id, submit};
use mesh_orchestrator::{Options, definitions};
use mesh_schemas::document::Format;
use mesh_schemas::{Headers, Message, Namespace, RequestId, RunId, StoredMessage};
use serde_json::Value;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Longest time that a test waits for anything: far above what a busy machine needs.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A namespace on a server, as clients see it.
pub struct World {
    /// Where the server listens, or the servers with commas between.
    pub url: String,
    /// The namespace.
    pub namespace: Namespace,
    /// A connection of the test's own.
    pub bus: Arc<NatsBus>,
}

/// Something that runs in this process until it is stopped.
pub struct Running {
    stop: CancellationToken,
    task: JoinHandle<Result<()>>,
}

impl Running {
    fn spawn(run: impl Future<Output = Result<()>> + Send + 'static, stop: CancellationToken) -> Self {
        Self { stop, task: tokio::spawn(run) }
    }

    /// Asks it to stop, and waits until it has.
    ///
    /// # Errors
    /// What it ended with.
    pub async fn stop(self) -> Result<()> {
        self.stop.cancel();
        self.task.await?
    }
}

impl World {
    /// A new namespace on a server.
    ///
    /// # Errors
    /// If the server cannot be reached.
    pub async fn on(url: &str) -> Result<Self> {
        let namespace = Namespace::new(format!("t{}", Uuid::new_v4().simple()))?;
        let options = ConnectOptions::new(url).namespace(namespace.clone()).name("test");
        Ok(Self { url: url.to_owned(), namespace, bus: Arc::new(NatsBus::connect(options).await?) })
    }

    /// The servers of the mesh, for a client without the mesh.
    ///
    /// # Errors
    /// If their addresses cannot be read.
    pub fn servers(&self) -> Result<Vec<async_nats::ServerAddr>> {
        self.url.split(',').map(|url| Ok(url.parse()?)).collect()
    }

    /// Another connection to the namespace.
    ///
    /// # Errors
    /// If the server cannot be reached.
    pub async fn connect(&self, name: &str) -> Result<Arc<NatsBus>> {
        let options = ConnectOptions::new(&self.url).namespace(self.namespace.clone()).name(name);
        Ok(Arc::new(NatsBus::connect(options).await?))
    }

    /// Starts an orchestrator in this process and waits until it is ready.
    ///
    /// # Errors
    /// If it cannot start.
    pub async fn orchestrator(&self) -> Result<Running> {
        self.orchestrator_with(Options::default()).await
    }

    /// Starts an orchestrator with settings and waits until it is ready.
    ///
    /// # Errors
    /// If it cannot start.
    pub async fn orchestrator_with(&self, options: Options) -> Result<Running> {
        let bus = self.connect("orchestrator").await?;
        let stop = CancellationToken::new();
        let (ready, is_ready) = tokio::sync::oneshot::channel();
        let token = stop.clone();
        let run = async move {
            let told = move || {
                let _ = ready.send(());
            };
            mesh_orchestrator::run_with(bus, options, token, told).await.context("the orchestrator")
        };
        let running = Running::spawn(run, stop);
        match is_ready.await {
            Ok(()) => Ok(running),
            Err(_) => Err(running.stop().await.err().context("the orchestrator stopped without an error")?),
        }
    }

    /// Starts an agent in this process.
    ///
    /// # Errors
    /// If the server cannot be reached.
    pub async fn agent(&self, builder: AgentBuilder) -> Result<Running> {
        let bus = self.connect("agent").await?;
        let stop = CancellationToken::new();
        let run = builder.bus(bus).run_until(stop.clone());
        Ok(Running::spawn(async move { run.await.context("the agent") }, stop))
    }

    /// Registers a definition written in YAML.
    ///
    /// # Errors
    /// Every problem of the definition, or that it cannot be stored.
    pub async fn apply(&self, yaml: &str) -> Result<()> {
        let definition = definitions::check(yaml, Format::Yaml)?;
        definitions::apply(&*self.bus, &definition).await?;
        Ok(())
    }

    /// A request for a run of a workflow, from this test and under an id.
    ///
    /// # Errors
    /// If the name is not valid.
    pub fn request(&self, workflow: &str, id: &str, input: Value) -> Result<Request> {
        let id = RequestId { source: "/test".to_owned(), id: id.to_owned() };
        Ok(Request::new(Target::Workflow(workflow.parse()?), id, input))
    }

    /// Starts a run.
    ///
    /// # Errors
    /// If the request cannot be stored.
    pub async fn start(&self, workflow: &str, input: Value) -> Result<RunId> {
        let request = self.request(workflow, &Uuid::new_v4().to_string(), input)?;
        Ok(submit(&*self.bus, &request).await?)
    }

    /// Starts a run and waits for its end.
    ///
    /// # Errors
    /// If the request cannot be stored, or the run does not end in time.
    pub async fn run(&self, workflow: &str, input: Value) -> Result<RunOutcome> {
        let run = self.start(workflow, input).await?;
        self.ended(run).await
    }

    /// Starts a run, waits for its end, and gives its output.
    ///
    /// # Errors
    /// If it did not complete.
    pub async fn output(&self, workflow: &str, input: Value) -> Result<Value> {
        match self.run(workflow, input).await? {
            RunOutcome::Completed(completed) => Ok(completed.output),
            other => bail!("the run did not complete: {other:?}"),
        }
    }

    /// Waits for the end of a run.
    ///
    /// # Errors
    /// If it does not end in time.
    pub async fn ended(&self, run: RunId) -> Result<RunOutcome> {
        let bus: Arc<dyn Bus> = Arc::<NatsBus>::clone(&self.bus);
        let mut waiter = RunWaiter::new(bus, run).await?;
        Ok(patiently(&format!("the end of run {run}"), waiter.wait()).await??)
    }

    /// The run that a request names.
    ///
    /// # Errors
    /// If the namespace is not set up.
    pub async fn run_of(&self, request: &Request) -> Result<RunId> {
        Ok(run_id(request, self.bus.shards().await?))
    }

    /// Publishes bytes on a subject of the namespace, given without its first token, and waits until they are
    /// stored.
    ///
    /// # Errors
    /// If they are not stored.
    pub async fn publish(&self, subject: &str, payload: impl Into<bytes::Bytes>) -> Result<()> {
        let subject = format!("{}.{subject}", self.namespace);
        let message = Message { subject, headers: Headers::new(), payload: payload.into() };
        self.bus.publish(Publish::plain(message)).await?;
        Ok(())
    }

    /// Everything that a stream holds on these subjects now, given without the first token.
    ///
    /// # Errors
    /// If the stream cannot be read.
    pub async fn stored(&self, stream: Stream, filter: &str) -> Result<Vec<StoredMessage>> {
        let filter = format!("{}.{filter}", self.namespace);
        let mut messages = self.bus.follow(stream, vec![filter], From::Begin).await?;
        let mut all = Vec::new();
        while let Some(message) = patiently("the stored messages", messages.next()).await? {
            let Some(stored) = message? else { break };
            all.push(stored);
        }
        Ok(all)
    }

    /// Waits for the next messages of a stream until one fits.
    ///
    /// # Errors
    /// If none comes in time.
    pub async fn until(
        &self,
        stream: Stream,
        filter: &str,
        mut fits: impl FnMut(&StoredMessage) -> bool,
    ) -> Result<StoredMessage> {
        let subject = format!("{}.{filter}", self.namespace);
        let mut messages = self.bus.follow(stream, vec![subject], From::Begin).await?;
        let wait = async {
            while let Some(message) = messages.next().await {
                if let Some(stored) = message?
                    && fits(&stored)
                {
                    return Ok(stored);
                }
            }
            bail!("the stream ended")
        };
        patiently(&format!("a message on {filter}"), wait).await?
    }

    /// Waits for the first message on a subject.
    ///
    /// # Errors
    /// If none comes in time.
    pub async fn first(&self, stream: Stream, filter: &str) -> Result<StoredMessage> {
        self.until(stream, filter, |_| true).await
    }

    /// Takes the bucket of objects away, so that events carry their data as far as the server takes it.
    ///
    /// # Errors
    /// If it is not there.
    pub async fn without_objects(&self) -> Result<()> {
        let jetstream = async_nats::jetstream::new(async_nats::connect(&self.url).await?);
        jetstream.delete_stream(format!("OBJ_{}", self.namespace.object_bucket())).await?;
        Ok(())
    }

    /// How many agents are in the registry.
    ///
    /// # Errors
    /// If it cannot be read.
    pub async fn registered(&self) -> Result<BTreeMap<String, Value>> {
        let entries = self.bus.entries(Bucket::Agents).await?;
        let read = |entry: mesh_bus::Entry| Ok((entry.key, serde_json::from_slice(&entry.value)?));
        entries.into_iter().map(read).collect()
    }
}

/// Waits for something that is sure to happen.
///
/// # Errors
/// If it did not happen in [`PATIENCE`].
pub async fn patiently<T>(what: &str, event: impl Future<Output = T>) -> Result<T> {
    tokio::time::timeout(PATIENCE, event).await.with_context(|| format!("waited too long for {what}"))
}
