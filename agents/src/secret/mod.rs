//! Secrets that tasks refer to: the agent puts them in just before the work is done, and takes them out of what it says.

mod put;
mod redact;
mod source;

pub(crate) use redact::Redactor;
#[cfg(unix)]
pub(crate) use source::PREFIX;
pub use source::Secrets;
