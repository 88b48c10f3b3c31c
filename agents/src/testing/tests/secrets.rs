use serde_json::{Value, json};

use crate::testing::{TestAgent, TestMesh};
use crate::{Agent, AgentBuilder, Context, Secrets, TaskFailure};

async fn tell(ctx: Context, input: Value) -> Result<Value, TaskFailure> {
    ctx.progress(0.5, input["key"].as_str()).await;
    Ok(json!(input["key"].as_str().map(str::len)))
}

fn agent() -> AgentBuilder {
    Agent::builder("teller").capability("tell", tell)
}

#[tokio::test]
async fn an_agent_under_test_has_the_secrets_that_it_is_given() {
    let agent = TestAgent::of(agent().secrets(Secrets::of([("key", "hunter2")])));
    let input = json!({"key": "<${secret(\"key\")}>"});
    agent.task("tell", &input).secret("/key", "key").await.completed().with_output(9);
    let missing = agent.task("tell", &input).secret("/key", "other").await;
    missing.failed().with_code("missing_secret").fatally().saying("the secret 'other'");
    let nowhere = agent.task("tell", &input).secret("/no/text", "key").await;
    nowhere.failed().with_code("malformed_task").fatally().saying("where no text stands");
}

const WORKFLOW: &str = "
mesh: v1
name: guarded
tasks:
  told: {agent: tell, with: {key: '${secret(\"key\")}'}}
  mocked: {agent: mock, with: {key: '${secret(\"key\")}'}}
";

#[tokio::test(start_paused = true)]
async fn without_secrets_what_stands_for_them_stays() {
    let mesh = TestMesh::of(WORKFLOW);
    mesh.agent(agent());
    mesh.mock("mock", Ok);
    let run = mesh.run(json!({})).await;
    let placeholder = "${secret(\"key\")}";
    run.completed().with_output(json!({"told": placeholder.len(), "mocked": {"key": placeholder}}));
}

#[tokio::test(start_paused = true)]
async fn values_of_the_configuration_can_be_replaced() {
    let mesh =
        TestMesh::of("{mesh: v1, name: c, config: {n: 1}, tasks: {t: {agent: mock, with: '${config.n}'}}}");
    mesh.mock("mock", Ok);
    mesh.run(json!({})).await.completed().with_output(json!({"t": 1}));
    mesh.run(json!({})).with_config("n", 2).await.completed().with_output(json!({"t": 2}));
    mesh.run(json!({})).with_config("m", 2).await.rejected().with_code("invalid_config");
}
