//! `mesh workflow`: from a file to what can be started, and back.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use mesh_agents::{Agent, Context};
use mesh_bus::RunOutcome;
use mesh_bus::topology::Stream;
use mesh_tests::{TestServer, World};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::support::Person;

const ORDER: &str = r#"
mesh: v1
name: order
tasks:
  check: {agent: checker}
  charge: {agent: bank, needs: [check], when: 'input.amount > 10 && input.note != "<free>"'}
  pack: {agent: packer, needs: [check], on_failure: continue}
  ship: {agent: carrier, needs: [charge, pack], on_skipped: run}
"#;

/// A second version of it.
fn second() -> String {
    ORDER.replace("packer", "robot")
}

#[tokio::test]
async fn a_workflow_is_applied_looked_at_and_deleted() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    let person = Person::of(&world)?;
    person.file("order.yaml", ORDER)?;
    person.file("second.yaml", &second())?;
    assert!(person.says(&["workflow", "list"]).await?.well()?.starts_with("WORKFLOW"));

    let applied = person.says(&["workflow", "apply", "order.yaml"]).await?.well()?;
    assert!(applied.starts_with("created order (4 tasks, sha256:"), "{applied}");
    let first = person.says(&["workflows", "list", "-o", "json"]).await?.json()?;
    let again = person.says(&["workflow", "apply", "order.yaml", "-o", "json"]).await?.json()?;
    assert_eq!(again["change"], "unchanged");
    assert_eq!(person.says(&["workflow", "list", "-o", "json"]).await?.json()?, first, "nor is its date");
    let updated = person.says(&["workflow", "apply", "second.yaml"]).await?.well()?;
    assert!(updated.starts_with("updated order"), "{updated}");

    let listed = person.says(&["workflow", "list", "-o", "json"]).await?.json()?;
    assert_eq!((&listed[0]["name"], &listed[0]["tasks"]), (&json!("order"), &json!(4)));
    assert_eq!(listed[0]["older_versions"], 1);
    assert_ne!(listed[0]["digest"], first[0]["digest"]);

    let shown = person.says(&["workflow", "show", "order"]).await?.well()?;
    let back = person.says_to(&shown, &["workflow", "apply", "-"]).await?.well()?;
    assert!(back.starts_with("unchanged order"), "what is shown is the definition: {back}");
    let shown = person.says(&["workflow", "show", "order", "-o", "json"]).await?.json()?;
    assert_eq!(shown["tasks"]["pack"]["agent"], "robot");
    let older = first[0]["digest"].as_str().and_then(|digest| digest.get(..19)).context("a digest")?;
    let older = person.says(&["workflow", "show", "order", "-o", "json", "--digest", older]).await?.json()?;
    assert_eq!(older["tasks"]["pack"]["agent"], "packer");
    let nothing = person.says(&["workflow", "show", "order", "--digest", "sha256:zz"]).await?;
    assert!(nothing.err.contains("'order' has no version sha256:zz; it has "), "{nothing:?}");

    let refused = person.says(&["workflow", "delete", "order"]).await?;
    assert_eq!(refused.code, 1);
    assert!(refused.err.contains("deleting order needs --yes"), "{refused:?}");
    let unknown = person.says(&["workflow", "delete", "order", "ordre", "--yes"]).await?;
    assert!(unknown.err.contains("there is no workflow 'ordre': did you mean 'order'?"), "{unknown:?}");
    let deleted = person.says(&["workflow", "delete", "order", "--yes"]).await?.well()?;
    assert_eq!(deleted, "deleted order\n");

    assert_eq!(person.says(&["workflow", "list", "-o", "json"]).await?.json()?, json!([]));
    let gone = person.says(&["workflow", "show", "order"]).await?;
    assert!(gone.err.contains("'order' was deleted") && gone.err.contains("--digest"), "{gone:?}");
    match world.run("order", json!({})).await? {
        RunOutcome::Rejected(rejected) => assert_eq!(rejected.code, "unknown_workflow"),
        other => anyhow::bail!("not rejected: {other:?}"),
    }
    let back = person.says(&["workflow", "apply", "order.yaml"]).await?.well()?;
    assert!(back.starts_with("created order"), "{back}");
    orchestrator.stop().await
}

#[tokio::test]
async fn a_run_that_has_begun_goes_on_when_its_workflow_is_deleted() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    let gate = Arc::new(Semaphore::new(0));
    let opened = Arc::clone(&gate);
    let work = move |_ctx: Context, _input: Value| {
        let gate = Arc::clone(&opened);
        async move {
            gate.acquire().await?.forget();
            Ok(json!("done"))
        }
    };
    let agent = world.agent(Agent::builder("worker").capability("work", work)).await?;
    world.apply("{mesh: v1, name: two, tasks: {a: {agent: work}, b: {agent: work, needs: [a]}}}").await?;
    let run = world.start("two", json!({})).await?;
    world.first(Stream::Notes, "task.assigned.>").await?;
    let person = Person::of(&world)?;
    person.says(&["workflow", "delete", "two", "-y"]).await?.well()?;
    // An orchestrator that remembers nothing has to read the definition anew.
    orchestrator.stop().await?;
    let orchestrator = world.orchestrator().await?;
    gate.add_permits(2);
    assert!(matches!(world.ended(run).await?, RunOutcome::Completed(_)));
    agent.stop().await?;
    orchestrator.stop().await
}

