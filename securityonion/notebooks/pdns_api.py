"""Asks `pdns serve` and gives back pandas tables: what `passive-dns.ipynb` is made of.

Standard library and pandas alone. Two protocols, each for what it does best:

- CIRCL's COF (`lookup`): single records of a subject with their TTLs, in pages;
- DNSDB version 2 (`rrsets`, `pointing`, `summary`, `search`): time fences and search by text, each answer in a frame (SAF) that
  says how it ended.

No answer is silently short: `table.attrs["cut"]` says why rows are missing, and is empty when none are.
Names and RDATA are text that strangers wrote. What is not printable ASCII is escaped here once more; tables and plots are
to show it as text (the notebook turns off what would not).
"""

import http.client
import ipaddress
import json
import numbers
import os
import ssl
import urllib.error
import urllib.parse
import urllib.request

import pandas as pd

URL = "http://127.0.0.1:8953"
# Rows asked for at once; a server may give fewer.
PAGE = 10_000
# The most rows of one table, unless asked for otherwise.
MAX_ROWS = 50_000
# The longest line and the longest answer, in octets.
MAX_LINE = 1 << 20
MAX_ANSWER = 256 << 20
BLOCK = 1 << 16
# Longest sentence of a server that is shown, in characters.
MAX_SAID = 300
# A query may take a minute, and the last of it comes a little later.
TIMEOUT = 75
# How far CNAMEs are followed, and through how many names.
MAX_HOPS = 8
MAX_NAMES = 40

RECORD = ["rrname", "rrtype", "rdata", "count", "time_first", "time_last", "ttl_min", "ttl_max", "ttl_last", "tags", "sensor_id"]
RESULT = ["rrname", "rrtype", "rdata", "bailiwick", "count", "time_first", "time_last"]
FENCES = {"time_first_before", "time_first_after", "time_last_before", "time_last_after"}


class PdnsError(Exception):
    """A question that was not answered: one sentence that says why and, where something helps, what."""


