//! Which articles a question is about, where that depends on what is asked about.

use crate::engine::error::{Invalid, Problem};
use crate::index::{Facets, Filter};

/// A filter, and parts of it that are relative to the subject of the question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// What does not depend on it.
    pub filter: Filter,
    /// Only articles published before the subject.
    pub earlier_only: bool,
    /// Only articles of other sites than the subject's.
    pub other_sites_only: bool,
}

impl Scope {
    /// Lets every article pass.
    pub fn all() -> Self {
        Self { filter: Filter::all(), earlier_only: false, other_sites_only: false }
    }

    /// Whether every article passes.
    pub fn is_open(&self) -> bool {
        *self == Self::all()
    }

    /// The filter for a subject with these facets.
    pub fn around(&self, subject: &Facets) -> Result<Filter, Invalid> {
        let mut filter = self.filter.clone();
        if self.earlier_only {
            let needs = "set only where what is asked about has a published time";
            let own = subject.published_s.ok_or_else(|| refused("filter.earlier_only", needs))?;
            let range = filter.published_s.unwrap_or(i64::MIN..i64::MAX);
            filter.published_s = Some(range.start..range.end.min(own));
        }
        if self.other_sites_only {
            let needs = "set only where what is asked about has a site";
            if subject.site == 0 {
                return Err(refused("filter.other_sites_only", needs));
            }
            filter.other_than_site = Some(subject.site);
        }
        Ok(filter)
    }
}

fn refused(field: &str, allowed: &str) -> Invalid {
    Invalid::new(field, Problem::OutOfRange { allowed: allowed.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_relative_is_taken_from_the_subject() {
        let subject = Facets { site: 3, language: 0, published_s: Some(50) };
        let article = |site, published_s| Facets { site, language: 0, published_s };
        let scope = Scope { earlier_only: true, ..Scope::all() };
        let filter = scope.around(&subject).unwrap();
        assert!(
            filter.passes(1, &article(3, Some(49))) && !filter.passes(1, &article(3, Some(50)))
        );
        assert!(!filter.passes(1, &article(3, None)));
        let scope = Scope { other_sites_only: true, ..Scope::all() };
        let filter = scope.around(&subject).unwrap();
        assert!(filter.passes(1, &article(4, None)) && !filter.passes(1, &article(3, None)));
        assert!(filter.passes(1, &article(0, None)), "a site that is not known is another");
        let unknown = article(0, None);
        assert!(scope.around(&unknown).is_err() && Scope::all().around(&unknown).is_ok());
        let both = Scope { earlier_only: true, ..Scope::all() };
        assert!(both.around(&unknown).unwrap_err().to_string().contains("earlier_only"));
    }
}
