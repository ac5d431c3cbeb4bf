//! What needs no store: the signature of a text, and two texts compared.

use crate::engine::Engine;
use crate::engine::article::check_text;
use crate::engine::error::{EngineError, Invalid, Problem};
use crate::matching::overlap::{Overlap, ShingleSet};
use crate::matching::runs;
use crate::shingle;
use crate::sketch::Sketch;
use crate::text::ByteSpan;
use crate::text::cues::Cues;
use crate::text::tokens::{TokenHash, Tokens};
use crate::text::truncation;

/// Runs of words that a comparison names, at most.
pub const ALIGNED_SPANS_MAX: usize = 1000;

/// How a text is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextKind {
    /// A whole text.
    Article,
    /// A blurb: without its truncation mark and the word that was cut.
    Teaser,
}

/// The signature of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signature {
    /// Both sketches.
    pub sketch: Sketch,
    /// Tokens of the text.
    pub token_count: usize,
    /// Distinct shingles of the text.
    pub shingle_count: usize,
}

/// How two texts relate.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// Shared shingles, the first text's on the left.
    pub overlap: Overlap,
    /// The estimate of their Jaccard similarity from MinHash.
    pub estimated_jaccard: f64,
    /// Bits in which the two values of SimHash differ.
    pub simhash_distance_bits: u32,
    /// The runs of words that stand in both: places in the first text and in
    /// the second.
    pub aligned: Vec<(ByteSpan, ByteSpan)>,
}

impl Engine {
    /// The signature of a text.
    pub fn sign(&self, text: &str, kind: TextKind) -> Result<Signature, EngineError> {
        sign(text, kind, &self.core.cues)
    }
}

fn sign(text: &str, kind: TextKind, cues: &Cues) -> Result<Signature, EngineError> {
    check_text("text", text)?;
    let tokens = match kind {
        TextKind::Article => Tokens::of(text),
        TextKind::Teaser => truncation::blurb(text, cues).tokens,
    };
    if tokens.is_empty() {
        return Err(Invalid::new("text", Problem::WithoutTokens).into());
    }
    Ok(signature(&tokens.hashes))
}

/// The signature of a text with these tokens.
fn signature(tokens: &[TokenHash]) -> Signature {
    let shingles = shingle::shingles(tokens);
    Signature {
        sketch: Sketch::of(tokens, &shingles),
        token_count: tokens.len(),
        shingle_count: ShingleSet::of(&shingles).len(),
    }
}

/// Compares two texts.
pub fn compare(a: &str, b: &str) -> Result<Comparison, EngineError> {
    let read = |field: &str, text: &str| {
        check_text(field, text)?;
        let tokens = Tokens::of(text);
        if tokens.is_empty() {
            return Err(Invalid::new(field, Problem::WithoutTokens));
        }
        Ok(tokens)
    };
    let (a, b) = (read("a_text", a)?, read("b_text", b)?);
    let (left, right) = (signature(&a.hashes), signature(&b.hashes));
    let (left_sketch, right_sketch) = (left.sketch, right.sketch);
    let runs = runs::shared_runs(&a.hashes, &b.hashes, ALIGNED_SPANS_MAX);
    let spans = runs.into_iter().filter_map(|run| {
        Some((a.span(run.left..run.left + run.len)?, b.span(run.right..run.right + run.len)?))
    });
    Ok(Comparison {
        overlap: ShingleSet::of(&shingle::shingles(&a.hashes))
            .overlap(&shingle::shingles(&b.hashes), right.shingle_count),
        estimated_jaccard: left_sketch.minhash.estimated_jaccard(&right_sketch.minhash),
        simhash_distance_bits: left_sketch.simhash.distance_bits(right_sketch.simhash),
        aligned: spans.collect(),
    })
}
