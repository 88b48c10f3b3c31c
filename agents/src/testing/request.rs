use std::future::IntoFuture;
use std::pin::Pin;
use std::sync::Arc;

use mesh_bus::{Target, submit};
use mesh_schemas::RequestId;
use serde_json::{Map, Value};

use super::execution::SOURCE;
use super::inner::Inner;
use super::mesh::workflow;
use super::run::Run;
use super::served::nobody;

/// A request for a run, which is made when it is awaited.
#[must_use = "a request is made when it is awaited"]
pub struct Request {
    mesh: Arc<Inner>,
    target: Option<Target>,
    input: Value,
    config: Option<Map<String, Value>>,
    id: Option<String>,
    correlation_id: Option<String>,
    to_its_end: bool,
}

impl Request {
    pub(super) fn new(mesh: Arc<Inner>, target: Option<Target>, input: Value, to_its_end: bool) -> Self {
        Self { mesh, target, input, config: None, id: None, correlation_id: None, to_its_end }
    }

    /// For this workflow, where the mesh has several.
    ///
    /// # Panics
    /// If the mesh has no workflow of that name.
    #[track_caller]
    pub fn of(mut self, name: &str) -> Self {
        match workflow(&self.mesh, Some(name)) {
            Ok(name) => self.target = Some(Target::Workflow(name)),
            Err(wrong) => panic!("{wrong}"),
        }
        self
    }

    /// Under this id: requests with the same id start one run. Without it, each starts one of its own.
    pub fn with_id(mut self, id: &str) -> Self {
        self.id = Some(id.to_owned());
        self
    }

    /// With this in place of a value of the workflow's `config`.
    pub fn with_config(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.config.get_or_insert_default().insert(key.to_owned(), value.into());
        self
    }

    /// What the requester calls the whole piece of work.
    pub fn correlation_id(mut self, id: &str) -> Self {
        self.correlation_id = Some(id.to_owned());
        self
    }
}

impl IntoFuture for Request {
    type Output = Run;
    type IntoFuture = Pin<Box<dyn Future<Output = Run> + Send>>;

    #[track_caller]
    fn into_future(self) -> Self::IntoFuture {
        let Self { mesh, target, input, config, id, correlation_id, to_its_end } = self;
        let target = match target.map_or_else(|| workflow(&mesh, None).map(Target::Workflow), Ok) {
            Ok(target) => target,
            Err(wrong) => panic!("{wrong}"),
        };
        let served = match &target {
            Target::Workflow(workflow) => mesh.check_served(workflow),
            Target::Task(capability) if mesh.is_served(capability) => Ok(()),
            Target::Task(capability) => Err(nobody(capability)),
        };
        if let Err(wrong) = served {
            panic!("{wrong}");
        }
        let id = id.unwrap_or_else(|| mesh.number().to_string());
        let id = RequestId { source: SOURCE.to_owned(), id };
        let request =
            mesh_bus::Request { config, correlation_id, ..mesh_bus::Request::new(target, id, input) };
        Box::pin(make(mesh, request, to_its_end))
    }
}

async fn make(mesh: Arc<Inner>, request: mesh_bus::Request, to_its_end: bool) -> Run {
    if let Err(error) = mesh.get_ready().await {
        panic!("{error}");
    }
    let workflow = match &request.target {
        Target::Workflow(workflow) => Some(workflow.clone()),
        Target::Task(_) => None,
    };
    match submit(&*mesh.bus, &request).await {
        Ok(id) => {
            let run = Run::new(mesh, id, workflow);
            if to_its_end {
                run.ended().await;
            }
            run
        }
        Err(error) => panic!("the run cannot be asked for: {error}"),
    }
}
