//! A log without room: what people are told of it.

use std::time::Duration;

use anyhow::Result;
use mesh_bus::topology::{Limits, Topology};
use mesh_bus::{Bus as _, submit};
use mesh_orchestrator::{NEARLY_FULL, Options, Retention};
use mesh_tests::{Running, TestServer, World, patiently};
use serde_json::json;

use crate::doctor::{examined, says, told};
use crate::spoken::Spoken;
use crate::support::Person;
use crate::worker::worker;

/// Its input is all that it leaves in the log.
const BALLAST: &str = "
mesh: v1
name: ballast
output: 1
tasks: {work: {agent: work, with: {n: 1}}}
";

/// Most bytes of the log: room for some ten inputs.
const LOG_BYTES: u64 = 600_000;

/// A mesh whose log is full of the beginnings of runs that nobody works at.
struct Full {
    _server: TestServer,
    world: World,
    parts: [Running; 2],
}

impl Full {
    /// One in which so many requests were sent, each with a tenth of all that the log may hold.
    async fn after(requests: u32) -> Result<Self> {
        let server = TestServer::start()?;
        let world = World::on(&server.url()).await?;
        let limits = Limits { log_bytes: Some(LOG_BYTES), ..Limits::default() };
        let retention = Retention { grace: Duration::ZERO, requests: Duration::from_secs(3600) };
        let topology = Topology { limits, ..Topology::default() };
        let orchestrator =
            world.orchestrator_with(Options { topology, retention, ..Options::default() }).await?;
        let (agent, _gate) = worker(&world).await?;
        world.apply(BALLAST).await?;
        let text = "x".repeat(60_000);
        for number in 0..requests {
            let request = world.request("ballast", &number.to_string(), json!({"text": text}))?;
            submit(&*world.bus, &request).await?;
        }
        Ok(Self { _server: server, world, parts: [agent, orchestrator] })
    }

    async fn of_open_runs() -> Result<Self> {
        let full = Self::after(20).await?;
        let bus = &full.world.bus;
        let mut looks = tokio::time::interval(Duration::from_millis(50));
        let filled = async {
            while bus.fill().await?.is_none_or(|fill| fill.share.thousandths() < NEARLY_FULL) {
                looks.tick().await;
            }
            anyhow::Ok(())
        };
        patiently("the log to be nearly full", filled).await??;
        Ok(full)
    }

    async fn stop(self) -> Result<()> {
        for part in self.parts {
            part.stop().await?;
        }
        Ok(())
    }
}

#[tokio::test]
async fn doctor_tells_what_fills_the_log_and_what_makes_room() -> Result<()> {
    let full = Full::of_open_runs().await?;
    let person = Person::of(&full.world)?;
    let mut report = json!(null);
    let told_of = async {
        loop {
            report = examined(&person).await?.1;
            let parts =
                ["requests: ", "new requests wait in the inbox (1", "runs that end make room", "--log-limit"];
            if says(&told(&report, "warning"), &parts) {
                return anyhow::Ok(());
            }
        }
    };
    patiently("doctor to tell it", told_of).await.map_err(|error| error.context(format!("{report:#}")))??;
    full.stop().await
}

#[tokio::test]
async fn a_request_that_waits_for_room_is_told_to() -> Result<()> {
    let full = Full::of_open_runs().await?;
    let person = Person::of(&full.world)?;
    let waits = "waits for room: ";
    let said = person.says(&["start", "ballast"]).await?;
    assert!(said.code == 0 && said.err.contains(waits), "{said:?}");
    for how in ["--wait", "--watch"] {
        Spoken::on_stderr(&person, &["start", "ballast", how])?.until(waits).await?;
    }
    full.stop().await
}

/// Long before the log is full, requests that take much of it are taken one after another.
#[tokio::test]
async fn a_request_that_waits_for_its_turn_is_told_to() -> Result<()> {
    let full = Full::after(8).await?;
    let person = Person::of(&full.world)?;
    let mut report = json!(null);
    let told_of = async {
        loop {
            report = examined(&person).await?.1;
            let parts = ["requests: ", " wait for their turn: ", "one part in 8", "--log-limit"];
            if says(&told(&report, "warning"), &parts) {
                return anyhow::Ok(());
            }
        }
    };
    patiently("doctor to tell it", told_of).await.map_err(|error| error.context(format!("{report:#}")))??;
    let said = person.says(&["start", "ballast"]).await?;
    assert!(said.code == 0 && said.err.contains("waits for its turn: "), "{said:?}");
    full.stop().await
}
