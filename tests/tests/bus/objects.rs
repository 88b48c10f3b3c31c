//! What becomes of objects that are damaged, or that other clients made.

use anyhow::{Context as _, Result};
use async_nats::jetstream::{self, stream::Stream};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use bytes::Bytes;
use mesh_bus::topology::OBJECT_CHUNK_BYTES;
use mesh_bus::{Bus, BusError};
use mesh_schemas::{ObjectName, ObjectOwner};
use serde_json::{Value, json};

use crate::support::{World, run};

/// The bucket as another client sees it.
struct Bucket {
    client: async_nats::Client,
    stream: Stream,
}

impl Bucket {
    async fn of(world: &World) -> Result<Self> {
        let client = async_nats::connect(world.server.url()).await?;
        let stream = jetstream::new(client.clone()).get_stream("OBJ_MESH_OBJECTS").await?;
        Ok(Self { client, stream })
    }

    async fn publish(&self, subject: String, body: impl Into<Bytes>) -> Result<()> {
        jetstream::new(self.client.clone()).publish(subject, body.into()).await?.await?;
        Ok(())
    }

    /// What is written down of an object.
    async fn description(&self, name: &ObjectName) -> Result<Value> {
        let message = self.stream.get_last_raw_message_by_subject(&described(name)).await?;
        Ok(serde_json::from_slice(&message.payload)?)
    }

    async fn messages(&self) -> Result<u64> {
        Ok(self.stream.get_info().await?.state.messages)
    }
}

fn owner() -> ObjectOwner {
    ObjectOwner::Run(run(1))
}

fn described(name: &ObjectName) -> String {
    format!("$O.MESH_OBJECTS.M.{}", URL_SAFE.encode(name.to_string()))
}

fn damaged(read: Result<Option<Bytes>, BusError>) -> Result<String> {
    match read {
        Err(BusError::Damaged { error, .. }) => Ok(error),
        other => anyhow::bail!("{other:?}"),
    }
}

#[tokio::test]
async fn an_object_that_is_torn_or_altered_is_not_taken_for_whole_and_may_be_put_again() -> Result<()> {
    let world = World::new().await?;
    let bucket = Bucket::of(&world).await?;
    let content = Bytes::from(vec![b'x'; 3 * OBJECT_CHUNK_BYTES]);
    let name = world.bus.put_object(&owner(), content.clone()).await?;
    let nuid = bucket.description(&name).await?["nuid"].as_str().context("a nuid")?.to_owned();
    let chunks = format!("$O.MESH_OBJECTS.C.{nuid}");
    assert!(nuid.starts_with(&format!("{name}.")), "{nuid}");
    let torn = bucket.stream.get_last_raw_message_by_subject(&chunks).await?;
    bucket.stream.delete_message(torn.sequence).await?;
    let error = damaged(world.bus.object(&name).await)?;
    assert!(error.contains("1048576 of its 1572864 bytes"), "{error}");
    bucket.publish(chunks, vec![b'y'; OBJECT_CHUNK_BYTES]).await?;
    let error = damaged(world.bus.object(&name).await)?;
    assert!(error.contains("another than its name says"), "{error}");
    bucket.stream.purge().filter(format!("$O.MESH_OBJECTS.C.{nuid}")).await?;
    assert_eq!(world.bus.put_object(&owner(), content.clone()).await?, name);
    assert!(world.bus.object(&name).await? == Some(content));
    bucket.publish(described(&name), "no JSON").await?;
    assert!(damaged(world.bus.object(&name).await)?.contains("unreadable"));
    world.bus.put_object(&owner(), vec![b'x'; 3 * OBJECT_CHUNK_BYTES].into()).await?;
    assert!(world.bus.object(&name).await?.is_some());
    Ok(())
}

#[tokio::test]
async fn what_a_writer_left_that_died_half_way_is_no_object_and_goes_with_its_owner() -> Result<()> {
    let world = World::new().await?;
    let bucket = Bucket::of(&world).await?;
    let name = ObjectName::of(owner(), b"xy");
    bucket.publish(format!("$O.MESH_OBJECTS.C.{name}.dead"), "x").await?;
    assert_eq!(world.bus.object(&name).await?, None);
    let listed = world.bus.objects().await?;
    assert_eq!(listed.iter().map(|owned| &owned.owner).collect::<Vec<_>>(), [&owner()]);
    world.bus.remove_objects(&owner()).await?;
    assert_eq!((bucket.messages().await?, world.bus.objects().await?), (0, Vec::new()));
    Ok(())
}

#[tokio::test]
async fn an_object_of_another_client_is_read_listed_and_removed() -> Result<()> {
    let world = World::new().await?;
    let bucket = Bucket::of(&world).await?;
    let name = ObjectName::of(owner(), b"hello");
    bucket.publish("$O.MESH_OBJECTS.C.NUID".to_owned(), "hel").await?;
    bucket.publish("$O.MESH_OBJECTS.C.NUID".to_owned(), "lo").await?;
    let info = json!({"name": name.to_string(), "bucket": "MESH_OBJECTS", "nuid": "NUID", "size": 5, "chunks": 2,
        "mtime": "0001-01-01T00:00:00Z", "digest": "SHA-256=LPJNul-wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ="});
    bucket.publish(described(&name), info.to_string()).await?;
    bucket.publish("$O.MESH_OBJECTS.M.c29tZWJvZHk=".to_owned(), "{}").await?;
    assert_eq!(world.bus.object(&name).await?, Some("hello".into()));
    let listed = world.bus.objects().await?;
    assert_eq!(listed.iter().map(|owned| &owned.strays).collect::<Vec<_>>(), [std::slice::from_ref(&name)]);
    listed[0].remove(&world.bus).await?;
    assert_eq!(world.bus.object(&name).await?, None);
    assert_eq!(bucket.messages().await?, 1, "somebody's own object stays");
    // As other clients remove one.
    let deleted = json!({"name": name.to_string(), "bucket": "MESH_OBJECTS", "nuid": "NUID", "size": 0, "chunks": 0,
        "deleted": true});
    bucket.publish(described(&name), deleted.to_string()).await?;
    assert_eq!(world.bus.object(&name).await?, None);
    assert_eq!(world.bus.put_object(&owner(), "hello".into()).await?, name);
    assert_eq!(world.bus.object(&name).await?, Some("hello".into()));
    Ok(())
}
