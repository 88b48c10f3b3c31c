use std::collections::BTreeSet;
use std::time::Duration;

use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::consumer::IntoConsumerConfig as _;
use async_nats::jetstream::consumer::{self, AckPolicy, PriorityPolicy, pull};
use async_nats::{Client, Subject};
use async_trait::async_trait;
use bytes::Bytes;
use serde_json::json;

use super::api::Failure;
use super::bus::NatsBus;
use super::pull::Pull;
use super::wire::Received;
use crate::clock::BootInstant;
use crate::consume::{Acker, ConsumerSpec, Deliveries, Delivery, Flow};
use crate::error::BusError;

/// Group that the receivers of a pinned consumer belong to.
pub(super) const PIN_GROUP: &str = "orchestrator";
/// Requests that may wait at one consumer: one or two for each agent process of a large deployment.
const MAX_WAITING: i64 = 4_096;
/// How long an acknowledgement may wait for the connection before it is given up: the message comes again anyway.
const ACK_WAIT: Duration = Duration::from_secs(1);

/// The pinning of the receiver that has a pinned consumer.
pub(super) fn pin_of(info: consumer::Info) -> Option<String> {
    let mut pins = info.priority_groups.into_iter().filter_map(|group| group.pinned_client_id);
    pins.find(|pin| !pin.is_empty())
}

/// What to do with a consumer that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Existing {
    /// Take it as it is, if it delivers the same messages.
    Keep,
    /// Give it the limits that are asked for, and the filters that it lacks.
    Update,
}

/// Whether the server says that a consumer, or its stream, does not exist.
pub(super) fn is_gone(failure: &Failure) -> bool {
    matches!(
        failure.code(),
        Some(
            ErrorCode::CONSUMER_NOT_FOUND | ErrorCode::CONSUMER_DOES_NOT_EXIST | ErrorCode::STREAM_NOT_FOUND
        )
    )
}

impl NatsBus {
    /// Makes a consumer if it is not there. Returns how long a message may stay unacknowledged, which may be another time
    /// than is asked for where the consumer is taken as it is.
    pub(super) async fn ensure(&self, spec: &ConsumerSpec, existing: Existing) -> Result<Duration, BusError> {
        let stream = spec.stream.name(&self.namespace);
        let operation = format!("make consumer {} of {stream}", spec.name);
        let info = format!("CONSUMER.INFO.{stream}.{}", spec.name);
        let wanted = config(spec);
        let config = match self.api.call::<consumer::Info>(&info, &json!({})).await {
            Ok(found) if existing == Existing::Keep => {
                check(spec, &wanted, &found.config)?;
                return Ok(found.config.ack_wait);
            }
            Ok(found) => {
                let widened = widened(&found.config, &wanted);
                check(spec, &wanted, &widened)?;
                let updated = update(&widened, &wanted).unwrap_or(widened);
                if updated == found.config {
                    return Ok(found.config.ack_wait);
                }
                updated
            }
            Err(failure) if failure.code() == Some(ErrorCode::CONSUMER_NOT_FOUND) => wanted,
            Err(failure) => return Err(self.about_stream(failure, operation)),
        };
        // Creating one that is there with the same settings succeeds, so that two may do it at once.
        let create = format!("CONSUMER.CREATE.{stream}.{}", spec.name);
        let arguments = json!({ "stream_name": stream, "config": config });
        let made = self.api.call::<consumer::Info>(&create, &arguments).await;
        made.map(|made| made.config.ack_wait).map_err(|failure| self.about_stream(failure, operation))
    }

    pub(super) async fn receive(
        &self,
        spec: &ConsumerSpec,
        flow: Flow,
    ) -> Result<Box<dyn Deliveries>, BusError> {
        let ack_wait = self.ensure(spec, Existing::Keep).await?;
        let stream = spec.stream.name(&self.namespace);
        let (name, pinned) = (spec.name.clone(), spec.pinned.is_some());
        let pull = Pull::start(self.api.clone(), stream, name, ack_wait, pinned, flow).await?;
        Ok(Box::new(NatsDeliveries { client: self.api.client.clone(), pull, ack_wait }))
    }

    pub(super) async fn last_delivered(&self, spec: &ConsumerSpec) -> Result<u64, BusError> {
        let info = self.look_at_consumer(spec).await?;
        Ok(info.map_or(0, |info| info.delivered.stream_sequence))
    }

