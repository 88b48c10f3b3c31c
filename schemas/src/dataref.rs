//! Data that an event refers to instead of carrying it (`dataref`, CloudEvents' extension for the claim check pattern).

use std::fmt;

use serde_json::{Map, Value};

use crate::envelope::{Envelope, EnvelopeError};
use crate::name::Namespace;
use crate::object::ObjectName;

/// Name of the extension.
pub const DATAREF: &str = "dataref";
/// The member of the first event of a run that holds what it takes over from another.
pub const TAKEN_OVER: &str = "taken_over";
/// Scheme of the references that the mesh writes and reads.
const SCHEME: &str = "nats-object:";
/// The form of references, for errors.
const FORM: &str = "write nats-object:<bucket>/<object>, with #/<member> behind it if the object is only that member of the data";

/// Where the data of an event is, or one member of it: `nats-object:MESH_OBJECTS/<object>#/<member>`.
///
/// With a member, the event carries the rest of its data itself, and the object holds the value of that member: so
/// everything else about the event is known without the object, and a value that is passed from event to event is stored
/// once. Without, the object holds all of the data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataRef {
    /// The bucket of objects.
    pub bucket: String,
    /// The object in it.
    pub object: ObjectName,
    /// The member of the data that it is.
    pub member: Option<String>,
}

impl DataRef {
    /// Reads a reference.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no reference that the mesh can follow: {FORM}");
        let (place, member) = match text.split_once('#') {
            Some((place, pointer)) => (place, Some(pointer.strip_prefix('/').ok_or_else(wrong)?)),
            None => (text, None),
        };
        let (bucket, object) =
            place.strip_prefix(SCHEME).and_then(|rest| rest.split_once('/')).ok_or_else(wrong)?;
        let object = object.parse().map_err(|error| format!("{text:?}: {error}"))?;
        if member.is_some_and(|member| member.is_empty() || member.contains(['/', '~', '%'])) {
            return Err(wrong());
        }
        Ok(Self { bucket: bucket.to_owned(), object, member: member.map(ToOwned::to_owned) })
    }
}

impl fmt::Display for DataRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}/{}", self.bucket, self.object)?;
        self.member.as_ref().map_or(Ok(()), |member| write!(f, "#/{member}"))
    }
}

/// What of an event is kept elsewhere when it is large.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LargePart {
    /// All of its data.
    Data,
    /// One member of its data.
    Member(&'static str),
}

impl LargePart {
    /// What may be kept elsewhere of events of a type; none if they are always carried whole.
    #[must_use]
    pub fn of(type_: &str) -> Option<Self> {
        match type_ {
            "workflow.requested" | "task.requested" => Some(Self::Data),
            "workflow.called" | "workflow.started" | "task.created" => Some(Self::Member("input")),
            "task.completed" | "workflow.completed" => Some(Self::Member("output")),
            _ => None,
        }
    }

    /// The member, if it is one.
    #[must_use]
    pub fn member(self) -> Option<&'static str> {
        match self {
            Self::Data => None,
            Self::Member(member) => Some(member),
        }
    }
}

impl Envelope {
    /// What may be kept elsewhere of this event; none if it is always carried whole.
    #[must_use]
    pub fn large_part(&self) -> Option<LargePart> {
        let length = |member: &str| self.data.get(member).map_or(0, |value| value.to_string().len());
        let (input, taken_over) = match self.type_.as_str() {
            "workflow.started" => (length("input"), length(TAKEN_OVER)),
            _ => (0, 0),
        };
        if taken_over > input { Some(LargePart::Member(TAKEN_OVER)) } else { LargePart::of(&self.type_) }
    }

    /// Where data is that the event does not carry. An event that carries its data may name any place where the same can
    /// be had, as CloudEvents allows: that is not looked at.
    ///
    /// # Errors
    /// [`EnvelopeError::DataRef`] if it is nowhere that the mesh reads.
    pub fn dataref(&self, namespace: &Namespace) -> Result<Option<DataRef>, EnvelopeError> {
        let text = match self.extensions.get(DATAREF) {
            None => return Ok(None),
            Some(Value::String(text)) => text.as_str(),
            Some(other) => return Err(EnvelopeError::DataRef(format!("{other} is no text"))),
        };
        if !self.data.is_null() && !text.starts_with(SCHEME) {
            return Ok(None);
        }
        let reference = DataRef::parse(text).map_err(EnvelopeError::DataRef)?;
        let ours = namespace.object_bucket();
        if reference.bucket != ours {
            return Err(EnvelopeError::DataRef(format!("{text:?} is in another bucket than {ours}")));
        }
        Ok(Some(reference))
    }

    /// Takes out of the data what is to be kept elsewhere; `None` if it is not there.
    pub fn take_large(&mut self, part: LargePart) -> Option<Value> {
        match part {
            LargePart::Data => Some(self.data.take()),
            LargePart::Member(member) => self.data.as_object_mut()?.remove(member),
        }
    }

