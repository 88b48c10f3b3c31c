use mesh_bus::topology::Stream;
use mesh_bus::{Health, StreamHealth, StreamState};
use mesh_schemas::{Namespace, Subject};

use super::facts::Facts;
use super::finding::Finding;
use super::server::fill;
use crate::loss::Disk;
use crate::words::{bytes, count};

pub(super) fn findings(namespace: &Namespace, health: &Health) -> Vec<Finding> {
    let mut findings: Vec<Finding> =
        health.streams.iter().flat_map(|health| stream(namespace, health)).collect();
    let copies = health.streams.iter().filter_map(|stream| stream.found.as_ref()).map(|found| found.copies);
    if let (Some(least), Some(most)) = (copies.clone().min(), copies.max())
        && least != most
    {
        findings.push(Finding::warning(
            "streams",
            format!(
                "some have {}, others {most}",
                if least == 1 { "one copy".to_owned() } else { format!("{least} copies") }
            ),
            format!("`mesh orchestrator --replicas {most}` gives all of them {most}"),
        ));
    }
    findings
}

fn stream(namespace: &Namespace, StreamHealth { name, found }: &StreamHealth) -> Vec<Finding> {
    let Some(found) = found else {
        let advice = "start an orchestrator, or start it anew: it makes what is missing";
        return vec![Finding::error("streams", format!("{name} is missing"), advice)];
    };
    let mut findings = Vec::new();
    if let Some(difference) = &found.difference {
        findings.push(Finding::error(
            "streams",
            format!("{name} is not as it should be: {difference}"),
            "set it right with `nats stream edit`; or use another namespace",
        ));
    }
    if !found.behind.is_empty() {
        findings.push(Finding::warning(
            "streams",
            format!("copies of {name} are away or behind: {}", found.behind.join(", ")),
            "see to these servers: until they are back, fewer of the others may be lost",
        ));
    }
    let which = Stream::ALL.into_iter().find(|stream| stream.name(namespace) == *name);
    findings.extend(fill(which, name, &found.bytes));
    if findings.is_empty() {
        findings.push(Finding::ok("streams", format!("{name}: {}", size(found))));
    }
    findings
}

fn size(found: &StreamState) -> String {
    let limit = found.bytes.limit.map(|limit| format!(" of {}", bytes(limit))).unwrap_or_default();
    format!("{}, {}{limit}", count(found.messages, "message"), bytes(found.bytes.used))
}

/// Events that came after their runs were archived.
pub(super) fn late(health: &Health) -> Option<Finding> {
    (health.late_runs > 0).then(|| {
        Finding::info(
            "late events",
            format!("some came for {} after they were archived", count(health.late_runs, "run")),
            "they are kept in the runs' histories (`mesh runs show`, `mesh events --run`); if they are many, agents work on \
             what nobody waits for: a longer --grace lets their outcomes come in time",
        )
    })
}

pub(super) fn dead_letters(namespace: &Namespace, facts: &Facts) -> Option<Finding> {
    let Some(newest) = &facts.letter else {
        return Some(Finding::ok("dead letters", "none"));
    };
    let name = Stream::Dead.name(namespace);
    let stream = facts.health.streams.iter().find(|stream| stream.name == name)?;
    let reason = match Subject::parse(namespace, &newest.message.subject) {
        Ok(Subject::Dead { reason, .. }) => reason.to_string(),
        _ => "of no known reason".to_owned(),
    };
    let number = stream.found.as_ref()?.messages;
    let time = newest.time.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
    Some(Finding::warning(
        "dead letters",
        format!("{} that nobody could deal with, the newest {reason}, of {time}", count(number, "message")),
        "`mesh dead list` shows them; `mesh dead redrive` and `mesh dead drop` deal with them",
    ))
}

/// What a failure can cost, at worst.
pub(super) fn loss(health: &Health) -> Finding {
    let copies = health.streams.iter().filter_map(|stream| stream.found.as_ref()).map(|found| found.copies);
    let copies = copies.min().unwrap_or(1);
    // A client cannot see it, so it is as true as what was written down.
    let disk = if health.synced { Disk::Always } else { Disk::Unseen };
    let said = if health.synced { " (as --durable wrote it down; a client cannot see it)" } else { "" };
    let finding = format!("{}{said}", crate::loss::loss(copies, &disk));
    if copies >= 3 {
        return Finding::ok("loss", finding);
    }
    let disk = if health.synced { "" } else { "`--durable` has each write forced onto the disk; " };
    let copies = match health.server.cluster {
        Some(_) => "three copies survive the loss of a disk: `mesh orchestrator --replicas 3`",
        None => {
            "the loss of a disk is survived by three copies, which need servers that form a cluster: there, `mesh \
             orchestrator --replicas 3`; to try, `mesh up --cluster`"
        }
    };
    Finding::info("loss", finding, format!("{disk}{copies}"))
}

#[cfg(test)]
mod tests {
    use mesh_bus::{Server, Share, Usage};

    use super::*;
    use crate::commands::doctor::finding::Level;

    fn health(copies: &[usize], synced: bool) -> Health {
        let found = |copies: &usize| {
            let bytes = Share { used: 1, limit: None };
            Some(StreamState { messages: 1, bytes, copies: *copies, behind: Vec::new(), difference: None })
        };
        let streams = copies.iter().map(|copies| StreamHealth { name: "S".to_owned(), found: found(copies) });
        let server = Server { name: String::new(), version: String::new(), cluster: None, max_payload: 0 };
        let (usage, consumers) = (Usage::default(), Vec::new());
        Health {
            server,
            usage,
            clock: None,
            shards: None,
            synced,
            streams: streams.collect(),
            consumers,
            late_runs: 0,
        }
    }

    #[test]
    fn the_loss_is_that_of_the_stream_with_the_fewest_copies() {
        let said = |copies: &[usize], synced| loss(&health(copies, synced));
        assert_eq!((said(&[1], false).level, said(&[3, 1], false).level), (Level::Info, Level::Info));
        assert!(said(&[3, 1], true).finding.starts_with("one copy"));
        assert!(said(&[3, 5], false).finding.starts_with("3 copies of everything: 1 server may be lost"));
        assert_eq!((said(&[3], true).level, said(&[1], true).level), (Level::Ok, Level::Info));
        for copies in [1, 3] {
            assert!(
                said(&[copies], true)
                    .finding
                    .contains("loses nothing, as each write is forced onto the disk")
            );
            assert!(said(&[copies], false).finding.contains("may lose the last two minutes"));
        }
    }

    #[test]
    fn streams_that_differ_in_copies_are_told() {
        let levels = |copies: &[usize]| -> Vec<Level> {
            findings(&Namespace::default(), &health(copies, false))
                .into_iter()
                .map(|finding| finding.level)
                .collect()
        };
        assert_eq!(levels(&[3, 3]), [Level::Ok, Level::Ok]);
        assert_eq!(levels(&[1, 3]), [Level::Ok, Level::Ok, Level::Warning]);
    }
}
