//! What a test mesh consists of.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mesh_bus::memory::{MemoryBus, MemoryServer};
use mesh_bus::topology::Topology;
use mesh_bus::{Bus, Role};
use mesh_orchestrator::{Options, definitions};
use mesh_schemas::{AgentId, Capability, Definition, Namespace, RunId, TaskId, WorkflowName};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::handler::{Mock, Scripted};
use super::mesh::PATIENCE;
use super::pattern::meant;
use super::process::Process;
use super::recorder::Recorder;
use super::script::{Behaviour, Behaviours};
use super::story::Story;
use super::time::{passed_on_the_wall, spoken};
use crate::agent::{Agent, Prepared};
use crate::handler::Handler;

/// Tasks of a mocked capability at once: a mock that takes its time is not to hold up others.
const MOCK_CAPACITY: usize = 10_000;

pub(super) struct Inner {
    pub(super) server: MemoryServer,
    /// The test's own connection.
    pub(super) bus: Arc<MemoryBus>,
    pub(super) recorder: Arc<Recorder>,
    state: Mutex<State>,
    /// What ended that should not have.
    trouble: watch::Sender<Option<String>>,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) workflows: BTreeMap<WorkflowName, Workflow>,
    agents: Vec<RunningAgent>,
    /// Those that are no agents: the orchestrator, if it runs.
    orchestrator: Option<Process>,
    listener: Option<Process>,
    pub(super) mocks: BTreeMap<Capability, Mock>,
    pub(super) behaviours: BTreeMap<Capability, Behaviours>,
    /// Capabilities that nobody is to have.
    pub(super) absent: BTreeSet<Capability>,
    pub(super) patience: Option<Duration>,
    is_set_up: bool,
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
        if !self.lock().is_set_up {
            let set_up = self.bus.set_up(&Topology::default()).await;
            set_up.map_err(|error| format!("the mesh cannot be set up: {error}"))?;
            self.lock().is_set_up = true;
        }
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

    pub(super) fn start_orchestrator(self: &Arc<Self>) {
        let mesh = Arc::downgrade(self);
        let process = Process::start(&self.server, |bus| async move {
            let ended = mesh_orchestrator::run(bus, Options::default(), CancellationToken::new()).await;
            if let (Err(error), Some(mesh)) = (ended, mesh.upgrade()) {
                mesh.trouble.send_replace(Some(format!("the orchestrator ended: {error}")));
            }
        });
        let before = self.lock().orchestrator.replace(process);
        drop(before);
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
            if state.agents.iter().any(|agent| agent.prepared.handlers.contains_key(&capability)) {
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
            let ended = async {
                bus.set_up(&Topology::default()).await?;
                Agent { bus, prepared, is_listed: false }.run_until(CancellationToken::new()).await
            };
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

    /// Whether somebody has a capability, or is not to have it.
    pub(super) fn is_served(&self, capability: &Capability) -> bool {
        let state = self.lock();
        state.absent.contains(capability)
            || state.agents.iter().any(|agent| agent.prepared.handlers.contains_key(capability))
    }

    /// Whether every task of a workflow has somebody to do it.
    pub(super) fn check_served(&self, workflow: &WorkflowName) -> Result<(), String> {
        let tasks: Vec<(TaskId, Capability)> = {
            let state = self.lock();
            let tasks = state.workflows.get(workflow).map(|workflow| &workflow.definition.tasks);
            tasks.into_iter().flatten().map(|(id, task)| (id.clone(), task.agent.clone())).collect()
        };
        match tasks.into_iter().find(|(_, capability)| !self.is_served(capability)) {
            Some((task, capability)) => Err(format!("task '{task}' needs {}", nobody(&capability))),
            None => Ok(()),
        }
    }

    /// Whether a capability is one that can be asked for here: misspelt ones would never be.
    pub(super) fn check_needed(&self, capability: &Capability) -> Result<(), String> {
        let state = self.lock();
        let tasks = || state.workflows.values().flat_map(|workflow| &workflow.definition.tasks);
        let needed = tasks().any(|(_, task)| task.agent == *capability);
        let there = state.agents.iter().any(|agent| agent.prepared.handlers.contains_key(capability));
        // A mesh without a workflow is asked for tasks directly.
        if needed || there || state.workflows.is_empty() {
            return Ok(());
        }
        let hint = match tasks().find(|(id, _)| id.as_str() == capability.as_str()) {
            Some((_, task)) => format!(": that is a task, which needs the capability '{}'", task.agent),
            None => meant(capability.as_str(), tasks().map(|(_, task)| task.agent.as_str())),
        };
        Err(format!("no task here needs the capability '{capability}', and no agent here has it{hint}"))
    }

    /// Whether some workflow has a task that needs a capability.
    pub(super) fn check_task(&self, capability: &Capability, id: &str) -> Result<(), String> {
        let state = self.lock();
        let mut needing = state.workflows.values().flat_map(|workflow| &workflow.definition.tasks);
        if state.workflows.is_empty()
            || needing.any(|(known, task)| known.as_str() == id && task.agent == *capability)
        {
            return Ok(());
        }
        Err(format!("no workflow here has a task '{id}' that needs the capability '{capability}'"))
    }

    /// Waits for something that happens to a run, unless something ends that should not, or it takes too long.
    pub(super) async fn attend<T>(
        &self,
        what: &str,
        story: impl Fn() -> Story,
        event: impl Future<Output = T>,
    ) -> T {
        let mut trouble = self.trouble.subscribe();
        let patience = self.lock().patience.unwrap_or(PATIENCE);
        tokio::select! {
            biased;
            it = event => it,
            Ok(trouble) = trouble.wait_for(Option::is_some) => {
                let trouble = trouble.clone().unwrap_or_default();
                story().fail(trouble)
            }
            asked = self.recorder.await_request(|capability| self.is_served(capability)) => {
                story().fail(format!("an agent calls for a task that needs {}", nobody(&asked)))
            }
            () = passed_on_the_wall(patience) => story().fail(format!(
                "waited {} for {what}; if it only takes long, begin the test with \
                 #[tokio::test(start_paused = true)], and waits are skipped", spoken(patience)
            )),
        }
    }

    /// Returns when the orchestrator has dealt with all that has happened in the shard of a run, if there is one that
    /// does.
    pub(super) async fn settle(&self, run: RunId) {
        /// Longest time that is waited for an orchestrator: one that is there takes none.
        const LONGEST: Duration = Duration::from_secs(5);
        /// Pause before another look. While the clock stands still, it ends when nobody has anything to do.
        const LOOK: Duration = Duration::from_millis(1);
        let settled = async {
            while !is_settled(&*self.bus, run).await {
                tokio::time::sleep(LOOK).await;
            }
        };
        let _ = tokio::time::timeout(LONGEST, settled).await;
        self.recorder.catch_up(&*self.bus).await;
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
        handlers: BTreeMap::from([(capability, handler)]),
    })
}

pub(super) fn nobody(capability: &Capability) -> String {
    format!(
        "the capability '{capability}', and nobody here has it: add mesh.agent(…) or mesh.mock(\"{capability}\", …), or \
         mesh.nobody_has(\"{capability}\") if that is what you test"
    )
}

async fn is_settled(bus: &dyn Bus, run: RunId) -> bool {
    let Ok(health) = bus.health().await else { return true };
    let shard = health.consumers.iter().find(|consumer| consumer.role == Role::Shard(run.shard()));
    shard.and_then(|shard| shard.found.as_ref()).is_none_or(|state| state.pending == 0 && state.in_hand == 0)
}
