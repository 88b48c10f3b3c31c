use crate::testing::{TestAgent, TestMesh, hours};
use crate::{Agent, AgentBuilder, Context, TaskFailure};
use serde_json::json;

async fn shout(_ctx: Context, text: String) -> Result<String, TaskFailure> {
    if text.is_empty() {
        return Err(TaskFailure::fatal("empty", "there is nothing to shout"));
    }
    Ok(text.to_uppercase())
}

fn agent() -> AgentBuilder {
    Agent::builder("shouter").capability("shout", shout)
}

#[tokio::test(start_paused = true)]
async fn an_agent() {
    let agent = TestAgent::of(agent());

    agent.task("shout", "hello").attempt(2).await.completed().with_output("HELLO");
    agent.task("shout", "").await.failed().with_code("empty").fatally();
}

const WORKFLOW: &str = "
mesh: v1
name: announce
timeout: 3d
tasks:
  approve: {agent: editor, timeout: 2d}
  shout: {agent: shout, needs: [approve], with: '${input.text}'}
";

#[tokio::test(start_paused = true)]
async fn a_workflow() {
    let mesh = TestMesh::of(WORKFLOW);
    mesh.agent(agent());
    mesh.mock("editor", |_input| Ok(json!("fine"))).takes(hours(24));
    mesh.agent_for("shout").fails_with(TaskFailure::retryable("hoarse", "try later")).times(2);

    let run = mesh.run(json!({"text": "hello"})).await;

    run.completed().with_output(json!({"shout": "HELLO"})).after(hours(24));
    run.task("shout").was_created(3).times().ran_after("approve");
    run.events().in_order(["task.failed shout 1", "timer.fired", "task.completed shout 3"]);
}
