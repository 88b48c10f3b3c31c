//! Names of content that is kept beside the streams because it is too large for a message.

use std::fmt;
use std::str::FromStr;

use crate::id::{Digest, RunId};
use crate::name::{NameError, WorkflowName};

/// What the tokens of a definition begin with; those of a run begin with a number.
const WORKFLOW: &str = "workflow";
/// How the name of an object looks.
const RULE: &str = "use '<shard>.<uuid>.<sha256 in hex>' for what belongs to a run, or \
     'workflow.<name>.<sha256 in hex>.<sha256 in hex>' for what belongs to a definition";

/// Whose an object is: it is removed with its owner.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ObjectOwner {
    /// A run: `<shard>.<uuid>`.
    Run(RunId),
    /// A version of a workflow's definition: `workflow.<name>.<digest in hex>`.
    Definition(WorkflowName, Digest),
}

impl fmt::Display for ObjectOwner {
    /// As tokens of a subject.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Run(run) => run.fmt(f),
            Self::Definition(workflow, digest) => write!(f, "{WORKFLOW}.{workflow}.{}", digest.hex()),
        }
    }
}

impl FromStr for ObjectOwner {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let wrong = || NameError { what: "owner of an object", text: text.to_owned(), rule: RULE };
        let tokens: Vec<&str> = text.split('.').collect();
        match tokens[..] {
            [shard, uuid] => RunId::from_tokens(shard, uuid).map(Self::Run).map_err(|_| wrong()),
            [WORKFLOW, name, digest] => match (name.parse(), Digest::from_hex(digest)) {
                (Ok(name), Ok(digest)) => Ok(Self::Definition(name, digest)),
                _ => Err(wrong()),
            },
            _ => Err(wrong()),
        }
    }
}

/// The name of an object: whose it is, and what it holds. So content that is put again is one object of its owner.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectName {
    owner: ObjectOwner,
    digest: Digest,
}

impl ObjectName {
    /// The name of this content as an object of this owner.
    #[must_use]
    pub fn of(owner: ObjectOwner, content: &[u8]) -> Self {
        Self::new(owner, Digest::of(content))
    }

    /// The name of content with this digest as an object of this owner.
    #[must_use]
    pub fn new(owner: ObjectOwner, digest: Digest) -> Self {
        Self { owner, digest }
    }

    /// Whose it is.
    #[must_use]
    pub fn owner(&self) -> &ObjectOwner {
        &self.owner
    }

    /// The digest of its content.
    #[must_use]
    pub fn digest(&self) -> &Digest {
        &self.digest
    }
}

impl fmt::Display for ObjectName {
    /// `<owner>.<sha256 in hex>`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.owner, self.digest.hex())
    }
}

impl FromStr for ObjectName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let (owner, digest) = text.rsplit_once('.').unwrap_or((text, ""));
        match (owner.parse(), Digest::from_hex(digest)) {
            (Ok(owner), Ok(digest)) => Ok(Self { owner, digest }),
            _ => Err(NameError { what: "name of an object", text: text.to_owned(), rule: RULE }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUN: &str = "3.6ba7b810-9dad-11d1-80b4-00c04fd430c8";

    #[test]
    fn names_are_read_as_they_are_written() {
        let run = ObjectOwner::Run(RUN.parse().expect("a run"));
        let definition = ObjectOwner::Definition("hello".parse().expect("a name"), Digest::of(b"definition"));
        for owner in [run, definition] {
            assert_eq!(owner.to_string().parse(), Ok(owner.clone()));
            let name = ObjectName::of(owner.clone(), b"content");
            assert_eq!(name.to_string(), format!("{owner}.{}", Digest::of(b"content").hex()));
            assert_eq!(name.to_string().parse(), Ok(name.clone()));
            assert_eq!((name.owner(), name.digest()), (&owner, &Digest::of(b"content")));
        }
    }

    #[test]
    fn what_is_no_name_is_refused() {
        let hex = Digest::of(b"").hex().to_owned();
        let upper = hex.to_uppercase();
        for name in [
            String::new(),
            hex.clone(),
            RUN.to_owned(),
            format!("{RUN}.{upper}"),
            format!("{RUN}.sha256:{hex}"),
            format!("{RUN}.x.{hex}"),
            format!("99.{RUN}.{hex}"),
            format!("workflow.{hex}.{hex}"),
            format!("workflow.Hello.{hex}.{hex}"),
        ] {
            assert!(name.parse::<ObjectName>().is_err(), "{name:?}");
        }
    }
}
