//! Watches how full the log is. Where it is nearly full, new requests wait in the inbox, so that runs that have begun can
//! go on to their ends, and ended runs have no grace, so that there will be room.

use std::sync::Arc;
use std::time::Duration;

use mesh_bus::Bus;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

/// From so many thousandths of what is allowed on, the log is nearly full.
pub const NEARLY_FULL: u64 = 900;
/// Below so many it is not any more: far enough from the former that requests do not come in dribs and drabs.
const ROOM: u64 = 850;
/// How often to look: what is stored meanwhile at full speed is little of what is left then.
const PERIOD: Duration = Duration::from_secs(2);

/// Looks until `stop`, and says whether the log is nearly full.
pub(crate) async fn watch(bus: Arc<dyn Bus>, pressed: watch::Sender<bool>, stop: CancellationToken) {
    loop {
        match bus.fill().await {
            Ok(fill) => {
                let (is_pressed, fullness) =
                    (*pressed.borrow(), fill.as_ref().map_or(0, |fill| fill.share.thousandths()));
                let what = fill.map(|fill| fill.what).unwrap_or_default();
                if !is_pressed && fullness >= NEARLY_FULL {
                    warn!(
                        what,
                        percent = fullness / 10,
                        "the log is nearly full: new requests wait in the inbox, and ended runs are archived at once"
                    );
                    pressed.send_replace(true);
                } else if is_pressed && fullness < ROOM {
                    info!(percent = fullness / 10, "there is room in the log: requests are taken again");
                    pressed.send_replace(false);
                }
            }
            Err(error) => debug!(%error, "how full the log is cannot be seen"),
        }
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = tokio::time::sleep(PERIOD) => {}
        }
    }
}
