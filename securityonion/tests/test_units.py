"""Units, rules and the wrapper, looked at by the programs that will read them, as far as they are here."""

import base64
import configparser
import json
import os
import re
import shutil
import socket as socketlib
import subprocess
import tempfile
from pathlib import Path

import yaml

from .world import HERE, Case

EVERYTHING = ["--opt-in", "ip-descriptions", "--opt-in", "zeek-intel", "--opt-in", "suricata-dataset"]
# What `systemd-analyze security` may give a service at most, of 10.
EXPOSURE = 2.0


class Units(Case):
    """systemd."""

    def installed(self):
        """All units, as they are installed on a node that is both."""
        world = self.world("standalone")
        self.assertEqual(world.run(*EVERYTHING), 0, world.said())
        return world.root / "etc/systemd/system"

    def test_no_word_is_left_open(self):
        """Each @word@ became a path."""
        for unit in self.installed().glob("pdns-*"):
            self.assertIsNone(re.search(r"@[a-z-]+@", unit.read_text().replace("@system-service", "").replace("@privileged @resources", "")), unit)

    def test_systemd_takes_them(self):
        """`systemd-analyze verify`, with the programs as /bin/true."""
        if shutil.which("systemd-analyze") is None:
            self.skipTest("no systemd-analyze")
        folder = self.installed()
        with tempfile.TemporaryDirectory() as place:
            for unit in folder.glob("pdns-*"):
                text = re.sub(r"^(ExecStart(?:Pre)?)=\S+", r"\1=/bin/true", unit.read_text(), flags=re.MULTILINE)
                text = re.sub(r"^(EnvironmentFile|LoadCredential)=.*\n", "", text, flags=re.MULTILINE)
                Path(place, unit.name).write_text(text.replace("socore", "root"))
            Path(place, "pdns-refresh@x.service").write_text(Path(place, "pdns-refresh@.service").read_text())
            for unit in ("pdns-redis.service", "pdns-serve.service", "pdns-agent.service", "pdns-refresh@x.service"):
                done = self.analyze(place, "verify", "--man=no", "--recursive-errors=no", f"{place}/{unit}")
                said = [line for line in done.stderr.splitlines() if "pdns" in line and place in line]
                self.assertEqual(said, [])

    def test_the_store_is_mended_before_it_is_started(self):
        """As in the Debian package: the folder is the one that Redis uses, and the program is installed."""
        folder = self.installed()
        text = (folder / "pdns-redis.service").read_text()
        pdns, data = re.search(r"^ExecStartPre=(\S+) admin mend-aof (\S+)\nExecStart=", text, flags=re.MULTILINE).groups()
        root = folder.parents[2]
        self.assertTrue((root / pdns.lstrip("/")).is_file(), pdns)
        self.assertIn(f"\ndir {data}\n", (root / "etc/pdns/redis.conf").read_text())

    def test_little_is_exposed(self):
        """`systemd-analyze security --offline`: least rights."""
        if shutil.which("systemd-analyze") is None:
            self.skipTest("no systemd-analyze")
        folder = self.installed()
        for unit in ("pdns-redis.service", "pdns-serve.service", "pdns-agent.service", "pdns-refresh@.service"):
            done = self.analyze(folder, "security", "--offline=true", "--no-pager", str(folder / unit))
            match = re.search(r"exposure level for \S+: ([0-9.]+)", done.stdout)
            self.assertIsNotNone(match, done.stdout + done.stderr)
            self.assertLessEqual(float(match.group(1)), EXPOSURE, done.stdout)

    def analyze(self, folder, *arguments):
        """systemd-analyze that sees these units."""
        environment = {**os.environ, "SYSTEMD_UNIT_PATH": f"{folder}:"}
        return subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True, check=False, env=environment)

    def test_timers_name_their_lists(self):
        """One for each list of the refresher, and no other."""
        names = sorted(path.name for path in (HERE / "systemd").glob("*.timer"))
        from installer.manager import LISTS

        self.assertEqual(names, sorted(f"pdns-refresh@{name}.timer" for name in LISTS))


class Rights(Case):
    """Redis users."""

    def test_users_have_the_rights_of_the_document(self):
        """The project's tests take the rights of its document away one by one; ours are the same."""
        from installer.manager import ANALYST_RIGHTS, SENSOR_RIGHTS

        document = HERE.parent / "pdns-agent/docs/operate.md"
        if not document.is_file():
            self.skipTest("this folder stands alone, without the project's documents")
        for name, rights in (("sensor", SENSOR_RIGHTS), ("tagger", ANALYST_RIGHTS)):
            line = next(line for line in document.read_text().splitlines() if line.startswith(f"ACL SETUSER {name} "))
            self.assertEqual(line.split()[5:], rights.split())


