//! Which crate may use what, and that the core is pure. The architecture section of the README promises it.

use std::collections::BTreeSet;
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

/// Crates that are nothing but tests, and may use anything.
const TESTS: &[&str] = &["mesh-tests", "mesh-simulation", "mesh-instructions"];

/// What a crate may use besides, if it is optional and only this feature, which is not a default, brings it: the test kit
/// of agents runs an orchestrator, which agents in production know nothing of.
const MAY_USE_WITH: &[(&str, &str, &str)] = &[("mesh-agents", "mesh-orchestrator", "testing")];

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

/// What cargo knows of each crate of the workspace.
fn packages() -> Result<Vec<Value>> {
    let metadata: Value = serde_json::from_str(&cargo(&["metadata", "--no-deps", "--format-version", "1"])?)?;
    metadata["packages"].as_array().cloned().context("cargo metadata lists packages")
}

fn name(value: &Value) -> &str {
    value["name"].as_str().unwrap_or_default()
}

/// What a crate uses outside its tests.
fn used(package: &Value) -> impl Iterator<Item = &Value> {
    let dependencies = package["dependencies"].as_array().into_iter().flatten();
    dependencies.filter(|dependency| dependency["kind"].is_null())
}

#[test]
fn crates_use_each_other_as_the_architecture_says() -> Result<()> {
    let mut packages = packages()?;
    for tests in TESTS {
        let place = packages.iter().position(|package| name(package) == *tests);
        packages.remove(place.with_context(|| format!("there is no {tests} any more: forget it here"))?);
    }
    for package in &packages {
        let crate_ = name(package);
        let allowed = MAY_USE.iter().find(|(known, _)| *known == crate_);
        let (_, allowed) = allowed.with_context(|| format!("say what {crate_} may use"))?;
        for dependency in used(package) {
            let used = name(dependency);
            let exception =
                MAY_USE_WITH.iter().find(|(user, library, _)| (*user, *library) == (crate_, used));
            match exception {
                Some((_, _, feature)) => ensure_only_with(package, dependency, feature)?,
                None => ensure!(
                    !used.starts_with("mesh-") || allowed.contains(&used),
                    "{crate_} must not use {used}"
                ),
            }
            let only = ONLY_IN.iter().find(|(library, only)| *library == used && *only != crate_);
            ensure!(only.is_none(), "{crate_} uses {used}, which is for another: {only:?}");
        }
    }
    Ok(())
}

/// Whether a dependency is brought by one feature alone, which is not a default.
fn ensure_only_with(package: &Value, dependency: &Value, feature: &str) -> Result<()> {
    let (crate_, used) = (name(package), name(dependency));
    ensure!(dependency["optional"] == true, "{crate_} may use {used} only with the feature {feature}");
    let features = package["features"].as_object().context("cargo metadata lists features")?;
    let brought = format!("dep:{used}");
    for (other, brings) in features.iter().filter(|(other, _)| *other != feature) {
        let brings = brings.as_array().context("a feature is a list")?;
        let found = brings.iter().find(|it| *it == brought.as_str() || *it == feature);
        ensure!(
            found.is_none(),
            "the feature {other} of {crate_} brings {found:?}, which is for {feature} alone"
        );
    }
    ensure!(
        features
            .get(feature)
            .and_then(Value::as_array)
            .is_some_and(|it| it.iter().any(|it| *it == brought.as_str())),
        "the feature {feature} of {crate_} brings {used}"
    );
    Ok(())
}

#[test]
fn what_runs_in_production_has_no_test_kit() -> Result<()> {
    for (crate_, library, feature) in MAY_USE_WITH {
        // This package is in no other.
        for package in packages()?.into_iter().filter(|package| name(package) != "mesh-tests") {
            let wanted = used(&package).find(|dependency| name(dependency) == *crate_);
            let features = wanted.and_then(|wanted| wanted["features"].as_array());
            ensure!(
                !features.into_iter().flatten().any(|it| *it == *feature),
                "{} asks for the feature {feature} of {crate_} outside its dev-dependencies",
                name(&package)
            );
        }
        for package in [crate_, "merchant-onboarding"] {
            let tree = cargo(&["tree", "-p", package, "-e", "normal", "--prefix", "none", "-f", "{p}"])?;
            ensure!(tree.contains("mesh-bus"), "the tree is that of {package}: {tree}");
            ensure!(!tree.contains(library), "{package} reaches {library}");
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
