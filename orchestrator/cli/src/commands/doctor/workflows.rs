use super::facts::Facts;
use super::finding::Finding;
use crate::words::count;

pub(super) fn findings(facts: &Facts) -> Vec<Finding> {
    let startable: Vec<_> = facts.workflows.iter().filter(|workflow| workflow.current.is_some()).collect();
    let mut findings = Vec::new();
    for workflow in &startable {
        let name = &workflow.name;
        match workflow.current_version() {
            None => findings.push(Finding::error(
                "workflows",
                format!("the definition that new runs of '{name}' follow is missing: requests are rejected"),
                "apply it again with `mesh workflow apply FILE`",
            )),
            Some(version) if version.definition.is_none() => findings.push(Finding::warning(
                "workflows",
                format!("'{name}' was written for a newer mesh than this one"),
                "update this `mesh` and the orchestrators",
            )),
            Some(_) => {}
        }
    }
    findings.push(if startable.is_empty() {
        Finding::info("workflows", "none can be started", "`mesh workflow apply FILE` registers one")
    } else {
        Finding::ok("workflows", format!("{} can be started", count(startable.len() as u64, "workflow")))
    });
    findings
}
