use std::sync::Arc;

use mesh_bus::{Bus, Request, RunOutcome, RunWaiter, submit};
use mesh_schemas::RunId;
use tokio::time::Instant;

use super::super::state::RunReader;
use super::patience::{LOOK, Patience};

/// Looking takes no more than one part in so many of the time.
const LOOK_SHARE: u32 = 50;

/// Submits a request and waits for the end of its run; tells only what it waits for in vain.
pub(super) async fn wait(bus: Arc<dyn Bus>, run: RunId, request: &Request) -> anyhow::Result<RunOutcome> {
    let mut waiter = RunWaiter::before_submit(Arc::clone(&bus), run).await?;
    submit(&*bus, request).await?;
    eprintln!("run {run}");
    tokio::select! {
        outcome = waiter.wait() => Ok(outcome?),
        never = look_around(bus, run) => match never {},
    }
}

async fn look_around(bus: Arc<dyn Bus>, run: RunId) -> std::convert::Infallible {
    let reader = RunReader::new(Arc::clone(&bus));
    let mut patience = Patience::default();
    let mut pause = LOOK;
    loop {
        tokio::time::sleep(pause).await;
        let begin = Instant::now();
        let look = async {
            let state = reader.read(&run).await?;
            anyhow::Ok(patience.look(&*bus, state.as_ref()).await?)
        };
        match look.await {
            Ok(told) => told.iter().for_each(|text| eprintln!("{text}")),
            // The waiting does not depend on it.
            Err(error) => tracing::debug!(%error, "cannot see what the run waits for"),
        }
        // A long run takes long to read, and others read, too.
        pause = LOOK.max(begin.elapsed() * LOOK_SHARE);
    }
}