class Pdns:
    """A server: where it is, and the key that it wants, if any.

    `url` and `key` are those of the environment (PDNS_URL, PDNS_KEY) when they are not given, and so is `ca`, the file with the
    certificate of a server that signed its own (PDNS_CA).
    """

    def __init__(self, url=None, key=None, ca=None, timeout=TIMEOUT):
        self.url = (url or os.environ.get("PDNS_URL") or URL).rstrip("/")
        self.timeout = timeout
        key = key or os.environ.get("PDNS_KEY") or ""
        ca = ca or os.environ.get("PDNS_CA") or None
        place = urllib.parse.urlsplit(self.url)
        if place.scheme not in ("http", "https") or not place.hostname or place.query or place.fragment:
            raise PdnsError(f"{shown(self.url)} is no address of a server; write it like {URL}")
        if place.username is not None:
            raise PdnsError("the address holds a login; take it out and put the key into PDNS_KEY")
        if key and place.scheme == "http" and not is_loopback(place.hostname):
            raise PdnsError("a key would go over the network for all to read; use an https address")
        if not key.isascii() or not key.isprintable():
            raise PdnsError("the key has characters that no key has; copy it again")
        self.headers = {"X-API-Key": key.strip()} if key.strip() else {}
        try:
            context = ssl.create_default_context(cafile=ca)
        except OSError as error:
            raise PdnsError(f"cannot read the certificate {shown(ca)}: {error.strerror or error}") from error
        # No proxy, since the server is our own; no redirect, since the key is for nobody else.
        self.opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context), NoRedirect()
        )

    def lookup(self, subject, rrtype=None, limit=MAX_ROWS):
        """Records of a name, `*.NAME` (all below), `.NAME` (the name, too), an address, a prefix (192.0.2.0/24) or a range (192.0.2.1-192.0.2.9); latest seen first.

        A name brings what points at it, too. Columns are RECORD's: times are UTC, TTLs are seconds, tags a sorted text.
        """
        path = "/pdns/query/" + urllib.parse.quote(subject.strip(), safe="")
        records, cursor, cut = [], None, ""
        while True:
            headers = {"dribble-paginate-count": str(min(PAGE, limit - len(records)))}
            if rrtype:
                headers["dribble-filter-rrtype"] = rrtype
            if cursor:
                headers["dribble-paginate-cursor"] = cursor
            lines, answered = self.get(path, headers)
            records.extend(record(line) for line in lines)
            cut = complaint(answered.get("x-dribble-errors"))
            following = answered.get("x-dribble-cursor")
            if not following or cut:
                break
            if following == cursor:
                raise PdnsError("the server gives the same page again and again; is it a pdns?")
            if len(records) >= limit:
                cut = f"there are more than {limit} records"
                break
            cursor = following
        # One row for each RDATA, whether a server sends them one by one or together.
        rows = [{**row, "rdata": one} for row in records for one in row["rdata"]]
        return table(rows, RECORD, cut)

    def follow(self, name):
        """The addresses of a name with all CNAMEs on the way: its records, those of where they lead, and so on."""
        seen, names, parts, cut = set(), [name.strip().lower().removesuffix(".")], [], ""
        for _ in range(MAX_HOPS):
            names = [each for each in dict.fromkeys(names) if each not in seen]
            if len(seen) + len(names) > MAX_NAMES:
                break
            found = [self.own(each) for each in names]
            seen.update(names)
            parts.extend(found)
            cut = cut or next((part.attrs["cut"] for part in found if part.attrs["cut"]), "")
            names = [to for part in found for to in part.loc[part["rrtype"] == "CNAME", "rdata"] if to not in seen]
            if not names:
                break
        if names:
            cut = cut or f"the CNAMEs go on, beyond {MAX_HOPS} links or {MAX_NAMES} names"
        whole = pd.concat(parts, ignore_index=True)
        whole.attrs = {"cut": cut}
        return whole

    def own(self, name):
        """The addresses and CNAMEs that a name has itself."""
        found = self.lookup(name)
        kept = found[(found["rrname"] == name) & found["rrtype"].isin(["A", "AAAA", "CNAME"])]
        kept.attrs = found.attrs
        return kept

    def rrsets(self, owner, rrtype="ANY", limit=PAGE, **fences):
        """RRsets of a name, or of `*.NAME` for all below it."""
        return self.results(f"lookup/rrset/name/{quoted(owner)}/{quoted(rrtype)}", limit, fences)

    def pointing(self, value, rrtype="ANY", limit=PAGE, **fences):
        """Records that point at an address, prefix, range or name."""
        return self.results(f"lookup/rdata/{rdata_part(value)}/{quoted(rrtype)}", limit, fences)

    def summary(self, side, value, rrtype="ANY", **fences):
        """How many results there are, their counts and times together, as a dict; `side` is rrset or rdata."""
        part = f"name/{quoted(value)}" if side == "rrset" else rdata_part(value)
        rows, cut = self.framed(f"summarize/{side}/{part}/{quoted(rrtype)}", {**checked(fences), "limit": 0})
        empty = {"count": 0, "num_results": 0}
        return {**empty, **(rows[0] if rows else {}), "cut": cut}

    def search(self, pattern, method="glob", rrtype="ANY", limit=PAGE, exclude=None, **fences):
        """Owner names and types by text: a glob for the whole name, with its final dot, or a regex for any part.

        Each search reads all names of the store, as far as it gets within the server's limit of time.
        """
        if method not in ("glob", "regex"):
            raise PdnsError("a search is by glob or regex")
        if exclude:
            fences = {**fences, "exclude": exclude}
        return self.results(f"{method}/rrnames/{quoted(pattern)}/{quoted(rrtype)}", limit, fences)

    def results(self, path, limit, parameters):
        """A table of all results, asked for in as many parts as the server's limit makes of them."""
        rows, cut = [], ""
        while len(rows) < limit:
            asked = {**checked(parameters), "limit": min(PAGE, limit - len(rows)), "offset": len(rows)}
            try:
                part, cut = self.framed(path, asked)
            except PdnsError as error:
                if not rows:
                    raise
                cut = str(error)
                break
            rows.extend(result(row) for row in part)
            # Only a limit of rows can be gone beyond; after one of time the next would meet it, too.
            if not part or not cut.startswith("Result limit"):
                break
        return table(rows, RESULT, cut)

    def framed(self, path, parameters):
        """The objects within DNSDB's frame, and why it is not whole (empty when it is)."""
        lines, _ = self.get(f"/dnsdb/v2/{path}?{urllib.parse.urlencode(parameters)}", {"Accept": "application/x-ndjson"})
        return unframed(lines)

    def get(self, path, headers):
        """The lines of an answer as objects, and its headers."""
        request = urllib.request.Request(self.url + path, headers={**self.headers, **headers})
        try:
            with self.opener.open(request, timeout=self.timeout) as answer:
                return [parsed(line) for line in lines_of(answer)], answer.headers
        except urllib.error.HTTPError as error:
            with error:
                raise PdnsError(refusal(error)) from error
        except urllib.error.URLError as error:
            reason = error.reason
            if isinstance(reason, ssl.SSLCertVerificationError):
                said = shown(reason.verify_message)
                raise PdnsError(f"the certificate of {self.url} is not trusted: {said}; name a copy of it in PDNS_CA") from error
            raise PdnsError(f"cannot reach {self.url}: {reason}; is pdns serve running there, and PDNS_URL right?") from error
        except http.client.HTTPException as error:
            raise PdnsError("the answer was broken off; ask again") from error
        except TimeoutError as error:
            raise PdnsError(f"no answer within {self.timeout} seconds; ask for less") from error
        except OSError as error:
            raise PdnsError(f"the connection to {self.url} failed: {error}; ask again") from error


