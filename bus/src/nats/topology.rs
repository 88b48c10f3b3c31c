//! Making and checking the streams of a namespace.

use std::collections::BTreeSet;
use std::time::Duration;

use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::stream::{Compression, Config, DiscardPolicy, Info, RetentionPolicy, StorageType};
use mesh_schemas::Shards;

use super::api::Failure;
use super::bus::NatsBus;
use super::consumer::Existing;
use super::kv;
use crate::error::BusError;
use crate::topology::{
    Bucket, GONE_AGENT_TTL, HISTORY_MAX_AGE, Limits, MAX_REQUEST_BYTES, NOTES_MAX_AGE, Stream, Tidying,
    Topology, janitor_consumer, relay_consumer, shard_consumer, timer_consumer,
};

/// How long a message id is remembered where histories are kept for longer: as long as servers do by default.
const DUPLICATE_WINDOW: Duration = Duration::from_secs(2 * 60);
/// Where the number of shards is written down: in the metadata of the stream that it cuts up.
const SHARDS_KEY: &str = "mesh-shards";
/// Where it is written down how often the servers force writes onto the disk, if that is `always`.
const SYNC_KEY: &str = "mesh-sync-interval";
const ALWAYS: &str = "always";

impl NatsBus {
    pub(super) async fn read_shards(&self) -> Result<Shards, BusError> {
        let stream = Stream::Events.name(&self.namespace);
        let operation = format!("read the settings of stream {stream}");
        let info =
            self.stream_info(&stream).await.map_err(|failure| self.about_stream(failure, operation))?;
        shards_of(&info.config)
    }

    pub(super) async fn make_namespace(&self, topology: &Topology) -> Result<(), BusError> {
        for stream in Stream::ALL {
            self.make_stream(self.stream_config(stream, topology), |found| {
                limit(stream, &topology.limits, found)
            })
            .await?;
        }
        for bucket in Bucket::ALL {
            self.make_stream(self.bucket_config(bucket, topology), |_| {}).await?;
        }
        if let Some(synced) = topology.synced {
            self.write_down(synced).await?;
        }
        self.make_stream(self.objects_config(topology), |_| {}).await?;
        self.ensure(&relay_consumer(&self.namespace), Existing::Update).await?;
        self.ensure(&timer_consumer(&self.namespace), Existing::Update).await?;
        for tidying in Tidying::ALL {
            self.ensure(&janitor_consumer(&self.namespace, tidying), Existing::Update).await?;
        }
        for shard in topology.shards.iter() {
            self.ensure(&shard_consumer(&self.namespace, shard), Existing::Update).await?;
        }
        Ok(())
    }

    /// Notes in the log's metadata whether the servers force each write onto the disk.
    async fn write_down(&self, synced: bool) -> Result<(), BusError> {
        let name = Stream::Events.name(&self.namespace);
        let failed = |failure: Failure| failure.during(format!("update stream {name}"));
        let mut config = self.stream_info(&name).await.map_err(failed)?.config;
        if is_synced(&config) == synced {
            return Ok(());
        }
        if synced {
            config.metadata.insert(SYNC_KEY.to_owned(), ALWAYS.to_owned());
        } else {
            config.metadata.remove(SYNC_KEY);
        }
        let updated = self.api.call::<Info>(&format!("STREAM.UPDATE.{name}"), &config).await;
        updated.map(drop).map_err(failed)
    }

