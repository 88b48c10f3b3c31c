//! What a test mesh consists of.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mesh_bus::Bus;
use mesh_bus::memory::{MemoryBus, MemoryServer};
use mesh_bus::topology::Topology;
use mesh_orchestrator::{Options, definitions};
use mesh_schemas::{AgentId, Capability, Definition, Namespace, TaskId, WorkflowName};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::handler::{Mock, Scripted};
use super::process::Process;
use super::recorder::Recorder;
use super::script::{Behaviour, Behaviours};
use crate::agent::{Agent, Prepared};
use crate::handler::Handler;
use crate::secret::Secrets;

/// Tasks of a mocked capability at once: a mock that takes its time is not to hold up others.
const MOCK_CAPACITY: usize = 10_000;

pub(super) struct Inner {
    pub(super) server: MemoryServer,
    /// The test's own connection.
    pub(super) bus: Arc<MemoryBus>,
    pub(super) recorder: Arc<Recorder>,
    state: Mutex<State>,
    /// What ended that should not have.
    pub(super) trouble: watch::Sender<Option<String>>,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) workflows: BTreeMap<WorkflowName, Workflow>,
    agents: Vec<RunningAgent>,
    orchestrator: Option<Process>,
    /// What writes down what passes.
    listener: Option<Process>,
    pub(super) mocks: BTreeMap<Capability, Mock>,
    pub(super) behaviours: BTreeMap<Capability, Behaviours>,
    /// Capabilities that nobody is to have.
    pub(super) absent: BTreeSet<Capability>,
    pub(super) patience: Option<Duration>,
    numbers: u64,
}

pub(super) struct Workflow {
    pub(super) definition: Definition,
    is_applied: bool,
}

struct RunningAgent {
    prepared: Prepared,
    process: Option<Process>,
}

impl State {
    pub(super) fn an_agent_has(&self, capability: &Capability) -> bool {
        self.agents.iter().any(|agent| agent.prepared.handlers.contains_key(capability))
    }
}

