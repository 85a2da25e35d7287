#!/usr/bin/env python3
"""A second reader of the store, written from `docs/redis-model.md` alone.

    second_reader.py SOCKET [PREFIX] > STORE

reads all of a store behind a Unix socket and prints one JSON object:
    records    [{rrname, rrtype, rdata, partial, count, time_first, time_last, ttl_min, ttl_max, ttl_last, sensors, ...}],
               RDATA as `\\# length hex`
    negatives  [{rrname, rrtype, outcome, count, time_first, time_last, sensors}]
    days       {day since the epoch: names with records first seen on it}
    logs       [{id, path, position}]
    tags       [{kind, subject, time, note, source, author}]

Everything that the document says must agree is asserted: names hash to where they lie, rows lead back to their owners, counts
are the real ones, and each record has its entry in the inverse index. The standard library is enough; the mnemonics of types and
outcomes are those of zeek.py.
"""

import json
import socket
import struct
import sys

MASK = 2**64 - 1
ROWS, ROW, LOG = 2047, 32, 65500
NO_TTL = 2**32 - 1
# The count, or the number of the sensor, of a row that has it elsewhere, and the bit of the largest TTL that says so.
LARGE, HIGH, HIGH_64 = 2**32 - 1, 2**31, 2**63
NEGATIVE, LONG, LONG_PARTIAL, PARTIAL, OTHER, WIDE = 0xF0, 0xFB, 0xFC, 0xFD, 0xFE, 0xFF
# Flags; 1 is exact, and none is imported.
INFERRED, UNSOLICITED = 2, 4
# Type codes of rows, from 1; 31 is any other type, 0 is not known.
CODES = [1, 28, 5, 12, 2, 15, 16, 6, 33, 65, 64, 257, 39, 35, 43, 48, 46, 47, 50, 51, 52, 44, 59, 60, 256, 99, 29, 13, 10, 255]
THIRD_LEVEL = set(
    "ac.jp ac.uk co.id co.il co.in co.jp co.kr co.nz co.th co.uk co.za com.ar com.au com.br com.cn com.hk com.mx com.my com.pl "
    "com.sg com.tr com.tw com.ua com.vn go.jp gov.au gov.br gov.cn gov.uk ne.jp net.au net.br net.cn nhs.uk or.jp org.au "
    "org.br org.uk".split()
)
# Where the name in RDATA that a record points at begins, by type.
TARGETS = {2: 0, 5: 0, 39: 0, 12: 0, 6: 0, 15: 2, 36: 2, 18: 2, 21: 2, 33: 6, 64: 2, 65: 2}


