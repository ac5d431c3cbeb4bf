//! What the fuzz targets of `fuzz/` hold, on some hundred inputs and without their tools;
//! what the modules' own property tests hold is not said again.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]

use doublon::engine::article::{Article, ArticleId, UnixTime};
use doublon::engine::record::{Dictionary, Features, FieldSpans, PackedSpans, StoredArticle};
use doublon::fuzzing;
use doublon::index::Facets;
use doublon::index::keys::FieldTokens;
use doublon::matching::align::Pattern;
use doublon::shingle;
use doublon::sketch::Sketch;
use doublon::sketch::minhash::{MinHash, ShortMinHash};
use doublon::sketch::simhash::SimHash;
use doublon::store::ArticleNumber;
use doublon::text::cues::Cues;
use doublon::text::page::{self, Known};
use doublon::text::tokens::{Tokens, normal_form};
use doublon::text::truncation;
use proptest::collection::vec;
use proptest::prelude::*;

const NUMBER: ArticleNumber = ArticleNumber(7);

/// Lines as pages have them, and others.
fn pages() -> impl Strategy<Value = String> {
    let line = prop_oneof![
        "[a-zA-Z ,.é]{0,60}",
        "(The ferry sails|Nine otters were counted) again( in spring, he says)?(\\.|\\.\\.\\.|…)",
        Just("Related:".to_owned()),
        Just("Comments (3)".to_owned()),
        Just("Read also: the lighthouse looks for a keeper".to_owned()),
        "(Photo: Ada Lum|Share|By Ada Lum, 07:40|Home \\| News \\| Sport|• one|今天天气很好。)",
        ".{0,20}",
    ];
    let end = "(\n|\r\n|\u{b}|\u{2028}|\n \t\n|\u{85}\n)";
    vec((line, end), 0..25).prop_map(|it| it.into_iter().map(|(line, end)| line + &end).collect())
}