impl Inner {
    pub(super) fn new() -> Arc<Self> {
        let server = MemoryServer::new(Namespace::default());
        let recorder = Arc::new(Recorder::new());
        let bus = server.connect();
        let inner = Arc::new(Self {
            server,
            bus,
            recorder: Arc::clone(&recorder),
            state: Mutex::default(),
            trouble: watch::Sender::new(None),
        });
        let listener = Process::start(&inner.server, |bus| async move {
            // It ends with the connection, when the mesh is dropped.
            let _ = recorder.listen(&*bus).await;
        });
        inner.lock().listener = Some(listener);
        inner.start_orchestrator();
        inner
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A number that nothing else in this mesh has.
    pub(super) fn number(&self) -> u64 {
        let mut state = self.lock();
        state.numbers += 1;
        state.numbers
    }

    pub(super) fn add_workflow(&self, definition: Definition) {
        let name = definition.name.clone();
        self.lock().workflows.insert(name, Workflow { definition, is_applied: false });
    }

    /// Sets up the namespace and applies what was not applied yet.
    pub(super) async fn get_ready(&self) -> Result<(), String> {
        set_up(&*self.bus).await;
        self.recorder.is_listening().await;
        loop {
            let next =
                self.lock().workflows.values().find(|it| !it.is_applied).map(|it| it.definition.clone());
            let Some(definition) = next else { return Ok(()) };
            let applied = definitions::apply(&*self.bus, &definition).await;
            applied.map_err(|error| format!("the workflow cannot be applied: {error}"))?;
            if let Some(workflow) = self.lock().workflows.get_mut(&definition.name) {
                workflow.is_applied |= workflow.definition == definition;
            }
        }
    }

    /// Starts an orchestrator, after killing the one there is.
    pub(super) fn start_orchestrator(self: &Arc<Self>) {
        self.stop_orchestrator();
        let mesh = Arc::downgrade(self);
        let process = Process::start(&self.server, |bus| async move {
            set_up(&*bus).await;
            let ended = mesh_orchestrator::run(bus, Options::alone(), CancellationToken::new()).await;
            if let (Err(error), Some(mesh)) = (ended, mesh.upgrade()) {
                mesh.trouble.send_replace(Some(format!("the orchestrator ended: {error}")));
            }
        });
        self.lock().orchestrator = Some(process);
    }

    pub(super) fn stop_orchestrator(&self) {
        let before = self.lock().orchestrator.take();
        drop(before);
    }

    /// Starts an agent whose handlers follow the scripts.
    pub(super) fn add_agent(self: &Arc<Self>, mut prepared: Prepared) {
        let place = {
            let mut state = self.lock();
            let place = state.agents.len();
            for (capability, handler) in &mut prepared.handlers {
                *handler = self.scripted(place, capability, Some(Arc::clone(handler)));
                state.absent.remove(capability);
            }
            state.agents.push(RunningAgent { prepared, process: None });
            place
        };
        self.restart_agent(place);
    }

    /// Mocks a capability, and starts an agent for it if there is none.
    pub(super) fn add_mock(self: &Arc<Self>, capability: Capability, mock: Mock) -> Result<(), String> {
        let place = {
            let mut state = self.lock();
            state.absent.remove(&capability);
            state.mocks.insert(capability.clone(), mock);
            if state.an_agent_has(&capability) {
                return Ok(());
            }
            let place = state.agents.len();
            let handler = self.scripted(place, &capability, None);
            state.agents.push(RunningAgent { prepared: mock_agent(capability, handler)?, process: None });
            place
        };
        self.restart_agent(place);
        Ok(())
    }

    fn scripted(
        self: &Arc<Self>,
        agent: usize,
        capability: &Capability,
        handler: Option<Arc<dyn Handler>>,
    ) -> Arc<dyn Handler> {
        let mesh = Arc::downgrade(self);
        Arc::new(Scripted { mesh, capability: capability.clone(), agent, handler })
    }

    /// Starts an agent's process, after killing the one there is.
    pub(super) fn restart_agent(self: &Arc<Self>, place: usize) {
        let (prepared, before) = {
            let mut state = self.lock();
            let Some(agent) = state.agents.get_mut(place) else { return };
            (agent.prepared.clone(), agent.process.take())
        };
        drop(before);
        let process = self.agent_process(prepared);
        if let Some(agent) = self.lock().agents.get_mut(place) {
            agent.process = Some(process);
        }
    }

    fn agent_process(self: &Arc<Self>, prepared: Prepared) -> Process {
        let mesh = Arc::downgrade(self);
        Process::start(&self.server, |bus| async move {
            let id = prepared.id.clone();
            set_up(&*bus).await;
            let agent = Agent { bus, prepared, is_listed: false, observe: None };
            let ended = agent.run_until(CancellationToken::new());
            if let (Err(error), Some(mesh)) = (ended.await, mesh.upgrade()) {
                mesh.trouble.send_replace(Some(format!("the agent '{id}' ended: {error}")));
            }
        })
    }

    /// Ends everything that runs.
    pub(super) fn shut_down(&self) {
        let (agents, others) = {
            let mut state = self.lock();
            let others = [state.orchestrator.take(), state.listener.take()];
            (std::mem::take(&mut state.agents), others)
        };
        drop((agents, others));
        self.bus.cut();
    }

    pub(super) fn behaviour(&self, capability: &Capability, task: &TaskId) -> Option<Behaviour> {
        self.lock().behaviours.get_mut(capability)?.next(task)
    }

    pub(super) fn mock_of(&self, capability: &Capability) -> Option<Mock> {
        self.lock().mocks.get(capability).cloned()
    }
}

/// Sets up the namespace, as soon as the bus is there: whoever starts while it is away begins anew until it is back.
/// An error that stays is told by what is done next.
async fn set_up(bus: &dyn Bus) {
    /// Pause before it is tried again.
    const PAUSE: Duration = Duration::from_millis(100);
    while bus.set_up(&Topology::default()).await.is_err_and(|error| error.is_retryable()) {
        tokio::time::sleep(PAUSE).await;
    }
}

/// An agent for a mocked capability.
fn mock_agent(capability: Capability, handler: Arc<dyn Handler>) -> Result<Prepared, String> {
    // A capability that is as long as may be leaves no room before it.
    let id = AgentId::new(format!("mock-{capability}")).or_else(|_| AgentId::new(capability.as_str()));
    let id = id.map_err(|error| error.to_string())?;
    Ok(Prepared {
        type_: id.to_string(),
        id,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        capacity: MOCK_CAPACITY,
        drain: Duration::ZERO,
        secrets: Secrets::nowhere(),
        handlers: BTreeMap::from([(capability, handler)]),
    })
}
