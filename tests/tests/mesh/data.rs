//! How data flows through a workflow: what may be missing, what outputs must be, configuration and secrets, on real servers.

use anyhow::{Context as _, Result, bail};
use mesh_agents::{Agent, Context, Exec, Secrets, TaskFailure};
use mesh_bus::topology::Stream;
use mesh_bus::{Request, RunOutcome, submit};
use mesh_tests::{Audit, TestServer, World};
use serde_json::{Value, json};

async fn echo(_ctx: Context, input: Value) -> Result<Value, TaskFailure> {
    Ok(input)
}

const DEFINITION: &str = "
mesh: v1
name: flow
config: {model: small, limits: {words: 100}}
output: {note: '${tasks.a.output.?note}', size: '${tasks.a.output.size}', model: '${tasks.a.output.model}'}
output_schema: {required: [size], properties: {size: {type: integer}}}
tasks:
  a:
    agent: echo
    with: {note: '${input.?note}', size: '${input.?size.orValue(config.limits.words)}', model: '${config.model}'}
    output_schema: {type: object, properties: {note: {type: string, maxLength: 5}}}
";

#[tokio::test]
async fn what_may_be_missing_has_a_default_and_outputs_follow_their_schemas() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    let agent = world.agent(Agent::builder("able").capability("echo", echo)).await?;
    world.apply(DEFINITION).await?;
    assert_eq!(world.output("flow", json!({})).await?, json!({"size": 100, "model": "small"}));
    let full = json!({"note": "short", "size": 7});
    assert_eq!(world.output("flow", full).await?, json!({"note": "short", "size": 7, "model": "small"}));

    let failed = |outcome| match outcome {
        RunOutcome::Failed(failed) => Ok(failed.error),
        other => Err(anyhow::anyhow!("it did not fail: {other:?}")),
    };
    let run = world.start("flow", json!({"note": "too long"})).await?;
    let error = failed(world.ended(run).await?)?;
    assert_eq!(error.code, "invalid_output");
    assert_eq!(
        error.message,
        "task 'a' failed: the output does not follow tasks.a.output_schema: .note: expected text of at most 5 characters, \
         found \"too long\""
    );
    let run = world.start("flow", json!({"size": "many"})).await?;
    let error = failed(world.ended(run).await?)?;
    assert_eq!(
        error.message,
        "the output does not follow output_schema: .size: expected a whole number, found \"many\""
    );
    Audit::when_idle(&world, &["echo"]).await?;
    agent.stop().await?;
    orchestrator.stop().await
}

#[tokio::test]
async fn a_request_puts_values_in_place_of_the_definitions() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    let agent = world.agent(Agent::builder("able").capability("echo", echo)).await?;
    world.apply(DEFINITION).await?;
    let request = |id: &str, config: Value| -> Result<Request> {
        Ok(Request { config: config.as_object().cloned(), ..world.request("flow", id, json!({}))? })
    };
    let run = submit(&*world.bus, &request("1", json!({"model": "large", "limits": {"words": 9}}))?).await?;
    let RunOutcome::Completed(completed) = world.ended(run).await? else { bail!("it did not complete") };
    assert_eq!(completed.output, json!({"size": 9, "model": "large"}));
    let started = world.first(Stream::Events, &format!("workflow.started.*.*.{run}")).await?;
    let started: Value = serde_json::from_slice(&started.message.payload)?;
    assert_eq!(started["data"]["config"], json!({"model": "large", "limits": {"words": 9}}));

    let run =
        submit(&*world.bus, &request("2", json!({"modle": "large", "limits": {"words": "9"}}))?).await?;
    let RunOutcome::Rejected(rejected) = world.ended(run).await? else { bail!("it was not rejected") };
    assert_eq!(rejected.code, "invalid_config");
    assert_eq!(
        rejected.reasons,
        [
            "config.limits.words: expected a number, found text",
            "config.modle: there is no such key: did you mean 'model'?"
        ]
    );
    agent.stop().await?;
    orchestrator.stop().await
}

