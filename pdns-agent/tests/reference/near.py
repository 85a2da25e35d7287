#!/usr/bin/env python3
"""Nearness and relations with plain dictionaries over all records.

    near.py < QUESTIONS

reads {"rows": [...], "tags": [...], "most": N, "questions": [...]}, all records as `pdns find --format json` has
them and all tags as `pdns tag list --format json` has them, and prints the answers in the order of the questions: of
{"near": ADDRESS, "kind": KIND or null} all tagged addresses by distance; of {"contrast": SUBJECT or null, "parked":
PATH or null} all neighbours with their relations, how many values are shared by more than N names, and how many are left
out as local or listed in the file at PATH. A subject is text as it is shown: `.example.com` is the name and all names below
it.
"""

import functools
import ipaddress
import json
import math
import sys
from collections import defaultdict

from suffixes import registrable as registrable_labels


@functools.cache
def split(name):
    """The labels of canonical text, each as its text and as its octets."""
    if name == ".":
        return []
    labels, text, octets, at = [], "", b"", 0
    while at < len(name):
        if name[at] == "\\" and name[at + 1].isdigit():
            text, octets, at = text + name[at : at + 4], octets + bytes([int(name[at + 1 : at + 4])]), at + 4
        elif name[at] == "\\":
            text, octets, at = text + name[at : at + 2], octets + name[at + 1].encode(), at + 2
        elif name[at] == ".":
            labels.append((text, octets))
            text, octets, at = "", b"", at + 1
        else:
            text, octets, at = text + name[at], octets + name[at].encode(), at + 1
    return [*labels, (text, octets)]


def below(name, apex):
    """Whether a name is `apex` or lies below it."""
    ours, theirs = split(name), split(apex)
    return len(ours) >= len(theirs) and ours[len(ours) - len(theirs) :] == theirs


@functools.cache
def registrable(name):
    labels = split(name)
    found = registrable_labels([octets for _, octets in labels])
    if found is None:
        return None
    return ".".join(text for text, _ in labels[len(labels) - len(found) :])


class Subject:
    """What a tag is on: a name, a name with all below it, or a prefix."""

    def __init__(self, shown):
        self.shown = shown
        self.net = self.name = self.apex = None
        try:
            self.net = ipaddress.ip_network(shown)
        except ValueError:
            if shown.startswith(".") and shown != ".":
                self.apex = shown[1:]
            else:
                self.name = shown.removeprefix("\\") if shown.startswith("\\*") else shown

    def order(self):
        """Names before domains before prefixes, IPv4 before IPv6."""
        if self.name is not None:
            return (0, self.name)
        if self.apex is not None:
            return (1, self.apex)
        return (2, self.net.version, int(self.net.network_address), self.net.prefixlen)

    def holds_name(self, name):
        return name == self.name or (self.apex is not None and below(name, self.apex))

    def holds_address(self, address):
        return self.net is not None and self.net.version == address.version and address in self.net

    def closeness(self):
        """How near the subject of a tag is to what it holds: the greater the nearer."""
        if self.name is not None:
            return 1000
        return len(split(self.apex)) if self.apex is not None else self.net.prefixlen


def show_net(net):
    return str(net.network_address) if net.prefixlen == net.max_prefixlen else str(net)


def around(address):
    return ipaddress.ip_network((address, 24 if address.version == 4 else 48), strict=False)


def coordinates(address):
    octets = address.packed
    width = 1 if address.version == 4 else 2
    return [int.from_bytes(octets[at : at + width], "big") for at in range(0, len(octets), width)]


def shared_bits(one, other):
    return one.max_prefixlen - (int(one) ^ int(other)).bit_length()


def without(nets, net):
    """What is left of disjoint prefixes without one of them or a part of one."""
    left = []
    for known in nets:
        if known == net or known.subnet_of(net):
            continue
        left += known.address_exclude(net) if net.subnet_of(known) else [known]
    return left


