//! Watches how full the log is. Where it fills up, ended runs have no grace, so that there will be room. Where it is nearly
//! full, new requests wait in the inbox, so that runs that have begun can go on to their ends, and where that lasts, archived runs
//! are forgotten at once: their histories still tell of them.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use mesh_bus::{BootInstant, Bus, Fill};
use mesh_telemetry::metrics::table::LOG_FILL;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// From so many thousandths of what is allowed on, the log fills up.
const FILLING: u64 = 750;
/// From so many thousandths of what is allowed on, the log is nearly full.
pub const NEARLY_FULL: u64 = 900;
/// Below so many it is not any more: far enough from the former that requests do not come in dribs and drabs.
pub const ROOM: u64 = 850;
/// How often to look, also where nothing bounds the log: somebody may set a limit.
const PERIOD: Duration = Duration::from_secs(2);
/// Longest time that a look may take. With the period it is less than [`STALE`], so a look is stale only where none succeeds.
const LOOK: Duration = Duration::from_secs(3);
/// For how long the log has to be nearly full until runs are forgotten at once: longer than [`STALE`], so by then all
/// orchestrators have seen it, or know that they have not looked.
const HASTE: Duration = Duration::from_secs(8);
/// After how long a look, from when it began, says nothing any more of what others may have done since.
const STALE: Duration = Duration::from_secs(7);
/// For how long it counts that the log has filled up: longer than it takes to store the beginning of a run, from when it was
/// looked for the last time whether the run is archived.
const LATELY: Duration = Duration::from_secs(60);
/// Which part of the room that is left new requests may take between two looks: what follows from a request takes many
/// times its size, and is seen only later.
pub const PART: u64 = 8;

/// How full the log is, as the parts of an orchestrator see it.
#[derive(Clone)]
pub(crate) struct Pressure {
    /// Whether the log fills up.
    pub(crate) is_filling: watch::Receiver<bool>,
    /// What was seen of the log.
    seen: watch::Receiver<Seen>,
    /// Whether it was nearly full for a while, and fills up still.
    pub(crate) needs_room: watch::Receiver<bool>,
    /// Whether the log is nearly full.
    pub(crate) is_nearly_full: watch::Receiver<bool>,
    /// Bytes of requests that may be taken until the next look. Each look is a change.
    pub(crate) budget: watch::Receiver<u64>,
    /// Whether requests wait for the next look, as those before them have taken all that might be taken.
    is_slowing: Arc<AtomicBool>,
}

/// Where the watch says what it sees.
pub(crate) struct Gauge {
    is_filling: watch::Sender<bool>,
    seen: watch::Sender<Seen>,
    needs_room: watch::Sender<bool>,
    is_nearly_full: watch::Sender<bool>,
    budget: watch::Sender<u64>,
    nearly_full_since: Option<BootInstant>,
}

/// What was seen of the log.
#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    /// When the last look began.
    look: Option<BootInstant>,
    /// When the log was last seen to fill up.
    filled: Option<BootInstant>,
}

impl Pressure {
    /// Before the first look, nothing is taken.
    pub(crate) fn new() -> (Gauge, Self) {
        let (is_filling, filling_seen) = watch::channel(false);
        let (seen, last_seen) = watch::channel(Seen::default());
        let (needs_room, need_seen) = watch::channel(false);
        let (is_nearly_full, nearly_full_seen) = watch::channel(false);
        let (budget, budget_seen) = watch::channel(0);
        let pressure = Self {
            is_filling: filling_seen,
            seen: last_seen,
            needs_room: need_seen,
            is_nearly_full: nearly_full_seen,
            budget: budget_seen,
            is_slowing: Arc::default(),
        };
        let gauge = Gauge { is_filling, seen, needs_room, is_nearly_full, budget, nearly_full_since: None };
        (gauge, pressure)
    }

    /// Whether the log fills up, or may have done so lately: runs may have been archived and forgotten as soon as they had ended,
    /// by other orchestrators, too.
    pub(crate) fn may_have_filled(&self, now: BootInstant) -> bool {
        let Seen { look, filled } = *self.seen.borrow();
        let is_stale = look.is_none_or(|look| now.since(look) > STALE);
        is_stale || filled.is_some_and(|filled| now.since(filled) < LATELY)
    }

