//! The lines of any page, and what each is. The first four bytes say what a store knows
//! of the first lines.
#![no_main]

use doublon::text::cues::Cues;
use doublon::text::page::{self, Known, SegmentKind};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((known, page)) = input.split_first_chunk::<4>() else { return };
    let page = page.utf8_chunks().next().map_or("", |it| it.valid());
    let blocks = page::blocks(page, Cues::builtin());
    let lines = page.split(['\n', '\u{b}', '\u{c}', '\r', '\u{2028}', '\u{2029}']);
    let lines: Vec<&str> = lines.map(str::trim).filter(|it| !it.is_empty()).collect();
    let found: Vec<&str> = blocks.iter().map(|it| &page[it.span.range()]).collect();
    assert_eq!(found, lines);
    assert!(blocks.windows(2).all(|it| it[0].span.end < it[1].span.start));
    for (block, line) in blocks.iter().zip(&lines) {
        assert!(block.tokens.spans.iter().all(|it| line.get(it.range()).is_some()));
        assert!(block.words >= block.tokens.words().min(1) && block.words <= block.tokens.len());
    }

    let known: Vec<Known> = known.iter().flat_map(|it| known_of(*it)).collect();
    for known in [&[][..], &known] {
        let kinds = page::split(&blocks, known);
        assert_eq!(kinds.len(), blocks.len());
        let body = page::tokens_of(&blocks, &kinds, SegmentKind::Body).count();
        assert!(body <= blocks.iter().map(|it| it.tokens.len()).sum());
    }
});

/// Two bits a line.
fn known_of(byte: u8) -> impl Iterator<Item = Known> {
    (0..4).map(move |at| match (byte >> (2 * at)) & 3 {
        2 => Known::Foreign,
        3 => Known::Standing,
        _ => Known::Nothing,
    })
}
