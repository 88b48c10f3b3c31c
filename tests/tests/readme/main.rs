//! The five minutes of the README, done word by word in an empty folder, and the samples, each as its README says.

mod blocks;
mod promises;
mod samples;
mod shell;

use anyhow::{Context as _, Result, ensure};

use crate::blocks::{Block, blocks};
use crate::shell::Shell;

const README: &str = include_str!("../../../README.md");

#[tokio::test]
async fn the_five_minutes() -> Result<()> {
    let guide = section(README, "## Five minutes").context("the README has its guide")?;
    let outputs = follow(guide, Shell::new()?).await?;
    ensure!(outputs == 2, "{outputs} outputs were compared");
    Ok(())
}

/// Does what a text says, in order, and tells how many outputs were compared.
async fn follow(text: &str, mut shell: Shell) -> Result<usize> {
    let mut said = String::new();
    let mut outputs = 0;
    for block in blocks(text)? {
        match block {
            Block::Setup => {}
            Block::File { path, text } => shell.write(path, text)?,
            Block::Background(script) => shell.start(script).await?,
            Block::Script(script) => said = shell.run(script).await?,
            Block::Output(expected) => {
                ensure!(
                    said.trim_end().ends_with(expected.trim_end()),
                    "expected\n{expected}\nbut it said\n{said}"
                );
                outputs += 1;
            }
        }
    }
    Ok(outputs)
}

/// The part of a text from a heading to the next of its level.
fn section<'a>(text: &'a str, heading: &str) -> Option<&'a str> {
    let begin = text.find(heading)?;
    let rest = &text[begin..];
    let end = rest[heading.len()..].find("\n## ").map_or(rest.len(), |end| end + heading.len());
    Some(&rest[..end])
}
