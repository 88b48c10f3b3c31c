//! Which spans are exported, and that nothing depends on it.

use std::net::TcpListener;

use anyhow::{Context as _, Result, ensure};
use mesh_schemas::TraceContext;
use mesh_tests::Span;
use serde_json::Value;

use crate::place::Place;

const ONE: &str = "{mesh: v1, name: one, tasks: {a: {agent: picky, retry: {max_attempts: 1}}}}";
/// Fails when it is told to.
const PICKY: &str = r#"read -r task; case "$task" in *bad*) echo 'too bad' >&2; exit 65;; esac"#;

fn of_run<'a>(spans: &'a [Span], run: &str) -> Vec<&'a Span> {
    spans.iter().filter(|span| span.attributes.get("mesh.run.id").is_some_and(|id| id == run)).collect()
}

#[tokio::test]
async fn of_what_is_not_sampled_errors_are_kept() -> Result<()> {
    let never = [("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"), ("OTEL_TRACES_SAMPLER_ARG", "0")];
    let mut place = Place::new(&never).await?;
    place.world.apply(ONE).await?;
    place.agent("picky", PICKY)?;
    place.run("one", r#"{"a": "good"}"#).await?;
    place.says(&["start", "one", "--input", r#"{"a": "bad"}"#, "--wait"], 4).await?;
    let spans = place.collector.until("the errors", |spans| spans.len() >= 2).await?;
    let names: std::collections::BTreeSet<&str> = spans.iter().map(Span::short_name).collect();
    ensure!(names == ["process task.created", "run one failed"].into(), "{names:?}");
    ensure!(spans.iter().all(|span| span.error.is_some() && span.trace == spans[0].trace), "{spans:#?}");
    Ok(())
}

#[tokio::test]
async fn who_asks_says_whether_it_is_sampled() -> Result<()> {
    let never = [("OTEL_TRACES_SAMPLER", "parentbased_always_off")];
    let mut place = Place::new(&never).await?;
    place.world.apply(ONE).await?;
    place.agent("picky", PICKY)?;
    let mut runs = Vec::new();
    for (id, flags) in [("no", "00"), ("yes", "01")] {
        let mut request = place.world.request("one", id, Value::Null)?;
        let parent = format!("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-{flags}");
        request.trace = Some(TraceContext::new(&parent, None).context("a trace")?);
        let run = mesh_bus::submit(&*place.world.bus, &request).await?;
        place.world.ended(run).await?;
        runs.push(run.to_string());
    }
    let told = |spans: &[Span]| {
        let of_run = of_run(spans, &runs[1]);
        let is_there = |name: &str| of_run.iter().any(|span| span.short_name() == name);
        is_there("run one completed") && is_there("receive task.created") && is_there("process task.created")
    };
    let spans = place.collector.until("all of the second", told).await?;
    ensure!(of_run(&spans, &runs[0]).is_empty(), "{spans:#?}");
    Ok(())
}

#[tokio::test]
async fn a_collector_that_never_answers_is_not_noticed() -> Result<()> {
    // The system completes connections, but nobody ever reads from them.
    let silent = TcpListener::bind("127.0.0.1:0")?;
    let endpoint = format!("http://{}", silent.local_addr()?);
    let small = [("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()), ("OTEL_BSP_MAX_QUEUE_SIZE", "8")];
    let mut place = Place::new(&small).await?;
    place.world.apply(ONE).await?;
    place.agent("picky", PICKY)?;
    for _ in 0..20 {
        place.world.run("one", Value::Null).await?;
    }
    Ok(())
}
