//! Values of labels, each name with a bounded number of them: every one more is a time series, and some are chosen by
//! whoever sends something.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, LazyLock, PoisonError, RwLock};

use super::collect::is_collected;

/// Most values of one label. There are never as many outcomes or shards; workflows, capabilities and codes of errors beyond
/// that are counted together.
pub const MOST_VALUES: usize = 200;
/// What stands for all values that are too many.
pub const OTHER: &str = "other";
/// Longest value that is told, in bytes.
const MOST_BYTES: usize = 128;

type Known = BTreeMap<&'static str, HashMap<String, Arc<str>>>;

static KNOWN: RwLock<Known> = RwLock::new(Known::new());

/// [`OTHER`], made once: a label that is full is asked for again and again.
static SHARED_OTHER: LazyLock<Arc<str>> = LazyLock::new(|| OTHER.into());

/// Values that came by, so that what belongs to each is done once: as many as are told apart.
#[derive(Debug, Default)]
pub struct Seen(RwLock<BTreeSet<String>>);

impl Seen {
    /// None so far.
    #[must_use]
    pub const fn new() -> Self {
        Self(RwLock::new(BTreeSet::new()))
    }

    /// Whether a value comes by for the first time, while metrics are collected.
    pub fn is_new(&self, value: &str) -> bool {
        if !is_collected() {
            return false;
        }
        {
            let seen = self.0.read().unwrap_or_else(PoisonError::into_inner);
            if seen.len() >= MOST_VALUES || seen.contains(value) {
                return false;
            }
        }
        let mut seen = self.0.write().unwrap_or_else(PoisonError::into_inner);
        seen.len() < MOST_VALUES && seen.insert(value.to_owned())
    }
}

/// A value as it is told: itself, if it is among the first [`MOST_VALUES`] of its label.
pub(super) fn bounded(label: &'static str, value: &str) -> Arc<str> {
    limited(&KNOWN, label, value)
}

fn limited(known: &RwLock<Known>, label: &'static str, value: &str) -> Arc<str> {
    {
        let known = known.read().unwrap_or_else(PoisonError::into_inner);
        let values = known.get(label);
        if let Some(found) = values.and_then(|values| values.get(value)) {
            return Arc::clone(found);
        }
        if value.len() > MOST_BYTES || values.is_some_and(|values| values.len() >= MOST_VALUES) {
            return Arc::clone(&SHARED_OTHER);
        }
    }
    let mut known = known.write().unwrap_or_else(PoisonError::into_inner);
    let values = known.entry(label).or_default();
    if values.len() >= MOST_VALUES && !values.contains_key(value) {
        return Arc::clone(&SHARED_OTHER);
    }
    values.entry(value.to_owned()).or_insert_with(|| value.into()).clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_much_is_counted_together() {
        let known = RwLock::new(Known::new());
        for number in 0..MOST_VALUES {
            let value = number.to_string();
            assert_eq!(*limited(&known, "workflow", &value), *value);
        }
        let other = limited(&known, "workflow", "one more");
        assert_eq!(&*other, OTHER);
        let again = {
            // Nobody has to wait for whoever looks.
            let _looking = known.read().expect("readable");
            limited(&known, "workflow", "yet another")
        };
        assert!(Arc::ptr_eq(&other, &again), "it is made once");
        assert_eq!(&*limited(&known, "workflow", "7"), "7", "those before have their own");
        assert_eq!(&*limited(&known, "capability", "one more"), "one more", "each label has its own");
        assert_eq!(&*limited(&known, "capability", &"x".repeat(MOST_BYTES + 1)), OTHER);
    }
}
