//! Which crate may use what, and that the core is pure. The architecture section of the README promises it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

/// What each crate of the workspace may use of the others.
const MAY_USE: &[(&str, &[&str])] = &[
    ("mesh-schemas", &[]),
    ("mesh-core", &["mesh-schemas"]),
    ("mesh-bus", &["mesh-schemas"]),
    ("mesh-telemetry", &["mesh-schemas"]),
    ("mesh-orchestrator", &["mesh-bus", "mesh-core", "mesh-schemas", "mesh-telemetry"]),
    ("mesh-agents", &["mesh-bus", "mesh-schemas", "mesh-telemetry"]),
    (
        "mesh-cli",
        &["mesh-agents", "mesh-bus", "mesh-core", "mesh-orchestrator", "mesh-schemas", "mesh-telemetry"],
    ),
    ("merchant-onboarding", &["mesh-agents"]),
];

/// Libraries that one crate uses on behalf of all others.
const ONLY_IN: &[(&str, &str)] = &[
    ("async-nats", "mesh-bus"),
    ("cel", "mesh-core"),
    ("clap", "mesh-cli"),
    ("opentelemetry_sdk", "mesh-telemetry"),
    ("opentelemetry-otlp", "mesh-telemetry"),
    ("serde-saphyr", "mesh-schemas"),
];

/// What would bring time, chance, the environment or the network into the core.
const IMPURE: &[&str] = &[
    "async-nats",
    "fastrand",
    "getrandom",
    "hyper",
    "mio",
    "nats",
    "oorandom",
    "rand",
    "rand_core",
    "reqwest",
    "socket2",
    "time",
    "tokio",
    "wasm-bindgen",
    "web-time",
];

/// Features of pure libraries that read a clock or make randomness.
const IMPURE_FEATURES: &[(&str, &[&str])] = &[
    ("chrono", &["clock", "now", "wasmbind"]),
    ("uuid", &["v1", "v4", "v6", "v7", "rng", "rng-rand", "fast-rng"]),
];

/// Words that have no place in the sources of pure crates.
const IMPURE_WORDS: &[&str] = &[
    "HashMap",
    "HashSet",
    "Instant::now",
    "SystemTime",
    "Utc::now",
    "Uuid::new_v4",
    "env::",
    "std::fs",
    "std::net",
];

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

fn cargo(arguments: &[&str]) -> Result<String> {
    let output = Command::new(env!("CARGO"))
        .current_dir(root())
        .args(arguments)
        .args(["--offline", "--locked"])
        .output()
        .context("run cargo")?;
    ensure!(output.status.success(), "cargo {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

/// Crates of the workspace with the names of what they use outside their tests.
fn workspace() -> Result<BTreeMap<String, BTreeSet<String>>> {
    let metadata: Value = serde_json::from_str(&cargo(&["metadata", "--no-deps", "--format-version", "1"])?)?;
    let packages = metadata["packages"].as_array().context("cargo metadata lists packages")?;
    let name = |value: &Value| value["name"].as_str().unwrap_or_default().to_owned();
    Ok(packages
        .iter()
        .map(|package| {
            let dependencies = package["dependencies"].as_array().into_iter().flatten();
            let used = dependencies.filter(|dependency| dependency["kind"].is_null()).map(name).collect();
            (name(package), used)
        })
        .collect())
}

#[test]
fn crates_use_each_other_as_the_architecture_says() -> Result<()> {
    let mut workspace = workspace()?;
    for tests in ["mesh-tests", "mesh-simulation"] {
        ensure!(workspace.remove(tests).is_some(), "there is no {tests} any more: forget it here");
    }
    for (name, uses) in &workspace {
        let (_, allowed) = MAY_USE
            .iter()
            .find(|(known, _)| known == name)
            .with_context(|| format!("say what {name} may use"))?;
        for used in uses.iter().filter(|used| used.starts_with("mesh-")) {
            ensure!(allowed.contains(&used.as_str()), "{name} must not use {used}");
        }
        for (library, only) in ONLY_IN {
            ensure!(name == only || !uses.contains(*library), "{name} uses {library}, which is for {only}");
        }
    }
    Ok(())
}

#[test]
fn the_core_reaches_nothing_impure() -> Result<()> {
    let tree = cargo(&["tree", "-p", "mesh-core", "-e", "normal", "--prefix", "none", "-f", "{p} {f}"])?;
    ensure!(tree.contains("mesh-schemas"), "the tree is that of mesh-core: {tree}");
    for line in tree.lines() {
        let mut words = line.split_whitespace();
        let name = words.next().unwrap_or_default();
        ensure!(!IMPURE.contains(&name), "mesh-core reaches {name}");
        let features: BTreeSet<&str> = words.last().unwrap_or_default().split(',').collect();
        for (_, forbidden) in IMPURE_FEATURES.iter().filter(|(library, _)| *library == name) {
            let found = forbidden.iter().find(|feature| features.contains(**feature));
            ensure!(found.is_none(), "mesh-core reaches {name} with its feature {found:?}");
        }
    }
    Ok(())
}

#[test]
fn pure_sources_name_nothing_impure() -> Result<()> {
    let mut read = 0;
    for folder in ["orchestrator/core/src", "schemas/src"] {
        let mut folders = vec![root().join(folder)];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder)? {
                let path = entry?.path();
                let is_test = path.file_name().is_some_and(|name| name == "tests.rs" || name == "tests");
                if is_test {
                    continue;
                }
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|ending| ending == "rs") {
                    let text = std::fs::read_to_string(&path)?;
                    let code = text.split("#[cfg(test)]").next().unwrap_or_default();
                    let found = IMPURE_WORDS.iter().find(|word| code.contains(**word));
                    ensure!(found.is_none(), "{} names {found:?}", path.display());
                    read += 1;
                }
            }
        }
    }
    ensure!(read > 20, "only {read} sources were read");
    Ok(())
}
