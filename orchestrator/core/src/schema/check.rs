//! Whether a value follows a schema.

use std::cmp::Ordering;

use mesh_schemas::document::nearest;
use serde_json::{Map, Number, Value};

use super::keyword::{Keyword, Place, Properties, Rules};
use super::number::{compare, equal, is_multiple};
use super::words;

/// Most steps of one check: a keyword, an item or a chunk of text. Some hundred milliseconds.
const MAX_STEPS: usize = 10_000_000;
/// Bytes of text that count as one step.
const STEP_BYTES: usize = 64;
/// Deepest nesting of schemas in a check, so that it needs little stack.
const MAX_DEPTH: usize = 400;
/// How many places are told.
const MAX_TOLD: usize = 5;
/// How many alternatives are explained.
const MAX_ALTERNATIVES: usize = 3;

/// See [`super::Schema::refusal`].
pub(super) fn refusal(rules: &[Rules], value: &Value) -> Option<String> {
    let mut check = Check { rules, steps: MAX_STEPS, depth: 0, path: String::new(), found: Vec::new() };
    if check.follow(0, value).is_err() {
        return Some("to see whether it does takes more steps than a check may take".to_owned());
    }
    let total = check.found.len();
    let mut told: Vec<String> = check.found.into_iter().take(MAX_TOLD).map(Violation::told).collect();
    if total > MAX_TOLD {
        told.push(format!("and {} more", total - MAX_TOLD));
    }
    (total > 0).then(|| told.join("; "))
}

struct Violation {
    path: String,
    message: String,
}

impl Violation {
    fn told(self) -> String {
        if self.path.is_empty() { self.message } else { format!("{}: {}", self.path, self.message) }
    }
}

/// It takes too long.
struct TooFar;

struct Check<'s> {
    rules: &'s [Rules],
    steps: usize,
    depth: usize,
    /// Where in the value.
    path: String,
    found: Vec<Violation>,
}

impl<'s> Check<'s> {
    fn spend(&mut self, steps: usize) -> Result<(), TooFar> {
        self.steps = self.steps.checked_sub(steps).ok_or(TooFar)?;
        Ok(())
    }

    fn refuse(&mut self, message: impl Into<String>) {
        self.found.push(Violation { path: self.path.clone(), message: message.into() });
    }

    /// Notes where a value does not follow a schema.
    fn follow(&mut self, place: Place, value: &Value) -> Result<(), TooFar> {
        self.spend(1)?;
        if self.depth >= MAX_DEPTH {
            return Err(TooFar);
        }
        self.depth += 1;
        match &self.rules[place] {
            Rules::Nothing => self.refuse(format!("nothing is expected here, found {}", words::found(value))),
            Rules::All(keywords) => {
                for keyword in keywords {
                    self.keyword(keyword, value)?;
                }
            }
        }
        self.depth -= 1;
        Ok(())
    }

    /// What of a value does not follow a schema, without noting it.
    fn try_on(&mut self, place: Place, value: &Value) -> Result<Vec<Violation>, TooFar> {
        let before = std::mem::take(&mut self.found);
        self.follow(place, value)?;
        Ok(std::mem::replace(&mut self.found, before))
    }

    fn fits(&mut self, place: Place, value: &Value) -> Result<bool, TooFar> {
        self.try_on(place, value).map(|found| found.is_empty())
    }

    /// Follows a schema with a part of the value.
    fn inside(&mut self, place: Place, value: &Value, link: impl FnOnce(&mut String)) -> Result<(), TooFar> {
        let length = self.path.len();
        link(&mut self.path);
        let result = self.follow(place, value);
        self.path.truncate(length);
        result
    }