    /// Refers to what is kept elsewhere.
    pub fn refer(&mut self, reference: &DataRef) {
        self.extensions.insert(DATAREF.to_owned(), reference.to_string().into());
    }

    /// Puts what was kept elsewhere in its place: the event is then as if it had carried it.
    ///
    /// # Errors
    /// [`EnvelopeError::DataRef`] if it is a member of data that has no members, or has that one already.
    pub fn put_large(&mut self, reference: &DataRef, content: Value) -> Result<(), EnvelopeError> {
        match &reference.member {
            None => self.data = content,
            Some(member) => {
                if self.data.is_null() {
                    self.data = Value::Object(Map::new());
                }
                let object = self.data.as_object_mut().filter(|object| !object.contains_key(member));
                let object = object.ok_or_else(|| {
                    EnvelopeError::DataRef(format!("the data has no place for a member {member:?}"))
                })?;
                object.insert(member.clone(), content);
            }
        }
        self.extensions.remove(DATAREF);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::object::ObjectOwner;

    fn name() -> ObjectName {
        let run = "3.6ba7b810-9dad-11d1-80b4-00c04fd430c8".parse().expect("a run");
        ObjectName::of(ObjectOwner::Run(run), b"content")
    }

    fn reference(member: Option<&str>) -> DataRef {
        let member = member.map(ToOwned::to_owned);
        DataRef { bucket: "MESH_OBJECTS".to_owned(), object: name(), member }
    }

    fn event(type_: &str, data: Value) -> Envelope {
        Envelope::new("1", "/test", type_, data)
    }

    #[test]
    fn references_are_read_as_they_are_written() {
        for reference in [reference(None), reference(Some("input"))] {
            assert_eq!(DataRef::parse(&reference.to_string()), Ok(reference));
        }
        assert!(reference(Some("input")).to_string().ends_with("#/input"));
    }

    #[test]
    fn what_is_no_reference_says_how_to_write_one() {
        let good = reference(None).to_string();
        for text in ["", "https://example.com/x", "nats-object:MESH_OBJECTS", "nats-object:MESH_OBJECTS/x"]
            .into_iter()
            .map(ToOwned::to_owned)
            .chain(["#", "#input", "#/", "#/a/b", "#/a~1b"].map(|end| format!("{good}{end}")))
        {
            assert!(DataRef::parse(&text).is_err(), "{text}");
        }
        let error = DataRef::parse("https://example.com/x").expect_err("another scheme");
        assert!(error.contains("nats-object:<bucket>/<object>"), "{error}");
    }

    #[test]
    fn what_is_taken_out_and_put_back_is_the_same_event() {
        let cases = [
            ("task.created", json!({"task": "a", "input": [1, 2]}), Some("input"), json!({"task": "a"})),
            ("task.completed", json!({"output": null, "agent": "a"}), Some("output"), json!({"agent": "a"})),
            ("workflow.requested", json!([1, 2]), None, Value::Null),
        ];
        for (type_, data, member, rest) in cases {
            let whole = event(type_, data);
            let part = LargePart::of(type_).expect("it may be large");
            assert_eq!(part.member(), member);
            let mut event = whole.clone();
            let content = event.take_large(part).expect("it is there");
            event.refer(&reference(member));
            assert_eq!(event.data, rest);
            let found = event.dataref(&Namespace::default()).expect("readable").expect("a reference");
            event.put_large(&found, content).expect("it has a place");
            assert_eq!(event, whole);
        }
        assert_eq!(LargePart::of("task.failed"), None);
    }

    #[test]
    fn a_reference_beside_the_data_is_not_followed_unless_it_is_ours() {
        let namespace = Namespace::default();
        let mut event = event("task.completed", json!({"output": 1}));
        event.extensions.insert(DATAREF.to_owned(), "https://example.com/copy".into());
        assert_eq!(event.dataref(&namespace), Ok(None));
        event.data = Value::Null;
        assert!(event.dataref(&namespace).is_err());
        event.extensions.insert(DATAREF.to_owned(), 7.into());
        assert!(event.dataref(&namespace).is_err());
        event.refer(&DataRef { bucket: "OTHER_OBJECTS".to_owned(), ..reference(None) });
        let error = event.dataref(&namespace).expect_err("another bucket").to_string();
        assert!(error.contains("another bucket than MESH_OBJECTS"), "{error}");
    }

    #[test]
    fn content_without_a_place_is_refused() {
        let whole = reference(Some("output"));
        for data in [json!([]), json!({"output": 1})] {
            assert!(event("task.completed", data).put_large(&whole, json!(2)).is_err());
        }
        let mut empty = event("task.completed", Value::Null);
        assert_eq!(empty.put_large(&whole, json!(2)), Ok(()));
        assert_eq!(empty.data, json!({"output": 2}));
    }
}