#[tokio::test]
async fn a_graph_needs_no_server() -> Result<()> {
    let person = Person::new()?.with("MESH_NATS_URL", "nats://127.0.0.1:1");
    person.file("order.yaml", ORDER)?;
    let text = person.says(&["workflow", "graph", "order.yaml"]).await?.well()?;
    let expected = r#"order: 4 tasks in 3 steps

STEP  TASK    AGENT    NEEDS         CONDITIONS
1     check   checker
2     charge  bank     check         when input.amount > 10 && input.note != "<free>"
      pack    packer   check         on_failure: continue
3     ship    carrier  charge, pack  on_skipped: run
"#;
    assert_eq!(text, expected);
    let mermaid = person.says(&["workflow", "graph", "order.yaml", "--format", "mermaid"]).await?.well()?;
    for line in [
        "flowchart TD",
        r#"  task_charge["charge<br/>bank<br/>when input.amount #62; 10 #38;#38; input.note != #34;#60;free#62;#34;"]"#,
        "  task_check -.-> task_charge",
        "  task_pack --> task_ship",
    ] {
        assert!(mermaid.lines().any(|drawn| drawn == line), "{line} is not in\n{mermaid}");
    }
    let dot = person.says_to(ORDER, &["workflow", "graph", "-", "--format", "dot"]).await?.well()?;
    for line in [
        r#"digraph "order" {"#,
        r#"  "charge" [label="charge\nbank\nwhen input.amount > 10 && input.note != \"<free>\"", style=dashed];"#,
        r#"  "pack" -> "ship";"#,
    ] {
        assert!(dot.lines().any(|drawn| drawn == line), "{line} is not in\n{dot}");
    }
    let registered = person.says(&["workflow", "graph", "order"]).await?;
    assert!(registered.err.contains("cannot connect to NATS"), "{registered:?}");
    let missing = person.says(&["workflow", "graph", "nowhere.yaml"]).await?;
    assert!(missing.err.contains("cannot read the definition from nowhere.yaml"), "{missing:?}");
    Ok(())
}

#[tokio::test]
async fn a_graph_names_workflows() -> Result<()> {
    let person = Person::new()?;
    let version = format!("sha256:{}", "ab".repeat(32));
    let text = format!(
        "{{mesh: v1, name: outer, tasks: {{a: {{workflow: inner, version: '{version}'}}, b: {{workflow: tell, wait: false, \
         needs: [a]}}}}}}"
    );
    let text = person.says_to(&text, &["workflow", "graph", "-"]).await?.well()?;
    let expected = "outer: 2 tasks in 2 steps

STEP  TASK  AGENT                          NEEDS  CONDITIONS
1     a     workflow inner@abababababab
2     b     workflow tell, not waited for  a
";
    assert_eq!(text, expected);
    Ok(())
}

#[tokio::test]
async fn a_graph_of_what_is_registered() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    world.apply(ORDER).await?;
    let person = Person::of(&world)?;
    let text = person.says(&["workflow", "graph", "order"]).await?.well()?;
    assert!(text.starts_with("order: 4 tasks in 3 steps\n"), "{text}");
    let nothing = person.says(&["workflow", "graph", "oder"]).await?;
    assert!(nothing.err.contains("did you mean 'order'?"), "{nothing:?}");
    orchestrator.stop().await
}

#[tokio::test]
async fn every_problem_of_every_file_is_told_and_nothing_applied() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    let person = Person::of(&world)?;
    person.file("order.yaml", ORDER)?;
    person.file("wrong.yaml", "mesh: v1\nname: wrong\ntasks: {a: {agnet: x}}\n")?;
    let wrong = "{\"mesh\": \"v1\", \"name\": \"b\", \"tasks\": {}, \"extra\": 1}";
    let said = person.says_to(wrong, &["workflow", "apply", "order.yaml", "wrong.yaml", "-"]).await?;
    assert_eq!(said.code, 1);
    assert_eq!(said.out, "");
    assert!(said.err.contains("wrong.yaml:3:") && said.err.contains("did you mean 'agent'"), "{said:?}");
    assert!(said.err.contains("stdin:1:"), "{said:?}");
    assert_eq!(person.says(&["workflow", "list", "-o", "json"]).await?.json()?, json!([]));
    let valid = person.says_to(ORDER, &["workflow", "validate", "-"]).await?.well()?;
    assert!(valid.starts_with("stdin is valid: order (4 tasks, sha256:"), "{valid}");
    let valid = person.says(&["workflow", "validate", "order.yaml", "-o", "json"]).await?.json()?;
    assert_eq!((&valid["file"], &valid["name"]), (&json!("order.yaml"), &json!("order")));
    orchestrator.stop().await
}
