use std::sync::Arc;
use std::time::Duration;

use mesh_bus::Target;
use mesh_schemas::{Capability, WorkflowName};
use serde::Serialize;
use serde_json::Value;

use super::definition::IntoDefinition;
use super::inner::Inner;
use super::pattern::meant;
use super::request::Request;
use super::run::Run;
use super::script::Script;
use crate::builder::AgentBuilder;
use crate::failure::TaskFailure;

/// How long a test waits, by the clock on the wall, unless it says otherwise: far above what a busy machine needs for
/// anything that is not stuck.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// A mesh of a test's own: the orchestrator, agents and mocks, on a bus in this process. It ends when it is dropped.
///
/// ```
/// use mesh_agents::TaskFailure;
/// use mesh_agents::testing::TestMesh;
/// use serde_json::json;
///
/// const PAYMENT: &str = "
/// mesh: v1
/// name: payment
/// output: { paid: '${tasks.charge.output.paid}' }
/// tasks:
///   risk: { agent: risk }
///   charge: { agent: charge, needs: [risk], when: 'tasks.risk.output.level == \"low\"' }
/// ";
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// let mesh = TestMesh::of(PAYMENT);
/// mesh.mock("risk", |_| Ok(json!({"level": "low"})));
/// mesh.mock("charge", |input| Ok(json!({"paid": input["amount"]})));
/// mesh.agent_for("risk").fails_with(TaskFailure::retryable("busy", "not now")).times(2);
///
/// let run = mesh.run(json!({"amount": 5})).await;
///
/// run.completed().with_output(json!({"paid": 5}));
/// run.task("risk").was_created(3).times();
/// run.task("charge").ran_after("risk");
/// run.events().in_order(["task.failed risk 1", "timer.fired", "task.completed risk 3", "task.created charge"]);
/// # }
/// ```
///
/// Like an assertion, everything here panics when something is not as it should be, and the message says what, where and
/// what to do about it.
pub struct TestMesh {
    inner: Arc<Inner>,
}

impl TestMesh {
    /// A mesh without a workflow, whose agents are asked for tasks with [`TestMesh::call`].
    ///
    /// # Panics
    /// Outside a tokio runtime.
    #[must_use]
    #[track_caller]
    #[allow(clippy::new_without_default, reason = "it starts processes, which a default does not")]
    pub fn new() -> Self {
        let runtime = tokio::runtime::Handle::try_current();
        assert!(runtime.is_ok(), "a TestMesh needs a runtime: write #[tokio::test(start_paused = true)]");
        Self { inner: Inner::new() }
    }

    /// A mesh with a workflow: its text, its file (a [`Path`](std::path::Path)), or its
    /// [`Definition`](super::Definition).
    ///
    /// # Panics
    /// If something is wrong with the definition, and outside a tokio runtime.
    #[must_use]
    #[track_caller]
    pub fn of(workflow: impl IntoDefinition) -> Self {
        let mesh = Self::new();
        mesh.workflow(workflow);
        mesh
    }

    /// Another workflow, or another version of one: runs that are started from now on follow it.
    ///
    /// # Panics
    /// If something is wrong with the definition.
    #[track_caller]
    pub fn workflow(&self, workflow: impl IntoDefinition) -> &Self {
        match workflow.into_definition() {
            Ok(definition) => self.inner.add_workflow(definition),
            Err(problems) => panic!("the definition is not sound:\n{problems}"),
        }
        self
    }

    /// Starts an agent, on the bus of the test, whatever the builder says of its connection.
    ///
    /// # Panics
    /// If the agent cannot start: a name is not valid, a capability is missing or there twice.
    #[track_caller]
    pub fn agent(&self, agent: AgentBuilder) -> &Self {
        match agent.named().prepare() {
            Ok(prepared) => self.inner.add_agent(prepared),
            Err(error) => panic!("the agent cannot start: {error:?}"),
        }
        self
    }

    /// From now on, tasks for a capability are done by a function of their input, whether or not an agent has it too. What
    /// is given back says what may happen instead. A mock that must know more of its task than the input is an agent:
    /// [`TestMesh::agent`].
    ///
    /// # Panics
    /// If no task needs the capability.
    #[track_caller]
    pub fn mock<O, F>(&self, capability: &str, answer: F) -> Script
    where
        O: Serialize,
        F: Fn(Value) -> Result<O, TaskFailure> + Send + Sync + 'static,
    {
        let capability = self.needed(capability);
        let mock = move |input| {
            serde_json::to_value(answer(input)?).map_err(|error| {
                TaskFailure::fatal("invalid_output", format!("the mock's answer is not JSON: {error}"))
            })
        };
        if let Err(error) = self.inner.add_mock(capability.clone(), Arc::new(mock)) {
            panic!("{error}");
        }
        Script::new(Arc::clone(&self.inner), capability)
    }

