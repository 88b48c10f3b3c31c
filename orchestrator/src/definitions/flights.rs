//! Reads that several who ask at the same time share.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared};
use mesh_bus::BusError;

/// Reads under way. One that began before somebody asked may not know what had happened by then, so it is not for them: they
/// share the next one. However many ask for a key, there is one read of it at a time.
pub(super) struct Flights<K, V>(Mutex<HashMap<K, Flight<V>>>);

struct Flight<V> {
    has_begun: Arc<AtomicBool>,
    read: Shared<BoxFuture<'static, Result<V, BusError>>>,
}

impl<K, V> Default for Flights<K, V> {
    fn default() -> Self {
        Self(Mutex::new(HashMap::new()))
    }
}

impl<K: Hash + Eq + Clone, V: Clone + Send + Sync + 'static> Flights<K, V> {
    /// What is read after now, by whoever was the first to ask for it.
    pub(super) async fn read<F>(&self, key: &K, read: impl FnOnce() -> F) -> Result<V, BusError>
    where
        F: Future<Output = Result<V, BusError>> + Send + 'static,
    {
        let flight = {
            let mut flights = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            match flights.get(key) {
                Some(next) if !next.has_begun.load(Ordering::Acquire) => next.read.clone(),
                before => {
                    let before = before.map(|flight| flight.read.clone());
                    let has_begun = Arc::new(AtomicBool::new(false));
                    let begins = Arc::clone(&has_begun);
                    let next = read();
                    let read = async move {
                        if let Some(before) = before {
                            let _ = before.await;
                        }
                        begins.store(true, Ordering::Release);
                        next.await
                    };
                    let read = read.boxed().shared();
                    flights.insert(key.clone(), Flight { has_begun, read: read.clone() });
                    read
                }
            }
        };
        flight.await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use tokio::sync::Semaphore;

    use super::*;

    #[tokio::test]
    async fn those_who_ask_while_one_reads_share_the_next_read() {
        let flights = Flights::<&str, usize>::default();
        let (reads, gate) = (Arc::new(AtomicUsize::new(0)), Arc::new(Semaphore::new(0)));
        let ask = || {
            flights.read(&"key", || {
                let (reads, gate) = (Arc::clone(&reads), Arc::clone(&gate));
                async move {
                    let number = reads.fetch_add(1, Ordering::Relaxed);
                    gate.acquire().await.expect("it is open").forget();
                    Ok(number)
                }
            })
        };
        let mut first = Box::pin(ask());
        assert!(futures::poll!(&mut first).is_pending());
        let (mut second, mut third) = (Box::pin(ask()), Box::pin(ask()));
        assert!(futures::poll!(&mut second).is_pending() && futures::poll!(&mut third).is_pending());
        // Who was the first has gone: those who wait behind it go on with its read, and then with theirs.
        drop(first);
        gate.add_permits(2);
        assert_eq!((second.await.ok(), third.await.ok()), (Some(1), Some(1)));
        gate.add_permits(1);
        assert_eq!(ask().await.ok(), Some(2));
    }
}
