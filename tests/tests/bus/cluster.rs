use anyhow::Result;
use mesh_bus::nats::{ConnectOptions, NatsBus};
use mesh_bus::topology::{Stream, Topology};
use mesh_bus::{Bus, Stored};
use mesh_tests::Cluster;

use crate::support::{event, run, topology};

/// Agents would leave work undone, and orchestrators put outcomes aside, for a run that only their server does not know.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_copy_that_is_behind_lacks_is_not_held_to_be_missing() -> Result<()> {
    let mut cluster = Cluster::start().await?;
    let bus = NatsBus::connect(ConnectOptions::new(&cluster.urls())).await?;
    bus.set_up(&Topology { replicas: mesh_bus::topology::Replicas(3), ..topology(2) }).await?;
    cluster.until_whole().await?;
    let leader = cluster.leader(&Stream::Events.name(bus.namespace())).await?;
    let follower = (leader + 1) % 3;
    let others = cluster.server((leader + 2) % 3)?.url();
    let bus = NatsBus::connect(ConnectOptions::new(&others)).await?;
    let behind = NatsBus::connect(ConnectOptions::new(&cluster.server(follower)?.url())).await?;
    cluster.isolate(follower, true);
    let event = event(run(1), 1);
    let subject = event.message.subject.clone();
    let Stored::Now(sequence) = bus.publish(event).await? else { panic!("it is stored once") };

    assert!(behind.last(Stream::Events, &subject).await.is_err());
    assert!(behind.at(Stream::Events, sequence).await.is_err());
    assert!(
        behind.read_run(&run(1)).await.is_ok_and(|log| log.end < sequence)
            || behind.read_run(&run(1)).await.is_err()
    );

    cluster.isolate(follower, false);
    cluster.until_whole().await?;
    assert!(behind.last(Stream::Events, &subject).await?.is_some());
    assert_eq!(behind.read_run(&run(1)).await?.events.len(), 1);
    // What is really not there is known from the leader.
    assert_eq!(behind.last(Stream::Events, "mesh.task.completed.other").await?, None);
    Ok(())
}
