"""What tshark finds in a capture: DNS messages, each with the records that tshark's dissector lists.

tshark puts fragments and streams together, unwraps tunnels and finds the messages. Nothing is read twice
here: the octets of a message are those that tshark shows for it.
"""

import json
import lzma
import os
import subprocess
import tempfile
from dataclasses import dataclass, field
from decimal import Decimal

PREFERENCES = (
    "ip.defragment:TRUE", "ipv6.defragment:TRUE", "tcp.desegment_tcp_streams:TRUE",
    "tcp.reassemble_out_of_order:TRUE", "dns.desegment_dns_messages:TRUE", "ip.check_checksum:FALSE",
    "tcp.check_checksum:FALSE", "udp.check_checksum:FALSE",
)  # fmt: skip
# Dissectors of DNS messages.
MESSAGES = ("dns", "mdns", "llmnr")
# What may stand around a DNS message; everything else (ICMP errors, GTP, ...) is refused.
AROUND = {
    "frame", "eth", "vlan", "ieee8021ad", "null", "sll", "raw", "ppp", "fddi", "llc", "ip", "ipv6", "ah", "gre", "erspan",
    "vxlan", "geneve", "udp", "tcp", "tcp.segments", "hip", "shim6", "mipv6", "data", "ipv6.hopopts", "ipv6.routing",
    "ipv6.dstopts", "ipv6.fraghdr", "mpls", "pppoes", "pwethheuristic", "pwethcw", "pwethnocw",
}  # fmt: skip
SECTIONS = {"Queries": 0, "Answers": 1, "Authoritative nameservers": 2, "Additional records": 3}


class Node(list):
    """A JSON object that keeps every field, also those of the same name: [(name, value)]."""

    def all(self, name):
        return [value for key, value in self if key == name]

    def get(self, name, default=None):
        return next((value for key, value in self if key == name), default)


@dataclass
class Listed:
    """A record, or a question, as tshark lists it: offset in the message, and what tshark reads there."""

    section: int
    at: int
    owner: str
    type: int | None
    cls: int | None
    ttl: int | None
    length: int | None


@dataclass
class Sighting:
    """One DNS message."""

    frame: int
    at: int  # nanoseconds since the epoch
    transport: str
    source: tuple
    target: tuple
    octets: bytes
    listed: list[Listed] = field(default_factory=list)
    is_cut: bool = False  # the capture has only the first octets of the message


def dissect(path, ports, notes):
    """Yields (frame number, time, [Sighting]) for each packet. `notes` takes a sentence for each oddity."""
    with tempfile.TemporaryDirectory() as folder:
        if open(path, "rb").read(6) == b"\xfd7zXZ\x00":
            plain = os.path.join(folder, "capture")
            with lzma.open(path) as packed, open(plain, "wb") as out:
                out.write(packed.read())
            path = plain
        command = ["tshark", "-n", "-r", path, "-T", "json", "-x"]
        for preference in PREFERENCES:
            command += ["-o", preference]
        for port in ports:
            if port not in (53, 5353, 5355):
                command += ["-d", f"udp.port=={port},dns", "-d", f"tcp.port=={port},dns"]
        done = subprocess.run(command, capture_output=True, env={"PATH": os.environ["PATH"], "HOME": folder})
    if done.returncode and not done.stdout:
        raise SystemExit(done.stderr.decode())
    complaint = [line for line in done.stderr.decode().splitlines() if not line.startswith("Running as user")]
    if complaint:
        notes.append(f"tshark says: {' '.join(complaint).replace(path, 'the file')}")
    delivered = set()
    for number, packet in enumerate(json.loads(done.stdout or b"[]", object_pairs_hook=Node), 1):
        layers = packet.get("_source").get("layers")
        at = int(Decimal(layers.get("frame").get("frame.time_epoch")) * 10**9)
        yield number, at, list(messages(number, at, layers, ports, delivered, notes))


