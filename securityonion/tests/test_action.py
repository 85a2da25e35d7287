"""The action in SOC's list: every default stays, and what a click opens is what was meant, whatever the value."""

import os
import re
import urllib.parse

import yaml

from installer import action, cli
from installer.merges import undo
from installer.yamledit import Document

from .world import ACTIONS, ACTIONS_3, DEFAULT, LOCAL, SOCORE, Case

SOC = f"{LOCAL}/pillar/soc/soc_soc.sls"

# What people and hostile DNS put into a field.
VALUES = [
    "www.example.com",
    "192.0.2.7",
    "2001:db8::1",
    "a.example,b.example,192.0.2.7",
    '"quoted.example"',
    "it's",
    "{{7*7}}",
    "{value}",
    "{field}{value}",
    "$&$1$$",
    "a&field=evil#x?y=z%00",
    "<script>alert(1)</script>",
    "../../etc/passwd",
    "a b\tc\nd",
    "b\u00fccher.example",
    "\U0001f4a9.example",
    "\\\\host\\share",
    "x" * 300,
    "443",
    "",
]


# As SOC has it in an event.
TIME = "2026-02-11T08:09:10.123Z"


def encode(text):
    """JavaScript's encodeURIComponent."""
    return urllib.parse.quote(text, safe="!'()*-._~")


def formatted(link, field, value, event):
    """What SOC makes of a link: each token once, the first, by String.replace with a string; None when a field is missing.

    `$&` and its like in the replacement are read by String.replace; encoded as they are (%24%26), they never get there.
    """
    for name in re.findall(r"\{:([@a-zA-Z0-9_.]+)", link):
        if name not in event:
            return None
    for token, text in (("{eventId}", event.get("soc_id", "")), ("{field}", field), ("{value}", value)):
        link = link.replace(token, encode(text), 1)
    for name in re.findall(r"\{:([@a-zA-Z0-9_.]+)\}", link):
        link = link.replace("{:" + name + "}", encode(event[name]), 1)
    return link


class Links(Case):
    """What a click opens."""

    def test_hostile_values(self):
        """The page gets the value and the field as they were, and nothing else."""
        for host in ("so.example", "192.0.2.1", "2001:db8::5"):
            entry = action.action(host, 8953, "all")
            self.assertIsNone(formatted(entry["links"][0], "dns.query.name", "grouped.example", {}))
            for value in VALUES:
                for link, event in ((entry["links"][0], {"@timestamp": TIME}), (entry["links"][1], {})):
                    with self.subTest(value, link=link):
                        url = urllib.parse.urlsplit(formatted(link, "dns.query.name", value, event))
                        self.assertEqual((url.scheme, url.hostname, url.port, url.path), ("https", host, 8953, "/context"))
                        self.assertEqual(url.fragment, "")
                        got = urllib.parse.parse_qs(url.query, keep_blank_values=True, strict_parsing=True)
                        times = {"t": [TIME]} if event else {}
                        self.assertEqual(got, {"q": [value], "field": ["dns.query.name"], **times})

    def test_each_token_stands_once(self):
        """SOC replaces the first of each, and no more."""
        for on in ("all", "names"):
            for link in action.action("so.example", 8953, on)["links"]:
                for token in ("{value}", "{field}"):
                    self.assertEqual(link.count(token), 1)

    def test_a_plain_link(self):
        """A background action shows nothing; `_blank` leaves the analyst's page alone."""
        entry = action.action("so.example", 8953, "all")
        self.assertEqual(entry["target"], "_blank")
        self.assertEqual(set(entry), {"name", "description", "icon", "target", "links"})
        self.assertIn("userSelection", action.action("so.example", 8953, "names")["fields"])


