use super::error::Fault;
use super::evaluate::Meter;
use super::value::Val;

/// A function of the language. `matches(text, pattern)` is there too; it is a form of its own because its pattern
/// is compiled with the expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Function {
    /// `size(x)` or `x.size()`: characters of a string, items of a list, keys of a map.
    Size,
    /// `text.contains(part)`.
    Contains,
    /// `text.startsWith(part)`.
    StartsWith,
    /// `text.endsWith(part)`.
    EndsWith,
    /// `int(x)` of a number or string; a double loses its fraction.
    Int,
    /// `uint(x)` of a number or string.
    Uint,
    /// `double(x)` of a number or string.
    Double,
    /// `string(x)` of a number, bool or string.
    String,
    /// `bool(x)` of a bool or string.
    Bool,
    /// `dyn(x)`: x itself.
    Dyn,
}

impl Function {
    pub(super) const NAMES: [&'static str; 11] = [
        "size",
        "contains",
        "startsWith",
        "endsWith",
        "matches",
        "int",
        "uint",
        "double",
        "string",
        "bool",
        "dyn",
    ];

    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "size" => Self::Size,
            "contains" => Self::Contains,
            "startsWith" => Self::StartsWith,
            "endsWith" => Self::EndsWith,
            "int" => Self::Int,
            "uint" => Self::Uint,
            "double" => Self::Double,
            "string" => Self::String,
            "bool" => Self::Bool,
            "dyn" => Self::Dyn,
            _ => return None,
        })
    }

    fn name(self) -> &'static str {
        match self {
            Self::Size => "size",
            Self::Contains => "contains",
            Self::StartsWith => "startsWith",
            Self::EndsWith => "endsWith",
            Self::Int => "int",
            Self::Uint => "uint",
            Self::Double => "double",
            Self::String => "string",
            Self::Bool => "bool",
            Self::Dyn => "dyn",
        }
    }

    /// How it is written, if it cannot be written with a target (`x.f(…)`) or without, and so many arguments in
    /// all.
    pub(super) fn misuse(self, target: bool, arguments: usize) -> Option<&'static str> {
        let (form, fits) = match self {
            Self::Size => ("size(x) or x.size()", arguments == 1),
            Self::Contains => ("text.contains(part)", target && arguments == 2),
            Self::StartsWith => ("text.startsWith(part)", target && arguments == 2),
            Self::EndsWith => ("text.endsWith(part)", target && arguments == 2),
            Self::Int => ("int(x)", !target && arguments == 1),
            Self::Uint => ("uint(x)", !target && arguments == 1),
            Self::Double => ("double(x)", !target && arguments == 1),
            Self::String => ("string(x)", !target && arguments == 1),
            Self::Bool => ("bool(x)", !target && arguments == 1),
            Self::Dyn => ("dyn(x)", !target && arguments == 1),
        };
        (!fits).then_some(form)
    }

    pub(super) fn call<'a>(self, arguments: &[Val<'a>], meter: &mut Meter) -> Result<Val<'a>, Fault> {
        for argument in arguments {
            if let Val::Text(text) = argument {
                meter.spend_text(text.as_str())?;
            }
        }
        match (self, arguments) {
            (Self::Contains, [Val::Text(text), Val::Text(part)]) => {
                Ok(Val::Bool(text.as_str().contains(part.as_str())))
            }
            (Self::StartsWith, [Val::Text(text), Val::Text(part)]) => {
                Ok(Val::Bool(text.as_str().starts_with(part.as_str())))
            }
            (Self::EndsWith, [Val::Text(text), Val::Text(part)]) => {
                Ok(Val::Bool(text.as_str().ends_with(part.as_str())))
            }
            (_, [argument]) => self.of_one(argument),
            _ => self.refuse(arguments),
        }
    }

    fn of_one<'a>(self, argument: &Val<'a>) -> Result<Val<'a>, Fault> {
        let value = match (self, argument) {
            (Self::Dyn, value) => Some(value.clone()),
            (Self::Size, Val::Text(text)) => Some(size(text.as_str().chars().count())),
            (Self::Size, Val::List(list)) => Some(size(list.len())),
            (Self::Size, Val::Map(map)) => Some(size(map.len())),
            (Self::Int, value) => to_int(value),
            (Self::Uint, value) => to_uint(value),
            (Self::Double, value) => to_double(value),
            (Self::String, value) => to_text(value),
            (Self::Bool, Val::Bool(value)) => Some(Val::Bool(*value)),
            // The spellings of cel-spec.
            (Self::Bool, Val::Text(text)) => match text.as_str() {
                "1" | "t" | "true" | "TRUE" | "True" => Some(Val::Bool(true)),
                "0" | "f" | "false" | "FALSE" | "False" => Some(Val::Bool(false)),
                _ => None,
            },
            _ => return self.refuse(std::slice::from_ref(argument)),
        };
        value.map_or_else(|| self.refuse(std::slice::from_ref(argument)), Ok)
    }

    fn refuse<T>(self, arguments: &[Val<'_>]) -> Result<T, Fault> {
        let shown: Vec<String> = arguments.iter().map(show).collect();
        Fault::error(format!("{}(…) does not take {}", self.name(), shown.join(" and ")))
    }
}

