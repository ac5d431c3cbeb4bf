//! What replies say, whichever way they say it.

use redis::Value;

/// A number; 0 where there is none.
pub(crate) fn number(value: &Value) -> Option<u64> {
    if let Value::Int(number) = value {
        return u64::try_from(*number).ok();
    }
    if matches!(value, Value::Nil) {
        return Some(0);
    }
    std::str::from_utf8(bytes(value)?).ok()?.parse().ok()
}

/// Bytes, if there are some.
pub(crate) fn bytes(value: &Value) -> Option<&[u8]> {
    if let Value::BulkString(bytes) = value {
        return Some(bytes);
    }
    if let Value::SimpleString(text) = value { Some(text.as_bytes()) } else { None }
}

/// A list; one without items where there is none.
pub(crate) fn list(value: &Value) -> Option<&[Value]> {
    if let Value::Array(all) = value {
        return Some(all);
    }
    matches!(value, Value::Nil).then_some(&[])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_told_apart() {
        let text = |it: &str| Value::BulkString(it.as_bytes().to_vec());
        for (value, expected) in [
            (Value::Int(7), Some(7)),
            (Value::Int(-1), None),
            (Value::Nil, Some(0)),
            (text("12"), Some(12)),
            (text("x"), None),
            (Value::Array(Vec::new()), None),
        ] {
            assert_eq!(number(&value), expected, "{value:?}");
        }
        assert_eq!(list(&Value::Nil), Some(&[][..]));
        assert_eq!((list(&Value::Int(1)), bytes(&Value::Nil)), (None, None));
    }
}