class Lists(Case):
    """The merged list."""

    def merged(self, world):
        """The list as salt would have it: a list in the pillar stands for the whole."""
        pillar = yaml.safe_load(world.read(SOC)) or {}
        defaults = yaml.safe_load(world.read(f"{DEFAULT}/salt/soc/defaults.yaml"))
        return pillar.get("soc", {}).get("config", {}).get("actions", defaults["soc"]["config"]["actions"])

    def test_every_default_stays(self):
        """As it is, in its order, and ours behind; in 2.4 and in 3."""
        for version, text in (("2.4.211", ACTIONS), ("3.1.0", ACTIONS_3)):
            world = self.world(version=version)
            self.assertEqual(world.run(), 0)
            defaults = yaml.safe_load(text)["soc"]["config"]["actions"]
            self.assertEqual(self.merged(world)[:-1], defaults)
            self.assertEqual(self.merged(world)[-1]["name"], "pDNS")
            for mark in ("{{", "{%", "{#"):
                self.assertNotIn(mark, world.read(SOC))

    def test_a_list_in_the_pillar_is_extended(self):
        """With its comments, and without the defaults that the site took out."""
        world = self.world()
        world.file(SOC, "soc:\n  config:\n    actions:\n      - name: only   # the site's\n        links: ['/x']\n", SOCORE)
        self.assertEqual(world.run(), 0)
        self.assertEqual([item["name"] for item in self.merged(world)], ["only", "pDNS"])
        self.assertIn("# the site's", world.read(SOC))

    def test_defaults_of_an_update_are_taken_over(self):
        """A list that was seeded would hide them; one that the site took out stays out."""
        world = self.world()
        before = world.tree()
        self.assertEqual(world.run(), 0)
        document = Document(world.read(SOC), SOC)
        document.remove_item(action.PATH, lambda item: item["name"] == "actionCyberChef")
        world.file(SOC, document.text, SOCORE, 0o660)
        world.file(f"{DEFAULT}/salt/soc/defaults.yaml", ACTIONS_3, SOCORE)
        self.assertEqual(world.run(), 0)
        names = [item["name"] for item in self.merged(world)]
        self.assertIn("actionProcessAncestors", names)
        self.assertNotIn("actionCyberChef", names)
        self.assertEqual(names[-1], "pDNS")
        self.assertEqual(world.run(), 0)
        self.assertIn("to do: nothing", world.said())
        self.assertEqual(world.run("--uninstall"), 0)
        self.assertNotIn("pDNS", world.read(SOC))
        self.assertIn("actionProcessAncestors", world.read(SOC))
        after = world.tree()
        del before[SOC], after[SOC]
        before[f"{DEFAULT}/salt/soc/defaults.yaml"] = after[f"{DEFAULT}/salt/soc/defaults.yaml"]
        self.same_tree(before, after)

    def test_a_file_that_soc_wrote_anew(self):
        """SOC keeps no comments and sorts keys: our entry is taken out, what SOC set since stays."""
        world = self.world()
        self.assertEqual(world.run(), 0)
        data = yaml.safe_load(world.read(SOC))
        data["soc"]["config"]["server"] = {"maxPacketCount": 7}
        world.file(SOC, yaml.safe_dump(data), SOCORE, 0o660)
        self.assertEqual(world.run(), 0)
        self.assertIn("to do: nothing", world.said())
        self.assertEqual(world.run("--uninstall"), 0)
        # The seeded list goes as well, so that the defaults of the next update show.
        self.assertEqual(yaml.safe_load(world.read(SOC)), {"soc": {"config": {"server": {"maxPacketCount": 7}}}})

    def test_real_defaults(self):
        """Security Onion's own file, when the tester has it (PDNS_SO_DEFAULTS names soc/defaults.yaml)."""
        path = os.environ.get("PDNS_SO_DEFAULTS")
        if not path:
            self.skipTest("no defaults.yaml of Security Onion: set PDNS_SO_DEFAULTS")
        world = self.world()
        with open(path, encoding="utf-8") as file:
            text = file.read()
        world.file(f"{DEFAULT}/salt/soc/defaults.yaml", text, SOCORE)
        before = world.tree()
        self.assertEqual(world.run(), 0, world.said())
        self.assertEqual(self.merged(world)[:-1], yaml.safe_load(text)["soc"]["config"]["actions"])
        self.assertEqual(world.run("--uninstall"), 0)
        self.same_tree(before, world.tree())


