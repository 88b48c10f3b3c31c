mod secret;

use mesh_schemas::MAX_DATA_BYTES;
use mesh_schemas::payload::SecretUse;
use serde_json::Value;

pub(super) use secret::REFUSED;

use super::compile::Compiled;
use super::error::{ExpressionError, Fault};
use super::evaluate::Meter;
use super::references::References;
use super::scan::{Piece, pieces};
use super::scope::Scope;
use super::value::{MAX_VALUE_DEPTH, Val, Writer};

/// Compiled data with `${…}` in its strings: a task's `with` or `output`, or the output of a workflow.
///
/// A key whose value is an optional without a value is left out. In a list, and where the whole data is the optional, null
/// stands in its place.
#[derive(Debug)]
pub struct Template {
    part: Part,
    /// What each expression uses, with its path.
    references: Vec<(String, References)>,
    /// The secrets that it refers to.
    secrets: Vec<SecretUse>,
}

#[derive(Debug)]
enum Part {
    /// Holds no expression.
    Plain(Value),
    /// A string that is one expression, and keeps the type of its value.
    Whole(Compiled),
    /// A string with expressions in it.
    Mixed(Vec<Fragment>),
    List(Vec<Part>),
    Object(Vec<(String, Part)>),
}

impl Part {
    /// A list, plain if all its items are.
    fn list(parts: Vec<Self>) -> Self {
        match parts.iter().map(Self::plain).collect::<Option<_>>() {
            Some(items) => Self::Plain(Value::Array(items)),
            None => Self::List(parts),
        }
    }

    /// An object, plain if all its values are.
    fn object(parts: Vec<(String, Self)>) -> Self {
        match parts.iter().map(|(key, part)| Some((key.clone(), part.plain()?))).collect::<Option<_>>() {
            Some(map) => Self::Plain(Value::Object(map)),
            None => Self::Object(parts),
        }
    }

    fn plain(&self) -> Option<Value> {
        match self {
            Self::Plain(value) => Some(value.clone()),
            _ => None,
        }
    }
}

#[derive(Debug)]
enum Fragment {
    Text(String),
    /// Stands for a secret.
    Secret(String),
    Expression(Compiled),
}

impl Template {
    /// Compiles every expression in some data.
    ///
    /// # Errors
    /// All that is wrong: each with its path in the data, such as `.scores[0]`, and in words.
    pub fn compile(data: &Value) -> Result<Self, Vec<(String, String)>> {
        Self::compiled(data, Compiler::default())
    }

    /// The same of data in which texts may have `${secret("name")}` in them. What is rendered has just that in its place:
    /// the value is for whoever gets it.
    ///
    /// # Errors
    /// As [`Template::compile`].
    pub fn compile_with_secrets(data: &Value) -> Result<Self, Vec<(String, String)>> {
        Self::compiled(data, Compiler { secrets: Some(Vec::new()), ..Compiler::default() })
    }

    fn compiled(data: &Value, mut compiler: Compiler) -> Result<Self, Vec<(String, String)>> {
        match compiler.part(data, "", 0) {
            Some(part) if compiler.problems.is_empty() => {
                let (references, secrets) = (compiler.references, compiler.secrets.unwrap_or_default());
                Ok(Self { part, references, secrets })
            }
            _ => Err(compiler.problems),
        }
    }

    /// The secrets that it refers to, and where.
    #[must_use]
    pub fn secrets(&self) -> &[SecretUse] {
        &self.secrets
    }

    /// The data with each expression replaced by its value.
    ///
    /// # Errors
    /// [`ExpressionError`] of the first expression that fails, or if the whole is larger than
    /// [`MAX_DATA_BYTES`] as JSON.
    pub fn render(&self, scope: &Scope<'_>) -> Result<Value, ExpressionError> {
        let writer = Writer { bytes: MAX_DATA_BYTES };
        let mut renderer = Renderer { scope, meter: Meter::default(), writer };
        let value = renderer.part(&self.part, &mut String::new(), 0)?;
        if json_bytes(&value) > MAX_DATA_BYTES {
            return Err(ExpressionError::TooLarge { at: String::new() });
        }
        Ok(value)
    }

