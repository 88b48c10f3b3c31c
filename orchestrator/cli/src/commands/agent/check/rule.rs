//! The rules of the contract that can be tried out on an agent, as a table.

use serde::Serialize;

/// What follows when a rule is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Severity {
    /// Work is lost, done for nothing or held up: the check fails.
    Must,
    /// The mesh does without it, and people or other agents have a harder time: a warning.
    Should,
}

/// What a rule cannot be tried without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// An input that must fail.
    BadInput,
    /// An input that takes its time.
    SlowInput,
    /// The command that starts the agent, so that it can have a mesh of its own, be stopped and killed.
    Command,
}

impl Need {
    /// What to add to the command line.
    pub(crate) fn flag(self) -> &'static str {
        match self {
            Self::BadInput => "--bad-input",
            Self::SlowInput => "--slow-input",
            Self::Command => "-- COMMAND",
        }
    }
}

/// All that is said of a rule.
pub(crate) struct Facts {
    /// Stable, for people and programs.
    pub(crate) name: &'static str,
    pub(crate) severity: Severity,
    pub(crate) needs: &'static [Need],
    /// What an agent does that keeps it.
    pub(crate) says: &'static str,
    /// What to change in an agent that breaks it.
    pub(crate) mend: &'static str,
}

use Need::{BadInput, Command, SlowInput};
use Severity::{Must, Should};

macro_rules! rules {
    ($($rule:ident $name:literal $severity:ident [$($need:ident),*] $says:literal, $mend:literal;)*) => {
        /// A rule, in the order in which they are reported.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub(crate) enum Rule { $($rule,)* }

        impl Rule {
            /// Every rule.
            pub(crate) const ALL: &[Self] = &[$(Self::$rule,)*];

            /// All that is said of it.
            pub(crate) fn facts(self) -> Facts {
                match self {
                    $(Self::$rule => Facts {
                        name: $name,
                        severity: $severity,
                        needs: &[$($need),*],
                        says: $says,
                        mend: $mend,
                    },)*
                }
            }
        }
    };
}

