//! How alike two texts are, by our measure and by those of others: exact Jaccard
//! similarity and containment of words and shingles, MinHash LSH, SimHash.

use crate::engine::Engine;
use crate::engine::error::EngineError;
use crate::matching::overlap::{SHARED_MIN, ShingleSet};
use crate::shingle;
use crate::sketch::Sketch;
use crate::sketch::simhash::DISTANCE_BITS_MAX;
use crate::text::tokens::{TokenHash, Tokens};

/// The methods that stand beside ours.
pub(super) const NAMES: [&str; 8] = [
    "jaccard_1",
    "jaccard_3",
    "jaccard_5",
    "containment_1",
    "containment_3",
    "containment_5",
    "minhash_lsh_0.5",
    "simhash_3_bits",
];

/// Estimated Jaccard similarity from which on MinHash LSH counts a pair.
const LSH_JACCARD_MIN: f64 = 0.5;

/// How alike two texts are.
#[derive(Debug, Clone)]
pub(super) struct Likeness {
    /// What our relations follow from: the greater containment, or, of texts that
    /// share too few shingles for one, the Jaccard similarity.
    pub(super) overlap: f64,
    /// Rare words that both have, 0 to 1.
    pub(super) story: f64,
    baselines: [f64; NAMES.len()],
}

impl Likeness {
    /// The score of a method by its name; 0 for one that is not known.
    pub(super) fn baseline(&self, name: &str) -> f64 {
        let known = NAMES.iter().zip(self.baselines);
        known.filter(|it| *it.0 == name).map(|it| it.1).next().unwrap_or(0.0)
    }
}

/// Compares two texts.
pub(super) fn likeness(engine: &Engine, a: &str, b: &str) -> Result<Likeness, EngineError> {
    let (a, b) = (Tokens::of(a).hashes, Tokens::of(b).hashes);
    let (a_shingles, b_shingles) = (shingle::shingles(&a), shingle::shingles(&b));
    let right = ShingleSet::of(&b_shingles);
    let overlap = ShingleSet::of(&a_shingles).overlap(&b_shingles, right.len());
    let is_related = overlap.shared >= SHARED_MIN;
    let (left_sketch, right_sketch) = (Sketch::of(&a, &a_shingles), Sketch::of(&b, &b_shingles));
    let grams = [1, 3, 5].map(|words| shared_grams(&a, &b, words));
    let [one, three, five] = grams;
    let meets = |yes: bool| f64::from(u8::from(yes));
    Ok(Likeness {
        overlap: if is_related { overlap.containment_max() } else { overlap.jaccard() },
        story: engine.story_similarity(&a, &b)?,
        baselines: [
            one.0,
            three.0,
            five.0,
            one.1,
            three.1,
            five.1,
            meets(shares_band(&left_sketch, &right_sketch)),
            meets(left_sketch.simhash.distance_bits(right_sketch.simhash) <= DISTANCE_BITS_MAX),
        ],
    })
}

fn shares_band(a: &Sketch, b: &Sketch) -> bool {
    let shared = a.minhash.band_keys().zip(b.minhash.band_keys()).any(|(a, b)| a == b);
    shared && a.minhash.estimated_jaccard(&b.minhash) >= LSH_JACCARD_MIN
}

/// Jaccard similarity and the greater containment of the sets of runs of so many
/// words.
fn shared_grams(a: &[TokenHash], b: &[TokenHash], words: usize) -> (f64, f64) {
    let grams = |tokens: &[TokenHash]| {
        let words = words.min(tokens.len()).max(1);
        let mut grams: Vec<Vec<TokenHash>> = tokens.windows(words).map(<[_]>::to_vec).collect();
        grams.sort_unstable();
        grams.dedup();
        grams
    };
    let (a, b) = (grams(a), grams(b));
    let shared = a.iter().filter(|it| b.binary_search(it).is_ok()).count();
    let share = |whole: usize| if whole == 0 { 0.0 } else { shared as f64 / whole as f64 };
    (share(a.len() + b.len() - shared), share(a.len().min(b.len())))
}
