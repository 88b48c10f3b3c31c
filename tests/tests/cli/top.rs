//! `mesh top`: what goes on now.

use std::fs::File;
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::process::Stdio;

use anyhow::{Context as _, Result};
use mesh_bus::topology::Stream;
use mesh_tests::{TestServer, World, patiently, signal};
use rustix::process::Signal;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use serde_json::{Value, json};

use crate::agents::registered;
use crate::spoken::Spoken;
use crate::support::Person;
use crate::worker::{SINGLE, worker};

const IDLE: &str = "{mesh: v1, name: idle, tasks: {wait: {agent: nobody}}}";

#[tokio::test]
async fn queues_agents_and_stuck_runs_are_shown_once() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let person = Person::of(&world)?;
    let nothing = person.says(&["top", "--once"]).await?;
    assert!(nothing.code == 1 && nothing.err.contains("error[MESH-"), "{nothing:?}");
    let orchestrator = world.orchestrator().await?;
    let (agent, _gate) = worker(&world).await?;
    registered(&world, "worker-1").await?;
    world.apply(IDLE).await?;
    let run = world.start("idle", json!({})).await?;
    world.first(Stream::Tasks, &format!("task.created.*.*.{run}.wait.1")).await?;

    let told = person.says(&["top", "--once", "--interval", "200ms", "-o", "json"]).await?.json()?;
    let queues = told["queues"].as_array().context("queues")?;
    let queue = queues.iter().find(|queue| queue["capability"] == "nobody").context("the queue")?;
    assert_eq!(
        (&queue["waiting"], &queue["in_hand"], &queue["is_served"]),
        (&json!(1), &json!(0), &json!(false))
    );
    assert_eq!(
        (&told["agents"][0]["agent"], &told["agents"][0]["capacity"]),
        (&json!("worker-1"), &json!(10))
    );
    assert_eq!(told["open_runs"], 1);
    let stuck = &told["slowest"][0];
    assert_eq!(
        (&stuck["run"], &stuck["workflow"], &stuck["is_stuck"]),
        (&json!(run), &json!("idle"), &json!(true))
    );
    assert!(
        stuck["waiting_for"][0].as_str().is_some_and(|waits| waits.contains("capability 'nobody'")),
        "{told:#}"
    );

    // Without a terminal it ends by itself.
    let shown = person.says(&["top", "--interval", "200ms"]).await?.well()?;
    assert!(shown.contains("open      at least 1 run\n") && shown.contains("nobody serves it"), "{shown}");
    assert!(shown.contains("worker-1") && !shown.contains('\u{1b}'), "{shown}");
    let wrong = person.says(&["top", "--interval", "1ms"]).await?;
    assert!(wrong.code == 2 && wrong.err.contains("200ms at least"), "{wrong:?}");
    agent.stop().await?;
    orchestrator.stop().await
}

#[tokio::test]
async fn rates_are_told_line_by_line_until_ctrl_c() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    let (agent, gate) = worker(&world).await?;
    gate.open_for_good();
    world.apply(SINGLE).await?;
    let person = Person::of(&world)?;
    let mut top = Spoken::on_stdout(&person, &["top", "-o", "json", "--interval", "200ms"])?;
    top.line().await?;
    world.output("single", json!(1)).await?;
    loop {
        let told: Value = serde_json::from_str(&top.line().await?)?;
        if told["rates"]["tasks_done"].as_f64() > Some(0.0) {
            break;
        }
    }
    top.interrupt()?;
    assert_eq!(top.ended().await?.code, 0);
    agent.stop().await?;
    orchestrator.stop().await
}

#[tokio::test]
async fn a_terminal_is_drawn_anew_until_ctrl_c() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    let person = Person::of(&world)?.with("TERM", "xterm-256color");
    let terminal: OwnedFd = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY)?;
    grantpt(&terminal)?;
    unlockpt(&terminal)?;
    let name = ptsname(&terminal, Vec::new())?;
    let inside = File::options().read(true).write(true).open(name.to_str()?)?;
    let mut child = person.command(&["top", "--interval", "200ms"])?.stdout(Stdio::from(inside)).spawn()?;
    let shown = tokio::task::spawn_blocking(move || {
        let (mut shown, mut terminal, mut some) = (String::new(), File::from(terminal), [0; 4096]);
        while shown.matches("\u{1b}[H\u{1b}[J").count() < 3 {
            match terminal.read(&mut some) {
                Ok(count @ 1..) => shown.push_str(&String::from_utf8_lossy(&some[..count])),
                _ => break,
            }
        }
        (shown, terminal)
    });
    let (shown, _terminal) = patiently("three screens", shown).await??;
    assert!(shown.contains("mesh top") && shown.contains("OPEN LONGEST"), "{shown}");
    signal(child.id().context("it has ended")?, Signal::INT)?;
    assert_eq!(patiently("its end", child.wait()).await??.code(), Some(0));
    orchestrator.stop().await
}
