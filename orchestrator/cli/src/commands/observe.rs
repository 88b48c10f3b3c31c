use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::Arc;

use clap::Args;
use mesh_orchestrator::Outlook;
use mesh_schemas::ErrorCode;
use mesh_telemetry::{DEFAULT_ADDRESS, Endpoint};
use tracing::warn;

use crate::failure::Failure;

/// Where a process tells how it is.
#[derive(Args, Clone, Copy)]
pub(crate) struct Observe {
    /// Where to tell metrics and health (/metrics, /healthz, /readyz): an address with a port, or `off` [default:
    /// 127.0.0.1:9464 for orchestrators, off for agents]
    #[arg(long, env = "MESH_OBSERVE", value_name = "ADDRESS")]
    observe: Option<Place>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Off,
    At(SocketAddr),
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "off" {
            return Ok(Self::Off);
        }
        let address = text.parse().map(Self::At);
        address.map_err(|_| {
            "write an IP address with a port, such as 127.0.0.1:9464 or 0.0.0.0:9464, or off".to_owned()
        })
    }
}

impl Observe {
    /// Where an agent tells how it is, if anywhere.
    pub(crate) fn address(self) -> Option<SocketAddr> {
        match self.observe {
            Some(Place::At(address)) => Some(address),
            Some(Place::Off) | None => None,
        }
    }

    /// Opens the endpoint of an orchestrator, unless it is off. Where nothing is said, it is not needed so much that the
    /// orchestrator would not run without.
    pub(crate) async fn open(self, outlook: &Outlook) -> Result<Option<Endpoint>, Failure> {
        let (address, is_chosen) = match self.observe {
            Some(Place::Off) => return Ok(None),
            Some(Place::At(address)) => (Some(address), true),
            None => (DEFAULT_ADDRESS.parse().ok(), false),
        };
        let Some(address) = address else { return Ok(None) };
        let told = outlook.clone();
        let problems = Arc::new(move || told.problems());
        match mesh_telemetry::serve("mesh", address, problems).await {
            Ok(endpoint) => Ok(Some(endpoint)),
            Err(error) if is_chosen => {
                let message = format!("metrics and health cannot be told at {address}: {error}");
                Err(Failure::new(ErrorCode::NoEndpoint, message))
            }
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
                warn!(
                    "another process has {address}: metrics and health are not told; `--observe` chooses another address"
                );
                Ok(None)
            }
            Err(error) => {
                warn!(%error, "metrics and health are not told at {address}");
                Ok(None)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_port() {
        assert_eq!("off".parse(), Ok(Place::Off));
        assert_eq!("0.0.0.0:1".parse(), Ok(Place::At(SocketAddr::from(([0, 0, 0, 0], 1)))));
        assert!("[::1]:9464".parse::<Place>().is_ok());
        for wrong in ["", "on", "9464", ":9464", "127.0.0.1", "localhost:9464"] {
            assert!(wrong.parse::<Place>().is_err(), "{wrong}");
        }
    }
}
