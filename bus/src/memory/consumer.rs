//! The rules by which a consumer hands messages to those who receive from it. Time is an argument.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use mesh_schemas::StoredMessage;
use tokio::sync::Notify;

use super::filter::{Filter, any_matches};
use super::log::Log;
use crate::consume::{ConsumerSpec, Flow};

/// A durable consumer.
#[derive(Debug)]
pub(super) struct Consumer {
    pub(super) spec: ConsumerSpec,
    filters: Vec<Filter>,
    /// Not delivered to anyone yet.
    fresh: BTreeSet<u64>,
    /// Delivered and not acknowledged.
    pending: BTreeMap<u64, Pending>,
    /// When which pending message is to be delivered again.
    due: BTreeSet<(Duration, u64)>,
    /// Pending messages that are due, in the order in which they became so.
    again: VecDeque<u64>,
    /// Number of the last delivery.
    deliveries: u64,
    /// Newest message that was delivered to anyone.
    newest: u64,
    last_delivery: Option<Duration>,
    receivers: BTreeMap<u64, Receiver>,
    /// Who got the last message.
    turn: u64,
    pin: Option<Pin>,
    pins: u64,
    /// Until when the receivers sleep.
    alarm: Option<Duration>,
}

#[derive(Debug)]
struct Pending {
    delivered: u64,
    /// When it is to be delivered again; `None` once it is due.
    due: Option<Duration>,
}

#[derive(Debug)]
struct Pin {
    receiver: u64,
    id: String,
    /// Since when its owner has not been waiting for messages; `None` while it waits.
    silent: Option<Duration>,
}

/// One who receives.
#[derive(Debug)]
struct Receiver {
    connection: u64,
    /// How many more it may be sent, but has not asked for: it asks when it waits.
    allowed: usize,
    /// How many more it has asked for.
    room: usize,
    flow: Flow,
    ready: VecDeque<Handed>,
    waits: bool,
    wake: Arc<Notify>,
}

impl Receiver {
    /// Asks for what it may be sent, if it waits for that.
    fn ask(&mut self) {
        if self.waits {
            self.room += std::mem::take(&mut self.allowed);
        }
    }
}

/// A message on its way to a receiver.
#[derive(Debug, Clone)]
pub(super) struct Handed {
    pub(super) stored: StoredMessage,
    pub(super) number: u64,
    pub(super) delivered: u64,
    pub(super) pin: Option<String>,
    pub(super) at: Duration,
}

impl Consumer {
    pub(super) fn new(spec: ConsumerSpec, log: &Log) -> Self {
        let filters = Filter::all(&spec.filters);
        let wanted = log.all_after(0).filter(|stored| any_matches(&filters, &stored.message.subject));
        let fresh = wanted.map(|stored| stored.sequence).collect();
        Self {
            spec,
            filters,
            fresh,
            pending: BTreeMap::new(),
            due: BTreeSet::new(),
            again: VecDeque::new(),
            deliveries: 0,
            newest: 0,
            last_delivery: None,
            receivers: BTreeMap::new(),
            turn: 0,
            pin: None,
            pins: 0,
            alarm: None,
        }
    }

    pub(super) fn appended(&mut self, stored: &StoredMessage) {
        if any_matches(&self.filters, &stored.message.subject) {
            self.fresh.insert(stored.sequence);
        }
    }

    pub(super) fn removed(&mut self, sequence: u64) {
        self.fresh.remove(&sequence);
        self.settle(sequence);
    }

    pub(super) fn join(&mut self, receiver: u64, connection: u64, flow: Flow) -> Arc<Notify> {
        let wake = Arc::new(Notify::new());
        let allowed = match flow {
            Flow::Continuous(most) => most.max(1),
            Flow::OnRequest => 0,
        };
        let ready = VecDeque::new();
        let wakes = Arc::clone(&wake);
        let joined = Receiver { connection, allowed, room: 0, flow, ready, waits: false, wake: wakes };
        self.receivers.insert(receiver, joined);
        wake
    }

    /// Takes a receiver away, with what was on its way to it. If it was pinned, only its silence tells that it left.
    pub(super) fn leave(&mut self, receiver: u64, now: Duration) -> Vec<Handed> {
        self.waits(receiver, false, now);
        self.receivers.remove(&receiver).map(|left| left.ready.into()).unwrap_or_default()
    }

