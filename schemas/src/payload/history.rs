use std::borrow::Cow;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::{Digest, RunId};
use crate::message::{Headers, Message, StoredMessage};

/// Data of `history` and `history.late`: what happened in a run that has ended, as it stood in the streams.
///
/// All messages on the subject together are the history, and all pieces of it: each event is one by its stream and
/// sequence, however often it is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct History {
    /// The run.
    pub run: RunId,
    /// Which part of the history it is, from 1; 0 for what came later.
    pub part: u32,
    /// Whether it is the last part: from then on what it tells of may be removed from the log.
    pub complete: bool,
    /// What happened, in the order in which it was stored.
    pub events: Vec<Archived>,
}

/// An archived message, or a piece of a large one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Archived {
    /// The stream that it stood in: `events` or `tasks`.
    pub stream: String,
    /// Its sequence there.
    pub sequence: u64,
    /// When it was stored.
    pub time: DateTime<Utc>,
    /// Its subject.
    pub subject: String,
    /// Its headers in order, each a name and a value; only in the first piece.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, String)>,
    /// Its body, if that is text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// Its body in base64, if it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_base64: Option<String>,
    /// Where in a large body this piece begins, in bytes.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub offset: u64,
    /// Whether another piece follows.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub continues: bool,
    /// Its place in the history, from 1; none for what came later.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub number: u64,
    /// SHA-256 of the link before, a line feed, and this piece without this member as canonical JSON (RFC 8785). Before the first
    /// link stands the id of the run, and before what came later the last one. So no piece of a history can be changed, left out
    /// or moved without changing all behind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<Digest>,
}

/// Most bytes that the number and the link of a piece take.
const LINK_BYTES: usize = 128;

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// The chain of the pieces of a history, as far as it goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// How many pieces are in it.
    pub length: u64,
    /// What the next one is linked to: the last link or, before the first, the id of the run.
    pub head: String,
}

impl Chain {
    /// The chain of a run before the first link.
    #[must_use]
    pub fn of(run: &RunId) -> Self {
        Self { length: 0, head: run.to_string() }
    }

    /// Adds a piece.
    #[must_use]
    pub fn add(&mut self, piece: Archived) -> Archived {
        let piece = Archived { number: self.length + 1, link: None, ..piece };
        let link = self.link(&piece);
        (self.length, self.head) = (piece.number, link.to_string());
        Archived { link: Some(link), ..piece }
    }

    /// Links what came later to the chain, which does not grow by it.
    #[must_use]
    pub fn beside(&self, piece: Archived) -> Archived {
        let piece = Archived { number: 0, link: None, ..piece };
        Archived { link: Some(self.link(&piece)), ..piece }
    }

    /// The link of a piece behind the head.
    #[must_use]
    pub fn link(&self, piece: &Archived) -> Digest {
        // A map of JSON has its keys in order, and of numbers there are whole ones only.
        let mut canonical = serde_json::to_value(piece).unwrap_or_default();
        canonical.as_object_mut().into_iter().for_each(|members| drop(members.remove("link")));
        Digest::of(format!("{}\n{canonical}", self.head).as_bytes())
    }
}

impl Archived {
    /// A message as it is archived: in one piece or, if its body is longer than `longest` bytes, in several. With its quotes
    /// or in base64, each may take half as much again.
    #[must_use]
    pub fn pieces(stream: &str, stored: &StoredMessage, longest: usize) -> Vec<Self> {
        let StoredMessage { message, sequence, time } = stored;
        let whole = std::str::from_utf8(&message.payload).ok();
        let (mut pieces, mut begin) = (Vec::new(), 0);
        loop {
            let rest = message.payload.len() - begin;
            let mut end = begin + rest.min(longest);
            if let Some(text) = whole {
                end = text.floor_char_boundary(end);
            }
            let continues = end < message.payload.len();
            let headers = message.headers.iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
            let text = whole.map(|text| &text[begin..end]).filter(|text| !grows(text));
            pieces.push(Self {
                stream: stream.to_owned(),
                sequence: *sequence,
                time: *time,
                subject: message.subject.clone(),
                headers: if begin == 0 { headers.collect() } else { Vec::new() },
                body: text.map(ToOwned::to_owned),
                body_base64: text.is_none().then(|| BASE64_STANDARD.encode(&message.payload[begin..end])),
                offset: begin as u64,
                continues,
                number: 0,
                link: None,
            });
            if !continues {
                return pieces;
            }
            begin = end;
        }
    }

