//! Users that may not publish on a subject: whoever needs it says so and goes on trying, and when the user may,
//! everything goes on by itself.

use anyhow::{Context as _, Result, ensure};
use mesh_tests::{Process, World};

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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_subject_that_is_denied_is_named_and_missed_no_longer_than_that() -> Result<()> {
    let folder = Folder::new()?;
    let configured = Configured::start(&folder, &configuration("nobody", "-"))?;
    let server = configured.server.url();
    let world = World::on(&url(&server, "client")).await?;
    let as_user = |user: &str| World {
        url: url(&server, user),
        namespace: world.namespace.clone(),
        bus: world.bus.clone(),
    };
    let logged = |user: &str, arguments: &[&str]| {
        let log = folder.path(&format!("{user}.log"));
        Process::logged(&as_user(user), &mesh_tests::mesh_binary()?, arguments, &log)
    };
    let orchestrator = logged("orchestrator", &["orchestrator"])?;
    let agent = logged("agent", &["agent", "exec", "--capability", "work", "--", "cat"])?;
    let mesh = Mesh::with(world, Folder::new()?).await?;
    let run = mesh.start(0).await?;
    mesh.completes(run, 0).await?;
    let rows = ORCHESTRATOR.map(|denied| ("orchestrator", denied)).into_iter();
    for (number, (user, denied)) in (1..).zip(rows.chain(AGENT.map(|denied| ("agent", denied)))) {
        let denied = denied
            .replace("NS.", &format!("{}.", mesh.world.namespace))
            .replace("NS_", &format!("{}_", mesh.world.namespace.as_str().to_uppercase()));
        configured.reload(&configuration(user, &denied))?;
        let run = mesh.start(number).await?;
        let subject = denied.trim_end_matches('>');
        crate::support::says(&folder.path(&format!("{user}.log")), &["Permissions Violation", subject])
            .await
            .with_context(|| format!("{user} without {denied}"))?;
        configured.reload(&configuration("nobody", "-"))?;
        mesh.completes(run, number).await.with_context(|| format!("after {user} was without {denied}"))?;
    }
    ensure!(agent.terminate()?, "the agent did not end well");
    ensure!(orchestrator.terminate()?, "the orchestrator did not end well");
    Ok(())
}
