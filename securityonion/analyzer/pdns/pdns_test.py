"""Tests of the analyzer against a small server that answers as the test says. The real `pdns serve` is asked in pdns' own
tests, securityonion/tests/test_real.py."""

import contextlib
import http.server
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.error

from pdns import pdns

HERE = os.path.dirname(os.path.realpath(__file__))


class Answer(http.server.BaseHTTPRequestHandler):
    """Answers as the test says, and remembers what it was asked."""

    def do_GET(self):  # noqa: N802
        """One answer."""
        self.server.asked.append((self.path, dict(self.headers)))
        status, headers, chunks = self.server.script
        if status == 0:
            # Hangs up without a word.
            self.close_connection = True
            return
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        with contextlib.suppress(OSError):
            for chunk in chunks:
                if chunk is None:
                    time.sleep(0.2)
                else:
                    self.wfile.write(chunk)
                    self.wfile.flush()

    def log_message(self, *_):
        """Says nothing."""


@contextlib.contextmanager
def serving(status=200, headers=(), chunks=()):
    """A server on a free port."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    server.daemon_threads = True
    server.script, server.asked = (status, headers, chunks), []
    thread = threading.Thread(target=server.serve_forever, kwargs=dict(poll_interval=0.01))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextlib.contextmanager
def configured(text):
    """A folder with the analyzer's files and these settings."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(os.path.join(HERE, "pdns.json"), folder)
        if text is not None:
            with open(os.path.join(folder, "pdns.yaml"), "w", encoding="utf-8") as file:
                file.write(text)
        yield folder


def run(kind, value, settings):
    """The analyzer's result for an observable."""
    with configured(settings) as folder:
        return run_in(json.dumps(dict(artifactType=kind, value=value)), folder)


