//! Which task has surely ended before another begins.
//!
//! Nearly always the other needs it directly, or it stands on the path of deepest needs, which is looked up at once.
//! What is left is searched for, so that the cost is that of what expressions ask about and not of all pairs.

use std::collections::BinaryHeap;

/// Most needs that all searches of one definition look at together: about a second. A thousand tasks that each search
/// everything before them stay below it. What would take longer has to be written out as a need.
const MAX_SEARCHED: usize = 200_000_000;

/// What a search found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Precedence {
    /// It has ended before. Also said if a cycle hides the answer, as the cycle is told already.
    Before,
    /// It may not have ended.
    Unsure,
    /// Finding out would take too long.
    TooFar,
}

/// The tasks in the order in which they can be done, and how deep each stands.
pub(super) struct Order {
    /// Longest chain of needs before each task; `None` for those in or after a cycle.
    depths: Vec<Option<u32>>,
    /// Where the task stands in a walk over the tree in which each task hangs on the deepest one that it needs: its own
    /// number, and that behind the last below it.
    spans: Vec<(u32, u32)>,
    search: Search,
    left: usize,
}

/// The search before one task, kept for further questions about the same task.
#[derive(Default)]
struct Search {
    task: Option<usize>,
    /// The task for which each was found last.
    found_for: Vec<Option<usize>>,
    /// Found and not looked behind, the deepest first.
    open: BinaryHeap<(u32, usize)>,
}

impl Order {
    /// `order` holds each task behind all that it needs.
    pub(super) fn new(needs: &[Vec<usize>], order: &[usize]) -> Self {
        let mut depths: Vec<Option<u32>> = vec![None; needs.len()];
        let mut parents: Vec<Option<usize>> = vec![None; needs.len()];
        for &task in order {
            let deepest = needs[task].iter().copied().max_by_key(|&need| depths[need]);
            parents[task] = deepest;
            depths[task] = Some(deepest.and_then(|need| depths[need]).map_or(0, |depth| depth + 1));
        }
        let spans = spans(&parents, order);
        let search = Search { found_for: vec![None; needs.len()], ..Search::default() };
        Self { depths, spans, search, left: MAX_SEARCHED }
    }

    /// Whether a task has surely ended before another begins. Questions about one task are best asked together.
    pub(super) fn precedes(&mut self, needs: &[Vec<usize>], before: usize, task: usize) -> Precedence {
        let (Some(depth), Some(_)) = (self.depths[before], self.depths[task]) else {
            // Behind a cycle nothing is known; in front of one, only that it does not hang on what is.
            return if self.depths[task].is_none() { Precedence::Before } else { Precedence::Unsure };
        };
        let (begin, end) = self.spans[before];
        if (begin + 1..end).contains(&self.spans[task].0) || needs[task].binary_search(&before).is_ok() {
            return Precedence::Before;
        }
        if self.search.task != Some(task) {
            self.search.task = Some(task);
            self.search.open.clear();
            self.look_behind(needs, task);
        }
        while self.search.found_for[before] != Some(task) {
            // Whatever is not deeper than the one looked for does not hang on it.
            let Some((_, next)) = self.search.open.peek().copied().filter(|(deep, _)| *deep > depth) else {
                return Precedence::Unsure;
            };
            if self.left == 0 {
                return Precedence::TooFar;
            }
            self.search.open.pop();
            self.look_behind(needs, next);
        }
        Precedence::Before
    }

    fn look_behind(&mut self, needs: &[Vec<usize>], task: usize) {
        self.left = self.left.saturating_sub(needs[task].len());
        for &need in &needs[task] {
            if std::mem::replace(&mut self.search.found_for[need], self.search.task) != self.search.task {
                self.search.open.push((self.depths[need].unwrap_or_default(), need));
            }
        }
    }
}

/// Numbers the tasks of a forest so that those below a task have the numbers behind its own.
fn spans(parents: &[Option<usize>], order: &[usize]) -> Vec<(u32, u32)> {
    let mut sizes = vec![1_u32; parents.len()];
    for &task in order.iter().rev() {
        if let Some(parent) = parents[task] {
            sizes[parent] += sizes[task];
        }
    }
    // The next number that is free for a child of each, and at last for a root.
    let mut free = vec![0_u32; parents.len()];
    let mut next_root = 0;
    let mut spans = vec![(0, 0); parents.len()];
    for &task in order {
        let next = parents[task].map_or(&mut next_root, |parent| &mut free[parent]);
        let begin = *next;
        *next += sizes[task];
        free[task] = begin + 1;
        spans[task] = (begin, begin + sizes[task]);
    }
    spans
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every pair of every graph of up to five tasks that only need earlier ones.
    #[test]
    fn it_finds_what_a_plain_closure_finds() {
        for bits in 0_u32..1 << 10 {
            let mut pairs = (0..5_usize).flat_map(|task| (0..task).map(move |need| (task, need))).enumerate();
            let mut needs = vec![Vec::new(); 5];
            pairs.by_ref().filter(|(bit, _)| bits >> bit & 1 == 1).for_each(|(_, (task, need))| {
                needs[task].push(need);
            });
            let mut closure = [[false; 5]; 5];
            for (task, needs) in needs.iter().enumerate() {
                let mut before = [false; 5];
                for &need in needs {
                    before[need] = true;
                    before.iter_mut().zip(closure[need]).for_each(|(mark, further)| *mark |= further);
                }
                closure[task] = before;
            }
            let mut order = Order::new(&needs, &[0, 1, 2, 3, 4]);
            for (task, closure) in closure.iter().enumerate() {
                for before in (0..5).filter(|before| *before != task) {
                    let found = order.precedes(&needs, before, task) == Precedence::Before;
                    assert_eq!(found, closure[before], "{needs:?}: {before} before {task}");
                }
            }
        }
    }

    #[test]
    fn a_search_that_takes_too_long_is_not_made() {
        // 2 needs 1 needs 0, and 2 needs 3, so that 0 is not on the path of deepest needs from 4.
        let needs = vec![vec![], vec![0], vec![], vec![2], vec![1, 3]];
        let mut order = Order::new(&needs, &[0, 2, 1, 3, 4]);
        order.left = 0;
        let found: Vec<_> = [0, 1, 2, 3].map(|before| order.precedes(&needs, before, 4)).into();
        assert_eq!(found.iter().filter(|found| **found == Precedence::TooFar).count(), 1, "{found:?}");
        assert_eq!(found.iter().filter(|found| **found == Precedence::Before).count(), 3, "{found:?}");
    }
}
