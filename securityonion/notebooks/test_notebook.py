"""The notebook with the real programs: a store filled from a made-up log, `pdns serve`, and nbconvert that runs every cell.

PDNS_BIN names a built `pdns` or its folder, `target/debug` by default, with `pdns-agent` and `xtask` beside it.
PDNS_NOTEBOOK_OUT, a folder, keeps the notebook as it came out, to be looked at.
"""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
NOTEBOOK = HERE / "passive-dns.ipynb"
PACKAGES = ("nbconvert", "ipykernel", "matplotlib", "pandas")
PATIENCE = 30
DAY = 86_400
TYPES = {"A": 1, "CNAME": 5, "TXT": 16, "AAAA": 28}
SCRIPT = "<script>alert(1)</script>.shop.example"
FORMULA = r"$\frac{1}$.shop.example"

# What is asked about: days ago, name, type, answers, TTLs.
SITES = [
    *((ago, "www.shop.example", "A", ["pop7.cdn.example.net", "192.0.2.80"], [300, 20]) for ago in (9, 8, 7, 6)),
    *((ago, "www.shop.example", "A", ["pop9.cdn.example.net", "198.51.100.80"], [300, 20]) for ago in (3, 2, 1)),
    (8, "www.news.example", "A", ["192.0.2.80"], [3600]),
    (2, "login-shop-example.test", "A", ["192.0.2.80"], [30]),
    (5, "www.example.com", "A", ["203.0.113.10"], [3600]),
    (5, "a.mail.example.com", "A", ["203.0.113.25"], [300]),
    (4, "b.mail.example.com", "AAAA", ["2001:db8::25"], [300]),
    (4, "intern.example.com", "A", ["10.1.2.3"], [60]),
    (1, SCRIPT, "A", ["192.0.2.80"], [60]),
    (1, FORMULA, "A", ["192.0.2.80"], [60]),
    (1, "www.shop.example", "TXT", ["TXT 28 <img src=x onerror=alert(2)>"], [60]),
]


def programs():
    """The folder of the built programs."""
    told = Path(os.environ.get("PDNS_BIN") or HERE.parent.parent / "target/debug")
    return told if told.is_dir() else told.parent


def row(number, ago, name, kind, answers, ttls, now):
    """A line of Zeek's dns.log in JSON."""
    return {
        "ts": now - ago * DAY,
        "uid": f"C{number}",
        "id.orig_h": "10.0.0.5",
        "id.orig_p": 40000,
        "id.resp_h": "10.0.0.1",
        "id.resp_p": 53,
        "proto": "udp",
        "trans_id": number,
        "query": name,
        "qclass": 1,
        "qclass_name": "C_INTERNET",
        "qtype": TYPES[kind],
        "qtype_name": kind,
        "rcode": 0,
        "rcode_name": "NOERROR",
        "AA": False,
        "TC": False,
        "RD": True,
        "RA": True,
        "Z": 0,
        "answers": answers,
        "TTLs": [float(ttl) for ttl in ttls],
        "rejected": False,
    }


