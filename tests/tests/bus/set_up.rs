use anyhow::Result;
use mesh_bus::nats::{Auth, ConnectOptions, NatsBus};
use mesh_bus::topology::{Stream, timer_consumer};
use mesh_bus::{Bus, BusError};
use mesh_schemas::Namespace;
use mesh_tests::TestServer;

use crate::support::{World, connect, topology};

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
async fn a_consumer_of_an_older_mesh_gets_the_filters_that_it_lacks() -> Result<()> {
    let world = World::new().await?;
    let timers = timer_consumer(world.bus.namespace());
    let jetstream = async_nats::jetstream::new(async_nats::connect(world.server.url()).await?);
    let stream = jetstream.get_stream(timers.stream.name(world.bus.namespace())).await?;
    let mut older = stream.consumer_info(&timers.name).await?.config;
    older.filter_subject = older.filter_subjects.remove(0);
    older.filter_subjects.clear();
    stream.create_consumer(older).await?;
    world.bus.set_up(&topology(2)).await?;
    assert_eq!(stream.consumer_info(&timers.name).await?.config.filter_subjects, timers.filters);
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
async fn a_server_that_is_not_there_is_told() -> Result<()> {
    let nowhere = NatsBus::connect(ConnectOptions::new("nats://127.0.0.1:1")).await;
    assert!(matches!(nowhere, Err(BusError::Connect { .. })), "{nowhere:?}");
    Ok(())
}
