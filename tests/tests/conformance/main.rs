//! What the mesh relies on in a bus, tried on every implementation of [`mesh_bus::Bus`].
//!
//! NATS is the truth: where the buses differ, the other one is wrong. What only NATS has, such as users and other clients'
//! streams, is in the target `bus`. The list of everything that is relied on, with the tests that pin it, is in `tests/README.md`.

/// Makes a test for each bus of each of these functions, on a server of its own. The clock of those in memory is paused:
/// it jumps to the next moment at which something happens.
macro_rules! on_every_bus {
    ($($name:ident),+ $(,)?) => {
        mod nats {
            $(
                #[tokio::test]
                async fn $name() -> anyhow::Result<()> {
                    super::$name(&crate::server::Nats::start()?).await
                }
            )+
        }

        mod memory {
            $(
                #[tokio::test(start_paused = true)]
                async fn $name() -> anyhow::Result<()> {
                    super::$name(&crate::server::Memory::start()).await
                }
            )+
        }
    };
}

mod consume;
mod facts;
mod flow;
mod follow;
mod health;
mod inbox;
mod keep;
mod keys;
mod leave;
mod letters;
mod notify;
mod objects;
mod outage;
mod pinned;
mod read;
mod redeliver;
mod refused;
mod remove;
mod requests;
mod schedule;
mod server;
mod set_up;
mod support;
mod table;
mod watch;
