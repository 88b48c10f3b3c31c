//! Removes work that was stored when its run had been forgotten.
//!
//! A copy of `task.created` may be on its way for as long as the process stands still that sent it. Nothing follows from it:
//! agents look whether the run is there before they do old work. But no janitor comes by again.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use mesh_bus::history::{self, PART_BYTES};
use mesh_bus::topology::Stream;
use mesh_bus::{Bus, BusError, History, Publish};
use mesh_schemas::{RunId, StoredMessage, Subject};

/// Younger work is left alone, so that whoever just got it finds it.
const YOUNG: TimeDelta = TimeDelta::hours(1);

/// Removes old work of runs that are not in the log. Returns how much.
pub(super) async fn sweep(bus: &dyn Bus) -> Result<usize, BusError> {
    let (namespace, mut removed) = (bus.namespace(), 0);
    for shard in bus.shards().await?.iter() {
        // In this order: a run is in the log before its work is, and until its work is removed.
        let work =
            bus.list_subjects(Stream::Tasks, &format!("{namespace}.task.created.*.*.{shard}.>")).await?;
        if work.is_empty() {
            continue;
        }
        let begun = format!("{namespace}.workflow.started.*.-.{shard}.*");
        let begun = bus.list_subjects(Stream::Events, &begun).await?;
        let begun: BTreeSet<RunId> = begun.iter().filter_map(|it| Subject::run_of(namespace, it)).collect();
        let is_begun = |run: RunId| begun.contains(&run);
        for subject in work.iter().filter(|it| !Subject::run_of(namespace, it).is_some_and(is_begun)) {
            if let Some(stored) = bus.last(Stream::Tasks, subject).await?
                && bus.now() - stored.time > YOUNG
            {
                keep(bus, &stored).await?;
                removed += usize::from(bus.remove(Stream::Tasks, stored.sequence).await?);
            }
        }
    }
    Ok(removed)
}

/// Adds work to what came late for its run, if that has a history which does not know it: somebody asked for it and nobody
/// else did, as its run had ended by then.
async fn keep(bus: &dyn Bus, stored: &StoredMessage) -> Result<(), BusError> {
    let Some(run) = Subject::run_of(bus.namespace(), &stored.message.subject) else { return Ok(()) };
    let history = History::read(bus.namespace(), &bus.read_history(&run).await?);
    if history.knows(Stream::Tasks, &stored.message.subject) {
        return Ok(());
    }
    for message in history::late(bus, &history, run, Stream::Tasks, stored, PART_BYTES) {
        bus.publish(Publish::plain(message)).await.map_err(|error| BusError::Unavailable {
            operation: format!("archive work of run {run}"),
            error: error.to_string(),
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use bytes::Bytes;
    use mesh_bus::memory::MemoryServer;
    use mesh_bus::topology::Topology;
    use mesh_schemas::{Headers, Message, Namespace, RequestId, Shards};

    use super::*;

    fn run(id: &str) -> RunId {
        let request = RequestId { source: "test".to_owned(), id: id.to_owned() };
        RunId::for_request("workflow.w", &request, Shards::default())
    }

    #[tokio::test(start_paused = true)]
    async fn work_goes_when_the_log_does_not_know_its_run() {
        let bus: Arc<dyn Bus> = MemoryServer::new(Namespace::default()).connect();
        bus.set_up(&Topology::default()).await.expect("set up");
        let publish = async |subject: String| {
            let subject = format!("{}.{subject}", bus.namespace());
            let message = Message { subject, headers: Headers::new(), payload: Bytes::from("{}") };
            bus.publish(Publish::plain(message)).await.expect("stored");
        };
        let (forgotten, open) = (run("forgotten"), run("open"));
        publish(format!("workflow.started.w.-.{open}")).await;
        for run in [&forgotten, &open] {
            publish(format!("task.created.work.normal.{run}.a.1")).await;
        }
        assert_eq!(sweep(&*bus).await.expect("swept"), 0, "it is young");
        tokio::time::advance(Duration::from_secs(60 * 60 + 1)).await;
        publish(format!("task.created.work.normal.{forgotten}.b.1")).await;
        assert_eq!(sweep(&*bus).await.expect("swept"), 1);
        let left = bus.list_subjects(Stream::Tasks, ">").await.expect("read");
        let of = |run, task| format!("mesh.task.created.work.normal.{run}.{task}.1");
        assert_eq!(left, BTreeSet::from([of(forgotten, "b"), of(open, "a")]));
    }

    /// Who stood still may ask for work that nobody else does, as the run has ended meanwhile.
    #[tokio::test(start_paused = true)]
    async fn work_that_the_history_of_its_run_does_not_know_is_added_to_it() {
        let bus: Arc<dyn Bus> = MemoryServer::new(Namespace::default()).connect();
        bus.set_up(&Topology::default()).await.expect("set up");
        let run = run("archived");
        let work = async |task: &str| {
            let subject = format!("mesh.task.created.work.normal.{run}.{task}.1");
            let message = Message { subject, headers: Headers::new(), payload: Bytes::from("{}") };
            bus.publish(Publish::plain(message)).await.expect("stored");
        };
        work("known").await;
        let known = bus.read_work(&run).await.expect("read");
        let outcome = mesh_schemas::WorkflowVerb::Completed;
        let subject = Subject::History { workflow: Some("w".parse().expect("a name")), outcome, run };
        for part in History::default().missing(run, &[(Stream::Tasks, &known[0])], PART_BYTES) {
            bus.publish(Publish::plain(history::archive(&*bus, &subject, &part))).await.expect("stored");
        }
        work("late").await;
        tokio::time::advance(Duration::from_secs(60 * 60 + 1)).await;
        assert_eq!(sweep(&*bus).await.expect("swept"), 2);
        let history = History::read(bus.namespace(), &bus.read_history(&run).await.expect("read"));
        let kept: Vec<&str> =
            history.of(Stream::Tasks).map(|stored| stored.message.subject.as_str()).collect();
        assert!(kept.len() == 2 && kept[1].contains(".late.1"), "{kept:?}");
        assert_eq!(bus.list_subjects(Stream::Tasks, ">").await.expect("read"), BTreeSet::new());
    }
}
