use std::sync::Arc;

use mesh_bus::topology::agent_consumer;
use mesh_bus::{Bus, ConsumerSpec};
use mesh_schemas::{AgentId, Capability, Lane};
use tokio_util::sync::CancellationToken;

use crate::agent::Prepared;
use crate::cancel::Cancellations;
use crate::handler::Handler;
use crate::registry::source;
use crate::secret::Secrets;

/// What all executions of a capability have in common.
pub(crate) struct Common {
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) agent: AgentId,
    pub(crate) type_: String,
    /// `source` of the events of the agent.
    pub(crate) source: String,
    /// The consumer that its tasks come from.
    pub(crate) consumer: ConsumerSpec,
    pub(crate) handler: Arc<dyn Handler>,
    pub(crate) cancellations: Cancellations,
    /// Cancelled when the agent must end at once.
    pub(crate) abandon: CancellationToken,
    pub(crate) secrets: Secrets,
}

impl Common {
    pub(crate) fn new(
        bus: &Arc<dyn Bus>,
        agent: &Prepared,
        (capability, handler): (&Capability, &Arc<dyn Handler>),
        cancellations: &Cancellations,
    ) -> Arc<Self> {
        Arc::new(Self {
            bus: Arc::clone(bus),
            agent: agent.id.clone(),
            type_: agent.type_.clone(),
            source: source(&**bus, &agent.type_),
            consumer: agent_consumer(bus.namespace(), capability, &Lane::Normal),
            handler: Arc::clone(handler),
            cancellations: cancellations.clone(),
            abandon: CancellationToken::new(),
            secrets: agent.secrets.clone(),
        })
    }
}
