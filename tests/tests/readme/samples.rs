//! The sample workflows: what the README of each says is done word by word, and leads to the outputs that it has.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

use crate::follow;
use crate::shell::Shell;

/// Tried by tests of its own, and by `make demo`.
const ONBOARDING: &str = "merchant-onboarding";
const SAMPLES: [&str; 5] =
    ["api-to-database", "code-review", "customer-feedback", "data-pipeline", "trading-decision"];

#[tokio::test]
async fn code_review() -> Result<()> {
    sample("code-review").await
}

#[tokio::test]
async fn data_pipeline() -> Result<()> {
    sample("data-pipeline").await
}

#[tokio::test]
async fn trading_decision() -> Result<()> {
    sample("trading-decision").await
}

#[tokio::test]
async fn customer_feedback() -> Result<()> {
    sample("customer-feedback").await
}

#[tokio::test]
async fn api_to_database() -> Result<()> {
    sample("api-to-database").await
}

#[test]
fn every_sample_is_tried() -> Result<()> {
    let entries = std::fs::read_dir(examples())?.collect::<Result<Vec<_>, _>>()?;
    let there: BTreeSet<_> = entries.iter().map(std::fs::DirEntry::file_name).collect();
    let tried: BTreeSet<_> = SAMPLES.into_iter().chain([ONBOARDING]).map(Into::into).collect();
    assert_eq!(there, tried);
    Ok(())
}

async fn sample(name: &str) -> Result<()> {
    let folder = examples().join(name);
    let text = std::fs::read_to_string(folder.join("README.md"))?;
    ensure!(text.contains("\nmesh workflow test workflow.yaml cases.yaml\n"), "its cases are not tried");
    ensure!(text.contains("diff expected"), "what comes of its input is not compared");
    follow(&text, Shell::beginning_with(&folder)?).await?;
    Ok(())
}

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../agents/examples")
}