    /// The message of which these are the pieces, in any order, some perhaps several times, and cut in different ways; `None`
    /// if one is missing or is no base64.
    #[must_use]
    pub fn join(mut pieces: Vec<Self>) -> Option<StoredMessage> {
        pieces.sort_by_key(|piece| piece.offset);
        let mut payload: Vec<u8> = Vec::new();
        let mut is_whole = false;
        for piece in &pieces {
            let body = match (&piece.body, &piece.body_base64) {
                (Some(text), _) => Cow::Borrowed(text.as_bytes()),
                (None, Some(encoded)) => Cow::Owned(BASE64_STANDARD.decode(encoded).ok()?),
                (None, None) => Cow::Borrowed(&[][..]),
            };
            let there = payload.len().checked_sub(usize::try_from(piece.offset).ok()?)?;
            payload.extend_from_slice(body.get(there..).unwrap_or_default());
            is_whole |= !piece.continues;
        }
        if !is_whole {
            return None;
        }
        let first = pieces.into_iter().next()?;
        let mut headers = Headers::new();
        first.headers.into_iter().for_each(|(name, value)| headers.append(name, value));
        let message = Message { subject: first.subject, headers, payload: Bytes::from(payload) };
        Some(StoredMessage { message, sequence: first.sequence, time: first.time })
    }

    /// Bytes that it takes in a message, with its link.
    #[must_use]
    pub fn size(&self) -> usize {
        serde_json::to_vec(self).map_or(usize::MAX, |json| json.len() + LINK_BYTES)
    }
}

/// Whether a text is longer as a JSON string than in base64.
fn grows(text: &str) -> bool {
    let escaped: usize = text
        .bytes()
        .map(|byte| match byte {
            b'"' | b'\\' | b'\n' | b'\r' | b'\t' => 2,
            0..0x20 => 6,
            _ => 1,
        })
        .sum();
    escaped > text.len().div_ceil(3) * 4
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONGEST: usize = 1_000;

    fn stored(payload: impl Into<Bytes>) -> StoredMessage {
        let mut headers = Headers::new().with("content-type", "text/plain");
        headers.append("x", "1");
        headers.append("x", "2");
        let message = Message { subject: "mesh.a.b".to_owned(), headers, payload: payload.into() };
        StoredMessage { message, sequence: 7, time: "2026-01-02T03:04:05.123456789Z".parse().expect("time") }
    }

    #[test]
    fn a_message_is_archived_without_loss() {
        let large = "ü\"".repeat(LONGEST);
        let bodies: [Bytes; 6] = [
            Bytes::new(),
            "{\"a\": 1}".into(),
            vec![0xff, 0x00].into(),
            large.into(),
            vec![0xfe; LONGEST * 2 + 1].into(),
            "\u{1}".repeat(LONGEST + 1).into(),
        ];
        for body in bodies {
            let stored = stored(body);
            let mut pieces = Archived::pieces("events", &stored, LONGEST);
            assert!(pieces.iter().all(|piece| piece.size() < 2 * LONGEST), "{}", pieces.len());
            let written = serde_json::to_string(&pieces).expect("JSON");
            assert_eq!(serde_json::from_str::<Vec<Archived>>(&written).expect("JSON"), pieces);
            pieces.reverse();
            pieces.push(pieces[0].clone());
            assert_eq!(Archived::join(pieces.clone()).as_ref(), Some(&stored));
            if stored.message.payload.len() > LONGEST {
                let mut other = pieces.clone();
                other.retain(|piece| piece.offset > 0);
                assert_eq!(Archived::join(other.clone()), None, "its begin is missing");
                other.extend(Archived::pieces("events", &stored, LONGEST / 3));
                assert_eq!(Archived::join(other).as_ref(), Some(&stored), "it was cut in two ways");
                pieces.retain(|piece| piece.continues);
                assert_eq!(Archived::join(pieces), None, "its end is missing");
            }
        }
    }
}