    fn keyword(&mut self, keyword: &'s Keyword, value: &Value) -> Result<(), TooFar> {
        self.spend(1)?;
        match (keyword, value) {
            (Keyword::Type(types), _) if !types.iter().any(|type_| type_.holds(value)) => {
                self.refuse(format!("expected {}, found {}", words::types(types), words::found(value)));
            }
            (Keyword::Enum(choices), _) => {
                self.spend(choices.len())?;
                if !choices.iter().any(|choice| equal(choice, value)) {
                    self.refuse(format!(
                        "expected {}, found {}",
                        words::one_of(choices),
                        words::found(value)
                    ));
                }
            }
            (Keyword::Const(only), _) if !equal(only, value) => {
                self.refuse(format!("expected {}, found {}", words::found(only), words::found(value)));
            }
            (Keyword::Ref(place), _) => self.follow(*place, value)?,
            (Keyword::AllOf(places), _) => {
                for place in places {
                    self.follow(*place, value)?;
                }
            }
            (Keyword::AnyOf(places), _) => self.any_of(places, value)?,
            (Keyword::OneOf(places), _) => self.one_of(places, value)?,
            (Keyword::Not(place), _) if self.fits(*place, value)? => {
                self.refuse(format!("{} is what 'not' excludes", words::found(value)));
            }
            (Keyword::If { condition, then, otherwise }, _) => {
                let branch = if self.fits(*condition, value)? { then } else { otherwise };
                if let Some(place) = branch {
                    self.follow(*place, value)?;
                }
            }
            (_, Value::Number(number)) => self.number(keyword, number),
            (_, Value::String(text)) => self.text(keyword, text)?,
            (_, Value::Array(items)) => self.list(keyword, items)?,
            (Keyword::DependentSchemas(all), Value::Object(map)) => {
                for (_, place) in all.iter().filter(|(key, _)| map.contains_key(*key)) {
                    self.follow(*place, value)?;
                }
            }
            (_, Value::Object(map)) => self.object(keyword, map)?,
            _ => {}
        }
        Ok(())
    }

    fn any_of(&mut self, places: &[Place], value: &Value) -> Result<(), TooFar> {
        let mut why = Vec::new();
        for place in places {
            let found = self.try_on(*place, value)?;
            match found.into_iter().next() {
                None => return Ok(()),
                Some(first) => why.push(first),
            }
        }
        self.refuse_all("anyOf", places.len(), why);
        Ok(())
    }

    fn one_of(&mut self, places: &[Place], value: &Value) -> Result<(), TooFar> {
        let mut why = Vec::new();
        let mut fitting = Vec::new();
        for (number, place) in places.iter().enumerate() {
            let found = self.try_on(*place, value)?;
            match found.into_iter().next() {
                None => fitting.push(number),
                Some(first) => why.push(first),
            }
        }
        match fitting.as_slice() {
            [] => self.refuse_all("oneOf", places.len(), why),
            [_] => {}
            [first, second, ..] => {
                self.refuse(format!("follows more than one schema of 'oneOf': [{first}] and [{second}]"));
            }
        }
        Ok(())
    }

    fn refuse_all(&mut self, keyword: &str, total: usize, why: Vec<Violation>) {
        let why = why.into_iter().take(MAX_ALTERNATIVES).enumerate();
        let why: Vec<String> = why.map(|(number, first)| format!("[{number}] {}", first.told())).collect();
        self.refuse(format!("follows none of the {total} schemas of '{keyword}': {}", why.join(", ")));
    }

    fn number(&mut self, keyword: &Keyword, number: &Number) {
        let (holds, expected) = match keyword {
            Keyword::Minimum(limit) => {
                (compare(number, limit).is_none_or(Ordering::is_ge), format!("at least {limit}"))
            }
            Keyword::ExclusiveMinimum(limit) => {
                (compare(number, limit).is_none_or(Ordering::is_gt), format!("more than {limit}"))
            }
            Keyword::Maximum(limit) => {
                (compare(number, limit).is_none_or(Ordering::is_le), format!("at most {limit}"))
            }
            Keyword::ExclusiveMaximum(limit) => {
                (compare(number, limit).is_none_or(Ordering::is_lt), format!("less than {limit}"))
            }
            Keyword::MultipleOf(of) => (is_multiple(number, of), format!("a multiple of {of}")),
            _ => return,
        };
        if !holds {
            self.refuse(format!("expected {expected}, found {number}"));
        }
    }

    fn text(&mut self, keyword: &Keyword, text: &str) -> Result<(), TooFar> {
        self.spend(text.len() / STEP_BYTES)?;
        let found = || words::found(&Value::from(text));
        match keyword {
            Keyword::Length(bounds) if !bounds.hold(text.chars().count()) => {
                let expected = words::bounds(*bounds, "character");
                self.refuse(format!("expected text of {expected}, found {}", found()));
            }
            Keyword::Pattern(pattern) if !pattern.is_match(text) => {
                self.refuse(format!("expected text that matches {pattern}, found {}", found()));
            }
            _ => {}
        }
        Ok(())
    }

