use std::collections::BTreeMap;
use std::future::Future;
use std::marker::PhantomData;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use mesh_bus::Bus;
use mesh_bus::nats::{ConnectOptions, NatsBus};
use mesh_schemas::payload::TaskCreated;
use mesh_schemas::{AgentId, Capability};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::agent::{Agent, AgentError, Prepared};
use crate::context::Context;
#[cfg(unix)]
use crate::exec::Exec;
use crate::failure::TaskFailure;
use crate::handler::{Handler, Output, Raw, Typed};
use crate::http::Http;
use crate::secret::Secrets;

/// Tasks of one capability at once, unless something else is said: some for handlers that wait for others, few
/// enough for those that compute.
const DEFAULT_CAPACITY: usize = 10;
/// Time that running tasks get to end when the agent is stopped.
const DEFAULT_DRAIN: Duration = Duration::from_secs(25);

/// Makes a handler, or says what stands in its way, before the agent takes any work.
type Prepare = Box<dyn FnOnce() -> Result<Arc<dyn Handler>, AgentError> + Send>;

/// Assembles an [`Agent`].
pub struct AgentBuilder {
    type_: String,
    id: Option<String>,
    version: String,
    capacity: usize,
    drain: Duration,
    handlers: Vec<(String, Prepare)>,
    connection: Option<ConnectOptions>,
    bus: Option<Arc<dyn Bus>>,
    secrets: Option<Secrets>,
    observe: Option<SocketAddr>,
}

impl AgentBuilder {
    pub(crate) fn new(type_: String) -> Self {
        Self {
            type_,
            id: None,
            version: "0.1.0".to_owned(),
            capacity: DEFAULT_CAPACITY,
            drain: DEFAULT_DRAIN,
            handlers: Vec::new(),
            connection: None,
            bus: None,
            secrets: None,
            observe: None,
        }
    }

    /// Adds a capability with a handler that takes the input as any type that `serde` reads and returns any type
    /// that it writes. An input that does not fit the type is a fatal failure with the code `invalid_input`.
    ///
    /// A handler must not block: while it computes for long or waits without `await`, its time limit is not kept and
    /// its task is not marked in progress. Wrap such work in [`tokio::task::spawn_blocking`].
    #[must_use]
    pub fn capability<H, I, O, F>(self, capability: &str, handler: H) -> Self
    where
        H: Fn(Context, I) -> F + Send + Sync + 'static,
        I: DeserializeOwned + 'static,
        O: Serialize + 'static,
        F: Future<Output = Result<O, TaskFailure>> + Send + 'static,
    {
        self.handler(capability, || Ok(Arc::new(Typed(handler, PhantomData))))
    }

    /// Adds a capability with a handler that takes the task as it came and returns an [`Output`], which may say
    /// how good it is and what it cost.
    #[must_use]
    pub fn raw_capability<H, F>(self, capability: &str, handler: H) -> Self
    where
        H: Fn(Context, TaskCreated) -> F + Send + Sync + 'static,
        F: Future<Output = Result<Output, TaskFailure>> + Send + 'static,
    {
        self.handler(capability, || Ok(Arc::new(Raw(handler))))
    }

    /// Adds a capability that a program has: one process for each task.
    #[cfg(unix)]
    #[must_use]
    pub fn exec(self, capability: &str, exec: Exec) -> Self {
        self.handler(capability, || Ok(Arc::new(exec.prepare()?)))
    }

    /// Adds a capability that an HTTP service has: one request for each task.
    #[must_use]
    pub fn http(self, capability: &str, http: Http) -> Self {
        self.handler(capability, || Ok(Arc::new(http.prepare()?)))
    }

    /// How many tasks of each capability run at once, at least 1 (default 10). Each capability has room of its own,
    /// so that a backlog of one never delays another.
    #[must_use]
    pub fn capacity(mut self, capacity: usize) -> Self {
        self.capacity = capacity.max(1);
        self
    }

