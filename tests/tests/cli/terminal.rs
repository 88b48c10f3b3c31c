//! Watching on a terminal.

use std::fs::File;
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::process::Stdio;

use anyhow::{Result, ensure};
use mesh_tests::{TestServer, World, patiently};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use crate::support::Person;
use crate::worker::{TOUR, worker};

/// Runs a command with its stderr on a terminal. Returns its exit code, its stdout, and all that the terminal was sent.
async fn on_terminal(person: &Person, arguments: &[&str]) -> Result<(Option<i32>, String, String)> {
    let terminal: OwnedFd = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY)?;
    grantpt(&terminal)?;
    unlockpt(&terminal)?;
    let name = ptsname(&terminal, Vec::new())?;
    let inside = File::options().read(true).write(true).open(name.to_str()?)?;
    let child = person.command(arguments)?.stderr(Stdio::from(inside)).spawn()?;
    let shown = tokio::task::spawn_blocking(move || {
        let mut shown = Vec::new();
        let mut terminal = File::from(terminal);
        let mut some = [0; 4096];
        // A terminal that nobody has open any more cannot be read (EIO): that is its end.
        while let Ok(count @ 1..) = terminal.read(&mut some) {
            shown.extend_from_slice(&some[..count]);
        }
        shown
    });
    let ended = patiently("a command", child.wait_with_output()).await??;
    let shown = patiently("the end of the terminal", shown).await??;
    Ok((ended.status.code(), String::from_utf8(ended.stdout)?, String::from_utf8(shown)?))
}

#[tokio::test]
async fn a_terminal_shows_a_line_for_each_task() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    let (agent, gate) = worker(&world).await?;
    gate.open_for_good();
    world.apply(TOUR).await?;
    let person = Person::of(&world)?.with("TERM", "xterm-256color");
    let (code, out, shown) = on_terminal(&person, &["start", "tour", "--watch"]).await?;
    assert_eq!((code, out.as_str()), (Some(0), "{\n  \"fail_first\": 1\n}\n"), "{shown}");
    // How it stands in the end, line by line; every other line is an earlier state of one of these.
    for line in [
        "– after  skipped",
        "✓ fetch  done       #1 by worker-1 in ",
        "✓ load   done       #2 by worker-1 in ",
        "– maybe  skipped",
        "✗ risky  failed     #1 by worker-1 in ",
    ] {
        ensure!(plain(&shown).contains(line), "{line} is not in\n{}", plain(&shown));
    }
    ensure!(shown.contains(" completed in ") && shown.contains(", 5/5 tasks, tour"), "{shown}");
    ensure!(shown.contains("\u{1b}[32m✓"), "colours are missing: {shown}");

    let (_, _, shown) = on_terminal(&person.with("NO_COLOR", "1"), &["runs", "watch", "@last"]).await?;
    ensure!(plain(&shown).contains("✓ fetch  done") && !shown.contains("[32m"), "{shown}");
    agent.stop().await?;
    orchestrator.stop().await
}

#[tokio::test]
async fn a_terminal_that_cannot_move_lines_gets_them_one_after_another() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    let (agent, gate) = worker(&world).await?;
    gate.open_for_good();
    world.apply(TOUR).await?;
    let person = Person::of(&world)?.with("TERM", "dumb");
    let (code, _, shown) = on_terminal(&person, &["start", "tour", "--watch"]).await?;
    ensure!(code == Some(0) && shown.contains("  run completed in ") && !shown.contains('\u{1b}'), "{shown}");
    agent.stop().await?;
    orchestrator.stop().await
}

/// With more tasks than lines, those that have ended stand above, each once.
#[tokio::test]
async fn more_tasks_than_a_terminal_has_lines_are_all_shown() -> Result<()> {
    let server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let orchestrator = world.orchestrator().await?;
    let (agent, gate) = worker(&world).await?;
    gate.open_for_good();
    let tasks: String = (0..60).map(|n| format!("  t{n:02}: {{agent: work, with: {n}}}\n")).collect();
    world.apply(&format!("mesh: v1\nname: wide\ntasks:\n{tasks}")).await?;
    let person = Person::of(&world)?.with("TERM", "xterm").with("NO_COLOR", "1");
    let (code, _, shown) = on_terminal(&person, &["start", "wide", "--watch"]).await?;
    assert_eq!(code, Some(0), "{shown}");
    for n in 0..60 {
        let line = format!("✓ t{n:02}  done       #1 by worker-1 in ");
        assert_eq!(plain(&shown).matches(&line).count(), 1, "{line} in\n{}", plain(&shown));
    }
    agent.stop().await?;
    orchestrator.stop().await
}

/// Without what steers a terminal.
fn plain(shown: &str) -> String {
    let mut plain = String::new();
    let mut characters = shown.chars();
    while let Some(character) = characters.next() {
        if character == '\u{1b}' {
            for steering in characters.by_ref() {
                if steering.is_ascii_alphabetic() {
                    break;
                }
            }
        } else {
            plain.push(character);
        }
    }
    plain
}
