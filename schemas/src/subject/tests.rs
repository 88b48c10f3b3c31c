use proptest::prelude::*;
use proptest::sample::select;
use uuid::Uuid;

use super::{AgentVerb, PauseVerb, Subject, SubjectError, TaskKey, TaskVerb, WorkflowVerb};
use crate::{Attempt, Lane, Namespace, RunId, Shards, Timer};

const UUID: &str = "2b6f7e0c-5a54-5d0e-9f0a-6c1d2f3b4a5e";

fn parse(text: &str) -> Result<Subject, SubjectError> {
    Subject::parse(&Namespace::default(), text)
}

fn name<T: for<'a> TryFrom<&'a str, Error = crate::NameError> + std::fmt::Debug>() -> impl Strategy<Value = T>
{
    "[a-z0-9_][a-z0-9_-]{0,63}".prop_map(|text| T::try_from(&text).expect("the pattern is that of names"))
}

fn task() -> impl Strategy<Value = crate::TaskId> {
    "[a-z][a-z0-9_]{0,20}(:[1-9][0-9]{0,8})?"
        .prop_map(|text| text.parse().expect("the pattern is that of tasks"))
}

fn attempt() -> impl Strategy<Value = Attempt> {
    (1..=u32::MAX).prop_map(|number| number.to_string().parse().expect("at least 1"))
}

fn run() -> impl Strategy<Value = RunId> {
    (0..Shards::MAX, any::<u128>()).prop_map(|(shard, uuid)| {
        format!("{shard}.{}", Uuid::from_u128(uuid)).parse().expect("a shard and a uuid")
    })
}

fn lane() -> impl Strategy<Value = Lane> {
    prop_oneof![Just(Lane::High), Just(Lane::Normal), Just(Lane::Low), name().prop_map(Lane::To)]
}

fn timer() -> impl Strategy<Value = Timer> {
    prop_oneof![
        Just(Timer::Deadline),
        Just(Timer::Finally),
        (task(), attempt()).prop_map(|(task, after)| Timer::Retry { task, after })
    ]
}

fn key() -> impl Strategy<Value = TaskKey> {
    (name(), lane(), run(), task(), attempt()).prop_map(|(capability, lane, run, task, attempt)| TaskKey {
        capability,
        lane,
        run,
        task,
        attempt,
    })
}

fn workflow() -> impl Strategy<Value = Option<crate::WorkflowName>> {
    proptest::option::of(name())
}

fn subject() -> impl Strategy<Value = Subject> {
    prop_oneof![
        name().prop_map(|workflow| Subject::WorkflowRequested { workflow }),
        (name(), key()).prop_map(|(workflow, key)| {
            let TaskKey { run, task, attempt, .. } = key;
            Subject::Called { workflow, run, task, attempt }
        }),
        name().prop_map(|capability| Subject::TaskRequested { capability }),
        (select(WorkflowVerb::ALL), workflow(), run()).prop_map(|(verb, workflow, run)| Subject::Workflow {
            verb,
            workflow,
            run
        }),
        (workflow(), run(), name(), name()).prop_map(|(workflow, run, signal, id)| Subject::Signalled {
            workflow,
            run,
            signal,
            id
        }),
        (workflow(), run(), any::<u64>()).prop_map(|(workflow, run, upto)| Subject::Checkpointed {
            workflow,
            run,
            upto
        }),
        (select(TaskVerb::ALL), key()).prop_map(|(verb, key)| Subject::Task { verb, key }),
        (key(), any::<u64>()).prop_map(|(key, delivery)| Subject::TaskAssigned { key, delivery }),
        (key(), any::<u64>()).prop_map(|(key, delivery)| Subject::TaskReleased { key, delivery }),
        (run(), any::<bool>(), any::<u64>()).prop_map(|(run, paused, number)| Subject::Pause {
            verb: if paused { PauseVerb::Paused } else { PauseVerb::Resumed },
            workflow: None,
            run,
            number,
        }),
        (run(), task(), attempt()).prop_map(|(run, task, attempt)| Subject::TaskRouted {
            run,
            task,
            attempt
        }),
        (run(), timer()).prop_map(|(run, timer)| Subject::TimerSet { run, timer }),
        (run(), timer()).prop_map(|(run, timer)| Subject::TimerDue { run, timer }),
        (run(), timer()).prop_map(|(run, timer)| Subject::TimerFired { run, timer }),
        (select(AgentVerb::ALL), name()).prop_map(|(verb, agent)| Subject::Agent { verb, agent }),
        (workflow(), any::<u128>())
            .prop_map(|(name, id)| Subject::RequestRejected { name, id: Uuid::from_u128(id) }),
        (name(), name()).prop_map(|(stream, reason)| Subject::Dead { stream, reason }),
        (workflow(), select(WorkflowVerb::ALL), run())
            .prop_map(|(workflow, outcome, run)| Subject::History { workflow, outcome, run }),
        (workflow(), select(WorkflowVerb::ALL), run())
            .prop_map(|(workflow, outcome, run)| Subject::LateHistory { workflow, outcome, run }),
    ]
}

