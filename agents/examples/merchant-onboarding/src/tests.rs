//! The agents in what the mesh does around them, and the whole workflow. What each agent decides is tested beside it.

use std::path::Path;

use mesh_agents::TaskFailure;
use mesh_agents::testing::{TestAgent, TestMesh, minutes, seconds};
use serde_json::{Value, json};

use super::{AGENTS, agent};

/// The workflow with every agent of this program. The one in Python is mocked: it finds nothing to clean.
fn mesh() -> TestMesh {
    let mesh = TestMesh::of(Path::new("workflow.yaml"));
    for agent in AGENTS.into_iter().filter_map(agent) {
        mesh.agent(agent);
    }
    mesh.mock("preprocess", |merchant| Ok(json!({"merchant": merchant, "problems": {}})));
    mesh
}

fn bookshop() -> Value {
    json!({
        "merchant_name": "Harbour Lane Books",
        "email": "orders@harbourlanebooks.example",
        "business_type": "bookshop",
        "annual_revenue": 480_000,
        "years_in_business": 12,
        "business_license": "BL-2013-00417",
        "address": "14 Harbour Lane, Bristol BS1 4QA",
        "tax_id": "GB 847 2291 06",
        "owner_identity": "passport:533401287",
    })
}

/// The bookshop, but for one field.
fn with(field: &str, value: impl Into<Value>) -> Value {
    let mut merchant = bookshop();
    merchant[field] = value.into();
    merchant
}

#[tokio::test(start_paused = true)]
async fn a_sound_merchant_gets_an_account_and_a_dashboard() {
    let run = mesh().run(bookshop()).await;

    let account = format!("MERCH_{}", &run.id().uuid().to_string()[..8]);
    run.completed().with_output_including(json!({
        "status": "approved", "account_id": account, "monthly_limit": 120_000, "risk_level": "low",
    }));
    run.task("validate").ran_beside("compliance").ran_after("preprocess");
    run.task("risk").ran_after("validate").ran_after("compliance");
    run.task("create_dashboard")
        .ran_after("create_account")
        .had_input_including(json!({"account_id": account}));
    run.events().do_not_include("task.failed");
}

#[tokio::test(start_paused = true)]
async fn a_merchant_who_does_not_comply_is_turned_down_without_an_account() {
    let run = mesh().run(with("business_type", "weapons")).await;

    run.completed().with_output(json!({
        "status": "rejected",
        "merchant_name": "Harbour Lane Books",
        "compliance_score": 0.77,
        "reasons": ["industry: we do not serve the trade 'weapons'"],
    }));
    run.task("risk").was_skipped();
    run.task("create_account").was_skipped();
    run.task("create_dashboard").was_skipped();
}

#[tokio::test(start_paused = true)]
async fn unsound_data_is_not_tried_again() {
    let run = mesh().run(with("annual_revenue", -1)).await;

    run.failed().with_code("invalid_merchant").in_task("validate").saying("annual_revenue");
    run.task("validate").was_created(1).times();
    run.task("risk").did_not_run();
}

#[tokio::test(start_paused = true)]
async fn what_is_no_request_starts_no_run() {
    mesh().run(json!({"email": "orders@harbourlanebooks.example"})).await.rejected().because("merchant_name");
}

#[tokio::test(start_paused = true)]
async fn an_account_that_is_opened_again_after_a_crash_is_the_same() {
    let mesh = mesh();
    mesh.agent_for("create_account").dies_before_answering().once();

    let run = mesh.run(bookshop()).await;

    run.completed().after(seconds(30)).within(minutes(1));
    run.task("create_account").was_created(1).times().was_taken(2).times();
    let account = format!("MERCH_{}", &run.id().uuid().to_string()[..8]);
    run.task("create_account").completed().with_output_including(json!({"account_id": account}));
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_is_busy_or_hangs_is_asked_again() {
    let mesh = mesh();
    mesh.agent_for("risk").fails_with(TaskFailure::retryable("busy", "too many requests")).times(2);
    mesh.agent_for("create_dashboard").never_answers().once();

    let run = mesh.run(bookshop()).await;

    run.completed().after(seconds(10));
    run.task("risk").was_created(3).times();
    run.events().in_order(["task.failed create_dashboard 1", "task.completed create_dashboard 2"]);
}

#[tokio::test(start_paused = true)]
async fn a_merchant_does_not_wait_longer_than_five_minutes() {
    let mesh = TestMesh::of(Path::new("workflow.yaml"));
    mesh.mock("preprocess", |merchant| Ok(json!({"merchant": merchant, "problems": {}})));
    for absent in AGENTS {
        mesh.nobody_has(absent);
    }

    mesh.run(bookshop()).await.failed().with_code("timeout").after(minutes(5)).within(minutes(6));
}

#[tokio::test(start_paused = true)]
async fn agents_say_what_they_cannot_use() {
    for name in AGENTS {
        let agent = TestAgent::of(agent(name).expect("it is one of ours"));
        agent.task(name, "no object").await.failed().with_code("invalid_input").fatally();
    }
}

#[tokio::test(start_paused = true)]
async fn the_account_id_is_that_of_the_run() {
    let agent = TestAgent::of(agent("create_account").expect("it is one of ours"));
    let request = json!({"merchant": bookshop(), "risk": {"score": 0.9, "level": "low"}});
    let first = agent.task("create_account", &request).await;
    let again = agent.task("create_account", &request).attempt(2).delivery(2).await;

    let account = format!("MERCH_{}", &first.run().uuid().to_string()[..8]);
    first.completed().with_output_including(json!({"account_id": account, "monthly_limit": 120_000}));
    again.completed().with_output_including(json!({"account_id": account}));
}
