//! What people do with definitions: apply, list, delete.

use std::collections::BTreeMap;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use mesh_bus::topology::Bucket;
use mesh_bus::{Bus, BusError, Entry};
use mesh_schemas::document::Problems;
use mesh_schemas::{Definition, Digest, ErrorCode, WorkflowName};

use super::{Known, digest_in, stored};

/// From so many tasks on, compiling is done beside everything else.
const MANY_TASKS: usize = 1_000;

/// A workflow that was applied at some time.
#[derive(Debug, Clone, PartialEq)]
pub struct Registered {
    /// Its name.
    pub name: WorkflowName,
    /// What new runs follow, and since when; `None` if the workflow was deleted.
    pub current: Option<(Digest, DateTime<Utc>)>,
    /// Every version that is kept, the newest first. Runs that have begun go on with theirs.
    pub versions: Vec<Version>,
}

/// A version of a workflow.
#[derive(Debug, Clone, PartialEq)]
pub struct Version {
    /// Names it.
    pub digest: Digest,
    /// When it was applied for the first time.
    pub applied: DateTime<Utc>,
    /// The definition; `None` if it cannot be read: it was written for a newer mesh than this, or is large and lost.
    pub definition: Option<Definition>,
}

impl Registered {
    /// The version that new runs follow; `None` if the workflow was deleted or the version is missing.
    #[must_use]
    pub fn current_version(&self) -> Option<&Version> {
        let (digest, _) = self.current.as_ref()?;
        self.versions.iter().find(|version| version.digest == *digest)
    }
}

/// Every workflow that was ever applied, by name, those that were deleted too.
///
/// # Errors
/// [`BusError`] if the bus did not answer.
pub async fn all(bus: &dyn Bus) -> Result<Vec<Registered>, BusError> {
    let mut found: BTreeMap<WorkflowName, Registered> = BTreeMap::new();
    for entry in bus.entries(Bucket::Workflows).await? {
        let (name, hex) = match entry.key.split_once('.') {
            Some((name, hex)) => (name, Some(hex)),
            None => (entry.key.as_str(), None),
        };
        // Whatever else somebody put there is no workflow.
        let Ok(name) = name.parse::<WorkflowName>() else { continue };
        let workflow = found.entry(name.clone()).or_insert_with(|| Registered {
            name,
            current: None,
            versions: Vec::new(),
        });
        match hex {
            None => workflow.current = digest_in(&entry).map(|digest| (digest, entry.time)),
            Some(hex) => workflow.versions.extend(version(bus, hex, &entry).await?),
        }
    }
    let mut all: Vec<Registered> = found.into_values().collect();
    for workflow in &mut all {
        workflow.versions.sort_by_key(|version| std::cmp::Reverse(version.applied));
    }
    Ok(all)
}

async fn version(bus: &dyn Bus, hex: &str, entry: &Entry) -> Result<Option<Version>, BusError> {
    let Ok(digest) = format!("sha256:{hex}").parse::<Digest>() else { return Ok(None) };
    let definition = match stored::definition(bus, entry.value.clone()).await {
        // What can be told of the others is told all the same.
        Err(BusError::Damaged { .. }) => None,
        definition => definition?,
    };
    let definition = definition.filter(|definition| definition.digest() == digest);
    Ok(Some(Version { digest, applied: entry.time, definition }))
}

/// What applying a definition changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// The workflow is new, or was deleted before.
    Created,
    /// New runs follow another version from now on.
    Updated,
    /// New runs followed this version already.
    Unchanged,
}

/// A definition that was applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// Names the version.
    pub digest: Digest,
    /// What is new.
    pub change: Change,
}

/// Keeps a definition for new runs of its workflow. Runs that have begun go on with theirs.
///
/// # Errors
/// [`ApplyError`] if the definition is not sound or the bus did not take it; nothing has changed then for new
/// runs.
pub async fn apply(bus: &dyn Bus, definition: &Definition) -> Result<Applied, ApplyError> {
    let digest = sound(definition).await?;
    stored::put(bus, definition, &digest).await?;
    let pointer = bus.get(Bucket::Workflows, definition.name.as_str()).await?;
    let change = match pointer.as_ref().and_then(digest_in) {
        Some(current) if current == digest => Change::Unchanged,
        Some(_) => Change::Updated,
        None => Change::Created,
    };
    if change != Change::Unchanged {
        let pointer = Bytes::from(digest.to_string());
        bus.put(Bucket::Workflows, definition.name.as_str(), pointer, None).await?;
    }
    Ok(Applied { digest, change })
}

/// The digest of a definition, if it is sound.
async fn sound(definition: &Definition) -> Result<Digest, ApplyError> {
    let compile = |definition: &Definition| Known::compile(definition).map(|known| known.plan.digest.clone());
    let digest = if definition.size() < MANY_TASKS {
        compile(definition)
    } else {
        // It takes seconds, and a connection has to be served meanwhile.
        let large = definition.clone();
        let compiled = tokio::task::spawn_blocking(move || compile(&large)).await;
        compiled.unwrap_or_else(|_| compile(definition))
    };
    digest.map_err(ApplyError::Unsound)
}

/// Why a definition was not applied.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// Everything that is wrong with it.
    #[error("{0}")]
    Unsound(Problems),
    /// It could not be stored.
    #[error(transparent)]
    Bus(#[from] BusError),
}

impl ApplyError {
    /// What kind of error it is: for an unsound definition, its first problem.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Unsound(problems) => problems.0.first().map_or(ErrorCode::Syntax, |problem| problem.code),
            Self::Bus(error) => error.code(),
        }
    }
}

/// Takes a workflow away: from now on, requests for it are rejected. Its versions are kept for the runs that follow
/// them. Returns whether it was there.
///
/// # Errors
/// [`BusError`] if the bus did not do it.
pub async fn delete(bus: &dyn Bus, name: &WorkflowName) -> Result<bool, BusError> {
    if bus.get(Bucket::Workflows, name.as_str()).await?.is_none() {
        return Ok(false);
    }
    bus.delete(Bucket::Workflows, name.as_str()).await?;
    Ok(true)
}