proptest! {
    #[test]
    fn what_is_written_is_read(namespace in name::<Namespace>(), subject in subject()) {
        let text = subject.render(&namespace);
        prop_assert_eq!(Subject::parse(&namespace, &text), Ok(subject));
    }

    #[test]
    fn a_subject_has_one_spelling(text in "mesh(\\.(-|[a-z]{1,2}|task|workflow|requested|[0-9]{1,2})){1,5}") {
        if let Ok(subject) = parse(&text) {
            prop_assert_eq!(subject.render(&Namespace::default()), text);
        }
    }

    #[test]
    fn the_type_is_the_first_words(subject in subject()) {
        let text = subject.render(&Namespace::default());
        let start = format!("mesh.{}.", subject.event_type());
        prop_assert!(text.starts_with(&start), "{} begins with {}", text, start);
    }

    #[test]
    fn a_run_is_two_tokens_at_one_place(subject in subject()) {
        let text = subject.render(&Namespace::default());
        let tokens: Vec<_> = text.split('.').collect();
        let at = if matches!(subject, Subject::History { .. }) { 4 } else { 5 };
        if let Some(run) = subject.run() {
            prop_assert_eq!(tokens[at..at + 2].join("."), run.to_string());
        }
    }

    #[test]
    fn any_text_is_read_without_panic(text in "(mesh\\.)?.*") {
        let _ = parse(&text);
    }
}

#[test]
fn another_namespace_is_told_from_an_unknown_kind() {
    for text in
        ["", "mesh", "other.task.requested.risk", "meshes.task.requested.risk", "Mesh.task.requested.risk"]
    {
        assert!(matches!(parse(text), Err(SubjectError::Namespace { .. })), "{text}");
    }
    let unknown = [
        "mesh.".to_owned(),
        "mesh.task".to_owned(),
        "mesh.task.requested".to_owned(),
        "mesh.task.requested.risk.more".to_owned(),
        "mesh.workflow.requested.a.b".to_owned(),
        "mesh.nothing.known.here".to_owned(),
        format!("mesh.workflow.begun.a.-.3.{UUID}"),
        format!("mesh.workflow.started.a.normal.3.{UUID}"),
        format!("mesh.workflow.signalled.a.-.3.{UUID}.cancel"),
        format!("mesh.task.done.risk.normal.3.{UUID}.a.1"),
        format!("mesh.task.created.risk.normal.3.{UUID}.a"),
        format!("mesh.task.assigned.risk.normal.3.{UUID}.a.1.x"),
        format!("mesh.task.assigned.risk.normal.3.{UUID}.a.1.01"),
        format!("mesh.task.released.risk.normal.3.{UUID}.a.1"),
        format!("mesh.task.assigned.risk.normal.3.{UUID}.a.1.1.1.1.1"),
        format!("mesh.timer.stopped.-.-.3.{UUID}.deadline"),
        format!("mesh.agent.moved.{UUID}"),
        "mesh.request.rejected.a.no-uuid".to_owned(),
        format!("mesh.request.rejected.a.{}", UUID.to_uppercase()),
    ];
    for text in unknown {
        assert!(matches!(parse(&text), Err(SubjectError::Unknown { .. })), "{text}");
    }
}

#[test]
fn a_wrong_token_is_named() {
    let wrong = [
        ("mesh.workflow.requested.A".to_owned(), "workflow name"),
        ("mesh.task.requested.".to_owned(), "capability"),
        ("mesh.workflow.requested.-".to_owned(), "workflow name"),
        (format!("mesh.workflow.started.a.-.x.{UUID}"), "run id"),
        (format!("mesh.workflow.started.a.-.03.{UUID}"), "run id"),
        ("mesh.workflow.started.a.-.3.uuid".to_owned(), "run id"),
        (format!("mesh.task.completed.risk.urgent.3.{UUID}.a.1"), "lane"),
        (format!("mesh.task.completed.risk.normal.3.{UUID}.A.1"), "task id"),
        (format!("mesh.task.completed.risk.normal.3.{UUID}.a.0"), "attempt"),
        (format!("mesh.timer.fired.-.-.3.{UUID}.soon"), "timer"),
        ("mesh.agent.registered.-".to_owned(), "agent id"),
        ("mesh.dead.Events.malformed".to_owned(), "signal id"),
    ];
    for (text, what) in wrong {
        match parse(&text) {
            Err(SubjectError::Token { subject, source }) => assert_eq!((subject, source.what), (text, what)),
            other => panic!("{text} gave {other:?}"),
        }
    }
}

#[test]
fn an_outcome_is_published_where_the_work_came_from() {
    let text = format!("mesh.task.created.risk.normal.3.{UUID}.assess_risk.2");
    let Ok(Subject::Task { verb: TaskVerb::Created, key }) = parse(&text) else { panic!("{text} is work") };
    let outcome = key.subject(TaskVerb::Completed).render(&Namespace::default());
    assert_eq!(outcome, text.replace("created", "completed"));
}

#[test]
fn the_run_of_a_subject_is_known_whatever_its_kind() {
    let namespace = Namespace::default();
    let run: RunId = "3.0190a1b2-0000-7000-8000-000000000001".parse().expect("a run");
    for subject in [format!("mesh.task.mended.risk.normal.{run}.t.1"), format!("mesh.workflow.x.y.-.{run}")] {
        assert_eq!(Subject::run_of(&namespace, &subject), Some(run), "{subject}");
    }
    for subject in ["mesh.workflow.requested.x", "other.task.a.b.c.d.e", "mesh.a.b.c.d.0.x"] {
        assert_eq!(Subject::run_of(&namespace, subject), None, "{subject}");
    }
}
