//! Seeded texts for the benches: articles of a Zipf vocabulary in Latin script,
//! some of it accented, and teasers cut from them. The same seed gives the same
//! texts on every machine.
#![allow(dead_code, reason = "no bench uses all of it")]
#![allow(
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "ranks and places are within their bounds by construction"
)]

pub(crate) mod hostile;
pub(crate) mod records;

use std::fmt::Write;
use std::time::Duration;

use criterion::Criterion;

/// Seed of every text.
const SEED: u64 = 2026;
/// Words of the vocabulary.
const WORDS: u32 = 60_000;
/// Bytes of an article, at least; the mean lies half a sentence above.
pub(crate) const ARTICLE_BYTES: usize = 5_560;
/// Words of a teaser.
const TEASER_WORDS: usize = 30;
/// Share of syllables with an accent, in percent: French has about one accented
/// letter in 30.
const ACCENTS_PERCENT: u64 = 6;

/// Whether figures are asked for: `cargo bench`. Otherwise, as in `cargo test`,
/// each bench runs once, on a size that takes no time.
pub(crate) fn is_measured() -> bool {
    std::env::args().any(|it| it == "--bench")
}

/// The first where figures are asked for, else the second.
pub(crate) fn size<T>(measured: T, smoke: T) -> T {
    if is_measured() { measured } else { smoke }
}

/// A runner of short benches: the machine's noise is larger than what longer ones
/// would tell apart.
pub(crate) fn criterion() -> Criterion {
    Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .sample_size(20)
        .configure_from_args()
}

/// `SplitMix64`.
pub(crate) struct Random(u64);

impl Random {
    /// The stream with this number.
    pub(crate) fn new(stream: u64) -> Self {
        let mut random = Self(SEED ^ stream.wrapping_mul(0xd605_bbb5_8c8a_bc2d));
        random.next();
        random
    }

    /// The next 64 bits.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(end)) >> 64) as u64
    }

    /// A rank below `end` by Zipf's law: the r-th with a share of 1/r.
    pub(crate) fn rank(&mut self, end: u32) -> u32 {
        let rank = f64::from(end).powf(self.share()) as u32;
        rank.saturating_sub(1).min(end - 1)
    }

    /// A number from 0 to 1, exclusive.
    fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// A vocabulary, and the texts that are made of it.
pub(crate) struct Texts {
    words: Vec<String>,
}

impl Default for Texts {
    fn default() -> Self {
        Self { words: (0..WORDS).map(word).collect() }
    }
}

impl Texts {
    /// The article with this number: sentences in paragraphs.
    pub(crate) fn article(&self, number: u32) -> String {
        let mut random = Random::new(u64::from(number) + 1);
        let mut text = String::with_capacity(ARTICLE_BYTES + 400);
        while text.len() < ARTICLE_BYTES {
            self.sentence(&mut random, &mut text);
            text.push(if random.below(5) == 0 { '\n' } else { ' ' });
        }
        text.truncate(text.trim_end().len());
        text
    }

    /// The headline of an article: the first words of its stream of titles.
    pub(crate) fn title(&self, number: u32) -> String {
        let mut random = Random::new((1 << 40) + u64::from(number));
        let words: Vec<&str> = (0..9).map(|_| self.pick(&mut random)).collect();
        capitalised(&words.join(" "))
    }

    /// A near-duplicate of an article: one word in 40 is another one.
    pub(crate) fn near_copy(&self, number: u32) -> String {
        let mut random = Random::new((2 << 40) + u64::from(number));
        let article = self.article(number);
        let words = article
            .split(' ')
            .map(|it| if random.below(40) == 0 { self.pick(&mut random) } else { it });
        words.collect::<Vec<_>>().join(" ")
    }

    /// A blurb cut out of an article, wherever it likes, and truncated.
    pub(crate) fn teaser(&self, number: u32) -> String {
        let mut random = Random::new((3 << 40) + u64::from(number));
        let article = self.article(number);
        let words: Vec<&str> = article.split_whitespace().collect();
        let start = random.below((words.len() - TEASER_WORDS) as u64) as usize;
        words[start..start + TEASER_WORDS].join(" ") + " ..."
    }

    /// A page: the headline and blurb of another article, the article, a label,
    /// and the blurbs of three others.
    pub(crate) fn page(&self, number: u32) -> String {
        let mut page = String::new();
        for other in [number + 1, number + 2, number + 3, number + 4] {
            let _ = writeln!(page, "{}\n{}\n", self.title(other), self.teaser(other));
            if other == number + 1 {
                let _ = writeln!(page, "{}\n\n{}\n", self.title(number), self.article(number));
                page.push_str("Aller plus loin\n\n");
            }
        }
        page
    }

    fn sentence(&self, random: &mut Random, text: &mut String) {
        let start = text.len();
        for at in 0..8 + random.below(22) {
            if at > 0 {
                text.push_str(["", ",", ""][random.below(9).min(2) as usize]);
                text.push(' ');
            }
            match random.below(60) {
                0 => text.push_str(["l’", "d’", "qu'"][random.below(3) as usize]),
                1 => write!(text, "{} ", capitalised(self.pick(random))).unwrap_or_default(),
                2 => write!(text, "« {} » ", self.pick(random)).unwrap_or_default(),
                3 => write!(text, "{} ", random.below(3000)).unwrap_or_default(),
                _ => {}
            }
            text.push_str(self.pick(random));
        }
        let sentence = capitalised(&text[start..]);
        text.truncate(start);
        text.push_str(&sentence);
        text.push('.');
    }

    fn pick(&self, random: &mut Random) -> &str {
        &self.words[random.rank(WORDS) as usize]
    }
}

fn capitalised(text: &str) -> String {
    let mut characters = text.chars();
    let first = characters.next().map(|it| it.to_uppercase().to_string());
    first.unwrap_or_default() + characters.as_str()
}

/// The word of a rank: syllables that spell the rank, mixed, so that all differ;
/// the common ones are short.
fn word(rank: u32) -> String {
    const CONSONANTS: [&str; 16] =
        ["l", "d", "s", "r", "t", "n", "m", "p", "c", "v", "f", "b", "g", "ch", "qu", "tr"];
    const VOWELS: [&str; 8] = ["e", "a", "i", "o", "u", "en", "ai", "ou"];
    const ACCENTED: [&str; 8] = ["é", "à", "è", "ô", "ê", "ç", "î", "û"];
    let mut random = Random::new((4 << 40) + u64::from(rank));
    let mut word = String::new();
    let mut left = rank;
    loop {
        word.push_str(CONSONANTS[(left % 16) as usize]);
        left /= 16;
        let vowels = if random.below(100) < ACCENTS_PERCENT { ACCENTED } else { VOWELS };
        word.push_str(vowels[(left % 8) as usize]);
        left /= 8;
        if left == 0 {
            break;
        }
    }
    word.push_str(["", "s", "nt", "r"][random.below(4) as usize]);
    word
}
