//! Work that nobody does and that nobody waits for: that of runs which have ended.

use std::collections::{BTreeMap, BTreeSet};

use futures::TryStreamExt as _;
use mesh_bus::history::{Stage, archived};
use mesh_bus::topology::Stream;
use mesh_bus::{Bus, BusError, From};
use mesh_schemas::{Capability, RunId, Subject};

use crate::follow::present;

/// Most messages of the work of one capability that are looked at; most runs of all of them that are asked for their ends.
/// Whatever is behind that is taken to be waited for.
const LOOKED_AT: (usize, usize) = (1_000, 100);

/// How many tasks of each of these capabilities at most belong to runs that go on, where all of their work could be
/// looked at.
pub(super) async fn wanted<'a>(
    bus: &dyn Bus,
    unserved: impl Iterator<Item = &'a Capability>,
) -> Result<BTreeMap<Capability, u64>, BusError> {
    let (mut open, mut over) = (BTreeSet::new(), BTreeSet::new());
    let mut wanted = BTreeMap::new();
    for capability in unserved {
        if let Some(number) = of_open_runs(bus, capability, &mut open, &mut over).await? {
            wanted.insert(capability.clone(), number);
        }
    }
    Ok(wanted)
}

async fn of_open_runs(
    bus: &dyn Bus,
    capability: &Capability,
    open: &mut BTreeSet<RunId>,
    over: &mut BTreeSet<RunId>,
) -> Result<Option<u64>, BusError> {
    let (most_messages, most_runs) = LOOKED_AT;
    let filter = format!("{}.task.created.{capability}.>", bus.namespace());
    let mut work = present(bus, Stream::Tasks, vec![filter], From::Begin).await?;
    let (mut looked_at, mut number) = (0, 0);
    while let Some(stored) = work.try_next().await? {
        looked_at += 1;
        if looked_at > most_messages {
            return Ok(None);
        }
        let subject = Subject::parse(bus.namespace(), &stored.message.subject).ok();
        let Some(run) = subject.and_then(|subject| subject.run()) else { continue };
        if !open.contains(&run) && !over.contains(&run) {
            if open.len() + over.len() >= most_runs {
                return Ok(None);
            }
            (if is_over(bus, &run).await? { &mut *over } else { &mut *open }).insert(run);
        }
        number += u64::from(open.contains(&run));
    }
    Ok(Some(number))
}

async fn is_over(bus: &dyn Bus, run: &RunId) -> Result<bool, BusError> {
    let events = bus.read_run_itself(run).await?.events;
    let ends = events.iter().any(|stored| Stage::of(bus.namespace(), stored) == Stage::End);
    Ok(ends || (events.is_empty() && archived(bus, run).await?.is_some()))
}
