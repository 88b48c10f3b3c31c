//! Plays one scenario, whose instructions callgrind counts. `check.py` runs it; `make instructions` runs that.
//!
//! `mesh-instructions` lists the scenarios and how often each is repeated; `mesh-instructions SCENARIO` plays one.
//! Only what [`measured`] does is counted. Nothing here depends on a clock, on chance or on the environment.

mod data;
mod envelope;
mod expression;
mod fold;

use std::process::ExitCode;

/// Something that is counted.
struct Scenario {
    /// What it is called, here and in the baseline.
    name: String,
    /// How often it is done; the count is that of one time.
    repetitions: usize,
    /// Does what is needed before, which is not counted.
    prepare: Box<dyn Fn() -> Work>,
}

/// One repetition. It fails if what it does is not what it is about.
type Work = Box<dyn FnMut()>;

impl Scenario {
    fn new(name: impl Into<String>, repetitions: usize, prepare: impl Fn() -> Work + 'static) -> Self {
        Self { name: name.into(), repetitions, prepare: Box::new(prepare) }
    }
}

fn main() -> ExitCode {
    let scenarios: Vec<Scenario> =
        envelope::scenarios().into_iter().chain(expression::scenarios()).chain(fold::scenarios()).collect();
    let Some(name) = std::env::args().nth(1) else {
        for scenario in &scenarios {
            println!("{} {}", scenario.name, scenario.repetitions);
        }
        return ExitCode::SUCCESS;
    };
    let Some(scenario) = scenarios.iter().find(|scenario| scenario.name == name) else {
        eprintln!("there is no scenario {name}: without an argument they are listed");
        return ExitCode::FAILURE;
    };
    let mut work = (scenario.prepare)();
    // What is made only once, such as tables of a library, is made before.
    work();
    measured(scenario.repetitions, &mut *work);
    ExitCode::SUCCESS
}

/// Callgrind counts from the begin of this function, which it knows by its name, to the end.
#[inline(never)]
fn measured(repetitions: usize, work: &mut dyn FnMut()) {
    for _ in 0..repetitions {
        work();
    }
}
