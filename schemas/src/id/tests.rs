use proptest::prelude::*;
use uuid::Uuid;

use super::{Attempt, Digest, RUN_NAMESPACE, RequestId, RunId, Shards};

fn request(source: &str, id: &str) -> RequestId {
    RequestId { source: source.to_owned(), id: id.to_owned() }
}

/// Other implementations compute run ids too, so these values must never change.
#[test]
fn the_run_of_a_request_is_fixed_for_good() {
    assert_eq!(RUN_NAMESPACE, Uuid::new_v5(&Uuid::NAMESPACE_DNS, b"mesh.run"));
    let onboarding = request("https://crm.example/merchants", "merchant-0042");
    let run = RunId::for_request("workflow.merchant-onboarding", &onboarding, Shards::default());
    assert_eq!(run.to_string(), "5.fa73b0a5-7d76-5fdd-bcb6-9e4ba3ef9fed");
    let risk = RunId::for_request("task.risk", &request("/crm", "Ä-1"), Shards::default());
    assert_eq!(risk.to_string(), "3.b39cbb2d-29ea-5277-b88b-e91e0df5504b");
}

#[test]
fn a_run_id_has_one_spelling() {
    let uuid = "2b6f7e0c-5a54-5d0e-9f0a-6c1d2f3b4a5e";
    let good = format!("3.{uuid}");
    assert_eq!(good.parse::<RunId>().map(|run| run.to_string()).as_deref(), Ok(good.as_str()));
    let bad = [
        String::new(),
        "3".to_owned(),
        uuid.to_owned(),
        format!("03.{uuid}"),
        format!("+3.{uuid}"),
        format!("-1.{uuid}"),
        format!("64.{uuid}"),
        format!("4294967296.{uuid}"),
        format!("3.{}", uuid.to_uppercase()),
        format!("3.{}", uuid.replace('-', "")),
        format!("3.{{{uuid}}}"),
        format!("3.{uuid}.1"),
    ];
    for text in bad {
        assert_eq!(text.parse::<RunId>().expect_err(&text).what, "run id");
    }
}

#[test]
fn there_are_1_to_64_shards() {
    assert_eq!(Shards::new(0), None);
    assert_eq!(Shards::new(65), None);
    assert_eq!(Shards::new(64).map(Shards::count), Some(64));
    assert_eq!(Shards::default().iter().collect::<Vec<_>>(), [0, 1, 2, 3, 4, 5, 6, 7]);
}

#[test]
fn attempts_count_from_one() {
    assert_eq!("1".parse(), Ok(Attempt::FIRST));
    assert_eq!(Attempt::FIRST.next().to_string(), "2");
    for text in ["", "0", "01", "+1", "-1", "1.0", "4294967296"] {
        assert_eq!(text.parse::<Attempt>().expect_err(text).what, "attempt");
    }
    let last: Attempt = "4294967295".parse().expect("in range");
    assert_eq!(last.next(), last);
}

#[test]
fn a_digest_is_sha_256_in_hex() {
    let digest = Digest::of(b"abc");
    assert_eq!(digest.hex(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_eq!(digest.as_str().parse(), Ok(digest.clone()));
    for text in [digest.hex(), "sha256:", "sha256:ba78", &digest.as_str().to_uppercase(), "md5:00"] {
        assert_eq!(text.parse::<Digest>().expect_err(text).what, "digest");
    }
    assert!(serde_json::from_str::<Digest>("\"sha256:12\"").is_err());
}

proptest! {
    #[test]
    fn every_request_has_a_run_in_range(source in ".*", id in ".*", count in 1..=Shards::MAX) {
        let shards = Shards::new(count).expect("in range");
        let run = RunId::for_request("workflow.a", &request(&source, &id), shards);
        prop_assert!(run.shard() < count);
        prop_assert_eq!(run, RunId::for_request("workflow.a", &request(&source, &id), shards));
        prop_assert_ne!(run.uuid(), RunId::for_request("task.a", &request(&source, &id), shards).uuid());
        prop_assert_eq!(run.to_string().parse(), Ok(run));
    }
}
