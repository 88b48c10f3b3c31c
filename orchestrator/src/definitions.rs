//! Definitions as they are kept on the bus: by name and content digest.

mod registry;
mod stored;

use std::sync::{Arc, Mutex, PoisonError};

use jsonschema::Validator;
use lru::LruCache;
use mesh_bus::topology::Bucket;
use mesh_bus::{Bus, BusError, Entry};
use mesh_core::Plan;
use mesh_schemas::document::{Format, Problem, Problems};
use mesh_schemas::{Capability, Definition, Digest, ErrorCode, MAX_DATA_DEPTH, WorkflowName, is_too_deep};
use serde_json::{Map, Value};

use crate::flights::Flights;

pub(crate) use stored::agents;

pub use registry::{Applied, ApplyError, Change, Registered, Version, all, apply, delete};

/// How many compiled definitions an orchestrator keeps, and how many tasks they have together: some 300 MB at most. More
/// are compiled again when they are needed.
const CACHED: (usize, usize) = (1_000, 200_000);

/// A definition that is ready to be followed.
#[derive(Debug)]
pub struct Known {
    /// The compiled definition.
    pub plan: Arc<Plan>,
    input: Option<Validator>,
}

impl Known {
    /// Makes a definition ready.
    ///
    /// # Errors
    /// [`Problems`]: everything that is wrong with it, without positions.
    pub fn compile(definition: &Definition) -> Result<Self, Problems> {
        Self::of(Plan::compile(definition).map_err(Problems)?)
    }

    fn of(plan: Plan) -> Result<Self, Problems> {
        let input = input_schema(&plan.definition).map_err(|problem| Problems(vec![problem]))?;
        Ok(Self { plan: Arc::new(plan), input })
    }

    /// Every reason why a request may not put these values in place of those of the workflow's `config`.
    #[must_use]
    pub fn config_errors(&self, overrides: Option<&Map<String, Value>>) -> Vec<String> {
        let Some(overrides) = overrides else { return Vec::new() };
        mesh_core::config_errors(self.plan.definition.config.as_ref(), overrides)
    }

    /// Every reason why a value is no input for the workflow.
    #[must_use]
    pub fn input_errors(&self, input: &Value) -> Vec<String> {
        let Some(schema) = &self.input else { return Vec::new() };
        schema
            .iter_errors(input)
            .map(|error| {
                let place = error.instance_path().to_string();
                if place.is_empty() { format!("input: {error}") } else { format!("input{place}: {error}") }
            })
            .collect()
    }
}

/// Why a value is no input for any workflow, if it is nested too deeply.
pub(crate) fn too_deep(input: &Value) -> Option<String> {
    is_too_deep(input)
        .then(|| format!("input: nested deeper than {MAX_DATA_DEPTH} levels of lists and objects"))
}

/// What a compiled definition is kept under.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    Workflow(Digest),
    Task(Capability),
}

/// The definitions of a namespace.
pub struct Definitions {
    bus: Arc<dyn Bus>,
    known: Mutex<Kept>,
    /// What is being read of the digests that new runs follow.
    latest: Flights<WorkflowName, (), Option<Digest>>,
}

/// Compiled definitions, those that were used last.
struct Kept {
    known: LruCache<Key, Arc<Known>>,
    /// Their tasks, in all.
    tasks: usize,
}

impl Kept {
    fn put(&mut self, key: Key, known: Arc<Known>) {
        self.tasks += known.plan.size;
        let before = self.known.push(key, known);
        self.tasks -= before.map_or(0, |(_, before)| before.plan.size);
        let (most, most_tasks) = CACHED;
        while (self.known.len() > most || self.tasks > most_tasks)
            && self.known.len() > 1
            && let Some((_, gone)) = self.known.pop_lru()
        {
            self.tasks -= gone.plan.size;
        }
    }
}

impl Definitions {
    /// The definitions on a bus.
    #[must_use]
    pub fn new(bus: Arc<dyn Bus>) -> Self {
        let known = Mutex::new(Kept { known: LruCache::unbounded(), tasks: 0 });
        Self { bus, known, latest: Flights::default() }
    }