    pub(super) async fn last_settled(&self, spec: &ConsumerSpec) -> Result<u64, BusError> {
        let info = self.look_at_consumer(spec).await?;
        Ok(info.map_or(0, |info| info.ack_floor.stream_sequence))
    }

    async fn look_at_consumer(&self, spec: &ConsumerSpec) -> Result<Option<consumer::Info>, BusError> {
        let stream = spec.stream.name(&self.namespace);
        let info = format!("CONSUMER.INFO.{stream}.{}", spec.name);
        match self.api.call::<consumer::Info>(&info, &json!({})).await {
            Ok(info) => Ok(Some(info)),
            Err(failure) if failure.code() == Some(ErrorCode::CONSUMER_NOT_FOUND) => Ok(None),
            Err(failure) => Err(self.about_stream(failure, format!("look at consumer {}", spec.name))),
        }
    }

    /// The failure of an operation on one of our streams: if the stream is not there, the namespace is not.
    pub(super) fn about_stream(&self, failure: Failure, operation: String) -> BusError {
        if failure.code() == Some(ErrorCode::STREAM_NOT_FOUND) {
            BusError::NotSetUp(self.namespace.to_string())
        } else {
            failure.during(operation)
        }
    }
}

pub(super) fn config(spec: &ConsumerSpec) -> consumer::Config {
    let (filter_subject, filter_subjects) = match spec.filters.as_slice() {
        [one] => (one.clone(), Vec::new()),
        many => (String::new(), many.to_vec()),
    };
    let (priority_policy, priority_groups, priority_timeout) = match spec.pinned {
        Some(timeout) => (PriorityPolicy::PinnedClient, vec![PIN_GROUP.to_owned()], timeout),
        None => (PriorityPolicy::None, Vec::new(), Duration::ZERO),
    };
    pull::Config {
        durable_name: Some(spec.name.clone()),
        name: Some(spec.name.clone()),
        ack_policy: AckPolicy::Explicit,
        ack_wait: spec.ack_wait,
        max_ack_pending: i64::from(spec.max_ack_pending),
        max_deliver: -1,
        max_waiting: MAX_WAITING,
        filter_subject,
        filter_subjects,
        priority_policy,
        priority_groups,
        priority_timeout,
        ..Default::default()
    }
    .into_consumer_config()
}

pub(super) fn filters(config: &consumer::Config) -> BTreeSet<&str> {
    let one = Some(config.filter_subject.as_str()).filter(|filter| !filter.is_empty());
    one.into_iter().chain(config.filter_subjects.iter().map(String::as_str)).collect()
}

/// How a consumer delivers other messages than ours would, or in another way.
pub(super) fn difference(wanted: &consumer::Config, found: &consumer::Config) -> Option<String> {
    Some(if filters(wanted) != filters(found) {
        format!("it delivers {:?}, not {:?}", filters(found), filters(wanted))
    } else if found.ack_policy != AckPolicy::Explicit || found.deliver_subject.is_some() {
        "it is not a pull consumer with explicit acknowledgement".to_owned()
    } else if wanted.priority_policy != found.priority_policy
        || wanted.priority_groups != found.priority_groups
    {
        format!("its priority policy is {:?}, not {:?}", found.priority_policy, wanted.priority_policy)
    } else {
        return None;
    })
}

fn check(spec: &ConsumerSpec, wanted: &consumer::Config, found: &consumer::Config) -> Result<(), BusError> {
    let Some(difference) = difference(wanted, found) else { return Ok(()) };
    Err(BusError::Conflict {
        what: format!("consumer {} of the stream of {}", spec.name, spec.stream.short_name()),
        difference,
        mend: "Delete the consumer; it is made anew and begins with the oldest message that is kept"
            .to_owned(),
    })
}

/// The consumer that is there with our filters, if it was made by an older mesh that has only some of them.
fn widened(found: &consumer::Config, wanted: &consumer::Config) -> consumer::Config {
    let has = filters(found);
    if has.is_empty() || !has.is_subset(&filters(wanted)) {
        return found.clone();
    }
    consumer::Config {
        filter_subject: wanted.filter_subject.clone(),
        filter_subjects: wanted.filter_subjects.clone(),
        ..found.clone()
    }
}

/// The consumer that is there with our limits, if they differ.
fn update(found: &consumer::Config, wanted: &consumer::Config) -> Option<consumer::Config> {
    let updated = consumer::Config {
        ack_wait: wanted.ack_wait,
        max_ack_pending: wanted.max_ack_pending,
        max_deliver: wanted.max_deliver,
        priority_timeout: wanted.priority_timeout,
        ..found.clone()
    };
    (updated != *found).then_some(updated)
}

