//! Users that may not publish on a subject: whoever needs it says so and goes on trying, and when the user may,
//! everything goes on by itself.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use mesh_bus::topology::Stream;
use mesh_bus::{Bus as _, Role};
use mesh_orchestrator::{OrchestratorReport, SERVICE};
use mesh_tests::{Process, World, patiently};

use crate::support::{Configured, Folder, Mesh};

/// What an orchestrator cannot do without: with a subject that it then asks in vain for, and how the run shows it.
const ORCHESTRATOR: [&str; 9] = [
    "NS.workflow.started.>",
    "NS.task.created.>",
    "NS.timer.set.>",
    "NS.workflow.completed.>",
    "$JS.API.CONSUMER.MSG.NEXT.NS_INBOX.relay",
    "$JS.API.CONSUMER.MSG.NEXT.NS_EVENTS.>",
    "$JS.API.DIRECT.GET.KV_NS_WORKFLOWS",
    "$JS.ACK.NS_EVENTS.>",
    "$JS.ACK.NS_INBOX.>",
];

/// What an agent cannot do without.
const AGENT: [&str; 3] =
    ["NS.task.completed.>", "$JS.API.CONSUMER.MSG.NEXT.NS_TASKS.>", "$JS.ACK.NS_TASKS.>"];

/// A server with a user for each part, of whom one may not publish on a subject.
fn configuration(of: &str, denied: &str) -> String {
    let user = |name: &str| {
        let deny = if name == of { format!("{denied:?}") } else { String::new() };
        format!(
            "{{ user: {name}, password: {name}, permissions: {{ publish: {{ deny: [{deny}] }}, subscribe: \">\" }} }}"
        )
    };
    let users = ["orchestrator", "agent", "client"].map(user).join("\n");
    format!("authorization {{ users: [\n{users}\n] }}")
}

/// A connection as one of the users.
fn url(url: &str, user: &str) -> String {
    url.replace("nats://", &format!("nats://{user}:{user}@"))
}

/// A mesh whose orchestrator and agent are users of their own.
struct Users {
    folder: Folder,
    configured: Configured,
    mesh: Mesh,
    orchestrator: Process,
    agent: Process,
}

impl Users {
    /// With an orchestrator that is told so.
    async fn with(arguments: &[&str]) -> Result<Self> {
        let folder = Folder::new()?;
        let configured = Configured::start(&folder, &configuration("nobody", "-"))?;
        let server = configured.server.url();
        let world = World::on(&url(&server, "client")).await?;
        let logged = |user: &str, arguments: &[&str]| {
            let (namespace, bus) = (world.namespace.clone(), world.bus.clone());
            let as_user = World { url: url(&server, user), namespace, bus };
            let log = folder.path(&format!("{user}.log"));
            Process::logged(&as_user, &mesh_tests::mesh_binary()?, arguments, &log)
        };
        let orchestrator = logged("orchestrator", &[&["orchestrator"], arguments].concat())?;
        let agent = logged("agent", &["agent", "exec", "--capability", "work", "--", "cat"])?;
        let mesh = Mesh::with(world, Folder::new()?).await?;
        let run = mesh.start(0).await?;
        mesh.completes(run, 0).await?;
        Ok(Self { folder, configured, mesh, orchestrator, agent })
    }

    /// A subject as it is in this namespace.
    fn own(&self, subject: &str) -> String {
        let namespace = self.mesh.world.namespace.as_str();
        subject
            .replace("NS.", &format!("{namespace}."))
            .replace("NS_", &format!("{}_", namespace.to_uppercase()))
    }

    /// What the orchestrator tells of itself.
    async fn report(&self) -> Result<OrchestratorReport> {
        let instances = self.mesh.world.bus.instances(SERVICE).await?;
        let instance = instances.into_iter().next().context("no orchestrator answers")?;
        Ok(OrchestratorReport::read(instance.report))
    }

    /// Waits until the orchestrator tells with these words why it cannot archive a run.
    async fn cannot_archive(&self, words: &[&str]) -> Result<()> {
        let told = async {
            loop {
                let untidy = self.report().await?.unarchived.unwrap_or_default();
                if words.iter().all(|word| untidy.error.contains(word)) {
                    return anyhow::Ok(());
                }
            }
        };
        patiently(&format!("the orchestrator to tell {words:?}"), told).await?
    }