    /// Gives the room back that [`Template::references`] take, once everything is checked by them.
    pub(crate) fn forget_references(&mut self) {
        self.references = Vec::new();
    }

    /// What each expression uses, with its path in the data, such as `.scores[0]`.
    pub fn references(&self) -> impl Iterator<Item = (&str, &References)> {
        self.references.iter().map(|(at, references)| (at.as_str(), references))
    }
}

/// The length of a value as compact JSON.
fn json_bytes(value: &Value) -> usize {
    struct Counter(usize);
    impl std::io::Write for Counter {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut counter = Counter(0);
    // Neither the counter nor the data of JSON can fail to be written.
    serde_json::to_writer(&mut counter, value).map_or(usize::MAX, |()| counter.0)
}

pub(super) fn failed(fault: Fault, at: &str, expression: &str) -> ExpressionError {
    let message = match fault {
        Fault::Error(message) => message,
        Fault::Cost => {
            "the expression needs more steps than one may take: let an agent compute it".to_owned()
        }
        Fault::TooLarge => return ExpressionError::TooLarge { at: at.to_owned() },
    };
    ExpressionError::Failed { at: at.to_owned(), expression: expression.to_owned(), message }
}

#[derive(Default)]
struct Compiler {
    problems: Vec<(String, String)>,
    references: Vec<(String, References)>,
    /// The secrets that were found, where there may be some.
    secrets: Option<Vec<SecretUse>>,
    /// The place in hand as a JSON pointer, kept only where there may be secrets.
    pointer: String,
}

impl Compiler {
    fn refuse<T>(&mut self, at: &str, message: impl Into<String>) -> Option<T> {
        self.problems.push((at.to_owned(), message.into()));
        None
    }

    fn part(&mut self, data: &Value, at: &str, depth: usize) -> Option<Part> {
        if depth > MAX_VALUE_DEPTH {
            return self.refuse(at, format!("the data is nested deeper than {MAX_VALUE_DEPTH}"));
        }
        match data {
            Value::String(text) => self.string(text, at),
            Value::Array(items) => {
                let indexed = items.iter().enumerate();
                let parts: Vec<_> = indexed
                    .map(|(index, item)| {
                        let length = self.point(&index.to_string());
                        let part = self.part(item, &format!("{at}[{index}]"), depth + 1);
                        self.pointer.truncate(length);
                        part
                    })
                    .collect();
                Some(Part::list(parts.into_iter().collect::<Option<_>>()?))
            }
            Value::Object(map) => {
                let parts: Vec<_> =
                    map.iter().map(|(key, value)| self.entry(key, value, at, depth)).collect();
                Some(Part::object(parts.into_iter().collect::<Option<_>>()?))
            }
            other => Some(Part::Plain(other.clone())),
        }
    }

    fn entry(&mut self, key: &str, value: &Value, at: &str, depth: usize) -> Option<(String, Part)> {
        let at = format!("{at}.{key}");
        let length = self.point(key);
        let value = self.part(value, &at, depth + 1);
        self.pointer.truncate(length);
        if key.contains("${") {
            return self.refuse(&at, "a key cannot hold an expression");
        }
        Some((key.to_owned(), value?))
    }

    fn string(&mut self, text: &str, at: &str) -> Option<Part> {
        let pieces = match pieces(text) {
            Ok(pieces) => pieces,
            Err(message) => return self.refuse(at, message),
        };
        if let [Piece::Expression(expression)] = pieces.as_slice()
            && secret::name(expression).is_none()
        {
            return self.expression(expression, at).map(Part::Whole);
        }
        if pieces.iter().all(|piece| matches!(piece, Piece::Text(_))) {
            let text = pieces.iter().map(|piece| match piece {
                Piece::Text(text) | Piece::Expression(text) => *text,
            });
            return Some(Part::Plain(Value::String(text.collect())));
        }
        let fragments: Vec<_> = pieces
            .into_iter()
            .map(|piece| match piece {
                Piece::Text(text) => Some(Fragment::Text(text.to_owned())),
                Piece::Expression(expression) => self.fragment(expression, at),
            })
            .collect();
        Some(Part::Mixed(fragments.into_iter().collect::<Option<_>>()?))
    }

    /// An expression within a text.
    fn fragment(&mut self, text: &str, at: &str) -> Option<Fragment> {
        if let Some(name) = secret::name(text) {
            return self.secret(name, at);
        }
        let compiled = self.expression(text, at)?;
        if compiled.is_optional() {
            let message = "a text cannot hold an optional: add .orValue('')";
            return self.refuse(at, compiled.refused(message));
        }
        Some(Fragment::Expression(compiled))
    }

    fn expression(&mut self, text: &str, at: &str) -> Option<Compiled> {
        match Compiled::new(text) {
            Ok(mut compiled) => {
                self.references.push((at.to_owned(), std::mem::take(&mut compiled.references)));
                Some(compiled)
            }
            Err(messages) => {
                self.problems.extend(messages.into_iter().map(|message| (at.to_owned(), message)));
                None
            }
        }
    }
}

struct Renderer<'s, 'a> {
    scope: &'s Scope<'a>,
    meter: Meter,
    writer: Writer,
}

impl Renderer<'_, '_> {
    fn part(&mut self, part: &Part, at: &mut String, depth: usize) -> Result<Value, ExpressionError> {
        let length = at.len();
        Ok(match part {
            Part::Plain(value) => value.clone(),
            Part::Whole(expression) => self.whole(expression, at, depth)?.unwrap_or_default(),
            Part::Mixed(fragments) => Value::String(self.mixed(fragments, at)?),
            Part::List(parts) => {
                let mut items = Vec::with_capacity(parts.len());
                for (index, part) in parts.iter().enumerate() {
                    at.push_str(&format!("[{index}]"));
                    items.push(self.part(part, at, depth + 1)?);
                    at.truncate(length);
                }
                Value::Array(items)
            }
            Part::Object(parts) => {
                let mut object = serde_json::Map::new();
                for (key, part) in parts {
                    at.push('.');
                    at.push_str(key);
                    let value = match part {
                        Part::Whole(expression) => self.whole(expression, at, depth + 1)?,
                        part => Some(self.part(part, at, depth + 1)?),
                    };
                    object.extend(value.map(|value| (key.clone(), value)));
                    at.truncate(length);
                }
                Value::Object(object)
            }
        })
    }

    /// The value of an expression; none if that is an optional without one.
    fn whole(
        &mut self,
        expression: &Compiled,
        at: &str,
        depth: usize,
    ) -> Result<Option<Value>, ExpressionError> {
        let value = match expression.evaluate(self.scope, &mut self.meter) {
            Ok(Val::Optional(None)) => return Ok(None),
            Ok(value) => self.writer.write(&value, depth),
            Err(fault) => Err(fault),
        };
        value.map(Some).map_err(|fault| failed(fault, at, &expression.text))
    }

    fn mixed(&mut self, fragments: &[Fragment], at: &str) -> Result<String, ExpressionError> {
        let has_secret = fragments.iter().any(|fragment| matches!(fragment, Fragment::Secret(_)));
        let mut text = String::new();
        for fragment in fragments {
            match fragment {
                Fragment::Text(fragment) | Fragment::Secret(fragment) => text.push_str(fragment),
                Fragment::Expression(expression) => {
                    let length = text.len();
                    self.interpolate(expression, &mut text)
                        .and_then(|()| secret::check(has_secret, &text[length..]))
                        .map_err(|fault| failed(fault, at, &expression.text))?;
                }
            }
        }
        Ok(text)
    }

    fn interpolate(&mut self, expression: &Compiled, text: &mut String) -> Result<(), Fault> {
        let value = expression.evaluate(self.scope, &mut self.meter)?;
        match &value {
            Val::Text(value) => {
                self.writer.spend(value.as_str().len())?;
                text.push_str(value.as_str());
            }
            Val::Optional(_) => return Fault::error("a text cannot hold an optional: add .orValue('')"),
            other => text.push_str(&self.writer.write(other, 0)?.to_string()),
        }
        Ok(())
    }
}