    async fn make_stream(&self, wanted: Config, limit: impl Fn(&mut Config)) -> Result<(), BusError> {
        let name = wanted.name.clone();
        let operation = || format!("make stream {name}");
        let found = match self.stream_info(&name).await {
            Ok(info) => info.config,
            Err(failure) if failure.code() == Some(ErrorCode::STREAM_NOT_FOUND) => {
                match self.api.call::<Info>(&format!("STREAM.CREATE.{name}"), &wanted).await {
                    Ok(_) => return Ok(()),
                    // Somebody else made it meanwhile.
                    Err(failure) if failure.code() == Some(ErrorCode::STREAM_NAME_EXIST) => {
                        self.stream_info(&name).await.map_err(|failure| failure.during(operation()))?.config
                    }
                    Err(failure) if failure.code() == Some(ErrorCode::STREAM_SUBJECT_OVERLAP) => {
                        return Err(overlap(&name, self.namespace.as_str()));
                    }
                    Err(failure) => return Err(failure.during(operation())),
                }
            }
            Err(failure) => return Err(failure.during(operation())),
        };
        check(&wanted, &found)?;
        match update(&wanted, &found, limit) {
            None => Ok(()),
            Some(updated) => {
                let updated = self.api.call::<Info>(&format!("STREAM.UPDATE.{name}"), &updated).await;
                updated.map(drop).map_err(|failure| failure.during(format!("update stream {name}")))
            }
        }
    }

    pub(super) fn stream_config(&self, stream: Stream, topology: &Topology) -> Config {
        let mut config = Config {
            name: stream.name(&self.namespace),
            subjects: stream.subjects(&self.namespace, topology.shards),
            num_replicas: usize::from(topology.replicas.0),
            storage: StorageType::File,
            allow_direct: true,
            ..Config::default()
        };
        let description = match stream {
            Stream::Inbox => {
                config.retention = RetentionPolicy::WorkQueue;
                config.allow_message_schedules = true;
                config.allow_message_ttl = true;
                config.max_message_size = i32::try_from(MAX_REQUEST_BYTES).unwrap_or(i32::MAX);
                "Requests and timers of the mesh, until the relay has taken them"
            }
            Stream::Events => {
                one_message_each(&mut config);
                config.metadata.insert(SHARDS_KEY.to_owned(), topology.shards.count().to_string());
                "The log of the mesh: everything that runs are made of, each fact once"
            }
            Stream::Tasks => {
                one_message_each(&mut config);
                "Work for agents of the mesh"
            }
            Stream::Notes => {
                config.max_age = NOTES_MAX_AGE;
                "Advisory events of the mesh, kept for a while"
            }
            Stream::Dead => "Messages that the mesh could not deal with, with the reason",
            Stream::History => {
                config.max_age = topology.limits.history_age.unwrap_or(HISTORY_MAX_AGE);
                config.compression = Some(Compression::S2);
                "What happened in runs of the mesh that are over, kept for a while"
            }
        };
        config.max_bytes = limited_bytes(stream, &topology.limits).unwrap_or_default();
        config.description = Some(description.to_owned());
        config
    }

    pub(super) fn bucket_config(&self, bucket: Bucket, topology: &Topology) -> Config {
        let name = bucket.name(&self.namespace);
        let mut config = Config {
            name: kv::stream_of(&name),
            subjects: vec![format!("{}>", kv::prefix_of(&name))],
            num_replicas: usize::from(topology.replicas.0),
            storage: StorageType::File,
            max_messages_per_subject: 1,
            discard: DiscardPolicy::New,
            allow_rollup: true,
            deny_delete: true,
            allow_direct: true,
            ..Config::default()
        };
        let description = match bucket {
            Bucket::Workflows => "Workflow definitions of the mesh",
            Bucket::Agents => {
                config.allow_message_ttl = true;
                config.subject_delete_marker_ttl = Some(GONE_AGENT_TTL);
                "Agents of the mesh that are alive"
            }
        };
        config.description = Some(description.to_owned());
        config
    }
}

/// The bytes that a stream may take, if that is said; below 0 as many as there are.
fn limited_bytes(stream: Stream, limits: &Limits) -> Option<i64> {
    let bytes = match stream {
        Stream::Events | Stream::Tasks => limits.log_bytes,
        Stream::History => limits.history_bytes,
        Stream::Inbox | Stream::Notes | Stream::Dead => None,
    };
    bytes.map(|bytes| if bytes == 0 { -1 } else { i64::try_from(bytes).unwrap_or(i64::MAX) })
}

