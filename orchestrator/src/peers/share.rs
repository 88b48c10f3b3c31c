//! Shares out shards: evenly, the same way for all who see the same peers, and so that few move when a peer comes or
//! goes (rendezvous hashing within a quota).

use std::collections::{BTreeMap, BTreeSet};

use mesh_schemas::Shards;

use super::OrchestratorReport;

/// An orchestrator that may have shards.
#[derive(Debug, Clone)]
pub(super) struct Peer {
    pub(super) id: String,
    pub(super) report: OrchestratorReport,
}

/// The shards of one of the peers.
pub(super) fn of(id: &str, peers: &[Peer], shards: Shards) -> BTreeSet<u32> {
    let staying: Vec<&Peer> = peers.iter().filter(|peer| !peer.report.stopping).collect();
    let mut quota = Quota::new(&staying, shards);
    let mut share = BTreeSet::new();
    for shard in shards.iter() {
        let willing: Vec<&Peer> =
            staying.iter().copied().filter(|peer| !peer.report.leaves.contains(&shard)).collect();
        // Somebody has to have it, also if nobody wants it.
        let candidates = if willing.is_empty() { &staying } else { &willing };
        let with_room: Vec<&Peer> =
            candidates.iter().copied().filter(|peer| quota.has_room(&peer.id)).collect();
        let chosen = if with_room.is_empty() { candidates } else { &with_room };
        let Some(owner) = chosen.iter().max_by_key(|peer| (score(&peer.id, shard), &peer.id)) else {
            continue;
        };
        quota.take(&owner.id);
        if owner.id == id {
            share.insert(shard);
        }
    }
    share
}

/// How many shards each may have: those that are left over when all have the same number go to one each.
struct Quota {
    each: u32,
    left_over: u32,
    taken: BTreeMap<String, u32>,
}

impl Quota {
    fn new(peers: &[&Peer], shards: Shards) -> Self {
        let count = u32::try_from(peers.len()).unwrap_or(u32::MAX).max(1);
        let taken = peers.iter().map(|peer| (peer.id.clone(), 0)).collect();
        Self { each: shards.count() / count, left_over: shards.count() % count, taken }
    }

    fn has_room(&self, id: &str) -> bool {
        let taken = self.taken.get(id).copied().unwrap_or_default();
        taken < self.each || (taken == self.each && self.left_over > 0)
    }

    fn take(&mut self, id: &str) {
        let taken = self.taken.entry(id.to_owned()).or_default();
        *taken += 1;
        if *taken == self.each + 1 {
            self.left_over = self.left_over.saturating_sub(1);
        }
    }
}

/// The same in every build of the mesh: FNV-1a (the hash of RFC 9923) over the peer and the shard, stirred so that
/// names which differ in one letter do not stand beside each other.
fn score(id: &str, shard: u32) -> u64 {
    let bytes = id.bytes().chain(shard.to_be_bytes());
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let stirred = (hash ^ (hash >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    stirred ^ (stirred >> 29)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peers(ids: &[&str]) -> Vec<Peer> {
        let peer = |id: &&str| Peer { id: (*id).to_owned(), report: OrchestratorReport::default() };
        ids.iter().map(peer).collect()
    }

    fn shares(peers: &[Peer], count: u32) -> Vec<BTreeSet<u32>> {
        let shards = Shards::new(count).expect("a number of shards");
        let shares: Vec<BTreeSet<u32>> = peers.iter().map(|peer| of(&peer.id, peers, shards)).collect();
        let all: Vec<u32> = shares.iter().flatten().copied().collect();
        assert_eq!(all.len() as u32, count, "each shard has one owner: {shares:?}");
        assert_eq!(all.into_iter().collect::<BTreeSet<_>>().len() as u32, count);
        shares
    }

    #[test]
    fn shares_are_even() {
        let names = ["a", "b", "c", "d", "e", "f", "g"];
        for count in [1, 2, 8, 13, 64] {
            for number in 1..=names.len() {
                let sizes: Vec<usize> =
                    shares(&peers(&names[..number]), count).iter().map(BTreeSet::len).collect();
                let (least, most) = (sizes.iter().min(), sizes.iter().max());
                assert!(most.zip(least).is_some_and(|(most, least)| most - least <= 1), "{count}: {sizes:?}");
            }
        }
    }

    #[test]
    fn the_order_in_which_peers_are_seen_does_not_matter() {
        let (one, other) = (peers(&["a", "b", "c"]), peers(&["c", "a", "b"]));
        let shards = Shards::new(8).expect("eight");
        assert!(["a", "b", "c"].iter().all(|id| of(id, &one, shards) == of(id, &other, shards)));
    }

    #[test]
    fn who_stops_has_none_and_who_leaves_a_shard_does_not_get_it() {
        let mut three = peers(&["a", "b", "c"]);
        three[0].report.stopping = true;
        assert!(shares(&three, 8)[0].is_empty());
        three[0].report.stopping = false;
        three[1].report.leaves = (0..8).collect();
        three[2].report.leaves = (0..4).collect();
        let shares = shares(&three, 8);
        assert!(shares[1].is_empty() && (0..4).all(|shard| shares[0].contains(&shard)), "{shares:?}");
    }

    #[test]
    fn a_shard_that_nobody_wants_has_an_owner_all_the_same() {
        let mut two = peers(&["a", "b"]);
        two.iter_mut().for_each(|peer| peer.report.leaves = [5].into());
        shares(&two, 8);
    }

    #[test]
    fn few_shards_move_when_a_peer_comes() {
        let (before, after) =
            (shares(&peers(&["a", "b", "c"]), 64), shares(&peers(&["a", "b", "c", "d"]), 64));
        let kept: usize =
            before.iter().zip(&after).map(|(before, after)| before.intersection(after).count()).sum();
        assert!(kept >= 36, "48 could have stayed, {kept} did");
    }
}
