//! Plays scenarios through, seed after seed, and shows a small one that fails if there is any.
//!
//! `simulate [--seeds N] [--from SEED] [--seconds N] [--sabotage NAME] [--threads N]`

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use mesh_simulation::{Failure, Figures, Sabotage, Scenario};

/// What the command line asks for.
struct Arguments {
    from: u64,
    seeds: u64,
    time: Option<Duration>,
    sabotage: Option<Sabotage>,
    threads: usize,
}

fn main() -> std::process::ExitCode {
    let arguments = match arguments() {
        Ok(arguments) => arguments,
        Err(error) => {
            eprintln!(
                "{error}\nusage: simulate [--seeds N] [--from SEED] [--seconds N] [--sabotage NAME] [--threads N]"
            );
            return std::process::ExitCode::from(2);
        }
    };
    let begun = Instant::now();
    let (next, stop) = (AtomicU64::new(arguments.from), AtomicBool::new(false));
    let end = arguments.from.saturating_add(arguments.seeds);
    let failed: Mutex<Option<Failure>> = Mutex::new(None);
    let all = Mutex::new((0u64, Figures::default()));
    std::thread::scope(|scope| {
        for _ in 0..arguments.threads {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed)
                    && arguments.time.is_none_or(|time| begun.elapsed() < time)
                {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end {
                        break;
                    }
                    let scenario = scenario(seed, arguments.sabotage);
                    match scenario.run() {
                        Ok(figures) => add(&mut all.lock().unwrap_or_else(PoisonError::into_inner), figures),
                        Err(violation) => {
                            stop.store(true, Ordering::Relaxed);
                            let mut failed = failed.lock().unwrap_or_else(PoisonError::into_inner);
                            failed.get_or_insert(Failure { scenario, violation });
                        }
                    }
                }
            });
        }
    });
    let (count, figures) = *all.lock().unwrap_or_else(PoisonError::into_inner);
    let took = begun.elapsed().as_secs_f64();
    println!(
        "{count} seeds in {took:.1} s, {:.0} a second: {} events, {} executions, {} crashes, {} freezes, {} steps, {:.1} days",
        count as f64 / took,
        figures.events,
        figures.executions,
        figures.crashes,
        figures.freezes,
        figures.steps,
        figures.took.as_secs_f64() / 86_400.0,
    );
    match failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
        None => std::process::ExitCode::SUCCESS,
        Some(failure) => {
            tell(failure);
            std::process::ExitCode::FAILURE
        }
    }
}

fn scenario(seed: u64, sabotage: Option<Sabotage>) -> Scenario {
    let scenario = Scenario::generate(seed);
    match sabotage {
        Some(sabotage) => scenario.sabotaged(sabotage),
        None => scenario,
    }
}

fn add((count, all): &mut (u64, Figures), more: Figures) {
    *count += 1;
    all.steps += more.steps;
    all.events += more.events;
    all.executions += more.executions;
    all.crashes += more.crashes;
    all.freezes += more.freezes;
    all.took += more.took;
}

fn tell(failure: Failure) {
    let seed = failure.scenario.workload.seed;
    println!("seed {seed} fails: {}\n", failure.violation.0);
    println!("looking for a smaller scenario that fails");
    let small = failure.scenario.shrink();
    println!("{small}");
    match small.run() {
        Err(violation) => println!("{}", violation.0),
        Ok(_) => println!("it went well the last time: the simulation is not deterministic"),
    }
    println!("\n`simulate --from {seed} --seeds 1` plays it again");
}

fn arguments() -> Result<Arguments, String> {
    let threads = std::thread::available_parallelism().map_or(1, Into::into);
    let mut read = Arguments { from: 0, seeds: u64::MAX, time: None, sabotage: None, threads };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let value = words.next().ok_or_else(|| format!("{word} needs a value"))?;
        let number =
            || value.parse::<u64>().map_err(|_| format!("{word} needs a number, and {value:?} is none"));
        match word.as_str() {
            "--seeds" => read.seeds = number()?,
            "--from" => read.from = number()?,
            "--seconds" => read.time = Some(Duration::from_secs(number()?)),
            "--threads" => read.threads = number()?.max(1) as usize,
            "--sabotage" => read.sabotage = Some(value.parse()?),
            _ => return Err(format!("{word} is not known")),
        }
    }
    if read.seeds == u64::MAX && read.time.is_none() {
        read.seeds = 10_000;
    }
    Ok(read)
}
