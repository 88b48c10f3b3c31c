use std::fmt;

macro_rules! codes {
    ($($group:literal { $($(#[$doc:meta])* $variant:ident $code:literal $title:literal $remedy:literal)* })*) => {
        /// What a person may be told that is wrong. A code never changes its meaning, and none is used again.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum ErrorCode {
            $($(#[doc = $title] $variant,)*)*
        }

        impl ErrorCode {
            /// Every code, in order.
            pub const ALL: &[Self] = &[$($(Self::$variant,)*)*];

            /// The code: `MESH-101`.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $($(Self::$variant => concat!("MESH-", $code),)*)* }
            }

            /// What it means, in a few words.
            #[must_use]
            pub fn title(self) -> &'static str {
                match self { $($(Self::$variant => $title,)*)* }
            }

            /// What to do about it.
            #[must_use]
            pub fn remedy(self) -> &'static str {
                match self { $($(Self::$variant => $remedy,)*)* }
            }

            /// What it has to do with.
            #[must_use]
            pub fn group(self) -> &'static str {
                match self { $($(Self::$variant => $group,)*)* }
            }
        }
    };
}

codes! {
    "Reaching the mesh" {
        Unreachable "101" "No NATS server can be reached."
            "Start one with `mesh up`, or say where it is: `--nats-url`, MESH_NATS_URL, or `nats_url` in the \
             configuration file. Look whether address and port are right and no firewall is between."
        BadAddress "102" "An address of a NATS server cannot be one."
            "Write `nats://HOST:PORT`, or `tls://HOST:PORT` for TLS; several with commas between."
        Denied "103" "The NATS server does not let us in."
            "Give the proof that the server wants: user and password, a token, an NKey, a credentials file, or a client \
             certificate. `mesh COMMAND --print-config` shows what is given, and where from."
        NoTls "104" "No encrypted connection could be made."
            "If the server's certificate is signed by an authority of your own, name that with `--nats-ca`. If the server \
             checks clients, give `--nats-cert` and `--nats-key`. The name in the address must be one of the certificate's."
        UnsuitableServer "105" "The NATS server is too old, has no JetStream or belongs to no cluster."
            "Use nats-server 2.14 or later with JetStream (`nats-server --jetstream`); `mesh up` brings one along. Copies \
             (`--replicas 3`) need servers that form a cluster."
        NotSetUp "106" "The namespace does not exist on this server."
            "Start an orchestrator for it: `mesh up` here, or `mesh orchestrator` for a server that runs. Look whether \
             `--namespace` is spelt as there."
        Conflict "107" "A stream, consumer or bucket exists with other settings."
            "Do what the message says, or use another namespace: two meshes on one server need one each."
        Unavailable "108" "The bus did not answer in time."
            "Try again. If it lasts, `mesh doctor` shows what is wrong with the server."
        Refused "109" "The server refuses an operation."
            "Look at the permissions of the account, its JetStream limits, and the server's log."
    }
    "Settings" {
        UnreadableConfiguration "201" "The configuration file cannot be read."
            "Name one that is there with `--config`, or remove MESH_CONFIG."
        InvalidConfiguration "202" "The configuration file has an unknown setting or an impossible value."
            "The message names line and column; `mesh COMMAND --print-config` prints a file that is right."
        Contradiction "203" "Connection settings contradict each other, or one lacks another."
            "Give one way to prove who you are, and all of it. `mesh COMMAND --print-config` shows where each setting is from."
        UnreadableSecret "204" "A file with credentials, a key or a certificate cannot be read."
            "Look whether the path is right and the file may be read by this user."
        UnusableContext "205" "A context of the `nats` command line cannot be used."
            "`nats context ls` lists those there are. Contexts that use nsc, a JWT without a credentials file, a SOCKS proxy \
             or another JetStream domain are not supported."
        InvalidName "206" "A name breaks the rule for names."
            "Names become tokens of NATS subjects: use 1 to 64 of a-z, 0-9, `_` and `-`."
        Combination "207" "Arguments do not go together."
            "Leave out the one that the message names, or use the command that it names."
    }
    "Workflow definitions" {
        UnreadableFile "301" "The file cannot be read."
            "Look whether the path is right; `-` reads stdin."
        Syntax "302" "The text is not YAML or JSON, or uses a part of YAML that is not supported."
            "The message names line and column. Indent with spaces; quote a text that contains `: `, ` #`, or a `${…}` inside \
             of braces."
        UnknownKey "303" "A key is not known."
            "See whether it is misspelt or stands a level too high or too low."
        NotSupported "304" "A key is reserved for what this version cannot do yet."
            "Leave it out, or use a version that can."
        WrongValue "305" "A value is of the wrong kind or out of its range."
            "The message says what is expected there."
        MissingKey "306" "A key is missing."
            "Add it; the message says what belongs there."
        Duplicate "307" "Something is there twice."
            "Remove or rename one of the two."
        UnknownTask "308" "A task refers to a task that does not exist."
            "The message names the nearest; `mesh workflow graph FILE` shows the tasks there are."
        Circle "309" "Tasks need each other in a circle."
            "Remove one of the needs that the message lists."
        Expression "310" "An expression cannot be compiled, or refers to what it cannot see."
            "Expressions are CEL over `input`, `tasks.<id>.output` of tasks that are needed, and `run`."
        MissingNeed "312" "An expression uses the output of a task that may not have ended."
            "Add that task to the `needs` of the task whose expression it is."
        InvalidSchema "311" "The schema of an input or output is no valid JSON Schema."
            "Write it as JSON Schema 2020-12."
    }
    "Requests and runs" {
        UnreadableInput "401" "The input is not JSON, or cannot be read."
            "Give JSON on the command line, the name of a file with JSON, or `-` for stdin."
        OversizedInput "402" "The input is too large or nested too deeply."
            "Put large data where its sender and the agents can reach it, such as a file share, a bucket or a web server, and pass \
             its address."
        UnknownRun "403" "No run, or more than one, is called so."
            "`mesh runs list` shows those there are; a longer beginning of the id tells them apart."
        NotStored "404" "A request could not be stored."
            "It is safe to send it again with the same id: it starts one run."
        UnknownObject "405" "What was asked for does not exist."
            "The message names the nearest and how to list those there are."
        NoOutcome "406" "No outcome came in time."
            "The task goes on: `mesh runs watch RUN` comes back to it, `mesh runs cancel RUN` ends it."
        NotConfirmed "407" "Nobody has agreed to it."
            "Repeat the command with `--yes`."
        LostObject "408" "Large data of a run is missing or damaged."
            "It is kept in the bucket of objects, for as long as the run is: see what removed it there (`nats object ls`). The \
             run cannot go on with it; start another."
        AlteredHistory "409" "What is archived of a run is not what was archived."
            "The message names each event that was changed, left out or moved; see who may write to or delete from the stream of \
             histories."
    }
    "Agents" {
        NoCapability "501" "An agent has no capability, or one twice."
            "Give each agent at least one capability and each capability one handler."
        NoProgram "502" "The program of an agent cannot be started, or not in this folder or with this environment."
            "Look whether it is on the PATH and may be executed; put `--` before the command."
        BadUrl "503" "The URL of an agent, a header or the authority of its service cannot be used."
            "Write `http://…` or `https://…`; choose other names for headers that the mesh sets; name a PEM file of certificates."
        NoCheckout "504" "There is no checkout of the mesh."
            "A new agent takes its library from one: name it with `--checkout`."
        UnfitAgents "505" "The agents, or the workflows, of a run without a server are not those that it needs."
            "Give `--agent CAPABILITY=COMMAND` once for each capability that the message names, and for no other; and `--local FILE` for each workflow of which runs are started."
    }
    "Starting a mesh" {
        PortTaken "601" "The port is taken."
            "Choose another with `--port`, or use the server that listens there: `mesh orchestrator --nats-url …`."
        NoServerProgram "602" "There is no usable nats-server."
            "Run `make tools` in a checkout, put nats-server 2.14 or later on the PATH, or name one with NATS_SERVER."
        DataFolder "603" "The data folder cannot be used."
            "Choose another with `--data`, or stop the `mesh up` that uses it."
        ServerEnded "604" "The NATS server ended by itself."
            "The end of its log, which is in the data folder, says why."
        NotDurable "605" "A power failure might lose what is stored, and must not."
            "Set `sync_interval: always` in the servers' configuration and say so once with `--durable=trust`, or keep three \
             copies in a cluster with `--replicas 3`; `mesh up --durable` does the former for a server of its own."
        NoEndpoint "606" "Metrics and health cannot be told at this address."
            "Choose another with `--observe`, such as 127.0.0.1:9465, or `--observe off`."
    }
    "Files that are written" {
        Unwritable "701" "A file or folder cannot be written."
            "Look whether the path is right, this user may write there and the disk has room; a new agent needs a folder that \
             is empty or not there yet."
    }
    "The mesh itself" {
        Died "901" "A part of a service died, which is a defect."
            "Nothing is lost: start the service again. Please report it with the log."
        TooOld "902" "This program is older than what it is to read."
            "Use the newest `mesh` of those that run: `mesh doctor` shows the versions of the orchestrators."
        System "903" "The operating system refuses something."
            "The message has its reason, such as a full disk, a pipe that nobody reads any more, or too many open files."
        Unexpected "904" "Something is wrong that is not foreseen."
            "The message says all that is known. Please report it, with the command."
    }
}

impl ErrorCode {
    /// The code that a text names, with or without `MESH-`.
    #[must_use]
    pub fn named(text: &str) -> Option<Self> {
        let upper = text.to_ascii_uppercase();
        let number = upper.strip_prefix("MESH-").unwrap_or(&upper);
        Self::ALL.iter().copied().find(|code| code.as_str().strip_prefix("MESH-") == Some(number))
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_found_by_name_and_each_is_there_once() {
        for code in ErrorCode::ALL {
            assert_eq!(ErrorCode::named(code.as_str()), Some(*code));
            assert_eq!(ErrorCode::named(&code.as_str()[5..]), Some(*code));
        }
        assert_eq!(ErrorCode::named("mesh-101"), Some(ErrorCode::Unreachable));
        assert_eq!(ErrorCode::named("999"), None);
    }
}
