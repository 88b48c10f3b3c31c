use async_nats::datetime;
use async_nats::jetstream::consumer::DeliverPolicy;
use chrono::{DateTime, SecondsFormat, Utc};
use futures::StreamExt as _;

use super::bus::NatsBus;
use super::reader::Reader;
use crate::bus::{Follow, From};
use crate::error::BusError;
use crate::topology::Stream;

impl NatsBus {
    pub(super) async fn read_along(
        &self,
        stream: Stream,
        filters: Vec<String>,
        from: From,
    ) -> Result<Follow, BusError> {
        let name = stream.name(&self.namespace);
        let operation = format!("read {name}");
        let begin = match from {
            From::Begin => DeliverPolicy::All,
            From::Time(time) => DeliverPolicy::ByStartTime { start_time: start_time(time, &operation)? },
            From::Now => DeliverPolicy::New,
        };
        let mut reader = Reader::new(self.api.clone(), name, filters, begin);
        reader.open().await.map_err(|failure| self.about_stream(failure, operation.clone()))?;
        let messages = futures::stream::unfold((reader, operation), |(mut reader, operation)| async move {
            let next = match reader.next().await {
                Ok(received) => Ok(received.map(|received| received.stored)),
                Err(failure) => Err(failure.during(operation.clone())),
            };
            Some((next, (reader, operation)))
        });
        Ok(messages.boxed())
    }
}

/// The time as the client takes it, within the years 1678 to 2262: the server counts nanoseconds from 1970 in 64
/// bits, and takes a later time for an early one.
fn start_time(time: DateTime<Utc>, operation: &str) -> Result<datetime::DateTime, BusError> {
    let bounds = [i64::MIN, i64::MAX].map(DateTime::from_timestamp_nanos);
    let text = time.clamp(bounds[0], bounds[1]).to_rfc3339_opts(SecondsFormat::Nanos, true);
    datetime::parse_rfc3339(&text).map_err(|error| BusError::Refused {
        operation: operation.to_owned(),
        error: format!("{text} is no time that a stream can be read from: {error}"),
    })
}
