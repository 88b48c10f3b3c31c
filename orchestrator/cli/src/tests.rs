use std::time::Duration;

use clap::{CommandFactory as _, Parser as _};

use crate::cli::Cli;
use crate::commands;
use crate::config;

#[test]
fn the_command_line_is_sound() {
    Cli::command().debug_assert();
}

/// The README of the folder has what is generated from the types, word by word.
#[test]
fn the_readme_has_every_setting() {
    let readme = include_str!("../README.md");
    let mut command = Cli::command();
    command.build();
    let reference = config::reference(&command);
    assert!(readme.contains(&reference), "orchestrator/cli/README.md must contain this table:\n{reference}");
}

/// The page about the contract has every rule that an agent can be tried by, word by word.
#[test]
fn the_contract_has_every_rule() {
    let page = include_str!("../../../schemas/README.md");
    let reference = commands::agent::check::reference();
    assert!(page.contains(&reference), "schemas/README.md must contain this table:\n{reference}");
}

/// Who waits for a command does not wait for a collector; a service has its time to tell the last of what it did.
#[test]
fn only_services_wait_for_a_collector_at_their_end() {
    let patience = |words: &[&str]| Cli::try_parse_from(words).unwrap().patience();
    assert_eq!(patience(&["mesh", "runs", "list"]), Duration::from_millis(500));
    assert_eq!(patience(&["mesh", "up"]), mesh_telemetry::SHUTDOWN_TIMEOUT);
    assert_eq!(patience(&["mesh", "orchestrator"]), mesh_telemetry::SHUTDOWN_TIMEOUT);
    let agent = ["mesh", "agent", "exec", "--capability", "echo", "--", "cat"];
    assert_eq!(patience(&agent), mesh_telemetry::SHUTDOWN_TIMEOUT);
}
