//! Receiving from a pull consumer: NATS ADR-37, with the client's own accounting of what was asked for.
//!
//! The client library's streams ask for more on their own, so this speaks the protocol itself: one inbox, and
//! requests for exactly as many messages as the receiver allows.

use std::collections::VecDeque;
use std::time::Duration;

use async_nats::{StatusCode, Subscriber};
use futures::{FutureExt as _, StreamExt as _};
use serde::Serialize;
use serde::de::IgnoredAny;
use serde_json::json;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use super::api::{Api, Failure, Link, status, to_json};
use super::consumer::{PIN_GROUP, is_gone, pin_of};
use super::window::Window;
use super::wire::{self, Received};
use crate::clock::BootInstant;
use crate::consume::Flow;
use crate::error::BusError;
use crate::topology::SHARD_PULL_EXPIRES;

/// Shortest and longest time that the server keeps a request; between them it is the consumer's `ack_wait`. An idle
/// receiver asks again each time. A receiver that was stopped in its tracks goes on being sent messages until its
/// request ends, and each of them is lost to the others for `ack_wait`.
const EXPIRES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// Longest time between two signs that the server still knows of a request; twice this without a word is a lost
/// request. For a short request it is two fifths of that: the server demands that it is at most half.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// Pause before asking again after the server refused a request, so that a standing refusal costs little.
const REFUSED_PAUSE: Duration = Duration::from_millis(100);
/// How long a stopping receiver waits for what is on its way.
const STOP_TIME: Duration = Duration::from_secs(1);
/// Header that tells how many messages of a request will not come.
const PENDING_MESSAGES: &str = "Nats-Pending-Messages";

#[derive(Serialize)]
struct Ask<'a> {
    batch: usize,
    expires: u128,
    idle_heartbeat: u128,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
}

/// What stands in the way of simply going on.
#[derive(Debug, Clone, Copy)]
enum Trouble {
    /// What the server was asked for may be lost.
    Lost,
    /// The server refused a request: see whether the consumer is still there, then ask again.
    Refused { not_before: Instant },
}

/// Messages of one consumer.
#[derive(Debug)]
pub(super) struct Pull {
    api: Api,
    stream: String,
    consumer: String,
    pinned: bool,
    /// How long the server keeps a request.
    expires: Duration,
    pin: Option<String>,
    pub(super) window: Window,
    inbox: String,
    subscriber: Subscriber,
    link: watch::Receiver<Link>,
    trouble: Option<Trouble>,
    /// Received and not handed out yet, with when that may have been at the earliest.
    ready: VecDeque<(Received, BootInstant)>,
    /// When nothing was waiting here for the last time.
    quiet: BootInstant,
    /// When the server was heard of for the last time.
    heard: Instant,
}

impl Pull {
    pub(super) async fn start(
        api: Api,
        stream: String,
        consumer: String,
        ack_wait: Duration,
        pinned: bool,
        flow: Flow,
    ) -> Result<Self, BusError> {
        let expires = if pinned { SHARD_PULL_EXPIRES } else { ack_wait.clamp(EXPIRES.0, EXPIRES.1) };
        let link = api.link();
        let (inbox, subscriber) = open_inbox(&api).await?;
        let window = Window::new(flow);
        let (ready, quiet, heard) = (VecDeque::new(), BootInstant::now(), Instant::now());
        let (pin, trouble) = (None, None);
        Ok(Self {
            api,
            stream,
            consumer,
            pinned,
            expires,
            pin,
            window,
            inbox,
            subscriber,
            link,
            trouble,
            ready,
            quiet,
            heard,
        })
    }

