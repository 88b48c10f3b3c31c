use mesh_bus::topology::{RELAY_MAX_ACK_PENDING, SHARD_MAX_ACK_PENDING, Tidying};
use mesh_bus::{ConsumerHealth, ConsumerState, Fill, Instance, Role};
use mesh_orchestrator::{NEARLY_FULL, OrchestratorReport, Untidy};

use super::facts::{Facts, lonely_shards};
use super::finding::Finding;
use super::room::tight;
use crate::words::count;

/// What to do when nobody follows the runs.
const START: &str = "start one: `mesh orchestrator`, or `mesh up` for a server with one";

pub(super) fn findings(facts: &Facts) -> Vec<Finding> {
    let mut findings = vec![presence(facts)];
    findings.extend(facts.orchestrators.iter().map(|instance| owner(facts, instance)));
    findings.extend(facts.orchestrators.iter().flat_map(untidy));
    findings.extend(facts.orchestrators.iter().flat_map(complaints));
    findings.extend(shards(facts));
    let of = |role: Role| facts.health.consumers.iter().find(move |consumer| consumer.role == role);
    let is_tight = tight(facts.fill.as_ref()).is_some();
    findings.extend(of(Role::Relay).map(|consumer| relay("requests", "request", consumer, is_tight)));
    findings.extend(of(Role::Timers).map(|consumer| relay("timers", "due timer", consumer, false)));
    findings.extend(Tidying::ALL.into_iter().filter_map(|tidying| broken(of(Role::Janitor(tidying))?)));
    findings
}

fn presence(facts: &Facts) -> Finding {
    let mut versions: Vec<&str> =
        facts.orchestrators.iter().map(|instance| instance.version.as_str()).collect();
    versions.sort_unstable();
    versions.dedup();
    match versions.as_slice() {
        [] if facts.health.consumers.iter().any(is_followed) => Finding::info(
            "orchestrators",
            "none answers, but shards are followed",
            "see whether orchestrators may listen on $SRV.>",
        ),
        [] => Finding::error("orchestrators", "none is running: all runs stand still", START),
        [version] => Finding::ok(
            "orchestrators",
            format!("{} of version {version}", count(facts.orchestrators.len() as u64, "orchestrator")),
        ),
        several => Finding::info(
            "orchestrators",
            format!("{} of several versions: {}", facts.orchestrators.len(), several.join(", ")),
            "let all have the newest: an older one leaves runs alone that it does not understand",
        ),
    }
}

/// Which shards an orchestrator has: those that gave their last event to it, and those that it alone asks for.
fn owner(facts: &Facts, instance: &Instance) -> Finding {
    let report = OrchestratorReport::read(instance.report.clone());
    let has = |shard: &u32, pin: &Option<String>| {
        let found = facts.health.consumers.iter().find(|consumer| consumer.role == Role::Shard(*shard));
        match found.and_then(|consumer| consumer.found.as_ref()?.pin.as_ref()) {
            Some(owner) => pin.as_ref() == Some(owner),
            None => true,
        }
    };
    let has: Vec<u32> =
        report.shards.iter().filter(|(shard, pin)| has(shard, pin)).map(|(shard, _)| *shard).collect();
    let leaves: Vec<u32> = report.leaves.iter().copied().collect();
    let said = format!(
        "{} of version {} has {}{}",
        instance.id,
        instance.version,
        if has.is_empty() { "no shard".to_owned() } else { format!("shard {}", numbers(&has)) },
        if report.stopping { ", and is stopping" } else { "" },
    );
    if leaves.is_empty() {
        return Finding::ok("orchestrators", said);
    }
    let said = format!("{said}; it leaves shard {} to others", numbers(&leaves));
    let advice =
        "see what it logs: it may not have them, or does not understand what a newer mesh wrote there";
    Finding::warning("orchestrators", said, advice)
}