def messages(number, at, layers, ports, delivered, notes):
    ip = transport = None
    names, found = [], False
    for key, value in layers:
        if key.endswith("_raw"):
            continue
        if key in ("ip", "ipv6"):
            ip, transport = value, None
        elif key in ("udp", "tcp"):
            transport = (key, value)
        if key not in MESSAGES:
            names.append(key)
            continue
        if ip is None or transport is None:
            notes.append(f"frame {number}: {key} without addresses")
            continue
        kind, header = transport
        source_port, target_port = (int(header.get(f"{kind}.{side}port")) for side in ("src", "dst"))
        if not {source_port, target_port} & set(ports):
            continue
        found = True
        around = [name for name in names if name not in AROUND and not name.startswith("_ws")]
        if around:
            notes.append(f"frame {number}: refused, it is carried in {' '.join(around)}")
            continue
        family = "ip" if ip.get("ip.src") else "ipv6"
        source, target = (
            (ip.get(f"{family}.{side}"), port) for side, port in (("src", source_port), ("dst", target_port))
        )
        octets, start = own_octets(layers, key, value)
        if kind == "tcp":
            # A message behind its length, which tshark counts to it.
            length = int(value.get("dns.length") or -1)
            octets, start = octets[2:], start + 2
            if length != len(octets):
                notes.append(f"frame {number}: {len(octets)} of {length} octets of a message")
                continue
            if header.get("tcp.analysis") and is_repeated(header, value, delivered, octets):
                notes.append(f"frame {number}: tshark shows a message of a retransmitted segment again")
                continue
        elif int(header.get("udp.length")) != len(octets) + 8:
            length = int(header.get("udp.length")) - 8
            notes.append(f"frame {number}: {len(octets)} of {length} octets of a message")
            frame = layers.get("frame")
            if int(frame.get("frame.cap_len")) < int(frame.get("frame.len")):
                yield Sighting(number, at, kind, source, target, octets, is_cut=True)
            continue
        sighting = Sighting(number, at, kind, source, target, octets)
        sighting.listed = list(listed(value, start))
        yield sighting
    if not found and transport and transport[0] == "udp":
        kind, header = transport
        if {int(header.get(f"udp.{side}port")) for side in ("src", "dst")} & set(ports):
            notes.append(f"frame {number}: no DNS for tshark, but {layers[-1][0]}")


def own_octets(layers, key, value):
    """The octets of one of several messages in a packet: those that stand right before it."""
    before = None
    for name, other in layers:
        if other is value:
            return bytes.fromhex(before[0]), before[1]
        if name == key + "_raw":
            before = other
    raise AssertionError("a layer without octets")


def is_repeated(header, value, delivered, octets):
    flags = header.get("tcp.analysis").get("tcp.analysis.flags") or Node()
    again = any("retransmission" in str(name) for name, _ in flags)
    identity = (header.get("tcp.stream"), header.get("tcp.srcport"), octets)
    known = identity in delivered
    delivered.add(identity)
    return again and known


def listed(message, start):
    """The questions and records that tshark lists, in order."""
    for title, section in SECTIONS.items():
        for part in message.all(title):
            for label, record in part:
                if label.endswith("_raw") or not isinstance(record, Node):
                    continue
                prefix = "dns.resp" if section else "dns.qry"
                owner = record.get(f"{prefix}.name")
                if owner is None:
                    # The owner of an SRV record is shown in its parts.
                    parts = ("dns.srv.service", "dns.srv.proto", "dns.srv.name")
                    owner = ".".join(record.get(name) for name in parts if record.get(name))
                number = lambda name: int(record.get(name), 0) if record.get(name) else None  # noqa: E731
                yield Listed(
                    section,
                    next(value[1] for name, value in record if name.endswith("_raw")) - start,
                    owner,
                    number(f"{prefix}.type"),
                    number(f"{prefix}.class") or number("dns.rr.udp_payload_size"),
                    number("dns.resp.ttl"),
                    number("dns.resp.len"),
                )
