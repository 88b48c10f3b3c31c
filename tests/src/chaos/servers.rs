//! The NATS server of a campaign.

use std::time::Duration;

use anyhow::Result;
use tokio::sync::watch;

use super::faults::{Deed, Faults, Victim};
use crate::server::TestServer;

/// What the mesh runs on.
#[derive(Debug)]
pub struct Servers {
    server: TestServer,
}

impl Servers {
    /// One server.
    ///
    /// # Errors
    /// If it does not start.
    pub fn one() -> Result<Self> {
        Ok(Self { server: TestServer::start()? })
    }

    pub(super) fn urls(&self) -> String {
        self.server.url()
    }

    /// Kills and freezes the server now and then, until `over`.
    pub(super) async fn suffer(
        &mut self,
        mut dice: fastrand::Rng,
        (least, most): (u64, u64),
        faults: &Faults,
        mut over: watch::Receiver<bool>,
    ) -> Result<()> {
        loop {
            let pause = Duration::from_millis(dice.u64(least..most));
            tokio::select! {
                biased;
                _ = over.wait_for(|over| *over) => return Ok(()),
                () = tokio::time::sleep(pause) => {}
            }
            let deed = if dice.u8(0..4) == 0 { Deed::Freeze } else { Deed::Kill };
            let away = Duration::from_millis(dice.u64(0..1_500));
            let number = faults.begin(Victim::Server, deed);
            if deed == Deed::Freeze {
                self.server.stop_signal()?;
                tokio::time::sleep(away * 2).await;
                self.server.cont()?;
            } else {
                self.server.kill9()?;
                tokio::time::sleep(away).await;
                tokio::task::block_in_place(|| self.server.restart())?;
            }
            faults.over(number);
        }
    }
}
