use std::collections::HashMap;
use std::time::Duration;

use async_nats::StatusCode;
use async_nats::service::{PingResponse, ServiceExt as _};
use bytes::Bytes;
use futures::StreamExt as _;

use super::api::{Failure, status};
use super::bus::NatsBus;
use super::wire;
use crate::bus::{Service, Subscription};
use crate::error::BusError;
use crate::health::Instance;

/// Says in the metadata of a service which namespace it belongs to: several meshes on one server share `$SRV`.
const NAMESPACE: &str = "mesh-namespace";
/// How long to listen for answers of services: nobody knows how many there are.
const GATHER: Duration = Duration::from_millis(500);

/// Stops answering when it is dropped.
struct Running(Option<async_nats::service::Service>);

impl Drop for Running {
    fn drop(&mut self) {
        // Outside a runtime nothing answers any more anyway.
        if let (Some(service), Ok(runtime)) = (self.0.take(), tokio::runtime::Handle::try_current()) {
            runtime.spawn(async move {
                if let Err(error) = service.stop().await {
                    tracing::debug!(error, "the NATS service was not stopped");
                }
            });
        }
    }
}

impl NatsBus {
    pub(super) async fn start_service(
        &self,
        name: &str,
        version: &str,
        description: &str,
    ) -> Result<Service, BusError> {
        let metadata = HashMap::from([(NAMESPACE.to_owned(), self.namespace.to_string())]);
        let builder = self.api.client.service_builder().description(description).metadata(metadata);
        let service = builder.start(name, version).await.map_err(|error| BusError::Refused {
            operation: format!("announce service {name:?} version {version:?}"),
            error: error.to_string(),
        })?;
        Ok(Service::new(Running(Some(service))))
    }

    pub(super) async fn running_instances(&self, name: &str) -> Result<Vec<Instance>, BusError> {
        let subject = format!("$SRV.PING.{name}");
        let operation = || format!("ask who is there on {subject}");
        let inbox = self.api.client.new_inbox();
        let subscribed = self.api.client.subscribe(inbox.clone()).await;
        let mut answers = subscribed
            .map_err(|error| BusError::Unavailable { operation: operation(), error: error.to_string() })?;
        let asked = self.api.send(subject.clone(), Some(inbox), None, Bytes::new()).await;
        asked.map_err(|failure| failure.during(operation()))?;
        let mut instances = Vec::new();
        let until = tokio::time::Instant::now() + GATHER;
        while let Ok(Some(answer)) = tokio::time::timeout_at(until, answers.next()).await {
            if status(&answer) == Some(StatusCode::NO_RESPONDERS) {
                break;
            }
            let Ok(ping) = serde_json::from_slice::<PingResponse>(&answer.payload) else { continue };
            if ping.metadata.get(NAMESPACE).is_some_and(|there| there == self.namespace.as_str()) {
                instances.push(Instance { id: ping.id, version: ping.version });
            }
        }
        instances.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(instances)
    }

    pub(super) async fn listen(&self, filter: &str) -> Result<Subscription, BusError> {
        let operation = || format!("subscribe to {filter}");
        let refused = |error: String| BusError::Refused { operation: operation(), error };
        let subscriber =
            self.api.client.subscribe(filter.to_owned()).await.map_err(|error| refused(error.to_string()))?;
        // The server takes what a connection sends in order: an answer to anything that was sent later, be it
        // that nobody is there to answer, says that it knows of the subscription.
        match self.api.request(self.api.client.new_inbox(), None, Bytes::new()).await {
            Ok(_) | Err(Failure::NoResponders) => {}
            Err(failure) => return Err(failure.during(operation())),
        }
        Ok(subscriber.map(wire::from_nats).boxed())
    }
}
