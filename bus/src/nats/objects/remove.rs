use std::collections::BTreeSet;

use futures::{StreamExt as _, TryStreamExt as _};
use mesh_schemas::{ObjectName, ObjectOwner};

use super::super::bus::NatsBus;
use crate::error::BusError;

/// Descriptions that are removed at once.
const AT_ONCE: usize = 8;

impl NatsBus {
    pub(in crate::nats) async fn forget_owner(&self, owner: &ObjectOwner) -> Result<(), BusError> {
        let operation = format!("remove the objects of {owner}");
        let chunks = self.subjects(&self.chunks_of(owner), &operation).await?;
        if chunks.is_empty() {
            return Ok(());
        }
        let names: BTreeSet<ObjectName> = chunks.keys().filter_map(|subject| self.put_as(subject)).collect();
        // The descriptions go first: by the chunks they are found if this is cut short.
        let subjects: Vec<String> = names.iter().map(|name| self.description_of(name)).collect();
        let purges = subjects.into_iter().map(|subject| self.purge(subject, &operation));
        futures::stream::iter(purges).buffer_unordered(AT_ONCE).try_collect::<()>().await?;
        self.purge(self.chunks_of(owner), &operation).await
    }

    pub(in crate::nats) async fn forget_object(&self, name: &ObjectName) -> Result<(), BusError> {
        let operation = format!("remove object {name}");
        let description = self.readable_description(name, &operation).await?;
        // Another client chose its subject itself; what we put stands on subjects of its name, in the end without any
        // description.
        if let Some((description, _)) = description {
            self.purge(format!("{}{}", self.chunks(), description.nuid), &operation).await?;
        }
        self.purge(self.description_of(name), &operation).await?;
        self.purge(format!("{}{name}.>", self.chunks()), &operation).await
    }

    /// The object that a chunk is of, if we put it: its subject is the name and a token of its writer.
    pub(super) fn put_as(&self, subject: &str) -> Option<ObjectName> {
        let (name, _) = subject.strip_prefix(&self.chunks())?.rsplit_once('.')?;
        name.parse().ok()
    }

    pub(super) async fn purge(&self, filter: String, operation: &str) -> Result<(), BusError> {
        self.purge_from(&self.object_stream(), &filter, operation).await
    }
}
