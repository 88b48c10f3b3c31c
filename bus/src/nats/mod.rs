//! The bus on NATS JetStream. Needs a server of 2.14 or later.

mod api;
mod backlog;
mod batch;
mod bus;
mod connect;
mod consumer;
pub mod floor;
mod follow;
mod health;
mod kv;
mod objects;
mod observe;
mod options;
mod publish;
mod pull;
mod read;
mod reader;
mod remove;
mod service;
pub mod settings;
mod topology;
mod window;
mod wire;

pub use bus::NatsBus;
pub use connect::{NEEDED, is_new_enough};
pub use observe::{Settlement, Word};
pub use options::{Auth, ConnectOptions, DEFAULT_URL};
pub use settings::{ConnectSettings, SettingsError};
