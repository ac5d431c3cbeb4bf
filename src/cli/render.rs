//! How answers read on a terminal: colours, highlights, and the words that two
//! texts share.

use std::ops::Range;

use anstyle::{AnsiColor, Style};
use doublon::api::v1;
use doublon::matching::align::Pattern;
use doublon::text::tokens::Tokens;
use prost_types::Timestamp;

/// Good news.
pub(super) const GOOD: Style = AnsiColor::Green.on_default().bold();
/// Doubt.
pub(super) const DOUBT: Style = AnsiColor::Yellow.on_default().bold();
/// What stands out little.
pub(super) const DIM: Style = Style::new().dimmed();
/// A name.
pub(super) const NAME: Style = AnsiColor::Cyan.on_default();
/// A word that matched.
const MATCHED: Style = AnsiColor::Green.on_default().bold().underline();

/// Characters of an article that are shown on each side of a match.
const CONTEXT_CHARS: usize = 60;

/// A text in a style.
pub(super) fn paint(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}

/// An enum value without its prefix, as people say it.
pub(super) fn plain(name: &str, prefix: &str) -> String {
    name.strip_prefix(prefix).unwrap_or(name).to_lowercase().replace('_', " ")
}

/// Control characters but the line break and the tab, which could move the cursor
/// of a terminal, are shown as what they are not.
pub(super) fn harmless(text: &str) -> String {
    let shown =
        |it: char| if it.is_control() && !matches!(it, '\n' | '\t') { '\u{FFFD}' } else { it };
    text.chars().map(shown).collect()
}

/// On one line.
pub(super) fn one_line(text: &str) -> String {
    harmless(&text.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// The day of a time; as many blanks where there is none.
pub(super) fn day(time: Option<Timestamp>) -> String {
    let time = time.map(|it| it.to_string()).unwrap_or_default();
    time.get(..10).unwrap_or("          ").to_owned()
}

/// How often something was seen.
pub(super) fn times(count: u32) -> String {
    if count == 1 { "once".to_owned() } else { format!("{count} times") }
}

/// A number of things.
pub(super) fn counted(count: u32, one: &str) -> String {
    format!("{count} {one}{}", if count == 1 { "" } else { "s" })
}

/// A page on which a teaser was seen, and where the teaser leads.
pub(super) fn page(page_url: &str, site: &str, link_url: &str) -> String {
    let place = [page_url, site].into_iter().find(|it| !it.is_empty());
    let place = paint(NAME, &one_line(place.unwrap_or("a page without a name")));
    if link_url.is_empty() { place } else { format!("{place} -> {}", one_line(link_url)) }
}

/// A revision on one line.
pub(super) fn revision(it: &v1::Revision) -> String {
    let kind = plain(it.kind().as_str_name(), "REVISION_KIND_");
    let style = if it.kind() == v1::RevisionKind::Update { DOUBT } else { GOOD };
    format!(
        "{} {}",
        paint(style, &format!("{kind:<10}")),
        paint(
            DIM,
            &format!(
                "{} of {} words taken out, {} put in",
                it.removed_words, it.before_words, it.added_words
            )
        )
    )
}

/// A duplicate on one line.
pub(super) fn duplicate(it: &v1::Duplicate) -> String {
    let relation = plain(it.relation().as_str_name(), "RELATION_");
    let style = if it.relation() == v1::Relation::Duplicate { GOOD } else { DOUBT };
    format!(
        "{} {}  {}",
        paint(style, &format!("{relation:<12}")),
        paint(NAME, &one_line(&it.article_id)),
        paint(
            DIM,
            &format!(
                "Jaccard {:.3}, {:.0} % of it in the article, {:.0} % of the article in it, SimHash distance {}",
                it.jaccard,
                100.0 * it.containment_in_article,
                100.0 * it.containment_of_article,
                it.simhash_distance_bits,
            )
        ),
    )
}

/// The verdict on a teaser, coloured.
pub(super) fn verdict(verdict: v1::TeaserVerdict) -> String {
    let style = match verdict {
        v1::TeaserVerdict::Match => GOOD,
        v1::TeaserVerdict::Possible => DOUBT,
        v1::TeaserVerdict::NoMatch
        | v1::TeaserVerdict::InsufficientEvidence
        | v1::TeaserVerdict::Unspecified => DIM,
    };
    paint(style, &plain(verdict.as_str_name(), "TEASER_VERDICT_"))
}

/// A match on one line.
pub(super) fn teaser_match(it: &v1::TeaserMatch) -> String {
    let field = plain(it.field().as_str_name(), "ARTICLE_FIELD_");
    let kind = plain(it.kind().as_str_name(), "MATCH_KIND_");
    let numbers = format!(
        "confidence {:.2}, similarity {:.2}, {:.0} bits",
        it.confidence, it.similarity, it.evidence_bits
    );
    format!(
        "{} {}  {kind} in its {field}, {}",
        verdict(it.verdict()),
        paint(NAME, &one_line(&it.article_id)),
        paint(DIM, &numbers)
    )
}

/// A teaser and the place in its article, with the words that they share
/// highlighted.
pub(super) fn side_by_side(teaser: &str, field: &str, it: &v1::TeaserMatch) -> (String, String) {
    let place = range(it.article_span.unwrap_or_default());
    let found = field.get(place.clone()).unwrap_or_default();
    let (left, right) = shared_words(teaser, found);
    let before = tail(field.get(..place.start).unwrap_or_default());
    let after = head(field.get(place.end..).unwrap_or_default());
    let article =
        format!("{}{}{}", paint(DIM, &before), highlight(found, &right), paint(DIM, &after));
    (highlight(teaser, &left), article)
}

/// The bytes of the words that two texts share in an alignment, in each.
fn shared_words(left: &str, right: &str) -> (Vec<Range<usize>>, Vec<Range<usize>>) {
    let (a, b) = (Tokens::of(left), Tokens::of(right));
    let pattern = Pattern::new(&a.hashes);
    let pairs = pattern.matched(&b.hashes, pattern.best_place(&b.hashes));
    let span = |tokens: &Tokens, at: usize| Some(tokens.span(at..at + 1)?.range());
    (
        pairs.iter().filter_map(|it| span(&a, it.0)).collect(),
        pairs.iter().filter_map(|it| span(&b, it.1)).collect(),
    )
}

/// A text on one line with these parts of it highlighted.
pub(super) fn highlight(text: &str, parts: &[Range<usize>]) -> String {
    let mut out = String::new();
    let mut at = 0;
    for part in parts.iter().filter(|it| it.end <= text.len()) {
        out.push_str(&spaced(text.get(at..part.start).unwrap_or_default()));
        out.push_str(&paint(MATCHED, &harmless(text.get(part.clone()).unwrap_or_default())));
        at = at.max(part.end);
    }
    out.push_str(&spaced(text.get(at..).unwrap_or_default()));
    out
}

fn spaced(text: &str) -> String {
    harmless(&text.replace(['\n', '\r', '\t'], " "))
}

fn range(span: v1::ByteSpan) -> Range<usize> {
    span.start_byte as usize..span.end_byte as usize
}

fn tail(text: &str) -> String {
    let skipped = text.chars().count().saturating_sub(CONTEXT_CHARS);
    let shown: String = text.chars().skip(skipped).collect();
    let mark = if skipped > 0 { "…" } else { "" };
    format!("{mark}{}", spaced(&shown))
}

fn head(text: &str) -> String {
    let shown: String = text.chars().take(CONTEXT_CHARS).collect();
    let mark = if shown.len() < text.len() { "…" } else { "" };
    format!("{}{mark}", spaced(&shown))
}
