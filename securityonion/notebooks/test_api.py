"""`pdns_api` against a server that answers badly in every way that matters."""

import http.server
import importlib.util
import json
import threading
import unittest

if importlib.util.find_spec("pandas") is None:
    raise unittest.SkipTest("no package pandas")

import pandas as pd

import pdns_api
import pdns_tags
from pdns_api import Pdns, PdnsError, below, unframed

RESULT = {"rrname": "a.example.", "rrtype": "A", "count": 1, "time_first": 1, "time_last": 2}
RECORD = {"rrname": "a.example", "rrtype": 65280, "rdata": "\\# 0", "time_first": 1, "time_last": 2}


def framed(*conditions):
    """A frame's lines: a word is a condition, a dict an object."""
    lines = [{"cond": each} if isinstance(each, str) else {"obj": each} for each in conditions]
    return "".join(json.dumps(line) + "\n" for line in lines).encode()


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers with what the test has set, and notes what was asked."""

    def do_GET(self):
        """The next answer."""
        self.server.asked.append((self.path, self.headers))
        status, headers, body = self.server.answers.pop(0)
        self.send_response(status)
        length = {} if "Transfer-Encoding" in headers else {"Content-Length": str(len(body))}
        for name, value in {**length, **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Silent."""


class Api(unittest.TestCase):
    """One server for each test."""

    def setUp(self):
        self.server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        self.server.answers, self.server.asked = [], []
        thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(self.server.server_close)
        self.addCleanup(self.server.shutdown)
        self.pdns = Pdns(f"http://127.0.0.1:{self.server.server_port}/", "k3y", timeout=5)

    def answer(self, body=b"", status=200, **headers):
        """Sets the next answer."""
        self.server.answers.append((status, {name.replace("_", "-"): value for name, value in headers.items()}, body))

    def refused(self, pattern, ask):
        """Asks, and the error has these words."""
        with self.assertRaisesRegex(PdnsError, pattern):
            ask()

    def test_frames(self):
        """Whole, limited, failed, cut off, none at all."""
        self.answer(framed("begin", "ongoing", RESULT, "succeeded"))
        found = self.pdns.search("*")
        self.assertEqual((list(found["rrname"]), found.attrs["cut"]), (["a.example"], ""))
        self.answer(framed("begin", RESULT)[:-1] + b"\n" + b'{"cond":"limited","msg":"Time limit reached"}\n')
        self.assertEqual(self.pdns.search("*").attrs["cut"], "Time limit reached")
        for body, words in (
            (framed("begin", RESULT), "broken off"),
            (framed("begin", RESULT, "failed"), "could not answer"),
            (framed(RESULT, "succeeded"), "no frame"),
            (b"", "no frame"),
            (b"<html>", "no JSON"),
            (b"[" * 100_000, "no JSON"),
            (b"[]\n", "not what pdns sends"),
            (framed("begin", {"rrname": "x"}, "succeeded"), "no DNSDB result"),
        ):
            with self.subTest(body=body[:40]):
                self.answer(body)
                self.refused(words, lambda: self.pdns.search("*"))
        self.assertEqual(unframed([{"cond": "begin"}, {"cond": "limited"}]), ([], "Result limit reached"))

    def test_pages_of_a_search(self):
        """It goes on where the server's limit ends it, and says when it could not."""
        self.answer(framed("begin", RESULT, RESULT) + b'{"cond":"limited","msg":"Result limit reached"}\n')
        self.answer(b"the offset is at most 2\n", 416)
        found = self.pdns.search("*", limit=5, time_first_after="1970-01-01T00:00:09")
        self.assertEqual(len(found), 2)
        self.assertIn("416", found.attrs["cut"])
        self.assertEqual(self.server.asked[1][0], "/dnsdb/v2/glob/rrnames/%2A/ANY?time_first_after=9&limit=3&offset=2")
        self.refused("no fence", lambda: self.pdns.search("*", since=1))

    def test_pages_of_a_lookup(self):
        """By cursor, up to the limit; what is missing is said."""
        line = json.dumps(RECORD).encode() + b"\n"
        self.answer(line, x_dribble_cursor="7")
        self.answer(line)
        found = self.pdns.lookup("192.0.2.0/24", "A")
        self.assertEqual((list(found["rrtype"]), found.attrs["cut"]), (["TYPE65280"] * 2, ""))
        path, headers = self.server.asked[1]
        self.assertEqual(path, "/pdns/query/192.0.2.0%2F24")
        self.assertEqual((headers["dribble-paginate-cursor"], headers["dribble-filter-rrtype"], headers["x-api-key"]), ("7", "A", "k3y"))
        self.answer(line, x_dribble_cursor="7")
        self.answer(line, x_dribble_cursor="7")
        self.refused("again and again", lambda: self.pdns.lookup("a.example"))
        self.answer(line, x_dribble_cursor="7")
        self.assertIn("more than 1", self.pdns.lookup("a.example", limit=1).attrs["cut"])
        self.answer(line, x_dribble_errors='{"time":"too slow"}')
        self.assertEqual(self.pdns.lookup("a.example").attrs["cut"], "too slow")
        self.answer(b'{"rrname":1}\n')
        self.refused("no COF record", lambda: self.pdns.lookup("a.example"))

    def test_links_that_never_end(self):
        """CNAMEs are followed so far and no farther."""
        for number in range(pdns_api.MAX_HOPS):
            record = {**RECORD, "rrname": f"n{number}", "rrtype": "CNAME", "rdata": [f"n{number + 1}"]}
            self.answer(json.dumps(record).encode() + b"\n")
        self.assertIn("go on", self.pdns.follow("N0.").attrs["cut"])
        ring = [{**RECORD, "rrname": one, "rrtype": "CNAME", "rdata": [two]} for one, two in (("a", "b"), ("b", "a"))]
        for record in ring:
            self.answer(json.dumps(record).encode() + b"\n")
        self.assertEqual((len(found := self.pdns.follow("a")), found.attrs["cut"]), (2, ""))

    def test_what_a_server_refuses(self):
        """Its own line, escaped, and what to do."""
        for status, words in (
            (401, "PDNS_KEY"),
            (403, "PDNS_KEY"),
            (429, "ask again in 7 seconds"),
            (503, "too much"),
            (400, r"400: no \\x1b\[31m"),
        ):
            with self.subTest(status=status):
                self.answer(b"no \x1b[31m\nmore", status, Retry_After="7")
                self.refused(words, lambda: self.pdns.lookup("a"))

    def test_the_key_goes_nowhere_else(self):
        """Not by a redirect, not in clear over a network."""
        self.answer(b"", 302, Location=f"http://127.0.0.1:{self.server.server_port}/elsewhere")
        self.refused("302", lambda: self.pdns.lookup("a"))
        self.assertEqual(len(self.server.asked), 1)
        self.refused("all to read", lambda: Pdns("http://192.0.2.1:8953", "k3y"))
        self.refused("no key has", lambda: Pdns("http://127.0.0.1", "k\n3y"))
        self.refused("PDNS_KEY", lambda: Pdns("https://u:p@192.0.2.1"))
        self.refused("no address", lambda: Pdns("file:///etc/passwd"))
        self.refused("certificate", lambda: Pdns("https://192.0.2.1", ca="/nonexistent"))

    def test_broken_off(self):
        """A body that ends early, and a server that is not there."""
        line = json.dumps(RECORD).encode() + b"\n"
        self.answer(line, Content_Length="1000")
        self.refused("broken off", lambda: self.pdns.lookup("a"))
        chunk = b"%x\r\n%s\r\n" % (len(line), line)
        for cut in (chunk, chunk[:-9], b"ffff\r\n" + line):
            self.answer(cut, Transfer_Encoding="chunked")
            self.refused("broken off", lambda: self.pdns.lookup("a"))
        self.answer(chunk + b"0\r\n\r\n", Transfer_Encoding="chunked")
        self.assertEqual(len(self.pdns.lookup("a")), 1)
        self.refused("pdns serve running", lambda: Pdns("http://127.0.0.1:1").lookup("a"))