fn known() -> impl Strategy<Value = Known> {
    prop_oneof![Just(Known::Nothing), Just(Known::Foreign), Just(Known::Standing)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn every_line_of_a_page_is_one_segment(page in pages(), known in vec(known(), 0..9)) {
        let blocks = page::blocks(&page, Cues::builtin());
        let lines = page.split(['\n', '\u{b}', '\u{c}', '\r', '\u{2028}', '\u{2029}']);
        let lines: Vec<&str> = lines.map(str::trim).filter(|it| !it.is_empty()).collect();
        let found: Vec<&str> = blocks.iter().map(|it| &page[it.span.range()]).collect();
        prop_assert_eq!(found, lines);
        prop_assert!(blocks.windows(2).all(|it| it[0].span.end < it[1].span.start));
        for known in [&[][..], &known] {
            prop_assert_eq!(page::split(&blocks, known).len(), blocks.len());
        }
    }

    #[test]
    fn a_normal_form_has_the_tokens_of_its_text_and_a_blurb_their_first(text in pages()) {
        let tokens = Tokens::of(&text);
        prop_assert_eq!(&Tokens::of(&normal_form(&text)).hashes, &tokens.hashes);
        prop_assert_eq!(&fuzzing::tokens_by_general_path(&text), &tokens);
        let blurb = truncation::blurb(&text, Cues::builtin()).tokens;
        prop_assert!(tokens.hashes.starts_with(&blurb.hashes));
        prop_assert!(tokens.spans.starts_with(&blurb.spans));
    }

    /// No alignment that has the same pairs needs fewer edits, or more.
    #[test]
    fn matched_pairs_explain_the_distance(
        pattern in vec(0_u32..5, 1..150),
        text in vec(0_u32..5, 0..200),
    ) {
        let ready = Pattern::new(&pattern);
        let place = ready.best_place(&text);
        let pairs = ready.matched(&text, place);
        let behind = |it: &(usize, usize)| (it.0 + 1, it.1 + 1);
        let first = pairs.first().map_or(pattern.len(), |it| it.0);
        let next = pairs.iter().skip(1).copied().chain([(pattern.len(), place.end)]);
        let between = pairs.iter().map(behind).zip(next);
        let edits = between.map(|((x, y), (a, b))| (a - x).max(b - y));
        prop_assert_eq!(first + edits.sum::<usize>(), place.distance);
    }

    #[test]
    fn sketches_of_parts_make_that_of_the_whole(left in vec(any::<u32>(), 0..60), right in vec(0_u32..9, 0..60)) {
        let shingles = [shingle::shingles(&left), shingle::shingles(&right)];
        let [a, b] = shingles.each_ref().map(|it| MinHash::of(it));
        let less = std::array::from_fn(|it| a.values()[it].min(b.values()[it]));
        prop_assert_eq!(MinHash::of(&shingles.concat()), MinHash::from_values(less));
        let (short_a, short_b) = (ShortMinHash::of(&a), ShortMinHash::of(&b));
        prop_assert_eq!(ShortMinHash::from_bytes(*short_a.bytes()), short_a);
        for estimate in [a.estimated_jaccard(&b), short_a.estimated_jaccard(&short_b)] {
            prop_assert!((0.0..=1.0).contains(&estimate));
        }
        let simhash = Sketch::of(&left, &shingles[0]).simhash;
        prop_assert_eq!(SimHash::from_bits(simhash.bits()), simhash);
    }

    #[test]
    fn features_come_back(
        texts in [".{0,40}", ".{0,40}", "[a-c ]{0,400}"],
        id in "[a-zé]{1,20}",
        numbers: (u128, u64, u32, u32, Option<i64>),
        known in vec(0_usize..200, 0..9),
    ) {
        let tokens = texts.each_ref().map(|it| Tokens::of(it));
        let [title, description, text] = tokens.each_ref().map(|it| &it.hashes[..]);
        let [in_title, in_description, in_text] =
            tokens.each_ref().map(|it| PackedSpans::of(&it.spans));
        let shingles = shingle::shingles(text);
        let (content_print, bits, site, language, published_s) = numbers;
        let features = Features {
            id: ArticleId::new(id).unwrap(),
            content_print,
            facets: Facets { site, language, published_s: published_s.filter(|it| *it != i64::MIN) },
            simhash: SimHash::from_bits(bits),
            minhash: ShortMinHash::of(&MinHash::of(&shingles)),
            shingle_count: shingles.len(),
            fields: FieldTokens::new(title, description, text),
            spans: FieldSpans { title: in_title, description: in_description, text: in_text },
        };
        let known = known.iter().filter_map(|it| text.get(*it)).flat_map(|it| it.to_le_bytes());
        let dictionary = Dictionary::from_bytes(&known.collect::<Vec<u8>>());
        for dictionary in [None, Some(&dictionary)] {
            let bytes = features.encode(dictionary);
            prop_assert_eq!(&Features::decode(NUMBER, &bytes, dictionary).unwrap(), &features);
        }
    }

    #[test]
    fn articles_come_back(fields in vec(".{0,30}", 6), id in ".{1,20}", time: (i32, Option<u16>), stored_ms: u64) {
        let mut fields = fields.into_iter();
        let mut field = || fields.next().unwrap();
        let (seconds, nanos) = time;
        let article = Article {
            id: ArticleId::new(id).unwrap(),
            url: field(),
            site: field(),
            language: field(),
            title: field(),
            description: field(),
            text: field(),
            published: nanos.map(|it| UnixTime::new("", seconds.into(), it.into()).unwrap()),
            expires: nanos.map(|_| UnixTime::new("", seconds.into(), 0).unwrap()),
        };
        let bytes = StoredArticle::encode(article.clone(), stored_ms);
        let read = StoredArticle::decode(NUMBER, &bytes).unwrap();
        prop_assert_eq!(read, StoredArticle { article, stored_ms });
    }

    #[test]
    fn packs_come_back(records in vec((1_u32..9, vec(any::<u8>(), 0..20)), 0..12)) {
        let mut last = 0;
        let ascending = records.into_iter().map(|(gap, record)| {
            last += gap;
            (last, record)
        });
        let records: Vec<(u32, Vec<u8>)> = ascending.collect();
        let packed = fuzzing::pack(&records);
        for (number, record) in &records {
            let found = fuzzing::unpack_one(&packed, *number).unwrap();
            prop_assert_eq!(found.as_ref(), Some(record));
        }
        prop_assert_eq!(fuzzing::unpack(&packed).unwrap(), records);
    }

    /// Any bytes are read or refused, without a panic.
    #[test]
    fn no_bytes_are_too_bad(bytes in vec(prop_oneof![0_u8..4, any::<u8>()], 0..300)) {
        let dictionary = Dictionary::from_bytes(&bytes);
        drop(Features::decode(NUMBER, &bytes, Some(&dictionary)));
        drop(StoredArticle::decode(NUMBER, &bytes));
        drop(fuzzing::unpack(&bytes));
        drop(fuzzing::checkpoint_head_again(&bytes));
        let words: Vec<u64> = bytes.iter().map(|it| u64::from(*it)).collect();
        let (slots, lists) = words.split_at(words.len().min(6));
        if let Some((slots, lists)) = fuzzing::table_again(slots, lists) {
            prop_assert_eq!(fuzzing::table_again(&slots, &lists), Some((slots, lists)));
        }
    }
}
