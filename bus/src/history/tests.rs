use mesh_schemas::{RequestId, Shards};

use super::*;
use crate::memory::MemoryServer;

fn run() -> RunId {
    let request = RequestId { source: "test".to_owned(), id: "1".to_owned() };
    RunId::for_request("workflow.w", &request, Shards::default())
}

fn stored(sequence: u64, subject: &str, body: String) -> StoredMessage {
    let subject = format!("mesh.{subject}.{}", run());
    let message = Message { subject, headers: Headers::new(), payload: body.into() };
    let time = chrono::DateTime::from_timestamp(i64::try_from(sequence).expect("small"), 0);
    StoredMessage { message, sequence, time: time.expect("a time") }
}

fn main() -> Subject {
    Subject::History { workflow: None, outcome: WorkflowVerb::Completed, run: run() }
}

/// A history of which nothing is known but where it stands.
fn begun() -> History {
    History { subject: Some(main()), ..History::default() }
}

fn refer(all: &[(Stream, StoredMessage)]) -> Vec<(Stream, &StoredMessage)> {
    all.iter().map(|(stream, stored)| (*stream, stored)).collect()
}

/// The messages as they come back from the stream, after so many that are there.
fn kept(messages: Vec<Message>, after: u64) -> Vec<StoredMessage> {
    let place = |(place, message)| StoredMessage {
        message,
        sequence: after + place as u64 + 1,
        time: chrono::DateTime::UNIX_EPOCH,
    };
    messages.into_iter().enumerate().map(place).collect()
}

#[test]
fn a_history_is_written_in_parts_whoever_goes_on_with_it() {
    let server = MemoryServer::new(Namespace::default());
    let (bus, namespace) = (server.connect(), Namespace::default());
    let large = "x".repeat(700_000);
    let all = vec![
        (Stream::Events, stored(1, "workflow.started.-.-", "{}".to_owned())),
        (Stream::Tasks, stored(1, "task.created.a.normal", large.clone())),
        (Stream::Events, stored(5, "task.completed.a.normal", large)),
        (Stream::Events, stored(9, "workflow.completed.-.-", "{}".to_owned())),
    ];
    let all = refer(&all);
    let none = History::default();
    let parts: Vec<_> = none.missing(run(), &all, PART_BYTES).collect();
    assert!(parts.len() > 1, "it is too large for one");
    let messages: Vec<Message> = parts.iter().map(|part| archive(&*bus, &main(), part)).collect();
    assert!(messages.iter().all(|message| message.payload.len() < 1_000_000));
    for count in 0..=parts.len() {
        let mut there = kept(messages[..count].to_vec(), 0);
        let begun = History::read(&namespace, &there);
        assert_eq!((begun.is_complete, begun.last), (count == parts.len(), count as u64));
        assert_eq!(begun.is_archived(), begun.is_complete);
        // Whoever goes on may be with a server that takes smaller messages only.
        let rest = begun.missing(run(), &all, PART_BYTES / 3).filter(|_| !begun.is_complete);
        let rest = rest.map(|part| archive(&*bus, &main(), &part)).collect();
        there.extend(kept(rest, count as u64));
        let whole = History::read(&namespace, &there);
        assert!(whole.is_complete);
        for stream in [Stream::Events, Stream::Tasks] {
            let expected: Vec<&StoredMessage> =
                all.iter().filter(|(of, _)| *of == stream).map(|(_, stored)| *stored).collect();
            assert_eq!(whole.of(stream).collect::<Vec<_>>(), expected);
        }
        assert!(whole.holds(Stream::Tasks, 1) && !whole.holds(Stream::Tasks, 5));
    }
}

/// What is dropped to make room for the last part may be the first.
#[test]
fn a_history_that_lost_a_part_archives_nothing() {
    let server = MemoryServer::new(Namespace::default());
    let (bus, namespace) = (server.connect(), Namespace::default());
    let all = vec![(Stream::Events, stored(1, "workflow.started.-.-", "x".repeat(PART_BYTES)))];
    let (none, all) = (History::default(), refer(&all));
    let parts = none.missing(run(), &all, PART_BYTES);
    let messages: Vec<Message> = parts.map(|part| archive(&*bus, &main(), &part)).collect();
    let there = kept(messages, 0);
    assert!(History::read(&namespace, &there).is_archived());
    let left = History::read(&namespace, &there[1..]);
    assert!(left.is_complete && !left.is_archived() && !left.is_empty());
}

/// The history of a run goes by age before what came late for it, and by then the run may have been asked for again.
#[test]
fn what_came_late_before_stands_in_for_nothing_of_a_run_that_began_again() {
    let server = MemoryServer::new(Namespace::default());
    let (bus, namespace) = (server.connect(), Namespace::default());
    let before = stored(20, "task.completed.a.normal", "before".to_owned());
    let mut messages = late(&*bus, &begun(), run(), Stream::Events, &before, PART_BYTES);
    let left = History::read(&namespace, &kept(messages.clone(), 0));
    assert!(!left.is_archived() && !left.is_empty(), "the run itself is not archived any more");
    let now = stored(30, "task.completed.a.normal", "now".to_owned());
    let all = [(Stream::Events, &now)];
    messages.extend(left.missing(run(), &all, PART_BYTES).map(|part| archive(&*bus, &main(), &part)));
    let history = History::read(&namespace, &kept(messages, 0));
    assert!(history.is_archived());
    assert_eq!(history.of(Stream::Events).collect::<Vec<_>>(), [&now]);
}