class Tables(unittest.TestCase):
    """What needs no server."""

    def test_below(self):
        """By the next label; an escaped dot ends none."""
        found = below(["a.b.Example.com".lower(), "c.b.example.com", r"x\.y.example.com", "example.com", "notexample.com"], "Example.com.")
        self.assertEqual(dict(zip(found["rrname"], found["names"])), {"b.example.com": 2, r"x\.y.example.com": 1})

    def test_tags(self):
        """Exact, below, by prefix, on either end, beside what the server told."""
        tags = pd.DataFrame(
            [("threat", "a.example"), ("interest", ".example"), ("trust", "192.0.2.0/24")], columns=["kind", "subject"]
        )
        rows = [
            ("a.example", "192.0.2.1", ""),
            ("test", "2001:db8::1", ""),
            ("x.b.example", "a.example", "trust"),
            ("example", "192.0.3.1", ""),
            (r"x\.example", "y", ""),
        ]
        table = pd.DataFrame(rows, columns=["rrname", "rdata", "tags"])
        table.attrs["cut"] = "x"
        found = pdns_tags.applied(table, tags)
        self.assertEqual(list(found["tags"]), ["interest, threat, trust", "", "interest, threat, trust", "interest", ""])
        self.assertEqual(found.attrs, {"cut": "x"})
        self.assertTrue(pdns_tags.applied(table.head(0), pdns_tags.read(None)).empty)
        self.assertEqual(pdns_tags.applied(pdns_api.table([], pdns_api.RECORD, ""), tags)["tags"].str.len().sum(), 0)
        tags = pd.DataFrame(
            [("threat", ".example"), ("trust", "a.example"), ("trust", "192.0.2.0/24"), ("threat", "192.0.2.1"), ("interest", ".example")],
            columns=["kind", "subject"],
        )
        table = pd.DataFrame([("a.example", "192.0.2.2", ""), ("b.example", "192.0.2.1", "")], columns=["rrname", "rdata", "tags"])
        self.assertEqual(list(pdns_tags.applied(table, tags)["tags"]), ["interest, trust", "interest, threat"])
        self.refused_tags()

    def refused_tags(self):
        """Files that hold none."""
        for path, words in (("/nonexistent", "cannot read"), (__file__, "holds no tags")):
            with self.assertRaisesRegex(PdnsError, words):
                pdns_tags.read(path)


if __name__ == "__main__":
    unittest.main()