    /// The digest that new runs of a workflow follow.
    ///
    /// # Errors
    /// [`BusError`] if the bus did not answer.
    pub async fn latest(&self, name: &WorkflowName) -> Result<Option<Digest>, BusError> {
        let (bus, key) = (Arc::clone(&self.bus), name.to_string());
        let read = |_| async move {
            let entry = bus.get(Bucket::Workflows, &key).await?;
            Ok(entry.as_ref().and_then(digest_in))
        };
        self.latest.read(name, (), read).await
    }

    /// Whether a workflow has a version of that digest.
    pub(crate) async fn has(&self, name: &WorkflowName, digest: &Digest) -> Result<bool, BusError> {
        Ok(self.bus.get(Bucket::Workflows, &stored::key(name, digest)).await?.is_some())
    }

    /// A definition that this process has in memory.
    pub(crate) fn at_hand(&self, digest: &Digest) -> Option<Arc<Known>> {
        self.cached(&Key::Workflow(digest.clone()))
    }

    /// A definition by name and digest; `None` if it is not there or is written for a newer mesh than this.
    ///
    /// # Errors
    /// [`BusError`] if the bus did not answer, or the object that holds a large definition is gone.
    pub async fn get(&self, name: &WorkflowName, digest: &Digest) -> Result<Option<Arc<Known>>, BusError> {
        let key = Key::Workflow(digest.clone());
        if let Some(known) = self.cached(&key) {
            return Ok(Some(known));
        }
        let entry = self.bus.get(Bucket::Workflows, &stored::key(name, digest)).await?;
        let Some(entry) = entry else { return Ok(None) };
        let Some(content) = stored::content(&*self.bus, entry.value).await? else { return Ok(None) };
        let size = content.len();
        let compile = move || {
            let definition: Definition = serde_json::from_slice(&content).ok()?;
            Known::of(Plan::of(definition).ok()?).ok()
        };
        let known = stored::aside(size, compile).await.flatten();
        Ok(known.filter(|known| known.plan.digest == *digest).map(|known| self.keep(key, known)))
    }

    /// The definition that a directly requested task runs by.
    #[must_use]
    pub fn single_task(&self, capability: &Capability) -> Option<Arc<Known>> {
        let key = Key::Task(capability.clone());
        self.cached(&key).or_else(|| {
            Known::compile(&Definition::single_task(capability)).ok().map(|known| self.keep(key, known))
        })
    }

    fn cached(&self, key: &Key) -> Option<Arc<Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).known.get(key).cloned()
    }

    fn keep(&self, key: Key, known: Known) -> Arc<Known> {
        let known = Arc::new(known);
        self.known.lock().unwrap_or_else(PoisonError::into_inner).put(key, Arc::clone(&known));
        known
    }
}

/// Reads and checks a definition.
///
/// # Errors
/// [`Problems`]: everything that is wrong with it, with positions.
pub fn check(text: &str, format: Format) -> Result<Definition, Problems> {
    let schema = |definition: &Definition| input_schema(definition).err().into_iter().collect();
    mesh_core::check(text, format, schema).map(|(definition, _)| definition)
}

/// The digest that the entry of a workflow's name holds.
fn digest_in(entry: &Entry) -> Option<Digest> {
    std::str::from_utf8(&entry.value).ok()?.parse().ok()
}

/// What the schema of schemas does not say as plainly.
fn hint(path: &str) -> &'static str {
    if path.is_empty() {
        "; write an object, such as {type: object}"
    } else if path.ends_with("/type") {
        "; a type is array, boolean, integer, null, number, object or string"
    } else {
        ""
    }
}

fn input_schema(definition: &Definition) -> Result<Option<Validator>, Problem> {
    let Some(schema) = &definition.input else { return Ok(None) };
    jsonschema::draft202012::options().build(schema).map(Some).map_err(|error| Problem {
        code: ErrorCode::InvalidSchema,
        path: format!("input{}", error.instance_path().as_str().replace('/', ".")),
        position: None,
        message: format!(
            "not a valid JSON Schema (2020-12): {error}{}",
            hint(error.instance_path().as_str())
        ),
    })
}

#[cfg(test)]
mod tests;
