#!/usr/bin/env python3
"""Independent reference: questions about Zeek DNS logs, made up at random, and their answers.

    questions.py SEED COUNT LOG...

reads the logs as zeek.py does and answers with plain loops over dictionaries. Prints one JSON array of

    {args: [what is typed after `pdns`], kind: rows|groups|days, all: [...], limit: n, exact: bool}

`all` is the whole answer in order. A row is {row: {rrname, rrtype, rdata or outcome}, place: [...]}: rows with the same
place may come in any order. A group or day is the object that `--format json` shows. `limit` 0 is none.
"""

import ipaddress
import json
import random
import re
import sys
from collections import Counter, defaultdict

import suffixes
import zeek

DAY = 86400
NO_TTL = 2**32 - 1


# --- the logs ---------------------------------------------------------------------------------


def as_typed(name):
    """A name as it is typed: octets that could be taken for something else are escaped, as is the first of nothing but numbers, or a lone -."""
    if name == "-" or name.replace(".", "").isdigit():
        return f"\\{ord(name[0]):03}{name[1:]}"
    octets = re.findall(r"\\[0-9]{3}|\\.|.", name)
    is_plain = re.compile(r"\\.*|[-_.A-Za-z0-9]").fullmatch
    return "".join(octet if is_plain(octet) else f"\\{ord(octet):03}" for octet in octets)


def load(paths):
    records, negatives = {}, {}
    lines = dict.fromkeys(("total", "counted", "directive", "blank", "other"), 0)
    lines |= {"filtered": Counter(), "rejected": Counter()}
    for path in paths:
        zeek.read(path, {"baseline": False, "keep_multicast": False}, records, negatives, lines, Counter())
    rows = []
    for (rrname, rrtype, rdata, partial), seen in records.items():
        rows.append({"rrname": rrname, "rrtype": rrtype, "rdata": rdata, "partial": partial} | zeek.shown(seen))
    for (rrname, rrtype, outcome), seen in negatives.items():
        rows.append({"rrname": rrname, "rrtype": rrtype, "outcome": outcome} | zeek.shown(seen))
    for row in rows:
        row["units"] = units(row["rrname"])
    return rows


def units(name):
    """A name as its octets and its dots, each as it is shown."""
    return re.findall(r"\\\d{3}|\\.|.", name)


def labels(name):
    found = [[]]
    for unit in units(name) if name != "." else []:
        if unit == ".":
            found.append([])
        else:
            found[-1].append(unit)
    return ["".join(label) for label in found] if name != "." else []


def octets(label):
    out = b""
    for unit in units(label):
        if len(unit) == 4:
            out += bytes([int(unit[1:])])
        else:
            out += unit[-1].encode()
    return out


def domain(name):
    parts = labels(name)
    found = suffixes.registrable(tuple(octets(label) for label in parts))
    return ".".join(parts[-len(found) :]) if found else name


def type_number(rrtype):
    return zeek.TYPE_NUMBERS.get(rrtype) or int(rrtype.removeprefix("TYPE"))


def is_record(row):
    return "rdata" in row


def address(row):
    return ipaddress.ip_address(row["rdata"]) if is_record(row) and row["rrtype"] in ("A", "AAAA") else None


def target(row):
    """The name that a record points at."""
    if not is_record(row):
        return None
    if row["rrtype"] in ("NS", "CNAME", "DNAME", "PTR"):
        return row["rdata"]
    if row["rrtype"] == "SOA":
        return row["rdata"].split(" ")[0]
    if row["rrtype"] == "MX":
        return row["rdata"].split(" ")[1]
    if row["rrtype"] == "SRV":
        return row["rdata"].split(" ")[3]
    return None


# --- conditions -------------------------------------------------------------------------------


def fences(rng, rows, args, with_types=True, chance=0.25):
    """Some conditions: what is typed goes to `args`, what is meant comes back."""
    tests = []

    def time(part):
        at = rng.choice(rows)[part] + rng.choice((-DAY, -1, 0, 0, 1, DAY))
        # Fewer digits are no seconds to a person, and later than 2106 is no time.
        return min(max(at, 10**8), 2**32 - 2)

    for flag, part, holds in (
        ("--first-after", "time_first", lambda row, at: row["time_first"] >= at),
        ("--first-before", "time_first", lambda row, at: row["time_first"] < at),
        ("--last-after", "time_last", lambda row, at: row["time_last"] >= at),
        ("--last-before", "time_last", lambda row, at: row["time_last"] < at),
    ):
        if rng.random() < chance / 2:
            at = time(part)
            args += [flag, str(at)]
            tests.append(lambda row, at=at, holds=holds: holds(row, at))
    if rng.random() < chance:
        start, end = sorted((time("time_first"), time("time_last")))
        args += ["--seen-in", f"{start}..{end}"]
        tests.append(lambda row: row["time_first"] <= end and row["time_last"] >= start)
    if with_types and rng.random() < chance:
        types = {rng.choice(rows)["rrtype"] for _ in range(2)}
        args += ["--rrtype", ",".join(sorted(types))]
        tests.append(lambda row: row["rrtype"] in types)
    return lambda row: all(test(row) for test in tests)


