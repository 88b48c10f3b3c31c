//! Making the namespace, and listening to what passes.

use futures::StreamExt as _;
use tokio::sync::mpsc;

use super::connection::MemoryBus;
use super::filter::Filter;
use super::message::is_subject;
use super::state::{Listener, State};
use crate::bus::Subscription;
use crate::error::BusError;
use crate::topology::{
    Limits, Tidying, Topology, janitor_consumer, relay_consumer, shard_consumer, timer_consumer,
};

impl MemoryBus {
    pub(super) async fn make_namespace(&self, topology: &Topology) -> Result<(), BusError> {
        self.ask(|| "make the namespace".to_owned(), |state| self.lay_out(state, topology)).await
    }

    fn lay_out(&self, state: &mut State, topology: &Topology) -> Result<(), BusError> {
        let namespace = self.server.namespace();
        let (ours, there) = (topology.shards, state.layout.as_ref().map(|layout| layout.shards));
        match there {
            Some(theirs) if theirs != ours => {
                return Err(BusError::Conflict {
                    what: "the namespace".to_owned(),
                    difference: format!("it has {} shards, not {}", theirs.count(), ours.count()),
                    mend: format!("Ask for {} shards", theirs.count()),
                });
            }
            Some(_) => {}
            None => state.lay_out(namespace, ours, topology.limits),
        }
        if let Some(layout) = &mut state.layout {
            let (set, asked) = (layout.limits, topology.limits);
            layout.limits = Limits {
                log_bytes: asked.log_bytes.or(set.log_bytes),
                history_bytes: asked.history_bytes.or(set.history_bytes),
                history_age: asked.history_age.or(set.history_age),
            };
        }
        state.synced = topology.synced.unwrap_or(state.synced);
        self.make_consumer(state, &relay_consumer(namespace))?;
        self.make_consumer(state, &timer_consumer(namespace))?;
        for tidying in Tidying::ALL {
            self.make_consumer(state, &janitor_consumer(namespace, tidying))?;
        }
        ours.iter().try_for_each(|shard| self.make_consumer(state, &shard_consumer(namespace, shard)))
    }

    pub(super) async fn listen(&self, filter: &str) -> Result<Subscription, BusError> {
        let operation = || format!("listen to {filter}");
        if !is_subject(filter) {
            let error = format!("{filter:?} is no subject");
            return Err(BusError::Refused { operation: operation(), error });
        }
        let (hears, heard) = mpsc::unbounded_channel();
        let listener = Listener { connection: self.line.connection, filter: Filter::new(filter), hears };
        let listen = |state: &mut State| {
            state.subscriptions.push(listener);
            Ok(())
        };
        self.ask(operation, listen).await?;
        Ok(futures::stream::unfold(heard, |mut heard| async { Some((heard.recv().await?, heard)) }).boxed())
    }
}
