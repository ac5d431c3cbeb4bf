//! Normal form, tokens and blurbs of any text.
#![no_main]

use doublon::fuzzing;
use doublon::text::ByteSpan;
use doublon::text::cues::Cues;
use doublon::text::tokens::{Tokens, normal_form};
use doublon::text::truncation;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let tokens = Tokens::of(text);
    assert_eq!(tokens, fuzzing::tokens_by_general_path(text));
    assert_eq!(tokens.hashes.len(), tokens.spans.len());
    // Three bytes that stand for a word of six kana are the most.
    assert!(tokens.len() <= 2 * text.len());
    let mut last = ByteSpan::default();
    for span in &tokens.spans {
        assert!(span.start >= last.start && span.end >= last.end && !span.is_empty());
        assert!(text.get(span.range()).is_some());
        last = *span;
    }
    assert!(tokens.words() <= tokens.len());

    let once = normal_form(text);
    assert_eq!(normal_form(&once), once);
    assert_eq!(Tokens::of(&once).hashes, tokens.hashes);

    let blurb = truncation::blurb(text, Cues::builtin()).tokens;
    assert!(tokens.hashes.starts_with(&blurb.hashes) && tokens.spans.starts_with(&blurb.spans));
});
