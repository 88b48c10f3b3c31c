//! What the tests of the whole mesh share.

mod server;

pub use server::{TestServer, server_binary, signal};
