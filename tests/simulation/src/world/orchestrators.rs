use std::sync::Arc;

use mesh_bus::topology::Topology;
use mesh_orchestrator::{Folded, Options, Retention};
use tokio_util::sync::CancellationToken;

use super::World;
use super::link::Link;
use super::party::{Kind, Party};

/// One orchestrator, started again whenever it has ended.
pub(super) async fn keep(world: Arc<World>, place: u64) {
    let topology = Topology { shards: world.shards, ..Topology::default() };
    let options = Options {
        topology,
        cached_runs: world.storm.cached_runs,
        checkpoint_after: world.storm.checkpoint_after,
        look: world.storm.look,
        retention: Retention { grace: world.storm.grace, requests: world.storm.requests },
        ..Options::default()
    };
    let mut life = 0;
    loop {
        life += 1;
        let party = Party::new(&world, Kind::Orchestrator, 1_000 * (place + 1) + life);
        let stop = CancellationToken::new();
        let seen = Arc::clone(&world);
        let folded: Folded = Arc::new(move |run, upto| seen.observe(|observer| observer.folded(run, upto)));
        let link = Arc::new(Link(Arc::clone(&party)));
        let run = mesh_orchestrator::run_observed(link, options, stop.clone(), || {}, folded);
        super::weather::live(&party, stop, run).await;
    }
}
