//! Workflows as people name them.

use mesh_bus::Bus;
use mesh_orchestrator::definitions::{self, Registered, Version};
use mesh_schemas::{Definition, ErrorCode, WorkflowName};

use crate::failure::Failure;
use crate::unknown::unknown;

/// Digits of a digest in tables: enough to tell versions apart, and `--digest` takes them.
pub(super) const SHORT: usize = 12;

/// A digest for tables.
pub(super) fn short(version: &Version) -> &str {
    let hex = version.digest.hex();
    hex.get(..SHORT).unwrap_or(hex)
}

/// What to say about a workflow that is not registered.
pub(crate) fn not_registered(name: &WorkflowName, all: &[Registered]) -> anyhow::Error {
    let known = all.iter().filter(|workflow| workflow.current.is_some());
    let hint = "register its definition with `mesh workflow apply FILE`";
    unknown("workflow", name.as_str(), known.map(|workflow| workflow.name.as_str()), hint)
}

/// The definition that new runs of a workflow follow, or the version whose digest begins so.
pub(super) async fn definition(
    bus: &dyn Bus,
    name: &WorkflowName,
    digest: Option<&str>,
) -> anyhow::Result<Definition> {
    let all = definitions::all(bus).await?;
    let workflow = all.iter().find(|workflow| workflow.name == *name);
    let version = match (workflow, digest) {
        (None, _) => return Err(not_registered(name, &all)),
        (Some(workflow), Some(digest)) => one_of(workflow, digest)?,
        (Some(Registered { current: None, versions, .. }), None) => {
            let kept = versions.first().map(short).unwrap_or_default();
            return Err(missing(format!(
                "the workflow '{name}' was deleted; what runs still follow is kept: its last version is `--digest \
                 {kept}`, and `mesh workflow apply FILE` brings it back"
            )));
        }
        (Some(workflow), None) => workflow.current_version().ok_or_else(|| {
            missing(format!("the definition that new runs of '{name}' follow is missing: apply it again"))
        })?,
    };
    version.definition.clone().ok_or_else(|| {
        let message =
            format!("{} of '{name}' was written for a newer mesh: update this `mesh`", version.digest);
        Failure::new(ErrorCode::TooOld, message).into()
    })
}

fn missing(message: String) -> anyhow::Error {
    Failure::new(ErrorCode::UnknownObject, message).into()
}

fn one_of<'a>(workflow: &'a Registered, digest: &str) -> anyhow::Result<&'a Version> {
    let wanted = digest.strip_prefix("sha256:").unwrap_or(digest).to_ascii_lowercase();
    let found: Vec<&Version> =
        workflow.versions.iter().filter(|version| version.digest.hex().starts_with(&wanted)).collect();
    match found.as_slice() {
        [version] => Ok(version),
        [] => {
            let there: Vec<&str> = workflow.versions.iter().map(short).collect();
            Err(missing(format!("'{}' has no version {digest}; it has {}", workflow.name, there.join(", "))))
        }
        many => Err(missing(format!(
            "{} versions of '{}' begin with {digest}: write more of it",
            many.len(),
            workflow.name
        ))),
    }
}
