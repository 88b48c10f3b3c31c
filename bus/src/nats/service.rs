use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_nats::StatusCode;
use async_nats::service::ServiceExt as _;
use bytes::Bytes;
use futures::StreamExt as _;
use serde::Deserialize;
use serde_json::Value;

use super::api::{Failure, status};
use super::bus::NatsBus;
use super::wire;
use crate::bus::{Report, Service, Subscription};
use crate::error::BusError;
use crate::health::Instance;

/// Says in the metadata of a service which namespace it belongs to: several meshes on one server share `$SRV`.
const NAMESPACE: &str = "mesh-namespace";
/// The endpoint of a service that says how its process is.
const STATE: &str = "state";
/// How long to listen for answers of services: nobody knows how many there are.
const GATHER: Duration = Duration::from_millis(500);

/// What of the answer to `$SRV.STATS` is looked at. It names no namespace, but the subjects of endpoints do.
#[derive(Deserialize)]
struct Stats {
    id: String,
    version: String,
    #[serde(default)]
    endpoints: Vec<Endpoint>,
}

#[derive(Deserialize)]
struct Endpoint {
    subject: String,
    #[serde(default)]
    data: Value,
}

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
        report: Report,
    ) -> Result<Service, BusError> {
        let refused = |error: async_nats::Error| BusError::Refused {
            operation: format!("announce service {name:?} version {version:?}"),
            error: error.to_string(),
        };
        let metadata = HashMap::from([(NAMESPACE.to_owned(), self.namespace.to_string())]);
        let builder = self.api.client.service_builder().description(description).metadata(metadata);
        let data = Arc::clone(&report);
        let builder = builder.stats_handler(move |_, _| data());
        let service = builder.start(name, version).await.map_err(refused)?;
        let endpoint = service.endpoint_builder().name(STATE).add(self.state_subject(name));
        let mut asked = endpoint.await.map_err(refused)?;
        let id = service.info().await.id;
        let service = Running(Some(service));
        // Ends with the service, which ends the endpoint.
        tokio::spawn(async move {
            while let Some(request) = asked.next().await {
                let answer = Bytes::from(report().to_string());
                if let Err(error) = request.respond(Ok(answer)).await {
                    tracing::debug!(%error, "a question about the state of this process was not answered");
                }
            }
        });
        if let Err(failure) = self.until_known().await {
            tracing::debug!(name, ?failure, "this process is visible as soon as the server answers");
        }
        Ok(Service::new(id, service))
    }

    /// Where a service of the namespace is asked how it is.
    fn state_subject(&self, name: &str) -> String {
        format!("{}.service.{STATE}.{name}", self.namespace)
    }

    pub(super) async fn running_instances(&self, name: &str) -> Result<Vec<Instance>, BusError> {
        let subject = format!("$SRV.STATS.{name}");
        let of_namespace = self.state_subject(name);
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
            let Ok(Stats { id, version, endpoints }) = serde_json::from_slice(&answer.payload) else {
                continue;
            };
            let state = endpoints.into_iter().find(|endpoint| endpoint.subject == of_namespace);
            instances.extend(state.map(|state| Instance { id, version, report: state.data }));
        }
        instances.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(instances)
    }

    pub(super) async fn listen(&self, filter: &str) -> Result<Subscription, BusError> {
        let operation = || format!("subscribe to {filter}");
        let refused = |error: String| BusError::Refused { operation: operation(), error };
        let subscriber =
            self.api.client.subscribe(filter.to_owned()).await.map_err(|error| refused(error.to_string()))?;
        self.until_known().await.map_err(|failure| failure.during(operation()))?;
        Ok(subscriber.map(wire::from_nats).boxed())
    }

    /// Waits until the server knows of every subscription that was made. It takes what a connection sends in order: an
    /// answer to anything that was sent later, be it that nobody is there to answer, says that it does.
    async fn until_known(&self) -> Result<(), Failure> {
        match self.api.request(self.api.client.new_inbox(), None, Bytes::new()).await {
            Ok(_) | Err(Failure::NoResponders) => Ok(()),
            Err(failure) => Err(failure),
        }
    }
}
