//! Agents that break rules, and that they are told exactly those.

use anyhow::{Context as _, Result, ensure};
use futures::{StreamExt as _, TryStreamExt as _, stream};

use crate::support::{Checked, agent, check};

/// Faults that are tried at the same time.
const AT_ONCE: usize = 4;

/// Tries the bare agent with a fault by some rules.
async fn with_fault(fault: &str, rules: &[&str], slow: &str, timeout: &str) -> Result<Checked> {
    let script = agent("bare.py");
    let capability = format!("has-{fault}");
    let mut arguments = vec!["-c", &*capability, "--input", r#"{"seconds": 0}"#, "--bad-input", "{}"];
    arguments.extend(rules.iter().flat_map(|rule| ["--rule", rule]));
    arguments.extend(["--slow-input", slow, "--timeout", timeout]);
    arguments.extend(["--", "python3", &script, &capability, fault]);
    check(&arguments).await
}

/// A fault, the rules by which the agent is tried, and those of them that it breaks.
type Case = (&'static str, &'static [&'static str], &'static [&'static str]);

const FORM: &[&str] = &["completes", "outcome-readable", "outcome-identity", "outcome-linked", "acks"];
const CONTENTS: &[&str] = &["ignores-unknown", "stored-already", "garbage-settled", "garbage-survived"];
const AGAIN: &[&str] = &["redelivered-done", "redelivered-known"];
const STOP: &[&str] = &["stop-ends", "stop-hands-back", "stop-takes-nothing"];
const CANCEL: &[&str] = &["deadline", "cancel-survived"];

const CASES: &[Case] = &[
    ("no-outcome", FORM, &["takes-work"]),
    ("wrong-subject", FORM, &["takes-work"]),
    ("fails", FORM, &["completes"]),
    ("no-data", FORM, &["outcome-readable"]),
    ("wrong-id", FORM, &["outcome-identity", "outcome-linked"]),
    ("no-ack", FORM, &["acks"]),
    ("strict", CONTENTS, &["ignores-unknown"]),
    ("both-outcomes", CONTENTS, &["stored-already"]),
    ("both-outcomes", AGAIN, &["redelivered-known"]),
    ("skips-repeated", AGAIN, &["redelivered-done"]),
    ("prefetches", &["holds-only-work"], &["holds-only-work"]),
    ("heeds-no-timeout", CANCEL, &["deadline"]),
    ("dies-of-cancel", CANCEL, &["cancel-survived"]),
    ("takes-after-stop", STOP, &["stop-takes-nothing"]),
    ("needs-consumer", &["waits-for-consumer", "acks-after-outcome"], &["waits-for-consumer"]),
];

#[tokio::test]
async fn agents_that_break_rules_are_told_which() -> Result<()> {
    let tried = CASES.iter().map(|(fault, rules, broken)| async move {
        let checked = with_fault(fault, rules, r#"{"seconds": 3}"#, "8s").await?;
        checked.breaks(fault, broken)
    });
    // An agent that does not mark its work is found out only when the server has lost its patience.
    let silent = async {
        let checked = with_fault("no-marks", &["in-progress"], r#"{"seconds": 31}"#, "40s").await?;
        checked.breaks("no-marks", &["in-progress"])
    };
    let faults = stream::iter(tried).buffer_unordered(AT_ONCE).try_collect::<()>();
    tokio::try_join!(faults, silent, a_hasty_agent_is_found_out(), without_a_fault_nothing_is_broken())?;
    Ok(())
}

/// The other side of every fault: without it, the same agent keeps the rules.
async fn without_a_fault_nothing_is_broken() -> Result<()> {
    let checked = with_fault("none", &[], r#"{"seconds": 3}"#, "30s").await?;
    ensure!(checked.code == 0, "{:#}", checked.report);
    let untried = checked.line("in-progress")?["found"].as_str().context("a reason")?;
    ensure!(untried.contains("was not marked") && untried.contains("more than 30 s"), "{untried}");
    Ok(())
}

async fn a_hasty_agent_is_found_out() -> Result<()> {
    let script = agent("hasty.py");
    let inputs = ["--input", r#"{"divisor": 1}"#, "--bad-input", r#"{"divisor": 0}"#];
    let slow = ["--slow-input", r#"{"divisor": 1, "seconds": 3}"#, "--timeout", "10s"];
    let command = ["--", "python3", &script, "hasty"];
    let checked = check(&[&["-c", "hasty"], &inputs[..], &slow, &command].concat()).await?;
    let fails = [
        "acks-after-outcome",
        "deadline",
        "garbage-settled",
        "garbage-survived",
        "killed-at-work",
        "own-error",
        "reconnects",
        "redelivered-known",
        "stop-ends",
        "stop-hands-back",
        "stored-already",
    ];
    let warned =
        ["cancel-heard", "large-input", "looks-first", "newer-schema", "poison", "registered", "service"];
    checked.breaks("hasty", &[&fails[..], &warned].concat())?;
    ensure!(checked.rules(&["fail"]).iter().eq(&fails), "{:#}", checked.report);
    let told = checked.line("own-error")?;
    ensure!(told["found"].as_str().is_some_and(|found| found.contains("ZeroDivisionError")), "{told}");
    ensure!(told["mend"].as_str().is_some_and(|mend| mend.contains("`.failed.`")), "{told}");
    Ok(())
}
