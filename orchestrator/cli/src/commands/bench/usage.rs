//! What processes take of the machine, as the system counts it.

use std::path::Path;

/// CPU time and memory of a process.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Usage {
    /// Seconds of CPU time since its beginning.
    pub(super) cpu_seconds: f64,
    /// Most bytes of memory that it had at a time.
    pub(super) peak_bytes: f64,
    /// Bytes of memory that it has.
    pub(super) bytes: f64,
}

/// Whether the system tells.
pub(super) fn is_there() -> bool {
    Path::new("/proc/self/stat").exists()
}

/// What a process took so far; `None` if it is gone, or where the system does not tell.
pub(super) fn of(pid: u32) -> Option<Usage> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    Some(Usage {
        cpu_seconds: ticks(&stat)? / ticks_per_second(),
        peak_bytes: kilobytes(&status, "VmHWM:")? * 1_024.0,
        bytes: kilobytes(&status, "VmRSS:")? * 1_024.0,
    })
}

/// What several processes took together.
pub(super) fn of_all(pids: &[u32]) -> Option<Usage> {
    pids.iter().try_fold(Usage::default(), |sum, pid| {
        let usage = of(*pid)?;
        Some(Usage {
            cpu_seconds: sum.cpu_seconds + usage.cpu_seconds,
            peak_bytes: sum.peak_bytes + usage.peak_bytes,
            bytes: sum.bytes + usage.bytes,
        })
    })
}

/// Units of CPU time in a second.
#[allow(clippy::cast_precision_loss, reason = "it is about a hundred")]
pub(super) fn ticks_per_second() -> f64 {
    rustix::param::clock_ticks_per_second() as f64
}

/// CPU time in user and system mode, from `/proc/PID/stat`: fields 14 and 15 of proc(5).
fn ticks(stat: &str) -> Option<f64> {
    // The name of the program is in parentheses and may hold anything, also parentheses.
    let behind_name = stat.rsplit_once(')')?.1;
    let mut fields = behind_name.split_whitespace().skip(11).map(|field| field.parse::<f64>().ok());
    Some(fields.next()?? + fields.next()??)
}

/// What is resident (`VmRSS:`), or was at most (`VmHWM:`), from `/proc/PID/status`.
fn kilobytes(status: &str, name: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_says_is_read() {
        let stat = "42 (a (strange) name) S 1 42 42 0 -1 4194560 9 8 7 6 250 50 3 4 20 0 1 0 5 6 7";
        assert_eq!(ticks(stat), Some(300.0));
        assert_eq!(kilobytes("Name:\tmesh\nVmHWM:\t  2048 kB\n", "VmHWM:"), Some(2048.0));
        assert_eq!((ticks("42 (mesh"), kilobytes("VmPeak: 1 kB", "VmHWM:")), (None, None));
        if is_there() {
            assert!(of(std::process::id()).is_some_and(|usage| usage.peak_bytes > 0.0));
        }
    }
}