def in_effect(tag, tags):
    """The parts of a tagged prefix on which no nearer tag says the opposite."""
    net = tag["on"].net
    nets, opposite = [net], {"threat": "trust", "trust": "threat"}.get(tag["kind"])
    if opposite is None:
        return nets
    nearer = [
        (other["on"].net, other["kind"])
        for other in tags
        if other["kind"] in (opposite, tag["kind"])
        and other["on"].net is not None
        and other["on"].net.version == net.version
        and other["on"].net.prefixlen > net.prefixlen
        and other["on"].net.subnet_of(net)
    ]
    for inner, kind in sorted(nearer, key=lambda each: each[0].prefixlen):
        nets = without(nets, inner)
        if kind == tag["kind"]:
            nets.append(inner)
    return nets


def nearest_in(address, net):
    # Each coordinate on its own: of the values it takes in the prefix, the one that is nearest.
    lows, highs = coordinates(net.network_address), coordinates(net.broadcast_address)
    point = [min(max(at, low), high) for at, low, high in zip(coordinates(address), lows, highs, strict=True)]
    width = 8 if address.version == 4 else 16
    number = 0
    for at in point:
        number = number << width | at
    there = type(address)(number)
    square = sum((a - b) ** 2 for a, b in zip(coordinates(address), point, strict=True))
    return square, -shared_bits(address, there), there


def near(tags, question):
    address = ipaddress.ip_address(question["near"])
    found = []
    for tag in tags:
        net = tag["on"].net
        if net is None or net.version != address.version or question["kind"] not in (None, tag["kind"]):
            continue
        parts = [nearest_in(address, part) for part in in_effect(tag, tags)]
        if not parts:
            continue
        square, bits, there = min(parts)
        rank = (square, bits, tag["on"].order(), ("threat", "interest", "trust").index(tag["kind"]))
        found.append((rank, [tag["subject"], tag["kind"], str(there), f"{math.sqrt(square):.4f}", -bits]))
    return [line for _, line in sorted(found)]


class World:
    def __init__(self, rows, tags):
        self.tags = tags
        self.names = {row["rrname"] for row in rows}
        self.on_address, self.pointing = defaultdict(set), defaultdict(set)
        self.addresses, self.targets = defaultdict(set), defaultdict(set)
        for row in rows:
            name, rrtype, rdata = row["rrname"], row["rrtype"], row["rdata"]
            if rrtype in ("A", "AAAA"):
                address = ipaddress.ip_address(rdata)
                self.on_address[address].add(name)
                self.addresses[name].add(address)
            elif rrtype in ("NS", "CNAME"):
                self.pointing[rrtype, rdata].add(name)
                self.targets[rrtype, name].add(rdata)
        self.domains = {name: registrable(name) for name in self.names}

    def tags_of_name(self, name):
        return [tag for tag in self.tags if tag["on"].holds_name(name)]

    def tags_of_address(self, address):
        return [tag for tag in self.tags if tag["on"].holds_address(address)]

    def is_trusted(self, address):
        tags = [tag for tag in self.tags_of_address(address) if tag["kind"] != "interest"]
        nearest = max(tags, key=lambda tag: tag["on"].closeness(), default=None)
        return nearest is not None and nearest["kind"] == "trust"

    def threat_of(self, name):
        """The threat that a name is part of: the nearest tag that says threat or trust must say threat."""
        tags = [tag for tag in self.tags_of_name(name) if tag["kind"] != "interest"]
        nearest = max(tags, key=lambda tag: tag["on"].closeness(), default=None)
        return nearest["on"] if nearest and nearest["kind"] == "threat" else None


LOCAL = [
    ipaddress.ip_network(net)
    for net in (
        "0.0.0.0/8", "127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16",
        "::/128", "::1/128", "fc00::/7", "fec0::/10", "fe80::/10",
    )
]  # fmt: skip


class Parked:
    """What relates nothing: local addresses, and the addresses and hosts of a list."""

    def __init__(self, path):
        self.nets, self.hosts = list(LOCAL) if path else [], []
        for line in open(path, encoding="ascii") if path else []:
            entry = line.split("#")[0].strip()
            try:
                self.nets.append(ipaddress.ip_network(entry))
            except ValueError:
                self.hosts += [entry] if entry else []
        self.met = set()

    def has_address(self, address):
        address = getattr(address, "ipv4_mapped", None) or address
        return any(net.version == address.version and address in net for net in self.nets)

    def address(self, address):
        """Whether it relates nothing; then it is counted."""
        found = self.has_address(address)
        self.met |= {str(address)} if found else set()
        return found

    def host(self, name):
        found = any(below(name, host) for host in self.hosts)
        self.met |= {name} if found else set()
        return found