/// Gives a stream that is there the limits that are asked for.
fn limit(stream: Stream, limits: &Limits, config: &mut Config) {
    if let Some(bytes) = limited_bytes(stream, limits) {
        config.max_bytes = bytes;
    }
    if let (Stream::History, Some(age)) = (stream, limits.history_age) {
        config.max_age = age;
        // It may not be longer.
        config.duplicate_window = age.min(DUPLICATE_WINDOW);
    }
}

/// Whether it is the stream of histories, whose age is up to the operator.
fn is_history(config: &Config) -> bool {
    config.subjects.iter().any(|subject| subject.split('.').nth(1) == Some("history"))
}

/// A subject names one fact and is stored once; nothing is dropped to make room.
fn one_message_each(config: &mut Config) {
    config.max_messages_per_subject = 1;
    config.discard = DiscardPolicy::New;
    config.discard_new_per_subject = true;
}

/// Whether it is written down that the servers force each write onto the disk.
pub(super) fn is_synced(config: &Config) -> bool {
    config.metadata.get(SYNC_KEY).is_some_and(|interval| interval == ALWAYS)
}

pub(super) fn shards_of(config: &Config) -> Result<Shards, BusError> {
    let written = config.metadata.get(SHARDS_KEY);
    written.and_then(|count| Shards::new(count.parse().ok()?)).ok_or_else(|| BusError::Conflict {
        what: format!("stream {}", config.name),
        difference: match written {
            Some(count) => {
                format!("its metadata says {SHARDS_KEY} = {count:?}, which is no number of shards")
            }
            None => format!("its metadata has no {SHARDS_KEY}: it is not a stream of the mesh"),
        },
        mend: mend(),
    })
}

fn mend() -> String {
    "Use another namespace, or delete the stream if nothing in it is needed".to_owned()
}

fn overlap(name: &str, namespace: &str) -> BusError {
    BusError::Conflict {
        what: "a stream".to_owned(),
        difference: format!("its subjects overlap with those of {name}, which begin with {namespace:?}"),
        mend: "Use another namespace, or delete the other stream (`nats stream ls` shows them)".to_owned(),
    }
}

/// The settings of a stream that the mesh relies on, by name.
fn essentials(config: &Config) -> Vec<(&'static str, String)> {
    let mut essentials = vec![
        ("retention", format!("{:?}", config.retention)),
        ("storage", format!("{:?}", config.storage)),
        ("discard", format!("{:?}", config.discard)),
        ("discard_new_per_subject", config.discard_new_per_subject.to_string()),
        ("max_msgs_per_subject", config.max_messages_per_subject.max(0).to_string()),
        ("allow_direct", config.allow_direct.to_string()),
        ("allow_msg_schedules", config.allow_message_schedules.to_string()),
        ("allow_msg_ttl", config.allow_message_ttl.to_string()),
        ("subject_delete_marker_ttl", format!("{:?}", config.subject_delete_marker_ttl.unwrap_or_default())),
        ("sealed", config.sealed.to_string()),
        ("deny_delete", config.deny_delete.to_string()),
    ];
    if !is_history(config) {
        essentials.push(("max_age", format!("{:?}", config.max_age)));
    }
    if config.allow_message_schedules {
        // With a limit, the server may drop schedules that are not due yet.
        essentials.push(("max_msgs", config.max_messages.max(0).to_string()));
        essentials.push(("max_bytes", config.max_bytes.max(0).to_string()));
    }
    essentials
}

fn check(wanted: &Config, found: &Config) -> Result<(), BusError> {
    if wanted.metadata.contains_key(SHARDS_KEY) {
        let (ours, theirs) = (shards_of(wanted)?.count(), shards_of(found)?.count());
        if ours != theirs {
            return Err(BusError::Conflict {
                what: format!("stream {}", found.name),
                difference: format!("it has {theirs} shards, not {ours}"),
                mend: format!(
                    "The number of shards is fixed when a namespace is made: ask for {theirs} shards, or use \
                     another namespace"
                ),
            });
        }
    }
    match difference(wanted, found) {
        None => Ok(()),
        Some(difference) => {
            Err(BusError::Conflict { what: format!("stream {}", found.name), difference, mend: mend() })
        }
    }
}

