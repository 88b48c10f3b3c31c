//! `mesh agent new`: what it writes works as its README says. That in Rust is run by the guide's test.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use mesh_tests::{TestServer, World, cargo_variables, mesh_binary, patiently, signal};
use rustix::process::Signal;
use tokio::process::Command;

use crate::support::Person;

/// Longest time that building an agent in Rust may take: far above what it needs where libraries are built already.
const BUILD: Duration = Duration::from_secs(600);

/// Writes an agent, runs it as its README says but for the installation, and has it do what its README has it do.
async fn works(lang: &str, run: &[&str]) -> Result<serde_json::Value> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize()?;
    let python = [checkout.join("agents/python"), checkout.join("target/tools/python")];
    let person = Person::of(&world)?.with("PYTHONPATH", &std::env::join_paths(python)?.to_string_lossy());
    let said = person.says(&["agent", "new", "--lang", lang, "greeter"]).await?.well()?;
    assert_eq!(said, "wrote greeter: greeter/README.md tells how to run it\n");
    let folder = person.home().join("greeter");
    let readme = std::fs::read_to_string(folder.join("README.md"))?;
    assert!(!readme.contains("{{"), "{readme}");
    person.says(&["workflow", "apply", "greeter/workflow.yaml"]).await?.well()?;
    let (program, arguments) = run.split_first().context("a program")?;
    let program = if *program == "mesh" { mesh_binary()? } else { program.into() };
    let mut command = person.program(&program, arguments)?;
    let mut agent = command.current_dir(&folder).spawn()?;
    let started = ["start", "try-greeter", "--input", "greeter/input.json", "--wait"];
    let output = person.says(&started).await?.json()?;
    let wrong = person.says(&["call", "greeter", "{}"]).await?;
    assert_eq!(wrong.code, 4, "{wrong:?}");
    signal(agent.id().context("it runs")?, Signal::TERM)?;
    assert!(patiently("the agent's end", agent.wait()).await??.success());
    orchestrator.stop().await?;
    Ok(output)
}

#[tokio::test]
async fn one_in_shell() -> Result<()> {
    let output =
        works("shell", &["mesh", "agent", "exec", "--capability", "greeter", "--", "./agent.sh"]).await?;
    assert_eq!(output, serde_json::json!({"greeted": {"name": "Ada"}, "attempt": 1}));
    Ok(())
}

#[tokio::test]
async fn one_in_python() -> Result<()> {
    let output = works("python", &["python3", "agent.py"]).await?;
    assert_eq!(output, serde_json::json!({"text": "Hello, Ada! This is attempt 1."}));
    Ok(())
}

#[tokio::test]
async fn one_in_rust_has_tests_that_pass() -> Result<()> {
    let person = Person::new()?;
    person.says(&["agent", "new", "--lang", "rust", "greeter"]).await?.well()?;
    let built = mesh_binary()?.parent().and_then(Path::parent).context("a folder")?.to_owned();
    let mut tests = Command::new(env!("CARGO"));
    for variable in cargo_variables() {
        tests.env_remove(variable);
    }
    tests
        .args(["test", "--offline"])
        .current_dir(person.home().join("greeter"))
        // So that what was built for these tests need not be built again.
        .env("CARGO_TARGET_DIR", built)
        .env("CARGO_PROFILE_DEV_DEBUG", "line-tables-only")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let tested = tokio::time::timeout(BUILD, tests.output()).await.context("building takes too long")??;
    let said = String::from_utf8_lossy(&tested.stdout);
    ensure!(tested.status.success(), "{said}{}", String::from_utf8_lossy(&tested.stderr));
    ensure!(said.contains("2 passed"), "{said}");
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_written_is_told() -> Result<()> {
    let person = Person::new()?;
    person.file("full/mine.txt", "precious")?;
    for (arguments, expected) in [
        (["agent", "new", "--lang", "rust", "full"].as_slice(), "full is not empty"),
        (&["agent", "new", "--lang", "rust", "Bad Name"], "name one with --capability"),
        (&["agent", "new", "--lang", "rust", "--checkout", "full", "new"], "full is no checkout of the mesh"),
        (&["agent", "new", "--lang", "cobol", "new"], "possible values: rust, python, shell"),
    ] {
        let said = person.says(arguments).await?;
        assert!(said.code != 0 && said.err.contains(expected), "{said:?}");
    }
    assert_eq!(std::fs::read_dir(person.home().join("full"))?.count(), 1);
    assert!(!person.home().join("new").exists());
    Ok(())
}
