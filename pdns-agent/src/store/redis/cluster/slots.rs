//! The slots of a cluster: which one a key lies in, and which master serves each
//! (<https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/>).

use crate::store::redis::hosts::{self, HostPort};
use redis::Value;

/// Number of slots.
pub(super) const SLOTS: u16 = 16_384;

/// Masters, and which of them serves each slot.
#[derive(Debug)]
pub(super) struct SlotMap {
    /// Masters in the order of their first slots.
    pub(super) masters: Vec<HostPort>,
    /// Replicas, which know the masters, too.
    pub(super) replicas: Vec<HostPort>,
    /// Number of the master of each slot; `None` if no master serves it.
    by_slot: Vec<Option<u16>>,
}

impl SlotMap {
    /// Parses the reply to `CLUSTER SLOTS` of the node at `asked`, which may leave out its own host.
    pub(super) fn read(reply: Value, asked: &HostPort) -> Option<Self> {
        let Value::Array(ranges) = reply else { return None };
        let mut ranges: Vec<(u16, u16, Vec<HostPort>)> =
            ranges.into_iter().map(|range| read_range(range, asked)).collect::<Option<_>>()?;
        ranges.sort_unstable_by_key(|(first, ..)| *first);
        let mut map = Self {
            masters: Vec::new(),
            replicas: Vec::new(),
            by_slot: vec![None; usize::from(SLOTS)],
        };
        for (first, last, nodes) in ranges {
            let mut nodes = nodes.into_iter();
            let Some(master) = nodes.next() else { continue };
            let number = map.number_of(&master)?;
            map.by_slot.get_mut(usize::from(first)..=usize::from(last))?.fill(Some(number));
            map.replicas.extend(nodes);
        }
        map.replicas.sort_unstable();
        map.replicas.dedup();
        Some(map)
    }

    /// Returns the number of a master, and adds it if it is new.
    fn number_of(&mut self, master: &HostPort) -> Option<u16> {
        let known = self.masters.iter().position(|known| known == master);
        let number = known.unwrap_or_else(|| {
            self.masters.push(master.clone());
            self.masters.len() - 1
        });
        u16::try_from(number).ok()
    }

    /// Returns the number of the master that serves a slot.
    pub(super) fn master_of(&self, slot: u16) -> Option<u16> {
        self.by_slot.get(usize::from(slot)).copied().flatten()
    }

    /// Notes that a slot moved to a master that is already known; returns false for one that is not.
    pub(super) fn moved(&mut self, slot: u16, master: &HostPort) -> bool {
        let number = self.masters.iter().position(|known| known == master);
        let number = number.and_then(|number| u16::try_from(number).ok());
        match (number, self.by_slot.get_mut(usize::from(slot))) {
            (Some(number), Some(place)) => {
                *place = Some(number);
                true
            }
            _ => false,
        }
    }

    /// Returns true if each slot is served by the same master as in another map.
    pub(super) fn serves_like(&self, other: &Self) -> bool {
        let host = |map: &Self, slot| map.masters.get(usize::from(map.master_of(slot)?)).cloned();
        (0..SLOTS).all(|slot| host(self, slot) == host(other, slot))
    }

    /// Describes the slots that no master serves; `None` if there are none.
    pub(super) fn unserved(&self) -> Option<String> {
        let unserved: Vec<u16> =
            (0..SLOTS).filter(|&slot| self.master_of(slot).is_none()).collect();
        let (first, last) = (unserved.first()?, unserved.last()?);
        Some(match unserved.len() {
            1 => format!("slot {first}"),
            count => format!("{count} slots from {first} to {last}"),
        })
    }
}

/// Parses a range of slots and its nodes, the master first.
fn read_range(range: Value, asked: &HostPort) -> Option<(u16, u16, Vec<HostPort>)> {
    let Value::Array(parts) = range else { return None };
    let mut parts = parts.into_iter();
    let mut number = || match parts.next()? {
        Value::Int(number) => u16::try_from(number).ok().filter(|&number| number < SLOTS),
        _ => None,
    };
    let (first, last) = (number()?, number()?);
    let nodes = parts.map(|node| read_node(node, asked)).collect::<Option<_>>()?;
    (first <= last).then_some((first, last, nodes))
}

fn read_node(node: Value, asked: &HostPort) -> Option<HostPort> {
    let Value::Array(parts) = node else { return None };
    let host = match parts.first()? {
        Value::BulkString(host) => std::str::from_utf8(host).ok()?,
        Value::Nil => "",
        _ => return None,
    };
    let Value::Int(port) = parts.get(1)? else { return None };
    Some((host_or(host, asked), u16::try_from(*port).ok()?))
}

