//! What the streams of a namespace took.

use mesh_bus::Bus as _;
use mesh_bus::nats::NatsBus;
use mesh_bus::topology::Stream;
use serde_json::json;

/// What was stored in all streams since they were made.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Written {
    /// Messages, also those that are gone.
    pub(super) messages: f64,
    /// Bytes of those that are there.
    pub(super) bytes: f64,
}

impl Written {
    /// How much it is by now.
    pub(super) async fn by(bus: &NatsBus) -> anyhow::Result<Self> {
        let mut all = Self::default();
        for stream in Stream::ALL {
            let name = stream.name(bus.namespace());
            let info = bus.jetstream(&format!("STREAM.INFO.{name}"), &json!({})).await?;
            let number = |name: &str| info["state"][name].as_f64().unwrap_or_default();
            all.messages += number("last_seq");
            all.bytes += number("bytes");
        }
        Ok(all)
    }
}
