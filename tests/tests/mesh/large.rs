//! Data that is too large for an event: it goes by reference, and is as good as any.

use anyhow::{Context as _, Result, ensure};
use async_nats::jetstream;
use bytes::Bytes;
use mesh_agents::{Agent, AgentBuilder, Context, TaskFailure};
use mesh_bus::topology::Stream;
use mesh_bus::{Bus as _, RunOutcome, run_id, submit, whole};
use mesh_schemas::payload::{code, rejection};
use mesh_schemas::{
    DATAREF, DEFAULT_MAX_INLINE, DataRef, Decoded, Envelope, ObjectName, ObjectOwner, RunId, StoredMessage,
};
use mesh_tests::{TestServer, World};
use serde_json::{Value, json};

/// What goes in comes out, through two agents.
const TWICE: &str = "
mesh: v1
name: twice
output: '${tasks.second.output}'
tasks:
  first: {agent: echo}
  second: {agent: echo, needs: [first], with: '${tasks.first.output}'}
";

/// Two tasks that nobody does unless a test does; the first may fail.
const HELD: &str = "
mesh: v1
name: held
output: ['${tasks.a.output}', '${tasks.b.output}']
tasks:
  a: {agent: held, on_failure: continue}
  b: {agent: held, needs: [a], with: 1}
";

fn large(bytes: usize) -> Value {
    json!({"text": "ä\"".repeat(7), "much": "x".repeat(bytes), "n": 1.5})
}

async fn echo(_context: Context, input: Value) -> Result<Value, TaskFailure> {
    Ok(input)
}

fn echoing() -> AgentBuilder {
    Agent::builder("echo").capability("echo", echo)
}

fn envelope(stored: &StoredMessage) -> Result<Envelope> {
    match Envelope::decode(&stored.message.headers, &stored.message.payload)? {
        Decoded::Event(event) => Ok(event),
        Decoded::Bare(_) => anyhow::bail!("{} is no CloudEvent", stored.message.subject),
    }
}

fn reference(stored: &StoredMessage) -> Result<DataRef> {
    let event = envelope(stored)?;
    let text = event.extensions.get(DATAREF).and_then(Value::as_str).context("a dataref")?;
    DataRef::parse(text).map_err(anyhow::Error::msg)
}

/// An outcome of task `a` of a run of [`HELD`] that refers to an object, which need not be there.
async fn refer(world: &World, run: RunId, object: &ObjectName, member: &str) -> Result<()> {
    let subject = format!("task.completed.held.normal.{run}.a.1");
    let event = json!({
        "specversion": "1.0", "id": "1", "source": "/test", "type": "task.completed",
        "dataref": format!("nats-object:{}/{object}{member}", world.namespace.object_bucket()),
    });
    world.publish(&subject, event.to_string()).await
}

fn object_of(run: RunId, content: &[u8]) -> ObjectName {
    ObjectName::of(ObjectOwner::Run(run), content)
}

/// Begins a run of [`HELD`], and returns when its first task is there.
async fn held(world: &World, input: Value) -> Result<RunId> {
    let run = world.start("held", input).await?;
    world.first(Stream::Tasks, &format!("task.created.held.normal.{run}.a.1")).await?;
    Ok(run)
}

async fn subjects(world: &World, run: RunId) -> Result<Vec<String>> {
    let log = world.bus.read_run(&run).await?;
    let verb = |stored: &StoredMessage| {
        stored.message.subject.split('.').skip(1).take(2).collect::<Vec<_>>().join(".")
    };
    Ok(log.events.iter().map(verb).collect())
}

