use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use mesh_bus::nats::SettingsError;
use mesh_bus::{Bus, BusError, Report};
use mesh_schemas::payload::AgentRegistered;
use mesh_schemas::{AgentId, Capability, ErrorCode, NameError};
use mesh_telemetry::Endpoint;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::{info, warn};

use crate::builder::AgentBuilder;
use crate::cancel::Cancellations;
use crate::common::Common;
#[cfg(unix)]
use crate::exec::ExecError;
use crate::handler::Handler;
use crate::http::HttpError;
use crate::observe::{Outlook, Served};
use crate::registry;
use crate::secret::Secrets;
use crate::worker::Worker;

/// A process that does tasks.
pub struct Agent {
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) prepared: Prepared,
    /// Whether it is kept in the registry, by heartbeats. Nothing depends on it but what people see.
    pub(crate) is_listed: bool,
    /// Where it tells how it is, if anywhere.
    pub(crate) observe: Option<SocketAddr>,
}

/// An agent without the bus that it is to work on.
#[derive(Clone)]
pub(crate) struct Prepared {
    pub(crate) id: AgentId,
    pub(crate) type_: String,
    pub(crate) version: String,
    pub(crate) capacity: usize,
    pub(crate) drain: Duration,
    pub(crate) secrets: Secrets,
    pub(crate) handlers: BTreeMap<Capability, Arc<dyn Handler>>,
}

/// Why an agent could not run. A `main` that returns it prints what its `Debug` says, so that says the same as
/// `Display`, with the [code](AgentError::code).
#[derive(thiserror::Error)]
pub enum AgentError {
    /// A name is not valid.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The capabilities are not as they should be.
    #[error("the agent's capabilities: {0}")]
    Capabilities(String),
    /// It is not clear how to connect.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// A program cannot do a capability.
    #[cfg(unix)]
    #[error(transparent)]
    Exec(#[from] ExecError),
    /// An HTTP service cannot do a capability.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The bus cannot be used.
    #[error(transparent)]
    Bus(#[from] BusError),
    /// It cannot tell how it is at this address.
    #[error("metrics and health cannot be told at {address}: {error}")]
    Observe {
        /// The address.
        address: SocketAddr,
        /// Why not.
        error: std::io::Error,
    },
    /// The process cannot be told to stop.
    #[error("cannot listen for signals: {0}")]
    Signals(#[from] std::io::Error),
    /// A part of the agent died, which is a defect.
    #[error("the agent stopped unexpectedly: {0}")]
    Died(String),
}

impl std::fmt::Debug for AgentError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "[{}] {self}", self.code())
    }
}

impl AgentError {
    /// What kind of error it is.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Name(_) => ErrorCode::InvalidName,
            Self::Capabilities(_) => ErrorCode::NoCapability,
            Self::Settings(error) => error.code(),
            #[cfg(unix)]
            Self::Exec(_) => ErrorCode::NoProgram,
            Self::Http(_) => ErrorCode::BadUrl,
            Self::Bus(error) => error.code(),
            Self::Observe { .. } => ErrorCode::NoEndpoint,
            Self::Signals(_) | Self::Died(_) => ErrorCode::Died,
        }
    }
}

impl Agent {
    /// Begins an agent of a type: the same for every process of one deployment.
    #[must_use]
    pub fn builder(type_: impl Into<String>) -> AgentBuilder {
        AgentBuilder::new(type_.into())
    }

    pub(crate) async fn run_until(self, stop: CancellationToken) -> Result<(), AgentError> {
        let Self { bus, prepared, is_listed, observe } = self;
        let outlook = Outlook::new(Arc::clone(&bus));
        let _endpoint = open(observe, &prepared.type_, &outlook).await?;
        let registered = prepared.registered();
        let said = serde_json::to_value(&registered).unwrap_or_default();
        let told = outlook.clone();
        let report: Report = Arc::new(move || {
            let mut said = said.clone();
            if let Some(said) = said.as_object_mut() {
                said.insert("problems".to_owned(), told.problems().into());
            }
            said
        });
        let _service = bus.announce(&prepared.type_, &prepared.version, "agent of the mesh", report).await?;
        let cancellations = Cancellations::default();
        let parts_stop = stop.child_token();
        // Heartbeats go on while the last tasks end.
        let farewell = CancellationToken::new();
        let keep_alive = || registry::keep_alive(Arc::clone(&bus), registered.clone(), farewell.clone());
        let heartbeat = is_listed.then(|| tokio::spawn(keep_alive()));
        let watched = outlook.clone();
        let watch = AbortOnDropHandle::new(tokio::spawn(async move { watched.watch().await }));
        let mut workers = JoinSet::new();
        let mut served = Vec::new();
        for (capability, handler) in &prepared.handlers {
            let worker = Worker {
                common: Common::new(&bus, &prepared, (capability, handler), &cancellations),
                capability: capability.clone(),
                capacity: prepared.capacity,
                drain: prepared.drain,
                outlook: outlook.clone(),
            };
            served.push(Served::new(capability, prepared.capacity));
            workers.spawn(worker.run(parts_stop.clone()));
        }
        let capabilities: Vec<&str> = registered.capabilities.iter().map(Capability::as_str).collect();
        info!(agent = %prepared.id, capabilities = capabilities.join(", "), "agent ready");
        let mut died = None;
        while let Some(ended) = workers.join_next().await {
            if let Err(error) = ended {
                died = Some(error.to_string());
                parts_stop.cancel();
            }
        }
        farewell.cancel();
        drop((watch, served));
        if let Some(heartbeat) = heartbeat
            && let Err(error) = heartbeat.await
        {
            warn!(%error, "the heartbeat died");
        }
        info!(agent = %prepared.id, "agent stopped");
        died.map_or(Ok(()), |error| Err(AgentError::Died(error)))
    }
}

/// Opens the endpoint where the agent tells how it is, if it is to have one.
async fn open(
    observe: Option<SocketAddr>,
    type_: &str,
    outlook: &Outlook,
) -> Result<Option<Endpoint>, AgentError> {
    let Some(address) = observe else { return Ok(None) };
    let told = outlook.clone();
    let problems = Arc::new(move || told.problems());
    let endpoint = mesh_telemetry::serve(type_, address, problems).await;
    endpoint.map(Some).map_err(|error| AgentError::Observe { address, error })
}

impl Prepared {
    fn registered(&self) -> AgentRegistered {
        let capacity = self.capacity * self.handlers.len();
        AgentRegistered {
            agent: self.id.clone(),
            type_: self.type_.clone(),
            capabilities: self.handlers.keys().cloned().collect(),
            capacity: u32::try_from(capacity).unwrap_or(u32::MAX),
            version: self.version.clone(),
        }
    }
}
