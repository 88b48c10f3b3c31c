//! Every metric of the mesh, once.

use super::instrument::{About, By, Counter, Gauge, Histogram, Kind, Metric};

macro_rules! metrics {
    ($($name:ident: $kind:ident<$labels:literal> = $otel:literal $unit:literal [$($label:literal),*] $by:ident $help:literal;)*) => {
        $(
            #[doc = $help]
            pub static $name: $kind<$labels> = $kind::new(About {
                name: $otel,
                kind: Kind::$kind,
                unit: $unit,
                labels: {
                    const LABELS: [&str; $labels] = [$($label),*];
                    &LABELS
                },
                by: By::$by,
                help: $help,
            });
        )*

        /// Every metric there is.
        pub static ALL: &[&dyn Metric] = &[$(&$name),*];
    };
}

metrics! {
    RUNS_STARTED: Counter<1> = "mesh.runs.started" "{run}" ["workflow"] Orchestrators
        "Runs that began. A task that was requested without a workflow is a run of the workflow `-`.";
    RUNS_ENDED: Counter<2> = "mesh.runs.ended" "{run}" ["workflow", "outcome"] Orchestrators
        "Runs that ended; `outcome` is `completed`, `failed` or `cancelled`.";
    RUN_DURATION: Histogram<2> = "mesh.run.duration" "s" ["workflow", "outcome"] Orchestrators
        "Time from the beginning of a run to its end, as both stand in the log.";
    RUNS: Gauge<1> = "mesh.runs" "{run}" ["state"] Orchestrators
        "Open runs of the shards that the orchestrator has: begun and not ended by the log. `active` are those that have a \
         task out with agents, as far as they are in memory; `waiting` are the others.";
    RUN_OLDEST: Gauge<1> = "mesh.run.oldest.age" "s" ["workflow"] Orchestrators
        "Age of the oldest open run among those in memory: of one to which nothing happened for long, that may be none.";
    TASKS_CREATED: Counter<1> = "mesh.tasks.created" "{task}" ["capability"] Orchestrators
        "Attempts of tasks that were given out.";
    TASKS_RETRIED: Counter<1> = "mesh.tasks.retried" "{task}" ["capability"] Orchestrators
        "Attempts among those given out that were not the first of their task.";
    TASKS_ENDED: Counter<2> = "mesh.tasks.ended" "{task}" ["capability", "outcome"] Orchestrators
        "Attempts given out to agents that ended, by their first outcome: `outcome` is `completed`, `failed`, or `given_up` if an \
         orchestrator ended it, as for a timeout.";
    TASK_DURATION: Histogram<1> = "mesh.task.duration" "s" ["capability"] Orchestrators
        "Time from the decision on an attempt to its outcome, both by the server's clock; of runs that stayed in memory.";
    QUEUE_DEPTH: Gauge<2> = "mesh.queue.depth" "{task}" ["capability", "lane"] FirstOrchestrator
        "Tasks that no agent has taken yet.";
    QUEUE_IN_HAND: Gauge<2> = "mesh.queue.in_hand" "{task}" ["capability", "lane"] FirstOrchestrator
        "Tasks that an agent has taken and not settled.";
    QUEUE_ASKING: Gauge<2> = "mesh.queue.asking" "{request}" ["capability", "lane"] FirstOrchestrator
        "Requests of agents for a task that wait for one: of agents that are in no registry, too.";
    QUEUE_AGE: Gauge<2> = "mesh.queue.oldest.age" "s" ["capability", "lane"] FirstOrchestrator
        "Age of the oldest task that no agent has taken yet.";
    CAPABILITY_AGENTS: Gauge<1> = "mesh.capability.agents" "{agent}" ["capability"] FirstOrchestrator
        "Agents in the registry that have the capability; 0 for one that only has a queue.";
    CAPABILITY_CAPACITY: Gauge<1> = "mesh.capability.capacity" "{task}" ["capability"] FirstOrchestrator
        "Tasks that these agents do at once.";
    EVENT_LAG: Histogram<0> = "mesh.event.lag" "s" [] Orchestrators
        "Time from when an event was stored until all that follows from it was, by the server's and this machine's clock.";
    SHARD_BACKLOG: Gauge<1> = "mesh.shard.backlog" "{event}" ["shard"] Orchestrators
        "Events of a shard that are to be followed yet.";
    SHARD_OWNED: Gauge<1> = "mesh.shard.owned" "{shard}" ["shard"] Orchestrators
        "1 for each shard that the orchestrator follows.";
    CACHE_LOOKUPS: Counter<1> = "mesh.run_cache.lookups" "{event}" ["result"] Orchestrators
        "Events whose run was in memory (`hit`), or had to be read from the log (`miss`).";
    CACHED_RUNS: Gauge<0> = "mesh.run_cache.runs" "{run}" [] Orchestrators
        "Runs in memory.";
    REHYDRATION: Histogram<0> = "mesh.run.rehydration.duration" "s" [] Orchestrators
        "How long it took to make a run anew from the log.";
    PUBLISH_CONFLICTS: Counter<0> = "mesh.publish.conflicts" "{event}" [] Orchestrators
        "Events that turned out to be stored already, as after a crash or where two orchestrators did the same.";
    REDELIVERED: Counter<1> = "mesh.events.redelivered" "{message}" ["stream"] Orchestrators
        "Messages of the log (`events`) and of requests and timers (`inbox`) that were delivered once more.";
    DEAD_LETTERS: Counter<1> = "mesh.dead_letters" "{message}" ["reason"] Both
        "Messages that were put aside.";
    REQUESTS_REJECTED: Counter<1> = "mesh.requests.rejected" "{request}" ["code"] Orchestrators
        "Requests that started no run.";
    LOG_FILL: Gauge<0> = "mesh.log.fill" "1" [] Orchestrators
        "How full the log is, or what bounds it; from 0.9 on new requests wait. Not reported where nothing bounds it.";
    PROBLEMS: Gauge<0> = "mesh.problems" "{problem}" [] Both
        "What is wrong with the process; `/readyz` says it in words.";
    NATS_UP: Gauge<0> = "mesh.nats.up" "{connection}" [] Both
        "1 while the process is connected to NATS, else 0.";
    NATS_RECONNECTS: Counter<0> = "mesh.nats.reconnects" "{connection}" [] Both
        "How often the connection to NATS was lost and made again.";
    AGENT_RUNNING: Gauge<1> = "mesh.agent.tasks.running" "{task}" ["capability"] Agents
        "Tasks that the agent has in hand.";
    AGENT_CAPACITY: Gauge<1> = "mesh.agent.capacity" "{task}" ["capability"] Agents
        "Tasks that the agent does at once.";
    AGENT_START: Histogram<1> = "mesh.agent.schedule_to_start.duration" "s" ["capability"] Agents
        "Time from when a task was stored until its handler began, by the server's and this machine's clock.";
    AGENT_REDELIVERED: Counter<1> = "mesh.agent.redeliveries" "{task}" ["capability"] Agents
        "Tasks that came once more.";
    AGENT_OUTCOMES: Counter<2> = "mesh.agent.outcomes" "{task}" ["capability", "outcome"] Agents
        "Outcomes that the agent stored: `completed` or `failed`.";
    PROCESS_DURATION: Histogram<2> = "messaging.process.duration" "s" ["messaging.destination.template", "error.type"] Agents
        "How long a delivery was in hand. `error.type` is the code of the task's error, if it failed.";
    SENT: Counter<1> = "messaging.client.sent.messages" "{message}" ["messaging.destination.template"] Agents
        "Outcomes that were sent.";
    CONSUMED: Counter<1> = "messaging.client.consumed.messages" "{message}" ["messaging.destination.template"] Agents
        "Tasks that were delivered.";
    SEND_DURATION: Histogram<1> = "messaging.client.operation.duration" "s" ["messaging.destination.template"] Agents
        "How long it took until an outcome was stored.";
}
