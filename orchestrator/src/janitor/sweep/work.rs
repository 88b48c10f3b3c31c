//! Removes work that was stored when its run had been forgotten.
//!
//! A copy of `task.created` may be on its way for as long as the process stands still that sent it. Nothing follows from it:
//! agents look whether the run is there before they do old work. But no janitor comes by again.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use mesh_bus::topology::Stream;
use mesh_bus::{Bus, BusError};
use mesh_schemas::{RunId, Subject};

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
                removed += usize::from(bus.remove(Stream::Tasks, stored.sequence).await?);
            }
        }
    }
    Ok(removed)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use bytes::Bytes;
    use mesh_bus::Publish;
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
}
