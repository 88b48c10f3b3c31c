//! The five minutes of the README, done word by word in an empty folder.

mod blocks;
mod promises;
mod shell;

use anyhow::{Context as _, Result, ensure};

use crate::blocks::{Block, blocks};
use crate::shell::Shell;

const README: &str = include_str!("../../../README.md");

#[tokio::test]
async fn the_five_minutes() -> Result<()> {
    let guide = section(README, "## Five minutes").context("the README has its guide")?;
    let mut shell = Shell::new()?;
    let mut said = String::new();
    let mut outputs = 0;
    for block in blocks(guide)? {
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
    ensure!(outputs == 2, "{outputs} outputs were compared");
    Ok(())
}

/// The part of a text from a heading to the next of its level.
fn section<'a>(text: &'a str, heading: &str) -> Option<&'a str> {
    let begin = text.find(heading)?;
    let rest = &text[begin..];
    let end = rest[heading.len()..].find("\n## ").map_or(rest.len(), |end| end + heading.len());
    Some(&rest[..end])
}
