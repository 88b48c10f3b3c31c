//! Whether a run is over so long that all that is left of it is its history.

use std::collections::BTreeSet;
use std::sync::Arc;

use mesh_bus::BusError;
use mesh_bus::topology::Stream;
use mesh_schemas::{RunId, Subject, WorkflowName};

use super::request::RETRY_PAUSE;
use crate::flights::Flights;
use crate::lease::Lease;
use crate::service::Shared;
use crate::store::Lost;

/// Looks into the histories. Those who look at the same time, as each request does, share one.
#[derive(Default)]
pub(crate) struct Looks(Flights<(), String, Arc<BTreeSet<RunId>>>);

/// Whether there is a history of a run.
pub(super) async fn is_archived(
    shared: &Shared,
    lease: &Lease,
    workflow: Option<&WorkflowName>,
    run: &RunId,
) -> Result<bool, Lost> {
    let name = workflow.map_or("-", WorkflowName::as_str);
    let history = format!("{}.history.{name}.*.{run}", shared.bus.namespace());
    let look = || look(shared, history.clone());
    let archived = lease.until_read("the histories", RETRY_PAUSE, look).await.ok_or(Lost)?;
    Ok(archived.contains(run))
}

/// The runs of which there are histories on these subjects and on those of whoever looks at the same time.
async fn look(shared: &Shared, histories: String) -> Result<Arc<BTreeSet<RunId>>, BusError> {
    let bus = Arc::clone(&shared.bus);
    let read = |histories: Vec<String>| async move {
        let last = bus.last_on_each(Stream::History, &histories).await?;
        let subjects = last.iter().map(|stored| Subject::parse(bus.namespace(), &stored.message.subject));
        let runs = subjects.filter_map(|subject| subject.ok()?.run());
        Ok(Arc::new(runs.collect()))
    };
    shared.looks.0.read(&(), histories, read).await
}
