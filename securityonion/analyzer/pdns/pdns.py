"""Passive DNS for cases of Security Onion: asks `pdns serve` what it knows of an observable.

Sensoroni runs this as `python -m pdns.pdns '{"artifactType": ..., "value": ...}'` and reads standard output and standard
error together: exactly one JSON object may come out, whatever happens. Exit 126 says that an observable is of no kind
that we know, 0 everything else. Salt renders this file as a template, so two braces never stand side by side in it.
Python 3.9 and its standard library only.
"""

import datetime
import ipaddress
import json
import os
import signal
import ssl
import sys
import urllib.error
import urllib.parse
import urllib.request

# Exit code for "not for this artifact".
NOT_OURS = 126
# Seconds for all of it; the cases of an analyst wait for every analyzer.
PATIENCE = 5
# Longest summary that SOC shows.
SUMMARY = 50
# What is read of an answer at most: octets, and rows of it that go into the case.
MAX_OCTETS = 4 << 20
MAX_ROWS = 100
# Rows that are asked for; more are there and are said to be.
ASKED = 1000
MAX_SETTINGS = 64 << 10


class Fault(Exception):
    """Why there is no answer: a summary, and the whole story."""

    def __init__(self, summary, detail):
        super().__init__(detail)
        self.summary = summary
        self.detail = detail


class NotOurs(Exception):
    """The observable is of another kind."""


class OutOfTime(Exception):
    """The time is up."""


class NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect would carry the key to another host."""

    def redirect_request(self, req, fp, code, msg, headers, newurl):
        """Takes none."""
        return None


def settings(folder):
    """Reads the flat `key: value` lines of pdns.yaml: there is no YAML parser in the container for us."""
    found = dict(url="", key="", ca="")
    try:
        with open(os.path.join(folder, "pdns.yaml"), encoding="utf-8") as file:
            text = file.read(MAX_SETTINGS)
    except (OSError, UnicodeDecodeError) as error:
        raise Fault("pDNS is not configured", "cannot read pdns.yaml: %s" % error) from error
    for line in text.splitlines():
        name, colon, value = line.partition(":")
        if colon and name in found:
            found[name] = value.strip().strip("\"'")
    if not found["url"].startswith(("https://", "http://")):
        raise Fault("pDNS is not configured", "pdns.yaml has no url: run the installer of pdns again")
    return found


def supported(folder):
    """The kinds of observables that pdns.json promises."""
    with open(os.path.join(folder, "pdns.json"), encoding="utf-8") as file:
        return json.load(file)["supportedTypes"]


def subject(argument, kinds):
    """What to ask for: an address, or a name."""
    try:
        artifact = json.loads(argument)
        kind, value = artifact["artifactType"], artifact["value"]
    except (ValueError, TypeError, KeyError) as error:
        raise Fault("invalid_input", "the artifact is no JSON object with artifactType and value") from error
    if kind not in kinds:
        raise NotOurs
    if not isinstance(value, str):
        raise Fault("invalid_input", "the value is no string")
    value = value.strip().strip("\"'").strip()
    if kind == "url":
        try:
            value = urllib.parse.urlsplit(value if "//" in value else "//" + value).hostname or ""
        except ValueError as error:
            raise Fault("invalid_input", "the URL cannot be read: %s" % error) from error
    # An address in brackets, as URLs have them, and one with a zone that only its own machine knows.
    bare = value.strip("[]").split("%", 1)[0]
    try:
        return str(ipaddress.ip_address(bare))
    except ValueError:
        pass
    value = value.rstrip(".")
    if not value or len(value) > 1000 or any(ord(char) < 33 or char in "/,*" for char in value):
        raise Fault("invalid_input", "neither an address nor a name")
    try:
        value.encode("ascii")
        return value.lower()
    except UnicodeEncodeError:
        pass
    try:
        return value.encode("idna").decode("ascii").lower()
    except UnicodeError as error:
        raise Fault("invalid_input", "the name cannot be put into ASCII: %s" % error) from error


def ask(found, name, folder):
    """The rows that pdns has, and whether it has more."""
    address = found["url"].rstrip("/") + "/pdns/query/" + urllib.parse.quote(name, safe="")
    headers = dict([("Accept", "application/x-ndjson"), ("dribble-paginate-count", str(ASKED))])
    if found["key"]:
        headers["X-API-Key"] = found["key"]
    # No proxy of the environment: pdns is in the same network, and its key is for it alone.
    handlers = [urllib.request.ProxyHandler(dict()), NoRedirect()]
    if address.startswith("https:"):
        try:
            trusted = os.path.join(folder, found["ca"]) if found["ca"] else None
            handlers.append(urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=trusted)))
        except (OSError, ssl.SSLError) as error:
            raise Fault("pDNS is not configured", "cannot use the certificate %s: %s" % (found["ca"], error)) from error
    try:
        request = urllib.request.Request(address, headers=headers)
        with urllib.request.build_opener(*handlers).open(request, timeout=PATIENCE) as answer:
            octets = answer.read(MAX_OCTETS + 1)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 404:
            return [], False
        raise Fault(refusal(error.code), "%s answered %d" % (found["url"], error.code)) from error
    except OutOfTime:
        raise
    except Exception as error:
        reason = getattr(error, "reason", error)
        if isinstance(reason, TimeoutError) or "timed out" in str(reason):
            raise OutOfTime from error
        raise Fault("pDNS cannot be reached", "%s: %s" % (found["url"], reason)) from error
    return rows(octets)


def refusal(code):
    """A summary for a status that is no answer."""
    if code in (401, 403):
        return "pDNS refused the key"
    if code == 429:
        return "pDNS: too many questions, try again"
    if code == 503:
        return "pDNS has no store at the moment"
    return "pDNS answered with an error (%d)" % code


def rows(octets):
    """Reads COF lines; a cut last line is left out."""
    is_cut = len(octets) > MAX_OCTETS
    lines = octets[:MAX_OCTETS].split(b"\n")
    if is_cut:
        lines.pop()
    out = []
    for line in lines:
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise Fault("internal_failure", "the answer is not COF: %s" % error) from error
        if not isinstance(row, dict) or "rrname" not in row:
            raise Fault("internal_failure", "the answer is not COF: a line has no rrname")
        out.append(row)
    return out, is_cut or len(out) >= ASKED


def day(seconds):
    """A time as a date."""
    try:
        return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).strftime("%Y-%m-%d")
    except (TypeError, ValueError, OverflowError, OSError):
        return "unknown"


def last_of(row):
    """When a row was seen last, for sorting."""
    last = row.get("time_last")
    return last if isinstance(last, (int, float)) else 0


def kinds_of(row):
    """The kinds of tags on a row, be they words or objects."""
    tags = row.get("pdns_tags")
    out = set()
    for tag in tags if isinstance(tags, list) else []:
        kind = tag.get("kind") if isinstance(tag, dict) else tag
        if isinstance(kind, str):
            out.add(kind.split(":", 1)[0])
    return out


def conclude(found, name, answer, has_more):
    """The result as SOC takes it."""
    if not answer:
        return dict(summary="no_results", status="ok", response=dict(subject=name, records=[]))
    firsts = [row["time_first"] for row in answer if isinstance(row.get("time_first"), (int, float))]
    lasts = [row["time_last"] for row in answer if isinstance(row.get("time_last"), (int, float))]
    try:
        ipaddress.ip_address(name)
        things = len(set(str(row["rrname"]).lower() for row in answer))
        word = "name"
    except ValueError:
        things, word = len(answer), "record"
    tags = set()
    for row in answer:
        tags |= kinds_of(row)
    many = "%d%s %s%s" % (things, "+" if has_more else "", word, "" if things == 1 and not has_more else "s")
    summary = many + (", first " + day(min(firsts)) if firsts else "")
    if "threat" in tags:
        summary = "tagged threat: " + summary
    newest = sorted(answer, key=last_of, reverse=True)
    return dict(
        summary=summary[:SUMMARY],
        # The organisation's own tag, and nothing else, makes a threat.
        status="threat" if "threat" in tags else "info",
        response=dict(
            subject=name,
            context=found["url"].rstrip("/") + "/context?q=" + urllib.parse.quote(name, safe=""),
            first_seen=day(min(firsts)) if firsts else None,
            last_seen=day(max(lasts)) if lasts else None,
            tags=sorted(tags),
            records=newest[:MAX_ROWS],
            records_shown=min(len(newest), MAX_ROWS),
            records_received=len(newest),
            there_are_more=has_more,
        ),
    )


def failure(fault):
    """A result that says why there is none."""
    return dict(summary=fault.summary[:SUMMARY], status="caution", error=fault.detail, response=dict(error=fault.detail))


def on_alarm(_number, _frame):
    """The time is up."""
    raise OutOfTime


def analyze(argument, folder):
    """From the artifact to the result."""
    try:
        name = subject(argument, supported(folder))
        found = settings(folder)
        # An answer that trickles in keeps every single read short: one alarm for the whole.
        signal.signal(signal.SIGALRM, on_alarm)
        signal.setitimer(signal.ITIMER_REAL, PATIENCE)
        try:
            return conclude(found, name, *ask(found, name, folder))
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    except Fault as fault:
        return failure(fault)
    except OutOfTime:
        return failure(Fault("timeout", "pDNS gave no answer within %d seconds" % PATIENCE))
    except NotOurs:
        raise
    except Exception as error:
        return failure(Fault("internal_failure", "%s: %s" % (type(error).__name__, error)))


def main(arguments, folder=None):
    """Prints the result; gives the exit code."""
    folder = folder or os.path.dirname(os.path.realpath(__file__))
    try:
        result = analyze(arguments[1] if len(arguments) == 2 else "", folder)
    except NotOurs:
        return NOT_OURS
    try:
        text = json.dumps(result, allow_nan=False)
    except ValueError:
        # Not a number, or infinity: no JSON that Go can read.
        text = json.dumps(failure(Fault("internal_failure", "the answer holds numbers that JSON has not")))
    print(text)
    return 0


if __name__ == "__main__":  # pragma: no cover (run by the tests in a process of its own)
    # A warning on standard error would be read as part of the result, one of the interpreter's own, too.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    sys.exit(main(sys.argv))