rules! {
    TakesWork "takes-work" Must []
        "A task on `mesh.task.created.{capability}.…` gets an outcome.",
        "Connect to MESH_NATS_URL, bind the durable consumer `agent-{capability}-normal` of the stream MESH_TASKS (in the namespace MESH_NAMESPACE), and pull from it with `$JS.API.CONSUMER.MSG.NEXT`.";
    Completes "completes" Must []
        "Work that is done ends with `task.completed`.",
        "Publish the result on the subject that the task came on, with `.created.` replaced by `.completed.`; if the agent is right to fail, give another --input.";
    OutcomeReadable "outcome-readable" Must []
        "An outcome is a CloudEvent or bare JSON, and its data has the form of its schema.",
        "Publish `{\"output\": …}` or `{\"error\": {\"code\", \"message\", \"retryable\"}}` as JSON: bare, or as `data` of a CloudEvent with the header `content-type: application/cloudevents+json`.";
    OutcomeIdentity "outcome-identity" Must []
        "An outcome that is a CloudEvent has its subject as `id`, and the first words of it as `type`.",
        "Set `id` to the subject that the outcome is published on, and `type` to `task.completed` or `task.failed`.";
    OutcomeLinked "outcome-linked" Should []
        "An outcome that is a CloudEvent names what it belongs to: `correlationid`, `causationid`, `traceparent`.",
        "Copy `correlationid`, `traceparent` and `tracestate` of the task's CloudEvent, set `causationid` to its `id`, and send the header `traceparent` on.";
    Acks "acks" Must []
        "A task whose outcome is stored is acknowledged at once.",
        "Publish `+ACK` to the task's reply subject (`ack()` in client libraries) as soon as the outcome is stored.";
    AcksAfterOutcome "acks-after-outcome" Must []
        "A task is acknowledged only when its outcome is stored; one that could not be stored is stored later.",
        "Publish the outcome with JetStream and wait for the server's PubAck before `+ACK`; without one, publish again or give the task back with `-NAK`.";
    IgnoresUnknown "ignores-unknown" Must [Command]
        "Members, attributes and headers of a task that the agent does not know are ignored.",
        "Read only the members of `data` that you need, and do not refuse others: the contract grows by adding them.";
    LargeInput "large-input" Should [Command]
        "A task whose input is kept elsewhere, as it is where that is large, is done with it.",
        "If the event has `dataref` (`nats-object:<bucket>/<object>#/input`), read the object from the object store of that name; its content is the `input` that `data` lacks.";
    StoredAlready "stored-already" Must [Command]
        "An outcome that the server refuses because there is one is as good as stored: the task is acknowledged.",
        "Take the errors 10071 and 10077, and a PubAck with `duplicate`, for success, and acknowledge with `+ACK`; publish no other outcome.";
    OwnError "own-error" Must [BadInput]
        "Work that cannot be done ends with `task.failed`, which says what is wrong, and is acknowledged.",
        "Catch the error and publish `{\"error\": {\"code\": …, \"message\": …, \"retryable\": …}}` on the task's subject with `.created.` replaced by `.failed.`, then `+ACK`.";
    NewerSchema "newer-schema" Should [Command]
        "A task whose `dataschema` has a newer major version is given back to agents that know it.",
        "If `dataschema` is `urn:mesh:schema:task.created:N` with N above 1, answer `-NAK {\"delay\": 30000000000}`.";
    GarbageSettled "garbage-settled" Must [Command]
        "A task that cannot be read fails or becomes a dead letter, and is acknowledged: it does not come for ever.",
        "Catch the error of reading the message, publish `task.failed` with the code `malformed_task` (or the message on `mesh.dead.tasks.malformed`), then `+ACK`.";
    GarbageSurvived "garbage-survived" Must [Command]
        "After tasks that cannot be read the next one is done, by the same process.",
        "Let no error in the reading of a message leave the loop that pulls from `agent-{capability}-normal`.";
    RedeliveredDone "redelivered-done" Must [Command]
        "A task that comes again without an outcome is done.",
        "Treat a delivery with a count above 1 like any other: do it, publish the outcome, `+ACK`.";
    RedeliveredKnown "redelivered-known" Must [Command]
        "A task that comes again although its outcome is stored is acknowledged, and gets no second outcome.",
        "Publish with the header `Nats-Expected-Last-Subject-Sequence: 0`, take 10071 for success, and publish no outcome of the other kind; then `+ACK`.";
    LooksFirst "looks-first" Should [Command]
        "A task that comes again is looked up before it is done again.",
        "If the delivery count is above 1, or `basis` over 30 s old, ask `$JS.API.DIRECT.GET.MESH_EVENTS` for the last message on the subjects of `completed` and `failed`; if there is one, only `+ACK`.";
    Poison "poison" Should [Command]
        "A task that five deliveries did not bring to an outcome fails with `poison` and is not tried again.",
        "If the delivery count is above 5 (and `mesh.task.released.…` does not say that it was given back), publish `task.failed` with the code `poison` and `retryable: false` without doing the task, then `+ACK`.";
    InProgress "in-progress" Must [SlowInput]
        "A task that takes long is marked as in progress at least every 30 s, the `ack_wait` of the consumer.",
        "Publish `+WPI` to the task's reply subject (`in_progress()` in client libraries) every 10 s while it is worked on.";
    HoldsOnlyWork "holds-only-work" Should [SlowInput]
        "The agent takes no more tasks than it works on at once.",
        "Pull with a `batch` of at most the number of tasks that can begin at once, and pull again when one has ended.";
    Deadline "deadline" Must [SlowInput, Command]
        "A task that takes longer than its `timeout_ms` fails with `timeout`, a few seconds later at most.",
        "Stop the work `timeout_ms` after its beginning and publish `task.failed` with the code `timeout` and `retryable: true`.";
    CancelHeard "cancel-heard" Should [SlowInput]
        "Work that nobody waits for any more is stopped.",
        "Subscribe to `mesh.task.cancelled.{capability}.>` (core NATS) and stop the work whose subject it names, `created` replaced.";
    CancelSurvived "cancel-survived" Must [SlowInput]
        "The late outcome of a cancelled task upsets nothing: it is acknowledged, and the next task is done.",
        "Take the error 10071 to a late outcome for success, acknowledge with `+ACK`, and go on.";
    StopEnds "stop-ends" Must [Command]
        "After SIGTERM the agent ends within 30 s with exit code 0.",
        "Handle SIGTERM: stop pulling, finish or give back (`-NAK`) what was taken, flush the connection, exit with 0; in a script, start the agent with `exec`.";
    StopHandsBack "stop-hands-back" Must [SlowInput, Command]
        "What was taken before SIGTERM is finished or given back.",
        "On SIGTERM wait for running tasks, and answer `-NAK` for those that do not end in time, before the connection is closed.";
    StopTakesNothing "stop-takes-nothing" Must [SlowInput, Command]
        "After SIGTERM no new work is begun.",
        "On SIGTERM unsubscribe the inbox of the open pull request (`$JS.API.CONSUMER.MSG.NEXT`), or let none wait longer than a second, and answer `-NAK` to what still comes.";
    KilledAtWork "killed-at-work" Must [SlowInput, Command]
        "A task whose agent is killed with SIGKILL is done by the next one.",
        "Acknowledge (`+ACK`) only after the outcome is stored, and keep nothing of a task in the process alone.";
    WaitsForConsumer "waits-for-consumer" Should [Command]
        "An agent that starts before its consumer exists waits for it.",
        "On the error 10014 (consumer not found) of `$JS.API.CONSUMER.INFO` try again, or wait for `$JS.EVENT.ADVISORY.CONSUMER.CREATED.MESH_TASKS.agent-{capability}-normal`.";
    Reconnects "reconnects" Must [Command]
        "When the server is gone for a while, the agent connects again and goes on.",
        "Let the NATS client reconnect for ever (`max_reconnect_attempts=-1` and the like), and pull again after an error of `$JS.API.CONSUMER.MSG.NEXT`.";
    Registered "registered" Should []
        "The agent is in the registry, for `mesh agents` and for people who look for it.",
        "Put `{\"agent\", \"type\", \"capabilities\", \"capacity\", \"version\"}` into the bucket MESH_AGENTS (`$KV.MESH_AGENTS.<agent id>`) every 5 s, with the header `Nats-TTL: 15s`.";
    Service "service" Should []
        "The agent answers `$SRV.PING` as a NATS service does.",
        "Announce the agent with the `micro` (service) part of the NATS client, under the `type` that it has in the registry.";
}

impl Rule {
    /// The rule of that name.
    pub(crate) fn named(name: &str) -> Result<Self, String> {
        let found = Self::ALL.iter().find(|rule| rule.facts().name == name);
        found.copied().ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(|rule| rule.facts().name).collect();
            format!("there is no such rule; there are {}", names.join(", "))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unlike_and_found() {
        for rule in Rule::ALL {
            assert_eq!(Rule::named(rule.facts().name), Ok(*rule));
        }
        assert!(Rule::named("nothing").is_err());
    }

    #[test]
    fn every_rule_says_what_to_change() {
        for rule in Rule::ALL {
            let facts = rule.facts();
            assert!(facts.says.ends_with('.') && facts.mend.ends_with('.'), "{}", facts.name);
        }
    }
}
