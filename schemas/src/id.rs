//! Ids of runs, requests, attempts and definitions.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::name::{NameError, number};

/// UUID namespace of run ids: the UUIDv5 of `mesh.run` in the DNS namespace of RFC 9562.
const RUN_NAMESPACE: Uuid = Uuid::from_u128(0xdcfa_da5d_6656_5896_b4cc_56f3_bbf2_f4c8);

/// How a run id looks, for the schema.
const RUN_PATTERN: &str = r"^(0|[1-9][0-9]?)\.[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$";

/// Number of shards of a namespace, fixed when the namespace is created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shards(NonZeroU32);

impl Shards {
    /// The most shards that a namespace may have; each costs a consumer and six subjects of the log.
    pub const MAX: u32 = 64;

    /// Takes a number of shards from 1 to [`Shards::MAX`].
    #[must_use]
    pub fn new(count: u32) -> Option<Self> {
        NonZeroU32::new(count).filter(|count| count.get() <= Self::MAX).map(Self)
    }

    /// How many there are.
    #[must_use]
    pub fn count(self) -> u32 {
        self.0.get()
    }

    /// Every shard, from 0.
    pub fn iter(self) -> impl Iterator<Item = u32> {
        0..self.count()
    }
}

impl Default for Shards {
    fn default() -> Self {
        Self(const { NonZeroU32::new(8).expect("8 is not zero") })
    }
}

/// What makes a request the same request: who sent it, and the sender's id for it (`source` and `id` of
/// CloudEvents).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct RequestId {
    /// The sender, as a URI reference.
    pub source: String,
    /// The sender's id of the request.
    pub id: String,
}

/// One run of a workflow: `<shard>.<uuid>`, an opaque string that is also two tokens of its subjects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", extend("pattern" = RUN_PATTERN))]
pub struct RunId {
    shard: u32,
    uuid: Uuid,
}

impl RunId {
    /// The run that a request names. The same request always names the same run.
    ///
    /// `target` is what is asked for: `workflow.<name>` or `task.<capability>`. The uuid is the UUIDv5 of
    /// `<target>\n<source>\n<id>`, and the shard is the uuid, as a number, modulo the number of shards.
    #[must_use]
    pub fn for_request(target: &str, request: &RequestId, shards: Shards) -> Self {
        let name = format!("{target}\n{}\n{}", request.source, request.id);
        let uuid = Uuid::new_v5(&RUN_NAMESPACE, name.as_bytes());
        let shard = u32::try_from(uuid.as_u128() % u128::from(shards.count())).unwrap_or_default();
        Self { shard, uuid }
    }

    /// The run of these two subject tokens.
    ///
    /// # Errors
    /// [`NameError`] if the shard is not a number below [`Shards::MAX`] or the uuid is not a lower-case hyphenated
    /// UUID.
    pub fn from_tokens(shard: &str, uuid: &str) -> Result<Self, NameError> {
        // Only the form that we write is accepted: two spellings of one run would be two sets of subjects.
        let shard_number = number(shard).filter(|shard| *shard < Shards::MAX);
        match (shard_number, canonical_uuid(uuid)) {
            (Some(shard), Some(uuid)) => Ok(Self { shard, uuid }),
            _ => Err(NameError {
                what: "run id",
                text: format!("{shard}.{uuid}"),
                rule: "use '<shard>.<uuid>' as the mesh wrote it",
            }),
        }
    }

    /// The shard whose orchestrator follows the run.
    #[must_use]
    pub fn shard(&self) -> u32 {
        self.shard
    }

    /// The uuid without the shard.
    #[must_use]
    pub fn uuid(&self) -> Uuid {
        self.uuid
    }

    /// Id of the run's trace, if the request for the run belongs to none: the uuid, so that who knows the run finds the
    /// trace. 32 hexadecimal digits, the last 14 of them random (W3C Trace Context, level 2).
    #[must_use]
    pub fn trace_id(&self) -> String {
        self.uuid.simple().to_string()
    }
}

/// Reads a UUID in its lower-case hyphenated form only.
pub(crate) fn canonical_uuid(text: &str) -> Option<Uuid> {
    let canonical = text.len() == 36 && !text.bytes().any(|b| b.is_ascii_uppercase());
    if canonical { Uuid::try_parse(text).ok() } else { None }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.shard, self.uuid)
    }
}

impl FromStr for RunId {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let (shard, uuid) = text.split_once('.').unwrap_or((text, ""));
        Self::from_tokens(shard, uuid)
    }
}

impl TryFrom<String> for RunId {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<RunId> for String {
    fn from(run: RunId) -> Self {
        run.to_string()
    }
}

/// Which try of a task: 1 for the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Attempt(NonZeroU32);

impl Attempt {
    /// The first try.
    pub const FIRST: Self = Self(NonZeroU32::MIN);

    /// The number, from 1.
    #[must_use]
    pub fn get(self) -> u32 {
        self.0.get()
    }

    /// The try after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The try before this one, if it is not the first.
    #[must_use]
    pub fn before(self) -> Option<Self> {
        NonZeroU32::new(self.0.get() - 1).map(Self)
    }
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Attempt {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        number(text).map(Self).ok_or_else(|| NameError {
            what: "attempt",
            text: text.to_owned(),
            rule: "use a number from 1",
        })
    }
}

/// The content digest of a definition: `sha256:` and 64 hexadecimal digits of its canonical JSON.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
// The conversions would hide the pattern from the schema.
#[schemars(!try_from, !into)]
pub struct Digest(#[schemars(regex(pattern = r"^sha256:[0-9a-f]{64}$"))] String);

impl Digest {
    const PREFIX: &str = "sha256:";

    /// The digest of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        use fmt::Write as _;
        let mut text = String::with_capacity(Self::PREFIX.len() + 64);
        text.push_str(Self::PREFIX);
        for byte in Sha256::digest(bytes) {
            let _ = write!(text, "{byte:02x}");
        }
        Self(text)
    }

    /// The digest with these 64 lower-case hexadecimal digits.
    ///
    /// # Errors
    /// [`NameError`] if they are none.
    pub fn from_hex(hex: &str) -> Result<Self, NameError> {
        format!("{}{hex}", Self::PREFIX).try_into()
    }

    /// The digest as text, with its prefix.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The 64 hexadecimal digits.
    #[must_use]
    pub fn hex(&self) -> &str {
        &self.0[Self::PREFIX.len()..]
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for Digest {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        text.to_owned().try_into()
    }
}

impl TryFrom<String> for Digest {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        let hex = text.strip_prefix(Self::PREFIX).unwrap_or_default();
        if hex.len() == 64 && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            Ok(Self(text))
        } else {
            Err(NameError {
                what: "digest",
                text,
                rule: "use 'sha256:' and 64 lower-case hexadecimal digits",
            })
        }
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.0
    }
}

#[cfg(test)]
mod tests;
