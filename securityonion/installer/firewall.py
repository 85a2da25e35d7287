"""Firewall: analysts reach the page, sensors reach the store, in the groups that the distribution keeps free.

iptables is rendered by salt from the pillar and replaced as a whole, so a rule made by hand is gone at the next
highstate. The pillar has ten host groups and ten port groups for others; ours go into the first that nobody uses.
"""

import ipaddress

from . import merges
from .errors import Refused
from .host import LOCAL, read
from .plan import Merge, text_of
from .store import PORT
from .yamledit import Document, lookup

PILLAR = LOCAL + "/pillar/firewall/soc_firewall.sls"
MINIONS = LOCAL + "/pillar/minions"
SLOTS = 10


def networks(text, what):
    """Addresses and prefixes as iptables takes them: IPv4, since Security Onion's rules are."""
    out = []
    for word in text.replace(",", " ").split():
        try:
            network = ipaddress.ip_network(word)
        except ValueError as error:
            raise Refused(f"{what}: {word!r} is no address or prefix such as 10.20.0.0/24") from error
        if network.version != 4:
            raise Refused(f"{what}: {word} is IPv6, and Security Onion's firewall is of IPv4 alone")
        out.append(word)
    if not out:
        raise Refused(f"{what}: give addresses or prefixes, such as 10.20.0.0/24")
    return out


def sensor_addresses(data):
    """The sensors that the grid knows already."""
    groups = lookup(data, ["firewall", "hostgroups"]) or {}
    found = []
    for name in ("sensor", "heavynode"):
        for word in groups.get(name) or []:
            if str(word) not in found:
                found.append(str(word))
    return found


def used_slots(host, data):
    """Numbers of slots that any pillar mentions with something in it."""
    texts = []
    folder = host.path(MINIONS)
    for file in sorted(folder.glob("*.sls")) if folder.is_dir() else []:
        texts.append(read(file))
    texts.append(read(host.path(LOCAL + "/pillar/firewall/adv_firewall.sls")))
    used = set()
    for number in range(SLOTS):
        names = (f"customhostgroup{number}", f"customportgroup{number}")
        if any(name in text for text in texts for name in names):
            used.add(number)
        hosts = lookup(data, ["firewall", "hostgroups", names[0]])
        ports = lookup(data, ["firewall", "portgroups", names[1]]) or {}
        roles = lookup(data, ["firewall", "role"]) or {}
        rules = [
            lookup(role, ["chain", chain, "hostgroups", names[0], "portgroups"])
            for role in roles.values()
            for chain in ("INPUT", "DOCKER-USER")
        ]
        if hosts or any(ports.values() if isinstance(ports, dict) else [ports]) or any(rules):
            used.add(number)
    return used


def merge(host, options, state):
    """The change to the firewall's pillar, or None when nobody is to be let in."""
    name = PILLAR
    text = text_of(host.root, PILLAR)
    note = state.merges.get(PILLAR)
    ours = note["undo"] if note else []
    # Our own entries of an earlier run are not somebody else's.
    bare = merges.undo(text, name, ours) if ours else text
    data = Document(bare, name).data
    rules = []
    if options.analysts:
        rules.append((networks(options.analysts, "--analysts"), options.port))
    if options.sensors:
        wanted = sensor_addresses(data) if options.sensors == "auto" else networks(options.sensors, "--sensors")
        if wanted:
            rules.append((wanted, PORT))
    if not rules:
        return None
    used = used_slots(host, data)
    free = [number for number in range(SLOTS) if number not in used]
    if len(free) < len(rules):
        raise Refused(
            f"{PILLAR} has {len(free)} custom groups left and {len(rules)} are needed: free some, or let analysts in by "
            "hand and install without --analysts and --sensors"
        )
    pairs = []
    for (addresses, port), slot in zip(rules, free):
        host_group, port_group = f"customhostgroup{slot}", f"customportgroup{slot}"
        chain = ["firewall", "role", host.role, "chain", "INPUT", "hostgroups", host_group, "portgroups"]
        pairs.append((["firewall", "hostgroups", host_group], addresses))
        pairs.append((["firewall", "portgroups", port_group], {"tcp": [str(port)], "udp": []}))
        pairs.append((chain, [port_group]))

    def apply(current):
        out = merges.set_keys(bare if current == text else merges.undo(current, name, ours), name, pairs)
        # The same entries in another layout are no reason to write.
        return current if Document(out, name).data == Document(current, name).data else out

    return Merge(PILLAR, "let analysts and sensors in with", apply, merges.set_steps(data, pairs))
