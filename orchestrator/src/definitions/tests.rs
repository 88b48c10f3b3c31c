use mesh_bus::memory::MemoryServer;
use mesh_bus::topology::Topology;
use mesh_schemas::definition::TaskBuilder;
use mesh_schemas::{Namespace, ObjectOwner};

use super::*;

async fn bus() -> Arc<dyn Bus> {
    let bus: Arc<dyn Bus> = MemoryServer::new(Namespace::default()).connect();
    bus.set_up(&Topology::default()).await.expect("set up");
    bus
}

/// A workflow of so many tasks, each for a capability of its hundred.
fn definition(tasks: usize) -> Definition {
    let mut builder = Definition::builder("large").expect("a name");
    for task in 0..tasks {
        let worker = TaskBuilder::new(&format!("work-{}", task / 100)).expect("a capability");
        let worker = worker.with(Value::from("x".repeat(100)));
        builder = builder.task(&format!("t{task}"), worker).expect("an id");
    }
    builder.build()
}

async fn entry(bus: &dyn Bus, digest: &Digest) -> Entry {
    let key = format!("large.{}", digest.hex());
    bus.get(Bucket::Workflows, &key).await.expect("read").expect("an entry")
}

#[tokio::test]
async fn a_small_definition_stands_in_the_bucket_itself() {
    let bus = bus().await;
    let small = definition(10);
    let applied = apply(&*bus, &small).await.expect("applied");
    assert_eq!(entry(&*bus, &applied.digest).await.value, small.canonical_json());
}

#[tokio::test]
async fn a_large_definition_is_an_object() {
    let bus = bus().await;
    let (large, name) = (definition(6_000), "large".parse().expect("a name"));
    let Applied { digest, change } = apply(&*bus, &large).await.expect("applied");
    assert_eq!(change, Change::Created);
    assert_eq!(apply(&*bus, &large).await.expect("applied").change, Change::Unchanged);
    let entry = entry(&*bus, &digest).await;
    assert!(entry.value.len() < 512, "{:?}", entry.value);
    // What an older mesh makes of it: a definition that it cannot read.
    assert!(serde_json::from_slice::<Definition>(&entry.value).is_err());

    let known = Definitions::new(Arc::clone(&bus)).get(&name, &digest).await.expect("read").expect("known");
    assert_eq!(known.plan.definition, large);
    let listed = all(&*bus).await.expect("read");
    assert_eq!(listed[0].current_version().and_then(|version| version.definition.clone()), Some(large));
    let agents = agents(&*bus, entry.value).await.expect("read");
    assert_eq!(agents.len(), 60);
}

#[tokio::test]
async fn a_large_definition_that_is_lost_is_told_and_can_be_applied_again() {
    let bus = bus().await;
    let (large, name) = (definition(6_000), "large".parse().expect("a name"));
    let digest = apply(&*bus, &large).await.expect("applied").digest;
    bus.remove_objects(&ObjectOwner::Definition("large".parse().expect("a name"), digest.clone()))
        .await
        .expect("removed");
    let lost = Definitions::new(Arc::clone(&bus)).get(&name, &digest).await.expect_err("it is lost");
    assert!(!lost.is_retryable());
    assert!(lost.to_string().contains("apply the workflow again"), "{lost}");
    let listed = all(&*bus).await.expect("what is left is listed");
    assert_eq!(listed[0].versions[0].definition, None);
    apply(&*bus, &large).await.expect("applied");
    assert!(Definitions::new(Arc::clone(&bus)).get(&name, &digest).await.expect("read").is_some());
}

#[test]
fn so_many_tasks_are_kept_compiled() {
    let mut kept = Kept { known: LruCache::unbounded(), tasks: 0 };
    let known = Arc::new(Known::compile(&definition(90_000)).expect("sound"));
    for number in 0..5 {
        kept.put(Key::Workflow(Digest::of(&[number])), Arc::clone(&known));
        kept.put(Key::Workflow(Digest::of(&[number])), Arc::clone(&known));
    }
    assert_eq!((kept.known.len(), kept.tasks), (2, 180_000));
}