    async fn says(&self, user: &str, words: &[&str]) -> Result<()> {
        crate::support::says(&self.folder.path(&format!("{user}.log")), words).await
    }

    fn end(self) -> Result<()> {
        ensure!(self.agent.terminate()?, "the agent did not end well");
        ensure!(self.orchestrator.terminate()?, "the orchestrator did not end well");
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_subject_that_is_denied_is_named_and_missed_no_longer_than_that() -> Result<()> {
    let users = Users::with(&[]).await?;
    let (configured, mesh) = (&users.configured, &users.mesh);
    let rows = ORCHESTRATOR.map(|denied| ("orchestrator", denied)).into_iter();
    for (number, (user, denied)) in (1..).zip(rows.chain(AGENT.map(|denied| ("agent", denied)))) {
        let denied = users.own(denied);
        configured.reload(&configuration(user, &denied))?;
        // A deadline that is far off is not set for a run that ends at once.
        let is_near = denied.contains(".timer.set.");
        let run = if is_near { mesh.start_near(number).await? } else { mesh.start(number).await? };
        let subject = denied.trim_end_matches('>');
        let said = users.says(user, &["Permissions Violation", subject]).await;
        said.with_context(|| format!("{user} without {denied}"))?;
        configured.reload(&configuration("nobody", "-"))?;
        mesh.completes(run, number).await.with_context(|| format!("after {user} was without {denied}"))?;
    }
    users.end()
}

/// What is kept elsewhere already stays in the log where nobody may remove it, and holds nothing up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_may_not_be_removed_stays_until_it_may() -> Result<()> {
    let users = Users::with(&["--grace", "2s"]).await?;
    let (configured, world) = (&users.configured, &users.mesh.world);
    let denied = users.own("$JS.API.STREAM.MSG.DELETE.NS_EVENTS");
    configured.reload(&configuration("orchestrator", &denied))?;
    let run = users.mesh.start(1).await?;
    users.mesh.completes(run, 1).await?;
    users.says("orchestrator", &["cannot be tidied up", &run.to_string()]).await?;
    users.cannot_archive(&["refused", "DELETE"]).await?;
    let nobody = format!("0.{}", uuid::Uuid::new_v4());
    world.publish(&format!("task.completed.work.normal.{nobody}.t.1"), r#"{"output": 1}"#).await?;
    users.says("orchestrator", &["stays in the log", &nobody]).await?;
    let mut looks = tokio::time::interval(Duration::from_millis(20));
    let settled = async {
        loop {
            looks.tick().await;
            let consumers = world.bus.health().await?.consumers;
            let shards = consumers.into_iter().filter(|consumer| matches!(consumer.role, Role::Shard(_)));
            let mut found = shards.filter_map(|consumer| consumer.found);
            if found.all(|found| found.pending + found.in_hand == 0) {
                return anyhow::Ok(());
            }
        }
    };
    patiently("all events to be dealt with", settled).await??;
    assert_eq!(world.stored(Stream::Dead, "dead.events.unknown_run").await?.len(), 1);
    configured.reload(&configuration("nobody", "-"))?;
    let mut looks = tokio::time::interval(Duration::from_millis(20));
    let tidied = async {
        while world.bus.read_run(&run).await?.events.len() > 2 {
            looks.tick().await;
        }
        anyhow::Ok(())
    };
    patiently("the run to be archived", tidied).await??;
    users.end()
}

/// What may not be kept elsewhere stays as well, and whoever asks is told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_may_not_be_archived_stays_until_it_may() -> Result<()> {
    let users = Users::with(&["--grace", "2s"]).await?;
    let (configured, world) = (&users.configured, &users.mesh.world);
    configured.reload(&configuration("orchestrator", &users.own("NS.history.>")))?;
    let run = users.mesh.start(1).await?;
    users.mesh.completes(run, 1).await?;
    users.cannot_archive(&["refused", ".history."]).await?;
    assert!(world.bus.read_run(&run).await?.events.len() > 2, "nothing is removed");
    configured.reload(&configuration("nobody", "-"))?;
    let mut looks = tokio::time::interval(Duration::from_millis(20));
    let tidied = async {
        while world.bus.read_run(&run).await?.events.len() > 2 || users.report().await?.unarchived.is_some() {
            looks.tick().await;
        }
        anyhow::Ok(())
    };
    patiently("the run to be archived", tidied).await??;
    users.end()
}