    /// The next message, and the earliest moment at which it may have come. Loses nothing when it is dropped:
    /// whatever changes `self` does so without waiting in between.
    ///
    /// # Errors
    /// [`BusError::Unavailable`] when the consumer is gone or the client was closed.
    pub(super) async fn next(&mut self) -> Result<(Received, BootInstant), BusError> {
        loop {
            if let Some(ready) = self.ready.pop_front() {
                return Ok(ready);
            }
            // What is rare is boxed: this future is made anew for each message.
            if self.trouble.is_some() {
                Box::pin(self.mend()).await?;
                // The old inbox may have some; when they were all that was asked for, nothing else would ever come.
                continue;
            }
            let batch = self.window.to_ask();
            if batch > 0 {
                Box::pin(self.ask(batch)).await?;
            }
            let message = match self.subscriber.next().now_or_never() {
                Some(message) => message,
                None => {
                    self.quiet = BootInstant::now();
                    let silence = sleep_until(self.heard + 2 * self.heartbeat());
                    tokio::select! {
                        message = self.subscriber.next() => message,
                        Ok(()) = self.link.changed() => {
                            self.note_link();
                            continue;
                        }
                        () = silence, if self.window.is_waiting() => {
                            tracing::debug!(consumer = self.consumer, "no word of a pull request");
                            self.trouble = Some(Trouble::Lost);
                            continue;
                        }
                    }
                }
            };
            self.heard = Instant::now();
            match message {
                Some(message) => self.sort(message),
                None => self.trouble = Some(Trouble::Lost),
            }
        }
    }

    /// The name of the consumer.
    pub(super) fn consumer(&self) -> &str {
        &self.consumer
    }

    /// Tells the server to send nothing more, and takes what it had sent by then.
    pub(super) async fn stop(&mut self) -> Vec<(Received, BootInstant)> {
        if self.pinned {
            self.let_go().await;
        }
        let tell = async { self.subscriber.drain().await.is_ok() && self.api.client.flush().await.is_ok() };
        if timeout(STOP_TIME, tell).await == Ok(true) {
            while let Ok(Some(message)) = timeout(STOP_TIME, self.subscriber.next()).await {
                if status(&message).is_none() {
                    self.take(message);
                }
            }
        }
        // It may have become the pinned one with the last of them.
        if let Some(pin) = self.pin.take() {
            self.unpin(&pin).await;
        }
        self.leftovers()
    }

    /// Lets go of a pinned consumer: without this, others get it only when the server has not heard of this receiver for its
    /// time. The server then answers what was asked for as the pinned one by a refusal, behind the last message. That is waited
    /// for, or else the end of the request, as the server may choose this receiver as long as that stands: the client library
    /// forgets a subscription when it has written that it ends, not when the server has read it, and what is on its way then is
    /// lost until it comes again.
    async fn let_go(&mut self) {
        let until = Instant::now() + self.expires + STOP_TIME;
        let mut former = None;
        loop {
            // What was asked for before it was known to have the consumer may give it back to it.
            if let Some(pin) = self.pin.take().filter(|pin| former.as_ref() != Some(pin)) {
                self.unpin(&pin).await;
                former = Some(pin);
            }
            if !self.window.is_waiting() || self.trouble.is_some() {
                return;
            }
            let Ok(Some(message)) = timeout_at(until, self.subscriber.next()).await else { return };
            self.sort(message);
        }
    }

    /// Ends a pinning, unless another receiver has the consumer already.
    async fn unpin(&self, pin: &str) {
        if self.pinned_now().await.is_ok_and(|now| now.as_deref() == Some(pin)) {
            let unpin = format!("CONSUMER.UNPIN.{}.{}", self.stream, self.consumer);
            let unpinned = self.api.call::<IgnoredAny>(&unpin, &json!({ "group": PIN_GROUP })).await;
            if let Err(failure) = unpinned {
                tracing::debug!(
                    consumer = self.consumer,
                    ?failure,
                    "not let go of: others wait until its time is over"
                );
            }
        }
    }

    /// Who has a pinned consumer.
    async fn pinned_now(&self) -> Result<Option<String>, Failure> {
        let info = format!("CONSUMER.INFO.{}.{}", self.stream, self.consumer);
        Ok(pin_of(self.api.call(&info, &json!({})).await?))
    }

    /// What is here and was not handed out, with nothing more to come.
    pub(super) fn leftovers(&mut self) -> Vec<(Received, BootInstant)> {
        self.rescue();
        self.ready.drain(..).collect()
    }

    fn heartbeat(&self) -> Duration {
        HEARTBEAT.min(self.expires * 2 / 5)
    }

    fn note_link(&mut self) {
        let link = *self.link.borrow_and_update();
        // A request may have survived the loss or not: only a new inbox makes sure that it is served once.
        if link.returns == link.losses {
            self.trouble = Some(Trouble::Lost);
        }
    }