/// Ended runs that an orchestrator cannot tidy up.
fn untidy(instance: &Instance) -> Vec<Finding> {
    let report = OrchestratorReport::read(instance.report.clone());
    let advice = "mend what is in the way, then it goes on by itself: until then their events stay in the log, and count against \
                  its limit";
    let told = |untidy: Untidy, what| {
        let Untidy { runs, error } = untidy;
        let finding = format!("{} cannot {what} {}: {error}", instance.id, count(runs as u64, "run"));
        Finding::warning("ended runs", finding, advice)
    };
    let archive = report.unarchived.map(|untidy| told(untidy, "archive"));
    let forget = report.unforgotten.map(|untidy| told(untidy, "forget"));
    archive.into_iter().chain(forget).collect()
}

/// What an orchestrator says is wrong with it, but for what is told elsewhere.
fn complaints(instance: &Instance) -> Vec<Finding> {
    let report = OrchestratorReport::read(instance.report.clone());
    let told: Vec<String> =
        report.unarchived.iter().chain(&report.unforgotten).map(|untidy| untidy.error.clone()).collect();
    let is_new = |problem: &&String| {
        let is_about_room = problem.contains("the log is nearly full") || problem.contains("room is left");
        !is_about_room && !told.iter().any(|error| problem.ends_with(error.as_str()))
    };
    let finding = |problem: &String| {
        let said = format!("{} says: {problem}", instance.id);
        Finding::warning("orchestrators", said, "see what it logs")
    };
    report.problems.iter().filter(is_new).map(finding).collect()
}

/// Somebody asks for events of a shard now. A pin alone may be what a dead orchestrator left.
fn is_followed(consumer: &ConsumerHealth) -> bool {
    matches!((&consumer.role, &consumer.found), (Role::Shard(_), Some(state)) if state.waiting > 0)
}

fn shards(facts: &Facts) -> Vec<Finding> {
    let of_shards = || {
        facts.health.consumers.iter().filter_map(|consumer| match consumer.role {
            Role::Shard(shard) => Some((shard, consumer)),
            _ => None,
        })
    };
    let states = || of_shards().filter_map(|(shard, consumer)| Some((shard, consumer.found.as_ref()?)));
    let mut findings: Vec<Finding> = of_shards().filter_map(|(_, consumer)| broken(consumer)).collect();
    if !facts.orchestrators.is_empty() {
        let lonely = lonely_shards(&facts.health);
        if !lonely.is_empty() {
            findings.push(Finding::error(
                "shards",
                format!("nobody follows shard {}: its runs stand still", numbers(&lonely)),
                "start the orchestrators anew, and see what they log",
            ));
        }
    }
    let repeated: Vec<u32> =
        states().filter(|(_, state)| state.repeated > 0).map(|(shard, _)| shard).collect();
    if !repeated.is_empty() {
        let events: u64 = states().map(|(_, state)| state.repeated).sum();
        findings.push(again(events, &repeated, facts.fill.as_ref()));
    }
    let lag: u64 = states().map(|(_, state)| state.pending).sum();
    let in_hand: u64 = states().map(|(_, state)| state.in_hand).sum();
    let said = format!(
        "{}, {} to be folded, {in_hand} in hand",
        count(of_shards().count() as u64, "shard"),
        count(lag, "event")
    );
    let worst = states().map(|(_, state)| state.pending).max().unwrap_or_default();
    findings.push(if worst > u64::from(SHARD_MAX_ACK_PENDING) {
        Finding::warning(
            "shards",
            said,
            "the orchestrators are behind: wait, or start one more on another machine",
        )
    } else {
        Finding::ok("shards", said)
    });
    findings
}