/// A node that does not know its own host, or its name, is reached like the one that was asked.
fn host_or(host: &str, asked: &HostPort) -> String {
    if host.is_empty() || host == "?" { asked.0.clone() } else { host.to_owned() }
}

/// Parses the address in a redirection by the node at `asked`: `HOST:PORT`, where the host may be missing and an IPv6
/// address has no brackets.
pub(super) fn read_address(address: &str, asked: &HostPort) -> Option<HostPort> {
    let (host, port) = address.rsplit_once(':')?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    Some((host_or(host, asked), port.parse().ok()?))
}

/// Returns the slot of a key: of what is in its first braces, if that is not empty, or else of all of it.
pub(super) fn slot(key: &[u8]) -> u16 {
    let tag = memchr::memchr(b'{', key).and_then(|open| {
        let rest = key.get(open + 1..)?;
        rest.get(..memchr::memchr(b'}', rest)?).filter(|tag| !tag.is_empty())
    });
    crc16(tag.unwrap_or(key)) % SLOTS
}

/// CRC-16/XMODEM.
fn crc16(octets: &[u8]) -> u16 {
    octets.iter().fold(0, |sum, &octet| {
        (0..8).fold(sum ^ u16::from(octet) << 8, |sum, _| {
            if sum & 0x8000 == 0 { sum << 1 } else { sum << 1 ^ 0x1021 }
        })
    })
}

impl std::fmt::Display for SlotMap {
    /// Lists the masters.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let masters: Vec<String> = self.masters.iter().map(hosts::show).collect();
        f.write_str(&masters.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_the_specification() {
        assert_eq!(crc16(b"123456789"), 0x31c3);
        // As CLUSTER KEYSLOT has them.
        assert_eq!(slot(b"somekey"), 11_058);
        assert_eq!(slot(b"foo{hash_tag}"), 2515);
        assert_eq!(slot(b"bar{hash_tag}x{y}"), 2515);
        assert_eq!(slot(b"foo{}{bar}"), crc16(b"foo{}{bar}") % SLOTS);
        assert_eq!(slot(b"foo{{bar}}zap"), crc16(b"{bar") % SLOTS);
        assert_eq!(slot(b"foo{bar"), crc16(b"foo{bar") % SLOTS);
    }

    fn node(host: &str, port: i64) -> Value {
        let id = Value::BulkString(b"id".to_vec());
        Value::Array(vec![Value::BulkString(host.into()), Value::Int(port), id])
    }

    fn range(first: i64, last: i64, nodes: Vec<Value>) -> Value {
        let ends = [Value::Int(first), Value::Int(last)];
        Value::Array(ends.into_iter().chain(nodes).collect())
    }

    #[test]
    fn a_map_has_each_master_once_and_tells_what_is_not_served() {
        let asked = ("h".to_owned(), 7);
        let reply = Value::Array(vec![
            range(8192, 16_382, vec![node("b", 1), node("c", 2)]),
            range(0, 100, vec![node("", 1)]),
            range(101, 8191, vec![node("b", 1), node("c", 2)]),
        ]);
        let mut map = SlotMap::read(reply, &asked).unwrap();
        assert_eq!(map.to_string(), "h:1, b:1");
        assert_eq!(map.replicas, [("c".to_owned(), 2)]);
        let masters = [0, 100, 101, 16_382, 16_383].map(|slot| map.master_of(slot));
        assert_eq!(masters, [Some(0), Some(0), Some(1), Some(1), None]);
        assert_eq!(map.unserved().as_deref(), Some("slot 16383"));
        let to = read_address("h:1", &asked).unwrap();
        assert!(map.moved(16_383, &to) && map.unserved().is_none());
        assert!(!map.moved(1, &read_address("::1:9", &asked).unwrap()));
        assert_eq!(read_address(":9", &asked), Some(("h".to_owned(), 9)));
    }

    #[test]
    fn a_reply_of_another_shape_is_no_map() {
        let asked = ("h".to_owned(), 7);
        for wrong in [
            Value::Nil,
            Value::Array(vec![Value::Int(1)]),
            Value::Array(vec![range(5, 4, vec![node("b", 1)])]),
            Value::Array(vec![range(0, 16_384, vec![node("b", 1)])]),
            Value::Array(vec![range(-1, 2, vec![node("b", 1)])]),
            Value::Array(vec![range(0, 2, vec![node("b", 65_536)])]),
            Value::Array(vec![range(0, 2, vec![Value::Nil])]),
        ] {
            assert!(SlotMap::read(wrong.clone(), &asked).is_none(), "{wrong:?}");
        }
    }
}