    /// Sends one request for so many messages.
    async fn ask(&mut self, batch: usize) -> Result<(), BusError> {
        let ask = Ask {
            batch,
            expires: self.expires.as_nanos(),
            idle_heartbeat: self.heartbeat().as_nanos(),
            group: self.pinned.then_some(PIN_GROUP),
            id: self.pin.as_deref(),
        };
        let subject = format!("$JS.API.CONSUMER.MSG.NEXT.{}.{}", self.stream, self.consumer);
        let now = BootInstant::now();
        let payload = to_json(&ask).map_err(|failure| failure.during(self.operation()))?;
        match self.api.send(subject, Some(self.inbox.clone()), None, payload).await {
            Ok(()) => {}
            // The connection is down for long: wait for it with the next try.
            Err(Failure::Unavailable(_)) => return Ok(()),
            Err(failure) => return Err(failure.during(self.operation())),
        }
        if !self.window.is_waiting() {
            self.heard = Instant::now();
        }
        self.window.asked(batch, now);
        Ok(())
    }

    fn sort(&mut self, message: async_nats::Message) {
        let returned = wire::server_number(&message, PENDING_MESSAGES).and_then(|n| usize::try_from(n).ok());
        match (status(&message), returned) {
            (None, _) => self.take(message),
            (Some(StatusCode::IDLE_HEARTBEAT), _) => {}
            (Some(StatusCode::PIN_ID_MISMATCH), returned) => {
                self.pin = None;
                match returned {
                    Some(count) => self.window.returned(count),
                    None => self.trouble = Some(Trouble::Lost),
                }
            }
            (Some(StatusCode::TIMEOUT | StatusCode::NOT_FOUND), Some(count)) => self.window.returned(count),
            (Some(status), _) => {
                tracing::debug!(consumer = self.consumer, %status, text = message.description, "pull refused");
                self.trouble = Some(Trouble::Refused { not_before: Instant::now() + REFUSED_PAUSE });
            }
        }
    }

    fn take(&mut self, message: async_nats::Message) {
        let Some(received) = wire::from_consumer(message) else {
            tracing::warn!(consumer = self.consumer, "what came is no delivery of a consumer");
            return;
        };
        let asked = self.window.received();
        if self.pinned && received.pin.is_some() {
            self.pin.clone_from(&received.pin);
        }
        self.ready.push_back((received, asked.map_or(self.quiet, |asked| asked.max(self.quiet))));
    }

    /// Takes what has already come.
    fn rescue(&mut self) {
        while let Some(Some(message)) = self.subscriber.next().now_or_never() {
            if status(&message).is_none() {
                self.take(message);
            }
        }
    }

    /// Gets out of trouble, if there is any.
    async fn mend(&mut self) -> Result<(), BusError> {
        while let Some(trouble) = self.trouble {
            if let Trouble::Refused { not_before } = trouble {
                sleep_until(not_before).await;
                let info = format!("CONSUMER.INFO.{}.{}", self.stream, self.consumer);
                match self.api.call::<IgnoredAny>(&info, &json!({})).await {
                    Ok(_) => {}
                    Err(failure) if is_gone(&failure) => {
                        let error = "the consumer was deleted".to_owned();
                        return Err(BusError::Unavailable { operation: self.operation(), error });
                    }
                    Err(_) => {
                        self.trouble = Some(Trouble::Refused { not_before: Instant::now() + REFUSED_PAUSE });
                        continue;
                    }
                }
            }
            self.renew().await?;
        }
        Ok(())
    }

    /// Begins anew on another inbox. The server drops requests whose inbox nobody listens to, so those from
    /// before cannot be served beside those that follow: never more comes than was allowed. What was on its way to
    /// the old inbox comes again after `ack_wait`.
    async fn renew(&mut self) -> Result<(), BusError> {
        let (inbox, subscriber) = open_inbox(&self.api).await?;
        self.rescue();
        (self.inbox, self.subscriber) = (inbox, subscriber);
        self.window.forget();
        self.trouble = None;
        Ok(())
    }

    fn operation(&self) -> String {
        format!("receive from consumer {} of {}", self.consumer, self.stream)
    }
}

async fn open_inbox(api: &Api) -> Result<(String, Subscriber), BusError> {
    let inbox = api.client.new_inbox();
    let subscriber = api.client.subscribe(inbox.clone()).await.map_err(|error| BusError::Unavailable {
        operation: "open an inbox".to_owned(),
        error: error.to_string(),
    })?;
    Ok((inbox, subscriber))
}
