//! An agent that says what its model used, as agents do that have one: `talking-agent`. It has the capability `talk`.

use mesh_agents::{Agent, Context, Output, TaskCreated, TaskFailure};
use serde_json::json;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let telemetry = mesh_agents::init_tracing("talking-agent");
    let talk = async |_: Context, _: TaskCreated| -> Result<Output, TaskFailure> {
        Ok(Output::new(json!("hello")).usage(json!({ "input_tokens": 12, "output_tokens": 3 })))
    };
    let ended = Agent::builder("talking-agent").raw_capability("talk", talk).run().await;
    telemetry.shutdown();
    Ok(ended?)
}