class Store(Case):
    """The Redis of the manager, started as its unit would."""

    def test_a_real_redis_takes_the_configuration(self):
        """TLS for sensors, a socket for this machine, a password for both, and no more rights than each needs."""
        server = shutil.which("redis-server")
        client = shutil.which("redis-cli")
        if server is None or client is None:
            self.skipTest("no redis-server")
        world = self.world("manager")
        self.assertEqual(world.run("--sensors", "10.9.1.11"), 0)
        place = world.top / "redis"
        place.mkdir()
        with socketlib.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        text = world.read("etc/pdns/redis.conf")
        for old, new in (
            ("/etc/pdns/tls", str(world.root / "etc/pdns/tls")),
            ("/run/credentials/pdns-redis.service/key", str(world.root / "etc/pdns/tls/pdns.key")),
            ("/run/credentials/pdns-redis.service/acl", str(world.root / "etc/pdns/redis.acl")),
            ("tls-port 6953", f"tls-port {port}"),
            ("/run/pdns-redis", str(place)),
            ("/nsm/pdns/redis", str(place)),
            ("bind * -::*", "bind 127.0.0.1"),
        ):
            self.assertIn(old, text)
            text = text.replace(old, new)
        (place / "redis.conf").write_text(text)
        with self.started(server, place) as process:
            try:
                self.until_ready(process)
                certificate = str(world.root / "etc/pdns/tls/pdns.crt")
                tls = ["--tls", "--cacert", certificate, "-h", "127.0.0.1", "-p", str(port)]
                socket = ["-s", str(place / "redis.sock")]

                def ask(user, how, *words):
                    path = f"etc/pdns/{'redis' if user == 'pdns' else user}-password"
                    environment = {**os.environ, "REDISCLI_AUTH": world.read(path).strip()}
                    done = subprocess.run(
                        [client, *how, "--user", user, "--no-auth-warning", *words],
                        capture_output=True,
                        text=True,
                        check=False,
                        env=environment,
                    )
                    return (done.stdout + done.stderr).strip()

                self.assertEqual(ask("sensor", tls, "HSET", "pd:x", "a", "1"), "1")
                self.assertEqual(ask("pdns", socket, "HGET", "pd:x", "a"), "1")
                self.assertIn("NOPERM", ask("sensor", tls, "HSET", "other", "a", "1"))
                self.assertIn("NOPERM", ask("sensor", tls, "FLUSHALL"))
                self.assertIn("NOPERM", ask("pdns", socket, "FLUSHALL"))
                self.assertIn("NOPERM", ask("pdns", socket, "CONFIG", "SET", "dir", "/"))
                self.assertIn("redis_version", ask("pdns", socket, "INFO", "server"))
                self.assertEqual(ask("analyst", socket, "HGET", "pd:x", "a"), "1")
                for words in (("HSET", "pd:x", "a", "2"), ("DEL", "pd:x"), ("RENAME", "pd:x", "pd:y"), ("EXPIRE", "pd:x", "1"), ("FLUSHALL",)):
                    self.assertIn("NOPERM", ask("analyst", socket, *words), words)
                    if words[0] != "HSET":
                        self.assertIn("NOPERM", ask("sensor", socket, *words), words)
                        self.assertIn("NOPERM", ask("pdns", socket, *words), words)
                done = subprocess.run([client, *socket, "PING"], capture_output=True, text=True, check=False)
                self.assertIn("NOAUTH", done.stdout + done.stderr)
                done = subprocess.run([client, "-p", str(port), "PING"], capture_output=True, text=True, check=False, timeout=20)
                self.assertNotIn("PONG", done.stdout)
                # Two writes at once are a transaction in Redis' file.
                code = "#!lua name=two\nredis.register_function('two', function(keys) for i = 1, 2 do redis.call('HSET', keys[1], i, i) end end)"
                self.assertEqual(ask("sensor", tls, "FUNCTION", "LOAD", code), "two")
                ask("sensor", tls, "FCALL", "two", "1", "pd:two")
                self.assertEqual(ask("pdns", socket, "HLEN", "pd:two"), "2")
            finally:
                process.terminate()
        with self.started(server, place) as process:
            try:
                self.until_ready(process)
                self.assertEqual(ask("pdns", socket, "HLEN", "pd:two"), "2", "lost by a restart")
            finally:
                process.terminate()

    def started(self, server, place):
        """A Redis with the configuration in a folder."""
        return subprocess.Popen([server, str(place / "redis.conf")], stdout=subprocess.PIPE, text=True)

    def until_ready(self, process):
        """Waits until it answers."""
        said = []
        for line in process.stdout:
            said.append(line)
            if "eady to accept connections" in line:
                return
        if "TLS" in "".join(said) and "not built" in "".join(said):
            self.skipTest("this redis-server has no TLS")
        self.fail("".join(said))


