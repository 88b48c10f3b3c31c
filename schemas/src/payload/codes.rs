//! The short codes in events, each list in one place: the constants, what a program may iterate over, and the table in
//! `schemas/errors.md` are made from it.

/// A module of codes: a constant each, and `ALL` with what each means.
macro_rules! codes {
    ($(#[$doc:meta])* $module:ident { $($name:ident $code:literal $means:literal)* }) => {
        $(#[$doc])*
        pub mod $module {
            $(#[doc = $means] pub const $name: &str = $code;)*

            /// Every code with what it means.
            pub const ALL: &[(&str, &str)] = &[$(($name, $means),)*];
        }
    };
}

codes! {
    /// Codes that the mesh itself gives to the errors of tasks and runs; agents add their own.
    code {
        TIMEOUT "timeout" "The handler did not end within the task's timeout, or the run not before its deadline."
        PANIC "panic" "The handler panicked."
        INVALID_INPUT "invalid_input" "The input does not have the form that the handler takes."
        INVALID_OUTPUT "invalid_output" "What the handler made is not JSON, or an output does not follow its `output_schema`."
        MALFORMED_TASK "malformed_task" "An agent cannot read the task."
        POISON "poison" "The work was delivered as often as is allowed and no agent reported an outcome."
        MALFORMED_OUTCOME "malformed_outcome" "An outcome was published that cannot be read."
        PAYLOAD_TOO_LARGE "payload_too_large" "A result is larger than an event may be."
        LOST_INPUT "lost_input" "The input, which the event refers to, is missing or damaged."
        LOST_OUTPUT "lost_output" "The result, which the outcome refers to, is missing or damaged."
        EXPRESSION "expression" "An expression of the definition could not be evaluated."
        MISSING_SECRET "missing_secret" "The agent has no secret of a name that the task's input refers to."
        ERROR "error" "The handler returned an error that names no code."
        RUN_ENDED "run_ended" "The run ended while the task was still open."
        OVERTAKEN "overtaken" "What the task belongs to was over while the task was still open."
        QUORUM_MISSED "quorum_missed" "Too few of the tasks that a join waits for went well."
        TOO_MANY_ITEMS "too_many_items" "A loop has more items than its `max_items`."
        TOO_MANY_FAILURES "too_many_failures" "More items of a loop failed than it tolerates."
        REPEAT_EXHAUSTED "repeat_exhausted" "The condition to end a loop did not hold after its last iteration."
        INVALID_PLAN "invalid_plan" "The agent was to plan, and what it returned is no plan that can be followed."
        NOTHING_TO_MERGE "nothing_to_merge" "None of the tasks went well whose outputs were to be merged."
        CHILD_CANCELLED "child_cancelled" "The run that the task started was cancelled."
        CANCELLED "cancelled" "A task that a handler called for was cancelled."
        PROGRAM_UNAVAILABLE "program_unavailable" "The program of `mesh agent exec` could not be started."
        OUTPUT_TOO_LARGE "output_too_large" "A program or service wrote more than its agent takes."
        HTTP_UNREACHABLE "http_unreachable" "The service of `mesh agent http` could not be reached."
        HTTP_BROKEN "http_broken" "The service of `mesh agent http` did not answer in full."
    }
}

codes! {
    /// Why a request starts no run: the `code` of `request.rejected`.
    rejection {
        UNKNOWN_WORKFLOW "unknown_workflow" "No workflow of that name is registered."
        UNKNOWN_VERSION "unknown_version" "The workflow has no such version: no definition with that digest was applied."
        UNKNOWN_RUN "unknown_run" "The run that is to be done again is not known, or not any more."
        INVALID_RERUN "invalid_rerun" "The run cannot be done again in this way: it has not ended, it is one of another workflow, or nothing of it is left to do."
        UNKNOWN_TASK "unknown_task" "The request names a task that the workflow does not have."
        UNUSABLE_WORKFLOW "unusable_workflow" "The workflow's definition is missing, or written for a newer mesh."
        INVALID_CAPABILITY "invalid_capability" "The capability cannot be requested."
        INVALID_INPUT "invalid_input" "The input does not fit the workflow's schema, or is nested too deeply."
        INVALID_CONFIG "invalid_config" "What the request puts in place of the workflow's `config` does not fit it."
        MALFORMED "malformed" "The request cannot be read, or is too large to start a run."
        TOO_MANY_LEVELS "too_many_levels" "The run would stand in more than 16 others, one within the other."
        LOST_INPUT "lost_input" "The input that the request refers to is missing or damaged."
        RUN_ID_TAKEN "run_id_taken" "Somebody published something else where the run was to begin."
    }
}

macro_rules! reasons {
    ($($variant:ident $code:literal $means:literal)*) => {
        /// Why a message was put aside.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Reason {
            $(#[doc = $means] $variant,)*
        }

        impl Reason {
            /// Every reason.
            pub const ALL: [Self; [$($code),*].len()] = [$(Self::$variant),*];

            /// The token in the letter's subject, and its extension `reason`.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $code,)* }
            }

            /// What it means, for people.
            #[must_use]
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $means,)* }
            }
        }
    };
}

reasons! {
    Malformed "malformed" "It cannot be read: no JSON, no valid CloudEvent, or a subject of no known form."
    UnknownType "unknown_type" "It is of a type, or of a version of one, that is not known."
    UnknownRun "unknown_run" "It belongs to a run that does not exist."
    UnknownTask "unknown_task" "It belongs to a task or an attempt that its run does not have."
    TooLarge "too_large" "What it leads to is larger than the server takes."
    Newer "newer" "It was written for a newer mesh than any that took it, or its workflow's definition is missing."
    Poison "poison" "It was delivered as often as is allowed, and nobody who took it reported an outcome."
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_subject_tokens_and_each_is_there_once() {
        let listed = [code::ALL, rejection::ALL].map(|all| all.iter().map(|(code, _)| *code).collect());
        let reasons: Vec<&str> = Reason::ALL.map(Reason::as_str).to_vec();
        for mut codes in listed.into_iter().chain([reasons]) {
            assert!(
                codes.iter().all(|code| code.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')),
                "{codes:?}"
            );
            let number = codes.len();
            codes.sort_unstable();
            codes.dedup();
            assert_eq!(codes.len(), number);
        }
    }
}