    /// What the agents for a capability, mocked or not, do with the next tasks that they get.
    ///
    /// # Panics
    /// If no task needs the capability.
    #[must_use = "say what they do"]
    #[track_caller]
    pub fn agent_for(&self, capability: &str) -> Script {
        Script::new(Arc::clone(&self.inner), self.needed(capability))
    }

    /// Tasks for a capability wait, as no agent that has it is there. Without this, a run that needs an agent which is
    /// not there is a mistake of the test.
    ///
    /// # Panics
    /// If no task needs the capability, or an agent here has it.
    #[track_caller]
    pub fn nobody_has(&self, capability: &str) -> &Self {
        let capability = self.needed(capability);
        assert!(!self.inner.is_served(&capability), "somebody here has the capability '{capability}'");
        self.inner.lock().absent.insert(capability);
        self
    }

    /// Runs the workflow, and is done when the run has ended.
    ///
    /// # Panics
    /// If the input cannot be written as JSON; awaited, if the mesh has several workflows and [`Request::of`] does not
    /// name one, nobody is there to do one of the tasks, or the run does not end in time.
    #[track_caller]
    pub fn run(&self, input: impl Serialize) -> Request {
        self.request(None, input, true)
    }

    /// Starts a run of the workflow, and is done when it is asked for.
    ///
    /// # Panics
    /// As [`TestMesh::run`].
    #[track_caller]
    pub fn start(&self, input: impl Serialize) -> Request {
        self.request(None, input, false)
    }

    /// Asks for one task, without a workflow, and is done when it has ended. The task is called `task`.
    ///
    /// # Panics
    /// As [`TestMesh::run`], and if the capability cannot be one.
    #[track_caller]
    pub fn call(&self, capability: &str, input: impl Serialize) -> Request {
        self.request(Some(Target::Task(self.needed(capability))), input, true)
    }

    /// Every run that has started here, in that order: those that agents asked for too.
    #[must_use]
    pub fn runs(&self) -> Vec<Run> {
        let runs = self.inner.recorder.runs();
        runs.into_iter().map(|run| Run::known(Arc::clone(&self.inner), run)).collect()
    }

    /// Kills the orchestrator, and starts another.
    pub fn restart_orchestrator(&self) {
        self.inner.start_orchestrator();
    }

    /// Kills the orchestrator: nothing goes on until [`TestMesh::restart_orchestrator`].
    pub fn kill_orchestrator(&self) {
        self.inner.stop_orchestrator();
    }

    /// Stops the bus for a time, as when a server is restarted: whatever is asked of it fails, and what was on its way is
    /// delivered again.
    pub async fn bus_is_away_for(&self, time: Duration) {
        self.inner.server.stop();
        tokio::time::sleep(time).await;
        self.inner.server.start();
    }

    /// How long to wait, by the clock on the wall, before the test fails (default: a minute).
    pub fn patience(&self, time: Duration) -> &Self {
        self.inner.lock().patience = Some(time);
        self
    }

    #[track_caller]
    fn request(&self, target: Option<Target>, input: impl Serialize, to_its_end: bool) -> Request {
        match serde_json::to_value(input) {
            Ok(input) => Request::new(Arc::clone(&self.inner), target, input, to_its_end),
            Err(error) => panic!("the input cannot be written as JSON: {error}"),
        }
    }

    #[track_caller]
    fn needed(&self, capability: &str) -> Capability {
        let checked = Capability::new(capability).map_err(|error| error.to_string());
        match checked.and_then(|capability| self.inner.check_needed(&capability).map(|()| capability)) {
            Ok(capability) => capability,
            Err(wrong) => panic!("{wrong}"),
        }
    }
}

impl Drop for TestMesh {
    fn drop(&mut self) {
        self.inner.shut_down();
    }
}

/// The workflow of a name, or the only one there is.
pub(super) fn workflow(inner: &Inner, name: Option<&str>) -> Result<WorkflowName, String> {
    let state = inner.lock();
    let known: Vec<&str> = state.workflows.keys().map(WorkflowName::as_str).collect();
    let found = match (name, known.as_slice()) {
        (Some(name), _) => state.workflows.keys().find(|known| known.as_str() == name),
        (None, [_]) => state.workflows.keys().next(),
        (None, []) => return Err("the mesh has no workflow: begin with TestMesh::of(…)".to_owned()),
        (None, _) => {
            return Err(format!(
                "the mesh has several workflows: name one with .of(…): {}",
                known.join(", ")
            ));
        }
    };
    let name = name.unwrap_or_default();
    let missing = || {
        format!(
            "the mesh has no workflow '{name}'; it has {}{}",
            known.join(", "),
            meant(name, known.iter().copied())
        )
    };
    found.cloned().ok_or_else(missing)
}
