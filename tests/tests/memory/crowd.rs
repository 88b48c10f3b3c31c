//! Many runs at once in real time, with programs that do what programs do.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use futures::future::try_join_all;
use mesh_agents::{Agent, Exec, TaskFailure};
use mesh_bus::memory::MemoryServer;
use mesh_bus::{Bus, Request, RunOutcome, RunWaiter, Target, submit};
use mesh_orchestrator::{Options, definitions};
use mesh_schemas::document::Format;
use mesh_schemas::{Namespace, RequestId};
use mesh_tests::patiently;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

const RUNS: usize = 100;

const FLOW: &str = "
mesh: v1
name: crowd
output: '${tasks.last.output}'
tasks:
  first:
    agent: program
    on_failure: continue
    timeout: 1s
    retry: {max_attempts: 2, initial: 10ms, jitter: 0}
  last: {agent: echo, needs: [first], with: '${tasks.first.output}'}
";

/// Does what its input says: most do well, the others each in a way of their own.
const PROGRAM: &str = r#"
read -r how
case $how in
    '"well"') echo 1 ;;
    '"flaky"') test "$MESH_ATTEMPT" -gt 1 || exit 1; echo 2 ;;
    '"garbage"') head -c 1000 /dev/urandom ;;
    '"flood"') yes ;;
    '"dies"') kill -KILL $$ ;;
    '"hangs"') trap '' TERM; while :; do sleep 1000; done ;;
    '"leaves"') sleep 1000 & echo 3 ;;
esac
"#;

const KINDS: [(&str, Option<u64>); 7] = [
    ("well", Some(1)),
    ("flaky", Some(2)),
    ("garbage", None),
    ("flood", None),
    ("dies", None),
    ("hangs", None),
    ("leaves", Some(3)),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_runs_of_unruly_programs_end_as_they_should() -> Result<()> {
    let server = MemoryServer::new(Namespace::default());
    let (stop, stop_agent) = (CancellationToken::new(), CancellationToken::new());
    let orchestrator = tokio::spawn(mesh_orchestrator::run(server.connect(), Options::alone(), stop.clone()));
    let agent = Agent::builder("programs")
        .exec("program", Exec::new("sh").args(["-c", PROGRAM]))
        .capability("echo", async |_, input: Value| Ok::<Value, TaskFailure>(input))
        .capacity(20)
        .bus(server.connect());
    let agent = tokio::spawn(agent.run_until(stop_agent.clone()));
    let bus: Arc<dyn Bus> = server.connect();
    while bus.shards().await.is_err() {
        tokio::task::yield_now().await;
    }
    definitions::apply(&*bus, &definitions::check(FLOW, Format::Yaml)?).await?;
    let runs = try_join_all((0..RUNS).map(|number| run(Arc::clone(&bus), number)));
    patiently("the end of all runs", runs).await??;
    patiently("nobody to have anything in hand", idle(&*bus)).await??;
    stop_agent.cancel();
    patiently("the agent's end", agent).await???;
    stop.cancel();
    patiently("the orchestrator's end", orchestrator).await???;
    Ok(())
}

/// Starts a run, and waits until it has ended as it should.
async fn run(bus: Arc<dyn Bus>, number: usize) -> Result<()> {
    let place = number % 20;
    let (how, expected) = KINDS[if place < KINDS.len() { place } else { place % 2 }];
    let id = RequestId { source: "test".to_owned(), id: number.to_string() };
    let request = Request::new(Target::Workflow("crowd".parse()?), id, json!(how));
    let run = submit(&*bus, &request).await?;
    let outcome = RunWaiter::new(bus, run).await?.wait().await?;
    let RunOutcome::Completed(completed) = outcome else { bail!("{how}: {outcome:?}") };
    ensure!(completed.output == json!(expected), "{how}: {completed:?}");
    Ok(())
}

/// Returns when nobody has anything in hand.
async fn idle(bus: &dyn Bus) -> Result<()> {
    let mut looks = tokio::time::interval(Duration::from_millis(20));
    loop {
        looks.tick().await;
        let consumers = bus.health().await?.consumers;
        // Janitors keep the ends of runs in hand until it is time to archive them.
        let busy = consumers.iter().filter(|consumer| !consumer.name.starts_with("janitor-"));
        let mut states = busy.filter_map(|consumer| consumer.found.as_ref());
        if states.all(|state| state.pending == 0 && state.in_hand == 0) {
            return Ok(());
        }
    }
}
