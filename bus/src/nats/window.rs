use crate::consume::Flow;

/// How many messages a receiver may still be sent, and how many of those the server has been asked for.
#[derive(Debug)]
pub(super) struct Window {
    flow: Flow,
    /// Allowed by the receiver and not asked for yet; only for [`Flow::OnRequest`].
    wanted: usize,
    /// Asked for and not here yet.
    outstanding: usize,
}

impl Window {
    pub(super) fn new(flow: Flow) -> Self {
        Self { flow, wanted: 0, outstanding: 0 }
    }

    /// The receiver allows more.
    pub(super) fn allow(&mut self, more: usize) {
        self.wanted += more;
    }

    /// How many to ask the server for now. A continuous receiver is topped up when half is used: in few requests,
    /// and without running dry.
    pub(super) fn to_ask(&self) -> usize {
        match self.flow {
            Flow::Continuous(size) if self.outstanding <= size / 2 => size.max(1) - self.outstanding,
            Flow::Continuous(_) => 0,
            Flow::OnRequest => self.wanted,
        }
    }

    /// The server has been asked for this many.
    pub(super) fn asked(&mut self, count: usize) {
        self.outstanding += count;
        self.wanted = self.wanted.saturating_sub(count);
    }

    /// A message came.
    pub(super) fn received(&mut self) {
        self.outstanding = self.outstanding.saturating_sub(1);
    }

    /// The server will not send this many of those it was asked for.
    pub(super) fn returned(&mut self, count: usize) {
        let count = count.min(self.outstanding);
        self.outstanding -= count;
        if self.flow == Flow::OnRequest {
            self.wanted += count;
        }
    }

    /// The server will send nothing of what it was asked for.
    pub(super) fn forget(&mut self) {
        self.returned(self.outstanding);
    }

    /// Whether the server owes messages.
    pub(super) fn is_waiting(&self) -> bool {
        self.outstanding > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_allowed_is_asked_for_once_and_again_when_it_comes_back() {
        let mut window = Window::new(Flow::OnRequest);
        assert_eq!(window.to_ask(), 0);
        window.allow(1);
        window.allow(2);
        assert_eq!(window.to_ask(), 3, "several allowances are one request");
        window.asked(3);
        assert_eq!(window.to_ask(), 0);
        window.received();
        window.returned(2);
        assert_eq!(window.to_ask(), 2);
        assert!(!window.is_waiting());
    }

    #[test]
    fn more_cannot_come_back_than_was_asked_for() {
        let mut window = Window::new(Flow::OnRequest);
        window.allow(2);
        window.asked(2);
        window.received();
        window.returned(30);
        assert_eq!(window.to_ask(), 1);
    }

    #[test]
    fn a_continuous_receiver_is_topped_up_at_half_and_never_over_its_size() {
        let mut window = Window::new(Flow::Continuous(10));
        assert_eq!(window.to_ask(), 10);
        window.asked(10);
        for _ in 0..4 {
            window.received();
            assert_eq!(window.to_ask(), 0);
        }
        window.received();
        assert_eq!(window.to_ask(), 5);
        window.asked(5);
        window.forget();
        assert_eq!(window.to_ask(), 10);
    }
}
