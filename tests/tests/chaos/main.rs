//! A short campaign of real processes that are killed, frozen and restarted under load. `make chaos` plays longer ones.

use anyhow::{Result, ensure};
use mesh_tests::chaos::{Campaign, Servers, run};

/// Enough runs for about a minute on two cores.
const RUNS: u64 = 2_500;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_and_nothing_is_doubled() -> Result<()> {
    let campaign = Campaign { runs: RUNS, ..Campaign::usual(0) };
    let account = run(&campaign, Servers::one()?).await?;
    eprintln!("{account}");
    ensure!(account.violations.is_empty(), "seed {}:\n{}", campaign.seed, account.violations.join("\n"));
    ensure!(account.kills() > 0, "nobody was killed");
    ensure!(account.archived() > 0, "no run was archived meanwhile");
    Ok(())
}