/// A value in a message: the kind, and the value itself if it is short.
fn show(value: &Val<'_>) -> String {
    match value {
        Val::Int(value) => format!("the int {value}"),
        Val::Uint(value) => format!("the uint {value}"),
        Val::Double(value) => format!("the double {value}"),
        Val::Text(text) if text.as_str().len() <= 40 => format!("the string {:?}", text.as_str()),
        other => other.described().to_owned(),
    }
}

fn size<'a>(size: usize) -> Val<'a> {
    Val::Int(i64::try_from(size).unwrap_or(i64::MAX))
}

/// 2⁶³ and 2⁶⁴, exactly.
const INT_END: f64 = 9_223_372_036_854_775_808.0;
const UINT_END: f64 = 18_446_744_073_709_551_616.0;

fn to_int<'a>(value: &Val<'a>) -> Option<Val<'a>> {
    match value {
        Val::Int(int) => Some(*int),
        Val::Uint(uint) => i64::try_from(*uint).ok(),
        #[expect(clippy::cast_possible_truncation, reason = "in range; dropping the fraction is the meaning")]
        Val::Double(double) => (*double >= -INT_END && *double < INT_END).then_some(*double as i64),
        Val::Text(text) => text.as_str().parse().ok(),
        _ => None,
    }
    .map(Val::Int)
}

fn to_uint<'a>(value: &Val<'a>) -> Option<Val<'a>> {
    match value {
        Val::Int(int) => u64::try_from(*int).ok(),
        Val::Uint(uint) => Some(*uint),
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "in range, as above")]
        Val::Double(double) => (*double >= 0.0 && *double < UINT_END).then_some(*double as u64),
        Val::Text(text) => text.as_str().parse().ok(),
        _ => None,
    }
    .map(Val::Uint)
}

fn to_double<'a>(value: &Val<'a>) -> Option<Val<'a>> {
    match value {
        #[expect(clippy::cast_precision_loss, reason = "the nearest double is the meaning")]
        Val::Int(int) => Some(*int as f64),
        #[expect(clippy::cast_precision_loss, reason = "the nearest double is the meaning")]
        Val::Uint(uint) => Some(*uint as f64),
        Val::Double(double) => Some(*double),
        Val::Text(text) => text.as_str().parse().ok(),
        _ => None,
    }
    .map(Val::Double)
}

fn to_text<'a>(value: &Val<'a>) -> Option<Val<'a>> {
    match value {
        Val::Bool(value) => Some(Val::text(value.to_string())),
        Val::Int(int) => Some(Val::text(int.to_string())),
        Val::Uint(uint) => Some(Val::text(uint.to_string())),
        Val::Double(double) => Some(Val::text(double.to_string())),
        Val::Text(text) => Some(Val::Text(text.clone())),
        _ => None,
    }
}
