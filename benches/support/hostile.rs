//! Texts that are made to cost more than they should, each of any length.
#![allow(dead_code, reason = "the bench and the test use their part")]

/// A kind of text.
pub(crate) struct Hostile {
    pub(crate) name: &'static str,
    /// What is repeated; `None` where each word is another one.
    repeated: Option<String>,
}

impl Hostile {
    /// All kinds.
    pub(crate) fn all() -> Vec<Self> {
        let deep = |letter: &str, marks: &str, times| letter.to_owned() + &marks.repeat(times);
        let repeated = [
            ("one word", "ferry ".to_owned()),
            ("two words in turn", "ferry cable ".to_owned()),
            ("one endless word", "a".to_owned()),
            ("one endless accented word", "é".to_owned()),
            ("one Han character", "\u{4eca}".to_owned()),
            ("100 dropped marks a letter", deep("a", "\u{301}\u{323}", 50) + " "),
            ("100 kept marks a letter", deep("\u{915}", "\u{94d}\u{93c}", 50) + " "),
            ("marks of a Han character", deep("\u{4eca}", "\u{3099}", 100)),
            ("bidi controls", "\u{202e}a\u{202c}\u{2067}b\u{2069} ".to_owned()),
            ("zero-width characters", "f\u{200b}e\u{200d}r\u{feff}ry\u{2060} ".to_owned()),
            ("one character of four words", "\u{fdfa}".to_owned()),
            ("one character of six kana", "\u{3316}".to_owned()),
            ("entities", "&eacute;".to_owned()),
            ("what looks like entities", "&&&&&&&&a ".to_owned()),
            ("names of no entity", "&aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa;".to_owned()),
            ("lines of one letter", "a\n".to_owned()),
            ("lines that are labels", "Related:\n".to_owned()),
            ("lines that end articles", "Comments (3)\n".to_owned()),
            ("cut lines", "the ferry will sail again...\n".to_owned()),
            (
                "one sentence a line",
                "The old ferry will sail again in spring, he says.\n".to_owned(),
            ),
            ("prompts", "sign up share subscribe ".to_owned()),
        ];
        let kinds = repeated.map(|(name, text)| Self { name, repeated: Some(text) });
        let distinct = Self { name: "distinct words", repeated: None };
        kinds.into_iter().chain([distinct]).collect()
    }

    /// A text of so many bytes, or a few less.
    pub(crate) fn text(&self, bytes: usize) -> String {
        match &self.repeated {
            Some(it) => it.repeat(bytes / it.len()),
            None => distinct_words(bytes),
        }
    }
}

/// As many words as there is room for, no two alike: numbers in letters.
fn distinct_words(bytes: usize) -> String {
    const LETTERS: &[u8; 26] = b"abcdefghijklmnopqrstuvwxyz";
    let mut text = String::with_capacity(bytes);
    for number in 0_usize.. {
        let start = text.len();
        let mut left = number;
        loop {
            text.extend(LETTERS.get(left % LETTERS.len()).map(|it| char::from(*it)));
            left /= LETTERS.len();
            if left == 0 {
                break;
            }
            left -= 1;
        }
        text.push(' ');
        if text.len() > bytes {
            text.truncate(start);
            break;
        }
    }
    text
}
