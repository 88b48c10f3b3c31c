//! Schemas, compiled.

use std::collections::BTreeMap;

use mesh_schemas::document::nearest;
use regex::{Regex, RegexBuilder};
use serde_json::{Map, Number, Value};

use super::keyword::{Bounds, Keyword, Place, Properties, Rules, Type};

/// Most memory of a compiled pattern, in bytes.
const MAX_PATTERN_BYTES: usize = 256 * 1024;
/// Deepest nesting of a schema.
const MAX_DEPTH: usize = 100;

/// Keywords that ask for something.
const KEYWORDS: [&str; 42] = [
    "$ref",
    "$defs",
    "definitions",
    "type",
    "enum",
    "const",
    "minimum",
    "exclusiveMinimum",
    "maximum",
    "exclusiveMaximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "pattern",
    "minItems",
    "maxItems",
    "uniqueItems",
    "items",
    "prefixItems",
    "contains",
    "minContains",
    "maxContains",
    "minProperties",
    "maxProperties",
    "required",
    "properties",
    "patternProperties",
    "additionalProperties",
    "propertyNames",
    "dependentRequired",
    "dependentSchemas",
    "allOf",
    "anyOf",
    "oneOf",
    "not",
    "if",
    "then",
    "else",
    "format",
    "title",
    "description",
    "default",
];
/// Keywords that ask for something in the standard and cannot be checked here.
const UNSUPPORTED: [&str; 5] =
    ["unevaluatedItems", "unevaluatedProperties", "$dynamicRef", "$dynamicAnchor", "$recursiveRef"];

/// All schemas in a schema, itself first.
pub(super) fn schema(schema: &Value) -> Result<Vec<Rules>, Vec<(String, String)>> {
    let mut compiler =
        Compiler { root: schema, places: BTreeMap::new(), rules: Vec::new(), problems: Vec::new() };
    compiler.place(schema, At::default());
    if compiler.problems.is_empty() { Ok(compiler.rules) } else { Err(compiler.problems) }
}

/// Where a schema stands in the whole.
#[derive(Debug, Clone, Default)]
struct At {
    /// As a JSON pointer.
    pointer: String,
    /// As a path of the definition.
    path: String,
    depth: usize,
}

impl At {
    fn key(&self, key: &str) -> Self {
        let escaped = key.replace('~', "~0").replace('/', "~1");
        Self {
            pointer: format!("{}/{escaped}", self.pointer),
            path: format!("{}.{key}", self.path),
            depth: self.depth + 1,
        }
    }

    fn item(&self, number: usize) -> Self {
        Self {
            pointer: format!("{}/{number}", self.pointer),
            path: format!("{}[{number}]", self.path),
            depth: self.depth + 1,
        }
    }
}

struct Compiler<'s> {
    root: &'s Value,
    /// Places of schemas by their pointers.
    places: BTreeMap<String, Place>,
    rules: Vec<Rules>,
    problems: Vec<(String, String)>,
}

impl<'s> Compiler<'s> {
    fn refuse<T>(&mut self, at: &At, message: impl Into<String>) -> Option<T> {
        self.problems.push((at.path.clone(), message.into()));
        None
    }

    /// The place of a schema, which is compiled if it was not yet.
    fn place(&mut self, schema: &'s Value, at: At) -> Place {
        if let Some(place) = self.places.get(&at.pointer) {
            return *place;
        }
        let place = self.rules.len();
        self.places.insert(at.pointer.clone(), place);
        self.rules.push(Rules::Nothing);
        self.rules[place] = match schema {
            Value::Bool(true) => Rules::All(Vec::new()),
            Value::Bool(false) => Rules::Nothing,
            Value::Object(_) if at.depth > MAX_DEPTH => {
                let _: Option<()> = self.refuse(&at, format!("a schema is nested deeper than {MAX_DEPTH}"));
                Rules::Nothing
            }
            Value::Object(map) => Rules::All(self.keywords(map, &at)),
            other => {
                let message = format!("expected a schema, which is an object, true or false, found {other}");
                let _: Option<()> = self.refuse(&at, message);
                Rules::Nothing
            }
        };
        place
    }