class Firewall(Case):
    """The groups."""

    PILLAR = f"{LOCAL}/pillar/firewall/soc_firewall.sls"

    def rules(self, world, role):
        """What salt would make of it: (address, port), as the template does."""
        firewall = yaml.safe_load(world.read(self.PILLAR))["firewall"]
        chain = firewall["role"][role]["chain"]["INPUT"]["hostgroups"]
        return {
            (address, port)
            for group, entry in chain.items()
            for address in firewall["hostgroups"][group]
            for name in entry["portgroups"]
            for port in firewall["portgroups"][name]["tcp"]
        }

    def test_free_groups_are_taken(self):
        """The site's own group and comment stay; analysts reach the page and sensors the store, and no other."""
        world = self.world()
        self.assertEqual(world.run("--analysts", "10.9.0.0/24,10.8.0.1", "--sensors", "auto"), 0)
        self.assertEqual(
            self.rules(world, "manager"),
            {
                ("10.9.2.0/24", "9100"),
                ("10.9.0.0/24", "8953"),
                ("10.8.0.1", "8953"),
                ("10.9.1.11", "6953"),
                ("10.9.1.12", "6953"),
            },
        )
        self.assertIn("# the site's own", world.read(self.PILLAR))
        self.assertIn("# kept by so-firewall", world.read(self.PILLAR))

    def test_groups_of_single_nodes_are_not_free(self):
        """A minion's own pillar may use one."""
        world = self.world("standalone")
        world.file(f"{LOCAL}/pillar/minions/other.sls", "firewall:\n  hostgroups:\n    customhostgroup1: [10.0.0.1]\n", SOCORE)
        self.assertEqual(world.run("--analysts", "10.9.0.0/24"), 0)
        data = yaml.safe_load(world.read(self.PILLAR))["firewall"]
        self.assertEqual(data["hostgroups"]["customhostgroup2"], ["10.9.0.0/24"])
        self.assertNotIn("customhostgroup1", data["hostgroups"])
        self.assertIn(("10.9.0.0/24", "8953"), self.rules(world, "standalone"))

    def test_edited_since(self):
        """What so-firewall wrote since stays when ours goes."""
        world = self.world()
        original = yaml.safe_load(world.read(self.PILLAR))
        self.assertEqual(world.run("--analysts", "10.9.0.0/24"), 0)
        data = yaml.safe_load(world.read(self.PILLAR))
        data["firewall"]["hostgroups"]["analyst"].append("10.7.0.0/24")
        world.file(self.PILLAR, yaml.safe_dump(data), SOCORE, 0o640)
        self.assertEqual(world.run("--analysts", "10.9.0.0/24"), 0)
        self.assertIn("to do: nothing", world.said())
        self.assertEqual(world.run("--uninstall"), 0)
        original["firewall"]["hostgroups"]["analyst"].append("10.7.0.0/24")
        self.assertEqual(yaml.safe_load(world.read(self.PILLAR)), original)

    def test_no_free_group(self):
        """Said before anything is written."""
        world = self.world()
        groups = "".join(f"    customhostgroup{number}: [10.0.0.{number}]\n" for number in range(10))
        world.file(self.PILLAR, "firewall:\n  hostgroups:\n" + groups, SOCORE)
        before = world.tree()
        with self.assertRaisesRegex(Exception, "0 custom groups left"):
            options = cli.parser().parse_args(["--root", str(world.root), "--analysts", "10.0.0.0/8"])
            from installer import firewall, host, plan

            firewall.merge(host.examine(options), options, plan.State(world.root))
        self.same_tree(before, world.tree())

    def test_empty_groups_are_taken_and_given_back(self):
        """A pillar in which SOC wrote all ten as empty lists."""
        world = self.world()
        text = "firewall:\n  hostgroups:\n" + "".join(f"    customhostgroup{number}: []\n" for number in range(10))
        world.file(self.PILLAR, text, SOCORE)
        self.assertEqual(world.run("--analysts", "10.9.0.0/24"), 0)
        self.assertIn(("10.9.0.0/24", "8953"), self.rules(world, "manager"))
        edited = world.read(self.PILLAR) + "# more\n"
        world.file(self.PILLAR, edited, SOCORE)
        self.assertEqual(world.run("--uninstall"), 0)
        self.assertEqual(yaml.safe_load(world.read(self.PILLAR)), yaml.safe_load(text))


class Undo(Case):
    """Steps of a newer installer."""

    def test_unknown_step(self):
        """Are refused, not skipped."""
        with self.assertRaisesRegex(Exception, "older"):
            undo("a: 1\n", "x", [["dance", ["a"]]])
