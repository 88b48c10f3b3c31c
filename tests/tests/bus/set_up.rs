use anyhow::Result;
use futures::future::try_join_all;
use mesh_bus::nats::{Auth, ConnectOptions, NatsBus};
use mesh_bus::topology::{Stream, Topology, shard_consumer};
use mesh_bus::{Bus, BusError, Flow};
use mesh_schemas::{Namespace, Shards};
use mesh_tests::TestServer;

use crate::support::{connect, topology};

#[tokio::test]
async fn a_namespace_may_be_set_up_again_and_by_several_at_once() -> Result<()> {
    let server = TestServer::start()?;
    let buses = [connect(&server).await?, connect(&server).await?, connect(&server).await?];
    assert!(matches!(buses[0].shards().await, Err(BusError::NotSetUp(_))));
    let topology = Topology::default();
    try_join_all(buses.iter().map(|bus| bus.set_up(&topology))).await?;
    buses[1].set_up(&topology).await?;
    for bus in &buses {
        assert_eq!(bus.shards().await?, Shards::default());
    }
    Ok(())
}

#[tokio::test]
async fn another_number_of_shards_is_refused() -> Result<()> {
    let server = TestServer::start()?;
    let bus = connect(&server).await?;
    bus.set_up(&topology(4)).await?;
    let refused = bus.set_up(&topology(8)).await.expect_err("a conflict");
    assert!(matches!(refused, BusError::Conflict { .. }), "{refused}");
    assert!(refused.to_string().contains("ask for 4 shards"), "{refused}");
    assert_eq!(bus.shards().await?.count(), 4);
    Ok(())
}

#[tokio::test]
async fn streams_of_others_are_refused() -> Result<()> {
    let server = TestServer::start()?;
    let client = async_nats::connect(server.url()).await?;
    let jetstream = async_nats::jetstream::new(client);
    let other = |name: &str, subject: &str| async_nats::jetstream::stream::Config {
        name: name.to_owned(),
        subjects: vec![subject.to_owned()],
        ..Default::default()
    };
    jetstream.create_stream(other("ORDERS", "one.task.>")).await?;
    jetstream.create_stream(other("TWO_EVENTS", "orders.>")).await?;
    for (namespace, names) in [("one", "overlap"), ("two", "TWO_EVENTS")] {
        let options = ConnectOptions::new(&server.url()).namespace(Namespace::new(namespace)?);
        let bus = NatsBus::connect(options).await?;
        let refused = bus.set_up(&topology(2)).await.expect_err("a conflict");
        assert!(matches!(refused, BusError::Conflict { .. }), "{refused}");
        assert!(refused.to_string().contains(names), "{refused}");
    }
    Ok(())
}

#[tokio::test]
async fn descriptions_are_mended_and_an_operators_limits_stay() -> Result<()> {
    let server = TestServer::start()?;
    let bus = connect(&server).await?;
    bus.set_up(&topology(2)).await?;
    let jetstream = async_nats::jetstream::new(async_nats::connect(server.url()).await?);
    let name = Stream::Dead.name(bus.namespace());
    let mut config = jetstream.get_stream(&name).await?.cached_info().config.clone();
    config.description = Some("mine".to_owned());
    config.max_bytes = 1 << 30;
    jetstream.update_stream(&config).await?;
    bus.set_up(&topology(2)).await?;
    let found = jetstream.get_stream(&name).await?.cached_info().config.clone();
    assert_ne!(found.description.as_deref(), Some("mine"));
    assert_eq!(found.max_bytes, 1 << 30);
    Ok(())
}

#[tokio::test]
async fn who_cannot_prove_who_they_are_is_kept_out() -> Result<()> {
    let by_token = TestServer::start_with(&["--auth", "secret"])?;
    let by_password = TestServer::start_with(&["--user", "mesh", "--pass", "secret"])?;
    let user = || Auth::UserPassword { user: "mesh".to_owned(), password: "secret".to_owned() };
    let token = || Auth::Token("secret".to_owned());
    for (server, right, wrong) in [(&by_token, token(), user()), (&by_password, user(), token())] {
        let options = ConnectOptions::new(&server.url());
        NatsBus::connect(options.clone().auth(right)).await?;
        for wrong in [wrong, Auth::None] {
            let refused = NatsBus::connect(options.clone().auth(wrong)).await;
            assert!(matches!(refused, Err(BusError::Denied { .. })), "{refused:?}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn what_is_not_there_is_told() -> Result<()> {
    let nowhere = NatsBus::connect(ConnectOptions::new("nats://127.0.0.1:1")).await;
    assert!(matches!(nowhere, Err(BusError::Connect { .. })), "{nowhere:?}");
    let server = TestServer::start()?;
    let bus = connect(&server).await?;
    let consumer = bus.consume(&shard_consumer(bus.namespace(), 0), Flow::OnRequest).await;
    assert!(matches!(consumer, Err(BusError::NotSetUp(_))));
    let run = crate::support::run(1);
    assert!(matches!(bus.read_run(&run).await, Err(BusError::NotSetUp(_))));
    assert!(matches!(bus.last(Stream::Notes, "mesh.x").await, Err(BusError::NotSetUp(_))));
    Ok(())
}
