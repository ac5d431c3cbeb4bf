//! Exports and imports between messages and the engine's terms.

use crate::api::v1;
use crate::engine::transfer::export::Resumed;
use crate::engine::transfer::import::{ImportPart, Imported};

/// Where an export goes on.
pub fn resumed(it: v1::ExportPosition) -> Resumed {
    let v1::ExportPosition { store, after_number } = it;
    Resumed { store, after: after_number }
}

/// Some lines.
pub fn import_part(it: v1::ImportRequest) -> ImportPart {
    let v1::ImportRequest { position, lines, digest } = it;
    ImportPart { position, digest, lines }
}

/// How far an import has come.
pub fn imported(it: Imported) -> v1::ImportResult {
    let Imported { position, article_count, is_complete } = it;
    v1::ImportResult { position, article_count, is_complete }
}
