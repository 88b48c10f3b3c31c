//! `mesh call`: one task without a workflow.

use anyhow::Result;
use mesh_bus::topology::Stream;
use mesh_schemas::RunId;
use mesh_tests::{TestServer, World};
use serde_json::json;

use crate::support::Person;
use crate::worker::worker;

#[tokio::test]
async fn a_task_is_done_and_its_output_printed() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    let (agent, gate) = worker(&world).await?;
    gate.open_for_good();
    let person = Person::of(&world)?;
    person.file("input.json", r#"{"from": "a file"}"#)?;
    assert_eq!(person.says(&["call", "work", "input.json"]).await?.json()?, json!({"from": "a file"}));
    assert_eq!(person.says_to("[1, 2]", &["call", "work", "-"]).await?.json()?, json!([1, 2]));
    assert_eq!(person.says(&["call", "work", "\"text\"", "-o", "yaml"]).await?.well()?, "text\n");
    let failed = person.says(&["call", "work", r#"{"fatal": true}"#]).await?;
    assert_eq!((failed.code, failed.out.as_str()), (4, ""), "{failed:?}");
    assert!(failed.err.contains("it broke (broken)"), "{failed:?}");
    let before = world.stored(Stream::Tasks, ">").await?.len();
    for input in ["1", "2"] {
        assert_eq!(person.says(&["call", "work", input, "--id", "once"]).await?.json()?, json!(1));
    }
    assert_eq!(world.stored(Stream::Tasks, ">").await?.len(), before + 1);
    assert_eq!(person.says(&["call", "work", "--input", "[2]"]).await?.json()?, json!([2]));
    let nothing = person.says(&["call", "work"]).await?;
    assert_eq!(nothing.code, 2, "{nothing:?}");
    agent.stop().await?;
    orchestrator.stop().await
}

#[tokio::test]
async fn a_call_waits_no_longer_than_it_is_told() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    let (agent, gate) = worker(&world).await?;
    let person = Person::of(&world)?;
    let said = person.says(&["call", "work", "7", "--timeout", "300ms"]).await?;
    assert_eq!((said.code, said.out.as_str()), (1, ""), "{said:?}");
    assert!(said.err.contains("error[MESH-406]: no outcome within 300ms: run "), "{said:?}");
    let run: RunId = said.err.split(' ').find_map(|word| word.trim().parse().ok()).expect("a run");
    gate.open();
    let later = person.says(&["runs", "watch", &run.to_string()]).await?;
    assert_eq!(later.json()?, json!(7));
    let wrong = person.says(&["call", "work", "7", "--timeout", "soon"]).await?;
    assert_eq!(wrong.code, 2, "{wrong:?}");
    assert!(wrong.err.contains("write a number with a unit"), "{wrong:?}");
    agent.stop().await?;
    orchestrator.stop().await
}

#[tokio::test]
async fn a_capability_that_nobody_has_is_told() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    let person = Person::of(&world)?;
    let said = person.says(&["call", "nobody", "{}", "--timeout", "5s"]).await?;
    assert!(said.err.contains("`mesh agent exec --capability nobody -- COMMAND`"), "{said:?}");
    orchestrator.stop().await
}