#[test]
fn what_comes_late_is_counted_once_and_replaces_nothing() {
    let server = MemoryServer::new(Namespace::default());
    let (bus, namespace) = (server.connect(), Namespace::default());
    let first = stored(1, "task.completed.a.normal", "first".to_owned());
    let (none, all) = (History::default(), [(Stream::Events, &first)]);
    let parts = none.missing(run(), &all, PART_BYTES);
    let mut messages: Vec<Message> = parts.map(|part| archive(&*bus, &main(), &part)).collect();
    let again = stored(20, "task.completed.a.normal", "again".to_owned());
    let other = stored(21, "task.failed.a.normal", "x".repeat(600_000));
    for event in [&again, &other, &other] {
        messages.extend(late(&*bus, &begun(), run(), Stream::Events, event, PART_BYTES));
    }
    let history = History::read(&namespace, &kept(messages, 0));
    assert_eq!(history.of(Stream::Events).collect::<Vec<_>>(), [&first, &other]);
    assert_eq!(history.late(), 1);
    assert!(history.knows(Stream::Events, &again.message.subject) && !history.holds(Stream::Events, 20));
}

/// A history of five events in several parts, and one that came late.
fn linked() -> Vec<StoredMessage> {
    let server = MemoryServer::new(Namespace::default());
    let bus = server.connect();
    let event = |number| stored(number, &format!("task.completed.a{number}.normal"), "x".repeat(100));
    let end = stored(5, "workflow.completed.-.-", "{}".to_owned());
    let all: Vec<(Stream, StoredMessage)> =
        (1..=4).map(event).chain([end]).map(|event| (Stream::Events, event)).collect();
    let all = refer(&all);
    let none = History::default();
    let parts = none.missing(run(), &all, 1_000).map(|part| archive(&*bus, &main(), &part));
    let messages = kept(parts.collect(), 0);
    assert!(messages.len() > 1, "it is in parts");
    let history = History::read(&Namespace::default(), &messages);
    let event = stored(20, "task.failed.a.normal", "late".to_owned());
    let late = late(&*bus, &history, run(), Stream::Events, &event, PART_BYTES);
    let count = messages.len() as u64;
    messages.into_iter().chain(kept(late, count)).collect()
}

/// The history with its pieces changed, in one part.
fn with(change: impl FnOnce(&mut Vec<Archived>)) -> Vec<String> {
    let (namespace, mut messages) = (Namespace::default(), linked());
    let late = messages.pop().expect("one that came late");
    let all = messages.iter().filter_map(|stored| part(&namespace, stored));
    let mut events: Vec<Archived> = all.flat_map(|(_, data)| data.events).collect();
    change(&mut events);
    let server = MemoryServer::new(Namespace::default());
    let data = payload::History { run: run(), part: 1, complete: true, events };
    let mut changed = kept(vec![archive(&*server.connect(), &main(), &data)], 0);
    changed.push(late);
    audit(&namespace, &run(), &changed).faults.iter().map(ToString::to_string).collect()
}

#[test]
fn a_history_as_it_was_archived_has_no_faults() {
    let found = audit(&Namespace::default(), &run(), &linked());
    assert_eq!((found.pieces, found.late, found.faults), (5, 1, vec![]));
    assert!(found.head.starts_with("sha256:"));
    assert_eq!(with(|_| ()), Vec::<String>::new(), "in how many parts it is does not matter");
}

#[test]
fn whatever_was_changed_left_out_or_moved_is_named() {
    let name = |number: u64| {
        let run = run();
        format!(
            "mesh.task.completed.a{number}.normal.{run} (events #{number}, number {number} of the history)"
        )
    };
    let changed = with(|events| events[2].body = Some("y".to_owned()));
    assert_eq!(changed, [format!("{}, or the one before it, was changed", name(3))]);
    let first = with(|events| events[0].time += chrono::TimeDelta::seconds(1));
    assert_eq!(first, [format!("{} was changed", name(1))]);
    let missing = with(|events| drop(events.drain(1..3)));
    let between = format!("between {} and {}", name(1), name(4));
    assert_eq!(missing, [format!("numbers 2 to 3 of the history are missing, {between}")]);
    let moved = with(|events| events.swap(1, 2));
    assert_eq!(moved, [format!("{} stands behind what it belongs before", name(2))]);
    let renumbered = with(|events| {
        events.swap(1, 2);
        (events[1].number, events[2].number) = (2, 3);
    });
    assert_eq!(renumbered.len(), 3, "{renumbered:?}");
    let doubled = with(|events| {
        let other = Archived { body: Some("z".to_owned()), ..events[3].clone() };
        events.push(other);
    });
    assert_eq!(doubled, [format!("{} stands there twice, in two ways", name(4))]);
    let end = with(|events| drop(events.pop()));
    assert!(end.contains(&"the end of the history is missing".to_owned()), "{end:?}");
    let mut cut = linked();
    cut.remove(1);
    let cut = audit(&Namespace::default(), &run(), &cut).faults;
    assert!(matches!(cut[..], [Fault::Missing { .. }]), "{cut:?}");
}

#[test]
fn what_came_late_for_a_run_before_it_began_again_is_no_fault() {
    let server = MemoryServer::new(Namespace::default());
    let event = stored(2, "task.failed.a.normal", "before".to_owned());
    let before = late(&*server.connect(), &begun(), run(), Stream::Events, &event, PART_BYTES);
    let mut messages = kept(before, 0);
    messages.extend(linked());
    assert_eq!(audit(&Namespace::default(), &run(), &messages).faults, vec![]);
}
