use std::time::Duration;

use async_trait::async_trait;
use mesh_schemas::StoredMessage;

use crate::clock::BootInstant;
use crate::error::BusError;
use crate::topology::Stream;

/// A durable consumer: a shared place in a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumerSpec {
    /// The stream it reads.
    pub stream: Stream,
    /// Its name; all who use it share the messages.
    pub name: String,
    /// Which subjects it delivers.
    pub filters: Vec<String>,
    /// How long a message may stay unacknowledged before it is delivered again.
    pub ack_wait: Duration,
    /// How many messages may be unacknowledged at once, over all who share it.
    pub max_ack_pending: u32,
    /// Deliver to one of those who share it at a time, and to another only when that one has not asked for
    /// messages for this long.
    pub pinned: Option<Duration>,
}

/// How many messages a receiver is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// As they come, with at most this many waiting in this process.
    Continuous(usize),
    /// Only as many as were asked for with [`Deliveries::request`].
    OnRequest,
}

/// Messages of a consumer.
#[async_trait]
pub trait Deliveries: Send {
    /// The next message. Waits as long as there is none, over lost connections too. May be dropped and called
    /// again without losing a message. The owner of a pinned consumer keeps it by coming back here within the
    /// time in [`ConsumerSpec::pinned`].
    ///
    /// # Errors
    /// [`BusError`] when the consumer is gone or may not be used; the caller begins anew with
    /// [`Bus::consume`](crate::Bus::consume).
    async fn next(&mut self) -> Result<Delivery, BusError>;

    /// Allows this many more messages; only for [`Flow::OnRequest`]. What was asked for stays asked for until it
    /// is delivered. Requests are sent by calls of [`Deliveries::next`], the next one if nothing else is asked for, and at the
    /// latest when what is asked for and not delivered is no more than what was allowed since.
    fn request(&mut self, more: usize);

    /// Asks for nothing more, and returns what is here or on its way, for the caller to settle. Nothing comes after
    /// this. A pinned consumer is let go of: whoever else asks for its messages has it at once.
    async fn drain(&mut self) -> Vec<Delivery>;

    /// Asks for nothing more, and hands back what is here or on its way, so that others get it at once instead of
    /// after `ack_wait`. Nothing comes after this.
    async fn stop(&mut self) {
        for delivery in self.drain().await {
            delivery.acker.nak(Duration::ZERO).await;
        }
    }
}

/// One delivery of a message.
#[derive(Debug)]
pub struct Delivery {
    /// The message and its place in the stream.
    pub stored: StoredMessage,
    /// Number of this delivery among all of the consumer: without a gap as long as one client gets them all.
    pub consumer_sequence: u64,
    /// How often this message has been delivered, this time included.
    pub delivered: u64,
    /// Which pinning of the consumer this belongs to; changes when another client had it meanwhile.
    pub pin: Option<String>,
    /// When this process may have received it at the earliest: when it was last asked for, or the last moment at which
    /// nothing waited for this receiver. Nobody else gets the message before `ack_wait` after it.
    pub received: BootInstant,
    /// How long the message may stay unsettled before it is delivered again, as the consumer that is there has it.
    pub ack_wait: Duration,
    /// Settles the delivery.
    pub acker: Box<dyn Acker>,
}

/// Settles a delivery. Each call is sent at once and not confirmed: an acknowledgement that is lost leads to
/// another delivery.
#[async_trait]
pub trait Acker: Send + Sync + std::fmt::Debug {
    /// The message is dealt with and need not come again.
    async fn ack(&self);
    /// Deliver the message again, after a pause.
    async fn nak(&self, pause: Duration);
    /// Still at it: begin `ack_wait` anew.
    async fn progress(&self);
}
