use std::sync::Arc;
use std::time::Duration;

use mesh_agents::{Agent, Context, Output, TaskFailure};
use mesh_schemas::payload::TaskCreated;
use mesh_schemas::{Capability, WorkflowName};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::World;
use super::link::Link;
use super::party::{Kind, Party};
use crate::workload::{Behaviour, Ending, behaviour};

/// What running tasks get to end when their agent is asked to stop.
const DRAIN: Duration = Duration::from_secs(10);

/// One agent, started again whenever it has ended. The first has every capability, the others have some.
pub(super) async fn keep(world: Arc<World>, place: u64) {
    let mut life = 0;
    loop {
        life += 1;
        let party = Party::new(&world, Kind::Agent, 100_000 + 1_000 * place + life);
        let stop = CancellationToken::new();
        let link = Arc::new(Link(Arc::clone(&party)));
        let mut agent = Agent::builder("agent")
            .id(format!("agent-{place}-{life}"))
            .capacity(world.storm.capacity)
            .drain_timeout(DRAIN)
            .bus(link);
        for capability in capabilities(&world, place) {
            let world = Arc::clone(&world);
            let work = move |context, task| work(Arc::clone(&world), context, task);
            agent = agent.raw_capability(capability.as_str(), work);
        }
        super::weather::live(&party, stop.clone(), agent.run_until(stop)).await;
    }
}

fn capabilities(world: &World, place: u64) -> Vec<Capability> {
    let all = world.workload.capabilities();
    if place == 0 || all.len() < 2 {
        return all.into_iter().collect();
    }
    // Every second one, others for each agent.
    all.into_iter().skip(usize::from(!place.is_multiple_of(2))).step_by(2).collect()
}

/// Does what the workload says of the attempt.
async fn work(world: Arc<World>, context: Context, task: TaskCreated) -> Result<Output, TaskFailure> {
    world.observe(|observer| observer.executed(&context));
    let name = task.workflow.parse::<WorkflowName>().ok();
    let script = world.workload.script(context.run(), world.shards);
    let script = script.or_else(|| name.as_ref().map(|name| world.workload.called(name, context.run())));
    let behaviour = script.map_or(&Behaviour::PLAIN, |script| behaviour(script, &task.task, task.attempt));
    let quality = behaviour.quality();
    sleep(behaviour.takes).await;
    match behaviour.ending.clone() {
        Ending::Returns(answer) => {
            let workflow = name.and_then(|name| world.workload.workflows.get(&name));
            let output = workflow.map_or_else(
                || answer.to(&task.input),
                |workflow| workflow.answer(&task.task, answer, &task.input),
            );
            let output = Output::new(output);
            Ok(quality.into_iter().fold(output, Output::quality))
        }
        Ending::Fails { code, retryable, retry_after } => {
            let new = if retryable { TaskFailure::retryable } else { TaskFailure::fatal };
            let failure: TaskFailure = new(code.to_owned(), "as the workload says".to_owned());
            Err(retry_after.into_iter().fold(failure, TaskFailure::retry_after))
        }
        // Not `panic!`, which would print it.
        Ending::Panics => std::panic::resume_unwind(Box::new("as the workload says")),
        Ending::Hangs => std::future::pending().await,
    }
}
