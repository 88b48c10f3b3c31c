use mesh_bus::topology::Stream;
use mesh_bus::{ConsumerState, Fill, Health, Role};
use mesh_orchestrator::{NEARLY_FULL, OrchestratorReport, PART, ROOM};
use mesh_schemas::Namespace;

use super::facts::Facts;
use super::finding::Finding;

/// Where little room is left for the log, new requests wait: that is no fault, and has to be seen.
pub(super) fn pressure(namespace: &Namespace, facts: &Facts) -> Option<Finding> {
    let fill = facts.fill.as_ref()?;
    let waiting = consumer(&facts.health, &Role::Relay).map_or(0, unsettled);
    let finding = match tight(Some(fill)) {
        Some(fill) => wait(fill, waiting),
        None => slow(fill, waiting, facts),
    };
    Some(Finding::warning("requests", finding?, what_makes_room(namespace, fill)))
}

/// Whether requests are taken more slowly than they come, for want of room.
fn slow(Fill { what, share }: &Fill, waiting: u64, facts: &Facts) -> Option<String> {
    let mut reports = facts.orchestrators.iter().map(|one| OrchestratorReport::read(one.report.clone()));
    (waiting > 0 && reports.any(|report| report.slowing)).then(|| {
        format!(
            "{what} is {} % full, and {} for their turn: of the room that is left up to {} %, requests may take no more than one \
             part in {PART} within two seconds, as what follows from them takes many times as much",
            share.thousandths() / 10,
            if waiting == 1 { "1 request waits".to_owned() } else { format!("{waiting} requests wait") },
            NEARLY_FULL / 10
        )
    })
}

/// What bounds the log, if so little room is left that requests may wait.
pub(super) fn tight(fill: Option<&Fill>) -> Option<&Fill> {
    fill.filter(|fill| fill.share.thousandths() >= ROOM)
}

/// Whether requests wait. What orchestrators do between the two marks depends on what was before.
fn wait(Fill { what, share }: &Fill, waiting: u64) -> Option<String> {
    let (full, room) = (share.thousandths(), ROOM / 10);
    let how_full = format!("{what} is {} % full", full / 10);
    let they_wait =
        format!("new requests wait in the inbox ({waiting} do) until it is less than {room} % full");
    match (full >= NEARLY_FULL, waiting) {
        (true, _) => Some(format!("{how_full}: {they_wait}; runs that have begun go on")),
        (false, 0) => None,
        (false, _) => Some(format!("{how_full}: if it was {} % full before, {they_wait}", NEARLY_FULL / 10)),
    }
}

fn what_makes_room(namespace: &Namespace, fill: &Fill) -> String {
    let streams = [Stream::Events, Stream::Tasks].map(|stream| stream.name(namespace));
    let more = if streams.contains(&fill.what) {
        "`--log-limit` gives the log more room"
    } else {
        "give the account more room, or let histories take less of it (`--history-limit`)"
    };
    format!(
        "runs that end make room: they are archived at once, and forgotten as long as it is so full. {more}"
    )
}

fn unsettled(state: &ConsumerState) -> u64 {
    state.pending + state.in_hand
}

fn consumer<'a>(health: &'a Health, role: &Role) -> Option<&'a ConsumerState> {
    health.consumers.iter().find(|consumer| consumer.role == *role)?.found.as_ref()
}

#[cfg(test)]
mod tests {
    use mesh_bus::Share;

    use super::*;

    #[test]
    fn that_requests_wait_is_told_until_there_is_room() {
        let told = |used, waiting| {
            let fill = Fill { what: "MESH_EVENTS".to_owned(), share: Share { used, limit: Some(1_000) } };
            tight(Some(&fill)).and_then(|fill| wait(fill, waiting))
        };
        assert_eq!([told(849, 9), told(850, 0), told(899, 0)], [None, None, None]);
        let maybe = told(850, 9).expect("they may wait");
        assert!(maybe.contains("is 85 % full: if it was 90 % full before, new requests wait"), "{maybe}");
        let surely = told(900, 0).expect("they wait");
        assert!(surely.contains("is 90 % full: new requests wait in the inbox (0 do) until"), "{surely}");
    }
}
