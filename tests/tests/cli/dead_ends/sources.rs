//! That each dead end is one place in the sources, and that agents in Python know the same.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use mesh_bus::DeadEnd;
use mesh_bus::topology::Stream;

/// Every file below a folder with this ending.
fn files(folder: &Path, ending: &str, found: &mut Vec<PathBuf>) -> Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            files(&path, ending, found)?;
        } else if path.extension().is_some_and(|extension| extension == ending) {
            found.push(path);
        }
    }
    Ok(())
}

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

#[test]
fn each_is_one_place_in_the_sources() -> Result<()> {
    let mut sources = Vec::new();
    for folder in ["orchestrator/src", "agents/src"] {
        files(&top().join(folder), "rs", &mut sources)?;
    }
    let text = sources.iter().map(std::fs::read_to_string).collect::<Result<String, _>>()?;
    for end in DeadEnd::ALL {
        let places = text.matches(&format!("DeadEnd::{end:?}")).count();
        ensure!(places == 1, "{end:?} is in {places} places: each place needs one of its own");
    }
    Ok(())
}

#[test]
fn agents_in_python_have_those_of_agents_in_rust() -> Result<()> {
    let package = top().join("agents/python/mesh_agent");
    let text = std::fs::read_to_string(package.join("store.py"))?;
    let (_, class) = text.split_once("class DeadEnd(").context("the class")?;
    let (class, _) = class.split_once("\n\n\n").context("its end")?;
    let written: BTreeMap<&str, &str> = class
        .lines()
        .filter_map(|line| line.trim().split_once(" = (\""))
        .filter_map(|(name, rest)| Some((name, rest.split_once('"')?.0)))
        .collect();
    let ours = DeadEnd::ALL.iter().filter(|end| end.stream() == Stream::Tasks);
    let names: Vec<String> = ours.clone().map(|end| upper_snake(&format!("{end:?}"))).collect();
    let expected = names.iter().map(String::as_str).zip(ours.map(|end| end.reason().as_str())).collect();
    assert_eq!(written, expected);
    let execute = std::fs::read_to_string(package.join("execute.py"))?;
    for name in &names {
        let places = execute.matches(&format!("DeadEnd.{name},")).count();
        ensure!(places == 1, "{name} is in {places} places");
    }
    Ok(())
}

/// `TaskType` as `TASK_TYPE`.
fn upper_snake(name: &str) -> String {
    let mut snake = String::new();
    for c in name.chars() {
        if c.is_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.push(c.to_ascii_uppercase());
    }
    snake
}
