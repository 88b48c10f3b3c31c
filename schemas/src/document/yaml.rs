use std::collections::BTreeMap;

use serde_json::Number;
use serde_saphyr::granit_parser::{Event, Marker, Parser, ScalarStyle, ScanError};

use super::node::{Content, Entry, Node};
use super::{MAX_DEPTH, Position, Problem, malformed};

/// How many nodes aliases may add to a text: enough for shared settings, too few for a bomb.
const MAX_ALIASED_NODES: usize = 10_000;

/// Reads the one document of a YAML text.
pub(crate) fn tree(text: &str) -> Result<Node, Problem> {
    let mut builder = Builder::default();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| syntax(&error, text))?;
        builder.take(event, position(&span.start))?;
    }
    let empty = || Node { at: Position { line: 1, column: 1 }, content: Content::Null };
    Ok(builder.root.unwrap_or_else(empty))
}

fn syntax(error: &ScanError, text: &str) -> Problem {
    let at = position(error.marker());
    let mut message = error.info();
    if message.contains("found a tab") {
        message = "a tab: indent with spaces".to_owned();
    } else if message.contains("unknown anchor") {
        message = "no anchor of that name stands above; put text that begins with '*' in quotes".to_owned();
    } else if message.contains("mapping values are not allowed") {
        message = "a ':' that cannot stand here: the key above lacks its own, or a text with ': ' in it lacks quotes".to_owned();
    } else if message.contains("tabs disallowed") {
        message = "a tab: indent with spaces".to_owned();
    } else if message.contains("block") && message.contains("did not find expected") {
        message.push_str("; look whether this line begins in the same column as those beside it");
    }
    // The most common slip by far: in `{a: ${input.b}}`, the expression's braces are YAML's too.
    if text.lines().nth(at.line - 1).is_some_and(|line| line.contains("${")) {
        message.push_str("; if it is about '${…}', put that in quotes");
    }
    malformed(at, message)
}

fn position(marker: &Marker) -> Position {
    Position { line: marker.line().max(1), column: marker.col() + 1 }
}

/// Makes a tree of the parser's events.
#[derive(Default)]
struct Builder {
    root: Option<Node>,
    /// Lists and objects that have begun and not ended, outermost first.
    open: Vec<Open>,
    /// Nodes with an anchor, by the parser's number for it.
    anchors: BTreeMap<usize, Node>,
    aliased: usize,
    documents: usize,
}

struct Open {
    at: Position,
    anchor: usize,
    children: Children,
}

enum Children {
    List(Vec<Node>),
    /// The entries, and the key that waits for its value.
    Map(Vec<Entry>, Option<(String, Position)>),
}

