use std::time::Duration;

use futures::future::try_join_all;
use mesh_bus::history::{self, History, LEAST_PART_BYTES, PART_BYTES, Stage, is_checkpoint};
use mesh_bus::topology::{Stream, Tidying, shard_consumer};
use mesh_bus::{Bus, BusError, MAX_SHORT_RUN, Publish, RunLog, Stored};
use mesh_schemas::{RunId, StoredMessage, Subject, payload};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::sleep;
use tracing::debug;

use crate::lease::Lease;
use crate::service::Shared;
use crate::shard::checkpoint_object;
use crate::store::{self, Outcome};

/// Pause before it is asked again whether everything is settled.
const SETTLING_PAUSE: Duration = Duration::from_millis(100);
/// For how long that is waited for at a time.
const SETTLING: Duration = Duration::from_secs(3);
/// Removals of one run that are on their way at once.
const REMOVED_AT_ONCE: usize = 16;
/// Most bytes of the events of a short run that are held beside those of many others.
const LIGHT: usize = 1024 * 1024;

/// Why a run is not tidied up yet.
pub(crate) enum NotDone {
    /// Orchestrators have not done all that follows from its events.
    Unsettled,
    /// Somebody else may be at it by now.
    Lost,
    /// The bus did not do it.
    Bus(BusError),
}

impl From<BusError> for NotDone {
    fn from(error: BusError) -> Self {
        Self::Bus(error)
    }
}

impl From<store::Lost> for NotDone {
    fn from(_: store::Lost) -> Self {
        Self::Lost
    }
}

/// Archives what is in the log of a run that has ended, and removes exactly that: all but its beginning and its end or,
/// to forget it, those too. Returns how many messages were removed.
pub(super) async fn tidy(
    shared: &Shared,
    lease: &Lease,
    run: RunId,
    end: &StoredMessage,
    tidying: Tidying,
) -> Result<usize, NotDone> {
    let mut removed = tidy_once(shared, lease, run, end, tidying).await?;
    if removed == 0 || tidying == Tidying::Archive {
        return Ok(removed);
    }
    // Events that came before the end was removed were left to this janitor, who may have read the run before that. Nobody else
    // will come by, as the end is gone.
    while !lease.is_lost() {
        let more = async {
            let is_left = is_left(&*shared.bus, &run).await?;
            if is_left { tidy_once(shared, lease, run, end, tidying).await } else { Ok(0) }
        };
        match more.await {
            Ok(0) => break,
            Ok(more) => removed += more,
            Err(NotDone::Lost) => return Err(NotDone::Lost),
            Err(NotDone::Unsettled) => {}
            Err(NotDone::Bus(error)) => {
                debug!(%run, %error, "what came late for a run is not removed yet");
                sleep(SETTLING_PAUSE).await;
            }
        }
    }
    Ok(removed)
}

/// Whether the log has events of a run that is forgotten.
async fn is_left(bus: &dyn Bus, run: &RunId) -> Result<bool, BusError> {
    let between = format!("{}.*.*.*.*.{run}.>", bus.namespace());
    Ok(!bus.list_subjects(Stream::Events, &between).await?.is_empty())
}

async fn tidy_once(
    shared: &Shared,
    lease: &Lease,
    run: RunId,
    end: &StoredMessage,
    tidying: Tidying,
) -> Result<usize, NotDone> {
    let bus = &*shared.bus;
    let (log, _turn) = settled(shared, &run, end).await?;
    let work = bus.read_work(&run).await?;
    let (checkpoints, events): (Vec<_>, Vec<_>) =
        log.events.iter().partition(|stored| is_checkpoint(bus.namespace(), stored));
    if !archive(bus, lease, run, &events, &work).await? {
        return Ok(0);
    }
    for stored in checkpoints {
        if let Some(state) = checkpoint_object(bus.namespace(), stored) {
            bus.remove_object(&state).await?;
        }
    }
    let removed = remove(bus, &log.events, &work, tidying).await?;
    if tidying == Tidying::Archive
        && let Err(error) = bus.remove_notes(&run).await
    {
        // They go by themselves, only later.
        debug!(%run, %error, "notes stay for their time");
    }
    Ok(removed)
}

