//! Objects: content in chunks and a description, laid out as NATS clients expect (ADR-20), so that `nats object get` and
//! the object stores of other clients read them.
//!
//! Requests are our own, as everywhere here: one view of errors and time limits. And the client's object store could not
//! do two things that the mesh needs. Its readers make a consumer for each object, where one direct get does; and its
//! chunks stand on a random subject, where ours begin with the owner, so that one purge removes all that an owner has,
//! with what writers left that died half-way.

mod description;
mod list;
mod read;
mod remove;
mod write;

use async_nats::jetstream::stream::{Config, DiscardPolicy, StorageType};
use mesh_schemas::{ObjectName, ObjectOwner};

use super::bus::NatsBus;
use crate::topology::Topology;

impl NatsBus {
    /// The stream that holds the bucket.
    pub(super) fn object_stream(&self) -> String {
        format!("OBJ_{}", self.namespace.object_bucket())
    }

    pub(super) fn objects_config(&self, topology: &Topology) -> Config {
        let bucket = self.namespace.object_bucket();
        Config {
            name: self.object_stream(),
            description: Some("Data of the mesh that is too large for a message".to_owned()),
            subjects: vec![format!("$O.{bucket}.C.>"), format!("$O.{bucket}.M.>")],
            num_replicas: usize::from(topology.replicas.0),
            storage: StorageType::File,
            discard: DiscardPolicy::New,
            allow_rollup: true,
            allow_direct: true,
            ..Config::default()
        }
    }

    /// What the subjects of chunks begin with.
    fn chunks(&self) -> String {
        format!("$O.{}.C.", self.namespace.object_bucket())
    }

    /// What the subjects of descriptions begin with.
    fn descriptions(&self) -> String {
        format!("$O.{}.M.", self.namespace.object_bucket())
    }

    /// Matches the chunks of everything that was put for an owner.
    fn chunks_of(&self, owner: &ObjectOwner) -> String {
        format!("{}{owner}.>", self.chunks())
    }

    /// The subject of the description of an object.
    fn description_of(&self, name: &ObjectName) -> String {
        format!("{}{}", self.descriptions(), description::encode(&name.to_string()))
    }
}
