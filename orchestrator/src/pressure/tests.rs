use mesh_bus::Share;
use mesh_bus::memory::MemoryServer;
use mesh_schemas::Namespace;

use super::*;

/// Whoever looks, and what it sees.
struct Watcher {
    bus: Arc<dyn Bus>,
    gauge: Gauge,
    pressure: Pressure,
}

impl Watcher {
    fn new() -> Self {
        let bus: Arc<dyn Bus> = MemoryServer::new(Namespace::default()).connect();
        let (gauge, pressure) = Pressure::new();
        Self { bus, gauge, pressure }
    }

    /// Looks so many seconds after the last look.
    async fn looks(&mut self, after: u64, percent: u64) -> &Self {
        tokio::time::advance(Duration::from_secs(after)).await;
        let share = Share { used: percent, limit: Some(100) };
        self.gauge.tell(self.bus.moment(), Some(&Fill { what: "the log".to_owned(), share }));
        self
    }

    fn reckons_with_it(&self) -> bool {
        self.pressure.may_have_filled(self.bus.moment())
    }

    fn forgets_at_once(&self) -> bool {
        *self.pressure.needs_room.borrow()
    }
}

#[tokio::test(start_paused = true)]
async fn runs_are_forgotten_at_once_where_the_log_is_nearly_full_for_a_while() {
    let mut watcher = Watcher::new();
    for (after, percent, forgets) in [
        (0, 95, false),
        (4, 95, false),
        (3, 95, false),
        (2, 95, true),
        (2, 80, true),
        (2, 70, false),
        (2, 95, false),
    ] {
        let forgot = watcher.looks(after, percent).await.forgets_at_once();
        assert_eq!(forgot, forgets, "{percent} % {after} s later");
    }
}

/// Others may have seen room meanwhile.
#[tokio::test(start_paused = true)]
async fn who_cannot_look_forgets_nothing_at_once_and_begins_anew_to_wait() {
    let mut watcher = Watcher::new();
    watcher.looks(0, 95).await;
    assert!(watcher.looks(9, 95).await.forgets_at_once());
    watcher.gauge.cannot_tell();
    assert!(!watcher.forgets_at_once());
    assert!(!watcher.looks(60, 95).await.forgets_at_once());
    assert!(watcher.looks(9, 95).await.forgets_at_once());
}

#[tokio::test(start_paused = true)]
async fn who_has_seen_the_log_fill_up_or_has_not_looked_lately_reckons_with_it() {
    let mut watcher = Watcher::new();
    assert!(watcher.reckons_with_it(), "nobody has looked");
    assert!(!watcher.looks(0, 74).await.reckons_with_it());
    tokio::time::advance(STALE + Duration::from_millis(1)).await;
    assert!(watcher.reckons_with_it(), "the last look is too old");
    assert!(watcher.looks(0, 76).await.reckons_with_it());
    for _ in 0..LATELY.as_secs() / 2 - 1 {
        assert!(watcher.looks(2, 10).await.reckons_with_it(), "it did lately");
    }
    assert!(!watcher.looks(2, 10).await.reckons_with_it());
}

#[test]
fn by_the_time_that_one_forgets_at_once_all_others_have_looked() {
    assert!(PERIOD + LOOK < STALE && STALE < HASTE && HASTE < LATELY);
}
