//! Removes the objects of runs of which nothing is left.
//!
//! Objects outlive the events that refer to them, as histories refer to them, too; and histories go by themselves.

use std::time::Duration;

use chrono::TimeDelta;
use mesh_bus::topology::{Stream, relay_consumer, timer_consumer};
use mesh_bus::{Bus, BusError, history};
use mesh_schemas::{ObjectOwner, RunId};
use tokio::time::{Instant, sleep};

/// Younger objects are left alone: somebody may be about to refer to them. What is put again counts as new.
pub(super) const YOUNG: Duration = Duration::from_secs(24 * 60 * 60);
/// For how long requests that wait may put a sweep off to the next one, and how often it is asked meanwhile.
const RELAYED: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(1));

/// Removes what is older than `young` of runs that neither the log nor a history knows. Returns of how many runs.
pub(super) async fn sweep(bus: &dyn Bus, young: TimeDelta) -> Result<usize, BusError> {
    if !is_relayed(bus).await? {
        return Ok(0);
    }
    let mut runs = 0;
    for owned in bus.objects().await? {
        let ObjectOwner::Run(run) = &owned.owner else { continue };
        if bus.now() - owned.newest > young && !is_known(bus, run).await? {
            owned.remove(bus).await?;
            runs += 1;
        }
    }
    Ok(runs)
}

/// Whether all requests that are in the inbox now are relayed before long. Until then, they may be all that refers to
/// an object.
async fn is_relayed(bus: &dyn Bus) -> Result<bool, BusError> {
    let (patience, pause) = RELAYED;
    let begun = Instant::now();
    for relay in [relay_consumer(bus.namespace()), timer_consumer(bus.namespace())] {
        let mut newest = 0;
        for requests in &relay.filters {
            let last = bus.last(Stream::Inbox, requests).await?;
            newest = last.map_or(newest, |request| request.sequence.max(newest));
        }
        while bus.settled(&relay).await? < newest {
            if begun.elapsed() > patience {
                return Ok(false);
            }
            sleep(pause).await;
        }
    }
    Ok(true)
}

/// Whether anything of a run is in the log or archived. Whoever answers may be behind, but not by as much as objects are
/// old.
async fn is_known(bus: &dyn Bus, run: &RunId) -> Result<bool, BusError> {
    if bus.read_short_run(run, 1).await?.is_none_or(|log| !log.events.is_empty()) {
        return Ok(true);
    }
    for archived in history::subjects_of(bus.namespace(), run) {
        if bus.last(Stream::History, &archived).await?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;

    use bytes::Bytes;
    use mesh_bus::Publish;
    use mesh_bus::memory::MemoryServer;
    use mesh_bus::topology::Topology;
    use mesh_schemas::{Headers, Message, Namespace, RequestId, Shards};

    use super::*;

    const DAY: TimeDelta = TimeDelta::days(1);

    fn run(id: &str) -> RunId {
        let request = RequestId { source: "test".to_owned(), id: id.to_owned() };
        RunId::for_request("workflow.w", &request, Shards::default())
    }

    async fn bus() -> Arc<dyn Bus> {
        let bus: Arc<dyn Bus> = MemoryServer::new(Namespace::default()).connect();
        bus.set_up(&Topology::default()).await.expect("set up");
        bus
    }

    async fn put(bus: &dyn Bus, run: &RunId) {
        bus.put_object(&ObjectOwner::Run(*run), Bytes::from("large")).await.expect("put");
    }

    async fn publish(bus: &dyn Bus, subject: String) {
        let subject = format!("{}.{subject}", bus.namespace());
        let message = Message { subject, headers: Headers::new(), payload: Bytes::from("{}") };
        bus.publish(Publish::plain(message)).await.expect("stored");
    }

    async fn left(bus: &dyn Bus) -> BTreeSet<RunId> {
        let owned = bus.objects().await.expect("listed");
        let runs = owned.into_iter().filter_map(|owned| match owned.owner {
            ObjectOwner::Run(run) => Some(run),
            ObjectOwner::Definition(..) => None,
        });
        runs.collect()
    }

    #[tokio::test(start_paused = true)]
    async fn objects_go_when_neither_the_log_nor_a_history_knows_their_run() {
        let bus = bus().await;
        let [gone, open, archived, late, new] = ["gone", "open", "archived", "late", "new"].map(run);
        for run in [&gone, &open, &archived, &late] {
            put(&*bus, run).await;
        }
        publish(&*bus, format!("workflow.started.w.-.{open}")).await;
        publish(&*bus, format!("history.w.completed.{archived}")).await;
        publish(&*bus, format!("history.late.w.completed.{late}")).await;
        assert_eq!(sweep(&*bus, DAY).await.expect("swept"), 0, "they are young");
        tokio::time::advance(Duration::from_secs(25 * 60 * 60)).await;
        put(&*bus, &new).await;
        assert_eq!(sweep(&*bus, DAY).await.expect("swept"), 1);
        assert_eq!(left(&*bus).await, BTreeSet::from([open, archived, late, new]));
        assert_eq!(sweep(&*bus, DAY).await.expect("swept"), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn objects_stay_while_requests_wait_that_may_refer_to_them() {
        let bus = bus().await;
        let waiting = run("waiting");
        put(&*bus, &waiting).await;
        publish(&*bus, "workflow.requested.w".to_owned()).await;
        tokio::time::advance(Duration::from_secs(25 * 60 * 60)).await;
        assert_eq!(sweep(&*bus, DAY).await.expect("swept"), 0);
        assert_eq!(left(&*bus).await, BTreeSet::from([waiting]));
    }
}
