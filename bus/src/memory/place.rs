use crate::topology::{Bucket, Stream};

/// Something that holds messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    Inbox,
    Events,
    Tasks,
    Notes,
    Dead,
    History,
    Workflows,
    Agents,
    Objects,
}

impl Place {
    pub(super) const ALL: [Self; 9] = [
        Self::Inbox,
        Self::Events,
        Self::Tasks,
        Self::Notes,
        Self::Dead,
        Self::History,
        Self::Workflows,
        Self::Agents,
        Self::Objects,
    ];

    /// What happens to a message whose subject holds one already.
    pub(super) fn keeps(self) -> Keeps {
        match self {
            Self::Events | Self::Tasks | Self::Objects => Keeps::First,
            Self::Inbox | Self::Notes | Self::Dead | Self::History => Keeps::All,
            Self::Workflows | Self::Agents => Keeps::Last,
        }
    }

    /// Whether messages may have a time after which they are gone.
    pub(super) fn allows_ttl(self) -> bool {
        matches!(self, Self::Inbox | Self::Agents)
    }
}

/// How many messages a subject holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keeps {
    /// One, which nothing replaces.
    First,
    /// One, which the next replaces.
    Last,
    /// Any number.
    All,
}

impl From<Stream> for Place {
    fn from(stream: Stream) -> Self {
        match stream {
            Stream::Inbox => Self::Inbox,
            Stream::Events => Self::Events,
            Stream::Tasks => Self::Tasks,
            Stream::Notes => Self::Notes,
            Stream::Dead => Self::Dead,
            Stream::History => Self::History,
        }
    }
}

impl From<Bucket> for Place {
    fn from(bucket: Bucket) -> Self {
        match bucket {
            Bucket::Workflows => Self::Workflows,
            Bucket::Agents => Self::Agents,
        }
    }
}
