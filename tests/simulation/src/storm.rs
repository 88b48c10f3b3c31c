use std::fmt;
use std::time::Duration;

use mesh_bus::MAX_SHORT_RUN;
use mesh_bus::topology::Stream;
use mesh_schemas::DEFAULT_MAX_INLINE;

use crate::workload::Choices;

/// More runs than any workload has, in every shard.
const MANY_RUNS: usize = 100;

/// More events than any run has.
const MANY_EVENTS: usize = MAX_SHORT_RUN;

/// Limits at which nothing is by reference, much of what agents and runs are given and give is, and all of it is.
const MAX_INLINE: [usize; 3] = [DEFAULT_MAX_INLINE, 700, 1];
/// Seconds of an hour: what a clock is off by that was set to another time zone.
const HOUR: u64 = 60 * 60;
/// Seconds between two looks of an orchestrator that is late to notice that others have come or gone: half of what a
/// janitor waits for a shard that nobody follows.
const SELDOM: u64 = 5 * 60;

/// What goes wrong while a workload is done, and how often, all decided by a seed.
///
/// Chances are in a thousand, at each step of a party: each call on the bus and each delivery.
#[derive(Debug, Clone, PartialEq)]
pub struct Storm {
    /// What every further choice is made from.
    pub seed: u64,
    /// How the log is cut up.
    pub shards: u32,
    /// How many orchestrators there are.
    pub orchestrators: usize,
    /// How many agents there are.
    pub agents: usize,
    /// Tasks of one capability that an agent does at once.
    pub capacity: usize,
    /// Runs that an orchestrator keeps in memory.
    pub cached_runs: usize,
    /// Largest event that carries its data itself, in bytes.
    pub max_inline: usize,
    /// How often an orchestrator looks which others are there.
    pub look: Duration,
    /// When it is over: from then on nothing goes wrong.
    pub lasts: Duration,
    /// How long calls take.
    pub pace: Pace,
    /// A message is not stored, and its publisher is told to try again.
    pub refused: u32,
    /// A message is stored, and its publisher is told that there was no answer.
    pub unanswered: u32,
    /// A message is stored long after its publisher was told that there was no answer.
    pub late: u32,
    /// A read fails.
    pub unread: u32,
    /// A read is answered by a server that is behind.
    pub behind: u32,
    /// A delivery is lost on its way.
    pub lost: u32,
    /// A delivery takes longer than the consumer waits for its acknowledgement.
    pub slow: u32,
    /// An acknowledgement is lost.
    pub unacked: u32,
    /// Somebody reports the contrary of an outcome that an agent has stored.
    pub contradicted: u32,
    /// A party dies.
    pub crash: u32,
    /// A party stands still for up to forty seconds, longer than any `ack_wait`, and then goes on as if nothing had been.
    pub freeze: u32,
    /// A party is asked to stop, and started again.
    pub stop: u32,
    /// How far the clocks of agents may be off, in both directions.
    pub skew: Duration,
    /// When and for how long the server is away.
    pub outages: Vec<(Duration, Duration)>,
    /// When, for how long, and which stream takes nothing more.
    pub full: Vec<(Duration, Duration, Stream)>,
    /// After how many events of a run orchestrators write down how it stands.
    pub checkpoint_after: usize,
    /// How long after its end a run stays in the log as it is.
    pub grace: Duration,
    /// How long after its end a run is known by its beginning and its end: longer than anything is on its way.
    pub requests: Duration,
}

/// How long calls take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// No time.
    Instant,
    /// A few milliseconds.
    Quick,
    /// Mostly a few milliseconds, sometimes seconds.
    Uneven,
}

