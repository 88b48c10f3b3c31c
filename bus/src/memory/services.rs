//! Processes that others can see.

use super::connection::MemoryBus;
use super::server::MemoryServer;
use crate::bus::{Report, Service};
use crate::error::BusError;
use crate::health::Instance;

/// A process that others can see.
#[derive(Clone)]
pub(super) struct Process {
    name: String,
    version: String,
    report: Report,
}

impl std::fmt::Debug for Process {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Process").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Takes a service back when it is dropped.
struct Announced {
    server: MemoryServer,
    place: (u64, u64),
}

impl Drop for Announced {
    fn drop(&mut self) {
        self.server.lock().services.remove(&self.place);
    }
}

impl MemoryBus {
    pub(super) async fn start_service(
        &self,
        name: &str,
        version: &str,
        report: Report,
    ) -> Result<Service, BusError> {
        let operation = || format!("announce service {name:?} version {version:?}");
        let refused = |error: &str| BusError::Refused { operation: operation(), error: error.to_owned() };
        if !is_name(name) {
            return Err(refused("a name is made of letters, digits, - and _"));
        }
        if !is_version(version) {
            return Err(refused("a version is one of semver.org, such as 1.2.3"));
        }
        let place = self
            .ask(operation, |state| {
                let place = (self.line.connection, state.number());
                let announced = Process { name: name.to_owned(), version: version.to_owned(), report };
                state.services.insert(place, announced);
                Ok(place)
            })
            .await?;
        let id = id_of(name, place);
        Ok(Service::new(id, Announced { server: self.server.clone(), place }))
    }

    pub(super) async fn running_instances(&self, name: &str) -> Result<Vec<Instance>, BusError> {
        let operation = || format!("ask who is there as {name:?}");
        self.ask(operation, |state| {
            let named = state.services.iter().filter(|(_, process)| process.name == name);
            Ok(named.map(|(place, process)| (*place, process.clone())).collect::<Vec<_>>())
        })
        .await
        .map(|named| {
            // Reports are made without the lock: a process may look at the bus for its own.
            let instance = |(place, Process { name, version, report }): (_, Process)| Instance {
                id: id_of(&name, place),
                version,
                report: report(),
            };
            let mut instances: Vec<Instance> = named.into_iter().map(instance).collect();
            instances.sort_by(|a, b| a.id.cmp(&b.id));
            instances
        })
    }
}

fn id_of(name: &str, (_, number): (u64, u64)) -> String {
    format!("{name}-{number}")
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

/// Whether a text is a version by semver.org, which NATS asks for.
fn is_version(text: &str) -> bool {
    let identifiers = |text: &str| {
        let is_one = |part: &str| {
            !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        };
        text.split('.').all(is_one)
    };
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let leads_with_zero = |text: &str| is_number(text) && text.len() > 1 && text.starts_with('0');
    let (text, build) = text.split_once('+').map_or((text, None), |(text, build)| (text, Some(build)));
    let (core, pre) = text.split_once('-').map_or((text, None), |(core, pre)| (core, Some(pre)));
    let is_core = |part: &str| !part.is_empty() && is_number(part) && !leads_with_zero(part);
    core.split('.').count() == 3
        && core.split('.').all(is_core)
        && pre.is_none_or(|pre| identifiers(pre) && !pre.split('.').any(leads_with_zero))
        && build.is_none_or(identifiers)
}

#[cfg(test)]
mod tests {
    use super::is_version;

    #[test]
    fn versions_are_those_of_semver() {
        for version in ["0.0.0", "1.2.30", "1.0.0-rc.1", "1.0.0-0a+b7.-", "1.0.0+001"] {
            assert!(is_version(version), "{version}");
        }
        for version in
            ["", "1", "1.2", "1.2.3.4", "01.2.3", "1.2.x", "1.2.3-", "1.2.3-01", "1.2.3+", "v1.2.3"]
        {
            assert!(!is_version(version), "{version}");
        }
    }
}
