//! A definition as it stands in the bucket: itself, or a reference to the object that holds it.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use mesh_bus::topology::Bucket;
use mesh_bus::{Bus, BusError};
use mesh_schemas::definition::Planner;
use mesh_schemas::{Capability, Definition, Digest, ObjectName, ObjectOwner, TaskId, WorkflowName};
use serde::{Deserialize, Serialize};

/// Largest definition that stands in the bucket itself: half of what NATS takes as one message by default.
const INLINE_BYTES: usize = 512 * 1024;

/// From this size on, reading and compiling takes so long that it is done beside everything else.
const SLOW_BYTES: usize = 64 * 1024;

/// Stands in the place of a larger one. Versions of the mesh that know no such thing take it for a definition that they
/// cannot read, and leave runs of it to others.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Reference {
    /// Name of the object that holds the definition.
    dataref: String,
}

/// Puts a definition into the bucket, unless it is there.
pub(super) async fn put(bus: &dyn Bus, definition: &Definition, digest: &Digest) -> Result<(), BusError> {
    let content = Bytes::from(definition.canonical_json());
    let name = &definition.name;
    let text = if content.len() <= INLINE_BYTES {
        content
    } else {
        // Put anew even if it is referred to: it may have been lost.
        let owner = ObjectOwner::Definition(name.clone(), digest.clone());
        let dataref = bus.put_object(&owner, content).await?.to_string();
        Bytes::from(serde_json::to_vec(&Reference { dataref }).unwrap_or_default())
    };
    let key = key(name, digest);
    let is_stored = bus.get(Bucket::Workflows, &key).await?.is_some_and(|entry| entry.value == text);
    if !is_stored {
        bus.put(Bucket::Workflows, &key, text, None).await?;
    }
    Ok(())
}

/// The content of an entry, from wherever it is; none if the entry refers to something that this version cannot read.
pub(super) async fn content(bus: &dyn Bus, entry: Bytes) -> Result<Option<Bytes>, BusError> {
    // Whether it refers to something shows in the first few bytes, so that a long definition is not read twice.
    let Ok(Reference { dataref }) = serde_json::from_slice(&entry) else { return Ok(Some(entry)) };
    let Ok(object) = dataref.parse::<ObjectName>() else { return Ok(None) };
    match bus.object(&object).await? {
        Some(content) => Ok(Some(content)),
        None => Err(BusError::Damaged {
            name: dataref,
            error: "it is gone, and with it the definition that it held: apply the workflow again".to_owned(),
        }),
    }
}

/// The definition in an entry; none if it is written for a newer mesh than this.
///
/// # Errors
/// [`BusError`] if the bus did not answer, or the object that holds it is gone.
pub(super) async fn definition(bus: &dyn Bus, entry: Bytes) -> Result<Option<Definition>, BusError> {
    let content = content(bus, entry).await?;
    Ok(match content {
        Some(content) => aside(content.len(), move || serde_json::from_slice(&content).ok()).await.flatten(),
        None => None,
    })
}

/// The capabilities that the tasks of the definition in an entry ask for, or may plan to; none if the entry is no definition.
///
/// # Errors
/// As [`definition`].
pub(crate) async fn agents(bus: &dyn Bus, entry: Bytes) -> Result<BTreeSet<Capability>, BusError> {
    /// No more of it than that, as it may be large.
    #[derive(Default, Deserialize)]
    struct Part {
        agent: Option<Capability>,
        plan: Option<Planner>,
        #[serde(default)]
        tasks: BTreeMap<TaskId, Self>,
        #[serde(default)]
        switch: Vec<Self>,
        finally: Option<Box<Self>>,
    }
    impl Part {
        fn collect(self, found: &mut BTreeSet<Capability>) {
            found.extend(self.agent);
            found.extend(
                self.plan
                    .and_then(|plan| plan.limits())
                    .map(|limits| limits.capabilities)
                    .into_iter()
                    .flatten(),
            );
            let finally = self.finally.map(|finally| *finally);
            self.tasks.into_values().chain(self.switch).chain(finally).for_each(|part| part.collect(found));
        }
    }
    let Some(content) = content(bus, entry).await? else { return Ok(BTreeSet::new()) };
    let size = content.len();
    let read = move || serde_json::from_slice::<Part>(&content).ok();
    let mut found = BTreeSet::new();
    aside(size, read).await.flatten().unwrap_or_default().collect(&mut found);
    Ok(found)
}

/// Does some work that takes long if there is much to read, without keeping anybody else waiting.
pub(super) async fn aside<T: Send + 'static>(
    bytes: usize,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    if bytes < SLOW_BYTES {
        return Some(work());
    }
    tokio::task::spawn_blocking(work).await.ok()
}

/// Where a version of a workflow stands.
pub(super) fn key(name: &WorkflowName, digest: &Digest) -> String {
    format!("{name}.{}", digest.hex())
}
