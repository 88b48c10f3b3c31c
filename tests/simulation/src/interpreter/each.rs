use std::collections::BTreeMap;

use mesh_schemas::TaskId;
use mesh_schemas::payload::code;
use serde_json::{Value, json};

use super::expected::Route;
use super::life::{Begun, Life, never_began};
use super::log::Fact;
use super::reading::{Failure, Fate, Marks, Reading, part};
use crate::workload::{Adaptive, Around, Body, Brings, Each, Measure, Quota, Template};

/// Most items of a loop that says nothing of it.
const DEFAULT_MAX_ITEMS: usize = 10_000;

/// How many items are under way at most where that is chosen and nothing is said of it.
const DEFAULT_WIDTH: usize = 5;

/// A loop over items.
pub(super) struct EachLife<'a> {
    each: &'a Each,
    body: &'a Body,
    path: TaskId,
    /// The keys of an object.
    keys: Option<Vec<String>>,
    items: Vec<Value>,
    outputs: Vec<Value>,
    /// How many may be under way at a time; not known as long as it is to be chosen.
    width: Option<usize>,
    /// Where it is chosen.
    chosen: Option<usize>,
    /// How many have begun.
    begun: usize,
    running: BTreeMap<usize, Life<'a>>,
    /// Where those that have begun began.
    began: BTreeMap<usize, usize>,
    measures: BTreeMap<usize, Measure>,
    failed: usize,
}

