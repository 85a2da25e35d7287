"""Install, install again, look without doing, uninstall: on each kind of node, with a look at every file of it."""

import contextlib
import hashlib
import io
import json
import os
import subprocess
from pathlib import Path

import yaml

from .world import DEFAULT, HERE, LOCAL, SOCORE, Case

SOC = f"{LOCAL}/pillar/soc/soc_soc.sls"
FIREWALL = f"{LOCAL}/pillar/firewall/soc_firewall.sls"
EVERYTHING = ["--analysts", "10.9.0.0/24", "--sensors", "auto"] + [
    word for name in ("ip-descriptions", "zeek-intel", "suricata-dataset") for word in ("--opt-in", name)
]


class Whole(Case):
    """The life of an installation."""

    def check(self, world, *arguments):
        """From nothing to nothing."""
        before = world.tree()
        self.assertEqual(world.run("--dry-run", *arguments), 0, world.said())
        self.same_tree(before, world.tree())
        self.assertIn("dry run", world.said())
        self.assertEqual(world.run(*arguments), 0, world.said())
        installed = world.tree()
        self.assertNotEqual(before, installed)
        self.assertEqual(world.run(*arguments), 0)
        self.assertIn("to do: nothing", world.said())
        self.same_tree(installed, world.tree())
        self.assertEqual(world.run("--uninstall", "--dry-run"), 0)
        self.same_tree(installed, world.tree())
        self.assertEqual(world.run("--uninstall"), 0, world.said())
        self.same_tree(before, world.tree())
        self.assertEqual(world.run("--uninstall"), 0)
        self.assertIn("nothing is installed", world.said())
        self.same_tree(before, world.tree())

    def test_manager(self):
        """2.4 and 3."""
        for version in ("2.4.110", "2.4.211", "3.1.0"):
            with self.subTest(version):
                self.check(self.world("manager", version), *EVERYTHING)

    def test_other_roles(self):
        """Standalone has both halves."""
        for role in ("standalone", "eval", "managersearch", "import"):
            with self.subTest(role):
                self.check(self.world(role), "--analysts", "10.9.0.0/24")

    def test_with_an_action_list_of_the_sites_own(self):
        """A pillar that was there, with comments and odd quotes, comes back to the byte."""
        world = self.world("manager")
        text = "# ours\nsoc:\n    config:\n        actions:\n            - name: actionHunt   # kept\n" + (
            '              links:\n                  - "/x?q={value}"\n            # the end\n        other: \'1\'\n'
        )
        world.file(SOC, text, SOCORE, 0o600)
        self.check(world, *EVERYTHING)

    def test_sensor(self):
        """With the manager's word on where the store is."""
        manager = self.world("manager")
        self.assertEqual(manager.run("--sensors", "10.9.1.11"), 0)
        join = str(manager.root / "etc/pdns/sensor.join")
        for engine in ("ZEEK", "SURICATA"):
            with self.subTest(engine):
                world = self.world("sensor", engine=engine)
                self.check(world, "--join", join)
                self.assertEqual(world.run("--join", join), 0)
                environment = world.read("etc/pdns/agent.env")
                where = "zeek /nsm/zeek/logs" if engine == "ZEEK" else "suricata /nsm/suricata"
                self.assertIn(f"PDNS_INPUT={where}\n", environment)
                self.assertIn("PDNS_REDIS=rediss://so.example:6953\n", environment)
                self.assertIn("BEGIN CERTIFICATE", world.read("etc/pdns/store.crt"))
                self.assertEqual(world.read("etc/pdns/agent-password"), manager.read("etc/pdns/sensor-password"))
                # Again without the join file: what was told stays.
                installed = world.tree()
                self.assertEqual(world.run(), 0, world.said())
                self.same_tree(installed, world.tree())

    def test_sensor_without_a_store(self):
        """Said, and nothing done."""
        world = self.world("sensor")
        before = world.tree()
        self.assertIn("needs the manager's store", self.refused(world))
        self.same_tree(before, world.tree())


