//! The machine that is measured on, and what else it did meanwhile.

use serde::Serialize;

use super::usage::ticks_per_second;
use crate::words::count;

/// Load of the last minute, for each processor, from which on a machine counts as busy before it is measured on.
const BUSY_LOAD: f64 = 0.5;
/// Part of the CPU time that may be stolen by other machines on the same hardware.
const MOST_STOLEN: f64 = 0.01;
/// Part of the CPU time that other processes may take, with the system's own work, which is not counted to any process.
const MOST_OF_OTHERS: f64 = 0.1;

/// What figures depend on.
#[derive(Debug, Serialize)]
pub(super) struct Machine {
    pub(super) system: String,
    pub(super) processor: String,
    pub(super) processors: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) memory_bytes: Option<u64>,
}

impl Machine {
    pub(super) fn look() -> Self {
        let told = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let field = |text: &str, name: &str| {
            let line = text.lines().find(|line| line.starts_with(name))?;
            Some(line.split_once(':')?.1.trim().to_owned())
        };
        let kernel = told("/proc/sys/kernel/osrelease");
        let memory = field(&told("/proc/meminfo"), "MemTotal");
        Self {
            system: format!("{} {}", std::env::consts::OS, kernel.trim()).trim().to_owned(),
            processor: field(&told("/proc/cpuinfo"), "model name")
                .unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
            processors: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            memory_bytes: memory
                .and_then(|memory| memory.strip_suffix("kB")?.trim().parse::<u64>().ok())
                .map(|kilobytes| kilobytes * 1_024),
        }
    }
}

/// CPU time of the whole machine since it was started, in seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Clock {
    all: f64,
    idle: f64,
    stolen: f64,
}

/// What else the machine did during a round, as parts of its CPU time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Disturbance {
    /// Of other processes, and of the system for its own purposes.
    others: f64,
    /// Of other machines on the same hardware.
    stolen: f64,
}

impl Clock {
    /// How much there was until now, where the system tells.
    pub(super) fn now() -> Option<Self> {
        Self::read(&std::fs::read_to_string("/proc/stat").ok()?)
    }

    /// The first line of `/proc/stat`, see proc(5).
    fn read(stat: &str) -> Option<Self> {
        let line = stat.lines().next()?.strip_prefix("cpu ")?;
        let fields: Vec<f64> = line.split_whitespace().map_while(|field| field.parse().ok()).collect();
        let of = |place: usize| fields.get(place).copied().unwrap_or_default() / ticks_per_second();
        // What guests take, the last two fields, is in the first ones, too.
        Some(Self { all: (0..8).map(of).sum(), idle: of(3) + of(4), stolen: of(7) })
    }

    /// What else there was since another time, beside so many seconds of what is measured.
    pub(super) fn since(self, before: Self, own: f64) -> Option<Disturbance> {
        let all = self.all - before.all;
        let stolen = self.stolen - before.stolen;
        let busy = all - (self.idle - before.idle) - stolen;
        (all > 0.0).then(|| Disturbance { others: (busy - own).max(0.0) / all, stolen: stolen / all })
    }
}

/// Load of the machine over the last minute, where the system tells.
pub(super) fn load() -> Option<f64> {
    std::fs::read_to_string("/proc/loadavg").ok()?.split_whitespace().next()?.parse().ok()
}

/// What speaks against figures: how busy the machine was before, and during the rounds.
#[allow(clippy::cast_precision_loss, reason = "a number of processors")]
pub(super) fn doubts(machine: &Machine, load: Option<f64>, rounds: &[Disturbance]) -> Vec<String> {
    let mut doubts = Vec::new();
    if let Some(load) = load.filter(|load| *load > BUSY_LOAD * machine.processors as f64) {
        doubts.push(format!(
            "the machine was busy before: a load of {load} on {}",
            count(machine.processors, "processor")
        ));
    }
    let worst = |part: fn(&Disturbance) -> f64| rounds.iter().map(part).fold(0.0, f64::max);
    let (others, stolen) = (worst(|round| round.others), worst(|round| round.stolen));
    if others > MOST_OF_OTHERS {
        doubts.push(format!(
            "other processes took up to {:.0}% of the CPU time during a round: what is measured is less than there is",
            others * 100.0
        ));
    }
    if stolen > MOST_STOLEN {
        doubts.push(format!(
            "up to {:.0}% of the CPU time of a round went to other machines on the same hardware",
            stolen * 100.0
        ));
    }
    doubts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_take_is_told_from_what_is_measured() {
        let ticks = ticks_per_second();
        let stat = |user: f64, idle: f64, stolen: f64| {
            let [user, idle, stolen] = [user, idle, stolen].map(|seconds| seconds * ticks);
            Clock::read(&format!("cpu  {user} 0 0 {idle} 0 0 0 {stolen} 0 0\ncpu0 1 2 3")).expect("a clock")
        };
        let round = stat(16.0, 3.0, 1.0).since(stat(0.0, 0.0, 0.0), 10.0).expect("a disturbance");
        assert_eq!(round, Disturbance { others: 0.3, stolen: 0.05 });
        let machine = Machine { processors: 2, ..Machine::look() };
        let doubts = |load, rounds: &[Disturbance]| doubts(&machine, Some(load), rounds);
        assert_eq!(doubts(1.5, &[round]).len(), 3);
        assert!(doubts(0.5, &[Disturbance { others: 0.05, stolen: 0.0 }]).is_empty());
    }
}