def run_in(argument, folder):
    """The analyzer's result, read as sensoroni reads it."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = pdns.main(["pdns", argument], folder)
    assert code == 0, code
    assert err.getvalue() == "", err.getvalue()
    result = json.loads(out.getvalue(), parse_constant=lambda word: 1 / 0)
    assert isinstance(result["summary"], str) and len(result["summary"]) <= 50, result
    assert result["status"] in ("ok", "info", "caution", "threat"), result
    assert "response" in result, result
    return result


def line(**fields):
    """One COF line."""
    row = dict(rrname="www.example.com", rrtype="A", rdata=["192.0.2.7"], time_first=1709251200, time_last=1709337600, count=3)
    row.update(fields)
    return json.dumps(row).encode() + b"\n"


class Subjects(unittest.TestCase):
    """What is asked for."""

    KINDS = ("ip", "domain", "fqdn", "url")

    def check(self, kind, value, want):
        """One observable."""
        self.assertEqual(pdns.subject(json.dumps(dict(artifactType=kind, value=value)), self.KINDS), want)

    def test_addresses_names_and_urls(self):
        """As analysts paste them."""
        self.check("ip", " 192.0.2.7 ", "192.0.2.7")
        self.check("ip", "2001:DB8:0::1", "2001:db8::1")
        self.check("ip", "[2001:db8::1]", "2001:db8::1")
        self.check("ip", "fe80::1%eth0", "fe80::1")
        self.check("domain", "WWW.Example.COM.", "www.example.com")
        self.check("domain", '"example.com"', "example.com")
        self.check("fqdn", "b\u00fccher.example", "xn--bcher-kva.example")
        self.check("url", "https://user:word@Example.com:8443/path?q=1", "example.com")
        self.check("url", "http://[2001:db8::1]/", "2001:db8::1")
        self.check("url", "example.com/path", "example.com")

    def test_what_is_none(self):
        """Refused with a word, before anything is asked."""
        for kind, value in (
            ("ip", ""),
            ("ip", "a b"),
            ("domain", "a/b"),
            ("domain", "a,b"),
            ("domain", "*.example.com"),
            ("domain", "x" * 1001),
            ("domain", "\u00fc" * 70 + ".example"),
            ("url", "http://[::1/"),
            ("ip", 7),
            ("ip", None),
        ):
            with self.assertRaises(pdns.Fault, msg=repr(value)) as caught:
                self.check(kind, value, None)
            self.assertEqual(caught.exception.summary, "invalid_input")
        for argument in ("", "[]", "7", "null", '{"value":"x"}', "{"):
            with self.assertRaises(pdns.Fault):
                pdns.subject(argument, self.KINDS)

    def test_other_kinds_are_not_ours(self):
        """Exit code 126, and not a word."""
        done = subprocess.run(
            [sys.executable, "-B", "-m", "pdns.pdns", '{"artifactType": "hash", "value": "x"}'],
            cwd=os.path.dirname(HERE),
            capture_output=True,
            check=False,
        )
        self.assertEqual((done.returncode, done.stdout, done.stderr), (126, b"", b""))

    def test_a_process_prints_one_object(self):
        """No argument, one that is no JSON: still one object, and exit code 0."""
        for arguments in ([], ["x"], ["x", "y"], ['{"artifactType": "ip", "value": "192.0.2.1"}']):
            done = subprocess.run(
                [sys.executable, "-B", "-W", "always", "-m", "pdns.pdns", *arguments],
                cwd=os.path.dirname(HERE),
                capture_output=True,
                check=False,
            )
            self.assertEqual((done.returncode, done.stderr), (0, b""))
            self.assertEqual(json.loads(done.stdout)["status"], "caution")


class Answers(unittest.TestCase):
    """What a server's answer becomes."""

    def ask(self, kind, value, **script):
        """Asks a server that answers so; gives the result and what it was asked."""
        with serving(**script) as server:
            url = "http://127.0.0.1:%d" % server.server_address[1]
            return run(kind, value, 'url: "%s"\nkey: "secret"\nca: ""\n' % url), server.asked

    def test_records(self):
        """Counted, dated, newest first, with the key and the address asked for as one path segment."""
        body = [line(), line(rrname="old.example.com", time_first=1, time_last=2), line(rrname="WWW.example.com", rrtype="AAAA")]
        result, asked = self.ask("ip", "2001:db8::1", chunks=body)
        self.assertEqual(result["summary"], "2 names, first 1970-01-01")
        self.assertEqual(result["status"], "info")
        self.assertEqual(result["response"]["records"][-1]["rrname"], "old.example.com")
        self.assertEqual(result["response"]["last_seen"], "2024-03-02")
        self.assertTrue(result["response"]["context"].endswith("/context?q=2001%3Adb8%3A%3A1"))
        self.assertEqual(asked[0][0], "/pdns/query/2001%3Adb8%3A%3A1")
        self.assertEqual(asked[0][1]["X-Api-Key"], "secret")
        result, _ = self.ask("domain", "www.example.com", chunks=[line()])
        self.assertEqual(result["summary"], "1 record, first 2024-03-01")

    def test_none(self):
        """An empty answer and 404 are the same."""
        for script in (dict(), dict(status=404), dict(chunks=[b"\n\n"])):
            result, _ = self.ask("ip", "192.0.2.7", **script)
            self.assertEqual((result["summary"], result["status"]), ("no_results", "ok"))

    def test_tags(self):
        """Only the organisation's own tag makes a threat."""
        for tags, want in ((["threat"], "threat"), ([dict(kind="threat", note="x")], "threat"), (["threat:feed"], "threat")):
            result, _ = self.ask("ip", "192.0.2.7", chunks=[line(pdns_tags=tags)])
            self.assertEqual(result["status"], want)
            self.assertEqual(result["summary"], "tagged threat: 1 name, first 2024-03-01")
        for tags in (["trust"], ["interest"], "threat", [7], [dict(kind=7)], None):
            result, _ = self.ask("ip", "192.0.2.7", chunks=[line(pdns_tags=tags)])
            self.assertEqual(result["status"], "info")

    def test_many(self):
        """What is shown is bounded, and says so; the summary never outgrows what SOC shows."""
        body = [line(rrname="%d.example.com" % number) for number in range(1000)]
        result, asked = self.ask("ip", "192.0.2.7", chunks=body)
        self.assertEqual(result["summary"], "1000+ names, first 2024-03-01")
        self.assertEqual(len(result["response"]["records"]), 100)
        self.assertTrue(result["response"]["there_are_more"])
        self.assertEqual(asked[0][1]["Dribble-Paginate-Count"], "1000")
        wide = line(rdata=["x" * 60000])
        result, _ = self.ask("ip", "192.0.2.7", chunks=[wide] * 100)
        self.assertTrue(result["response"]["there_are_more"])

    def test_odd_times(self):
        """Times that are none do no harm."""
        for first in ("yesterday", None, -(10**30), 10**30):
            result, _ = self.ask("ip", "192.0.2.7", chunks=[line(time_first=first, time_last=first)])
            self.assertEqual(result["status"], "info", first)
        result, _ = self.ask("ip", "192.0.2.7", chunks=[line(rdata=[1e999])[:-1].replace(b"Infinity", b"1e999") + b"\n"])
        self.assertEqual(result["summary"], "internal_failure")

    def test_refusals(self):
        """Each status says what it means."""
        for status, want in (
            (401, "pDNS refused the key"),
            (403, "pDNS refused the key"),
            (429, "pDNS: too many questions, try again"),
            (503, "pDNS has no store at the moment"),
            (500, "pDNS answered with an error (500)"),
        ):
            result, _ = self.ask("ip", "192.0.2.7", status=status)
            self.assertEqual((result["summary"], result["status"]), (want, "caution"))

    def test_a_redirect_is_not_followed(self):
        """It would carry the key away."""
        with serving() as other:
            place = "http://127.0.0.1:%d/" % other.server_address[1]
            result, _ = self.ask("ip", "192.0.2.7", status=302, headers=[("Location", place)])
            self.assertEqual(other.asked, [])
        self.assertEqual(result["summary"], "pDNS answered with an error (302)")

    def test_no_cof(self):
        """A page, a list, half a line, a line without a name, and nesting without end."""
        for body in (b"<html>\n", b"[]\n", b'{"rrname": "x"\n', b'{"rdata": "x"}\n', b"[" * 100000 + b"\n", b"\xff\xfe\n"):
            result, _ = self.ask("ip", "192.0.2.7", chunks=[body])
            self.assertEqual((result["summary"], result["status"]), ("internal_failure", "caution"), body[:20])

    def test_hanging_up(self):
        """A server that says nothing, and a port where none is."""
        result, _ = self.ask("ip", "192.0.2.7", status=0)
        self.assertEqual(result["summary"], "pDNS cannot be reached")
        result = run("ip", "192.0.2.7", 'url: "http://127.0.0.1:1"\nca: ""\n')
        self.assertEqual(result["summary"], "pDNS cannot be reached")

    def test_trickling(self):
        """Each read is short, the whole is not: five seconds are the end of it."""
        patience, pdns.PATIENCE = pdns.PATIENCE, 1
        try:
            start = time.monotonic()
            result, _ = self.ask("ip", "192.0.2.7", headers=[("Content-Length", "9999")], chunks=[b" ", None] * 30)
            self.assertEqual(result["summary"], "timeout")
            self.assertLess(time.monotonic() - start, 4)
        finally:
            pdns.PATIENCE = patience