class Details(Case):
    """What is in the files."""

    def installed(self, *arguments, **named):
        """A manager with all of it."""
        world = self.world(**named)
        self.assertEqual(world.run(*arguments), 0, world.said())
        return world

    def test_owners_and_modes(self):
        """Others' files keep theirs; secrets are root's alone; new files in a salt tree are socore's."""
        world = self.installed(*EVERYTHING)
        tree = world.tree()
        self.assertEqual(tree[SOC][1], "0o100660")
        self.assertEqual(tree[FIREWALL][1], "0o100640")
        for name in ("redis-password", "sensor-password", "redis.acl", "users.toml", "sensor.join", "analyzer-key", "tls/pdns.key"):
            self.assertEqual(tree[f"etc/pdns/{name}"][1], "0o100600", name)
        self.assertEqual(tree["var/lib/pdns-securityonion/state.json"][1], "0o100600")
        if os.geteuid() == 0:
            for path in (SOC, FIREWALL, f"{LOCAL}/salt/sensoroni/files/analyzers/pdns", f"{LOCAL}/salt/zeek/policy/intel/__load__.zeek"):
                self.assertEqual(tree[path][2:], (SOCORE, SOCORE), path)

    def test_no_secret_is_shown(self):
        """Neither by a dry run nor by an install."""
        world = self.installed(*EVERYTHING)
        said = world.said()
        for name in ("redis-password", "sensor-password", "analyzer-key"):
            self.assertNotIn(world.read(f"etc/pdns/{name}").strip(), said)
        world.run("--dry-run", *EVERYTHING, "--port", "8954")
        self.assertNotIn(world.read("etc/pdns/analyzer-key").strip(), world.said())

    def test_the_distribution_is_not_edited(self):
        """Nothing below the default tree changes."""
        world = self.world()
        before = {path: what for path, what in world.tree().items() if path.startswith(DEFAULT)}
        self.assertEqual(world.run(*EVERYTHING), 0)
        self.same_tree(before, {path: what for path, what in world.tree().items() if path.startswith(DEFAULT)})

    def test_analyzer(self):
        """All its files, readable by the container, with the key that `pdns serve user add` gave; no template."""
        world = self.installed()
        folder = f"{LOCAL}/salt/sensoroni/files/analyzers/pdns"
        self.assertEqual(
            sorted(os.listdir(world.root / folder)), ["__init__.py", "ca.pem", "pdns.json", "pdns.py", "pdns.yaml", "pdns_test.py"]
        )
        settings = world.read(f"{folder}/pdns.yaml")
        self.assertEqual(yaml.safe_load(settings)["url"], "https://so.example:8953")
        self.assertEqual(yaml.safe_load(settings)["key"], "abcdefghijklmnopqrstuvwxyz0123456789")
        for name in os.listdir(world.root / folder):
            for mark in ("{{", "{%", "{#"):
                self.assertNotIn(mark, world.read(f"{folder}/{name}"))
        try:
            import jinja2
        except ImportError:
            self.skipTest("no jinja2")
        for name in ("pdns.py", "pdns.yaml", "pdns.json", "ca.pem"):
            text = world.read(f"{folder}/{name}")
            self.assertEqual(jinja2.Template(text, keep_trailing_newline=True).render(), text, name)

    def test_analyzer_without_a_key(self):
        """When the program cannot make one, the operator is told how to."""
        world = self.world()
        (world.binaries / "pdns").write_text("#!/bin/sh\nexit 2\n")
        self.assertEqual(world.run(), 0)
        self.assertIn("--analyzer-key-file", world.said())
        key = world.top / "key"
        key.write_text("from-a-file\n")
        self.assertEqual(world.run("--analyzer-key-file", str(key)), 0)
        self.assertIn('key: "from-a-file"', world.read(f"{LOCAL}/salt/sensoroni/files/analyzers/pdns/pdns.yaml"))

    def test_options_change_what_is_there(self):
        """Another port moves everywhere; a list that is not wanted any more goes; uninstall still leaves no trace."""
        world = self.world()
        before = world.tree()
        self.assertEqual(world.run(*EVERYTHING), 0)
        self.assertEqual(world.run("--analysts", "10.9.0.0/16", "--port", "9443"), 0, world.said())
        self.assertIn("https://so.example:9443/context", world.read(SOC))
        self.assertNotIn(":8953", world.read(SOC))
        self.assertEqual(world.read(SOC).count("name: pDNS"), 1)
        self.assertNotIn("8953", world.read(FIREWALL))
        self.assertNotIn("6953", world.read(FIREWALL))
        self.assertFalse((world.root / "etc/systemd/system/pdns-refresh@zeek-intel.timer").exists())
        self.assertEqual(world.run("--without", "action", "--without", "analyzer"), 0, world.said())
        self.assertEqual(world.read(SOC), "")
        self.assertEqual(world.run("--uninstall"), 0)
        self.same_tree(before, world.tree())

    def test_programs_stay_without_the_folder(self):
        """A second run need not be given the programs again; given newer ones, it installs them."""
        world = self.installed()
        installed = world.tree()
        folder = world.binaries.rename(world.top / "away")
        self.assertEqual(world.run(), 0, world.said())
        self.assertIn("to do: nothing", world.said())
        self.same_tree(installed, world.tree())
        folder.rename(world.binaries)
        (world.binaries / "pdns").write_text("#!/bin/sh\nexit 2\n")
        self.assertEqual(world.run(), 0, world.said())
        self.assertIn("replace /usr/local/bin/pdns", world.said())
        self.assertIn("run systemctl restart pdns-redis.service", world.said())

    def test_what_salt_applies_restarts_nothing(self):
        """Another line in a pillar is no reason to restart the store."""
        world = self.installed()
        self.assertEqual(world.run("--action-on", "names"), 0, world.said())
        self.assertIn("run systemctl start pdns-redis.service", world.said())
        self.assertNotIn("restart pdns-redis", world.said())

    def test_passwords_are_made_once(self):
        """And are not those of another installation; the store knows them by their digest."""
        first, second = self.installed(), self.installed()
        self.assertNotEqual(first.read("etc/pdns/redis-password"), second.read("etc/pdns/redis-password"))
        self.assertNotIn(first.read("etc/pdns/redis-password").strip(), first.read("etc/pdns/redis.acl"))

    def test_edited_files_of_ours_stay(self):
        """An operator's change to a file of ours is kept by --uninstall and goes with --purge."""
        for arguments, stays in (([], True), (["--purge"], False)):
            world = self.installed()
            path = world.root / "etc/pdns/redis.conf"
            path.write_text(path.read_text() + "# more\n")
            self.assertEqual(world.run("--uninstall", *arguments), 0)
            self.assertEqual(path.exists(), stays)

    def test_data_stays_unless_purged(self):
        """The store outlives the installation."""
        world = self.installed()
        world.file("nsm/pdns/redis/appendonly.aof", "x")
        self.assertEqual(world.run("--uninstall"), 0)
        self.assertTrue((world.root / "nsm/pdns/redis/appendonly.aof").exists())
        self.assertIn("--purge", world.said())
        self.assertEqual(world.run(), 0)
        self.assertEqual(world.run("--uninstall", "--purge"), 0)
        self.assertFalse((world.root / "nsm/pdns").exists())

    def test_what_others_gathered_is_never_purged(self):
        """A store that was there before, and root's private ones."""
        world = self.world()
        for path in ("nsm/pdns/notes", "var/lib/pdns/appendonlydir/x.aof", "var/lib/pdns-managed/appendonlydir/x.aof"):
            world.file(path, "x")
        before = world.tree()
        self.assertEqual(world.run(), 0)
        self.assertEqual(world.run("--uninstall", "--purge"), 0, world.said())
        self.assertIn("KEEP /nsm/pdns", world.said())
        self.same_tree(before, world.tree())

    def test_a_link_in_place_of_the_store_is_left(self):
        """What it leads to is another's, whatever lies there."""
        world = self.world()
        world.file("srv/data/made-by-pdns-installer", "x")
        os.symlink(world.root / "srv/data", world.root / "nsm/pdns")
        before = world.tree()
        self.assertEqual(world.run(), 0)
        self.assertEqual(world.run("--uninstall", "--purge"), 0, world.said())
        self.same_tree(before, world.tree())

    def test_another_user_pdns_stays(self):
        """Only the user that our unit files describe is removed."""
        for line, goes in (
            ("pdns:x:990:990:Passive DNS:/nsm/pdns:/usr/sbin/nologin", True),
            ("pdns:x:990:990:PowerDNS:/var/spool/powerdns:/bin/false", False),
        ):
            world = self.world()
            world.file("etc/passwd", f"root:x:0:0:root:/root:/bin/bash\n{line}\n")
            self.assertEqual(world.run(), 0)
            self.assertEqual(world.run("--uninstall", "--purge"), 0)
            self.assertEqual("run userdel pdns" in world.said(), goes)

    def test_pdns_finds_the_store(self):
        """The settings of `pdns`, for root and for the group; those of somebody else come back."""
        world = self.world()
        world.file("etc/group", "root:x:0:\npdns:x:4711:alice\n")
        world.file("etc/pdns/pdns.toml", "# theirs\n", 0, 0o600)
        before = world.tree()
        self.assertEqual(world.run(), 0)
        pairs = dict(line.split(" = ") for line in world.read("etc/pdns/pdns.toml").splitlines() if " = " in line)
        self.assertEqual(
            pairs,
            {
                "redis": '"redis+unix:///run/pdns-redis/redis.sock"',
                "redis_user": '"analyst"',
                "redis_password_file": '"/etc/pdns/analyst-password"',
            },
        )
        what, mode, owner, group = world.tree()["etc/pdns/analyst-password"]
        self.assertEqual(mode, "0o100640")
        if os.geteuid() == 0:
            self.assertEqual((owner, group), (0, 4711))
        self.assertIn("user analyst on #" + hashlib.sha256(world.read("etc/pdns/analyst-password").strip().encode()).hexdigest(), world.read("etc/pdns/redis.acl"))
        self.assertEqual(world.run("--uninstall"), 0)
        self.same_tree(before, world.tree())

    def test_the_page_links_to_hunt(self):
        """By the name that the pillar has for SOC, whatever sensors call the manager; by the manager's where it has none."""
        world = self.world()
        self.assertEqual(world.run("--manager", "10.20.0.1"), 0)
        self.assertIn("PDNS_SERVE_HUNT_URL=https://so.example\n", world.read("etc/pdns/serve.env"))
        world.file(f"{LOCAL}/pillar/global/soc_global.sls", "global:\n  mdengine: 'ZEEK'\n", SOCORE)
        self.assertEqual(world.run("--manager", "2001:db8::5"), 0)
        self.assertIn("PDNS_SERVE_HUNT_URL=https://[2001:db8::5]\n", world.read("etc/pdns/serve.env"))

    def test_what_to_do_on_a_sensor_can_be_typed(self):
        """The command that a manager prints has all that a sensor needs."""
        world = self.world()
        self.assertEqual(world.run(), 0)
        self.assertIn("sudo ./install --binaries DIR --join sensor.join", world.said())

    def test_the_key_is_secret_from_its_first_byte(self):
        """Whatever the umask is, and however long it takes until somebody sets a mode."""
        world = self.installed("--without", "analyzer")
        chmod, fchmod, umask = os.chmod, os.fchmod, os.umask(0)
        os.chmod = os.fchmod = lambda *arguments, **named: None
        try:
            self.assertEqual(world.run(), 0, world.said())
        finally:
            os.chmod, os.fchmod = chmod, fchmod
            os.umask(umask)
        self.assertEqual(world.tree()["etc/pdns/analyzer-key"][1], "0o100600")
        self.assertEqual(world.read("etc/pdns/analyzer-key"), "abcdefghijklmnopqrstuvwxyz0123456789\n")

    def test_memory_of_the_store(self):
        """The unit gives Redis twice what Redis gives its data, since it forks."""
        world = self.world()
        for memory, most in (("1gb", (2 << 30) + (256 << 20)), ("500m", 10**9 + (256 << 20)), ("0", "infinity")):
            self.assertEqual(world.run("--memory", memory), 0, world.said())
            self.assertIn(f"\nMemoryMax={most}\n", world.read("etc/systemd/system/pdns-redis.service"))
            self.assertIn(f"\nmaxmemory {memory}\n", world.read("etc/pdns/redis.conf"))

    def test_what_salt_made_of_our_files_goes(self):
        """Salt copies the analyzer and never takes it away; that of another stays."""
        world = self.installed()
        for name in ("pdns/pdns.py", "pdns/site-packages/x.py", "other/other.py"):
            world.file(f"opt/so/conf/sensoroni/analyzers/{name}", "", SOCORE)
        world.file("opt/so/conf/suricata/rules/pdns-threat.lst", "", SOCORE)
        self.assertEqual(world.run("--uninstall"), 0)
        self.assertEqual(os.listdir(world.root / "opt/so/conf/sensoroni/analyzers"), ["other"])
        self.assertEqual(os.listdir(world.root / "opt/so/conf/suricata/rules"), [])

    def test_what_was_in_our_place_comes_back(self):
        """A unit of the same name, with an owner and a mode of its own."""
        world = self.world()
        world.file("etc/systemd/system/pdns-serve.service", "[Service]\nExecStart=/bin/true\n", 0, 0o600)
        before = world.tree()
        self.assertEqual(world.run(), 0)
        self.assertEqual(world.run("--uninstall"), 0)
        self.same_tree(before, world.tree())

    def test_an_interrupted_run_is_undone_too(self):
        """Stopped after any number of files, uninstall still leaves no trace."""
        from installer import plan

        replace = plan.replace
        for stop in range(1, 40, 5):
            world = self.world()
            before, left = world.tree(), [stop]

            def failing(path, *rest, left=left):
                if path.name != "state.json":
                    left[0] -= 1
                    if left[0] == 0:
                        raise OSError("no space left")
                replace(path, *rest)

            plan.replace = failing
            try:
                with contextlib.redirect_stderr(io.StringIO()):
                    world.run(*EVERYTHING)
            finally:
                plan.replace = replace
            self.assertEqual(world.run("--uninstall"), 0, world.said())
            self.same_tree(before, world.tree())

    def test_a_pillar_that_changes_meanwhile(self):
        """SOC may write at any moment: what it wrote is not lost."""
        from installer import plan

        world = self.world()
        original = plan.changes

        def slow(*arguments):
            found = original(*arguments)
            world.file(SOC, "soc:\n  new: 1\n", SOCORE)
            return found

        from installer import cli

        cli.changes = slow
        try:
            self.assertIn("run this again", self.refused(world))
        finally:
            cli.changes = original
        self.assertEqual(world.read(SOC), "soc:\n  new: 1\n")
        self.assertEqual(world.run(), 0)
        self.assertEqual(world.run("--uninstall"), 0)
        self.assertEqual(world.read(SOC), "soc:\n  new: 1\n")

    def test_the_wrapper(self):
        """The command itself, from another folder."""
        world = self.world()
        done = subprocess.run(
            [str(HERE / "install"), "--root", str(world.root), "--binaries", str(world.binaries), "--dry-run"],
            cwd="/",
            capture_output=True,
            text=True,
            check=False,
        )
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("dry run", done.stdout)


