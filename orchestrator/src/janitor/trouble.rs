//! What janitors cannot do, for people who ask.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mesh_bus::BusError;
use mesh_bus::topology::Tidying;
use mesh_schemas::RunId;
use tokio::time::Instant;

use super::REFUSED_PAUSE;
use crate::peers::Untidy;

/// For how long a run may be tried again before that is told, where it is not known that somebody has to mend something: a
/// shard that stands still is waited for as long.
const LONG: Duration = Duration::from_secs(10 * 60);
/// After so long without another try, some other orchestrator has the run.
const FORGOTTEN: Duration = REFUSED_PAUSE.saturating_mul(6);

/// The runs that were to be tidied up and are not.
#[derive(Default)]
pub(crate) struct Troubles(Mutex<BTreeMap<(Tidying, RunId), Trouble>>);

struct Trouble {
    since: Instant,
    last: Instant,
    is_at_work: bool,
    /// What went wrong last, and whether somebody has to mend it.
    error: Option<(String, bool)>,
}

impl Troubles {
    /// A run is to be tidied up from now on.
    pub(super) fn begin(&self, tidying: Tidying, run: RunId) {
        let now = Instant::now();
        let new = Trouble { since: now, last: now, is_at_work: true, error: None };
        let mut troubles = self.troubles();
        let trouble = troubles.entry((tidying, run)).or_insert(new);
        (trouble.last, trouble.is_at_work) = (now, true);
    }

    /// That goes no further here; it will be tried again.
    pub(super) fn fail(&self, tidying: Tidying, run: RunId, error: Option<&BusError>) {
        if let Some(trouble) = self.troubles().get_mut(&(tidying, run)) {
            (trouble.last, trouble.is_at_work) = (Instant::now(), false);
            trouble.error = error.map(|error| (error.to_string(), !error.is_retryable()));
        }
    }

    /// It is tidied up, or another sees to it.
    pub(super) fn end(&self, tidying: Tidying, run: RunId) {
        self.troubles().remove(&(tidying, run));
    }

    /// What there is to tell of one of the two tasks. Asked often enough to forget here what others have by now.
    pub(crate) fn told(&self, tidying: Tidying) -> Option<Untidy> {
        let mut untidy: Option<Untidy> = None;
        let mut troubles = self.troubles();
        troubles.retain(|_, trouble| trouble.is_at_work || trouble.last.elapsed() < FORGOTTEN);
        for ((of, run), trouble) in &*troubles {
            let error = match &trouble.error {
                Some((error, true)) => error.clone(),
                _ if trouble.since.elapsed() < LONG => continue,
                Some((error, false)) => error.clone(),
                None => format!("run {run} takes more than {} minutes", LONG.as_secs() / 60),
            };
            if *of == tidying {
                untidy.get_or_insert(Untidy { runs: 0, error }).runs += 1;
            }
        }
        untidy
    }

    fn troubles(&self) -> MutexGuard<'_, BTreeMap<(Tidying, RunId), Trouble>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use mesh_schemas::{RequestId, Shards};
    use tokio::time::advance;

    use super::*;

    fn run() -> RunId {
        let request = RequestId { source: "test".to_owned(), id: "1".to_owned() };
        RunId::for_request("workflow.w", &request, Shards::default())
    }

    fn refused() -> BusError {
        BusError::Refused { operation: "archive".to_owned(), error: "no".to_owned() }
    }

    fn unavailable() -> BusError {
        BusError::Unavailable { operation: "archive".to_owned(), error: "busy".to_owned() }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_refused_is_told_until_it_is_done() {
        let (troubles, run) = (Troubles::default(), run());
        troubles.begin(Tidying::Archive, run);
        assert_eq!(troubles.told(Tidying::Archive), None);
        troubles.fail(Tidying::Archive, run, Some(&refused()));
        let told = troubles.told(Tidying::Archive).expect("it was refused");
        assert_eq!((told.runs, told.error.as_str()), (1, "archive was refused: no"));
        assert_eq!(troubles.told(Tidying::Forget), None);
        troubles.begin(Tidying::Archive, run);
        assert!(troubles.told(Tidying::Archive).is_some());
        troubles.end(Tidying::Archive, run);
        assert_eq!(troubles.told(Tidying::Archive), None);
    }

    #[tokio::test(start_paused = true)]
    async fn what_may_get_well_by_itself_is_told_when_it_lasts() {
        let (troubles, run) = (Troubles::default(), run());
        for _ in 0..LONG.as_secs() / REFUSED_PAUSE.as_secs() {
            troubles.begin(Tidying::Forget, run);
            troubles.fail(Tidying::Forget, run, Some(&unavailable()));
            assert_eq!(troubles.told(Tidying::Forget), None);
            advance(REFUSED_PAUSE).await;
        }
        assert!(troubles.told(Tidying::Forget).is_some_and(|told| told.error.contains("busy")));
        advance(FORGOTTEN).await;
        assert_eq!(troubles.told(Tidying::Forget), None, "another has it");
    }

    #[tokio::test(start_paused = true)]
    async fn what_takes_very_long_is_told() {
        let (troubles, run) = (Troubles::default(), run());
        troubles.begin(Tidying::Archive, run);
        advance(LONG).await;
        assert!(
            troubles
                .told(Tidying::Archive)
                .is_some_and(|told| told.error.contains("takes more than 10 minutes"))
        );
    }
}