class Text(Case):
    """Everything that is read by something else."""

    def test_shell(self):
        """shellcheck."""
        if shutil.which("shellcheck") is None:
            self.skipTest("no shellcheck")
        done = subprocess.run(["shellcheck", str(HERE / "install")], capture_output=True, text=True, check=False)
        self.assertEqual(done.stdout + done.stderr, "")

    def test_python_3_9(self):
        """The grammar of every script is that of Python 3.9."""
        import ast

        for path in HERE.rglob("*.py"):
            ast.parse(path.read_text(), str(path), feature_version=(3, 9))

    def test_sigma(self):
        """What Sigma asks of a rule; identifiers are unique."""
        seen = set()
        for path in (HERE / "detections").glob("*.yml"):
            rule = yaml.safe_load(path.read_text())
            for key in ("title", "id", "status", "description", "author", "date", "logsource", "detection", "level"):
                self.assertIn(key, rule, path)
            self.assertLessEqual(len(rule["title"]), 110)
            self.assertIn("condition", rule["detection"])
            self.assertIn(rule["detection"]["condition"], rule["detection"])
            seen.add(rule["id"])
        self.assertEqual(len(seen), len(list((HERE / "detections").glob("*.yml"))))

    def test_suricata_rule(self):
        """One rule, closed, with a number from the range for local use, on the list that the refresher writes."""
        text = (HERE / "detections/pdns-threat.rules").read_text()
        rules = [line for line in text.splitlines() if line and not line.startswith("#")]
        self.assertEqual(len(rules), 1)
        self.assertRegex(rules[0], r"^alert dns \$HOME_NET any -> any any \(.*; sid:1\d{6}; rev:1;\)$")
        self.assertIn("load pdns-threat.lst", rules[0])

    def test_suricata_alerts(self):
        """A real Suricata, on a real capture, with the list beside the rules: one alert for each question for the name."""
        data = os.environ.get("PDNS_TEST_DATA") or str(HERE.parent.parent / "shared/data")
        capture = Path(data, "pcaps/dnscap/dns.pcap")
        if shutil.which("suricata") is None or not capture.is_file():
            self.skipTest("no suricata, or no test data")
        with tempfile.TemporaryDirectory() as place:
            shutil.copy(HERE / "detections/pdns-threat.rules", f"{place}/all.rules")
            Path(place, "pdns-threat.lst").write_text(base64.b64encode(b"google.com").decode() + "\n")
            Path(place, "classification.config").write_text("config classification: trojan-activity,A Trojan,1\n")
            Path(place, "suricata.yaml").write_text(
                "%YAML 1.1\n---\nvars:\n  address-groups: {HOME_NET: any, EXTERNAL_NET: any}\n"
                f"default-rule-path: {place}\nrule-files: [all.rules]\nclassification-file: {place}/classification.config\n"
                "outputs:\n  - eve-log: {enabled: yes, filename: eve.json, types: [alert]}\n"
                "app-layer: {protocols: {dns: {udp: {enabled: yes, detection-ports: {dp: 53}}}}}\n"
            )
            arguments = ["-c", f"{place}/suricata.yaml", "-k", "none", "--runmode", "single", "-r", str(capture), "-l", place]
            done = subprocess.run(["suricata", *arguments], capture_output=True, text=True, check=False)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            alerts = [json.loads(line) for line in Path(place, "eve.json").read_text().splitlines()]
        self.assertEqual({alert["dns"]["query"][0]["rrname"] for alert in alerts}, {"google.com"})
        self.assertEqual(len(alerts), 24)

    def test_metadata(self):
        """The analyzer's, as sensoroni reads it."""
        data = json.loads((HERE / "analyzer/pdns/pdns.json").read_text())
        self.assertEqual(set(data), {"name", "version", "author", "description", "supportedTypes"})

    def test_sysusers(self):
        """One line that makes the user of every unit."""
        text = (HERE / "systemd/pdns.sysusers").read_text()
        self.assertRegex(text, r"(?m)^u pdns - ")
        for name in ("pdns-redis", "pdns-serve", "pdns-agent"):
            parser = configparser.RawConfigParser(strict=False)
            parser.optionxform = str
            parser.read_string((HERE / f"systemd/{name}.service").read_text())
            self.assertEqual(parser["Service"]["User"], "pdns")
