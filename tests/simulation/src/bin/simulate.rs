//! Plays scenarios through, seed after seed, and shows a small one that fails if there is any.
//!
//! `simulate [--seeds N] [--from SEED] [--seconds N] [--sabotage NAME] [--threads N]`

use std::process::ExitCode;
use std::time::Duration;

use mesh_simulation::{Campaign, Failure, Report};

/// Seeds that are played if nothing is said.
const SEEDS: u64 = 10_000;
const USAGE: &str = "usage: simulate [--seeds N] [--from SEED] [--seconds N] [--sabotage NAME] [--threads N]";

fn main() -> ExitCode {
    if std::env::args().skip(1).any(|word| word == "--help" || word == "-h") {
        println!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    let campaign = match campaign() {
        Ok(campaign) => campaign,
        Err(error) => {
            eprintln!("{error}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let Report { seeds, figures, took, failure } = campaign.run();
    let took = took.as_secs_f64();
    #[allow(clippy::cast_precision_loss, reason = "a rate for people")]
    let rate = seeds as f64 / took;
    println!(
        "{seeds} seeds in {took:.1} s, {rate:.0} a second: {} events, {} executions, {} crashes, {} freezes, {} steps, {:.1} \
         days for those who were in it",
        figures.events,
        figures.executions,
        figures.crashes,
        figures.freezes,
        figures.steps,
        figures.took.as_secs_f64() / 86_400.0,
    );
    match failure {
        None => ExitCode::SUCCESS,
        Some(failure) => {
            tell(failure);
            ExitCode::FAILURE
        }
    }
}

fn tell(failure: Failure) {
    let seed = failure.scenario.workload.seed;
    println!("seed {seed} fails: {}\n", failure.violation.0);
    println!("looking for a smaller scenario that fails");
    let small = failure.scenario.shrink();
    println!("{small}");
    match small.run() {
        Err(violation) => println!("{}", violation.0),
        Ok(_) => {
            println!("it went well the last time: the simulation does not repeat itself, which is a defect")
        }
    }
    let sabotage = small.sabotage.map(|sabotage| format!(" --sabotage {sabotage}")).unwrap_or_default();
    println!("\n--from {seed} --seeds 1{sabotage} plays it again");
}

fn campaign() -> Result<Campaign, String> {
    let mut campaign = Campaign::new(0, u64::MAX);
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let value = words.next().ok_or_else(|| format!("{word} needs a value"))?;
        let number =
            || value.parse::<u64>().map_err(|_| format!("{word} needs a number, and {value:?} is none"));
        // None at all would be a campaign that nothing can fail.
        let positive = || match number()? {
            0 => Err(format!("{word} needs a number from 1")),
            number => Ok(number),
        };
        match word.as_str() {
            "--seeds" => campaign.seeds = positive()?,
            "--from" => campaign.from = number()?,
            "--seconds" => campaign.time = Some(Duration::from_secs(positive()?)),
            "--threads" => campaign.threads = usize::try_from(positive()?).unwrap_or(usize::MAX),
            "--sabotage" => campaign.sabotage = Some(value.parse()?),
            _ => return Err(format!("{word} is not known")),
        }
    }
    if campaign.seeds == u64::MAX && campaign.time.is_none() {
        campaign.seeds = SEEDS;
    }
    Ok(campaign)
}
