use std::time::Duration;

use tokio::time::Instant;
use tracing::{debug, warn};

use crate::error::PublishError;
use crate::seldom::Seldom;

/// Pause before a message that was not stored is sent again for the first time; it doubles from there.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
/// Longest pause: short, as whoever waits for the message has waited long already.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// How long a message may not be stored before people are told, and how long until they are told again: a server that
/// starts again is back by then, and one that has no room left is not.
const SAY: (Duration, Duration) = (Duration::from_secs(3), Duration::from_secs(60));

/// Lines about messages that wait, and about those that were refused.
static WAITING: Seldom = Seldom::new();
/// See [`WAITING`].
static REFUSED: Seldom = Seldom::new();

/// What became of a message that was sent until that was known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Persisted<T> {
    /// It is stored, with what the publication returned.
    Stored(T),
    /// It is larger than the server takes, with the server's words.
    TooLarge(String),
    /// Nobody needs it from here any more; it may be stored or not.
    GivenUp,
}

/// Publishes until the message is stored, however long that takes, unless `is_over` says that it is not ours to store
/// any more.
pub async fn persist<T, F: Future<Output = Result<T, PublishError>>>(
    is_over: impl Fn() -> bool,
    mut publish: impl FnMut() -> F,
) -> Persisted<T> {
    let mut pause = FIRST_PAUSE;
    let begun = Instant::now();
    let mut say_at = begun + SAY.0;
    let mut is_told = false;
    while !is_over() {
        match publish().await {
            Ok(stored) => return Persisted::Stored(stored),
            Err(PublishError::TooLarge(error)) => return Persisted::TooLarge(error),
            Err(PublishError::Retry(error)) if Instant::now() >= say_at => {
                say_at = Instant::now() + SAY.1;
                let seconds = begun.elapsed().as_secs();
                if WAITING.may_say() {
                    warn!(
                        error,
                        seconds, "a message cannot be stored: trying again until it is; work waits meanwhile"
                    );
                }
            }
            Err(PublishError::Retry(error)) => debug!(error, "not stored yet"),
            Err(error @ PublishError::Refused(_)) => {
                // Nobody has to wait to see that somebody has to mend something.
                if !std::mem::replace(&mut is_told, true) || Instant::now() >= say_at {
                    say_at = Instant::now() + SAY.1;
                    if REFUSED.may_say() {
                        warn!(%error, "trying again until it is mended");
                    }
                }
                pause = LONGEST_PAUSE;
            }
        }
        tokio::time::sleep(pause).await;
        pause = LONGEST_PAUSE.min(pause * 2);
    }
    Persisted::GivenUp
}
