//! Who may call and how often: tokens, their roles, the file that has them, and
//! what each may ask a second. Knows no wire and no method. A token is here what a
//! caller shows, not a word of a text.

pub mod bucket;
pub mod file;
pub mod stamp;
pub mod token;
pub mod tokens;