class Executed(unittest.TestCase):
    """The notebook, run once for all of these."""

    @classmethod
    def setUpClass(cls):
        missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
        if missing:
            raise unittest.SkipTest(f"no package {', '.join(missing)}")
        cls.bin = programs()
        absent = [name for name in ("pdns", "pdns-agent", "xtask") if not (cls.bin / name).is_file()]
        absent += [name for name in ("redis-server", "openssl") if shutil.which(name) is None]
        if absent:
            raise unittest.SkipTest(f"no {', '.join(absent)}: install what is missing, and set PDNS_BIN to a built pdns")
        # A Unix socket's path is short.
        cls.place = Path(tempfile.mkdtemp(prefix="pdns-nb-"))
        cls.addClassCleanup(shutil.rmtree, cls.place, ignore_errors=True)
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PDNS_", "JUPYTER_", "XDG_"))}
        folders = ["XDG_DATA_HOME", "XDG_RUNTIME_DIR", "IPYTHONDIR", "MPLCONFIGDIR"]
        folders += ["JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR"]
        cls.environment = {**kept, "HOME": str(cls.place), "PYTHONDONTWRITEBYTECODE": "1"}
        for name in folders:
            (cls.place / name.lower()).mkdir(mode=0o700)
            cls.environment[name] = str(cls.place / name.lower())
        cls.fill()
        cls.cells = cls.execute("out.ipynb", {**cls.guarded(), "PDNS_TAGS": str(cls.tags)})

    @classmethod
    def run_program(cls, *words):
        """Runs one of our programs to its end."""
        done = subprocess.run(
            [cls.bin / words[0], *words[1:]], env=cls.environment, capture_output=True, text=True, timeout=300, check=False
        )
        if done.returncode != 0:
            raise AssertionError(f"{' '.join(map(str, words))}: {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout

    @classmethod
    def fill(cls):
        """Two logs go into a store of our own, which ends with the tests; then two tags."""
        now = int(time.time())
        sample, sites = cls.place / "sample.log", cls.place / "dns.log"
        cls.run_program(
            "xtask", "sample", "--rows", "20000", "--names", "1500", "--negative", "10", "--addresses", "documentation",
            "--start", str(now - 10 * DAY), "--span", str(9 * DAY), "--out", str(sample),
        )  # fmt: skip
        sites.write_text("".join(json.dumps(row(number, *site, now)) + "\n" for number, site in enumerate(SITES)), encoding="utf-8")
        cls.addClassCleanup(cls.run_program, "pdns", "admin", "stop")
        cls.run_program("pdns-agent", "zeek", "--once", sample, sites)
        cls.run_program("pdns", "tag", "set", "threat", "login-shop-example.test", "--note", "a <b>fake</b> shop")
        cls.run_program("pdns", "tag", "set", "interest", "*.example.com", "192.0.2.80/32")
        cls.tags = cls.place / "tags.json"
        cls.tags.write_text(cls.run_program("pdns", "tag", "list", "--format", "json", "--limit", "0"), encoding="utf-8")

    @classmethod
    def serve(cls, *flags, **environment):
        """Starts a server on a port that the kernel picks, and reads which from its log: its address."""
        log = cls.place / f"serve{len(flags)}.log"
        with open(log, "wb") as out:
            server = subprocess.Popen(
                [cls.bin / "pdns", "serve", "--listen", "127.0.0.1:0", "--config", "/dev/null", *flags],
                env={**cls.environment, **environment, "PDNS_LOG": "info"}, stdout=out, stderr=out,
            )  # fmt: skip
        cls.addClassCleanup(server.wait)
        cls.addClassCleanup(server.terminate)
        end = time.monotonic() + PATIENCE
        while not (found := re.search(r'"url":"https?://(127\.0\.0\.1:\d+)/"', log.read_text())):
            if server.poll() is not None or time.monotonic() > end:
                raise AssertionError("pdns serve did not start:\n" + log.read_text())
            time.sleep(0.05)
        return found.group(1)

    @classmethod
    def guarded(cls):
        """The settings for a server as Security Onion has it: TLS with a certificate of its own, and a user with a key."""
        users, crt, pem = (str(cls.place / name) for name in ("users.toml", "crt", "pem"))
        key = cls.run_program("pdns", "serve", "user", "add", "analyst", "--users", users).strip()
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=pdns",
             "-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE", "-keyout", pem, "-out", crt],
            check=True, capture_output=True,
        )  # fmt: skip
        address = cls.serve("--users", users, "--tls-cert", crt, "--tls-key", pem)
        return {"PDNS_URL": f"https://{address}", "PDNS_KEY": key, "PDNS_CA": crt}

    @classmethod
    def execute(cls, name, settings):
        """Runs all cells, by id; one that fails is seen in the outputs, with all that came before it."""
        done = subprocess.run(
            [sys.executable, "-m", "nbconvert", "--to", "notebook", "--execute", "--allow-errors", "--ExecutePreprocessor.timeout=120",
             "--output-dir", cls.place, "--output", name, NOTEBOOK],
            env={**cls.environment, **settings}, capture_output=True, text=True, timeout=600, check=False,
        )  # fmt: skip
        if done.returncode != 0:
            raise AssertionError(f"nbconvert: {done.returncode}\n{done.stderr[-4000:]}")
        if keep := os.environ.get("PDNS_NOTEBOOK_OUT"):
            shutil.copy(cls.place / name, keep)
        return {cell["id"]: cell for cell in json.loads((cls.place / name).read_text(encoding="utf-8"))["cells"]}

    def outputs(self, cell):
        """What a cell printed and displayed, by media type."""
        found = {"text/plain": "", "text/html": "", "image/png": ""}
        for output in self.cells[cell]["outputs"]:
            data = output.get("data", {"text/plain": output.get("text", "")})
            for media, text in data.items():
                found[media] = found.get(media, "") + "".join(text)
        return found

    def check_cells(self, cells):
        """Whatever a cell raises or warns of is told with its id."""
        self.assertGreater(len(cells), 30)
        for name, cell in cells.items():
            for output in cell.get("outputs", []):
                with self.subTest(cell=name):
                    self.assertNotEqual(output["output_type"], "error", "\n".join(output.get("traceback", [])))
                    self.assertNotEqual(output.get("name"), "stderr", output.get("text"))

    def test_no_cell_failed_and_nothing_was_cut(self):
        """Each cell ran to its end, and has all there is."""
        self.check_cells(self.cells)
        for name, cell in self.cells.items():
            if cell["cell_type"] == "code":
                self.assertNotIn("NOT ALL", self.outputs(name)["text/plain"], name)

    def test_an_empty_store_is_no_error(self):
        """Of another store nobody knows any of the subjects; no key, no TLS, no file of tags."""
        address = self.serve(PDNS_PREFIX="nothing:")
        cells = self.execute("empty.ipynb", {"PDNS_URL": f"http://{address}"})
        self.check_cells(cells)
        self.assertIn("Nothing found.", "".join(cells["pointing-table"]["outputs"][0]["text"]))

    def test_tables_hold_what_the_log_says(self):
        """A row or two of each question."""
        for cell, wanted in {
            "resolved-table": ["pop7.cdn.example.net", "198.51.100.80", "192.0.2.80"],
            "rrsets-table": ["CNAME", "TXT"],
            "pointing-table": ["www.news.example", "login-shop-example.test", "interest, threat"],
            "prefix-table": ["192.0.2.80"],
            "first-seen-table": ["login-shop-example.test"],
            "words-table": ["login-shop-example.test", "a.mail.example.com"],
            "new-table": ["new names"],
            "new-list": ["time_first"],
            "top-table": ["<th>count</th>"],
            "ttl-table": ["login-shop-example.test", "ttl_max", "a.mail.example.com"],
            "subdomains-table": ["mail.example.com", "<td>2</td>"],
            "local-table": ["intern.example.com", "10.1.2.3"],
            "tags-table": ["threat", "interest", "a.mail.example.com"],
            "tags-contrast": ["www.news.example"],
            "dates-table": ["www.news.example"],
        }.items():
            html = self.outputs(cell)["text/html"]
            for text in wanted:
                with self.subTest(cell=cell, text=text):
                    self.assertTrue(text in html, re.sub(r"<[^>]*>\s*", " ", html))
        self.assertNotIn("login-shop-example.test", self.outputs("tags-contrast")["text/html"])

    def test_new_names_fall_on_their_days(self):
        """The sites alone bring a name on most days, and the sample many on the first."""
        rows = re.findall(r"<td>(\d{4}-\d\d-\d\d)</td>\s*<td>(\d+)</td>", self.outputs("new-table")["text/html"])
        self.assertGreaterEqual(len(rows), 8)
        self.assertGreater(sum(int(count) for _, count in rows), 1500)

    def test_plots_are_there(self):
        """As PNG, and none of them next to nothing."""
        plots = ["resolved", "pointing", "prefix", "first-seen", "new", "top", "ttl", "subdomains"]
        for name in plots:
            with self.subTest(plot=name):
                image = self.outputs(f"{name}-plot")["image/png"]
                self.assertTrue(image.startswith("iVBORw0KGgo"), name)
                self.assertGreater(len(image), 5_000)

    def test_hostile_text_stays_text(self):
        """In tables it is escaped and no mathematics; in plots a dollar sign is one, or the cell had failed."""
        everything = "".join(self.outputs(cell)["text/html"] for cell in self.cells if "outputs" in self.cells[cell])
        for markup in ("<script>alert", "<img src=x", "<b>fake"):
            self.assertNotIn(markup, everything)
        self.assertIn("&lt;script&gt;alert", everything)
        self.assertIn("&lt;img src=x", everything)
        self.assertIn("&lt;b&gt;fake", everything)
        self.assertIn("frac{1}", self.outputs("pointing-table")["text/html"])
        self.assertIn("tex2jax_ignore", self.outputs("pointing-table")["text/html"])


class Kept(unittest.TestCase):
    """The notebook as it is in the repository."""

    def test_no_outputs_and_stable_ids(self):
        """So that nobody's data is committed, and a change shows as one."""
        book = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
        self.assertEqual((book["nbformat"], book["nbformat_minor"]), (4, 5))
        names = [cell["id"] for cell in book["cells"]]
        self.assertEqual(len(names), len(set(names)))
        for cell in book["cells"]:
            self.assertRegex(cell["id"], r"^[a-z]+(-[a-z]+)*$")
            if cell["cell_type"] == "code":
                self.assertEqual((cell["outputs"], cell["execution_count"]), ([], None))
                compile("".join(cell["source"]), cell["id"], "exec")


if __name__ == "__main__":
    unittest.main()