    /// Whoever is pinned, if this is the one, is not any more.
    pub(super) fn unpin(&mut self, receiver: u64) {
        self.pin = self.pin.take().filter(|pin| pin.receiver != receiver);
    }

    /// Takes all receivers of a connection away: what was on its way to them is lost, as they are.
    pub(super) fn cut(&mut self, connection: u64, now: Duration) {
        let cut = self.receivers.iter().filter(|(_, receiver)| receiver.connection == connection);
        let cut: Vec<u64> = cut.map(|(receiver, _)| *receiver).collect();
        for receiver in cut {
            self.leave(receiver, now);
        }
    }

    /// As after the server was away: nobody is pinned, what was on its way is lost, and receivers ask anew.
    pub(super) fn restart(&mut self) {
        self.pin = None;
        for receiver in self.receivers.values_mut() {
            receiver.allowed += receiver.room + std::mem::take(&mut receiver.ready).len();
            receiver.room = 0;
            receiver.ask();
            receiver.wake.notify_one();
        }
    }

    pub(super) fn allow(&mut self, receiver: u64, more: usize) {
        if let Some(receiver) = self.receivers.get_mut(&receiver) {
            receiver.allowed += more;
            receiver.ask();
        }
    }

    /// Notes whether a receiver waits for messages.
    pub(super) fn waits(&mut self, receiver: u64, waits: bool, now: Duration) {
        if let Some(pin) = self.pin.as_mut().filter(|pin| pin.receiver == receiver) {
            pin.silent = if waits { None } else { pin.silent.or(Some(now)) };
        }
        if let Some(receiver) = self.receivers.get_mut(&receiver) {
            receiver.waits = waits;
            receiver.ask();
        }
    }

    /// What a receiver is to get next.
    pub(super) fn take(&mut self, receiver: u64) -> Option<Handed> {
        let receiver = self.receivers.get_mut(&receiver)?;
        let handed = receiver.ready.pop_front()?;
        if matches!(receiver.flow, Flow::Continuous(_)) {
            receiver.allowed += 1;
        }
        Some(handed)
    }

    pub(super) fn ack(&mut self, sequence: u64) -> bool {
        self.settle(sequence)
    }

    /// Delivers a message again after a pause.
    pub(super) fn nak(&mut self, sequence: u64, pause: Duration, now: Duration) {
        match self.pending.get(&sequence) {
            // It is due already, or with nobody.
            None | Some(Pending { due: None, .. }) => {}
            Some(_) if pause.is_zero() => self.make_due(sequence),
            Some(_) => self.postpone(sequence, now + pause),
        }
    }

    pub(super) fn progress(&mut self, sequence: u64, now: Duration) {
        if self.pending.get(&sequence).is_some_and(|pending| pending.due.is_some()) {
            self.postpone(sequence, now + self.spec.ack_wait);
        }
    }

    /// Hands out everything that can be handed out now.
    pub(super) fn pump(&mut self, log: &Log, now: Duration) {
        while let Some(&(due, sequence)) = self.due.first()
            && due <= now
        {
            self.make_due(sequence);
        }
        while let Some(sequence) = self.next_message() {
            let Some(receiver) = self.next_receiver(now) else { break };
            self.fresh.remove(&sequence);
            if self.again.front() == Some(&sequence) {
                self.again.pop_front();
            }
            match log.at(sequence) {
                Some(stored) => self.hand(stored, receiver, now),
                None => drop(self.settle(sequence)),
            }
        }
        self.set_alarm();
    }

    /// When there is something to do without anyone doing anything.
    pub(super) fn alarm(&self) -> Option<Duration> {
        let due = self.due.first().map(|(due, _)| *due);
        let pin = self.pin.as_ref().filter(|_| self.next_message().is_some());
        let unpinned = pin.and_then(|pin| self.ends(pin));
        [due, unpinned].into_iter().flatten().min()
    }

    fn set_alarm(&mut self) {
        let alarm = self.alarm();
        if alarm.is_some_and(|alarm| self.alarm.is_none_or(|earlier| alarm < earlier)) {
            self.wake_all();
        }
        self.alarm = alarm;
    }

    pub(super) fn wake_all(&self) {
        for receiver in self.receivers.values() {
            receiver.wake.notify_one();
        }
    }

    fn next_message(&self) -> Option<u64> {
        let room = self.pending.len() < self.spec.max_ack_pending as usize;
        self.again.front().or_else(|| self.fresh.first().filter(|_| room)).copied()
    }

