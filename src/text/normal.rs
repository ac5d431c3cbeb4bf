//! The normal form of a character: NFKD, lower case, without the diacritics
//! of the alphabets, with a few letters folded onto what people type for them.
//!
//! Owns what a character becomes. Where words begin and end is for `tokens`.

use std::sync::LazyLock;

use unicode_normalization::char::{decompose_compatible, is_combining_mark};

/// What one character gives to the words around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece {
    /// A letter or digit: part of a word.
    Letter(char),
    /// A mark that makes another word, as a vowel sign does: part of the word
    /// of the letter before it, and of none where there is no such letter.
    Mark(char),
    /// Between words.
    Break,
}

/// Gives the pieces of a character, in order; none where it leaves no trace.
pub fn pieces(character: char, mut emit: impl FnMut(Piece)) {
    decompose_compatible(character, |part| pieces_of_part(part, &mut emit));
}

/// Gives what a character decomposes into (NFKD): the pieces of these are its pieces.
pub fn parts(character: char, emit: impl FnMut(char)) {
    decompose_compatible(character, emit);
}

/// The same as [`pieces`] for a character that decomposes into itself alone.
pub fn pieces_of_part(part: char, emit: &mut impl FnMut(Piece)) {
    if is_plain_han(part) || is_plain_kana(part) {
        return emit(Piece::Letter(part));
    }
    for lower in part.to_lowercase() {
        decompose_compatible(lower, |last| fold(last, emit));
    }
}

/// Whether the only piece of a character is itself: most of Han.
pub fn is_plain_han(character: char) -> bool {
    matches!(character, '\u{3400}'..='\u{4DBF}' | '\u{4E00}'..='\u{9FFF}')
}

/// Whether a script writes words without spaces, so that each of its
/// characters is a token.
pub fn is_spaceless(letter: char) -> bool {
    matches!(letter,
        '\u{0E00}'..='\u{0EFF}'      // Thai, Lao
        | '\u{1000}'..='\u{109F}' | '\u{A9E0}'..='\u{A9FF}' | '\u{AA60}'..='\u{AA7F}' // Burmese
        | '\u{1780}'..='\u{17FF}'    // Khmer
        | '\u{3005}'..='\u{3007}' | '\u{3021}'..='\u{3029}' | '\u{3038}'..='\u{303B}' // Han signs
        | '\u{3041}'..='\u{30FF}' | '\u{31F0}'..='\u{31FF}' | '\u{1B000}'..='\u{1B16F}' // kana
        | '\u{3400}'..='\u{4DBF}' | '\u{4E00}'..='\u{9FFF}' | '\u{F900}'..='\u{FAFF}'
        | '\u{20000}'..='\u{3FFFF}') // Han
}

/// Whether the only piece of a part is itself: kana, without their marks.
fn is_plain_kana(part: char) -> bool {
    matches!(part, '\u{3041}'..='\u{3096}' | '\u{30A1}'..='\u{30FA}' | '\u{30FC}')
}

/// The pieces of one character, packed for a table look-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// Between words.
    Break,
    /// Up to four bytes of UTF-8 that belong to the word: the first `len`.
    Bytes {
        /// Number of bytes, 0 to 4.
        len: u8,
        /// The bytes; those behind `len` are 0.
        bytes: [u8; 4],
    },
    /// Something else: ask [`pieces`].
    General,
}

/// Characters below this one are looked up in [`table`]: those of the alphabets,
/// and general punctuation.
pub const TABLE_END: usize = 0x2070;

/// The fast path: what [`pieces`] gives for every character below
/// [`TABLE_END`]. Marks, and scripts without spaces, are left to the general
/// path.
pub fn table() -> &'static [Entry; TABLE_END] {
    static TABLE: LazyLock<Box<[Entry; TABLE_END]>> = LazyLock::new(|| {
        let mut table = Box::new([Entry::General; TABLE_END]);
        for (code, entry) in (0..).zip(table.iter_mut()) {
            *entry = char::from_u32(code).map_or(Entry::General, entry_of);
        }
        table
    });
    &TABLE
}

fn entry_of(character: char) -> Entry {
    if is_combining_mark(character) || is_spaceless(character) {
        return Entry::General;
    }
    let mut word = String::new();
    let (mut breaks, mut others) = (0, 0);
    pieces(character, |piece| match piece {
        Piece::Letter(letter) if !is_spaceless(letter) => word.push(letter),
        Piece::Letter(_) | Piece::Mark(_) => others += 1,
        Piece::Break => breaks += 1,
    });
    let mut bytes = [0; 4];
    match (breaks, others, word.len()) {
        (1.., 0, 0) => Entry::Break,
        (0, 0, len @ 0..=4) => {
            for (to, from) in bytes.iter_mut().zip(word.bytes()) {
                *to = from;
            }
            Entry::Bytes { len: u8::try_from(len).unwrap_or_default(), bytes }
        }
        _ => Entry::General,
    }
}

