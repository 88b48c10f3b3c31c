//! The NATS servers of a campaign.

use std::time::Duration;

use anyhow::{Context as _, Result};
use mesh_bus::topology::Stream;
use mesh_schemas::Namespace;
use tokio::sync::watch;
use tokio::time::sleep;

use super::faults::{Deed, Faults, Victim};
use crate::cluster::{Cluster, SERVERS};
use crate::server::TestServer;

/// What the mesh runs on.
#[derive(Debug)]
pub enum Servers {
    /// One server, one copy of everything.
    One(TestServer),
    /// Three servers with a copy each, of which one may be away at a time.
    Three(Cluster),
}

impl Servers {
    /// One server.
    ///
    /// # Errors
    /// If it does not start.
    pub fn one() -> Result<Self> {
        Ok(Self::One(TestServer::start()?))
    }

    /// A cluster of three.
    ///
    /// # Errors
    /// If it does not start.
    pub async fn three() -> Result<Self> {
        Ok(Self::Three(Cluster::start().await?))
    }

    pub(super) fn urls(&self) -> String {
        match self {
            Self::One(server) => server.url(),
            Self::Three(cluster) => cluster.urls(),
        }
    }

    /// How many copies of everything are kept.
    pub(super) fn replicas(&self) -> usize {
        match self {
            Self::One(_) => 1,
            Self::Three(_) => SERVERS,
        }
    }

    /// Does something to a server now and then, until `over`.
    pub(super) async fn suffer(
        &mut self,
        namespace: &Namespace,
        mut dice: fastrand::Rng,
        (least, most): (u64, u64),
        faults: &Faults,
        mut over: watch::Receiver<bool>,
    ) -> Result<()> {
        let mut deck = Vec::new();
        loop {
            let pause = Duration::from_millis(dice.u64(least..most));
            tokio::select! {
                biased;
                _ = over.wait_for(|over| *over) => return Ok(()),
                () = sleep(pause) => {}
            }
            match self {
                Self::One(server) => one(server, &mut dice, faults).await?,
                Self::Three(cluster) => {
                    let event = draw(&mut deck, &mut dice);
                    of_three(cluster, namespace, event, &mut dice, faults).await?;
                    // Only one may be away at a time, and one that has not caught up is away.
                    cluster.until_whole().await?;
                }
            }
        }
    }
}

async fn one(server: &mut TestServer, dice: &mut fastrand::Rng, faults: &Faults) -> Result<()> {
    let deed = if dice.u8(0..4) == 0 { Deed::Freeze } else { Deed::Kill };
    let away = Duration::from_millis(dice.u64(0..1_500));
    let number = faults.begin(Victim::Server, deed);
    if deed == Deed::Freeze {
        server.stop_signal()?;
        sleep(away * 2).await;
        server.cont()?;
    } else {
        server.kill9()?;
        sleep(away).await;
        tokio::task::block_in_place(|| server.restart())?;
    }
    faults.over(number);
    Ok(())
}

/// What may happen to a cluster.
#[derive(Debug, Clone, Copy)]
enum Event {
    ToLeader(Deed),
    ToFollower(Deed),
    AllInTurn,
}

/// Everything happens before anything happens again.
fn draw(deck: &mut Vec<Event>, dice: &mut fastrand::Rng) -> Event {
    const ALL: [Event; 7] = [
        Event::ToLeader(Deed::Kill),
        Event::ToFollower(Deed::Kill),
        Event::ToLeader(Deed::Isolate),
        Event::ToFollower(Deed::Isolate),
        Event::ToLeader(Deed::Freeze),
        Event::ToFollower(Deed::Freeze),
        Event::AllInTurn,
    ];
    if deck.is_empty() {
        deck.extend(ALL);
        dice.shuffle(deck);
    }
    deck.pop().unwrap_or(Event::AllInTurn)
}

async fn of_three(
    cluster: &mut Cluster,
    namespace: &Namespace,
    event: Event,
    dice: &mut fastrand::Rng,
    faults: &Faults,
) -> Result<()> {
    let leader = cluster.leader(&Stream::Events.name(namespace)).await.context("before a fault")?;
    let follower = (leader + dice.usize(1..SERVERS)) % SERVERS;
    // Longer than a leader may be silent.
    let away = Duration::from_millis(dice.u64(500..8_000));
    let (victim, deed) = match event {
        Event::ToLeader(deed) => (leader, deed),
        Event::ToFollower(deed) => (follower, deed),
        Event::AllInTurn => return restart_in_turn(cluster, faults).await,
    };
    let number = faults.begin(Victim::Server, deed);
    match deed {
        Deed::Isolate => {
            cluster.isolate(victim, true);
            sleep(away).await;
            cluster.isolate(victim, false);
        }
        Deed::Freeze => {
            cluster.server(victim)?.stop_signal()?;
            sleep(away).await;
            cluster.server(victim)?.cont()?;
        }
        Deed::Kill | Deed::Restart => {
            let server = cluster.server(victim)?;
            server.kill9()?;
            sleep(away).await;
            tokio::task::block_in_place(|| server.restart())?;
        }
    }
    faults.over(number);
    Ok(())
}

async fn restart_in_turn(cluster: &mut Cluster, faults: &Faults) -> Result<()> {
    for number in 0..SERVERS {
        let fault = faults.begin(Victim::Server, Deed::Restart);
        let server = cluster.server(number)?;
        tokio::task::block_in_place(|| server.terminate().and_then(|()| server.restart()))?;
        faults.over(fault);
        cluster.until_whole().await?;
    }
    Ok(())
}