#[tokio::test]
async fn five_megabytes_pass_through_and_are_stored_once() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    let agent = world.agent(echoing()).await?;
    world.apply(TWICE).await?;
    let input = large(5_000_000);
    let run = world.start("twice", input.clone()).await?;
    let RunOutcome::Completed(completed) = world.ended(run).await? else { anyhow::bail!("not completed") };
    ensure!(completed.output == input, "another output");
    let mut seen = Vec::new();
    for (stream, filter) in [(Stream::Events, "*.*.*.*.>"), (Stream::Tasks, "task.created.>")] {
        for stored in world.stored(stream, filter).await? {
            ensure!(stored.message.payload.len() < DEFAULT_MAX_INLINE, "{}", stored.message.subject);
            let reference = reference(&stored)?;
            ensure!(reference.object == object_of(run, input.to_string().as_bytes()), "another object");
            seen.push((envelope(&stored)?.type_, reference.member));
            // What is fetched for those who ask is the event that a small one would have been.
            let whole = whole(&*world.bus, stored).await?;
            ensure!(whole.message.payload.len() > 4_000_000 && !envelope(&whole)?.data.is_null());
        }
    }
    seen.sort();
    seen.dedup();
    let member = |type_: &str, member: &str| (type_.to_owned(), Some(member.to_owned()));
    let expected = [
        member("task.completed", "output"),
        member("task.created", "input"),
        member("workflow.completed", "output"),
        member("workflow.started", "input"),
    ];
    ensure!(seen == expected, "{seen:?}");
    ensure!(world.stored(Stream::Dead, "dead.>").await?.is_empty(), "a dead letter");
    let objects = world.bus.objects().await?;
    ensure!(objects.len() == 1 && objects[0].owner == ObjectOwner::Run(run), "{objects:?}");
    let bytes =
        world.bus.health().await?.streams.last().and_then(|bucket| Some(bucket.found.as_ref()?.bytes.used));
    ensure!(bytes.is_some_and(|bytes| bytes < 2 * 5_000_000), "one content is stored once: {bytes:?}");
    agent.stop().await?;
    orchestrator.stop().await
}

#[tokio::test]
async fn an_agent_asks_another_for_much_and_gets_much() -> Result<()> {
    async fn asking(context: Context, input: Value) -> Result<Value, TaskFailure> {
        context.call("echo", input).await
    }
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    let agent = world.agent(echoing().capability("ask", asking)).await?;
    world.apply("{mesh: v1, name: ask, output: '${tasks.t.output}', tasks: {t: {agent: ask}}}").await?;
    let input = large(1_000_000);
    ensure!(world.output("ask", input.clone()).await? == input, "another output");
    agent.stop().await?;
    orchestrator.stop().await
}

#[tokio::test]
async fn a_result_that_is_lost_is_a_failure_and_stays_one() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    world.apply(HELD).await?;
    let run = held(&world, json!(0)).await?;
    let content = json!("here after all").to_string();
    refer(&world, run, &object_of(run, content.as_bytes()), "#/output").await?;
    let failed = world.first(Stream::Events, &format!("task.failed.held.normal.{run}.a.1")).await?;
    ensure!(envelope(&failed)?.data["error"]["code"] == code::LOST_OUTPUT, "{failed:?}");
    world.first(Stream::Tasks, &format!("task.created.held.normal.{run}.b.1")).await?;
    // What turns up later changes nothing, for those neither who know nothing of the run but the log.
    let put = world.bus.put_object(&ObjectOwner::Run(run), Bytes::from(content)).await?;
    ensure!(world.bus.object(&put).await?.is_some());
    orchestrator.stop().await?;
    let orchestrator = world.orchestrator().await?;
    world.publish(&format!("task.completed.held.normal.{run}.b.1"), r#"{"output": 2}"#).await?;
    let RunOutcome::Completed(completed) = world.ended(run).await? else { anyhow::bail!("not completed") };
    ensure!(completed.output == json!([null, 2]), "{}", completed.output);
    let told = subjects(&world, run).await?;
    ensure!(told.iter().filter(|event| event.starts_with("workflow.")).count() == 2, "{told:?}");
    orchestrator.stop().await
}