class Redis:
    """As much of Redis' protocol as a reader needs."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self.replies = self.socket.makefile("rb")

    def __call__(self, *words):
        words = [word if isinstance(word, bytes) else str(word).encode() for word in words]
        self.socket.sendall(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words))
        return self.reply()

    def reply(self):
        line = self.replies.readline()
        kind, rest = line[:1], line[1:-2]
        if kind == b"$":
            return self.replies.read(int(rest) + 2)[:-2] if int(rest) >= 0 else None
        if kind == b"*":
            return [self.reply() for _ in range(int(rest))]
        if kind == b":":
            return int(rest)
        if kind == b"-":
            sys.exit(rest.decode())
        return rest

    def hash(self, key):
        words = self("HGETALL", key)
        return dict(zip(words[::2], words[1::2]))

    def set(self, key):
        return {int(member) for member in self("SMEMBERS", key)}


def siphash13(key, data, wide=False):
    """SipHash-1-3: a number of 64 bits, or the 16 octets of its 128-bit variant."""
    k0, k1 = struct.unpack("<QQ", key)
    v = [k0 ^ 0x736F6D6570736575, k1 ^ 0x646F72616E646F6D, k0 ^ 0x6C7967656E657261, k1 ^ 0x7465646279746573]

    def rotated(x, by):
        return (x << by | x >> 64 - by) & MASK

    def rounds(count):
        a, b, c, d = v
        for _ in range(count):
            a, c = (a + b) & MASK, (c + d) & MASK
            b, d = rotated(b, 13) ^ a, rotated(d, 16) ^ c
            a = rotated(a, 32)
            c, a = (c + b) & MASK, (a + d) & MASK
            b, d = rotated(b, 17) ^ c, rotated(d, 21) ^ a
            c = rotated(c, 32)
        v[:] = a, b, c, d

    if wide:
        v[1] ^= 0xEE
    whole = len(data) // 8 * 8
    last = data[whole:] + bytes(7 - len(data) % 8) + bytes([len(data) & 0xFF])
    for (word,) in struct.iter_unpack("<Q", data[:whole] + last):
        v[3] ^= word
        rounds(1)
        v[0] ^= word
    v[2] ^= 0xEE if wide else 0xFF
    rounds(3)
    low = v[0] ^ v[1] ^ v[2] ^ v[3]
    if not wide:
        return low
    v[1] ^= 0xDD
    rounds(3)
    return struct.pack("<QQ", low, v[0] ^ v[1] ^ v[2] ^ v[3])


def labels(text):
    """The labels of a canonical name, as text; a dot behind a backslash is part of one."""
    found, at = [""], 0
    while at < len(text):
        size = 1 if text[at] != "\\" else 4 if text[at + 1].isdigit() else 2
        if text[at] == ".":
            found.append("")
        else:
            found[-1] += text[at : at + size]
        at += size
    return found


def routing_key(text):
    if text == ".":
        return text
    parts = labels(text)
    two = ".".join(parts[-2:])
    count = 3 if two in THIRD_LEVEL else {"in-addr.arpa": 4, "ip6.arpa": 10}.get(two, 2)
    return ".".join(parts[-count:])


def name_from_wire(octets):
    """The canonical text of an uncompressed name, or None."""
    parts, at = [], 0
    while at < len(octets) and octets[at]:
        length = octets[at]
        if length > 63 or at + 1 + length >= len(octets):
            return None
        text = ""
        for octet in octets[at + 1 : at + 1 + length]:
            char = chr(octet).lower()
            if not 0x21 <= octet <= 0x7E:
                char = f"\\{octet:03d}"
            elif char in '."\\;()@$':
                char = "\\" + char
            text += char
        parts.append(text)
        at += 1 + length
    return None if at >= len(octets) or at + 1 > 255 else ".".join(parts) or "."


class Store:
    def __init__(self, redis, prefix):
        self.redis, self.prefix = redis, prefix
        schema = redis.hash(prefix + "schema")
        assert schema[b"v"] == b"5", "this reader knows version 5"
        assert b"mig" not in schema, "a migration is under way"
        self.key, self.partitions = schema[b"sip"], int(schema[b"P"])
        assert 1 <= self.partitions <= 256 and len(self.key) == 16
        self.epoch = siphash13(self.key, b"epoch") + int(schema.get(b"g", 0)) & MASK
        self.sensors = {int(number): name.decode() for name, number in redis.hash(prefix + "sensors").items()}
        self.sets = {}
        self.days = {}
        self.editions = {}

    def partition_of(self, value):
        return (value >> 48) % self.partitions

    def place(self, name):
        """Partition and hash of a name."""
        return self.partition_of(siphash13(self.key, routing_key(name).encode())), siphash13(self.key, name.encode())

    def kind(self, partition, letter):
        """All records, or all negative answers (`n`), of a partition: owner, record key, row."""
        tag = f"{self.prefix}{{{partition:02x}}}"
        meta = self.redis.hash(f"{tag}{letter}m")
        # The edition in use: the first one has no number.
        edition = meta.get(b"x", b"").decode()
        base = tag + letter + edition
        self.editions[partition] = edition
        if not letter:
            assert meta[b"e"] == struct.pack(">Q", self.epoch)
            assert meta[b"i"] == struct.pack(">HH", 5, self.partitions) + self.key
        rows, bits, split, names = (int(meta[field]) for field in (b"r", b"k", b"s", b"n"))
        blocks = [self.redis("GET", f"{base}s{block}") for block in range(-(-rows // ROWS))]
        log = [self.redis("GET", f"{base}l{block}") for block in range(int(meta[b"b"]) + 1)] if names else []
        counts, sets = self.extensions(base, rows)
        days, used, count = {}, set(), 0
        for index in range(2**bits + split):
            for field, value in self.redis.hash(f"{base}b{index}").items():
                count += 1
                (value_hash,), (position, day) = struct.unpack(">Q", field), struct.unpack(">IH", value[:6])
                block, offset = position >> 16, position & 0xFFFF
                end = log[block].index(b"\n", offset)
                name = log[block][offset:end].decode()
                assert self.place(name) == (partition, value_hash), name
                low = value_hash & 0xFFFFFF
                bucket = low % 2**bits
                assert index == (low % 2 ** (bits + 1) if bucket < split else bucket), name
                days[day] = days.get(day, 0) + 1
                for record, number in self.records(base, value_hash, value[6:]):
                    assert number < rows and number not in used, name
                    used.add(number)
                    at = number % ROWS * ROW
                    row = list(struct.unpack(">8I", blocks[number // ROWS][at : at + ROW]))
                    # What the row does not have itself; its sensors become a set.
                    row.append(False)
                    if row[0] == LARGE:
                        row[0], row[8] = counts.pop(number)
                    if row[4] >= HIGH:
                        row[4] -= HIGH
                        row[6] = sets.pop(number) if row[6] == LARGE else {row[6]}
                    else:
                        row[6] = {bit for bit in range(32) if row[6] >> bit & 1}
                    yield name, value_hash, record, row
        assert not counts and not sets, base
        assert count == names and len(used) == rows - int(meta.get(b"z", 0)), base
        stored = {int(day): int(names) for day, names in self.redis.hash(base + "d").items()}
        assert stored == days, base
        if not letter:
            for day, number in days.items():
                self.days[day] = self.days.get(day, 0) + number

    def extensions(self, base, rows):
        """Counts and sets of sensors that rows do not have themselves, by row: count and whether it is a lower bound."""
        counts, sets = {}, {}
        for row, value in self.redis.hash(base + "q").items():
            (count,) = struct.unpack(">Q", value)
            counts[int(row)] = count & HIGH_64 - 1, count >= HIGH_64
        for group in range(-(-rows // 64)):
            for row, value in self.redis.hash(f"{base}g{group}").items():
                assert int(row) // 64 == group
                if value[0] == 0:
                    sets[int(row)] = {number for (number,) in struct.iter_unpack(">H", value[1:])}
                else:
                    assert value[0] == 1
                    bits = int.from_bytes(value[1:], "little")
                    sets[int(row)] = {bit for bit in range(bits.bit_length()) if bits >> bit & 1}
        return counts, sets

    def records(self, base, value_hash, rest):
        """Record keys and row numbers of a name's value."""
        if rest == bytes([WIDE]):
            for record, row in self.redis.hash(f"{base}w{value_hash:016x}").items():
                yield record, int.from_bytes(row, "big")
            return
        while rest:
            length = 18 if rest[1] == 0xFF else rest[1]
            yield rest[: 2 + length], int.from_bytes(rest[2 + length : 6 + length], "big")
            rest = rest[6 + length :]

    def read(self):
        records, negatives = [], []
        for partition in range(self.partitions):
            tag = f"{self.prefix}{{{partition:02x}}}"
            for letter, rows in (("", records), ("n", negatives)):
                for name, value_hash, record, row in self.kind(partition, letter):
                    fact = self.fact(tag + self.editions[partition], record)
                    shown = self.row(name, value_hash, fact["type"], row)
                    if not letter:
                        self.find(partition, value_hash, fact)
                    rows.append({**fact, **shown})
        return records, negatives

    def fact(self, base, record):
        """What a record key stands for; `base` begins the keys of its edition."""
        code, payload = record[0], record[2:]
        if code < NEGATIVE:
            return {"type": code, "octets": payload, "partial": False}
        rrtype = int.from_bytes(payload[:2], "big")
        if code == NEGATIVE:
            return {"type": rrtype, "outcome": int.from_bytes(payload[2:], "big")}
        octets = payload[2:]
        if code in (LONG, LONG_PARTIAL):
            octets = self.redis("HGET", base + "t", payload[2:])
            assert siphash13(self.key, octets, wide=True) == payload[2:]
        else:
            assert code in (PARTIAL, OTHER), code
        return {"type": rrtype, "octets": octets, "partial": code in (LONG_PARTIAL, PARTIAL)}

    def row(self, name, value_hash, rrtype, row):
        count, first, last, ttl_min, ttl_max, ttl_last, sensors, pointer, is_lower_bound = row
        flags, code = pointer >> 24 & 7, pointer >> 27
        assert pointer & 0xFFFFFF == value_hash & 0xFFFFFF, name
        assert code in (0, CODES.index(rrtype) + 1 if rrtype in CODES else 31), name
        assert count > 0 and first <= last, name
        shown = {"rrname": name, "count": count, "time_first": first, "time_last": last}
        if ttl_min != NO_TTL:
            shown |= {"ttl_min": ttl_min, "ttl_max": ttl_max}
        if ttl_last != NO_TTL:
            shown["ttl_last"] = ttl_last
        shown["sensors"] = [self.sensors[number] for number in sorted(sensors)]
        if is_lower_bound:
            shown["count_is_lower_bound"] = True
        shown["inferred"] = flags == INFERRED
        shown["unsolicited"] = flags == UNSOLICITED
        shown["imported"] = flags == 0
        return shown

    def find(self, partition, value_hash, fact):
        """Asserts that the inverse index leads from what a record points at to its owner."""
        octets, rrtype, low = fact["octets"], fact["type"], value_hash & 0xFFFFFF
        name = name_from_wire(octets[TARGETS[rrtype] :]) if rrtype in TARGETS else None
        levels = [(32, 256), (0, 256)]
        if rrtype == 1 and len(octets) == 4:
            key, upper = f"{{4:{octets[:2].hex()}}}", int.from_bytes(octets[2:], "big")
            levels = [(44, 16), (40, 16), (32, 256), (0, 256)]
        elif rrtype == 28 and len(octets) == 16:
            key, upper = f"{{6:{octets[:4].hex()}}}{octets[4:6].hex()}", siphash13(self.key, octets) >> 44
            assert int.from_bytes(octets[:6], "big") in self.members(f"6:{octets[2]:02x}")
        elif name and not (rrtype in (64, 65) and name == "."):
            where, target = self.place(name)
            key, upper = f"{{{where:02x}}}x{target & 0x3FF:03x}", target >> 44
        else:
            target = siphash13(self.key, octets)
            key, upper = f"{{{self.partition_of(target):02x}}}o{target >> 8 & 0x3FF:03x}", target >> 44
        member = upper << 32 | partition << 24 | low
        # A set that was spread holds -1, and its members lie in children.
        while member not in self.members(key):
            assert -1 in self.members(key) and levels, (key, member)
            (shift, ways), *levels = levels
            key += f"{member >> shift & ways - 1:0{1 if ways == 16 else 2}x}"

    def members(self, key):
        if key not in self.sets:
            self.sets[key] = self.redis.set(self.prefix + key)
        return self.sets[key]

    def logs(self):
        for log, state in self.redis.hash(self.prefix + "src").items():
            state = json.loads(state)
            yield {"id": log.hex(), "path": state["path"], "position": state["acknowledged"]}

    def tags(self):
        for field, value in self.redis.hash(self.prefix + "{tags}t").items():
            kind, subject = field.decode().split(" ", 1)
            time, words = value.decode().split(" ", 1)
            subject = subject if subject[0] == "." else subject[1:]
            yield {"kind": kind, "subject": subject, "time": int(time), **json.loads(words)}


def main(path, prefix="pd:"):
    from zeek import OUTCOMES, TYPES

    store = Store(Redis(path), prefix)
    records, negatives = store.read()
    for row in records + negatives:
        rrtype = row.pop("type")
        row["rrtype"] = TYPES.get(rrtype, f"TYPE{rrtype}")
    for row in records:
        octets = row.pop("octets")
        row["rdata"] = f"\\# {len(octets)} {octets.hex()}".rstrip()
    for row in negatives:
        outcome = row["outcome"]
        row["outcome"] = "UNANSWERED" if outcome == 0xFFFF else OUTCOMES.get(outcome, f"RCODE{outcome}")
    everything = {"records": records, "negatives": negatives, "days": store.days}
    json.dump(everything | {"logs": list(store.logs()), "tags": list(store.tags())}, sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
