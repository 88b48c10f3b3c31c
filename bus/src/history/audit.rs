//! Whether what is archived of a run is as it was archived.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use mesh_schemas::payload::{Archived, Chain};
use mesh_schemas::{Namespace, RunId, StoredMessage, Subject};

use super::{is_end, part};

/// What an audit of the history of a run has found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audit {
    /// How many pieces there are in the chain.
    pub pieces: u64,
    /// How many came after the run was archived.
    pub late: u64,
    /// The last link. Whoever has noted it elsewhere when the run was archived can tell a history that was written anew, with all
    /// its links, from the one that was.
    pub head: String,
    /// What is wrong, in the order of the history.
    pub faults: Vec<Fault>,
}

/// Something wrong with a history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// A piece, of this event, is not what it was when it was linked to the one before it, or that one is not.
    Changed(Place),
    /// A piece stands behind one that it belongs before.
    Moved(Place),
    /// A piece stands there twice, in two ways.
    Doubled(Place),
    /// Pieces are missing.
    Missing {
        /// The number of the first of them.
        first: u64,
        /// The number of the last of them.
        last: u64,
        /// What stands before them; none if they were the first.
        after: Option<Place>,
        /// What stands behind them.
        before: Place,
    },
    /// The last part is not there, or the end of the run, so that nobody can tell what is missing.
    Cut,
}

/// Where a piece of a history stood before it was archived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Its place in the history, from 1; 0 for what came later.
    pub number: u64,
    /// The subject of the event or the work.
    pub subject: String,
    /// The stream.
    pub stream: String,
    /// Its sequence in the stream.
    pub sequence: u64,
}

/// Follows the chain of what is archived of a run, by the messages in the stream of histories, in order.
#[must_use]
pub fn audit(namespace: &Namespace, run: &RunId, messages: &[StoredMessage]) -> Audit {
    let (mut main, mut late, mut is_complete) = (Vec::new(), Vec::new(), false);
    for (subject, data) in messages.iter().filter_map(|stored| part(namespace, stored)) {
        match subject {
            // It came for a run whose history is gone, before the run began again.
            Subject::LateHistory { .. } if main.is_empty() => {}
            Subject::LateHistory { .. } => late.extend(data.events),
            _ => {
                is_complete |= data.complete;
                main.extend(data.events);
            }
        }
    }
    is_complete &= main.iter().any(|piece| is_end_of_run(namespace, piece));
    let mut faults = Vec::new();
    let mut links: BTreeMap<u64, &Archived> = BTreeMap::new();
    let mut highest = 0;
    for piece in &main {
        match links.get(&piece.number) {
            Some(other) if *other == piece => continue,
            Some(_) => faults.push(Fault::Doubled(place(piece))),
            None if piece.number < highest => faults.push(Fault::Moved(place(piece))),
            None => {}
        }
        highest = piece.number.max(highest);
        links.entry(piece.number).or_insert(piece);
    }
    let mut chain = Some(Chain::of(run));
    let mut expected = 1;
    for (&number, piece) in &links {
        if number > expected {
            let after = links.get(&(expected - 1)).map(|piece| place(piece));
            let (first, last, before) = (expected, number - 1, place(piece));
            faults.push(Fault::Missing { first, last, after, before });
            chain = None;
        }
        if !fits(chain.as_ref(), piece) {
            faults.push(Fault::Changed(place(piece)));
        }
        expected = number + 1;
        let head = piece.link.as_ref().map(ToString::to_string).unwrap_or_default();
        chain = Some(Chain { length: number, head });
    }
    if !is_complete {
        faults.push(Fault::Cut);
    }
    let end = chain.unwrap_or_else(|| Chain::of(run));
    let mut seen = BTreeSet::new();
    for piece in &late {
        if !fits(Some(&end), piece) {
            faults.push(Fault::Changed(place(piece)));
        }
        seen.insert((&piece.stream, piece.sequence));
    }
    Audit { pieces: end.length, late: seen.len() as u64, head: end.head, faults }
}

fn is_end_of_run(namespace: &Namespace, piece: &Archived) -> bool {
    let subject = Subject::parse(namespace, &piece.subject);
    matches!(subject, Ok(Subject::Workflow { verb, .. }) if is_end(verb))
}

/// Whether a piece is linked to the head of a chain. Where the one before it is missing, nobody can tell.
fn fits(chain: Option<&Chain>, piece: &Archived) -> bool {
    chain.is_none_or(|chain| piece.link == Some(chain.link(piece)))
}

fn place(piece: &Archived) -> Place {
    let Archived { number, subject, stream, sequence, .. } = piece.clone();
    Place { number, subject, stream, sequence }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { number, subject, stream, sequence } = self;
        write!(f, "{subject} ({stream} #{sequence}")?;
        if *number > 0 {
            write!(f, ", number {number} of the history)")
        } else {
            write!(f, ", which came late)")
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Changed(place) if place.number < 2 => write!(f, "{place} was changed"),
            Self::Changed(place) => write!(f, "{place}, or the one before it, was changed"),
            Self::Moved(place) => write!(f, "{place} stands behind what it belongs before"),
            Self::Doubled(place) => write!(f, "{place} stands there twice, in two ways"),
            Self::Missing { first, last, after, before } => {
                let which = if first == last {
                    format!("number {first} of the history is")
                } else {
                    format!("numbers {first} to {last} of the history are")
                };
                let after = after.as_ref().map_or_else(|| "the beginning".to_owned(), ToString::to_string);
                write!(f, "{which} missing, between {after} and {before}")
            }
            Self::Cut => f.write_str("the end of the history is missing"),
        }
    }
}
