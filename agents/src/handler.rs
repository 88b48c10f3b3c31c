use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;

use mesh_schemas::payload::{TaskCreated, code};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::context::Context;
use crate::failure::TaskFailure;
use crate::secret::Redactor;

/// Result of a raw handler: the output, and what else there is to say of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Output {
    pub(crate) output: Value,
    pub(crate) quality: Option<f64>,
    pub(crate) usage: Option<Value>,
}

impl Output {
    /// A result.
    #[must_use]
    pub fn new(output: Value) -> Self {
        Self { output, quality: None, usage: None }
    }

    /// How good the result is, from 0 to 1.
    #[must_use]
    pub fn quality(mut self, quality: f64) -> Self {
        self.quality = Some(quality.clamp(0.0, 1.0));
        self
    }

    /// What the work consumed.
    #[must_use]
    pub fn usage(mut self, usage: Value) -> Self {
        self.usage = Some(usage);
        self
    }
}

impl Output {
    /// The same without secrets.
    pub(crate) fn redacted(self, redactor: &Redactor) -> Self {
        let Self { output, quality, usage } = self;
        Self { output: redactor.value(output), quality, usage: usage.map(|usage| redactor.value(usage)) }
    }
}

pub(crate) type Handling = Pin<Box<dyn Future<Output = Result<Output, TaskFailure>> + Send>>;
pub(crate) type Settling<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// What does the work, whatever form it was given in.
pub(crate) trait Handler: Send + Sync {
    fn handle(&self, context: Context, task: TaskCreated) -> Handling;

    /// Waits until nothing is left of handlers that were dropped. A stopping agent awaits it last of all.
    fn settled(&self) -> Settling<'_> {
        Box::pin(std::future::ready(()))
    }
}

/// A handler of the task as it came.
pub(crate) struct Raw<H>(pub(crate) H);

impl<H, F> Handler for Raw<H>
where
    H: Fn(Context, TaskCreated) -> F + Send + Sync,
    F: Future<Output = Result<Output, TaskFailure>> + Send + 'static,
{
    fn handle(&self, context: Context, task: TaskCreated) -> Handling {
        Box::pin((self.0)(context, task))
    }
}

/// A handler of the input, read into a type, whose result is written as JSON.
pub(crate) struct Typed<H, I>(pub(crate) H, pub(crate) PhantomData<fn(I)>);

impl<H, I, O, F> Handler for Typed<H, I>
where
    H: Fn(Context, I) -> F + Send + Sync,
    I: DeserializeOwned,
    O: Serialize,
    F: Future<Output = Result<O, TaskFailure>> + Send + 'static,
{
    fn handle(&self, context: Context, task: TaskCreated) -> Handling {
        match I::deserialize(task.input) {
            Err(error) => {
                let message = format!("the input is not what this agent takes: {error}");
                Box::pin(std::future::ready(Err(TaskFailure::fatal(code::INVALID_INPUT, message))))
            }
            Ok(input) => {
                let handling = (self.0)(context, input);
                Box::pin(async move {
                    let output = serde_json::to_value(handling.await?).map_err(|error| {
                        TaskFailure::fatal(code::INVALID_OUTPUT, format!("the result is not JSON: {error}"))
                    })?;
                    Ok(Output::new(output))
                })
            }
        }
    }
}