class Edges(unittest.TestCase):
    """What no server does to us."""

    def test_a_socket_that_times_out(self):
        """The same word as for the alarm."""
        def late(*_, **__):
            raise urllib.error.URLError(TimeoutError("timed out"))

        opener, pdns.urllib.request.build_opener = pdns.urllib.request.build_opener, late
        try:
            self.assertEqual(run("ip", "192.0.2.7", 'url: "http://127.0.0.1:1"\nca: ""\n')["summary"], "timeout")
        finally:
            pdns.urllib.request.build_opener = opener

    def test_a_fault_of_our_own(self):
        """Is told like any other."""
        with configured('url: "http://127.0.0.1:1"\n') as folder:
            os.unlink(os.path.join(folder, "pdns.json"))
            result = run_in('{"artifactType": "ip", "value": "192.0.2.7"}', folder)
        self.assertEqual((result["summary"], result["status"]), ("internal_failure", "caution"))

    def test_another_kind(self):
        """126 from the function, as from the process."""
        with configured("") as folder, contextlib.redirect_stdout(io.StringIO()) as out:
            self.assertEqual(pdns.main(["pdns", '{"artifactType": "hash", "value": "x"}'], folder), 126)
        self.assertEqual(out.getvalue(), "")

    def test_without_a_key(self):
        """None is sent."""
        with serving() as server:
            run("ip", "192.0.2.7", 'url: "http://127.0.0.1:%d"\n' % server.server_address[1])
            self.assertNotIn("X-Api-Key", server.asked[0][1])


class Settings(unittest.TestCase):
    """pdns.yaml."""

    def test_what_is_missing(self):
        """Said, and nothing asked."""
        for text in (None, "", "url: ftp://x\n", "key: x\n"):
            self.assertEqual(run("ip", "192.0.2.7", text)["summary"], "pDNS is not configured")
        result = run("ip", "192.0.2.7", "url: https://127.0.0.1:1\nca: nothing.pem\n")
        self.assertEqual(result["summary"], "pDNS is not configured")

    def test_the_file_that_ships(self):
        """Can be read."""
        self.assertEqual(pdns.settings(HERE)["url"], "https://127.0.0.1:8953")
        self.assertEqual(pdns.settings(HERE)["ca"], "ca.pem")

    def test_a_certificate_that_is_not_trusted(self):
        """An https server whose certificate is none of ours."""
        with serving() as server:
            result = run("ip", "192.0.2.7", 'url: "https://127.0.0.1:%d"\nca: ""\n' % server.server_address[1])
        self.assertEqual(result["summary"], "pDNS cannot be reached")


class Salt(unittest.TestCase):
    """Salt renders each file as a template."""

    def test_no_file_is_a_template(self):
        """The three marks of Jinja are in none."""
        for name in os.listdir(HERE):
            path = os.path.join(HERE, name)
            if os.path.isfile(path):
                with open(path, encoding="utf-8") as file:
                    text = file.read()
                for mark in ("{" + "{", "{" + "%", "{" + "#"):
                    self.assertNotIn(mark, text, name)


if __name__ == "__main__":
    unittest.main()