    /// When a pinning ends if its owner does not wait for messages again.
    fn ends(&self, pin: &Pin) -> Option<Duration> {
        Some(pin.silent? + self.spec.pinned?)
    }

    fn next_receiver(&mut self, now: Duration) -> Option<u64> {
        if self.spec.pinned.is_none() {
            let asking = |(id, receiver): (&u64, &Receiver)| (receiver.room > 0).then_some(*id);
            let after = self.receivers.range(self.turn + 1..).find_map(asking);
            return after.or_else(|| self.receivers.iter().find_map(asking));
        }
        if let Some(pin) = &self.pin {
            if self.ends(pin).is_none_or(|ends| now < ends) {
                let owner = self.receivers.get(&pin.receiver)?;
                return (owner.room > 0).then_some(pin.receiver);
            }
            self.pin = None;
        }
        let asking = |receiver: &Receiver| receiver.room > 0 && receiver.waits;
        let (&receiver, _) = self.receivers.iter().find(|(_, receiver)| asking(receiver))?;
        self.pins += 1;
        self.pin = Some(Pin { receiver, id: format!("{}-{}", self.spec.name, self.pins), silent: None });
        Some(receiver)
    }

    fn hand(&mut self, stored: &StoredMessage, to: u64, now: Duration) {
        let sequence = stored.sequence;
        let delivered = self.pending.get(&sequence).map_or(0, |pending| pending.delivered) + 1;
        let due = now + self.spec.ack_wait;
        self.pending.insert(sequence, Pending { delivered, due: Some(due) });
        self.due.insert((due, sequence));
        self.deliveries += 1;
        self.newest = self.newest.max(sequence);
        self.last_delivery = Some(now);
        self.turn = to;
        let Some(receiver) = self.receivers.get_mut(&to) else { return };
        receiver.room -= 1;
        receiver.ready.push_back(Handed {
            stored: stored.clone(),
            number: self.deliveries,
            delivered,
            pin: self.pin.as_ref().map(|pin| pin.id.clone()),
            at: now,
        });
        receiver.wake.notify_one();
    }

    fn make_due(&mut self, sequence: u64) {
        if let Some(pending) = self.pending.get_mut(&sequence)
            && let Some(due) = pending.due.take()
        {
            self.due.remove(&(due, sequence));
            self.again.push_back(sequence);
        }
    }

    fn postpone(&mut self, sequence: u64, until: Duration) {
        if let Some(pending) = self.pending.get_mut(&sequence)
            && let Some(due) = pending.due.replace(until)
        {
            self.due.remove(&(due, sequence));
            self.due.insert((until, sequence));
        }
    }

    fn settle(&mut self, sequence: u64) -> bool {
        let Some(pending) = self.pending.remove(&sequence) else { return false };
        match pending.due {
            Some(due) => drop(self.due.remove(&(due, sequence))),
            None => self.again.retain(|again| *again != sequence),
        }
        true
    }
}

/// How a consumer is.
#[derive(Debug)]
pub(super) struct Look {
    pub(super) fresh: usize,
    pub(super) pending: usize,
    pub(super) repeated: usize,
    pub(super) waiting: usize,
    pub(super) pin: Option<String>,
    pub(super) last_delivery: Option<Duration>,
}

impl Consumer {
    /// Sequence of the newest message that was delivered to anyone; 0 if none was.
    pub(super) fn newest(&self) -> u64 {
        self.newest
    }

    /// Sequence up to which nothing is to be delivered or acknowledged any more.
    pub(super) fn settled(&self, log: &Log) -> u64 {
        let open = self.fresh.first().into_iter().chain(self.pending.keys().next());
        open.min().map_or_else(|| log.last_sequence(), |open| open - 1)
    }

    /// The first message that it has not delivered yet.
    pub(super) fn oldest(&self) -> Option<u64> {
        self.fresh.first().copied()
    }

    pub(super) fn look(&self, now: Duration) -> Look {
        let pin = self.pin.as_ref().filter(|pin| self.ends(pin).is_none_or(|ends| now < ends));
        Look {
            fresh: self.fresh.len(),
            pending: self.pending.len(),
            repeated: self.pending.values().filter(|pending| pending.delivered > 1).count(),
            waiting: self.receivers.values().filter(|receiver| receiver.room > 0).count(),
            pin: pin.map(|pin| pin.id.clone()),
            last_delivery: self.last_delivery,
        }
    }
}
