//! Objects: here each is one message, however long.

use std::collections::BTreeMap;

use bytes::Bytes;
use mesh_schemas::{Headers, Message, ObjectName, ObjectOwner};

use super::connection::MemoryBus;
use super::place::Place;
use super::state::State;
use crate::bus::OwnedObjects;
use crate::error::BusError;
use crate::object;

impl MemoryBus {
    pub(super) async fn store_object(
        &self,
        owner: &ObjectOwner,
        content: Bytes,
    ) -> Result<ObjectName, BusError> {
        let name = object::name(owner, &content)?;
        let subject = name.to_string();
        self.on_objects("store", &subject, |state| {
            let now = state.clock.date(state.clock.now());
            let there = state.log(Place::Objects).last_on(&subject);
            match there.map(|stored| (stored.sequence, object::is_to_be_renewed(stored.time, now))) {
                Some((_, false)) => return,
                Some((old, true)) => drop(state.remove(Place::Objects, old)),
                None => {}
            }
            let message = Message { subject: subject.clone(), headers: Headers::new(), payload: content };
            state.append(Place::Objects, message, None);
        })
        .await?;
        Ok(name)
    }

    pub(super) async fn read_object(&self, name: &ObjectName) -> Result<Option<Bytes>, BusError> {
        let name = name.to_string();
        self.on_objects("read", &name, |state| {
            state.log(Place::Objects).last_on(&name).map(|stored| stored.message.payload.clone())
        })
        .await
    }

    pub(super) async fn forget_owner(&self, owner: &ObjectOwner) -> Result<(), BusError> {
        let owner = owner.to_string();
        self.on_objects("remove all of", &owner, |state| {
            let gone: Vec<u64> = state.log(Place::Objects).under(&owner).collect();
            gone.into_iter().for_each(|sequence| drop(state.remove(Place::Objects, sequence)));
        })
        .await
    }

    pub(super) async fn forget_object(&self, name: &ObjectName) -> Result<(), BusError> {
        let name = name.to_string();
        self.on_objects("remove", &name, |state| {
            let gone: Vec<u64> = state.log(Place::Objects).on(&name).collect();
            gone.into_iter().for_each(|sequence| drop(state.remove(Place::Objects, sequence)));
        })
        .await
    }

    pub(super) async fn list_objects(&self) -> Result<Vec<OwnedObjects>, BusError> {
        self.on_objects("list", "all", |state| {
            // Later messages come later, so that the newest of each owner remains.
            let named = state.log(Place::Objects).all_after(0).filter_map(|stored| {
                let name: ObjectName = stored.message.subject.parse().ok()?;
                Some((name.owner().clone(), stored.time))
            });
            let newest: BTreeMap<_, _> = named.collect();
            let owned = |(owner, newest)| OwnedObjects { owner, newest, strays: Vec::new() };
            newest.into_iter().map(owned).collect()
        })
        .await
    }

    async fn on_objects<T>(
        &self,
        verb: &str,
        what: &str,
        act: impl FnOnce(&mut State) -> T,
    ) -> Result<T, BusError> {
        self.ask(|| format!("{verb} object {what}"), |state| Ok(act(self.there(state)?))).await
    }
}