#[tokio::test]
async fn who_had_a_result_before_it_was_lost_goes_by_the_log_too() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    world.apply(HELD).await?;
    let run = held(&world, json!(0)).await?;
    let content = Bytes::from(json!("here at first").to_string());
    let object = world.bus.put_object(&ObjectOwner::Run(run), content).await?;
    refer(&world, run, &object, "#/output").await?;
    world.first(Stream::Tasks, &format!("task.created.held.normal.{run}.b.1")).await?;
    // Another orchestrator did not find it, and said so.
    let error = json!({"error": {"code": code::LOST_OUTPUT, "message": "gone", "retryable": false}});
    world.publish(&format!("task.failed.held.normal.{run}.a.1"), error.to_string()).await?;
    world.publish(&format!("task.completed.held.normal.{run}.b.1"), r#"{"output": 2}"#).await?;
    let RunOutcome::Completed(completed) = world.ended(run).await? else { anyhow::bail!("not completed") };
    ensure!(completed.output == json!([null, 2]), "{}", completed.output);
    orchestrator.stop().await
}

#[tokio::test]
async fn an_outcome_may_refer_to_all_of_its_data_and_to_nothing_of_others() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    world.apply(HELD).await?;
    let run = held(&world, json!(0)).await?;
    let owner = ObjectOwner::Run(run);
    let data = Bytes::from(json!({"output": "all of it"}).to_string());
    let object = world.bus.put_object(&owner, data.clone()).await?;
    refer(&world, run, &object, "").await?;
    world.publish(&format!("task.completed.held.normal.{run}.b.1"), r#"{"output": 2}"#).await?;
    let RunOutcome::Completed(completed) = world.ended(run).await? else { anyhow::bail!("not completed") };
    ensure!(completed.output == json!(["all of it", 2]), "{}", completed.output);
    // It goes with that run, so no other may rely on it.
    let other = held(&world, json!(0)).await?;
    refer(&world, other, &object, "").await?;
    let letter = world.first(Stream::Dead, "dead.events.malformed").await?;
    ensure!(
        envelope(&letter)?.extensions["error"]
            .as_str()
            .is_some_and(|error| error.contains("does not belong"))
    );
    world.first(Stream::Tasks, &format!("task.created.held.normal.{other}.b.1")).await?;
    orchestrator.stop().await
}

#[tokio::test]
async fn an_input_that_is_lost_is_a_failure() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    world.apply(TWICE).await?;
    world.apply(HELD).await?;
    // Of a task: its agent says so.
    let run = world.start("twice", large(100_000)).await?;
    world.first(Stream::Tasks, &format!("task.created.echo.normal.{run}.first.1")).await?;
    world.bus.remove_objects(&ObjectOwner::Run(run)).await?;
    let agent = world.agent(echoing()).await?;
    let RunOutcome::Failed(failed) = world.ended(run).await? else { anyhow::bail!("not failed") };
    ensure!(failed.error.code == code::LOST_INPUT && failed.task.is_some(), "{failed:?}");
    // Of a run that nobody has in memory.
    let run = held(&world, large(100_000)).await?;
    orchestrator.stop().await?;
    world.bus.remove_objects(&ObjectOwner::Run(run)).await?;
    let orchestrator = world.orchestrator().await?;
    world.publish(&format!("workflow.signalled.held.-.{run}.check.1"), "").await?;
    let RunOutcome::Failed(failed) = world.ended(run).await? else { anyhow::bail!("not failed") };
    ensure!(failed.error.code == code::LOST_INPUT && failed.task.is_none(), "{failed:?}");
    agent.stop().await?;
    orchestrator.stop().await
}

#[tokio::test]
async fn an_output_that_is_lost_is_told_to_who_waits() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    let agent = world.agent(echoing()).await?;
    world.apply(TWICE).await?;
    let run = world.start("twice", large(100_000)).await?;
    ensure!(matches!(world.ended(run).await?, RunOutcome::Completed(_)));
    world.bus.remove_objects(&ObjectOwner::Run(run)).await?;
    let error = world.ended(run).await.err().context("nothing is lost")?;
    ensure!(error.to_string().contains("is not there"), "{error}");
    agent.stop().await?;
    orchestrator.stop().await
}

