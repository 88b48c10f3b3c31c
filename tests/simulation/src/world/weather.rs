//! How parties live and die, and what befalls the server.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::World;
use super::party::Party;

/// How long a stopped process may take to end, before whoever stopped it kills it.
const PATIENCE: Duration = Duration::from_secs(30);
/// Longest time that a party which ended is away.
const AWAY_MILLIS: u64 = 9_000;

/// Lets a party live until its end, and for a while after.
pub(super) async fn live<E: std::fmt::Display + Send + 'static>(
    party: &Arc<Party>,
    stop: CancellationToken,
    run: impl Future<Output = Result<(), E>> + Send + 'static,
) {
    let mut life = tokio::spawn(run);
    tokio::select! {
        biased;
        () = party.has_died() => {
            life.abort();
            let _ = life.await;
        }
        ended = &mut life => match ended {
            Ok(Err(error)) if party.world.storm.only_stops() => {
                party.world.violate(format!("a party ended although nothing was wrong: {error}"));
            }
            // The bus did not let it begin: it would be started again.
            Ok(Err(_)) => {}
            Ok(Ok(())) => party.world.violate("a party ended without having been asked to".to_owned()),
            Err(died) => party.world.violate(format!("a party came to a bad end: {died}")),
        },
        () = party.is_asked_to_stop() => {
            stop.cancel();
            tokio::select! {
                biased;
                () = party.has_died() => {}
                ended = &mut life => if let Err(died) = ended {
                    party.world.violate(format!("a stopping party came to a bad end: {died}"));
                },
                () = sleep(PATIENCE) => {
                    if party.world.storm.only_stops() {
                        party.world.violate(format!("a party did not stop within {PATIENCE:?}"));
                    }
                    party.kill();
                }
            }
            life.abort();
        }
    }
    party.kill();
    let away = if party.world.is_over() { Duration::from_millis(10) } else { party.while_below(AWAY_MILLIS) };
    sleep(away).await;
}

/// What befalls the server while the storm lasts. What would begin before the last of its kind is over begins after it.
pub(super) async fn befall(world: Arc<World>) {
    let outages = async {
        for &(at, lasts) in &world.storm.outages {
            sleep_until(world.begun + at).await;
            world.server.stop();
            sleep(lasts).await;
            world.server.start();
        }
    };
    let full = async {
        for &(at, lasts, stream) in &world.storm.full {
            sleep_until(world.begun + at).await;
            world.server.limit(stream, Some(0));
            sleep(lasts).await;
            world.server.limit(stream, None);
        }
    };
    futures::join!(outages, full);
}