class Refusals(Case):
    """What is refused leaves all as it was."""

    def check_refused(self, world, want, *arguments):
        """One refusal."""
        before = world.tree()
        self.assertIn(want, self.refused(world, *arguments))
        self.same_tree(before, world.tree())

    def test_manager(self):
        """Not Security Onion, an unknown version or role, and what options cannot be."""
        world = self.world()
        self.check_refused(world, "no folder", "--root", "/no/such/folder")
        self.check_refused(world, "no host name", "--manager", "a b")
        self.check_refused(world, "not free", "--port", "6379")
        self.check_refused(world, "no address or prefix", "--analysts", "everyone")
        self.check_refused(world, "IPv6", "--analysts", "2001:db8::/32")
        self.check_refused(world, "both", "--tls-cert", "/x")
        self.check_refused(world, "not a size", "--memory", "much")
        self.check_refused(world, "--purge", "--purge")
        world.file("etc/soversion", "2.3.300\n")
        self.check_refused(world, "not one of those")
        world.file("etc/soversion", "2.4.110\n")
        world.file("etc/salt/grains", "role: so-searchnode\n")
        self.check_refused(world, "no DNS logs")
        (world.root / "etc/soversion").unlink()
        self.check_refused(world, "no Security Onion")

    def test_sensor(self):
        """Security Onion's own Redis, however it is named."""
        world = self.world("sensor")
        for url in ("redis://so.example:6379", "rediss://so.example:9696/0", "redis://so.example", "redis://[::1]:6379"):
            self.check_refused(world, "Logstash queue", "--redis", url)
        self.check_refused(world, "password", "--redis", "rediss://:secret@so.example:6953")
        self.check_refused(world, "no address", "--redis", "http://so.example")
        self.check_refused(world, "no valid port", "--redis", "redis://so.example:99999")
        join = world.top / "join"
        certificate = "-----BEGIN CERTIFICATE-----\nx\n"
        join.write_text(f"redis=redis://so.example:6379\nuser=a\npassword=b\n{certificate}")
        self.check_refused(world, "Logstash queue", "--join", str(join))
        join.write_text("hello\n")
        self.check_refused(world, "is not", "--join", str(join))
        self.check_refused(world, "cannot read", "--join", str(world.top / "none"))
        # Said so by the operator, it is taken.
        arguments = ["--redis", "redis://other.example:6379", "--not-security-onions-redis"]
        self.assertEqual(world.run(*arguments), 0, world.said())
        self.assertIn("PDNS_REDIS=redis://other.example:6379\n", world.read("etc/pdns/agent.env"))
        # The agent is told the same, and the next run knows it.
        self.assertIn("PDNS_NOT_SECURITY_ONIONS_REDIS=1\n", world.read("etc/pdns/agent.env"))
        self.assertEqual(world.run(), 0, world.said())
        self.assertIn("to do: nothing", world.said())

    def test_other_roles(self):
        """No redis-server and no programs."""
        world = self.world()
        (world.binaries / "redis-server").unlink()
        self.check_refused(world, "there is no redis-server")
        (world.binaries / "pdns").unlink()
        self.check_refused(world, "there is no pdns")
        world.file("usr/bin/pdns", "")
        world.file("usr/bin/valkey-server", "")
        self.assertEqual(world.run(), 0, world.said())
        self.assertIn("ExecStart=/usr/bin/valkey-server ", world.read("etc/systemd/system/pdns-redis.service"))
        self.assertIn("ExecStart=/usr/bin/pdns serve ", world.read("etc/systemd/system/pdns-serve.service"))

    def test_with_an_action_list_of_the_sites_own(self):
        """Pillars that cannot be edited safely."""
        for text, want in (
            ("soc:\n  config:\n    actions: {{ x }}\n", "template"),
            ("#!py\ndef run(): pass\n", "template"),
            ("soc:\n  a: &x 1\n  b: *x\n", "aliases"),
            ("soc: [\n", "no valid YAML"),
            ("- a\n", "no mapping"),
            ("soc:\n  config:\n    actions: none\n", "no list"),
        ):
            world = self.world()
            world.file(SOC, text, SOCORE)
            self.check_refused(world, want)
        world = self.world()
        world.file(f"{LOCAL}/pillar/soc/adv_soc.sls", "soc:\n  config:\n    actions: []\n", SOCORE)
        self.check_refused(world, "by hand")
        world.file(f"{LOCAL}/pillar/soc/adv_soc.sls", "# no actions here\nsoc:\n  config: {server: {x: actions}}\n", SOCORE)
        self.assertEqual(world.run("--dry-run"), 0, world.said())
        world.file(f"{LOCAL}/pillar/soc/adv_soc.sls", "soc: {{ actions }}\n", SOCORE)
        self.check_refused(world, "by hand")
        world = self.world()
        (world.root / SOC).unlink()
        os.symlink("/etc/passwd", world.root / SOC)
        self.check_refused(world, "link")

    def test_notes_that_cannot_be_read(self):
        """Without them nothing is touched."""
        world = self.world()
        self.assertEqual(world.run(), 0)
        path = Path(world.root / "var/lib/pdns-securityonion/state.json")
        kept = path.read_text()
        path.write_text("{")
        self.check_refused(world, "cannot read")
        path.write_text(json.dumps({**json.loads(kept), "state": 99}))
        self.check_refused(world, "another version", "--uninstall")
