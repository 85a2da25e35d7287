"""All of it with the real programs: installed into a folder, started as the units start it, and asked.

PDNS_BIN names a built `pdns`, with `pdns-agent` beside it. Redis, agent and server run with the files that the installer
wrote; of the units' paths only those change that lead to places which a test does not have.
"""

import base64
import csv
import json
import os
import re
import shlex
import shutil
import socket
import ssl
import subprocess
import sys
import time
import unittest
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

from installer import action

from .test_action import TIME, VALUES, formatted
from .world import LOCAL, World

# Two answers as Zeek logs them on Security Onion; the second with a name that is text for nobody's browser.
LOG = [
    {
        "ts": 1700000000.5,
        "uid": "C1",
        "id.orig_h": "10.0.0.5",
        "id.orig_p": 40000,
        "id.resp_h": "10.0.0.1",
        "id.resp_p": 53,
        "proto": "udp",
        "trans_id": 1,
        "query": name,
        "qclass": 1,
        "qclass_name": "C_INTERNET",
        "qtype": kind,
        "qtype_name": word,
        "rcode": 0,
        "rcode_name": "NOERROR",
        "AA": False,
        "TC": False,
        "RD": True,
        "RA": True,
        "Z": 0,
        "answers": [answer],
        "TTLs": [300.0],
        "rejected": False,
    }
    for name, kind, word, answer in (
        ("www.example.com", 1, "A", "192.0.2.7"),
        ("www.example.com", 28, "AAAA", "2001:db8::7"),
        ("<script>alert(1)</script>.example", 1, "A", "192.0.2.8"),
    )
]
PATIENCE = 30


def has_command(program, command):
    """Whether a pdns has a command; without it the word is taken for a name to look up."""
    done = subprocess.run([program, command, "--help"], capture_output=True, text=True, check=False)
    return re.search(rf"Usage: \S+ {command} ", done.stdout) is not None


