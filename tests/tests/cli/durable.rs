//! What a power failure can cost: that it is what is said, and that it is refused where it must not be.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use mesh_bus::Bus as _;
use mesh_tests::{Cluster, Process, TestServer, World, mesh_binary, patiently, signal};
use rustix::process::Signal;
use serde_json::Value;

use crate::support::Person;
use crate::up::Mesh;

/// What `mesh doctor` says of the loss, in one line.
async fn told(person: &Person) -> Result<String> {
    let report = person.says(&["doctor", "-o", "json"]).await?;
    let report: Value = serde_json::from_str(&report.out).with_context(|| format!("{report:?}"))?;
    let mut findings = report["findings"].as_array().into_iter().flatten();
    let loss = findings.find(|finding| finding["about"] == "loss").context("the loss")?;
    let loss = loss["finding"].as_str().context("text")?;
    ensure!(!loss.contains('\n'), "more than a line: {loss}");
    Ok(loss.to_owned())
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// Whether a server with this configuration forces each write onto the disk, as it says itself.
fn syncs_always(configuration: &Path) -> Result<bool> {
    let port = free_port()?;
    let arguments = ["--config", &configuration.to_string_lossy(), "--http_port", &port.to_string()];
    let _server = TestServer::start_with(&arguments)?;
    let mut monitor = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    monitor.write_all(b"GET /jsz HTTP/1.0\r\nHost: here\r\n\r\n")?;
    let mut answer = String::new();
    monitor.read_to_string(&mut answer)?;
    let (_, body) = answer.split_once("\r\n\r\n").context("a body")?;
    let jetstream: Value = serde_json::from_str(body)?;
    ensure!(jetstream["config"]["sync_interval"].is_u64(), "{jetstream}");
    Ok(jetstream["config"]["sync_always"] == true)
}

#[tokio::test]
async fn a_folder_may_be_used_in_both_ways() -> Result<()> {
    let person = Person::new()?;
    let configuration = person.home().join("mesh-data/nats-server.conf");
    let up = async |more: &[&str]| {
        let mesh = Mesh::start(&person, &[&["--port", "0"], more].concat()).await?;
        let there = Person::new()?.with("MESH_NATS_URL", mesh.url()?);
        anyhow::Ok((mesh, there))
    };
    let (mesh, there) = up(&[]).await?;
    there.file("one.yaml", "{mesh: v1, name: one, tasks: {a: {agent: risk}}}")?;
    there.says(&["workflow", "apply", "one.yaml"]).await?.well()?;
    there.says(&["start", "one", "--id", "first"]).await?.well()?;
    let loss = told(&there).await?;
    ensure!(
        loss.contains("may lose the last two minutes, unless the server has `sync_interval: always`"),
        "{loss}"
    );
    // Killed, so that nothing is written in order.
    signal(mesh.pid()?, Signal::KILL)?;
    drop(mesh);
    ensure!(!syncs_always(&configuration)?);

    let (mesh, there) = patiently("the folder to be free", async {
        loop {
            if let Ok(up) = up(&["--durable"]).await {
                return up;
            }
        }
    })
    .await?;
    let loss = told(&there).await?;
    ensure!(
        loss.starts_with("one copy of everything: kill -9 loses nothing, a power failure loses nothing"),
        "{loss}"
    );
    ensure!(loss.ends_with("(as --durable wrote it down; a client cannot see it)"), "{loss}");
    let runs = there.says(&["runs", "list", "-o", "json"]).await?.json()?;
    ensure!(runs.as_array().map(Vec::len) == Some(1), "what was there is there: {runs}");
    // An orchestrator that must lose nothing is content with it.
    let orchestrator = there.command(&["orchestrator", "--durable"])?.spawn()?;
    patiently("an orchestrator", until_there(&there, 2)).await??;
    drop(orchestrator);
    let said = mesh.stop().await?;
    let lines = [
        "What may be lost: one copy of everything: kill -9 loses nothing, a power failure loses nothing, as each write is \
         forced onto the disk, and the loss of the disk loses all.",
        "Until now this folder was used without --durable; what was stored in it then is on the disk as well.",
    ];
    ensure!(lines.iter().all(|line| said.lines().any(|said| said == *line)), "{said}");
    ensure!(syncs_always(&configuration)?);

    let (mesh, _) = up(&["--durable"]).await?;
    let said = mesh.stop().await?;
    ensure!(!said.contains("Until now"), "nothing has changed: {said}");
    let (mesh, there) = up(&[]).await?;
    let loss = told(&there).await?;
    ensure!(loss.contains("may lose the last two minutes"), "{loss}");
    let said = mesh.stop().await?;
    ensure!(said.contains("Until now this folder was used with --durable;"), "{said}");
    ensure!(said.contains("may lose what came in since the last sync (every 2m)"), "{said}");
    ensure!(!syncs_always(&configuration)?);
    Ok(())
}

/// Waits until so many orchestrators are there.
async fn until_there(person: &Person, count: usize) -> Result<()> {
    loop {
        let said = person.says(&["doctor"]).await?;
        if said.out.contains(&format!("{count} orchestrator")) {
            return Ok(());
        }
    }
}

#[tokio::test]
async fn a_server_of_others_is_believed_when_somebody_answers_for_it() -> Result<()> {
    let mut server = TestServer::start()?;
    let world = World::on(&server.url()).await?;
    let person = Person::of(&world)?;
    let refused = async || {
        let said = person.says(&["orchestrator", "--durable"]).await?;
        ensure!(said.code == 1 && said.err.contains("error[MESH-605]"), "{said:?}");
        anyhow::Ok(())
    };
    let runs = async |arguments: &[&str]| {
        let all = [&["orchestrator"], arguments].concat();
        let orchestrator = Process::start(&world, &mesh_binary()?, &all)?;
        patiently("an orchestrator", until_there(&person, 1)).await??;
        ensure!(orchestrator.terminate()?, "it did not end well");
        anyhow::Ok(())
    };
    refused().await?;
    ensure!(world.bus.health().await?.usage.streams.used == 0, "nothing was made");
    runs(&[]).await?;
    refused().await?;
    runs(&["--durable=trust"]).await?;
    ensure!(told(&person).await?.contains("a power failure loses nothing"), "it is written down");
    server.restart()?;
    runs(&["--durable"]).await?;
    // Who says nothing changes nothing.
    runs(&[]).await?;
    ensure!(told(&person).await?.contains("a power failure loses nothing"), "it stays");
    runs(&["--durable=no"]).await?;
    ensure!(told(&person).await?.contains("may lose the last two minutes"), "it is taken back");
    refused().await
}

#[tokio::test(flavor = "multi_thread")]
async fn three_copies_are_enough() -> Result<()> {
    let servers = Cluster::start().await?;
    let person = Person::new()?.with("MESH_NATS_URL", &servers.urls()).with("MESH_NAMESPACE", "three");
    for (arguments, expected) in [
        (
            &["orchestrator", "--durable", "--replicas", "3"][..],
            "at once may lose the last two minutes, unless",
        ),
        // They are there already.
        (&["orchestrator", "--durable"], "at once may lose the last two minutes, unless"),
        (
            &["orchestrator", "--durable=trust"],
            "at once loses nothing, as each write is forced onto the disk",
        ),
    ] {
        let mut orchestrator = person.command(arguments)?.spawn()?;
        patiently("an orchestrator", until_there(&person, 1)).await??;
        let loss = told(&person).await?;
        ensure!(loss.starts_with("3 copies of everything: 1 server may be lost at once"), "{loss}");
        ensure!(loss.contains(expected), "{loss}");
        orchestrator.kill().await?;
    }
    Ok(())
}