impl Builder {
    fn take(&mut self, event: Event<'_>, at: Position) -> Result<(), Problem> {
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents > 1 {
                    return Err(malformed(at, "one text holds one document: remove the second"));
                }
            }
            Event::Scalar(text, style, anchor, tag) => {
                untagged(tag.is_some(), at)?;
                self.scalar(text.into_owned(), style, anchor, at)?;
            }
            Event::SequenceStart(_, anchor, tag) => {
                untagged(tag.is_some(), at)?;
                self.begin(at, anchor, Children::List(Vec::new()))?;
            }
            Event::MappingStart(_, anchor, tag) => {
                untagged(tag.is_some(), at)?;
                self.begin(at, anchor, Children::Map(Vec::new(), None))?;
            }
            Event::SequenceEnd | Event::MappingEnd => self.end()?,
            Event::Alias(anchor) => self.alias(anchor, at)?,
            // Comments, and the ends of document and stream.
            _ => {}
        }
        Ok(())
    }

    fn scalar(
        &mut self,
        text: String,
        style: ScalarStyle,
        anchor: usize,
        at: Position,
    ) -> Result<(), Problem> {
        if let Some(Open { children: Children::Map(_, key @ None), .. }) = self.open.last_mut() {
            if text == "<<" && style == ScalarStyle::Plain {
                return Err(malformed(at, "merge keys ('<<') are not part of YAML 1.2 and not supported"));
            }
            *key = Some((text, at));
            return Ok(());
        }
        let content = match style {
            ScalarStyle::Plain => plain(&text).map_err(|message| malformed(at, message))?,
            _ => Content::Text(text),
        };
        self.add(Node { at, content }, anchor)
    }

    fn begin(&mut self, at: Position, anchor: usize, children: Children) -> Result<(), Problem> {
        self.refuse_as_key(at)?;
        if self.open.len() >= MAX_DEPTH {
            return Err(too_deep(at));
        }
        self.open.push(Open { at, anchor, children });
        Ok(())
    }

    fn end(&mut self) -> Result<(), Problem> {
        let Some(Open { at, anchor, children }) = self.open.pop() else { return Ok(()) };
        let content = match children {
            Children::List(items) => Content::List(items),
            Children::Map(entries, _) => Content::Map(entries),
        };
        self.add(Node { at, content }, anchor)
    }

    fn alias(&mut self, anchor: usize, at: Position) -> Result<(), Problem> {
        self.refuse_as_key(at)?;
        let target = self.anchors.get(&anchor);
        let Some(target) = target else {
            return Err(malformed(at, "the alias stands inside the part that it names"));
        };
        self.aliased += target.count();
        if self.aliased > MAX_ALIASED_NODES {
            return Err(malformed(at, format!("aliases repeat more than {MAX_ALIASED_NODES} parts")));
        }
        if self.open.len() + target.depth() > MAX_DEPTH {
            return Err(too_deep(at));
        }
        let node = Node { at, content: target.content.clone() };
        self.add(node, 0)
    }

    fn add(&mut self, node: Node, anchor: usize) -> Result<(), Problem> {
        // The parser numbers anchors from 1.
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        match self.open.last_mut().map(|open| &mut open.children) {
            Some(Children::List(items)) => items.push(node),
            Some(Children::Map(entries, key)) => match key.take() {
                Some((key, at)) => entries.push(Entry { key, at, value: node }),
                None => return Err(key_is_not_text(node.at)),
            },
            None => self.root = Some(node),
        }
        Ok(())
    }

    fn refuse_as_key(&self, at: Position) -> Result<(), Problem> {
        match self.open.last() {
            Some(Open { children: Children::Map(_, None), .. }) => Err(key_is_not_text(at)),
            _ => Ok(()),
        }
    }
}

fn untagged(tagged: bool, at: Position) -> Result<(), Problem> {
    if tagged { Err(malformed(at, "tags ('!') are not supported: the data is that of JSON")) } else { Ok(()) }
}

fn key_is_not_text(at: Position) -> Problem {
    malformed(at, "a key must be text; quote it if it begins with '{', '[', '*' or '&'")
}

fn too_deep(at: Position) -> Problem {
    malformed(at, format!("lists and objects are nested deeper than {MAX_DEPTH}"))
}

/// What a scalar without quotes means by the core schema of YAML 1.2.
fn plain(text: &str) -> Result<Content, String> {
    Ok(match text {
        "" | "~" | "null" | "Null" | "NULL" => Content::Null,
        "true" | "True" | "TRUE" => Content::Bool(true),
        "false" | "False" | "FALSE" => Content::Bool(false),
        _ => match number(text) {
            Some(number) => Content::Number(number.ok_or_else(|| {
                format!("{text} is not a number that JSON can hold; quote it if it is meant as text")
            })?),
            None => Content::Text(text.to_owned()),
        },
    })
}

/// `None` if the text is no number, `Some(None)` if it is one that JSON cannot hold.
fn number(text: &str) -> Option<Option<Number>> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return Some(None);
    }
    for (prefix, radix) in [("0x", 16), ("0o", 8)] {
        if let Some(digits) = text.strip_prefix(prefix)
            && !digits.is_empty()
            && digits.chars().all(|c| c.is_digit(radix))
        {
            return Some(u64::from_str_radix(digits, radix).ok().map(Number::from));
        }
    }
    let begins = unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    let holds = unsigned.contains(|c: char| c.is_ascii_digit())
        && unsigned.chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E' | '+' | '-'));
    if !begins || !holds {
        return None;
    }
    let signed = text.strip_prefix('+').unwrap_or(text);
    if unsigned.bytes().all(|b| b.is_ascii_digit())
        && let Some(whole) =
            signed.parse::<i64>().map(Number::from).or_else(|_| signed.parse::<u64>().map(Number::from)).ok()
    {
        return Some(Some(whole));
    }
    signed.parse::<f64>().ok().map(Number::from_f64)
}
