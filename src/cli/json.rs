//! Messages as JSON: proto3's mapping, with the names of the proto files, enum
//! names in full, and every field, so that a script need not guess defaults.

use std::fmt::Write as _;
use std::sync::LazyLock;

use anyhow::Context as _;
use doublon::api::DESCRIPTORS;
use doublon::client::ClientError;
use prost::{Message, Name};
use prost_reflect::{DescriptorPool, DynamicMessage, SerializeOptions};
use serde::de::DeserializeOwned;

/// A message on one line.
pub(super) fn line<M: Message + Name>(message: &M) -> anyhow::Result<String> {
    static POOL: LazyLock<Result<DescriptorPool, prost_reflect::DescriptorError>> =
        LazyLock::new(|| DescriptorPool::decode(DESCRIPTORS));
    let pool = POOL.as_ref().map_err(|error| anyhow::anyhow!("{error}"))?;
    let descriptor =
        pool.get_message_by_name(&M::full_name()).context("the contract has this message")?;
    let message = DynamicMessage::decode(descriptor, message.encode_to_vec().as_slice())?;
    let options = SerializeOptions::new().use_proto_field_name(true).skip_default_fields(false);
    let mut out = serde_json::Serializer::new(Vec::new());
    message.serialize_with_options(&mut out, &options)?;
    Ok(String::from_utf8(out.into_inner())?)
}

/// A message on one line, with more fields behind its own.
pub(super) fn line_with<M: Message + Name>(
    message: &M,
    more: &[(&str, serde_json::Value)],
) -> anyhow::Result<String> {
    let mut out = line(message)?;
    // The message has fields of its own, all of which are written.
    out.pop();
    for (name, value) in more {
        write!(out, ",\"{name}\":{value}")?;
    }
    out.push('}');
    Ok(out)
}

/// Reads a line that has one object; serde would take an array for one as well.
pub(super) fn read_object<T: DeserializeOwned>(what: &str, line: &str) -> Result<T, String> {
    let article = if what.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
    let problem = |it: &str| format!("not {article} {what} as a JSON object: {it}");
    if !line.trim_start().starts_with('{') {
        return Err(problem("it does not begin with {"));
    }
    serde_json::from_str(line).map_err(|error| {
        // The line's own number is known; within it there is only a column.
        problem(&error.to_string().replace(" at line 1 column ", " at column "))
    })
}

/// An item that failed, on one line.
pub(super) fn error_line(origin: &str, error: &ClientError) -> String {
    let (code, reason) = match error {
        ClientError::Refused { code, reason, .. } => (i32::from(*code), reason.as_str()),
        ClientError::Address { .. }
        | ClientError::Scheme { .. }
        | ClientError::Token
        | ClientError::Tls { .. }
        | ClientError::Unreachable { .. } => (14, ""),
    };
    let error = serde_json::json!({
        "code": code, "reason": reason, "message": error.to_string(), "origin": origin,
    });
    serde_json::json!({ "error": error }).to_string()
}