struct NatsDeliveries {
    client: Client,
    pull: Pull,
    ack_wait: Duration,
}

impl NatsDeliveries {
    fn delivery(&self, message: Received, received: BootInstant) -> Delivery {
        let Received { stored, place, pin, reply } = message;
        Delivery {
            stored,
            consumer_sequence: place.consumer_sequence,
            delivered: place.delivered,
            pin,
            received,
            ack_wait: self.ack_wait,
            acker: Box::new(NatsAcker { client: self.client.clone(), reply }),
        }
    }
}

#[async_trait]
impl Deliveries for NatsDeliveries {
    async fn next(&mut self) -> Result<Delivery, BusError> {
        let (message, received) = self.pull.next().await?;
        Ok(self.delivery(message, received))
    }

    fn request(&mut self, more: usize) {
        self.pull.window.allow(more);
    }

    async fn drain(&mut self) -> Vec<Delivery> {
        let messages = self.pull.stop().await;
        messages.into_iter().map(|(message, received)| self.delivery(message, received)).collect()
    }
}

impl Drop for NatsDeliveries {
    /// Hands back what is here unseen, so that others need not wait for it until `ack_wait` is over.
    fn drop(&mut self) {
        let unseen = self.pull.leftovers();
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        if !unseen.is_empty() {
            let client = self.client.clone();
            runtime.spawn(async move {
                for (received, _) in unseen {
                    NatsAcker { client: client.clone(), reply: received.reply }.nak(Duration::ZERO).await;
                }
            });
        }
    }
}

#[derive(Debug)]
struct NatsAcker {
    client: Client,
    reply: Subject,
}

impl NatsAcker {
    async fn send(&self, answer: Bytes) {
        let sent = self.client.publish(self.reply.clone(), answer);
        if !matches!(tokio::time::timeout(ACK_WAIT, sent).await, Ok(Ok(()))) {
            tracing::debug!(subject = %self.reply, "an acknowledgement was not sent: the message comes again");
        }
    }
}

#[async_trait]
impl Acker for NatsAcker {
    async fn ack(&self) {
        self.send(Bytes::from_static(b"+ACK")).await;
    }

    async fn nak(&self, pause: Duration) {
        let answer = if pause.is_zero() {
            Bytes::from_static(b"-NAK")
        } else {
            Bytes::from(format!("-NAK {{\"delay\":{}}}", pause.as_nanos()))
        };
        self.send(answer).await;
    }

    async fn progress(&self) {
        self.send(Bytes::from_static(b"+WPI")).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::{relay_consumer, shard_consumer};

    #[test]
    fn a_consumer_like_ours_is_taken_and_another_refused() {
        let namespace = mesh_schemas::Namespace::default();
        let (shard, relay) = (shard_consumer(&namespace, 3), relay_consumer(&namespace));
        assert!(check(&shard, &config(&shard), &config(&shard)).is_ok());
        assert!(check(&shard, &config(&shard), &config(&shard_consumer(&namespace, 4))).is_err());
        let unpinned = ConsumerSpec { pinned: None, ..shard.clone() };
        assert!(check(&shard, &config(&shard), &config(&unpinned)).is_err());
        let reordered =
            ConsumerSpec { filters: relay.filters.iter().rev().cloned().collect(), ..relay.clone() };
        assert!(check(&relay, &config(&relay), &config(&reordered)).is_ok());
    }

    #[test]
    fn filters_are_added_and_never_taken_away() {
        let relay = config(&relay_consumer(&mesh_schemas::Namespace::default()));
        let first = relay.filter_subjects[..1].to_vec();
        let fewer = consumer::Config { filter_subjects: first, ..relay.clone() };
        assert_eq!(filters(&widened(&fewer, &relay)), filters(&relay));
        assert_eq!(widened(&relay, &fewer), relay);
    }

    #[test]
    fn only_limits_are_updated() {
        let shard = shard_consumer(&mesh_schemas::Namespace::default(), 0);
        let slower = ConsumerSpec { ack_wait: Duration::from_secs(9), ..shard.clone() };
        assert_eq!(update(&config(&shard), &config(&shard)), None);
        let updated = update(&config(&slower), &config(&shard)).map(|config| config.ack_wait);
        assert_eq!(updated, Some(shard.ack_wait));
    }
}