def ttl_tests(rng, rows, args):
    tests = []
    known = [row for row in rows if "ttl_max" in row]
    for flag, holds in (
        ("--ttl", lambda row, ttl: ttl in (row["ttl_min"], row["ttl_max"], row.get("ttl_last"))),
        ("--ttl-min", lambda row, ttl: row["ttl_max"] >= ttl),
        ("--ttl-max", lambda row, ttl: row["ttl_max"] <= ttl),
    ):
        if known and rng.random() < 0.15:
            ttl = rng.choice(known)["ttl_max"]
            args += [flag, str(ttl)]
            tests.append(lambda row, ttl=ttl, holds=holds: "ttl_max" in row and holds(row, ttl))
    return lambda row: all(test(row) for test in tests)


RANKS = {
    "count": lambda row: -row["count"],
    "first": lambda row: -row["time_first"],
    "last": lambda row: -row["time_last"],
    "name": lambda row: 0,
    "ttl": lambda row: row.get("ttl_max", NO_TTL),
}


def sort_of(rng, args, orders=("count", "first", "last", "name", "ttl")):
    if rng.random() < 0.5:
        order = rng.choice(orders)
        args += ["--sort", order]
        return order
    return None


def limit_of(rng, args, usual):
    limit = rng.choice((None, 0, 1, 3, 10, 100))
    if limit is not None:
        args += ["--limit", str(limit)]
    return usual if limit is None else limit


def sections(parts, order, limit, args, exact=True):
    """Rows in sections, each sorted; `exact` when ties go by name before any limit."""
    found = []
    for number, rows in enumerate(parts):
        for row in rows:
            place = [number, RANKS[order](row)] + ([row["rrname"]] if exact else [])
            keys = [key for key in ("rrname", "rrtype", "rdata", "outcome", "partial") if key in row]
            found.append({"row": {key: row[key] for key in keys}, "place": place})
            if "why" in row:
                found[-1]["row"]["why"] = row["why"]
    found.sort(key=lambda entry: entry["place"])
    return {"args": args, "kind": "rows", "all": found, "limit": limit, "exact": exact}


# --- rows -------------------------------------------------------------------------------------


def typed_subject(rng, rows):
    """A subject that the logs know: what is typed, and which name or addresses are meant."""
    row = rng.choice(rows)
    found = address(row)
    if found is None or rng.random() < 0.5:
        name = target(row) if target(row) and rng.random() < 0.5 else row["rrname"]
        return as_typed(name), name, None
    form = rng.choice(("one", "prefix", "range"))
    if form == "one":
        return str(found), None, (found, found)
    if form == "prefix":
        length = rng.randint(12 if found.version == 4 else 16, found.max_prefixlen)
        net = ipaddress.ip_network((found, length), strict=False)
        return str(net), None, (net[0], net[-1])
    last = min(int(found) + rng.randint(0, 2**16), 2**found.max_prefixlen - 1)
    return f"{found}-{type(found)(last)}", None, (found, type(found)(last))


def as_ipv4(at):
    return getattr(at, "ipv4_mapped", None) or at


def look_up_parts(rows, name, span, negative):
    if name is None:
        # IPv4 addresses are found in their IPv6 form, too.
        low, high = (as_ipv4(at) for at in span)
        found = [(row, as_ipv4(at)) for row in rows if (at := address(row))]
        return [[row for row, at in found if at.version == low.version and low <= at <= high]]
    own = [row for row in rows if is_record(row) and row["rrname"] == name]
    pointing = [row for row in rows if target(row) == name and row["rrname"] != name]
    failed = [row for row in rows if not is_record(row) and row["rrname"] == name]
    return [own, pointing, failed if negative else []]


def ask_look_up(rng, rows):
    typed, name, span = typed_subject(rng, rows)
    args = [typed]
    negative = rng.random() < 0.5
    if negative:
        args.append("--negative")
    passes = fences(rng, rows, args)
    order, limit = sort_of(rng, args) or "last", limit_of(rng, args, 1000)
    parts = [[row for row in part if passes(row)] for part in look_up_parts(rows, name, span, negative)]
    return sections(parts, order, limit, args)


