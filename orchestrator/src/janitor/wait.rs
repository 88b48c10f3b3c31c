use std::time::Duration;

use chrono::{DateTime, Utc};
use mesh_bus::topology::Tidying;
use tokio_util::sync::CancellationToken;

use crate::service::Shared;

/// What comes due later than this is handed back meanwhile.
const NEAR: Duration = Duration::from_secs(5);
/// For how long it is handed back at most, so that a shorter grace, or a log that runs full, is noticed soon.
const LONGEST_PAUSE: Duration = Duration::from_secs(20);

/// How a wait ended.
pub(super) enum Wait {
    /// The time has come.
    Over,
    /// It has not: look again after this pause.
    Far(Duration),
}

/// Waits until the run that ended at this time may be tidied up, if that is soon.
pub(super) async fn until_due(
    shared: &Shared,
    tidying: Tidying,
    ended: DateTime<Utc>,
    stop: &CancellationToken,
) -> Wait {
    let pressure = &shared.pressure;
    let mut pressed = match tidying {
        Tidying::Archive => pressure.is_filling.clone(),
        Tidying::Forget => pressure.needs_room.clone(),
    };
    loop {
        let is_pressed = *pressed.borrow_and_update();
        let left = left(shared, tidying, ended, is_pressed);
        if left.is_zero() {
            return Wait::Over;
        }
        if left > NEAR {
            return Wait::Far(left.min(LONGEST_PAUSE));
        }
        tokio::select! {
            biased;
            () = stop.cancelled() => return Wait::Far(left),
            () = tokio::time::sleep(left) => {}
            Ok(()) = pressed.changed() => {}
        }
    }
}

/// How long the run is to be left alone: not at all, where the log needs room. What is forgotten is in its history, by which a
/// request that comes again is known as well.
fn left(shared: &Shared, tidying: Tidying, ended: DateTime<Utc>, is_pressed: bool) -> Duration {
    let wait = match tidying {
        _ if is_pressed => Duration::ZERO,
        Tidying::Archive => shared.retention.grace,
        Tidying::Forget => shared.retention.requests.max(shared.retention.grace),
    };
    let since = (shared.bus.now() - ended).to_std().unwrap_or_default();
    wait.saturating_sub(since)
}
