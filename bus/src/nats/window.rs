use std::collections::VecDeque;

use crate::clock::BootInstant;
use crate::consume::Flow;

/// How many messages a receiver may still be sent, and how many of those the server has been asked for.
#[derive(Debug)]
pub(super) struct Window {
    flow: Flow,
    /// Allowed by the receiver and not asked for yet; only for [`Flow::OnRequest`].
    wanted: usize,
    /// Requests that the server owes messages of, the oldest first: how many, and when it was asked.
    outstanding: VecDeque<(usize, BootInstant)>,
}

impl Window {
    pub(super) fn new(flow: Flow) -> Self {
        Self { flow, wanted: 0, outstanding: VecDeque::new() }
    }

    /// The receiver allows more.
    pub(super) fn allow(&mut self, more: usize) {
        self.wanted += more;
    }

    /// How many to ask the server for now. A receiver is topped up when half of what it may be sent is used: in few
    /// requests, each of which costs the server more than a message, and without running dry.
    pub(super) fn to_ask(&self) -> usize {
        let outstanding = self.outstanding();
        match self.flow {
            Flow::Continuous(size) if outstanding <= size / 2 => size.max(1) - outstanding,
            Flow::OnRequest if outstanding <= self.wanted => self.wanted,
            Flow::Continuous(_) | Flow::OnRequest => 0,
        }
    }

    /// The server is asked for this many from now on.
    pub(super) fn asked(&mut self, count: usize, now: BootInstant) {
        self.outstanding.push_back((count, now));
        self.wanted = self.wanted.saturating_sub(count);
    }

    /// A message came. Returns when the server was asked for it at the earliest; it cannot have sent it before.
    pub(super) fn received(&mut self) -> Option<BootInstant> {
        let (_, asked) = *self.outstanding.front()?;
        self.settle(1);
        Some(asked)
    }

    /// The server will not send this many of those it was asked for.
    pub(super) fn returned(&mut self, count: usize) {
        let count = self.settle(count);
        if self.flow == Flow::OnRequest {
            self.wanted += count;
        }
    }

    /// The server will send nothing of what it was asked for.
    pub(super) fn forget(&mut self) {
        self.returned(usize::MAX);
    }

    /// Whether the server owes messages.
    pub(super) fn is_waiting(&self) -> bool {
        !self.outstanding.is_empty()
    }

    /// How many messages the server owes.
    fn outstanding(&self) -> usize {
        self.outstanding.iter().map(|(count, _)| count).sum()
    }

    /// The server owes this many less, those first that it was asked for first: as it serves them. Returns how many it
    /// owed of them.
    fn settle(&mut self, count: usize) -> usize {
        let mut left = count;
        while let Some((owed, _)) = self.outstanding.front_mut().filter(|_| left > 0) {
            let settled = left.min(*owed);
            *owed -= settled;
            left -= settled;
            if *owed == 0 {
                self.outstanding.pop_front();
            }
        }
        count - left
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_was_allowed_is_asked_for_once_and_again_when_it_comes_back() {
        let now = BootInstant::now();
        let mut window = Window::new(Flow::OnRequest);
        assert_eq!(window.to_ask(), 0);
        window.allow(1);
        window.allow(2);
        assert_eq!(window.to_ask(), 3, "several allowances are one request");
        window.asked(3, now);
        assert_eq!(window.to_ask(), 0);
        window.received();
        window.returned(2);
        assert_eq!(window.to_ask(), 2);
        assert!(!window.is_waiting());
    }

    #[test]
    fn more_cannot_come_back_than_was_asked_for() {
        let now = BootInstant::now();
        let mut window = Window::new(Flow::OnRequest);
        window.allow(2);
        window.asked(2, now);
        window.received();
        window.returned(30);
        assert_eq!(window.to_ask(), 1);
    }

    #[test]
    fn a_receiver_that_has_asked_for_more_than_it_lacks_does_not_ask_again() {
        let now = BootInstant::now();
        let mut window = Window::new(Flow::OnRequest);
        window.allow(10);
        window.asked(10, now);
        for left in (5..10).rev() {
            window.received();
            window.allow(1);
            assert_eq!(window.to_ask(), if left == 5 { 5 } else { 0 });
        }
    }

    #[test]
    fn a_continuous_receiver_is_topped_up_at_half_and_never_over_its_size() {
        let now = BootInstant::now();
        let mut window = Window::new(Flow::Continuous(10));
        assert_eq!(window.to_ask(), 10);
        window.asked(10, now);
        for _ in 0..4 {
            window.received();
            assert_eq!(window.to_ask(), 0);
        }
        window.received();
        assert_eq!(window.to_ask(), 5);
        window.asked(5, now);
        window.forget();
        assert_eq!(window.to_ask(), 10);
    }

    #[test]
    fn a_message_is_no_older_than_the_oldest_request_that_is_not_served() {
        let times = [1, 2, 3].map(|seconds| BootInstant::at(Duration::from_secs(seconds)));
        let mut window = Window::new(Flow::OnRequest);
        window.allow(6);
        assert_eq!(window.received(), None, "nobody asked");
        for time in times {
            window.asked(2, time);
        }
        assert_eq!(
            [window.received(), window.received(), window.received()],
            [0, 0, 1].map(|n| Some(times[n]))
        );
        window.returned(1);
        assert_eq!(window.received(), Some(times[2]));
    }
}