    fn list(&mut self, keyword: &Keyword, items: &[Value]) -> Result<(), TooFar> {
        match keyword {
            Keyword::Items(bounds) if !bounds.hold(items.len()) => {
                self.refuse(format!("expected {}, found {}", words::bounds(*bounds, "item"), items.len()));
            }
            Keyword::UniqueItems => self.unique(items)?,
            Keyword::Each { first, rest } => {
                for (number, item) in items.iter().enumerate() {
                    if let Some(place) = first.get(number).or(rest.as_ref()) {
                        self.inside(*place, item, |path| path.push_str(&format!("[{number}]")))?;
                    }
                }
            }
            Keyword::Contains { item, count } => {
                let mut fitting = 0;
                for other in items {
                    fitting += usize::from(self.fits(*item, other)?);
                }
                if !count.hold(fitting) {
                    let expected = words::bounds(*count, "item");
                    self.refuse(format!("expected {expected} as 'contains' says, found {fitting}"));
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn unique(&mut self, items: &[Value]) -> Result<(), TooFar> {
        for (number, item) in items.iter().enumerate() {
            self.spend(number)?;
            if let Some(first) = items[..number].iter().position(|other| equal(other, item)) {
                self.refuse(format!("expected items that differ, and [{first}] and [{number}] are equal"));
                return Ok(());
            }
        }
        Ok(())
    }

    fn object(&mut self, keyword: &Keyword, map: &Map<String, Value>) -> Result<(), TooFar> {
        match keyword {
            Keyword::Keys(bounds) if !bounds.hold(map.len()) => {
                self.refuse(format!("expected {}, found {}", words::bounds(*bounds, "key"), map.len()));
            }
            Keyword::Required(keys) => self.require(keys, map, ""),
            Keyword::Properties(properties) => self.properties(properties, map)?,
            Keyword::PropertyNames(place) => {
                for (key, _) in sorted(map) {
                    let found = self.try_on(*place, &Value::from(key.as_str()))?;
                    if let Some(first) = found.into_iter().next() {
                        self.refuse(format!(
                            "the key '{key}' is not one that may be there: {}",
                            first.message
                        ));
                    }
                }
            }
            Keyword::DependentRequired(all) => {
                for (key, others) in all.iter().filter(|(key, _)| map.contains_key(*key)) {
                    self.require(others, map, &format!(", as '{key}' is there"));
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn require(&mut self, keys: &[String], map: &Map<String, Value>, why: &str) {
        for key in keys.iter().filter(|key| !map.contains_key(*key)) {
            self.refuse(match nearest(key, map.keys().map(String::as_str)) {
                Some(near) => format!("the key '{key}' is missing{why}, found '{near}'"),
                None => format!("the key '{key}' is missing{why}"),
            });
        }
    }

    fn properties(&mut self, properties: &Properties, map: &Map<String, Value>) -> Result<(), TooFar> {
        for (key, value) in sorted(map) {
            self.spend(1 + key.len() / STEP_BYTES)?;
            let named = properties.named.get(key).copied();
            let matching = properties.patterns.iter().filter(|(pattern, _)| pattern.is_match(key));
            let mut places: Vec<Place> = named.into_iter().chain(matching.map(|(_, place)| *place)).collect();
            if places.is_empty() {
                places.extend(properties.others);
                if let Some(others) = properties.others
                    && matches!(self.rules[others], Rules::Nothing)
                {
                    self.unexpected(key, properties);
                    continue;
                }
            }
            for place in places {
                self.inside(place, value, |path| words::link(path, key))?;
            }
        }
        Ok(())
    }

    fn unexpected(&mut self, key: &str, properties: &Properties) {
        let known = properties.named.keys().map(String::as_str);
        self.refuse(match nearest(key, known.clone()) {
            Some(near) => format!("the key '{key}' is not expected: perhaps '{near}' is meant"),
            None if properties.named.is_empty() => format!("the key '{key}' is not expected"),
            None => {
                let known: Vec<&str> = known.collect();
                format!("the key '{key}' is not expected, only {}", known.join(", "))
            }
        });
    }
}

/// The entries in the order of their keys, whatever order the data came in.
fn sorted(map: &Map<String, Value>) -> Vec<(&String, &Value)> {
    let mut entries: Vec<_> = map.iter().collect();
    entries.sort_unstable_by_key(|(key, _)| *key);
    entries
}
