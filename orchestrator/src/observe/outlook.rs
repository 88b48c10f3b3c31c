//! What is wrong with an orchestrator, in words.

use std::sync::{Arc, OnceLock, PoisonError, RwLock, Weak};

use mesh_bus::Bus;
use mesh_bus::topology::Tidying;

use crate::peers::Untidy;
use crate::service::Shared;

/// How an orchestrator is, for whoever asks: also before it has begun.
#[derive(Clone, Default)]
pub struct Outlook(Arc<Inner>);

#[derive(Default)]
struct Inner {
    bus: OnceLock<Arc<dyn Bus>>,
    /// None before it has begun.
    shared: RwLock<Option<Weak<Shared>>>,
}

impl Outlook {
    /// What is wrong, one thing each; nothing if all is well.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let shared = self.0.shared.read().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(shared) = shared {
            let has_ended = || vec!["it has ended".to_owned()];
            return shared.upgrade().map_or_else(has_ended, |shared| problems(&shared));
        }
        let Some(bus) = self.0.bus.get() else {
            return vec!["there is no connection to NATS yet".to_owned()];
        };
        let not_set_up = format!("the namespace {} is not set up", bus.namespace());
        lost(&**bus).into_iter().chain([not_set_up]).collect()
    }

    /// It has this connection.
    pub(crate) fn connected(&self, bus: &Arc<dyn Bus>) {
        self.0.bus.get_or_init(|| Arc::clone(bus));
    }

    /// It has begun.
    pub(crate) fn begun(&self, shared: &Arc<Shared>) {
        *self.0.shared.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::downgrade(shared));
    }
}

/// What is wrong with an orchestrator that has begun.
pub(crate) fn problems(shared: &Shared) -> Vec<String> {
    let mut problems: Vec<String> = lost(&*shared.bus).into_iter().collect();
    let unable = shared.presence.unable();
    problems.extend(unable.iter().map(|(shard, why)| format!("shard {shard} cannot be followed: {why}")));
    if shared.pressure.is_nearly_full() {
        problems.push("the log is nearly full: new requests wait".to_owned());
    } else if shared.pressure.is_slowing() {
        problems.push("little room is left in the log: new requests are slowed down".to_owned());
    }
    for (tidying, what) in [(Tidying::Archive, "archived"), (Tidying::Forget, "forgotten")] {
        if let Some(Untidy { runs, error }) = shared.troubles.told(tidying) {
            problems.push(format!("{runs} ended runs cannot be {what}: {error}"));
        }
    }
    problems
}

/// That the connection is lost, if it is.
fn lost(bus: &dyn Bus) -> Option<String> {
    bus.connection().problem(bus.moment())
}

#[cfg(test)]
mod tests {
    use mesh_bus::memory::MemoryServer;
    use mesh_bus::{Fill, Share};
    use mesh_schemas::Namespace;
    use tokio::time::{Duration, advance};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_wrong_is_told_from_the_beginning_on_and_for_as_long_as_it_is() {
        let outlook = Outlook::default();
        assert_eq!(outlook.problems(), ["there is no connection to NATS yet"]);
        let server = MemoryServer::new(Namespace::default());
        let bus: Arc<dyn Bus> = server.connect();
        outlook.connected(&bus);
        assert_eq!(outlook.problems(), ["the namespace mesh is not set up"]);
        let share = Share { used: 95, limit: Some(100) };
        let full = Arc::new(Shared::of(&bus, Some(&Fill { what: "the log".to_owned(), share })));
        outlook.begun(&full);
        assert_eq!(outlook.problems(), ["the log is nearly full: new requests wait"]);
        let shared = Arc::new(Shared::of(&bus, None));
        outlook.begun(&shared);
        assert!(outlook.problems().is_empty());
        shared.presence.follows(3, Err("no permission".to_owned()));
        server.stop();
        advance(Duration::from_secs(12)).await;
        let wrong = ["no connection to NATS for 12 s", "shard 3 cannot be followed: no permission"];
        assert_eq!(outlook.problems(), wrong);
        server.start();
        shared.presence.follows(3, Ok(()));
        shared.pressure.slows(true);
        assert_eq!(outlook.problems(), ["little room is left in the log: new requests are slowed down"]);
        drop((full, shared));
        assert_eq!(outlook.problems(), ["it has ended"]);
    }
}
