//! Logs written by hand.

use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use mesh_core::{Event, Fact, Run};
use mesh_schemas::{
    Attempt, Capability, Digest, Headers, Lane, Message, Namespace, RULES_VERSION, RequestId, RunId, Shards,
    StoredMessage, Subject, TaskId, TaskKey, TaskVerb, Timer, WorkflowVerb,
};
use mesh_simulation::interpreter::{End, Expected, Found, interpret};
use mesh_simulation::workload::{Body, Expression, Group, Recovery, Retry, Task, Template, Work, Workflow};
use serde_json::{Value, json};

use crate::world::{note, plan};

pub(crate) fn id(task: &str) -> TaskId {
    task.parse().expect("a task id")
}

pub(crate) fn key(task: &str, attempt: &str) -> (TaskId, Attempt) {
    (id(task), attempt.parse().expect("an attempt"))
}

pub(crate) fn capability(name: &str) -> Capability {
    name.parse().expect("a capability")
}

pub(crate) fn output(task: &str) -> Expression {
    Expression::Output(id(task))
}

/// Work with exact pauses of 1 s, 2 s, 4 s…
pub(crate) fn work() -> Work {
    let retry = Retry { jitter: Some(0.0), ..Retry::default() };
    Work { retry: Some(retry), ..Work::new(capability("c")) }
}

/// A task that is such work, and needs others.
pub(crate) fn task(needs: &[&str]) -> Task {
    doing(needs, work())
}

pub(crate) fn doing(needs: &[&str], work: Work) -> Task {
    Task { needs: needs.iter().map(|need| id(need)).collect(), ..Task::of(Body::Work(work)) }
}

/// Work that is given the value of an expression.
pub(crate) fn given(expression: Expression) -> Work {
    Work { with: Some(Template::Whole(expression)), ..work() }
}

pub(crate) fn group<const N: usize>(tasks: [(&str, Task); N], output: Option<Expression>) -> Body {
    let tasks = tasks.into_iter().map(|(task, what)| (id(task), what)).collect();
    Body::Group(Group { tasks, output: output.map(Template::Whole) })
}

/// A workflow and the log of a run of it: one event a second, each with its place.
pub(crate) struct Log {
    pub(crate) workflow: Workflow,
    pub(crate) run: RunId,
    pub(crate) log: Vec<StoredMessage>,
}

impl Log {
    pub(crate) fn of<const N: usize>(tasks: [(&str, Task); N]) -> Self {
        let name = Some("w".parse().expect("a name"));
        let tasks = tasks.into_iter().map(|(task, what)| (id(task), what)).collect();
        let request = RequestId { source: "test".to_owned(), id: "1".to_owned() };
        let run = RunId::for_request("workflow.w", &request, Shards::default());
        Self {
            workflow: Workflow {
                name,
                tasks,
                output: None,
                timeout: None,
                recovery: Recovery::Fail,
                finally: None,
            },
            run,
            log: Vec::new(),
        }
    }

    pub(crate) fn started<const N: usize>(tasks: [(&str, Task); N]) -> Self {
        Self::of(tasks).start(json!({ "n": 1 }))
    }

    pub(crate) fn start(self, input: Value) -> Self {
        self.start_with(input, json!({}))
    }

    /// A run whose beginning has more members.
    pub(crate) fn start_with(self, input: Value, more: Value) -> Self {
        let name = self.workflow.name.clone();
        let subject = Subject::Workflow { verb: WorkflowVerb::Started, workflow: name, run: self.run };
        let mut data = json!({
            "digest": Digest::of(b""),
            "rules": RULES_VERSION,
            "input": input,
            "request": { "source": "test", "id": "1" },
            "capability": "c",
        });
        if let (Value::Object(data), Value::Object(mut more)) = (&mut data, more) {
            data.append(&mut more);
        }
        self.event(&subject, &data)
    }

    pub(crate) fn event(self, subject: &Subject, data: &Value) -> Self {
        self.message(subject, data.to_string())
    }

    pub(crate) fn message(mut self, subject: &Subject, body: impl Into<Bytes>) -> Self {
        let subject = subject.render(&Namespace::default());
        let message = Message { subject, headers: Headers::new(), payload: body.into() };
        let sequence = self.log.len() as u64 + 1;
        let time = self.time(self.log.len());
        self.log.push(StoredMessage { message, sequence, time });
        self
    }

    pub(crate) fn time(&self, place: usize) -> DateTime<Utc> {
        let begin = DateTime::from_timestamp(1_700_000_000, 0).expect("a time");
        begin + TimeDelta::seconds(i64::try_from(place).expect("a small number"))
    }

    pub(crate) fn outcome(&self, verb: TaskVerb, task: &str, attempt: &str) -> Subject {
        let (task, attempt) = key(task, attempt);
        let capability = capability("c");
        TaskKey { capability, lane: Lane::Normal, run: self.run, task, attempt }.subject(verb)
    }