/// How a stream differs from what the mesh relies on.
pub(super) fn difference(wanted: &Config, found: &Config) -> Option<String> {
    let mut differences: Vec<String> = essentials(wanted)
        .into_iter()
        .zip(essentials(found))
        .filter(|(wanted, found)| wanted != found)
        .map(|((name, wanted), (_, found))| format!("{name} is {found}, not {wanted}"))
        .collect();
    let subjects = |config: &Config| config.subjects.iter().cloned().collect::<BTreeSet<String>>();
    let (wanted, found) = (subjects(wanted), subjects(found));
    // An older version of the mesh has fewer, which are added, and a newer one more, which stay.
    if !wanted.is_subset(&found) && !found.is_subset(&wanted) {
        differences.push(format!("subjects is {found:?}, not {wanted:?}"));
    }
    (!differences.is_empty()).then(|| differences.join("; "))
}

/// The stream that is there with our description, all of our subjects, at least our number of copies and the limits that
/// are asked for, if that changes it. Other settings that an operator chose stay.
fn update(wanted: &Config, found: &Config, limit: impl Fn(&mut Config)) -> Option<Config> {
    let missing = wanted.subjects.iter().filter(|subject| !found.subjects.contains(subject));
    let mut updated = Config {
        description: wanted.description.clone(),
        subjects: found.subjects.iter().chain(missing).cloned().collect(),
        num_replicas: wanted.num_replicas.max(found.num_replicas),
        ..found.clone()
    };
    limit(&mut updated);
    (updated != *found).then_some(updated)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(shards: u32) -> Config {
        let mut config = Config { name: "MESH_EVENTS".to_owned(), num_replicas: 1, ..Config::default() };
        one_message_each(&mut config);
        config.metadata.insert(SHARDS_KEY.to_owned(), shards.to_string());
        config
    }

    #[test]
    fn another_number_of_shards_is_a_conflict_that_names_both() {
        let error = check(&log(8), &log(4)).expect_err("conflict").to_string();
        assert!(error.contains("it has 4 shards, not 8") && error.contains("ask for 4 shards"), "{error}");
        let foreign = Config { metadata: Default::default(), ..log(8) };
        assert!(
            check(&log(8), &foreign).expect_err("conflict").to_string().contains("not a stream of the mesh")
        );
    }

    #[test]
    fn every_difference_is_named() {
        let found = Config { max_messages_per_subject: -1, retention: RetentionPolicy::Interest, ..log(8) };
        let error = check(&log(8), &found).expect_err("conflict").to_string();
        assert!(error.contains("retention is Interest, not Limits"), "{error}");
        assert!(error.contains("max_msgs_per_subject is 0, not 1"), "{error}");
    }

    #[test]
    fn subjects_are_added_and_never_taken_away() {
        let with = |subjects: &[&str]| Config {
            subjects: subjects.iter().map(|subject| (*subject).to_owned()).collect(),
            ..log(8)
        };
        let (older, newer) = (with(&["a"]), with(&["a", "b"]));
        assert!(check(&newer, &older).is_ok() && check(&older, &newer).is_ok());
        assert_eq!(
            update(&newer, &older, |_| {}).map(|config| config.subjects),
            Some(newer.subjects.clone())
        );
        assert_eq!(update(&older, &newer, |_| {}), None);
        let error = check(&newer, &with(&["a", "c"])).expect_err("conflict").to_string();
        assert!(error.contains(r#"subjects is {"a", "c"}, not {"a", "b"}"#), "{error}");
    }

    #[test]
    fn copies_are_added_and_never_taken_away() {
        let three = Config { num_replicas: 3, ..log(8) };
        assert_eq!(update(&three, &log(8), |_| {}).map(|config| config.num_replicas), Some(3));
        assert_eq!(update(&log(8), &three, |_| {}), None);
    }
}
