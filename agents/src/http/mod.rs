//! Tasks done by an HTTP service: one request for each.

mod answer;
mod client;
mod error;
mod headers;
mod retry_after;
mod runner;
mod service;

pub use error::HttpError;
pub use service::Http;