    pub(crate) fn completed(self, task: &str, attempt: &str, output: Value) -> Self {
        let subject = self.outcome(TaskVerb::Completed, task, attempt);
        self.event(&subject, &json!({ "output": output }))
    }

    /// An attempt whose agent says how good its output is.
    pub(crate) fn rated(self, task: &str, output: Value, quality: f64) -> Self {
        let subject = self.outcome(TaskVerb::Completed, task, "1");
        self.event(&subject, &json!({ "output": output, "quality": quality }))
    }

    pub(crate) fn failed(self, task: &str, attempt: &str, error: Value) -> Self {
        let subject = self.outcome(TaskVerb::Failed, task, attempt);
        self.event(&subject, &json!({ "error": error }))
    }

    /// Fails with an error that another attempt may not meet.
    pub(crate) fn busy(self, task: &str, attempt: &str) -> Self {
        self.failed(task, attempt, json!({ "code": "busy", "message": "" }))
    }

    pub(crate) fn fatal(self, task: &str, attempt: &str) -> Self {
        self.failed(task, attempt, json!({ "code": "no", "message": "", "retryable": false }))
    }

    pub(crate) fn fired(self, timer: Timer) -> Self {
        let subject = Subject::TimerFired { run: self.run, timer };
        self.event(&subject, &json!({}))
    }

    pub(crate) fn cancelled(self, body: &'static str) -> Self {
        let name = self.workflow.name.clone();
        let (signal, id) = ("cancel".parse().expect("a signal"), "1".parse().expect("an id"));
        let subject = Subject::Signalled { workflow: name, run: self.run, signal, id };
        self.message(&subject, body)
    }

    /// A signal, of which each has its own id.
    pub(crate) fn told(self, signal: &str, data: &Value) -> Self {
        let name = self.workflow.name.clone();
        let (signal, id) = (signal.parse().expect("a signal"), self.log.len().to_string());
        let id = id.parse().expect("an id");
        let subject = Subject::Signalled { workflow: name, run: self.run, signal, id };
        self.event(&subject, data)
    }

    /// What follows from the log, which is what the fold decides too.
    pub(crate) fn expected(&self) -> Expected {
        let expected =
            interpret(&Namespace::default(), &self.workflow, &self.log).expect("the run has begun");
        assert_eq!(expected.differences(&self.log, &self.found()), Vec::<String>::new());
        expected
    }

    /// What the fold decides.
    pub(crate) fn found(&self) -> Found {
        let (plan, mut found) = (Arc::new(plan(&self.workflow)), Found::default());
        let mut run: Option<Run> = None;
        for event in self.log.iter().filter_map(|stored| Event::read(&Namespace::default(), stored).ok()) {
            let step = match (&mut run, &event.fact) {
                (Some(run), _) => run.apply(&event),
                (None, Fact::Started(started)) => {
                    let (begun, step) = Run::start(&event, started, Arc::clone(&plan));
                    run = Some(begun);
                    step
                }
                (None, _) => continue,
            };
            step.decisions.into_iter().for_each(|decision| note(&mut found, decision));
        }
        found
    }

    /// The place that an attempt follows from, and its input.
    pub(crate) fn created(&self, task: &str, attempt: &str) -> Option<(usize, Value)> {
        let created = self.expected().created.remove(&key(task, attempt));
        created.map(|decided| (decided.at, decided.what.input))
    }

    /// The place that the run's end follows from, and how it ends; whether another run may go better, the reports tell.
    pub(crate) fn end(&self) -> Option<(usize, End)> {
        let end = self.expected().end.map(|decided| (decided.at, decided.what.end));
        end.map(|(at, end)| match end {
            End::Failed { code, task, .. } => (at, End::Failed { code, task, retryable: false }),
            end => (at, end),
        })
    }

    pub(crate) fn given_up(&self) -> Vec<(String, usize, &'static str)> {
        let given_up = self.expected().given_up;
        given_up.iter().map(|((task, _), decided)| (task.to_string(), decided.at, decided.what)).collect()
    }

    /// When the pause after an attempt ends at least and at most, in milliseconds behind the event that it follows from.
    pub(crate) fn pause(&self, task: &str, attempt: &str) -> Option<(i64, i64)> {
        let (task, after) = key(task, attempt);
        let timer = self.expected().timers.remove(&Timer::Retry { task, after })?;
        let behind = |time: &DateTime<Utc>| (*time - self.time(timer.at)).num_milliseconds();
        Some((behind(timer.what.0.start()), behind(timer.what.0.end())))
    }
}

pub(crate) fn retry_timer(task: &str, attempt: &str) -> Timer {
    let (task, after) = key(task, attempt);
    Timer::Retry { task, after }
}

pub(crate) fn failed(code: &str, task: Option<&str>) -> End {
    End::Failed { code: code.to_owned(), task: task.map(id), retryable: false }
}
