//! Waiting for what happens to a run.

use std::time::Duration;

use mesh_bus::{Bus, Role};
use mesh_schemas::RunId;

use super::inner::Inner;
use super::mesh::PATIENCE;
use super::served::nobody;
use super::story::Story;
use super::time::{passed_on_the_wall, spoken};

impl Inner {
    /// Waits for something that happens to a run, unless something ends that should not, or it takes too long.
    pub(super) async fn attend<T>(
        &self,
        what: &str,
        story: impl Fn() -> Story,
        event: impl Future<Output = T>,
    ) -> T {
        let mut trouble = self.trouble.subscribe();
        let patience = self.lock().patience.unwrap_or(PATIENCE);
        tokio::select! {
            biased;
            it = event => it,
            Ok(trouble) = trouble.wait_for(Option::is_some) => {
                let trouble = trouble.clone().unwrap_or_default();
                story().fail(trouble)
            }
            asked = self.recorder.await_request(|capability| self.is_served(capability)) => {
                story().fail(format!("an agent calls for a task that needs {}", nobody(&asked)))
            }
            () = passed_on_the_wall(patience) => story().fail(format!(
                "waited {} for {what}; if it only takes long, begin the test with \
                 #[tokio::test(start_paused = true)], and waits are skipped", spoken(patience)
            )),
        }
    }

    /// Returns when the orchestrator has dealt with all that has happened in the shard of a run, if there is one that
    /// does.
    pub(super) async fn settle(&self, run: RunId) {
        /// Longest time that is waited for an orchestrator: one that is there takes none.
        const LONGEST: Duration = Duration::from_secs(5);
        /// Pause before another look. While the clock stands still, it ends when nobody has anything to do.
        const LOOK: Duration = Duration::from_millis(1);
        let settled = async {
            while !is_settled(&*self.bus, run).await {
                tokio::time::sleep(LOOK).await;
            }
        };
        let _ = tokio::time::timeout(LONGEST, settled).await;
        self.recorder.catch_up(&*self.bus).await;
    }
}

async fn is_settled(bus: &dyn Bus, run: RunId) -> bool {
    let Ok(health) = bus.health().await else { return true };
    let shard = health.consumers.iter().find(|consumer| consumer.role == Role::Shard(run.shard()));
    shard.and_then(|shard| shard.found.as_ref()).is_none_or(|state| state.pending == 0 && state.in_hand == 0)
}
