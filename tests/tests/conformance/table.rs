//! The table in `tests/README.md`.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context as _, Result};

/// Every test as the table names it: `facts::a_fact_is_stored_once`.
fn tests(folder: &Path) -> Result<BTreeSet<String>> {
    let mut tests = BTreeSet::new();
    for file in std::fs::read_dir(folder)? {
        let path = file?.path();
        let area = path.file_stem().and_then(|stem| stem.to_str()).context("a file name")?.to_owned();
        let text = std::fs::read_to_string(&path)?;
        let Some((_, list)) = text.split_once("\non_every_bus!(") else { continue };
        let (list, _) = list.split_once(");").context("the list of tests ends")?;
        let names = list.split(',').map(str::trim).filter(|name| !name.is_empty());
        tests.extend(names.map(|name| format!("{area}::{name}")));
    }
    Ok(tests)
}

#[test]
fn the_table_of_what_is_relied_on_names_every_test() -> Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let tests = tests(&folder.join("tests/conformance"))?;
    assert!(tests.len() > 100, "the lists are found: {tests:?}");
    let readme = std::fs::read_to_string(folder.join("README.md"))?;
    let (_, table) = readme.split_once("| Relied on |").context("the table begins")?;
    let (table, _) = table.split_once("\n\n").context("the table ends")?;
    let quoted = table.split('`').skip(1).step_by(2);
    let named: BTreeSet<String> = quoted.filter(|word| word.contains("::")).map(str::to_owned).collect();
    let missing: Vec<_> = tests.difference(&named).collect();
    let gone: Vec<_> = named.difference(&tests).collect();
    assert!(
        missing.is_empty() && gone.is_empty(),
        "write into the table of tests/README.md what {missing:?} pin, and take out {gone:?}"
    );
    Ok(())
}