/// An event comes again until all that follows from it is stored.
fn again(events: u64, shards: &[u32], fill: Option<&Fill>) -> Finding {
    let given = if events == 1 { "1 event was".to_owned() } else { format!("{events} events were") };
    let said =
        format!("{given} given out more than once, of shard {}, and not settled since", numbers(shards));
    let Some(Fill { what, share }) = fill.filter(|fill| fill.share.thousandths() >= NEARLY_FULL) else {
        return Finding::warning("shards", said, WHY_AGAIN);
    };
    Finding::warning(
        "shards",
        format!(
            "{said}, and {what} is {} % full: what follows from them may have no room",
            share.thousandths() / 10
        ),
        format!("give it more room. If they come again when there is room: {WHY_AGAIN}"),
    )
}

/// Why events come again: some of it passes, and orchestrators log what does not.
const WHY_AGAIN: &str = "that passes where a server or an orchestrator was slow or away for a moment. If it lasts, see what the \
                         orchestrators log: what follows from the events may not be stored, data that they refer to may not \
                         be had, their definition may be missing, or a newer mesh wrote them";

/// That they wait for room is told elsewhere.
fn relay(about: &'static str, what: &str, consumer: &ConsumerHealth, wait_for_room: bool) -> Finding {
    if let Some(broken) = broken(consumer) {
        return broken;
    }
    let Some(ConsumerState { pending, in_hand, .. }) = consumer.found else {
        return Finding::error(about, "nobody takes them", START);
    };
    let said = format!("{} to be taken, {in_hand} in hand", count(pending, what));
    if pending > u64::from(RELAY_MAX_ACK_PENDING) && !wait_for_room {
        let advice = "the orchestrators are behind: wait, or start one more on another machine";
        return Finding::warning(about, said, advice);
    }
    Finding::ok(about, said)
}

/// A consumer that is missing, or not as it should be.
fn broken(consumer: &ConsumerHealth) -> Option<Finding> {
    let name = &consumer.name;
    match &consumer.found {
        None => Some(Finding::error(
            "consumers",
            format!("{name} is missing"),
            "start an orchestrator, or start it anew: it makes what is missing",
        )),
        Some(ConsumerState { difference: Some(difference), .. }) => Some(Finding::error(
            "consumers",
            format!("{name} is not as it should be: {difference}"),
            "delete it (`nats consumer rm`) and start an orchestrator anew, which makes it again",
        )),
        Some(_) => None,
    }
}

fn numbers(shards: &[u32]) -> String {
    shards.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use mesh_bus::Share;
    use serde_json::json;

    use super::*;

    #[test]
    fn events_that_come_again_while_the_log_is_full_want_for_room() {
        let told = |used| {
            let fill = Fill { what: "MESH_EVENTS".to_owned(), share: Share { used, limit: Some(1_000) } };
            again(7, &[1, 2], Some(&fill)).finding
        };
        assert_eq!(told(899), "7 events were given out more than once, of shard 1, 2, and not settled since");
        assert!(told(990).contains("MESH_EVENTS is 99 % full: what follows from them may have no room"));
    }

    #[test]
    fn what_is_wrong_with_an_orchestrator_is_told_once() {
        let report = json!({
            "unarchived": {"runs": 2, "error": "no"},
            "problems": ["shard 3 cannot be followed: why", "the log is nearly full: new requests wait", "2 ended runs cannot be archived: no", "x"],
        });
        let told = complaints(&Instance { id: "o".to_owned(), version: "1".to_owned(), report });
        let told: Vec<_> = told.into_iter().map(|finding| finding.finding).collect();
        assert_eq!(told, ["o says: shard 3 cannot be followed: why", "o says: x"]);
    }

    #[test]
    fn what_an_orchestrator_cannot_tidy_up_is_told() {
        let told = |report| {
            untidy(&Instance { id: "o".to_owned(), version: "1".to_owned(), report })
                .into_iter()
                .map(|finding| finding.finding)
                .collect::<Vec<_>>()
        };
        assert!(told(json!({})).is_empty());
        let report =
            json!({"unarchived": {"runs": 2, "error": "no"}, "unforgotten": {"runs": 1, "error": "never"}});
        assert_eq!(told(report), ["o cannot archive 2 runs: no", "o cannot forget 1 run: never"]);
    }
}
