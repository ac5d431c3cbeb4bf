//! Which node has which slot.

use redis::Value;

use crate::cluster::reply;

/// Slots of every cluster.
pub(super) const SLOTS: u16 = 16_384;

/// Host and port of a node.
pub(super) type Address = (String, u16);

/// As it is written.
pub(super) fn named((host, port): &Address) -> String {
    format!("{host}:{port}")
}

/// Who serves a range of slots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shard {
    start: u16,
    end_inclusive: u16,
    pub(super) primary: Address,
    pub(super) replicas: Vec<Address>,
}

/// Who serves which slots, as one node told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct SlotMap {
    /// Ascending by their start.
    shards: Vec<Shard>,
}

/// The slot of a key: CRC16 of what stands in its first braces, or of all of it (Redis
/// Cluster Specification, "Key distribution model").
pub fn slot_of(key: &[u8]) -> u16 {
    crc16::State::<crc16::XMODEM>::calculate(tag(key).unwrap_or(key)) % SLOTS
}

fn tag(key: &[u8]) -> Option<&[u8]> {
    let (_, behind) = key.split_at_checked(key.iter().position(|it| *it == b'{')? + 1)?;
    let tag = behind.get(..behind.iter().position(|it| *it == b'}')?)?;
    (!tag.is_empty()).then_some(tag)
}

impl SlotMap {
    /// From the reply to `CLUSTER SLOTS`. Nodes without a host are where the asked one is.
    pub(super) fn read(reply: &Value, asked: &Address) -> Option<Self> {
        let Value::Array(ranges) = reply else { return None };
        let mut shards: Vec<Shard> =
            ranges.iter().map(|it| shard(it, asked)).collect::<Option<_>>()?;
        shards.sort_by_key(|it| it.start);
        (!shards.is_empty()).then_some(Self { shards })
    }

    /// Who serves a slot.
    pub(super) fn shard(&self, slot: u16) -> Option<&Shard> {
        let at = self.shards.partition_point(|it| it.start <= slot);
        let shard = self.shards.get(at.checked_sub(1)?)?;
        (slot <= shard.end_inclusive).then_some(shard)
    }

    /// All primaries, each once.
    pub(super) fn primaries(&self) -> Vec<Address> {
        let mut all: Vec<Address> = self.shards.iter().map(|it| it.primary.clone()).collect();
        all.sort();
        all.dedup();
        all
    }

    /// All nodes, each once.
    pub(super) fn nodes(&self) -> Vec<Address> {
        let mut all = self.primaries();
        all.extend(self.shards.iter().flat_map(|it| it.replicas.clone()));
        all.sort();
        all.dedup();
        all
    }
}

fn shard(range: &Value, asked: &Address) -> Option<Shard> {
    let Value::Array(parts) = range else { return None };
    let [Value::Int(start), Value::Int(end), primary, replicas @ ..] = parts.as_slice() else {
        return None;
    };
    Some(Shard {
        start: u16::try_from(*start).ok()?,
        end_inclusive: u16::try_from(*end).ok()?,
        primary: address(primary, asked)?,
        replicas: replicas.iter().filter_map(|it| address(it, asked)).collect(),
    })
}

fn address(node: &Value, asked: &Address) -> Option<Address> {
    let Value::Array(parts) = node else { return None };
    let [host, Value::Int(port), ..] = parts.as_slice() else { return None };
    let host = reply::bytes(host).map_or(Some(""), |it| std::str::from_utf8(it).ok())?;
    let host = if host.is_empty() || host == "?" { &asked.0 } else { host };
    Some((host.to_owned(), u16::try_from(*port).ok()?))
}

/// Where `MOVED 3999 127.0.0.1:6381` or `ASK ...` points, from what stands behind the word.
pub(super) fn redirect(details: &str, asked: &Address) -> Option<Address> {
    let (_, address) = details.split_once(' ')?;
    let (host, port) = address.rsplit_once(':')?;
    let host = if host.is_empty() { &asked.0 } else { host };
    Some((host.to_owned(), port.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(host: &str, port: i64) -> Value {
        let host = Value::BulkString(host.as_bytes().to_vec());
        Value::Array(vec![host, Value::Int(port), Value::BulkString(b"id".to_vec())])
    }

    #[test]
    fn slots_are_those_of_the_specification() {
        assert_eq!(slot_of(b"123456789"), 0x31c3 % SLOTS);
        assert_eq!(slot_of(b"{user1000}.following"), slot_of(b"{user1000}.followers"));
        assert_eq!(slot_of(b"foo{}{bar}"), slot_of(b"foo{}{bar}"));
        assert_ne!(slot_of(b"foo{}{bar}"), slot_of(b"bar"));
        assert_eq!(slot_of(b"foo{bar}{zap}"), slot_of(b"bar"));
        assert_eq!(slot_of(b"foo{{bar}}zap"), slot_of(b"{bar"));
    }

    #[test]
    fn a_map_tells_who_serves_a_slot_and_knows_its_gaps() {
        let asked = ("seed".to_owned(), 1);
        let range = |start, end, nodes: Vec<Value>| {
            let mut parts = vec![Value::Int(start), Value::Int(end)];
            parts.extend(nodes);
            Value::Array(parts)
        };
        let reply = Value::Array(vec![
            range(5000, 9999, vec![node("b", 2)]),
            range(0, 4999, vec![node("", 1), node("c", 3)]),
        ]);
        let map = SlotMap::read(&reply, &asked).unwrap();
        assert_eq!(map.shard(4999).unwrap().primary, asked);
        assert_eq!(map.shard(4999).unwrap().replicas, [("c".to_owned(), 3)]);
        assert_eq!(map.shard(5000).unwrap().primary, ("b".to_owned(), 2));
        assert_eq!(map.shard(10_000), None);
        assert_eq!((map.primaries().len(), map.nodes().len()), (2, 3));
        for bad in [Value::Nil, Value::Array(Vec::new()), Value::Array(vec![Value::Int(1)])] {
            assert_eq!(SlotMap::read(&bad, &asked), None);
        }
    }

    #[test]
    fn redirections_name_a_node() {
        let asked = ("seed".to_owned(), 1);
        assert_eq!(redirect("3999 127.0.0.1:6381", &asked), Some(("127.0.0.1".to_owned(), 6381)));
        assert_eq!(redirect("3999 :6381", &asked), Some(("seed".to_owned(), 6381)));
        assert_eq!(redirect("3999 ::1:6381", &asked), Some(("::1".to_owned(), 6381)));
        assert_eq!(redirect("3999", &asked), None);
    }
}
