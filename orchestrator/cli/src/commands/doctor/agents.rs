use chrono::TimeDelta;
use mesh_bus::topology::AGENT_ACK_WAIT;
use mesh_schemas::Capability;
use mesh_schemas::document::nearest;

use super::facts::Facts;
use super::finding::Finding;
use crate::supply::{Supply, supply};
use crate::words::count;

pub(super) fn findings(facts: &Facts) -> Vec<Finding> {
    let startable: Vec<_> =
        facts.workflows.iter().filter(|workflow| workflow.current.is_some()).cloned().collect();
    let all = supply(&facts.health, &facts.agents, &startable);
    let mut findings = vec![match facts.agents.len() as u64 {
        0 => Finding::info(
            "agents",
            "none is in the registry",
            "start one; agents that keep only to the bare contract are not seen here, but where they ask for work",
        ),
        number => Finding::ok("agents", format!("{} alive", count(number, "agent"))),
    }];
    findings.extend(facts.complaints.iter().map(|(type_, problem)| {
        Finding::warning("agents", format!("an agent '{type_}' says: {problem}"), "see what it logs")
    }));
    let wanting: Vec<&str> = all
        .iter()
        .filter(|(_, supply)| !supply.workflows.is_empty() && !is_served(supply))
        .map(|(capability, _)| capability.as_str())
        .collect();
    for (capability, supply) in &all {
        findings.extend(broken(capability, supply));
        let wanted = facts.wanted.get(capability).copied();
        findings.extend(served(capability, supply, &wanting, wanted));
    }
    findings
}

/// Whether somebody does the work, as far as can be seen: an agent that is not in the registry is seen by its requests
/// for work or, if it has no room for more, by work that was given out not long ago.
pub(crate) fn is_served(supply: &Supply) -> bool {
    !supply.agents.is_empty() || supply.waiting() > 0 || (supply.in_hand() > 0 && !is_stale(supply))
}

/// Nothing was given out for longer than an agent may be silent about a task.
fn is_stale(supply: &Supply) -> bool {
    let silence = TimeDelta::from_std(AGENT_ACK_WAIT).unwrap_or(TimeDelta::MAX);
    supply.idle().is_none_or(|idle| idle >= silence)
}

fn served(
    capability: &Capability,
    supply: &Supply,
    wanting: &[&str],
    wanted: Option<u64>,
) -> Option<Finding> {
    let (pending, in_hand) = (supply.pending(), supply.in_hand());
    let workflows = supply.workflows.iter().map(|name| format!("'{name}'")).collect::<Vec<_>>().join(", ");
    let start = || format!("start an agent that has the capability '{capability}'");
    if !is_served(supply) {
        let waiting = supply.unsettled().min(wanted.unwrap_or(u64::MAX));
        if waiting > 0 {
            let of = if workflows.is_empty() { String::new() } else { format!(", for {workflows}") };
            let found = format!("nobody serves '{capability}': {} waiting{of}", count(waiting, "task"));
            return Some(Finding::error("agents", found, start()));
        }
        // Work of the past, for workflows that are gone.
        if workflows.is_empty() {
            return (supply.unsettled() > 0).then(|| {
                let left = count(supply.unsettled(), "task");
                let found =
                    format!("nobody serves '{capability}', and nobody waits: {left} of runs that have ended");
                Finding::info("agents", found, "nothing: they go when their runs are archived")
            });
        }
        let found = format!("nobody serves '{capability}', named by {workflows}");
        return Some(Finding::warning("agents", found, start()));
    }
    let who = match supply.agents.len() as u64 {
        0 => "agents that are not in the registry".to_owned(),
        number => format!("{} ({})", count(number, "agent"), names(supply)),
    };
    if supply.workflows.is_empty() && !supply.agents.is_empty() && pending + in_hand == 0 {
        let advice = match nearest(capability.as_str(), wanting.iter().copied()) {
            Some(near) => format!("a workflow names '{near}', which nobody serves: is that the same?"),
            None => "it does single tasks (`mesh call`), or waits for a workflow to be applied".to_owned(),
        };
        return Some(Finding::info("agents", format!("'{capability}': {who}; no workflow names it"), advice));
    }
    if pending > 0 && in_hand == 0 && supply.waiting() == 0 {
        let found =
            format!("'{capability}': {} waiting, and no request for them by {who}", count(pending, "task"));
        let advice = "see what the agents log: they may lack the right to ask for work, or hang";
        return Some(Finding::warning("agents", found, advice));
    }
    Some(Finding::ok("agents", format!("'{capability}': {who}, {in_hand} in hand, {pending} waiting")))
}

/// Consumers that agents cannot use.
fn broken(capability: &Capability, supply: &Supply) -> Vec<Finding> {
    let differences =
        supply.lanes.iter().filter_map(|(lane, state)| Some((lane, state.difference.as_ref()?)));
    let mut findings: Vec<Finding> = differences
        .map(|(lane, difference)| {
            Finding::error(
                "consumers",
                format!("agent-{capability}-{lane} is not as it should be: {difference}"),
                "delete it (`nats consumer rm`): agents and orchestrators make it anew",
            )
        })
        .collect();
    if supply.lanes.is_empty() && !supply.workflows.is_empty() {
        findings.push(Finding::warning(
            "consumers",
            format!("'{capability}' has none yet, so agents without our libraries find nothing to bind to"),
            "an orchestrator that is running makes it within a moment",
        ));
    }
    findings
}

/// How many agents are named.
const NAMED: usize = 5;

fn names(supply: &Supply) -> String {
    let named: Vec<&str> = supply.agents.iter().take(NAMED).map(|agent| agent.as_str()).collect();
    let more = if supply.agents.len() > NAMED { ", …" } else { "" };
    format!("{}{more}", named.join(", "))
}