impl Storm {
    /// The storm of a seed.
    #[must_use]
    pub fn generate(seed: u64) -> Self {
        // Not the choices of the workload, which has the same seed.
        let mut choices = Choices::new(seed ^ 0x5707_2a5e_ed00_0000);
        let choices = &mut choices;
        // Half of the kinds of trouble are away in any one storm, so that each is seen without the others, too.
        let mut at_most = |name: &'static str, most: u64| {
            if choices.chance(name, 50) {
                u32::try_from(choices.among(1..=most)).unwrap_or_default()
            } else {
                0
            }
        };
        let (refused, unanswered, late) =
            (at_most("refused", 80), at_most("unanswered", 80), at_most("late", 40));
        let (unread, behind) = (at_most("unread", 80), at_most("behind", 300));
        let (lost, slow, unacked) = (at_most("lost", 40), at_most("slow", 30), at_most("unacked", 80));
        let contradicted = at_most("contradicted", 150);
        let (crash, freeze, stop) = (at_most("crash", 15), at_most("freeze", 8), at_most("stop", 8));
        let lasts = Duration::from_millis(choices.among(2_000..=30_000));
        let within =
            |choices: &mut Choices| Duration::from_millis(choices.below(lasts.as_millis() as usize) as u64);
        let long = |choices: &mut Choices| Duration::from_millis(choices.among(50..=9_000));
        let mut outages = Vec::new();
        while choices.chance("outage", 15) {
            outages.push((within(choices), long(choices)));
        }
        let mut full = Vec::new();
        while choices.chance("full", 15) {
            let stream = choices.pick(&[Stream::Inbox, Stream::Events, Stream::Tasks]);
            // Long enough that runs are archived and forgotten in haste.
            let lasts = if choices.chance("full for long", 30) { 10_000..=30_000 } else { 50..=9_000 };
            let lasts = Duration::from_millis(choices.among(lasts));
            full.push((within(choices), lasts, stream));
        }
        let skewed = choices.chance("skew", 30);
        let is_calm = choices.chance("calm", 10);
        let grace = choices.pick(&[0, 200, 3_000, 15_000]);
        let requests = choices.among(150..=250);
        let skew = if skewed { Duration::from_secs(choices.pick(&[2, 20, HOUR])) } else { Duration::ZERO };
        let storm = Self {
            seed,
            shards: choices.pick(&[1, 1, 2, 3]),
            orchestrators: choices.pick(&[1, 2, 2, 3]),
            agents: choices.pick(&[1, 2, 3]),
            capacity: choices.pick(&[1, 2, 8]),
            cached_runs: choices.pick(&[1, 2, MANY_RUNS, MANY_RUNS]),
            look: Duration::from_secs(choices.pick(&[1, 4, 20, SELDOM])),
            lasts,
            pace: choices.pick(&[Pace::Instant, Pace::Quick, Pace::Quick, Pace::Uneven]),
            refused,
            unanswered,
            late,
            unread,
            behind,
            lost,
            slow,
            unacked,
            contradicted,
            crash,
            freeze,
            stop,
            skew,
            outages,
            full,
            checkpoint_after: choices.pick(&[1, 2, 5, MANY_EVENTS]),
            grace: Duration::from_millis(grace),
            // Clocks that are ahead shorten it.
            requests: Duration::from_secs(requests) + skew,
            max_inline: choices.pick(&[MAX_INLINE[0], MAX_INLINE[0], MAX_INLINE[1], MAX_INLINE[2]]),
        };
        // Where nothing goes wrong, more can be demanded.
        if is_calm {
            Self { stop, cached_runs: MANY_RUNS, look: Duration::from_secs(SELDOM), ..storm.calm() }
        } else {
            storm
        }
    }

    /// Whether nothing goes wrong, but for parties that are asked to stop.
    #[must_use]
    pub fn only_stops(&self) -> bool {
        *self == Self { stop: self.stop, ..self.calm() }
    }

    /// Whether nothing goes wrong, and orchestrators need not read a run again that they have followed.
    #[must_use]
    pub fn is_calm(&self) -> bool {
        *self == self.calm() && self.cached_runs >= MANY_RUNS && self.look.as_secs() >= SELDOM
    }

    /// The same parties, and nothing goes wrong.
    #[must_use]
    pub fn calm(&self) -> Self {
        Self {
            pace: Pace::Quick,
            refused: 0,
            unanswered: 0,
            late: 0,
            unread: 0,
            behind: 0,
            lost: 0,
            slow: 0,
            unacked: 0,
            contradicted: 0,
            crash: 0,
            freeze: 0,
            stop: 0,
            skew: Duration::ZERO,
            outages: Vec::new(),
            full: Vec::new(),
            ..self.clone()
        }
    }

    /// Storms in which less goes wrong, the calmest first.
    #[must_use]
    pub fn simpler(&self) -> Vec<Self> {
        let mut simpler = vec![self.calm()];
        let mut with = |change: fn(&mut Self)| {
            let mut changed = self.clone();
            change(&mut changed);
            simpler.push(changed);
        };
        with(|storm| storm.orchestrators = 1);
        with(|storm| storm.agents = 1);
        with(|storm| storm.shards = 1);
        with(|storm| storm.cached_runs = MANY_RUNS);
        with(|storm| storm.checkpoint_after = MANY_EVENTS);
        with(|storm| storm.max_inline = DEFAULT_MAX_INLINE);
        with(|storm| storm.look = Duration::from_secs(SELDOM));
        with(|storm| storm.pace = Pace::Quick);
        with(|storm| storm.refused = 0);
        with(|storm| storm.unanswered = 0);
        with(|storm| storm.late = 0);
        with(|storm| storm.unread = 0);
        with(|storm| storm.behind = 0);
        with(|storm| storm.lost = 0);
        with(|storm| storm.slow = 0);
        with(|storm| storm.unacked = 0);
        with(|storm| storm.contradicted = 0);
        with(|storm| storm.crash = 0);
        with(|storm| storm.freeze = 0);
        with(|storm| storm.stop = 0);
        with(|storm| storm.skew = Duration::ZERO);
        with(|storm| storm.outages.truncate(storm.outages.len().saturating_sub(1)));
        with(|storm| storm.full.truncate(storm.full.len().saturating_sub(1)));
        with(|storm| storm.grace = Duration::from_secs(60));
        with(|storm| storm.grace = Duration::ZERO);
        simpler.retain(|simpler| simpler != self);
        simpler
    }
}

