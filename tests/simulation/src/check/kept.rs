//! Nothing is removed that is not archived, and all that happened is kept.

use std::collections::BTreeSet;

use mesh_bus::history::Stage;
use mesh_bus::topology::Stream;
use mesh_bus::{History, WholeRun};
use mesh_schemas::{Namespace, StoredMessage};

use super::record::Record;

impl Record {
    /// Takes note of a message of the run that has just been removed.
    pub(super) fn removed(
        &mut self,
        namespace: &Namespace,
        stream: Stream,
        removed: &StoredMessage,
    ) -> Result<(), String> {
        let subject = &removed.message.subject;
        self.gone.insert(subject.clone());
        let history = History::read(namespace, &self.histories);
        let is_there = history.holds(stream, removed.sequence) || history.knows(stream, subject);
        if !history.is_archived() || !is_there {
            if self.put_aside.contains(subject) {
                self.discarded.insert(subject.clone());
                return Ok(());
            }
            return Err(format!("{subject} #{} was removed and is in no history", removed.sequence));
        }
        let is_left = |event: &StoredMessage| !self.gone.contains(&event.message.subject);
        if Stage::of(namespace, removed) == Stage::End
            && self.log.iter().any(|event| Stage::of(namespace, event) == Stage::Beginning && is_left(event))
        {
            return Err(format!("{subject} was removed, and the beginning of its run is still there"));
        }
        Ok(())
    }

    /// Compares what is kept of the run with what happened in it.
    pub(super) fn is_kept(&self, kept: &WholeRun) -> Result<(), String> {
        // What was removed because no run had it may have been archived at the same moment, by who saw the run begin.
        let counts = |event: &&StoredMessage| !self.discarded.contains(&event.message.subject);
        let happened: Vec<&StoredMessage> = self.log.iter().filter(counts).collect();
        let events: Vec<&StoredMessage> = kept.events.iter().filter(counts).collect();
        let wrong = happened.iter().zip(&events).find(|(happened, kept)| happened != kept);
        if let Some((happened, kept)) = wrong {
            return Err(format!("this happened:\n{happened:?}\nand this is kept:\n{kept:?}"));
        }
        if happened.len() != events.len() {
            let subjects = |events: &[&StoredMessage]| -> Vec<String> {
                events.iter().map(|event| event.message.subject.clone()).collect()
            };
            return Err(format!(
                "{} events happened, and these are kept: {:#?}",
                happened.len(),
                subjects(&events)
            ));
        }
        let works: BTreeSet<String> =
            kept.history.of(Stream::Tasks).map(|stored| stored.message.subject.clone()).collect();
        if works == self.works {
            return Ok(());
        }
        Err(format!("this work was created:\n{:#?}\nand this is kept:\n{works:#?}", self.works))
    }
}