def ask_follow(rng, rows):
    typed, name, span = typed_subject(rng, [row for row in rows if row["rrtype"] in ("CNAME", "A")] or rows)
    args = [typed, "--follow"]
    passes = fences(rng, rows, args, chance=0.1)
    parts = look_up_parts(rows, name, span, False)
    cname = [row for row in rows if is_record(row) and row["rrtype"] == "CNAME"]
    done = {id(row) for part in parts for row in part}

    def fresh(found):
        found = [row for row in found if id(row) not in done]
        done.update(id(row) for row in found)
        return found

    if name is not None:
        met, due = {name}, {row["rdata"] for row in cname if row["rrname"] == name} - {name}
        while due and len(parts) < 30:
            met |= due
            found = [row for row in rows if row["rrname"] in due and (row in cname or address(row))]
            parts.append(fresh(found))
            due = {row["rdata"] for row in found if row["rrtype"] == "CNAME"} - met
        due = {row["rrname"] for row in cname if row["rdata"] == name} - {name}
        met = {name} | due
    else:
        due = met = {row["rrname"] for row in parts[0]}
    while due and len(parts) < 60:
        found = [row for row in cname if row["rdata"] in due]
        parts.append(fresh(found))
        due = {row["rrname"] for row in found} - met
        met |= due
    # Which step a row belongs to is the program's own matter, where steps meet.
    limit = 0
    args += ["--limit", "0"]
    rows = [row for part in parts for row in part if passes(row)]
    answer = sections([rows], "name", limit, args, exact=False)
    for entry in answer["all"]:
        entry["place"] = []
    return answer


def glob_matches(pattern, text):
    """Whether units match a glob of `*`, `?` and plain units."""
    if not pattern:
        return not text
    if pattern[0] == "*":
        return any(glob_matches(pattern[1:], text[at:]) for at in range(len(text) + 1))
    if not text:
        return False
    fits = text[0] != "." if pattern[0] == "?" else pattern[0] == text[0]
    return fits and glob_matches(pattern[1:], text[1:])


def has(text, piece):
    return any(text[at : at + len(piece)] == piece for at in range(len(text) - len(piece) + 1))


def escaped(piece):
    """Units as one may type them in a glob."""
    return "".join("\\" + unit if unit in "*?[]" else unit for unit in piece)


def ask_find(rng, rows):
    args, tests = ["find"], []
    name = units(rng.choice(rows)["rrname"])
    start = rng.randrange(len(name))
    piece = name[start : start + rng.randint(1, 5)]
    for _ in range(rng.choice((0, 1, 1, 1, 2))):
        form = rng.choice(("starts", "ends", "contains", "glob", "regex"))
        if f"--{form}" in args:
            continue
        if form == "starts":
            head = name[: rng.randint(1, len(name))]
            args += ["--starts", "".join(head)]
            tests.append(lambda row, head=head: row["units"][: len(head)] == head)
        elif form == "ends":
            tail = name[rng.randrange(len(name)) :]
            if tail == ["."]:
                continue
            args += ["--ends", "".join(tail)]
            tests.append(lambda row, tail=tail: row["units"][-len(tail) :] == tail)
        elif form == "contains":
            args += ["--contains", "".join(piece)]
            tests.append(lambda row: has(row["units"], piece))
        elif form == "glob":
            globs = rng.choice(
                (["*", *piece, "*"], [*name[: start + 1], "*"], ["*", *name[start:]], ["*", "?", *name[start:]])
            )
            if globs[-1] == ".":
                continue
            args += ["--glob", "".join(unit if unit in "*?" and at in (0, 1, len(globs) - 1) else escaped([unit]) for at, unit in enumerate(globs))]
            wild = [unit if at in (0, 1, len(globs) - 1) else unit for at, unit in enumerate(globs)]
            if any(unit in "*?" for unit in name):
                args = args[:-2]
                continue
            tests.append(lambda row, wild=wild: glob_matches(wild, row["units"]))
        else:
            source = rng.choice(
                (
                    "^" + re.escape("".join(name[:3])),
                    re.escape("".join(name[-4:])) + "$",
                    r"^[a-z]+\d+\.",
                    r"(^|\.)[^.]{3,5}\.[^.]{2,3}$",
                    r"[^a-m]{4}",
                    r"^\w+\W\w+$",
                    r"(a|e)[^x]*(o|u)\b",
                )
            )
            args += ["--regex", source]
            expression = re.compile(source, re.IGNORECASE | re.ASCII)
            tests.append(lambda row, expression=expression: expression.search(row["rrname"]))
    by_ttl = ttl_tests(rng, rows, args)
    passes = fences(rng, rows, args)
    order, limit = sort_of(rng, args), limit_of(rng, args, 1000)
    found = [
        row
        for row in rows
        if is_record(row) and passes(row) and by_ttl(row) and all(test(row) for test in tests)
    ]
    # Of equals a scan shows any, where not all fit.
    exact = bool(tests) or order == "name"
    return sections([found], order or ("name" if tests else "last"), limit, args, exact)


