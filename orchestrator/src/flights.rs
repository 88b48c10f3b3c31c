//! Reads that several who ask at the same time share.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared};
use mesh_bus::BusError;

/// Reads under way. One that began before somebody asked may not know what had happened by then, so it is not for them: they
/// share the next one, which answers the questions of all of them. However many ask for a key, there is one read of it at a
/// time.
pub(crate) struct Flights<K, Q, V>(Mutex<HashMap<K, Flight<Q, V>>>);

struct Flight<Q, V> {
    /// What is to be read, until that has begun.
    questions: Arc<Mutex<Option<Vec<Q>>>>,
    read: Shared<BoxFuture<'static, Result<V, BusError>>>,
}

impl<K, Q, V> Default for Flights<K, Q, V> {
    fn default() -> Self {
        Self(Mutex::new(HashMap::new()))
    }
}

impl<Q, V: Clone> Flight<Q, V> {
    /// Has a question answered too, by a read that has not begun.
    fn join(&self, question: Q) -> Result<Shared<BoxFuture<'static, Result<V, BusError>>>, Q> {
        match self.questions.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            Some(questions) => {
                questions.push(question);
                Ok(self.read.clone())
            }
            None => Err(question),
        }
    }
}

impl<K, Q, V> Flights<K, Q, V>
where
    K: Hash + Eq + Clone,
    Q: Send + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// What is read after now, with the answer to this question, by whoever was the first to ask for it.
    pub(crate) async fn read<F>(
        &self,
        key: &K,
        question: Q,
        read: impl FnOnce(Vec<Q>) -> F + Send + 'static,
    ) -> Result<V, BusError>
    where
        F: Future<Output = Result<V, BusError>> + Send + 'static,
    {
        let flight = {
            let mut flights = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let joined = match flights.get(key) {
                Some(next) => next.join(question),
                None => Err(question),
            };
            joined.unwrap_or_else(|question| {
                let before = flights.get(key).map(|flight| flight.read.clone());
                let questions = Arc::new(Mutex::new(Some(vec![question])));
                let asked = Arc::clone(&questions);
                let next = async move {
                    if let Some(before) = before {
                        let _ = before.await;
                    }
                    let asked = asked.lock().unwrap_or_else(PoisonError::into_inner).take();
                    read(asked.unwrap_or_default()).await
                };
                let next = next.boxed().shared();
                flights.insert(key.clone(), Flight { questions, read: next.clone() });
                next
            })
        };
        flight.await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Semaphore;

    use super::*;

    #[tokio::test]
    async fn those_who_ask_while_one_reads_share_the_next_read() {
        let flights = Flights::<&str, char, (usize, String)>::default();
        let (reads, gate) = (Arc::new(AtomicUsize::new(0)), Arc::new(Semaphore::new(0)));
        let ask = |question| {
            let (reads, gate) = (Arc::clone(&reads), Arc::clone(&gate));
            flights.read(&"key", question, |questions| async move {
                let number = reads.fetch_add(1, Ordering::Relaxed);
                gate.acquire().await.expect("it is open").forget();
                Ok((number, questions.into_iter().collect()))
            })
        };
        let mut first = Box::pin(ask('a'));
        assert!(futures::poll!(&mut first).is_pending());
        let (mut second, mut third) = (Box::pin(ask('b')), Box::pin(ask('c')));
        assert!(futures::poll!(&mut second).is_pending() && futures::poll!(&mut third).is_pending());
        // Who was the first has gone: those who wait behind it go on with its read, and then with theirs.
        drop(first);
        gate.add_permits(2);
        let shared = Some((1, "bc".to_owned()));
        assert_eq!((second.await.ok(), third.await.ok()), (shared.clone(), shared));
        gate.add_permits(1);
        assert_eq!(ask('d').await.ok(), Some((2, "d".to_owned())));
    }
}