#[tokio::test]
async fn a_request_may_refer_to_its_input() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    let agent = world.agent(echoing()).await?;
    world.apply(TWICE).await?;
    let shards = world.bus.shards().await?;
    let bucket = world.namespace.object_bucket();
    let ask = async |id: &str, dataref: String| {
        let event = json!({
            "specversion": "1.0", "id": id, "source": "/test", "type": "workflow.requested", "dataref": dataref,
        });
        world.publish("workflow.requested.twice", event.to_string()).await
    };
    let run = |id: &str| Ok::<_, anyhow::Error>(run_id(&world.request("twice", id, Value::Null)?, shards));
    let content = Bytes::from(json!({"n": 7}).to_string());
    let good = run("good")?;
    let object = world.bus.put_object(&ObjectOwner::Run(good), content.clone()).await?;
    ask("good", format!("nats-object:{bucket}/{object}")).await?;
    let RunOutcome::Completed(completed) = world.ended(good).await? else { anyhow::bail!("not completed") };
    ensure!(completed.output == json!({"n": 7}));
    for (id, dataref, code) in [
        (
            "lost",
            format!("nats-object:{bucket}/{}", object_of(run("lost")?, &content)),
            rejection::LOST_INPUT,
        ),
        ("foreign", format!("nats-object:{bucket}/{object}"), rejection::MALFORMED),
        ("bucket", format!("nats-object:MINE/{}", object_of(run("bucket")?, &content)), rejection::MALFORMED),
        (
            "part",
            format!("nats-object:{bucket}/{}#/n", object_of(run("part")?, &content)),
            rejection::MALFORMED,
        ),
        ("web", "https://example.com/input.json".to_owned(), rejection::MALFORMED),
    ] {
        ask(id, dataref).await?;
        let RunOutcome::Rejected(rejected) = world.ended(run(id)?).await? else {
            anyhow::bail!("{id}: not rejected")
        };
        ensure!(rejected.code == code, "{id}: {rejected:?}");
    }
    // Once it is there, the same request is as good as any.
    let late = run("lost")?;
    let object = world.bus.put_object(&ObjectOwner::Run(late), content).await?;
    ask("lost", format!("nats-object:{bucket}/{object}")).await?;
    world.first(Stream::Events, &format!("workflow.completed.twice.-.{late}")).await?;
    agent.stop().await?;
    orchestrator.stop().await
}

/// The server takes no objects for a while: what is large waits, and nothing of it is lost.
#[tokio::test]
async fn a_bucket_that_takes_nothing_is_waited_for() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    let agent = world.agent(echoing()).await?;
    world.apply(TWICE).await?;
    let mut requests = Vec::new();
    for number in 0..3 {
        let request = world.request("twice", &number.to_string(), large(100_000 + number * 10))?;
        requests.push((submit(&*world.bus, &request).await?, request.input));
    }
    let jetstream = jetstream::new(async_nats::connect(server.url()).await?);
    let bucket = format!("OBJ_{}", world.namespace.object_bucket());
    let mut config = jetstream.get_stream(&bucket).await?.cached_info().config.clone();
    config.max_messages = 1;
    // Whatever stands there already is more than that: `discard: new` refuses what comes.
    jetstream.update_stream(&config).await?;
    let later = world.start("twice", json!({"n": 1})).await?;
    ensure!(matches!(world.ended(later).await?, RunOutcome::Completed(_)), "what is small goes on");
    config.max_messages = -1;
    jetstream.update_stream(&config).await?;
    for (run, input) in requests {
        let RunOutcome::Completed(completed) = world.ended(run).await? else {
            anyhow::bail!("not completed")
        };
        ensure!(completed.output == input, "another output");
    }
    agent.stop().await?;
    orchestrator.stop().await
}
