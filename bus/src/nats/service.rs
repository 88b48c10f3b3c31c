use async_nats::service::ServiceExt as _;
use futures::StreamExt as _;

use super::api::Failure;
use super::bus::NatsBus;
use super::wire;
use crate::bus::{Service, Subscription};
use crate::error::BusError;

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
        let builder = self.api.client.service_builder().description(description);
        let service = builder.start(name, version).await.map_err(|error| BusError::Refused {
            operation: format!("announce service {name:?} version {version:?}"),
            error: error.to_string(),
        })?;
        Ok(Service::new(Running(Some(service))))
    }

    pub(super) async fn listen(&self, filter: &str) -> Result<Subscription, BusError> {
        let operation = || format!("subscribe to {filter}");
        let refused = |error: String| BusError::Refused { operation: operation(), error };
        let subscriber =
            self.api.client.subscribe(filter.to_owned()).await.map_err(|error| refused(error.to_string()))?;
        // The server takes what a connection sends in order: an answer to anything that was sent later, be it
        // that nobody is there to answer, says that it knows of the subscription.
        match self.api.request(self.api.client.new_inbox(), None, bytes::Bytes::new()).await {
            Ok(_) | Err(Failure::NoResponders) => {}
            Err(failure) => return Err(failure.during(operation())),
        }
        Ok(subscriber.map(wire::from_nats).boxed())
    }
}
