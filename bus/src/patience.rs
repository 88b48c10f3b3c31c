use std::time::Duration;

use tokio::time::Instant;

/// How long clients try what the bus does not answer: longer than a server takes to start again, or a cluster to choose
/// another leader.
const TRY_FOR: Duration = Duration::from_secs(30);
/// Pause between two tries.
const PAUSE: Duration = Duration::from_millis(250);

/// Tries until it is done, cannot be done, or has taken too long.
pub(crate) async fn for_a_while<T, E: std::fmt::Display, F: Future<Output = Result<T, E>>>(
    is_retryable: impl Fn(&E) -> bool,
    attempt: impl Fn() -> F,
) -> Result<T, E> {
    let give_up = Instant::now() + TRY_FOR;
    loop {
        match attempt().await {
            Err(error) if is_retryable(&error) && Instant::now() + PAUSE < give_up => {
                tracing::debug!(%error, "the bus does not answer yet");
                tokio::time::sleep(PAUSE).await;
            }
            result => return result,
        }
    }
}