/// All events of a run that has ended, with what follows from them. That is stored before they are acknowledged, so what is
/// acknowledged must be known before they are read.
async fn settled(
    shared: &Shared,
    run: &RunId,
    end: &StoredMessage,
) -> Result<(RunLog, Option<OwnedSemaphorePermit>), NotDone> {
    let mut upto = end.sequence;
    loop {
        let settled = until_settled(shared, run, upto).await?;
        let (log, turn) = read(shared, run).await?;
        if log.end < settled.unwrap_or(upto).max(upto) {
            let operation = format!("read run {run}");
            return Err(BusError::Unavailable { operation, error: "the server is behind".to_owned() }.into());
        }
        match (log.events.last(), settled) {
            (Some(last), Some(settled)) if last.sequence > settled => upto = last.sequence,
            _ => return Ok((log, turn)),
        }
    }
}

/// Waits until all events of the run's shard up to a sequence are acknowledged, and tells up to where they are; `None` if
/// that takes so long that it is given up to wait for it.
async fn until_settled(shared: &Shared, run: &RunId, upto: u64) -> Result<Option<u64>, NotDone> {
    let bus = &*shared.bus;
    let consumer = shard_consumer(bus.namespace(), run.shard());
    let begun = tokio::time::Instant::now();
    loop {
        let settled = bus.settled(&consumer).await?;
        if settled >= upto {
            return Ok(Some(settled));
        }
        if shared.patience.is_over(run.shard(), settled) {
            return Ok(None);
        }
        if begun.elapsed() > SETTLING {
            return Err(NotDone::Unsettled);
        }
        sleep(SETTLING_PAUSE).await;
    }
}

/// All events of a run. Only a few that are long or heavy are in memory at once.
async fn read(shared: &Shared, run: &RunId) -> Result<(RunLog, Option<OwnedSemaphorePermit>), BusError> {
    let is_light =
        |log: &RunLog| log.events.iter().map(|stored| stored.message.payload.len()).sum::<usize>() <= LIGHT;
    if let Some(log) = shared.bus.read_short_run(run, MAX_SHORT_RUN).await?.filter(is_light) {
        return Ok((log, None));
    }
    let turn = shared.reads.long_run().await;
    Ok((shared.bus.read_run(run).await?, turn))
}

/// Makes sure that all these messages are in the run's history; `false` if it is no run that has ended.
async fn archive(
    bus: &dyn Bus,
    lease: &Lease,
    run: RunId,
    events: &[&StoredMessage],
    work: &[StoredMessage],
) -> Result<bool, NotDone> {
    let events_of_it = events.iter().map(|stored| (Stream::Events, *stored));
    let mut all: Vec<(Stream, &StoredMessage)> =
        events_of_it.chain(work.iter().map(|stored| (Stream::Tasks, stored))).collect();
    let is_begun = events.iter().any(|stored| Stage::of(bus.namespace(), stored) == Stage::Beginning);
    let whole = history::subject(bus.namespace(), events.iter().copied()).filter(|_| is_begun);
    let bytes: u64 = all.iter().map(|(_, stored)| stored.message.payload.len() as u64).sum();
    // Stable, so that each stream stays in its order.
    all.sort_by_key(|(_, stored)| stored.time);
    let mut part_bytes = PART_BYTES;
    loop {
        let history = History::read(bus.namespace(), &bus.read_history(&run).await?);
        let begun = history.subject.clone().filter(|_| history.parts > 0);
        let Some(subject) = begun.or_else(|| whole.clone()) else { return Ok(false) };
        if history.is_archived() {
            for (stream, stored) in all {
                late(bus, lease, &history, run, stream, stored).await?;
            }
            return Ok(true);
        }
        let missing = || history.missing(run, &all, part_bytes);
        if bytes > PART_BYTES as u64
            && let Some(most) = bus.limit(Stream::History).await?
            && missing().map(|part| history::archive(bus, &subject, &part).payload.len() as u64).sum::<u64>()
                > most
        {
            // It would push out the histories of others, and its own beginning.
            return Err(too_large(&run));
        }
        match complete(bus, lease, &subject, &history, missing()).await? {
            Completed::InOnePart => return Ok(true),
            // Where histories are limited, the end of a long one may push out its own beginning.
            Completed::InParts { first } if bus.at(Stream::History, first).await?.is_none() => {
                return Err(too_large(&run));
            }
            Completed::InParts { .. } => return Ok(true),
            Completed::ByAnother => {}
            Completed::TooLarge(_) if part_bytes > LEAST_PART_BYTES => part_bytes /= 2,
            Completed::TooLarge(error) => {
                return Err(BusError::Refused { operation: format!("archive run {run}"), error }.into());
            }
        }
    }
}

