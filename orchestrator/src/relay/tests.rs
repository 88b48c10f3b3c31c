use bytes::Bytes;
use mesh_bus::memory::MemoryServer;
use mesh_bus::topology::{Stream, Topology};
use mesh_bus::{Bus, History, Publish, history};
use mesh_schemas::document::Format;
use mesh_schemas::{Headers, Message, Namespace, RequestId, RunId, Shards, WorkflowVerb};
use serde_json::json;

use super::*;
use crate::definitions;

const ONE: &str = "{mesh: v1, name: one, tasks: {a: {agent: work}}}";

/// Stores something on a subject, and returns it as it is stored.
async fn store(bus: &dyn Bus, stream: Stream, subject: String, data: &serde_json::Value) -> StoredMessage {
    let message = Message { subject, headers: Headers::new(), payload: Bytes::from(data.to_string()) };
    bus.publish(Publish::plain(message.clone())).await.expect("stored");
    bus.last(stream, &message.subject).await.expect("read").expect("it is there")
}

/// The outcome of the task for which a run is asked for went into a history with the rest of its run.
#[tokio::test(start_paused = true)]
async fn a_run_is_not_started_for_one_that_is_archived() {
    for is_archived in [false, true] {
        let bus: Arc<dyn Bus> = MemoryServer::new(Namespace::default()).connect();
        let shards = Shards::new(1).expect("one shard");
        bus.set_up(&Topology { shards, ..Topology::default() }).await.expect("set up");
        let definition = definitions::check(ONE, Format::Yaml).expect("a definition");
        definitions::apply(&*bus, &definition).await.expect("applied");
        let request = RequestId { source: "test".to_owned(), id: "1".to_owned() };
        let around = RunId::for_request("workflow.around", &request, shards);
        if is_archived {
            let (workflow, outcome) = (Some("around".parse().expect("a name")), WorkflowVerb::Completed);
            let subject = Subject::History { workflow, outcome, run: around };
            let end = format!("mesh.workflow.completed.around.-.{around}");
            let end = store(&*bus, Stream::Events, end, &json!({})).await;
            for part in History::default().missing(around, &[(Stream::Events, &end)], 1_000_000) {
                let part = history::archive(&*bus, &subject, &part);
                bus.publish(Publish::plain(part)).await.expect("stored");
            }
        }
        let parent = json!({
            "run": around, "workflow": "around", "task": "t", "attempt": 1, "depth": 1, "wait": true,
        });
        let called = format!("mesh.workflow.called.one.-.{around}.t.1");
        store(&*bus, Stream::Inbox, called, &json!({ "input": {}, "parent": parent })).await;
        let spec = timer_consumer(bus.namespace());
        let mut inbox = bus.consume(&spec, Flow::Continuous(1)).await.expect("a receiver");
        let mut delivery = inbox.next().await.expect("a delivery");
        delivery.delivered = 2;
        let (lease, stored) = Lease::new(Arc::clone(&bus), delivery);
        relay(&Shared::of(&bus, None), &lease, &stored).await.expect("done");
        let started = bus.last(Stream::Events, "mesh.workflow.started.one.>").await.expect("read");
        assert_eq!(started.is_none(), is_archived);
    }
}