def ask_records(rng, rows):
    args = ["top"]
    passes = fences(rng, rows, args)
    limit = limit_of(rng, args, 20)
    found = [row for row in rows if is_record(row) and passes(row)]
    return sections([found], "count", limit, args, exact=False)


def ask_unanswered(rng, rows):
    outcome = rng.choice(("unanswered", "nxdomain", "servfail", "nodata", "any"))
    args = ["unanswered", "--outcome", outcome]
    passes = fences(rng, rows, args)
    order = sort_of(rng, args, ("count", "first", "last")) or "count"
    limit = limit_of(rng, args, 20)
    found = [
        row
        for row in rows
        if not is_record(row) and passes(row) and (outcome == "any" or row["outcome"].lower() == outcome)
    ]
    return sections([found], order, limit, args, exact=False)


LOCAL = {
    "unspecified": ("0.0.0.0/8", "::/128"),
    "loopback": ("127.0.0.0/8", "::1/128"),
    "private": ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7", "fec0::/10"),
    "shared": ("100.64.0.0/10",),
    "link-local": ("169.254.0.0/16", "fe80::/10"),
    "documentation": (
        "192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "198.18.0.0/15", "2001:db8::/32", "3fff::/20",
        "2001:2::/48",
    ),
}  # fmt: skip


def ask_parked(rng, rows):
    kinds = [*LOCAL, "parking-name-server"]
    args = ["parked"]
    if rng.random() < 0.5:
        kinds = sorted(rng.sample(kinds, 2), key=kinds.index)
    args += ["--kind", ",".join(kinds)]
    servers = {domain(target(row)) for row in rows if row["rrtype"] == "NS" and target(row)} if rng.random() < 0.7 else set()
    servers = sorted(server for server in servers if "*" not in server and "#" not in server)[:3]
    passes = fences(rng, rows, args)
    order, limit = sort_of(rng, args) or "last", limit_of(rng, args, 1000)

    def why(row):
        at = address(row)
        at = getattr(at, "ipv4_mapped", None) or at
        for kind, nets in LOCAL.items():
            if at and any(at in ipaddress.ip_network(net) for net in nets):
                return kind
        if is_record(row) and row["rrtype"] == "NS":
            above = labels(target(row))
            if any(".".join(above[at:]) in servers for at in range(len(above))):
                return "parking-name-server"
        return None

    parts = [[row | {"why": kind} for row in rows if passes(row) and why(row) == kind] for kind in kinds]
    answer = sections(parts, order, limit, args)
    answer["list"] = "".join(f"{as_typed(server)}\n" for server in servers)
    return answer


# --- groups -----------------------------------------------------------------------------------


def grouped(rows, key):
    groups = defaultdict(list)
    for row in rows:
        if (value := key(row)) is not None:
            groups[value].append(row)
    return groups


def summed(by, value, rows):
    return {
        by: value,
        "names": len({row["rrname"] for row in rows}),
        "records": len(rows),
        "count": sum(row["count"] for row in rows),
        "time_first": min(row["time_first"] for row in rows),
        "time_last": max(row["time_last"] for row in rows),
    }


GROUP_RANKS = {
    "names": lambda group: -group["names"],
    "count": lambda group: -group["count"],
    "first": lambda group: -group["time_first"],
    "last": lambda group: -group["time_last"],
    "name": lambda group: 0,
}


def groups(args, by, found, order, limit, tie=lambda value: value, shown=lambda value: value):
    entries = [(GROUP_RANKS[order](summed(by, 0, rows)), tie(value), summed(by, shown(value), rows)) for value, rows in found.items()]
    entries.sort(key=lambda entry: entry[:2])
    return {"args": args, "kind": "groups", "all": [entry[2] for entry in entries], "limit": limit, "exact": True}