const WITH_SECRETS: &str = "
mesh: v1
name: guarded
output: '${tasks.a.output}'
tasks:
  a:
    agent: AGENT
    with: {header: 'Bearer ${secret(\"api-key\")}', said: '${input.said}', all: ['${secret(\"password\")}']}
    retry: {max_attempts: 1}
";

/// Everything that is kept of runs, as text.
async fn everything(world: &World) -> Result<String> {
    let mut all = String::new();
    for stream in [Stream::Events, Stream::Tasks, Stream::Notes, Stream::Dead] {
        for stored in world.stored(stream, ">").await? {
            all.push_str(&String::from_utf8_lossy(&stored.message.payload));
        }
    }
    Ok(all)
}

#[tokio::test]
async fn secrets_are_with_the_agent_and_nowhere_else() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    let secrets = || Secrets::of([("api-key", "hunter2-and-more"), ("password", "pass\"word")]);
    let length = async |_ctx: Context, input: Value| -> Result<Value, TaskFailure> {
        let header = input["header"].as_str().unwrap_or_default();
        if input["said"] == "fail" {
            return Err(TaskFailure::fatal("refused", format!("the service refused {header}")));
        }
        Ok(json!({"length": header.len(), "password": input["all"][0] == "pass\"word", "echo": input}))
    };
    let agents = [
        world.agent(Agent::builder("rust").secrets(secrets()).capability("length", length)).await?,
        world.agent(Agent::builder("program").secrets(secrets()).exec("cat", Exec::new("cat"))).await?,
        world
            .agent(Agent::builder("poor").secrets(Secrets::of([("password", "x")])).capability("poor", echo))
            .await?,
    ];
    for agent in ["length", "cat", "poor"] {
        let text = WITH_SECRETS.replace("AGENT", agent).replace("guarded", &format!("with-{agent}"));
        world.apply(&text).await?;
    }
    // What the data says of secrets is data.
    let said = json!({"said": "${secret(\"password\")}"});
    let output = world.output("with-length", said.clone()).await?;
    assert_eq!(
        (&output["length"], &output["password"]),
        (&json!("Bearer hunter2-and-more".len()), &json!(true))
    );
    let echoed = json!({
        "header": "Bearer [secret api-key]", "said": "${secret(\"password\")}", "all": ["[secret password]"],
    });
    assert_eq!(output["echo"], echoed);
    assert_eq!(world.output("with-cat", said).await?, echoed);

    let failure = async |workflow: &str, said: &str| -> Result<(String, String)> {
        let run = world.start(workflow, json!({"said": said})).await?;
        match world.ended(run).await? {
            RunOutcome::Failed(failed) => Ok((failed.error.code, failed.error.message)),
            other => bail!("it did not fail: {other:?}"),
        }
    };
    let (code, message) = failure("with-length", "fail").await?;
    assert_eq!(
        (code.as_str(), message.as_str()),
        ("refused", "task 'a' failed: the service refused Bearer [secret api-key]")
    );
    let (code, message) = failure("with-poor", "").await?;
    assert_eq!(code, "missing_secret");
    assert!(
        message.contains("the secret 'api-key' is not among those that the agent was given"),
        "{message}"
    );

    let created = world.stored(Stream::Tasks, "task.created.length.>").await?;
    let created: Value = serde_json::from_slice(&created.first().context("a task")?.message.payload)?;
    assert_eq!(created["data"]["input"]["header"], "Bearer ${secret(\"api-key\")}");
    assert_eq!(
        created["data"]["secrets"],
        json!([{"at": "/all/0", "name": "password"}, {"at": "/header", "name": "api-key"}])
    );
    let all = everything(&world).await?;
    assert!(
        all.contains("api-key") && !all.contains("hunter2") && !all.contains("pass\\\\\\\"word"),
        "{all}"
    );
    for agent in agents {
        agent.stop().await?;
    }
    orchestrator.stop().await
}