def free_port():
    """A port that nobody has."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


class Real(unittest.TestCase):
    """One node, started once for all of these."""

    @classmethod
    def setUpClass(cls):
        program = os.environ.get("PDNS_BIN")
        if not program or shutil.which("redis-server") is None:
            raise unittest.SkipTest("no real programs: set PDNS_BIN to a built pdns, and install redis-server")
        if not has_command(program, "serve"):
            raise unittest.SkipTest(f"{program} has no `serve`")
        cls.world = World("standalone")
        cls.addClassCleanup(cls.world.close)
        for name, source in (
            ("pdns", program),
            ("pdns-agent", str(Path(program).parent / "pdns-agent")),
            ("redis-server", shutil.which("redis-server")),
        ):
            target = cls.world.binaries / name
            target.unlink()
            target.symlink_to(source)
        cls.port, cls.store_port = free_port(), free_port()
        code = cls.world.run("--manager", "127.0.0.1", "--port", str(cls.port), "--listen", "127.0.0.1", "--opt-in", "zeek-intel")
        if code != 0:
            raise AssertionError(cls.world.said())
        cls.place = cls.world.top / "run"
        (cls.place / "redis").mkdir(parents=True)
        cls.moved = [
            (f"tls-port {6953}", f"tls-port {cls.store_port}"),
            ("/run/credentials/pdns-redis.service/key", "/etc/pdns/tls/pdns.key"),
            ("/run/credentials/pdns-redis.service/acl", "/etc/pdns/redis.acl"),
            ("%d/redis-password", "/etc/pdns/@password@"),
            ("%d/users", "/etc/pdns/users.toml"),
            ("%d/key", "/etc/pdns/tls/pdns.key"),
            ("/run/pdns-redis", str(cls.place)),
            ("/nsm/pdns/redis", str(cls.place / "redis")),
        ]
        cls.start("pdns-redis.service")
        cls.until(lambda: (cls.place / "redis.sock").exists())
        log = cls.world.root / "nsm/zeek/spool/zeeksa/dns.log"
        log.write_text("".join(json.dumps(row) + "\n" for row in LOG))
        current = cls.world.root / "nsm/zeek/logs/current"
        current.unlink()
        current.symlink_to(log.parent)
        cls.start("pdns-agent.service", "agent-password")
        cls.start("pdns-serve.service", "redis-password")
        cls.key = cls.world.read("etc/pdns/analyzer-key").strip()
        cls.context = ssl.create_default_context(cafile=str(cls.world.root / "etc/pdns/tls/pdns.crt"))
        cls.until(lambda: b"example.com" in cls.get("/pdns/query/www.example.com")[1])

    @classmethod
    def path(cls, text):
        """A file's or unit's text with the machine's paths moved below the root."""
        for old, new in cls.moved:
            text = text.replace(old, new)
        root = str(cls.world.root)
        return re.sub(r"(?<![\w/.-])/(etc/pdns|nsm/zeek|nsm/suricata|usr/local)(?=/)", lambda found: f"{root}/{found.group(1)}", text)

    @classmethod
    def start(cls, unit, password=""):
        """Starts what a unit starts, with its environment."""
        lines = cls.world.read(f"etc/systemd/system/{unit}").splitlines()
        environment = {"PATH": os.environ["PATH"], "HOME": str(cls.place)}
        words = []
        for line in lines:
            name, _, value = line.partition("=")
            value = cls.path(value).replace("@password@", password)
            if name == "EnvironmentFile":
                pairs = cls.path(Path(value).read_text()).splitlines()
                environment.update(pair.split("=", 1) for pair in pairs)
            elif name == "Environment":
                environment.update([value.split("=", 1)])
            elif name == "ExecStartPre":
                subprocess.run(shlex.split(value), env=environment, check=True)
            elif name == "ExecStart":
                words = value
        # As systemd does: ${X} is one word, $X is as many as it has.
        words = re.sub(r"\$\{?(\w+)\}?", lambda found: environment[found.group(1)], words)
        if unit == "pdns-redis.service":
            conf = cls.place / "redis.conf"
            conf.write_text(cls.path(cls.world.read("etc/pdns/redis.conf")))
            words = f"{shlex.split(words)[0]} {conf}"
        with open(cls.place / f"{unit}.log", "wb") as log:
            process = subprocess.Popen(shlex.split(words), env=environment, stdout=log, stderr=log)
        cls.addClassCleanup(process.wait)
        cls.addClassCleanup(process.terminate)

    @classmethod
    def until(cls, ready):
        """Waits for a condition."""
        end = time.monotonic() + PATIENCE
        while True:
            try:
                if ready():
                    return
            except OSError:
                pass
            if time.monotonic() > end:
                logs = "\n".join(f"{log.name}:\n{log.read_text()[-2000:]}" for log in cls.place.glob("*.log"))
                raise AssertionError("not ready in time:\n" + logs)
            time.sleep(0.1)

    @classmethod
    def get(cls, path):
        """(status, body) of a page, asked with the analyzer's key."""
        request = urllib.request.Request(f"https://127.0.0.1:{cls.port}{path}", headers={"Authorization": f"Bearer {cls.key}"})
        try:
            with urllib.request.urlopen(request, context=cls.context, timeout=20) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()

    def analyze(self, kind, value):
        """The installed analyzer, run as sensoroni runs it: (exit code, standard output and error together)."""
        folder = self.world.root / LOCAL / "salt/sensoroni/files/analyzers"
        done = subprocess.run(
            [sys.executable, "-B", "-m", "pdns.pdns", json.dumps({"artifactType": kind, "value": value, "id": "x"})],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        return done.returncode, done.stdout

    def test_analyzer(self):
        """With the key, address and certificate that the installer gave it."""
        for kind, value, status, summary in (
            ("domain", "WWW.example.com.", "info", "2 records, first 2023-11-14"),
            ("fqdn", "www.example.com", "info", "2 records, first 2023-11-14"),
            ("url", "https://www.example.com/x", "info", "2 records, first 2023-11-14"),
            ("ip", "192.0.2.7", "info", "1 name, first 2023-11-14"),
            ("ip", "2001:DB8::7", "info", "1 name, first 2023-11-14"),
            ("ip", "192.0.2.200", "ok", "no_results"),
            ("domain", "no-such-name.example", "ok", "no_results"),
        ):
            with self.subTest(value):
                code, out = self.analyze(kind, value)
                result = json.loads(out)
                self.assertEqual((code, result["status"], result["summary"]), (0, status, summary), result)
        self.assertEqual(self.analyze("hash", "x"), (126, b""))

    def test_analyzer_with_a_wrong_key(self):
        """Says that it is the key."""
        path = self.world.root / LOCAL / "salt/sensoroni/files/analyzers/pdns/pdns.yaml"
        text = path.read_text()
        path.write_text(text.replace(self.key, "wrong"))
        try:
            _, out = self.analyze("ip", "192.0.2.7")
            self.assertEqual(json.loads(out)["summary"], "pDNS refused the key")
        finally:
            path.write_text(text)

    def test_links(self):
        """What a click opens, for any value: never an error of the server, and no text of others as markup."""
        timed, link = action.action("127.0.0.1", self.port, "all")["links"]
        front = f"https://127.0.0.1:{self.port}"
        status, page = self.get(formatted(link, "dns.query.name", "www.example.com", {})[len(front):])
        self.assertEqual(status, 200)
        self.assertIn(b"192.0.2.7", page)
        self.assertNotIn(b"2026-02-11T08:09:10Z", page)
        status, page = self.get(formatted(timed, "dns.query.name", "www.example.com", {"@timestamp": TIME})[len(front):])
        self.assertEqual(status, 200)
        self.assertIn(b"2026-02-11T08:09:10Z", page)
        self.assertIn(b"https://so.example/#/hunt", page)
        for value, want in (("2001:db8::7", b"www.example.com"), ("192.0.2.7,192.0.2.8", b"www.example.com"), ('"www.example.com"', b"192.0.2.7")):
            self.assertIn(want, self.get(formatted(link, "dns.query.name", value, {})[len(front):])[1], value)
        for value in [*VALUES, "192.0.2.8"]:
            status, page = self.get(formatted(link, "dns.query.name", value, {})[len(front):])
            self.assertIn(status, (200, 400, 404), value)
            self.assertNotIn(b"<script>alert", page, value)

    def refresh(self, name, *tags):
        """Sets tags, refreshes one list by what the installer installed, and gives what it said."""
        program = self.world.root / "usr/local/bin/pdns"
        environment = {
            **os.environ,
            "PDNS_REDIS": f"redis+unix://{self.place}/redis.sock",
            "PDNS_REDIS_USER": "pdns",
            "PDNS_REDIS_PASSWORD_FILE": str(self.world.root / "etc/pdns/redis-password"),
        }
        for words in tags:
            subprocess.run([program, "tag", *words], check=True, env=environment, capture_output=True)
        refresh = self.world.root / "usr/local/libexec/pdns/refresh"
        done = subprocess.run(
            [sys.executable, "-B", refresh, "--root", self.world.root, "--pdns", program, name],
            capture_output=True,
            text=True,
            check=False,
            env=environment,
        )
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout

    def test_refresh(self):
        """What was tagged comes to each list, whatever its note says; a second run changes nothing."""
        if not has_command(self.world.root / "usr/local/bin/pdns", "export"):
            self.skipTest("this pdns has no `export`")
        note = "{{ salt['cmd.run']('id') }}\t=cmd()\n#fields\tx, \"y\"\x1b[2J"
        said = self.refresh(
            "zeek-intel",
            ("set", "threat", "evil.example", "192.0.2.66", "192.0.2.128/25", "--note", note),
            ("set", "threat", "*.example.com", "{% raw %}.example".replace(" ", "\\032"), "a\\009b.example"),
        )
        self.assertNotIn("left out", said)
        text = self.world.read(f"{LOCAL}/salt/zeek/policy/intel/intel.dat")
        self.assertIsNone(re.search(r"\{[{%#]", text), "salt would render it")
        head, *lines = text.rstrip("\n").split("\n")
        names = head.split("\t")[1:]
        rows = [dict(zip(names, line.split("\t"), strict=True)) for line in lines]
        # Zeek's reader turns \\xHH into the octet.
        octets = [re.sub(rb"\\x([0-9a-f]{2})", lambda found: bytes.fromhex(found[1].decode()), row["indicator"].encode()) for row in rows]
        kinds = [row["indicator_type"].removeprefix("Intel::") for row in rows]
        self.assertEqual(
            sorted(zip(octets, kinds)),
            [
                (b"192.0.2.128/25", "SUBNET"),
                (b"192.0.2.66", "ADDR"),
                (b"a\tb.example", "DOMAIN"),
                (b"evil.example", "DOMAIN"),
                (b"example.com", "DOMAIN"),
                (b"www.example.com", "DOMAIN"),
                (b"{% raw %}.example", "DOMAIN"),
            ],
        )
        self.assertTrue(all(row["meta.source"] == "pdns" and row["meta.do_notice"] == "T" for row in rows))
        self.assertIn("nothing changed", self.refresh("zeek-intel"))

        self.refresh("suricata-dataset")
        lines = self.world.read(f"{LOCAL}/salt/suricata/rules/pdns-threat.lst").splitlines()
        self.assertEqual({base64.b64decode(line, validate=True) for line in lines}, {name for name, kind in zip(octets, kinds) if kind == "DOMAIN"})

        (self.world.root / "nsm/custom-mappings").mkdir(parents=True, exist_ok=True)
        self.refresh("ip-descriptions")
        rows = list(csv.reader(self.world.read("nsm/custom-mappings/ip-descriptions.csv").splitlines()))
        self.assertEqual(rows[0], ["IP", "Description"])
        self.assertEqual([row[0] for row in rows[1:]], ["192.0.2.7", "192.0.2.8", "192.0.2.66"])
        self.assertEqual(rows[1][1], "[threat] www.example.com")
        self.assertTrue(rows[3][1].startswith("[threat] address: {{ salt['cmd.run']('id') }} =cmd() #fields x, \"y\""), rows[3])
        self.assertIn("nothing changed", self.refresh("ip-descriptions"))

        self.refresh("zeek-intel", ("clear", "evil.example", "192.0.2.66", "192.0.2.128/25", "*.example.com", "a\\009b.example"))
        text = self.world.read(f"{LOCAL}/salt/zeek/policy/intel/intel.dat")
        self.assertEqual(len(text.splitlines()), 2)
