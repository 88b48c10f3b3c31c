//! Each promise of the README names tests that keep it, and they are there.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

use crate::{README, section};

#[test]
fn each_promise_is_kept_by_tests_that_are_there() -> Result<()> {
    let promises = section(README, "## Guarantees").context("the README has its guarantees")?;
    let rows = promises
        .lines()
        .skip_while(|line| *line != "|---|---|")
        .skip(1)
        .take_while(|line| line.starts_with('|'));
    let mut count = 0;
    for row in rows {
        let tests: Vec<&str> =
            row.rsplit_once(" | ").context("two columns")?.1.split('`').skip(1).step_by(2).collect();
        ensure!(!tests.is_empty(), "no test keeps: {row}");
        for test in tests {
            let (target, name) =
                test.split_once(' ').with_context(|| format!("`{test}` is no target and test"))?;
            let source = source(target, name)?;
            let function = name.rsplit("::").next().unwrap_or(name);
            let text = std::fs::read_to_string(&source).with_context(|| format!("{}", source.display()))?;
            ensure!(
                text.contains(&format!("async fn {function}()")),
                "{} has no test {function}",
                source.display()
            );
        }
        count += 1;
    }
    ensure!(count >= 8, "{count} promises");
    Ok(())
}

/// The file that a test is in.
fn source(target: &str, name: &str) -> Result<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(target);
    match name.rsplit_once("::") {
        None => Ok(folder.join("main.rs")),
        Some((modules, _)) => Ok(folder.join(modules.replace("::", "/")).with_extension("rs")),
    }
}