    /// Name of this process, unlike that of any other (default: the agent's type and eight random digits).
    #[must_use]
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// Version of the agent, a semantic version (default `0.1.0`).
    #[must_use]
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.version = version.into();
        self
    }

    /// How long running tasks get to end when the agent is stopped (default 25 s). What does not end is handed to
    /// other agents.
    #[must_use]
    pub fn drain_timeout(mut self, timeout: Duration) -> Self {
        self.drain = timeout;
        self
    }

    /// How to connect (default: from the environment, see [`ConnectOptions::from_env`]).
    #[must_use]
    pub fn connect(mut self, options: ConnectOptions) -> Self {
        self.connection = Some(options);
        self
    }

    /// Where the secrets are that tasks refer to (default: [`Secrets::from_env`]; the test kit puts none in).
    #[must_use]
    pub fn secrets(mut self, secrets: Secrets) -> Self {
        self.secrets = Some(secrets);
        self
    }

    /// Tells metrics and health at an address: `/metrics` for Prometheus, `/healthz` and `/readyz` for whoever supervises the
    /// process (default: nowhere). Port 0 is any free one, which is logged.
    #[must_use]
    pub fn observe(mut self, address: SocketAddr) -> Self {
        self.observe = Some(address);
        self
    }

    /// A connection that is there already.
    #[must_use]
    pub fn bus(mut self, bus: Arc<dyn Bus>) -> Self {
        self.bus = Some(bus);
        self
    }

    /// Runs the agent until the process is asked to stop by SIGTERM or Ctrl-C, then lets running tasks end.
    ///
    /// # Errors
    /// [`AgentError`] if a name is not valid, no capability was given, a program or URL cannot be used, or NATS cannot
    /// be reached.
    pub async fn run(self) -> Result<(), AgentError> {
        let stop = crate::stop_signal()?;
        self.run_until(stop).await
    }

    /// Runs the agent until `stop`, then lets running tasks end.
    ///
    /// # Errors
    /// [`AgentError`] if a name is not valid, no capability was given, a program or URL cannot be used, or NATS cannot
    /// be reached.
    pub async fn run_until(self, stop: CancellationToken) -> Result<(), AgentError> {
        self.build().await?.run_until(stop).await
    }

    fn handler(
        mut self,
        capability: &str,
        prepare: impl FnOnce() -> Result<Arc<dyn Handler>, AgentError> + Send + 'static,
    ) -> Self {
        self.handlers.push((capability.to_owned(), Box::new(prepare)));
        self
    }

    async fn build(mut self) -> Result<Agent, AgentError> {
        let (bus, connection, observe) = (self.bus.take(), self.connection.take(), self.observe);
        let prepared = self.prepare()?;
        let bus = match bus {
            Some(bus) => bus,
            None => {
                let options = match connection {
                    Some(options) => options,
                    None => ConnectOptions::from_env()?,
                };
                mesh_telemetry::connected_to(options.server());
                Arc::new(NatsBus::connect(options.name(prepared.id.as_str())).await?)
            }
        };
        Ok(Agent { bus, prepared, is_listed: true, observe })
    }

    /// Names the process by its type, unless it has a name: the same in every test. Secrets are not looked for.
    #[cfg(feature = "testing")]
    pub(crate) fn named(mut self) -> Self {
        self.id.get_or_insert_with(|| self.type_.clone());
        self.secrets.get_or_insert_with(Secrets::nowhere);
        self
    }

    /// All that can be done and checked without a bus.
    pub(crate) fn prepare(self) -> Result<Prepared, AgentError> {
        let mut handlers = BTreeMap::new();
        for (name, prepare) in self.handlers {
            let capability = Capability::new(name)?;
            if handlers.contains_key(&capability) {
                return Err(AgentError::Capabilities(format!("'{capability}' has two handlers")));
            }
            handlers.insert(capability, prepare()?);
        }
        if handlers.is_empty() {
            return Err(AgentError::Capabilities("there is none: add one with .capability(…)".to_owned()));
        }
        // The type becomes part of ids and subjects, so it follows the same rule as they do.
        let type_ = AgentId::new(self.type_)?;
        let id = match self.id {
            Some(id) => AgentId::new(id)?,
            None => AgentId::new(format!("{type_}-{}", &Uuid::new_v4().simple().to_string()[..8]))?,
        };
        Ok(Prepared {
            id,
            type_: type_.to_string(),
            version: self.version,
            capacity: self.capacity,
            drain: self.drain,
            secrets: self.secrets.unwrap_or_default(),
            handlers,
        })
    }
}
