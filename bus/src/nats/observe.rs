//! Looking over the shoulder of whoever uses the server, and steering it by hand: for tools that try out how others
//! behave. What the mesh itself does goes through [`Bus`](crate::Bus).

use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use mesh_schemas::Message;
use serde_json::Value;

use super::api::Failure;
use super::bus::NatsBus;
use super::wire::Place;
use crate::bus::Bus as _;
use crate::consume::ConsumerSpec;
use crate::error::BusError;

/// What a client said about a delivery (NATS ADR-15).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// `+ACK`, or nothing: dealt with.
    Ack,
    /// `-NAK`: to be delivered again.
    Nak,
    /// `+WPI`: still at it.
    Progress,
    /// `+TERM`: never to be delivered again.
    Term,
}

/// A client's word about a delivery, as it passed by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settlement {
    /// Sequence of the message in its stream.
    pub sequence: u64,
    /// How often the message had been delivered, this delivery included.
    pub delivered: u64,
    /// What was said.
    pub word: Word,
}

impl Settlement {
    fn read(message: &Message) -> Option<Self> {
        let place = Place::parse(&message.subject)?;
        let text = message.payload.trim_ascii();
        let word = match text {
            _ if text.starts_with(b"-NAK") => Word::Nak,
            _ if text.starts_with(b"+WPI") => Word::Progress,
            _ if text.starts_with(b"+TERM") => Word::Term,
            // `+NXT` acknowledges and asks for more; anything else is an acknowledgement to the server.
            _ => Word::Ack,
        };
        Some(Self { sequence: place.stream_sequence, delivered: place.delivered, word })
    }
}

impl NatsBus {
    /// What all clients of a consumer say about its deliveries from now on.
    ///
    /// # Errors
    /// If the server cannot be asked. An account that may not subscribe to `$JS.ACK.>` sees nothing, and is not told.
    pub async fn settlements(&self, spec: &ConsumerSpec) -> Result<BoxStream<'static, Settlement>, BusError> {
        let place = format!("{}.{}", spec.stream.name(&self.namespace), spec.name);
        // The old form of the subject, and the one with domain and account before the stream.
        let old = self.subscribe(&format!("$JS.ACK.{place}.>")).await?;
        let new = self.subscribe(&format!("$JS.ACK.*.*.{place}.>")).await?;
        let both = futures::stream::select(old, new);
        Ok(both.filter_map(|message| std::future::ready(Settlement::read(&message))).boxed())
    }

    /// Gives a delivery back in the name of a client that is dead, instead of waiting until its time is over.
    ///
    /// `consumer_sequence` is the number of the delivery among all of the consumer.
    ///
    /// # Errors
    /// If it cannot be sent.
    pub async fn give_back(
        &self,
        spec: &ConsumerSpec,
        sequence: u64,
        consumer_sequence: u64,
    ) -> Result<(), BusError> {
        let place = format!("{}.{}", spec.stream.name(&self.namespace), spec.name);
        let subject = format!("$JS.ACK.{place}.1.{sequence}.{consumer_sequence}.0.0");
        let operation = format!("give back message {sequence} of {place}");
        let sent = self.api.send(subject, None, None, Bytes::from_static(b"-NAK")).await;
        sent.map_err(|failure| failure.during(operation))
    }

    /// Calls an operation of the JetStream API, such as `STREAM.INFO.MESH_TASKS`, with JSON in and out.
    ///
    /// # Errors
    /// What the server refuses, or that it does not answer.
    pub async fn jetstream(&self, operation: &str, arguments: &Value) -> Result<Value, BusError> {
        let called = self.api.call(operation, arguments).await;
        called.map_err(|failure: Failure| failure.during(format!("call {operation}")))
    }

    /// Asks everybody who listens on a subject, and returns the answers that come within a time.
    ///
    /// # Errors
    /// If the question cannot be sent.
    pub async fn answers(&self, subject: &str, within: Duration) -> Result<Vec<Message>, BusError> {
        let inbox = self.api.client.new_inbox();
        let mut answers = self.subscribe(&inbox).await?;
        let sent = self.api.send(subject.to_owned(), Some(inbox), None, Bytes::new()).await;
        sent.map_err(|failure| failure.during(format!("ask on {subject}")))?;
        let mut all = Vec::new();
        let collect = async {
            while let Some(answer) = answers.next().await {
                // That nobody listens is an empty message with a status.
                if !answer.payload.is_empty() {
                    all.push(answer);
                }
            }
        };
        // The end of the time is the end of the collection.
        let _ = tokio::time::timeout(within, collect).await;
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use mesh_schemas::Headers;

    use super::*;

    #[test]
    fn words_about_deliveries_are_read() {
        let read = |payload: &'static [u8]| {
            let subject = "$JS.ACK.MESH_TASKS.agent-x-normal.2.7.9.1790230470084404000.0".to_owned();
            let payload = Bytes::from_static(payload);
            Settlement::read(&Message { subject, headers: Headers::new(), payload })
        };
        let said = |word| Some(Settlement { sequence: 7, delivered: 2, word });
        assert_eq!(read(b"+ACK"), said(Word::Ack));
        assert_eq!(read(b""), said(Word::Ack));
        assert_eq!(read(b"-NAK {\"delay\": 1}"), said(Word::Nak));
        assert_eq!(read(b"+WPI"), said(Word::Progress));
        assert_eq!(read(b"+TERM why"), said(Word::Term));
    }
}