fn too_large(run: &RunId) -> NotDone {
    let operation = format!("archive run {run}");
    let error =
        "its history needs more than --history-limit allows: the run stays in the log until that is raised";
    BusError::Refused { operation, error: error.to_owned() }.into()
}

/// What became of completing a history.
enum Completed {
    /// All of it is in the one message that was written.
    InOnePart,
    /// It is in several messages, of which this is the sequence of the first.
    InParts { first: u64 },
    /// Somebody else was quicker.
    ByAnother,
    /// The server does not take parts of this length.
    TooLarge(String),
}

/// Writes what is missing of a history.
async fn complete(
    bus: &dyn Bus,
    lease: &Lease,
    subject: &Subject,
    history: &History,
    missing: impl Iterator<Item = payload::History>,
) -> Result<Completed, NotDone> {
    let (mut first, mut last) = (history.first, history.last);
    for part in missing {
        let message = history::archive(bus, subject, &part);
        match store::unless_refused(bus, lease, Publish::behind(message, last)).await? {
            Ok(Outcome::Stored(Stored::Now(sequence))) => {
                last = sequence;
                first = if first == 0 { sequence } else { first };
            }
            Ok(Outcome::Stored(Stored::Already)) => return Ok(Completed::ByAnother),
            Ok(Outcome::TooLarge(error)) => return Ok(Completed::TooLarge(error)),
            Err(error) => {
                return Err(BusError::Refused { operation: "archive runs".to_owned(), error }.into());
            }
        }
    }
    Ok(if first == last { Completed::InOnePart } else { Completed::InParts { first } })
}

/// Adds a message to the history of a run that is archived, if what it says is not there.
pub(crate) async fn late(
    bus: &dyn Bus,
    lease: &Lease,
    history: &History,
    run: RunId,
    stream: Stream,
    stored: &StoredMessage,
) -> Result<(), NotDone> {
    let is_there = history.holds(stream, stored.sequence) || history.knows(stream, &stored.message.subject);
    if is_there {
        return Ok(());
    }
    let mut part_bytes = PART_BYTES;
    'again: loop {
        for message in history::late(bus, history, run, stream, stored, part_bytes) {
            match store::message(bus, lease, Publish::plain(message)).await? {
                Outcome::Stored(_) => {}
                Outcome::TooLarge(_) if part_bytes > LEAST_PART_BYTES => {
                    part_bytes /= 2;
                    continue 'again;
                }
                Outcome::TooLarge(error) => {
                    let operation = format!("archive an event of run {run}");
                    return Err(BusError::Refused { operation, error }.into());
                }
            }
        }
        return Ok(());
    }
}

/// Removes what is archived. Events are sent off from the last to the first, so that what is left is a beginning of the
/// log, from which nothing follows that does not follow from all of it, and the end. Whoever reads it meanwhile looks into
/// the history first, and needs none of this. The end goes last of all, each for itself, so that nobody ever sees a run
/// that has begun and not ended.
async fn remove(
    bus: &dyn Bus,
    events: &[StoredMessage],
    work: &[StoredMessage],
    tidying: Tidying,
) -> Result<usize, NotDone> {
    let of = |wanted| events.iter().rev().filter(move |stored| Stage::of(bus.namespace(), stored) == wanted);
    let work = work.iter().map(|stored| (Stream::Tasks, stored.sequence));
    let between = work.chain(of(Stage::Between).map(|stored| (Stream::Events, stored.sequence)));
    let mut count = 0;
    for some in between.collect::<Vec<_>>().chunks(REMOVED_AT_ONCE) {
        let removed =
            try_join_all(some.iter().map(|(stream, sequence)| bus.remove(*stream, *sequence))).await?;
        count += removed.into_iter().filter(|removed| *removed).count();
    }
    if tidying == Tidying::Forget {
        for stored in of(Stage::Beginning).chain(of(Stage::End)) {
            count += usize::from(bus.remove(Stream::Events, stored.sequence).await?);
        }
    }
    Ok(count)
}
