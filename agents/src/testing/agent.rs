use serde::Serialize;

use super::pattern::meant;
use super::single::TestTask;
use crate::agent::Prepared;
use crate::builder::AgentBuilder;

/// An agent by itself: each task is one execution of one of its handlers, with everything that the agent does around
/// it.
///
/// ```
/// use mesh_agents::testing::TestAgent;
/// use mesh_agents::{Agent, AgentBuilder, Context, TaskFailure};
/// use serde_json::json;
///
/// async fn shout(_ctx: Context, text: String) -> Result<String, TaskFailure> {
///     if text.is_empty() {
///         return Err(TaskFailure::fatal("empty", "there is nothing to shout"));
///     }
///     Ok(text.to_uppercase())
/// }
///
/// fn shouter() -> AgentBuilder {
///     Agent::builder("shouter").capability("shout", shout)
/// }
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// let agent = TestAgent::of(shouter());
/// agent.task("shout", "hello").await.completed().with_output("HELLO");
/// agent.task("shout", "").await.failed().with_code("empty").fatally();
/// agent.task("shout", json!({"not": "a text"})).await.failed().with_code("invalid_input");
/// # }
/// ```
///
/// A handler that calls other agents with [`Context::call`](crate::Context::call) needs them: give it a
/// [`TestMesh`](super::TestMesh) with mocks of them.
pub struct TestAgent {
    prepared: Prepared,
}

impl TestAgent {
    /// The agent that a builder makes. It is not connected to anything, whatever the builder says of that.
    ///
    /// # Panics
    /// If the agent could not start: a name is not valid, a capability is missing or there twice.
    #[must_use]
    #[track_caller]
    pub fn of(agent: AgentBuilder) -> Self {
        match agent.named().prepare() {
            Ok(prepared) => Self { prepared },
            Err(error) => panic!("the agent cannot start: {error:?}"),
        }
    }

    /// A task for the agent, which is done when it is awaited.
    ///
    /// # Panics
    /// If the agent does not have the capability, or the input cannot be written as JSON.
    #[track_caller]
    pub fn task(&self, capability: &str, input: impl Serialize) -> TestTask {
        let found = self.prepared.handlers.keys().find(|known| known.as_str() == capability);
        let Some(found) = found else {
            let known: Vec<&str> = self.prepared.handlers.keys().map(|known| known.as_str()).collect();
            let meant = meant(capability, known.iter().copied());
            panic!("the agent has no capability '{capability}'; it has {}{meant}", known.join(", "));
        };
        match serde_json::to_value(input) {
            Ok(input) => TestTask::new(self.prepared.clone(), found.clone(), input),
            Err(error) => panic!("the input cannot be written as JSON: {error}"),
        }
    }
}
