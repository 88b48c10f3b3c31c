//! Nothing of what a program starts is left when its task is over, however that comes.

use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use mesh_agents::{Agent, ConnectOptions, Exec};
use mesh_bus::RunOutcome;
use mesh_tests::Fifo;
use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};
use serde_json::json;

use crate::exec::sh;
use crate::support::mesh;

/// A script that has the pipe open, and so have all whom it starts.
fn with_pipe(pipe: &Fifo, script: &str) -> Exec {
    sh(&format!("exec 3> \"$PIPE\"; {script}")).env("PIPE", pipe.path())
}

#[tokio::test]
async fn who_stays_behind_holds_nothing_up_and_is_killed() -> Result<()> {
    let (mut silent, mut loud) = (Fifo::new()?, Fifo::new()?);
    let agent = Agent::builder("programs")
        .exec("silent", with_pipe(&silent, "sleep 1000 > /dev/null 2>&1 & echo 1"))
        .exec("loud", with_pipe(&loud, "sleep 1000 & echo 2"));
    let mesh = mesh().await?.with(agent).await?;
    assert_eq!(mesh.output("silent", json!({})).await?, json!(1));
    silent.ends().await?;
    assert_eq!(mesh.output("loud", json!({})).await?, json!(2));
    loud.ends().await?;
    mesh.stop().await
}

#[tokio::test]
async fn too_much_output_ends_the_whole_group() -> Result<()> {
    let mut pipe = Fifo::new()?;
    let exec = with_pipe(&pipe, "trap '' TERM; sleep 1000 & yes");
    let mesh = mesh().await?.with(Agent::builder("programs").exec("work", exec)).await?;
    assert_eq!(mesh.failure("work", json!({})).await?.code, "output_too_large");
    pipe.ends().await?;
    mesh.stop().await
}

/// Neither the program nor what it started heeds SIGTERM.
#[tokio::test]
async fn the_deadline_ends_the_whole_group() -> Result<()> {
    let mut pipe = Fifo::new()?;
    let exec = with_pipe(&pipe, "trap '' TERM; sleep 1000 & echo begun >&3; while :; do sleep 1000; done");
    let mesh = mesh().await?.with(Agent::builder("programs").exec("work", exec)).await?;
    let run = mesh.start("work", "timeout: 500ms,", json!({})).await?;
    pipe.says("begun").await?;
    mesh.world.ended(run).await?;
    let error = mesh.error(run).await?;
    assert_eq!((error.code.as_str(), error.retryable), ("timeout", true));
    pipe.ends().await?;
    mesh.stop().await
}

#[tokio::test]
async fn cancel_asks_the_group_to_end() -> Result<()> {
    let mut pipe = Fifo::new()?;
    let obedient = "trap 'echo asked >&3; exit 0' TERM; sleep 1000 & echo begun >&3; wait";
    let agent = Agent::builder("programs").exec("work", with_pipe(&pipe, obedient));
    let mesh = mesh().await?.with(agent).await?;
    let run = mesh.start("work", "", json!({})).await?;
    pipe.says("begun").await?;
    mesh.cancel(run).await?;
    let outcome = mesh.world.ended(run).await?;
    ensure!(matches!(outcome, RunOutcome::Cancelled(_)), "not cancelled: {outcome:?}");
    pipe.says("asked").await?;
    pipe.ends().await?;
    mesh.stop().await
}

/// An agent that stops asks what does not end in time to end, makes it, and leaves the task to others.
#[tokio::test]
async fn a_stopping_agent_leaves_nothing_behind() -> Result<()> {
    let mut pipe = Fifo::new()?;
    let stubborn = "trap 'echo asked >&3' TERM; echo $$ >&3; while :; do sleep 1000; done";
    let hasty = Agent::builder("programs").drain_timeout(Duration::ZERO);
    let mut mesh = mesh().await?.with(hasty.exec("work", with_pipe(&pipe, stubborn))).await?;
    let run = mesh.start("work", "", json!({})).await?;
    let program = Pid::from_raw(pipe.line().await?.parse()?).context("no process id")?;
    mesh.stop_agent().await?;
    assert_eq!(test_kill_process(program), Err(Errno::SRCH), "it is gone when the agent is");
    pipe.says("asked").await?;
    pipe.ends().await?;
    let mesh = mesh.with(Agent::builder("programs").exec("work", sh("echo $MESH_DELIVERY"))).await?;
    let outcome = mesh.world.ended(run).await?;
    ensure!(
        matches!(&outcome, RunOutcome::Completed(done) if done.output == json!(2)),
        "not done by the next: {outcome:?}"
    );
    mesh.stop().await
}

#[tokio::test]
async fn a_stopping_agent_lets_programs_end() -> Result<()> {
    let mut pipe = Fifo::new()?;
    let gate = pipe.folder().join("gate");
    ensure!(Command::new("mkfifo").arg(&gate).status()?.success(), "mkfifo failed");
    let exec = with_pipe(&pipe, "echo begun >&3; cat \"$GATE\"").env("GATE", &gate);
    let mut mesh = mesh().await?.with(Agent::builder("programs").exec("work", exec)).await?;
    let run = mesh.start("work", "", json!({})).await?;
    pipe.says("begun").await?;
    let open = async { tokio::task::spawn_blocking(|| std::fs::write(gate, "\"through\"")).await? };
    let (stopped, opened) = tokio::join!(mesh.stop_agent(), open);
    stopped?;
    opened?;
    let outcome = mesh.world.ended(run).await?;
    ensure!(
        matches!(&outcome, RunOutcome::Completed(done) if done.output == json!("through")),
        "not completed: {outcome:?}"
    );
    mesh.stop().await
}

/// Also tells that the secrets of the connection are kept from the program, and nothing else is.
#[tokio::test]
async fn an_agent_that_is_killed_takes_its_programs_along() -> Result<()> {
    let mut pipe = Fifo::new()?;
    let mesh = mesh().await?;
    let mut agent = tokio::process::Command::new(std::env::current_exe()?)
        .args(["--exact", "leftovers::agent_process", "--ignored", "--nocapture"])
        .env("MESH_NATS_URL", &mesh.world.url)
        .env("MESH_NAMESPACE", mesh.world.namespace.as_str())
        .env("MESH_NATS_USER", "someone")
        .env("MESH_NATS_PASSWORD", "hunter2")
        .env("MESH_NATS_OTHER", "hunter2")
        .env("MESH_ACTION", "of another task")
        .env("PIPE", pipe.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    let run = mesh.start("work", "", json!({})).await?;
    pipe.says("begun unset unset unset").await?;
    pipe.says(&mesh.world.url).await?;
    agent.kill().await?;
    pipe.ends().await?;
    mesh.cancel(run).await?;
    mesh.world.ended(run).await?;
    mesh.stop().await
}

#[tokio::test]
#[ignore = "it is the process that an_agent_that_is_killed_takes_its_programs_along kills"]
async fn agent_process() -> Result<()> {
    if std::env::var_os("PIPE").is_none() {
        return Ok(());
    }
    // The input comes when there is somebody who notices the agent's death.
    let script = "exec 3> \"$PIPE\"; trap '' TERM; cat > /dev/null; sleep 1000 & \
        echo begun ${MESH_NATS_PASSWORD-unset} ${MESH_NATS_OTHER-unset} ${MESH_ACTION-unset} >&3; \
        echo $MESH_NATS_URL >&3; while :; do sleep 1000; done";
    let options = ConnectOptions::from_env()?;
    Ok(Agent::builder("programs").connect(options).exec("work", sh(script)).run().await?)
}