fn fold(character: char, emit: &mut impl FnMut(Piece)) {
    if is_ignored(character) {
        return;
    }
    if is_combining_mark(character) {
        if !is_dropped_mark(character) {
            emit(Piece::Mark(character));
        }
        return;
    }
    let folded: &str = match character {
        'ß' => "ss",
        'œ' => "oe",
        'æ' => "ae",
        'ø' => "o",
        'đ' | 'ð' => "d",
        'ł' => "l",
        'ħ' => "h",
        'þ' => "th",
        'ı' => "i",
        'ς' => "σ",
        // Modifier letters that are typed as apostrophes.
        '\u{02B9}'..='\u{02BF}' | '\u{02C8}' => return emit(Piece::Break),
        _ if character.is_alphanumeric() => return emit(Piece::Letter(character)),
        _ => return emit(Piece::Break),
    };
    for letter in folded.chars() {
        emit(Piece::Letter(letter));
    }
}

/// Soft hyphens, zero-width and bidirectional controls, variation selectors,
/// and the Arabic tatweel, which only stretches a word.
fn is_ignored(character: char) -> bool {
    matches!(character,
        '\u{00AD}' | '\u{034F}' | '\u{061C}' | '\u{0640}' | '\u{180B}'..='\u{180E}'
        | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}'
        | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' | '\u{E0000}'..='\u{E0FFF}')
}

/// The diacritics of Latin, Greek, Cyrillic, Arabic and Hebrew, which leave no trace. The
/// marks of Indic scripts, Thai, kana and others make other words, and stay.
pub fn is_dropped_mark(mark: char) -> bool {
    matches!(mark,
        '\u{0300}'..='\u{036F}' | '\u{0483}'..='\u{0489}' // Latin, Greek, Cyrillic
        | '\u{0591}'..='\u{05C7}'                         // Hebrew
        | '\u{0610}'..='\u{061A}' | '\u{064B}'..='\u{065F}' | '\u{0670}'
        | '\u{06D6}'..='\u{06ED}' | '\u{08CA}'..='\u{08FF}' // Arabic
        | '\u{1AB0}'..='\u{1AFF}' | '\u{1DC0}'..='\u{1DFF}' | '\u{20D0}'..='\u{20FF}'
        | '\u{2DE0}'..='\u{2DFF}' | '\u{A66F}'..='\u{A67D}' | '\u{FE20}'..='\u{FE2F}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folded(text: &str) -> String {
        let mut out = String::new();
        for character in text.chars() {
            pieces(character, |piece| match piece {
                Piece::Letter(it) | Piece::Mark(it) => out.push(it),
                Piece::Break => out.push('|'),
            });
        }
        out
    }

    #[test]
    fn letters_fold_onto_what_people_type() {
        for (from, to) in [
            ("Éàçüñ", "eacun"),
            ("STRASSE Straße", "strasse|strasse"),
            ("cœur Œuvre", "coeur|oeuvre"),
            ("İstanbul ISPARTA ısparta", "istanbul|isparta|isparta"),
            ("ΟΔΥΣΣΕΎΣ Οδυσσεύς", "οδυσσευσ|οδυσσευσ"),
            ("Ёлка й", "елка|и"),
            ("Đà Nẵng Łódź", "da|nang|lodz"),
            ("l\u{2019}œil d'or", "l|oeil|d|or"),
            ("co\u{AD}opé\u{200B}rer", "cooperer"),
            ("ＡＢＣ１２３ ﬁn", "abc123|fin"),
            ("كِتَابٌ كـــتاب", "كتاب|كتاب"),
            ("שָׁלוֹם", "שלום"),
        ] {
            assert_eq!(folded(from), to, "{from}");
        }
    }

    #[test]
    fn vowel_signs_and_kana_marks_stay() {
        assert_eq!(folded("हिन्दी"), "हिन्दी");
        assert_eq!(folded("ไทยที่"), "ไทยที่");
        assert_ne!(folded("が"), folded("か"));
    }

    #[test]
    fn what_is_known_of_a_character_is_what_its_pieces_are() {
        for character in '\0'..=char::MAX {
            let whole = folded(&character.to_string());
            let mut of_parts = String::new();
            parts(character, |it| of_parts.push_str(&folded(&it.to_string())));
            assert_eq!(whole, of_parts, "{:x}", u32::from(character));
            if is_combining_mark(character) && is_dropped_mark(character) {
                assert_eq!(whole, "", "{:x}", u32::from(character));
            }
            if is_plain_han(character) || is_plain_kana(character) {
                let lower = character.to_lowercase().to_string();
                assert_eq!(lower, character.to_string());
                assert!(character.is_alphanumeric() && !is_combining_mark(character));
                assert!(!is_ignored(character) && is_spaceless(character));
                assert!(!is_plain_han(character) || whole == lower);
            }
        }
    }

    #[test]
    fn the_table_says_what_the_general_path_says() {
        for (code, entry) in table().iter().enumerate() {
            let character = char::from_u32(u32::try_from(code).unwrap()).unwrap();
            let general = folded(&character.to_string());
            match entry {
                Entry::Break => assert!(general.chars().all(|it| it == '|') && !general.is_empty()),
                Entry::Bytes { len, bytes } => {
                    assert_eq!(&bytes[..usize::from(*len)], general.as_bytes(), "{code:x}");
                }
                Entry::General => {}
            }
        }
    }
}