impl<'a> EachLife<'a> {
    pub(super) fn begin(
        each: &'a Each,
        body: &'a Body,
        path: &TaskId,
        at: usize,
        reading: &mut Reading<'a>,
        around: &Around<'_>,
    ) -> Begun<'a> {
        let (keys, items) = match each.items.render(&reading.scope(around, &Value::Null)) {
            Ok(Value::Array(items)) => (None, items),
            Ok(Value::Object(map)) => {
                let (keys, items) = map.into_iter().unzip();
                (Some(keys), items)
            }
            _ => return Err(never_began(Fate::Failed(Failure::expression(path)), reading)),
        };
        if items.len() > each.max_items.map_or(DEFAULT_MAX_ITEMS, |most| most as usize) {
            let failure = Failure::found(code::TOO_MANY_ITEMS, Some(path));
            return Err(never_began(Fate::Failed(failure), reading));
        }
        let mut life = Self {
            each,
            body,
            path: path.clone(),
            keys,
            outputs: vec![Value::Null; items.len()],
            items,
            width: None,
            chosen: None,
            begun: 0,
            running: BTreeMap::new(),
            began: BTreeMap::new(),
            measures: BTreeMap::new(),
            failed: 0,
        };
        let most = each.max_parallel.map(|most| most as usize);
        match &each.adaptive {
            Some(adaptive) if !life.items.is_empty() => {
                let scores = scores(adaptive, reading, around);
                let Some((complexity, dependency)) = scores else {
                    // It has begun, and nothing of it counts.
                    return Err(Fate::Failed(Failure::expression(&life.path)));
                };
                let route = Route { complexity, dependency, most: most.unwrap_or(DEFAULT_WIDTH) };
                reading.ask_for_choice(&life.path, route, at);
                let is_it = |fact: &Fact| match fact {
                    Fact::Routed(task, width) if *task == life.path => Some(*width),
                    _ => None,
                };
                if let Some((chosen, width)) = reading.log.first_behind(at, is_it) {
                    life.chosen = Some(chosen);
                    life.width = Some(width.clamp(1, route.most));
                }
                return Ok(Life::Each(Box::new(life)));
            }
            _ => life.width = Some(most.unwrap_or(usize::MAX)),
        }
        match life.fill(at, reading, around) {
            None => Ok(Life::Each(Box::new(life))),
            Some(fate) => Err(fate),
        }
    }

    pub(super) fn next(&self) -> Option<usize> {
        self.chosen.into_iter().chain(self.running.values().filter_map(Life::next)).min()
    }

    pub(super) fn waits_for_word(&self, task: &TaskId) -> bool {
        self.running.values().any(|life| life.waits_for_word(task))
    }

    pub(super) fn go_on(
        &mut self,
        at: usize,
        reading: &mut Reading<'a>,
        around: &Around<'_>,
    ) -> Option<Fate> {
        let retried = reading.hold.retried.clone();
        if retried.is_none() && self.chosen.take_if(|chosen| *chosen == at).is_some() {
            reading.forget_choice(&self.path);
            return self.fill(at, reading, around);
        }
        let (&number, life) = self.running.iter_mut().find(|(_, life)| life.is_for(at, retried.as_ref()))?;
        let item = Item::new(&self.items, self.keys.as_deref(), number);
        let fate = life.go_on(at, reading, &item.around(around))?;
        self.running.remove(&number);
        self.item_over(number, fate, at, reading).or_else(|| self.fill(at, reading, around))
    }

    /// Begins as many items as may be under way. It is over when none is.
    fn fill(&mut self, at: usize, reading: &mut Reading<'a>, around: &Around<'_>) -> Option<Fate> {
        let most = self.width.unwrap_or_default();
        while self.begun < self.items.len() && self.running.len() < most {
            let number = self.begun;
            self.begun += 1;
            self.began.insert(number, at);
            let item = Item::new(&self.items, self.keys.as_deref(), number);
            let path = part(Some(&self.path), number);
            match Life::begin(self.body, &path, at, reading, &item.around(around)) {
                Ok(life) => drop(self.running.insert(number, life)),
                Err(fate) => {
                    if let Some(fate) = self.item_over(number, fate, at, reading) {
                        return Some(fate);
                    }
                }
            }
        }
        self.running.is_empty().then(|| {
            let outputs = std::mem::take(&mut self.outputs);
            let output = match self.keys.take() {
                None => Value::Array(outputs),
                Some(keys) => keys.into_iter().zip(outputs).collect(),
            };
            Fate::Done(output, Marks { quality: None, items: Some(std::mem::take(&mut self.measures)) })
        })
    }

    /// Notes what an item came to; the fate of all, if there are too many failures.
    fn item_over(&mut self, number: usize, fate: Fate, at: usize, reading: &mut Reading<'a>) -> Option<Fate> {
        if !self.body.is_plain_work() && !matches!(fate, Fate::Skipped) {
            reading.is_over(&part(Some(&self.path), number), at);
        }
        let failure = match fate {
            Fate::Done(output, marks) => {
                let began = self.began[&number];
                self.measures.insert(number, reading.measure(marks.quality, began, at));
                self.outputs[number] = output;
                return None;
            }
            Fate::Skipped => return None,
            Fate::Failed(failure) => failure,
        };
        self.outputs[number] = json!({ "error": failure.seen() });
        self.failed += 1;
        let tolerated = self.each.tolerate.unwrap_or(Quota::Count(0));
        if self.failed <= tolerated.at_most(self.items.len()) {
            return None;
        }
        reading.void(Some(&self.path), at);
        self.cut(at, code::OVERTAKEN, reading);
        Some(Fate::Failed(match tolerated {
            Quota::Count(0) => failure,
            // Whether another run may go better, the last one tells.
            _ => Failure {
                retryable: failure.retryable,
                ..Failure::found(code::TOO_MANY_FAILURES, Some(&self.path))
            },
        }))
    }

    pub(super) fn cut(&self, at: usize, code: &'static str, reading: &mut Reading<'a>) {
        reading.forget_choice(&self.path);
        self.running.values().for_each(|life| life.cut(at, code, reading));
        let unborn = self.items.len() - self.begun;
        reading.counts.cancelled += u32::try_from(unborn).unwrap_or(u32::MAX);
    }
}

/// How complex the work is and how much its parts depend on each other, each from 0 to 1.
fn scores(adaptive: &Adaptive, reading: &Reading<'_>, around: &Around<'_>) -> Option<(f64, f64)> {
    let scope = reading.scope(around, &Value::Null);
    let score = |template: &Template| {
        let score = template.render(&scope).ok()?.as_f64()?;
        (0.0..=1.0).contains(&score).then_some(score)
    };
    Some((score(&adaptive.complexity)?, adaptive.dependency.as_ref().map_or(Some(0.0), score)?))
}

/// What an item brings along.
struct Item<'i> {
    item: &'i Value,
    index: Value,
    key: Value,
}

impl<'i> Item<'i> {
    fn new(items: &'i [Value], keys: Option<&[String]>, number: usize) -> Self {
        let key = keys.map_or(Value::Null, |keys| keys[number].clone().into());
        Self { item: &items[number], index: number.into(), key }
    }

    fn around<'s>(&'s self, parent: &'s Around<'s>) -> Around<'s> {
        let Self { item, index, key } = self;
        Around { parent: Some(parent), brings: Brings::Item { item, index, key } }
    }
}
