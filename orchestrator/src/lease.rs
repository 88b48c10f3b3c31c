//! The right to act on a delivery, which ends when the bus may have given the delivery to another.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use mesh_bus::{Acker, BootInstant, Bus, BusError, Delivery};
use mesh_schemas::StoredMessage;
use tracing::debug;

/// A delivery in hand.
pub(crate) struct Lease {
    bus: Arc<dyn Bus>,
    acker: Box<dyn Acker>,
    ack_wait: Duration,
    /// How often the message has been delivered.
    pub(crate) delivered: u64,
    /// When the bus was last told that we are at it.
    renewed: Mutex<BootInstant>,
}

impl Lease {
    /// The lease of a delivery, and what was delivered.
    pub(crate) fn new(bus: Arc<dyn Bus>, delivery: Delivery) -> (Self, StoredMessage) {
        let Delivery { stored, acker, delivered, received, ack_wait, .. } = delivery;
        (Self { bus, acker, ack_wait, delivered, renewed: Mutex::new(received) }, stored)
    }

    /// Whether the bus may have given the delivery to another by now. The clock also runs while the process or
    /// the machine is stopped, so one that wakes up after a long stop sees that it is late.
    pub(crate) fn is_lost(&self) -> bool {
        let renewed = *self.renewed.lock().unwrap_or_else(PoisonError::into_inner);
        self.bus.moment().since(renewed) >= self.ack_wait
    }

    /// Tells the bus that we are at it; `false` if it is too late for that.
    pub(crate) async fn renew(&self) -> bool {
        if self.is_lost() {
            return false;
        }
        self.acker.progress().await;
        *self.renewed.lock().unwrap_or_else(PoisonError::into_inner) = self.bus.moment();
        true
    }

    pub(crate) async fn ack(&self) {
        self.acker.ack().await;
    }

    pub(crate) async fn nak(&self, pause: Duration) {
        self.acker.nak(pause).await;
    }

    /// Repeats a read with a pause between until it works; `None` if the lease is lost before that.
    pub(crate) async fn until_read<T, F: Future<Output = Result<T, BusError>>>(
        &self,
        what: &str,
        pause: Duration,
        mut read: impl FnMut() -> F,
    ) -> Option<T> {
        loop {
            match read().await {
                Ok(read) => return Some(read),
                Err(_) if self.is_lost() => return None,
                Err(error) => debug!(%error, "{what} cannot be read yet"),
            }
            tokio::time::sleep(pause).await;
        }
    }

    /// Does something while telling the bus that we are at it; `None` if the lease was lost meanwhile.
    pub(crate) async fn hold<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let mut work = std::pin::pin!(work);
        loop {
            match tokio::time::timeout(self.ack_wait / 3, &mut work).await {
                Ok(result) => return Some(result),
                Err(_) if self.renew().await => {}
                Err(_) => return None,
            }
        }
    }
}
