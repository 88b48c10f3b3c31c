use std::time::Duration;

/// A moment by a clock that also runs while the machine sleeps or the process is stopped, so that a process can
/// tell that it was away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct BootInstant(Duration);

impl BootInstant {
    /// Now.
    #[cfg(target_os = "linux")]
    #[must_use]
    pub fn now() -> Self {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        let secs = u64::try_from(now.tv_sec).unwrap_or_default();
        let nanos = u32::try_from(now.tv_nsec).unwrap_or_default();
        Self(Duration::new(secs, nanos))
    }

    /// Now. On systems other than Linux the standard monotonic clock is the nearest there is.
    #[cfg(not(target_os = "linux"))]
    #[must_use]
    pub fn now() -> Self {
        static START: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
        Self(START.get_or_init(std::time::Instant::now).elapsed())
    }

    /// The moment this long after the clock began.
    #[must_use]
    pub const fn at(since_it_began: Duration) -> Self {
        Self(since_it_began)
    }

    /// Time from an earlier moment to this one; none if that was later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}