impl fmt::Display for Storm {
    /// What goes wrong; what does not is left out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            shards,
            orchestrators,
            agents,
            capacity,
            cached_runs,
            checkpoint_after,
            look,
            pace,
            lasts,
            max_inline,
            ..
        } = self;
        writeln!(
            f,
            "{orchestrators} orchestrators that keep {cached_runs} runs, write one down after {checkpoint_after} events and \
             look for others every {look:?}, {agents} agents of capacity {capacity}, {shards} shards, pace {pace:?}, events \
             of at most {max_inline} bytes"
        )?;
        let chances = [
            ("refused", self.refused),
            ("unanswered", self.unanswered),
            ("late", self.late),
            ("unread", self.unread),
            ("behind", self.behind),
            ("lost", self.lost),
            ("slow", self.slow),
            ("unacked", self.unacked),
            ("contradicted", self.contradicted),
            ("crash", self.crash),
            ("freeze", self.freeze),
            ("stop", self.stop),
        ];
        let on: Vec<String> = chances
            .iter()
            .filter(|(_, chance)| *chance > 0)
            .map(|(name, chance)| format!("{name} {chance}"))
            .collect();
        writeln!(f, "for {} ms, in a thousand steps: {}", lasts.as_millis(), on.join(", "))?;
        let (grace, requests) = (self.grace.as_millis(), self.requests.as_secs());
        writeln!(f, "ended runs are archived after {grace} ms and forgotten after {requests} s")?;
        if !self.skew.is_zero() {
            writeln!(f, "clocks are off by up to {} s, and jump half way", self.skew.as_secs())?;
        }
        for (at, lasts) in &self.outages {
            writeln!(f, "  {:>8} ms  the server is away for {} ms", at.as_millis(), lasts.as_millis())?;
        }
        for (at, lasts, stream) in &self.full {
            let stream = stream.short_name();
            writeln!(
                f,
                "  {:>8} ms  the stream of {stream} is full for {} ms",
                at.as_millis(),
                lasts.as_millis()
            )?;
        }
        Ok(())
    }
}