    fn keywords(&mut self, map: &'s Map<String, Value>, at: &At) -> Vec<Keyword> {
        for key in map.keys() {
            self.known(key, at);
        }
        for group in ["$defs", "definitions"] {
            self.named(map, group, at);
        }
        let mut found: Vec<Option<Keyword>> = vec![
            self.reference(map, at),
            self.types(map, at),
            self.with(map, "enum", at, Self::list).map(|(choices, _)| Keyword::Enum(choices.to_vec())),
            map.get("const").cloned().map(Keyword::Const),
            self.with(map, "minimum", at, Self::number).map(Keyword::Minimum),
            self.with(map, "exclusiveMinimum", at, Self::number).map(Keyword::ExclusiveMinimum),
            self.with(map, "maximum", at, Self::number).map(Keyword::Maximum),
            self.with(map, "exclusiveMaximum", at, Self::number).map(Keyword::ExclusiveMaximum),
            self.with(map, "multipleOf", at, Self::positive).map(Keyword::MultipleOf),
            self.bounds(map, ["minLength", "maxLength"], at).map(Keyword::Length),
            self.with(map, "pattern", at, Self::pattern).map(Keyword::Pattern),
            self.bounds(map, ["minItems", "maxItems"], at).map(Keyword::Items),
            self.each(map, at),
            self.contains(map, at),
            self.with(map, "uniqueItems", at, Self::boolean)
                .and_then(|is| is.then_some(Keyword::UniqueItems)),
            self.bounds(map, ["minProperties", "maxProperties"], at).map(Keyword::Keys),
            self.with(map, "required", at, Self::texts).map(Keyword::Required),
            self.properties(map, at),
            self.schema_at(map, "propertyNames", at).map(Keyword::PropertyNames),
            self.dependent_required(map, at),
            map.contains_key("dependentSchemas")
                .then(|| Keyword::DependentSchemas(self.named(map, "dependentSchemas", at))),
        ];
        found.push(self.schemas(map, "allOf", at).map(Keyword::AllOf));
        found.push(self.schemas(map, "anyOf", at).map(Keyword::AnyOf));
        found.push(self.schemas(map, "oneOf", at).map(Keyword::OneOf));
        found.push(self.schema_at(map, "not", at).map(Keyword::Not));
        let (then, otherwise) = (self.schema_at(map, "then", at), self.schema_at(map, "else", at));
        let condition = self.schema_at(map, "if", at);
        found.push(condition.map(|condition| Keyword::If { condition, then, otherwise }));
        found.into_iter().flatten().collect()
    }

    /// A keyword that is not known says something to people only, unless it is a slip.
    fn known(&mut self, key: &str, at: &At) {
        if UNSUPPORTED.contains(&key) {
            let _: Option<()> = self.refuse(&at.key(key), format!("'{key}' cannot be checked: leave it out"));
        } else if !KEYWORDS.contains(&key)
            && let Some(near) = nearest(key, KEYWORDS)
        {
            let message = format!("unknown keyword '{key}': did you mean '{near}'?");
            let _: Option<()> = self.refuse(&at.key(key), message);
        }
    }