def contrast(world, question, most):
    parked = Parked(question["parked"])
    if question["contrast"] is None:
        threats = [tag["on"] for tag in world.tags if tag["kind"] == "threat"]
        threat_of, one = world.threat_of, None
    else:
        one = Subject(question["contrast"])
        threats = [one]
        threat_of = lambda name: one if one.holds_name(name) else None  # noqa: E731

    values = defaultdict(dict)

    def add(kind, over, threat):
        values[kind, over][threat.shown] = threat

    def add_address(address, threat):
        add("address", ipaddress.ip_network(address), threat)
        add("prefix", around(address), threat)

    def take(name, threat):
        """The addresses of a name, and those at the end of its CNAMEs, up to 16 of them one after the other."""
        due, known = {name}, set()
        for _ in range(17):
            targets = set()
            for one in due - known:
                for address in world.addresses[one]:
                    if not parked.address(address):
                        add_address(address, threat)
                for target in world.targets["CNAME", one]:
                    if not parked.host(target):
                        add("cname", target, threat)
                        targets.add(target)
            known |= due
            due = targets

    names = set()
    for threat in threats:
        if threat.net is None:
            names.add(threat.name if threat.name is not None else threat.apex)
            names |= {name for name in world.names if threat.holds_name(name)}
        elif threat.net.prefixlen == threat.net.max_prefixlen:
            add_address(threat.net.network_address, threat)
        else:
            add("prefix", threat.net, threat)
            if threat.net.prefixlen > around(threat.net.network_address).prefixlen:
                add("prefix", around(threat.net.network_address), threat)
    for name in names:
        threat = threat_of(name)
        if threat is None:
            continue
        add("cname", name, threat)
        take(name, threat)
        for target in world.targets["NS", name]:
            if not parked.host(target):
                add("nameserver", target, threat)
        domain = registrable(name)
        if domain is not None:
            add("domain", domain, threat)
            for target in world.targets["NS", domain]:
                if not parked.host(target):
                    add("nameserver", target, threat)

    found, common = defaultdict(list), 0
    for (kind, over), those in values.items():
        if kind in ("address", "prefix"):
            all_parked = parked.has_address(over.network_address)
            on = {
                address: names
                for address, names in world.on_address.items()
                if address in over
                and (
                    kind == "address"
                    or not (world.is_trusted(address) or (not all_parked and parked.has_address(address)))
                )
            }
            sharers = set().union(*on.values())
            candidates = {}
            for address, owners in on.items():
                # Who has the very address of a threat is tied by that.
                if kind == "prefix" and ("address", ipaddress.ip_network(address)) in values:
                    continue
                candidates[str(address)] = address
                candidates |= {name: None for name in owners}
            if kind == "address":
                candidates[str(over.network_address)] = over.network_address
        elif kind == "domain":
            sharers = {name for name in world.names if world.domains[name] == over or name == over}
            candidates = dict.fromkeys(sharers)
        else:
            sharers = world.pointing["NS" if kind == "nameserver" else "CNAME", over]
            candidates = dict.fromkeys(sharers)
        if len(sharers) > most:
            common += 1
            continue
        threat = min(those.values(), key=Subject.order)
        shown = show_net(over) if kind in ("address", "prefix") else ("." if kind == "domain" else "") + over
        for candidate, address in candidates.items():
            tagged = world.tags_of_name(candidate) if address is None else world.tags_of_address(address)
            part = one and (one.holds_name(candidate) if address is None else one.holds_address(address))
            if not tagged and not part:
                count = max(len(sharers), 1)
                found[candidate].append([count, kind, shown, threat.shown, len(those)])
    return [{candidate: sorted(relations) for candidate, relations in found.items()}, common, len(parked.met)]


def main():
    asked = json.load(sys.stdin)
    tags = [{**tag, "on": Subject(tag["subject"])} for tag in asked["tags"]]
    world = World(asked["rows"], tags)
    answers = [
        near(tags, question) if "near" in question else contrast(world, question, asked["most"])
        for question in asked["questions"]
    ]
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    main()