class NoRedirect(urllib.request.HTTPRedirectHandler):
    """Takes a redirect for the error that it is here."""

    def redirect_request(self, *_):
        """Never another request."""
        return None


def lines_of(answer):
    """Yields the lines of a body within the bounds; a body that ends too early raises."""
    rest, total = b"", 0
    while block := answer.read(BLOCK):
        total += len(block)
        *lines, rest = (rest + block).split(b"\n")
        if total > MAX_ANSWER or len(rest) > MAX_LINE:
            raise PdnsError("the answer is larger than anything pdns sends; ask for less")
        yield from (line for line in lines if line.strip())
    if answer.length:
        raise PdnsError("the answer was broken off; ask again")
    if rest.strip():
        yield rest


def parsed(line):
    """A line as an object."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise PdnsError("the answer is no JSON; is PDNS_URL the address of pdns serve?") from error
    if not isinstance(found, dict):
        raise PdnsError("the answer is not what pdns sends; is PDNS_URL the address of pdns serve?")
    return found


def unframed(lines):
    """What a SAF frame holds, and why that is not all. A frame without its end was cut off on the way, and is an error."""
    if not lines or lines[0].get("cond") != "begin":
        raise PdnsError("the answer has no frame; is PDNS_URL the address of pdns serve?")
    rows = []
    for line in lines:
        if isinstance(line.get("obj"), dict):
            rows.append(line["obj"])
        condition, said = line.get("cond"), shown(line.get("msg") or "")
        if condition == "succeeded":
            return rows, ""
        if condition == "limited":
            return rows, said or "Result limit reached"
        if condition == "failed":
            raise PdnsError(f"the server could not answer: {said or 'it does not say why'}")
    raise PdnsError("the answer was broken off; ask again")


def refusal(error):
    """A status and the server's own line, with what to do."""
    said = shown(error.read(MAX_SAID).decode("utf-8", "replace").split("\n")[0])
    if error.code in (401, 403):
        return f"the server refused the key ({said}); set PDNS_KEY to one that `pdns serve user add` made"
    if error.code in (429, 503):
        wait = shown(error.headers.get("Retry-After") or "some")
        return f"the server has too much to do ({said}); ask again in {wait} seconds"
    return f"the server answered {error.code}: {said}"


def complaint(header):
    """The sentences of an x-dribble-errors header; empty without one."""
    if not header:
        return ""
    try:
        found = json.loads(header)
    except ValueError:
        found = header
    return "; ".join(shown(text) for text in found.values()) if isinstance(found, dict) else shown(found)