    /// The value of a keyword, if it is there and sound.
    fn with<T>(
        &mut self,
        map: &'s Map<String, Value>,
        key: &str,
        at: &At,
        read: impl FnOnce(&mut Self, &'s Value, &At) -> Option<T>,
    ) -> Option<T> {
        map.get(key).and_then(|value| read(self, value, &at.key(key)))
    }

    fn schema_at(&mut self, map: &'s Map<String, Value>, key: &str, at: &At) -> Option<Place> {
        map.get(key).map(|schema| self.place(schema, at.key(key)))
    }

    fn schemas(&mut self, map: &'s Map<String, Value>, key: &str, at: &At) -> Option<Vec<Place>> {
        let (schemas, at) = self.with(map, key, at, Self::list)?;
        if schemas.is_empty() {
            return self.refuse(&at, format!("'{key}' has at least one schema"));
        }
        Some(schemas.iter().enumerate().map(|(number, schema)| self.place(schema, at.item(number))).collect())
    }

    /// An object with a schema for each key.
    fn named(&mut self, map: &'s Map<String, Value>, key: &str, at: &At) -> BTreeMap<String, Place> {
        let at = at.key(key);
        match map.get(key) {
            None => BTreeMap::new(),
            Some(Value::Object(schemas)) => {
                let schemas = schemas.iter();
                schemas.map(|(name, schema)| (name.clone(), self.place(schema, at.key(name)))).collect()
            }
            Some(other) => {
                let message = format!("expected an object with a schema for each key, found {other}");
                let _: Option<()> = self.refuse(&at, message);
                BTreeMap::new()
            }
        }
    }

    fn reference(&mut self, map: &'s Map<String, Value>, at: &At) -> Option<Keyword> {
        let at = at.key("$ref");
        let Some(reference) = map.get("$ref")?.as_str() else {
            return self.refuse(&at, "expected text, as in '#/$defs/item'");
        };
        let Some(pointer) =
            reference.strip_prefix('#').filter(|rest| rest.is_empty() || rest.starts_with('/'))
        else {
            let message = format!(
                "'{reference}' is elsewhere, and nothing is fetched: put the schema into '$defs' and write '#/$defs/…'"
            );
            return self.refuse(&at, message);
        };
        let Some(target) = self.root.pointer(pointer) else {
            return self.refuse(&at, format!("there is nothing at '{reference}'"));
        };
        let path: String = pointer.split('/').skip(1).map(|part| format!(".{part}")).collect();
        Some(Keyword::Ref(self.place(target, At { pointer: pointer.to_owned(), path, depth: at.depth })))
    }

    fn types(&mut self, map: &'s Map<String, Value>, at: &At) -> Option<Keyword> {
        let value = map.get("type")?;
        let at = at.key("type");
        let names = match value {
            Value::Array(names) if !names.is_empty() => names.iter().collect(),
            value => vec![value],
        };
        let mut types = Vec::new();
        for value in names {
            let name = value.as_str().unwrap_or_default();
            if let Some((_, type_)) = Type::NAMES.iter().find(|(known, _)| *known == name) {
                types.push(*type_);
                continue;
            }
            let all = Type::NAMES.map(|(name, _)| name);
            let message = match nearest(name, all) {
                Some(near) => format!("unknown type {value}: did you mean '{near}'?"),
                None => format!("unknown type {value}: a type is one of {}", all.join(", ")),
            };
            return self.refuse(&at, message);
        }
        Some(Keyword::Type(types))
    }

    fn bounds(&mut self, map: &'s Map<String, Value>, [least, most]: [&str; 2], at: &At) -> Option<Bounds> {
        if !map.contains_key(least) && !map.contains_key(most) {
            return None;
        }
        let low = self.with(map, least, at, Self::count);
        let high = self.with(map, most, at, Self::count);
        Some(Bounds { least: low.unwrap_or(0), most: high })
    }

    fn each(&mut self, map: &'s Map<String, Value>, at: &At) -> Option<Keyword> {
        let first = self.schemas(map, "prefixItems", at).unwrap_or_default();
        if map.get("items").is_some_and(Value::is_array) {
            let message = "'items' is one schema for all items: for a schema of each, write 'prefixItems'";
            return self.refuse(&at.key("items"), message);
        }
        let rest = self.schema_at(map, "items", at);
        (rest.is_some() || !first.is_empty()).then_some(Keyword::Each { first, rest })
    }

    fn contains(&mut self, map: &'s Map<String, Value>, at: &At) -> Option<Keyword> {
        let item = self.schema_at(map, "contains", at);
        let least = self.with(map, "minContains", at, Self::count).unwrap_or(1);
        let most = self.with(map, "maxContains", at, Self::count);
        Some(Keyword::Contains { item: item?, count: Bounds { least, most } })
    }

    fn properties(&mut self, map: &'s Map<String, Value>, at: &At) -> Option<Keyword> {
        let named = self.named(map, "properties", at);
        let mut patterns = Vec::new();
        for (text, place) in self.named(map, "patternProperties", at) {
            patterns.extend(
                self.regex(&text, &at.key("patternProperties").key(&text)).map(|regex| (regex, place)),
            );
        }
        let others = self.schema_at(map, "additionalProperties", at);
        let asks = !named.is_empty() || !patterns.is_empty() || others.is_some();
        asks.then_some(Keyword::Properties(Properties { named, patterns, others }))
    }

    fn dependent_required(&mut self, map: &'s Map<String, Value>, at: &At) -> Option<Keyword> {
        let at = at.key("dependentRequired");
        let Some(all) = map.get("dependentRequired")?.as_object() else {
            return self.refuse(&at, "expected an object with a list of keys for each key");
        };
        let read = all.iter().map(|(key, keys)| Some((key.clone(), self.texts(keys, &at.key(key))?)));
        let read: Vec<_> = read.collect();
        read.into_iter().collect::<Option<_>>().map(Keyword::DependentRequired)
    }

    fn list(&mut self, value: &'s Value, at: &At) -> Option<(&'s [Value], At)> {
        match value {
            Value::Array(items) => Some((items, at.clone())),
            other => self.refuse(at, format!("expected a list, found {other}")),
        }
    }

    fn texts(&mut self, value: &'s Value, at: &At) -> Option<Vec<String>> {
        let texts =
            value.as_array().map(|items| items.iter().map(|item| item.as_str().map(str::to_owned)).collect());
        texts.flatten().or_else(|| self.refuse(at, "expected a list of keys, as in [name, email]"))
    }

    fn number(&mut self, value: &'s Value, at: &At) -> Option<Number> {
        match value {
            Value::Number(number) => Some(number.clone()),
            other => self.refuse(at, format!("expected a number, found {other}")),
        }
    }

    fn positive(&mut self, value: &'s Value, at: &At) -> Option<Number> {
        let number = self.number(value, at)?;
        if number.as_f64().is_some_and(|double| double > 0.0) {
            return Some(number);
        }
        self.refuse(at, format!("expected a number above 0, found {number}"))
    }

    fn count(&mut self, value: &'s Value, at: &At) -> Option<usize> {
        let whole = value.as_u64().or_else(|| {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole and in range")]
            value
                .as_f64()
                .filter(|number| number.fract() == 0.0 && (0.0..1e15).contains(number))
                .map(|it| it as u64)
        });
        match whole.and_then(|whole| usize::try_from(whole).ok()) {
            Some(count) => Some(count),
            None => self.refuse(at, format!("expected a whole number from 0 on, found {value}")),
        }
    }

    fn boolean(&mut self, value: &'s Value, at: &At) -> Option<bool> {
        value.as_bool().or_else(|| self.refuse(at, format!("expected true or false, found {value}")))
    }

    fn pattern(&mut self, value: &'s Value, at: &At) -> Option<Regex> {
        match value.as_str() {
            Some(text) => self.regex(text, at),
            None => self.refuse(at, format!("expected text, found {value}")),
        }
    }

    fn regex(&mut self, text: &str, at: &At) -> Option<Regex> {
        match RegexBuilder::new(text).size_limit(MAX_PATTERN_BYTES).build() {
            Ok(pattern) => Some(pattern),
            Err(error) => {
                let error = error.to_string();
                let reason = error.lines().last().unwrap_or_default().trim_start_matches("error: ");
                self.refuse(at, format!("the pattern {text:?} cannot be used: {reason}"))
            }
        }
    }
}
