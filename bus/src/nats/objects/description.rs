use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::{URL_SAFE, URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use mesh_schemas::{Digest, ObjectName};
use serde::{Deserialize, Serialize};

use crate::topology::OBJECT_CHUNK_BYTES;

/// In the metadata: sequence of the first chunk, from which reading need not search.
const FIRST: &str = "mesh-first-chunk";

/// What is written down of an object, as ADR-20 has it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Description {
    name: String,
    bucket: String,
    /// Last part of the subject that the chunks stand on.
    pub(super) nuid: String,
    pub(super) size: u64,
    pub(super) chunks: u64,
    #[serde(default)]
    digest: String,
    #[serde(default)]
    mtime: Option<DateTime<Utc>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    metadata: Option<BTreeMap<String, String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    options: Option<Options>,
    /// Whether another client removed the object: it leaves the description in its place.
    #[serde(default, skip_serializing_if = "is_false")]
    pub(super) deleted: bool,
}

#[derive(Debug, Serialize, Deserialize)]
struct Options {
    #[serde(default)]
    max_chunk_size: u64,
}

impl Description {
    /// What is written down of content whose chunks stand on a subject, the first at a sequence.
    pub(super) fn of(
        name: &ObjectName,
        bucket: String,
        nuid: String,
        size: usize,
        chunks: usize,
        first: u64,
        now: DateTime<Utc>,
    ) -> Self {
        Self {
            name: name.to_string(),
            bucket,
            nuid,
            size: size as u64,
            chunks: chunks as u64,
            digest: format!("SHA-256={}", URL_SAFE.encode(bytes_of(name.digest()))),
            mtime: Some(now),
            metadata: Some(BTreeMap::from([(FIRST.to_owned(), first.to_string())])),
            options: Some(Options { max_chunk_size: OBJECT_CHUNK_BYTES as u64 }),
            deleted: false,
        }
    }

    /// Where to begin to look for chunks: at the first if that is written down, else at the beginning of the stream.
    pub(super) fn first(&self) -> u64 {
        let written = self.metadata.as_ref().and_then(|metadata| metadata.get(FIRST)?.parse().ok());
        written.unwrap_or(1)
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
fn is_false(value: &bool) -> bool {
    !value
}

/// The bytes that a digest writes in hexadecimal.
fn bytes_of(digest: &Digest) -> Vec<u8> {
    let hex = digest.hex();
    let pairs = (0..hex.len()).step_by(2).filter_map(|at| hex.get(at..at + 2));
    pairs.filter_map(|pair| u8::from_str_radix(pair, 16).ok()).collect()
}

/// The name of an object as the last token of its description's subject.
pub(super) fn encode(name: &str) -> String {
    URL_SAFE.encode(name)
}

/// The name of an object in the last token of its description's subject, with or without padding, if it is one of the
/// mesh.
pub(super) fn decode(token: &str) -> Option<ObjectName> {
    let name = URL_SAFE_NO_PAD.decode(token.trim_end_matches('=')).ok()?;
    String::from_utf8(name).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use mesh_schemas::ObjectOwner;

    use super::*;

    fn name() -> ObjectName {
        let run = "0.6ba7b810-9dad-11d1-80b4-00c04fd430c8".parse().expect("a run");
        ObjectName::of(ObjectOwner::Run(run), b"content")
    }

    #[test]
    fn a_description_says_what_other_clients_look_for() {
        let (now, bucket) = (Utc::now(), "MESH_OBJECTS".to_owned());
        let description = Description::of(&name(), bucket, "a.b".to_owned(), 7, 1, 42, now);
        let json = serde_json::to_value(&description).expect("JSON");
        assert_eq!(json["name"], name().to_string());
        assert_eq!((&json["nuid"], &json["bucket"]), (&"a.b".into(), &"MESH_OBJECTS".into()));
        assert_eq!((&json["size"], &json["chunks"]), (&7.into(), &1.into()));
        // sha256 of "content"
        assert_eq!(json["digest"], "SHA-256=7XACtDnprIRfIjV9giusFERzD722AW0-yUMil7nsn3M=");
        assert!(json.get("deleted").is_none());
        let read: Description = serde_json::from_value(json).expect("it is read");
        assert_eq!(read.first(), 42);
    }

    #[test]
    fn a_description_by_another_client_is_read() {
        let json = r#"{"name":"x","bucket":"b","nuid":"N","size":1,"chunks":1,"digest":"SHA-256=x","mtime":"0001-01-01T00:00:00Z"}"#;
        let read: Description = serde_json::from_str(json).expect("it is read");
        assert_eq!((read.first(), read.nuid.as_str(), read.deleted), (1, "N", false));
    }

    #[test]
    fn names_stand_in_subjects_with_or_without_padding() {
        let token = encode(&name().to_string());
        assert_eq!(decode(&token), Some(name()));
        assert_eq!(decode(token.trim_end_matches('=')), Some(name()));
        assert_eq!(decode(&encode("somebody's own")), None);
        assert_eq!(decode("!"), None);
    }
}
