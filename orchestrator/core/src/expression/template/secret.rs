//! `${secret("name")}`: what stands for a secret that the agent puts in.

use cel::common::ast::{Expr, LiteralValue};
use mesh_schemas::SecretName;
use mesh_schemas::payload::SecretUse;

use super::{Compiler, Fragment};
use crate::expression::error::Fault;
use crate::expression::syntax;

/// What the text of a secret begins with.
const BEGIN: &str = "${secret(";

/// The argument, if an expression is `secret("…")` alone.
pub(super) fn name(text: &str) -> Option<String> {
    if !text.trim_start().starts_with("secret") {
        return None;
    }
    match syntax::parse(text).ok()?.expr {
        Expr::Call(call) if call.func_name == "secret" && call.target.is_none() => match call.args.as_slice()
        {
            [only] => match &only.expr {
                Expr::Literal(LiteralValue::String(name)) => Some(name.inner().to_owned()),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    }
}

/// Data in a text with a secret must not look like one, or whoever sends the data could have a secret put where they like.
pub(super) fn check(has_secret: bool, text: &str) -> Result<(), Fault> {
    if has_secret && text.contains(BEGIN) {
        return Fault::error("what stands beside a secret in a text must not have '${secret(' in it");
    }
    Ok(())
}

impl Compiler {
    /// Goes on to a part; how long the pointer was before.
    pub(super) fn point(&mut self, part: &str) -> usize {
        let length = self.pointer.len();
        if self.secrets.is_some() {
            self.pointer.push('/');
            self.pointer.push_str(&part.replace('~', "~0").replace('/', "~1"));
        }
        length
    }

    pub(super) fn secret(&mut self, name: String, at: &str) -> Option<Fragment> {
        let name = match SecretName::new(name) {
            Ok(name) => name,
            Err(error) => return self.refuse(at, error.to_string()),
        };
        let Some(secrets) = &mut self.secrets else { return self.refuse(at, REFUSED) };
        let placeholder = SecretUse::placeholder(&name);
        let found = SecretUse { at: self.pointer.clone(), name };
        if !secrets.contains(&found) {
            secrets.push(found);
        }
        Some(Fragment::Secret(placeholder))
    }
}

/// Where secrets may stand.
pub(in crate::expression) const REFUSED: &str = "a secret is put in by the agent: 'secret' stands only in 'with' of work \
    for an agent, as ${secret(\"name\")} by itself or within a text";