def ask_subdomains(rng, rows):
    parts = labels(rng.choice(rows)["rrname"])
    apex = parts[-rng.randint(1, 3) :] if rng.random() < 0.95 else []
    args = ["subdomains", as_typed(".".join(apex) or ".")]
    by_depth, depth = rng.random() < 0.3, rng.choice((1, 1, 2, 3))
    if by_depth:
        args += ["--by", "depth"]
    else:
        args += ["--depth", str(depth)]
    passes = fences(rng, rows, args)
    order = sort_of(rng, args, ("count", "first", "last", "name")) or ("name" if by_depth else "names")
    limit = limit_of(rng, args, 1000)

    def key(row):
        name = labels(row["rrname"])
        more = len(name) - len(apex)
        if more <= 0 or name[more:] != apex:
            return None
        return more if by_depth else ".".join(name[max(0, more - depth) :])

    found = grouped([row for row in rows if is_record(row) and passes(row)], key)
    return groups(args, "depth" if by_depth else "rrname", found, order, limit)


def ask_top(rng, rows):
    by = rng.choice(("domains", "addresses", "rrtypes", "names"))
    args = ["top", "--by", by]
    passes = fences(rng, rows, args)
    limit = limit_of(rng, args, 20)
    rows = [row for row in rows if is_record(row) and passes(row)]
    if by == "addresses":
        texts = {address(row): row["rdata"] for row in rows}
        found = grouped(rows, address)
        return groups(args, "address", found, "count", limit, lambda at: (at.version, int(at)), texts.get)
    if by == "rrtypes":
        return groups(args, "rrtype", grouped(rows, lambda row: row["rrtype"]), "count", limit, type_number)
    if by == "domains":
        return groups(args, "domain", grouped(rows, lambda row: domain(row["rrname"])), "count", limit)
    if limit == 0:
        args += ["--limit", "100000"]
        at = args.index("--limit")
        del args[at : at + 2]
        limit = 100000
    answer = groups(args, "rrname", grouped(rows, lambda row: row["rrname"]), "count", limit)
    for group in answer["all"]:
        del group["names"]
    return answer


def ask_unanswered_domains(rng, rows):
    outcome = rng.choice(("unanswered", "nxdomain", "servfail", "any"))
    args = ["unanswered", "--by", "domains", "--outcome", outcome]
    passes = fences(rng, rows, args)
    order = sort_of(rng, args, ("count", "first", "last", "name")) or "count"
    limit = limit_of(rng, args, 20)
    rows = [
        row
        for row in rows
        if not is_record(row) and passes(row) and (outcome == "any" or row["outcome"].lower() == outcome)
    ]
    return groups(args, "domain", grouped(rows, lambda row: domain(row["rrname"])), order, limit)


def ask_new(rng, rows):
    by = rng.choice(("names", "domains"))
    args = ["new", "--by", by]
    records = [row for row in rows if is_record(row)]
    has_type = rng.random() < 0.3
    if has_type:
        rrtype = rng.choice(records)["rrtype"]
        args += ["--rrtype", rrtype]
        records = [row for row in records if row["rrtype"] == rrtype]
    found = grouped(records, lambda row: row["rrname"] if by == "names" else domain(row["rrname"]))
    days = {value: min(row["time_first"] for row in rows) // DAY for value, rows in found.items()}
    day = rng.choice(list(days.values()))
    shown = (zeek.datetime.date(1970, 1, 1) + zeek.datetime.timedelta(days=day)).isoformat()
    if rng.random() < 0.4:
        args += ["--since", shown]
        counts = Counter(value for value in days.values() if value >= day)
        span = [
            {"day": (zeek.datetime.date(1970, 1, 1) + zeek.datetime.timedelta(days=at)).isoformat(), by: counts[at]}
            for at in sorted(counts)
        ]
        return {"args": args, "kind": "days", "all": span, "limit": 0, "exact": True}
    args += ["--list", shown]
    limit = limit_of(rng, args, 1000)
    on_day = {value: rows for value, rows in found.items() if days[value] == day}
    if by == "domains" or has_type:
        return groups(args, "domain" if by == "domains" else "rrname", on_day, "name", limit)
    listed = [
        {"rrname": name, "time_first": min(row["time_first"] for row in on_day[name])} for name in sorted(on_day)
    ]
    # Without a limit they come as the store has them.
    return {"args": args, "kind": "groups", "all": listed, "limit": limit, "exact": limit != 0}


ASKS = (
    ask_look_up, ask_follow, ask_find, ask_find, ask_records, ask_unanswered, ask_parked, ask_subdomains,
    ask_subdomains, ask_top, ask_top, ask_unanswered_domains, ask_new, ask_new,
)  # fmt: skip


def main(seed, count, *paths):
    rng = random.Random(int(seed))
    rows = load(paths)
    questions = [ASKS[number % len(ASKS)](rng, rows) for number in range(int(count))]
    json.dump(questions, sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
