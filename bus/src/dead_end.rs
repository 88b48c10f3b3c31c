//! Where a message may come to an end that nobody can go on from.

use mesh_schemas::payload::Reason;

use crate::topology::Stream;

macro_rules! dead_ends {
    ($($(#[$doc:meta])* $variant:ident $stream:ident $reason:ident)*) => {
        /// Each place in the mesh where a message is given up. A letter can be written for one of these only, and
        /// tests lead a message into each.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum DeadEnd {
            $($(#[$doc])* $variant,)*
        }

        impl DeadEnd {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The stream that the message is found in.
            #[must_use]
            pub fn stream(self) -> Stream {
                match self { $(Self::$variant => Stream::$stream,)* }
            }

            /// Why it is given up, in a word.
            #[must_use]
            pub fn reason(self) -> Reason {
                match self { $(Self::$variant => Reason::$reason,)* }
            }
        }
    };
}

dead_ends! {
    /// A request or timer on a subject with a token that is no name.
    InboxSubject Inbox Malformed
    /// Something in the inbox that is no request and no timer that is due.
    InboxType Inbox UnknownType
    /// A request that cannot be read.
    UnreadableRequest Inbox Malformed
    /// A request whose run cannot begin, as its first event would be larger than the server takes.
    LargeRequest Inbox TooLarge
    /// A timer that is due and cannot be read.
    UnreadableTimer Inbox Malformed
    /// A message in the log that is no event, and changes nothing: a subject with a token that is no name, or a signal or
    /// a beginning that cannot be read.
    UnreadableEvent Events Malformed
    /// A message in the log of a type that the rules do not know.
    EventType Events UnknownType
    /// An event of a run that has not begun.
    EventOfNoRun Events UnknownRun
    /// An outcome, timer or end that cannot be read. It counts all the same, as its subject is taken for good.
    UnreadableFact Events Malformed
    /// An outcome or timer of a task or an attempt that its run does not have.
    StrayEvent Events UnknownTask
    /// An event that no orchestrator here understands, and that was left to newer ones for as long as can be.
    NewerEvent Events Newer
    /// An event of a run for which nothing can be stored that follows from it, not even that it is too large.
    LargeDecision Events TooLarge
    /// Work on a subject with a token that is no name.
    TaskSubject Tasks Malformed
    /// Something among the tasks that is no work.
    TaskType Tasks UnknownType
    /// Work that cannot be read.
    UnreadableTask Tasks Malformed
    /// Work that was lost as often as is allowed.
    PoisonTask Tasks Poison
    /// Work for which no outcome can be stored, not even that it is too large.
    LargeOutcome Tasks TooLarge
}
