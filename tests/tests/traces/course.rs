//! Where a trace goes: on from its requester, into programs, through agents that know nothing of it, and into other runs.

use anyhow::{Context as _, Result, ensure};
use mesh_schemas::TraceContext;
use mesh_tests::{Span, beside_tests};
use serde_json::{Value, json};

use crate::place::Place;

const ONE: &str = "
mesh: v1
name: one
output: '${tasks.a.output}'
tasks: {a: {agent: echo, retry: {max_attempts: 1}}}
";

/// Says the trace that it is told of.
const ECHO: &str = r#"printf '"%s"' "$TRACEPARENT""#;

fn named<'a>(spans: &'a [Span], name: &str) -> Option<&'a Span> {
    spans.iter().find(|span| span.short_name() == name)
}

fn has(spans: &[Span], name: &str) -> bool {
    named(spans, name).is_some()
}

#[tokio::test]
async fn a_run_is_in_the_trace_of_its_requester_and_so_is_the_program_that_does_the_task() -> Result<()> {
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let mut place = Place::new(&[]).await?;
    place.world.apply(ONE).await?;
    place.agent("echo", ECHO)?;
    let mut request = place.world.request("one", "1", Value::Null)?;
    request.trace = TraceContext::new(parent, Some("vendor=value"));
    let run = mesh_bus::submit(&*place.world.bus, &request).await?;
    place.world.ended(run).await?;
    let spans = place
        .collector
        .until("the end", |spans| {
            has(spans, "process workflow.completed") && has(spans, "process task.created")
        })
        .await?;
    ensure!(spans.iter().all(|span| span.trace == parent[3..35]), "{spans:#?}");
    let root = named(&spans, "run one").context("the root")?;
    ensure!(root.parent == parent[36..52]);
    ensure!(named(&spans, "process workflow.requested").context("the request")?.parent == parent[36..52]);
    let process = named(&spans, "process task.created").context("the processing")?;
    let Some(mesh_bus::RunOutcome::Completed(completed)) = ended(&place, run).await? else {
        anyhow::bail!("the run did not complete")
    };
    ensure!(completed.output == json!(format!("00-{}-{}-01", process.trace, process.id)), "{completed:?}");
    Ok(())
}

async fn ended(place: &Place, run: mesh_schemas::RunId) -> Result<Option<mesh_bus::RunOutcome>> {
    Ok(Some(place.world.ended(run).await?))
}

#[tokio::test]
async fn the_trace_of_a_run_that_hangs_shows_up_to_where_it_got() -> Result<()> {
    let mut place = Place::new(&[]).await?;
    place.world.apply(ONE).await?;
    let run = place.world.start("one", Value::Null).await?;
    let begun = |spans: &[Span]| has(spans, "run one") && has(spans, "create task.created");
    let spans = place.collector.until("the root and the task", begun).await?;
    let root = named(&spans, "run one").context("the root is exported when the run begins")?;
    ensure!(root.trace == run.uuid().simple().to_string() && root.parent.is_empty());
    ensure!(!has(&spans, "receive task.created"), "nobody has it");
    place.agent("echo", "while :; do sleep 1; done")?;
    let spans = place.collector.until("the receipt", |spans| has(spans, "receive task.created")).await?;
    ensure!(!has(&spans, "process task.created"), "it is under way");
    ensure!(named(&spans, "receive task.created").context("it")?.text("mesh.agent.id").starts_with("echo-"));
    Ok(())
}

#[tokio::test]
async fn only_agents_that_use_a_model_are_told_of_as_such() -> Result<()> {
    let mut place = Place::new(&[]).await?;
    place
        .world
        .apply("{mesh: v1, name: chat, tasks: {a: {agent: echo}, b: {agent: talk, needs: [a]}}}")
        .await?;
    place.agent("echo", ECHO)?;
    place.start(&beside_tests("talking-agent")?, &[])?;
    place.run("chat", "null").await?;
    let both =
        |spans: &[Span]| spans.iter().filter(|span| span.short_name() == "process task.created").count() == 2;
    let spans = place.collector.until("both tasks", both).await?;
    let of = |task: &str| {
        let is_work =
            |span: &&Span| span.short_name() == "process task.created" && span.text("mesh.task.id") == task;
        spans.iter().find(is_work).with_context(|| format!("the work of {task}"))
    };
    let (plain, talking) = (of("a")?, of("b")?);
    ensure!(!plain.attributes.keys().any(|name| name.starts_with("gen_ai.")), "{plain:?}");
    ensure!(talking.text("gen_ai.operation.name") == "invoke_agent", "{talking:?}");
    ensure!(
        talking.text("gen_ai.agent.name") == "talking-agent"
            && talking.text("gen_ai.workflow.name") == "chat"
    );
    ensure!(talking.attributes["gen_ai.usage.input_tokens"] == json!(12));
    ensure!(talking.attributes["gen_ai.usage.output_tokens"] == json!(3));
    Ok(())
}

#[tokio::test]
async fn runs_within_a_run_are_in_its_trace() -> Result<()> {
    let mut place = Place::new(&[]).await?;
    place.world.apply(ONE).await?;
    place
        .world
        .apply("{mesh: v1, name: outer, output: '${tasks.within.output}', tasks: {within: {workflow: one}}}")
        .await?;
    place.agent("echo", ECHO)?;
    place.run("outer", "null").await?;
    let spans = place.collector.until("the end", |spans| has(spans, "run outer completed")).await?;
    let (outer, inner) = (named(&spans, "run outer").context("it")?, named(&spans, "run one").context("it")?);
    ensure!(outer.trace == inner.trace);
    let called = named(&spans, "create workflow.called").context("the call")?;
    ensure!(
        called.parent == outer.id && inner.parent == called.id && called.text("mesh.task.id") == "within"
    );
    Ok(())
}

#[tokio::test]
async fn a_retry_is_linked_to_the_attempt_before_and_says_what_was_wrong() -> Result<()> {
    let mut place = Place::new(&[]).await?;
    place
        .world
        .apply(
            "
mesh: v1
name: again
tasks: {a: {agent: moody, retry: {max_attempts: 2, initial: 20ms, jitter: 0}}}
",
        )
        .await?;
    place.agent("moody", r#"[ "$MESH_ATTEMPT" = 2 ] || { echo 'in a mood' >&2; exit 1; }"#)?;
    place.run("again", "null").await?;
    let attempts =
        |spans: &[Span]| spans.iter().filter(|span| span.short_name() == "process task.created").count();
    let spans = place
        .collector
        .until("the end", |spans| has(spans, "run again completed") && attempts(spans) == 2)
        .await?;
    let attempt = |name: &str, number: u32| {
        let mut all = spans.iter().filter(|span| span.short_name() == name);
        all.find(|span| span.attributes["mesh.attempt"] == json!(number))
            .with_context(|| format!("{name} {number}"))
    };
    let (first, second) = (attempt("create task.created", 1)?, attempt("create task.created", 2)?);
    ensure!(second.links.contains(&first.id), "{second:?}");
    let failed = attempt("process task.created", 1)?;
    ensure!(failed.error.as_ref().is_some_and(|error| error.contains("in a mood")), "{failed:?}");
    let exception = failed.events.iter().find(|event| event["name"] == "exception").context("an event")?;
    ensure!(exception["attributes"]["exception.type"] == failed.text("error.type"), "{failed:?}");
    ensure!(attempt("process task.created", 2)?.error.is_none());
    Ok(())
}