def record(line):
    """A COF line as a row whose RDATA is a list."""
    try:
        rdata, tags = line["rdata"], line.get("pdns_tags", [])
        return {
            **{name: line.get(name) for name in ("count", "ttl_min", "ttl_max", "ttl_last")},
            "rrname": escaped(line["rrname"]),
            "rrtype": rrtype_of(line["rrtype"]),
            "rdata": [escaped(one) for one in (rdata if isinstance(rdata, list) else [rdata])],
            "time_first": int(line["time_first"]),
            "time_last": int(line["time_last"]),
            "tags": ", ".join(sorted(escaped(tag) for tag in (tags if isinstance(tags, list) else [tags]))),
            "sensor_id": escaped(line.get("sensor_id", "")),
        }
    except (KeyError, TypeError, ValueError) as error:
        raise PdnsError("a line is no COF record; is PDNS_URL the address of pdns serve?") from error


def result(row):
    """A DNSDB object as a row; names lose the final dot, so that they are written as in COF."""
    try:
        rdata = row.get("rdata", [])
        rdata = rdata if isinstance(rdata, list) else [rdata]
        return {
            "rrname": undotted(row.get("rrname", "")),
            "rrtype": rrtype_of(row["rrtype"]),
            "rdata": "; ".join(undotted(one) for one in rdata),
            "bailiwick": undotted(row.get("bailiwick", "")),
            "count": row["count"],
            "time_first": int(row["time_first"]),
            "time_last": int(row["time_last"]),
        }
    except (KeyError, TypeError, ValueError) as error:
        raise PdnsError("a line is no DNSDB result; is PDNS_URL the address of pdns serve?") from error


def table(rows, columns, cut):
    """Rows as a table with times, whole numbers, and what `cut` it short."""
    made = pd.DataFrame(rows, columns=columns)
    for name in columns:
        if name.startswith("time_"):
            made[name] = pd.to_datetime(pd.to_numeric(made[name]), unit="s", utc=True)
        elif name == "count" or name.startswith("ttl_"):
            made[name] = pd.to_numeric(made[name]).astype("Int64")
        else:
            # Without rows, too, a column of text is one.
            made[name] = made[name].astype("str")
    made.attrs = {"cut": cut}
    return made


def checked(parameters):
    """Query parameters: times may be seconds since 1970, below 0 before now, or whatever pandas takes for a time."""
    made = {}
    for name, value in parameters.items():
        if name not in FENCES and name != "exclude":
            raise PdnsError(f"{name} is no fence; there are {', '.join(sorted(FENCES))}")
        if name in FENCES and not isinstance(value, numbers.Integral):
            at = pd.Timestamp(value)
            value = int((at if at.tzinfo else at.tz_localize("UTC")).timestamp())
        made[name] = value
    return made


def rdata_part(value):
    """The path of what is pointed at: a prefix has a comma for its slash."""
    value = value.strip()
    head = value.replace(",", "/").split("/")[0].split("-")[0]
    try:
        ipaddress.ip_address(head)
    except ValueError:
        return f"name/{quoted(value)}"
    return f"ip/{quoted(value.replace('/', ','))}"


def below(names, domain):
    """How many of `names` lie below each name one label below `domain`; most first."""
    suffix = "." + domain.strip().lower().strip(".")
    heads = pd.Series(sorted(set(names)), dtype="str")
    heads = heads[heads.str.endswith(suffix)].str.slice(stop=-len(suffix))
    # An escaped dot is part of its label.
    labels = heads.str.extract(r"((?:[^.\\]|\\.)+)$")[0].dropna()
    counts = (labels + suffix).value_counts()
    return counts.rename_axis("rrname").rename("names").reset_index()


def rrtype_of(value):
    """A type's name; COF has a number for one without."""
    return f"TYPE{value}" if isinstance(value, int) else escaped(value)


def undotted(text):
    """A name without its final dot, if it is more than that dot. Text in quotes ends in none."""
    text = escaped(text)
    return text[:-1] if text.endswith(".") and text != "." else text


def escaped(text):
    """Text that is printable ASCII, whatever came."""
    if not isinstance(text, str):
        raise TypeError("no text")
    return text if text.isascii() and text.isprintable() else text.encode("unicode_escape").decode()


def shown(value):
    """Somebody else's words, fit for a sentence."""
    return escaped(str(value).strip()[:MAX_SAID])


def quoted(text):
    """Text as one part of a path."""
    return urllib.parse.quote(text.strip(), safe="")


def is_loopback(host):
    """Whether a host is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