    pub(crate) fn is_nearly_full(&self) -> bool {
        *self.is_nearly_full.borrow()
    }

    pub(crate) fn is_slowing(&self) -> bool {
        self.is_slowing.load(Ordering::Relaxed)
    }

    /// Notes whether all was taken that might be taken until the next look.
    pub(crate) fn slows(&self, is_slowing: bool) {
        self.is_slowing.store(is_slowing, Ordering::Relaxed);
    }
}

/// Looks until `stop`, and says how full the log is.
pub(crate) async fn watch(bus: Arc<dyn Bus>, mut gauge: Gauge, stop: CancellationToken) {
    let mut is_blind = false;
    loop {
        let begun = bus.moment();
        let look = tokio::time::timeout(LOOK, bus.fill()).await;
        match look
            .map_err(|_| format!("no answer within {LOOK:?}"))
            .and_then(|fill| fill.map_err(|error| error.to_string()))
        {
            Ok(fill) => {
                is_blind = false;
                match &fill {
                    Some(fill) => LOG_FILL.set(fill.share.thousandths() as f64 / 1_000.0, []),
                    None => LOG_FILL.forget(),
                }
                gauge.tell(begun, fill.as_ref());
            }
            Err(error) => {
                if !is_blind {
                    warn!(error, "how full the log is cannot be seen: requests are taken however full it is");
                }
                is_blind = true;
                gauge.cannot_tell();
            }
        }
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = tokio::time::sleep(PERIOD) => {}
        }
    }
}

impl Gauge {
    /// What a look has shown that began then.
    pub(crate) fn tell(&mut self, now: BootInstant, fill: Option<&Fill>) {
        let fullness = fill.map_or(0, |fill| fill.share.thousandths());
        let what = fill.map_or("", |fill| fill.what.as_str());
        let is_filling = fullness >= FILLING;
        self.seen.send_modify(|seen| {
            seen.look = Some(now);
            seen.filled = if is_filling { Some(now) } else { seen.filled };
        });
        self.is_filling.send_if_modified(|was| std::mem::replace(was, is_filling) != is_filling);
        let since = (fullness >= NEARLY_FULL).then(|| self.nearly_full_since.unwrap_or(now));
        self.nearly_full_since = since;
        let is_lasting = since.is_some_and(|since| now.since(since) >= HASTE);
        let needs_room = is_lasting || is_filling && *self.needs_room.borrow();
        self.needs_room.send_if_modified(|was| std::mem::replace(was, needs_room) != needs_room);
        let was_nearly_full = *self.is_nearly_full.borrow();
        if !was_nearly_full && fullness >= NEARLY_FULL {
            warn!(
                what,
                percent = fullness / 10,
                "the log is nearly full: new requests wait in the inbox, ended runs are archived at once, and soon forgotten at once"
            );
            self.is_nearly_full.send_replace(true);
        } else if was_nearly_full && fullness < ROOM {
            info!(percent = fullness / 10, "there is room in the log: requests are taken again");
            self.is_nearly_full.send_replace(false);
        }
        self.budget.send_replace(fill.map_or(u64::MAX, budget));
    }

    /// The log cannot be seen. That must not stop everything; a log that is full takes nothing anyway. But nothing is done in
    /// haste that others do not know of.
    fn cannot_tell(&mut self) {
        self.nearly_full_since = None;
        self.needs_room.send_if_modified(|was| std::mem::replace(was, false));
        self.budget.send_if_modified(|budget| std::mem::replace(budget, u64::MAX) != u64::MAX);
    }
}

/// Bytes of requests that may be taken, so full as the log is.
fn budget(fill: &Fill) -> u64 {
    let limit = fill.share.limit.unwrap_or(u64::MAX);
    let nearly_full = limit / 1_000 * NEARLY_FULL;
    nearly_full.saturating_sub(fill.share.used) / PART
}
