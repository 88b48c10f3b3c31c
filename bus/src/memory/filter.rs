/// A subject with wildcards: `*` stands for one token, `>` at the end for one or more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Filter(Vec<String>);

impl Filter {
    pub(super) fn new(subject: &str) -> Self {
        Self(subject.split('.').map(ToOwned::to_owned).collect())
    }

    pub(super) fn all(subjects: &[String]) -> Vec<Self> {
        subjects.iter().map(|subject| Self::new(subject)).collect()
    }

    pub(super) fn matches(&self, subject: &str) -> bool {
        let mut tokens = subject.split('.');
        for (place, expected) in self.0.iter().enumerate() {
            match (expected.as_str(), tokens.next()) {
                (">", Some(_)) if place + 1 == self.0.len() => return true,
                ("*", Some(_)) => {}
                (expected, Some(token)) if expected == token => {}
                _ => return false,
            }
        }
        tokens.next().is_none()
    }
}

/// Whether any of the filters matches; without filters, everything does.
pub(super) fn any_matches(filters: &[Filter], subject: &str) -> bool {
    filters.is_empty() || filters.iter().any(|filter| filter.matches(subject))
}

/// Whether a subject has wildcards.
pub(super) fn is_wild(subject: &str) -> bool {
    subject.split('.').any(|token| token == "*" || token == ">")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_stand_for_whole_tokens() {
        let matches = |filter: &str, subject: &str| Filter::new(filter).matches(subject);
        assert!(
            matches("a.b", "a.b") && !matches("a.b", "a.c") && !matches("a.b", "a") && !matches("a", "a.b")
        );
        assert!(matches("a.*", "a.b") && !matches("a.*", "a") && !matches("a.*", "a.b.c"));
        assert!(matches("a.>", "a.b") && matches("a.>", "a.b.c") && !matches("a.>", "a"));
        assert!(matches("*.b.>", "x.b.c.d") && !matches("*.b.>", "x.c.b"));
        assert!(any_matches(&[], "a") && !any_matches(&[Filter::new("b"), Filter::new("c")], "a"));
        assert!(is_wild("a.*.b") && is_wild(">") && !is_wild("a.b*"));
    }
}
