"""The lists that are kept fresh: others' lines stay as they are, ours come and go, and what did not change is not written."""

import contextlib
import io
import os
import random
from importlib import util

from .world import HERE, LOCAL, SOCORE, Case

spec = util.spec_from_file_location("pdns_refresh", HERE / "refresh/refresh.py")
refresh = util.module_from_spec(spec)
spec.loader.exec_module(refresh)

INTEL = f"{LOCAL}/salt/zeek/policy/intel/intel.dat"
CSV = "nsm/custom-mappings/ip-descriptions.csv"
DATASET = f"{LOCAL}/salt/suricata/rules/pdns-threat.lst"

# As `pdns export --format zeek-intel` writes it.
HEADER = "#fields\tindicator\tindicator_type\tmeta.source\tmeta.desc\tmeta.url\n"


class Lists(Case):
    """On a manager, with a pdns that answers what the test says."""

    def setUp(self):
        self.node = self.world()
        self.answers = self.node.top / "answers"
        self.answers.mkdir()
        os.environ["PDNS_FAKE"] = str(self.answers)
        self.addCleanup(os.environ.pop, "PDNS_FAKE")
        self.code(1)

    def code(self, number):
        """The exit code of an export that the test has no file for."""
        (self.answers / "code").write_text(str(number))

    def answer(self, name, text):
        """What `pdns export` will write; None for nothing found."""
        path = self.answers / name
        if text is None:
            path.unlink()
        else:
            path.write_text(text)

    def run_list(self, name, want=0):
        """One refresh; gives what it said."""
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = refresh.main([name, "--root", str(self.node.root), "--pdns", str(self.node.binaries / "pdns")])
        self.assertEqual(code, want, out.getvalue() + err.getvalue())
        return out.getvalue() + err.getvalue()

    def take_out(self, name):
        """What --uninstall does."""
        refresh.take_out(name, str(self.node.root), False, lambda line: None)

    def test_intel_from_nothing(self):
        """A header that Zeek takes, one TAB between, no blank at an end, notices asked for; and away again."""
        before = self.node.tree()
        self.answer("zeek-intel", HEADER + "evil.example\tIntel::DOMAIN\tpdns\ta note\t-\n192.0.2.7\tIntel::ADDR\tpdns\t\t-\n")
        self.run_list("zeek-intel")
        self.assertEqual(
            self.node.read(INTEL),
            "#fields\tindicator\tindicator_type\tmeta.source\tmeta.desc\tmeta.url\tmeta.do_notice\n"
            "evil.example\tIntel::DOMAIN\tpdns\ta note\t-\tT\n192.0.2.7\tIntel::ADDR\tpdns\t-\t-\tT\n",
        )
        if os.geteuid() == 0:
            self.assertEqual(self.node.tree()[INTEL][1:], ("0o100644", SOCORE, SOCORE))
        written = self.node.tree()
        self.assertIn("nothing changed", self.run_list("zeek-intel"))
        self.same_tree(written, self.node.tree())
        self.take_out("zeek-intel")
        after = self.node.tree()
        after.pop("var/lib/pdns-securityonion")
        self.same_tree(before, after)

    def test_intel_of_others_stays(self):
        """Their header decides the columns; their rows stay where they are, to the byte."""
        others = "#fields\tindicator_type\tindicator\tmeta.source\tmeta.do_notice\nIntel::ADDR\t10.0.0.1\tmisp\tF\n"
        for tail in ("", "\n", "Intel::DOMAIN\tunended.example\tmisp\tT"):
            self.node.file(INTEL, others + tail, SOCORE, 0o640)
            before = self.node.tree()
            self.answer("zeek-intel", HEADER + "evil.example\tIntel::DOMAIN\tx\ty\t-\n")
            self.run_list("zeek-intel")
            text = self.node.read(INTEL)
            self.assertTrue(text.startswith(others + tail.strip("\n")))
            self.assertTrue(text.endswith("\nIntel::DOMAIN\tevil.example\tpdns\tT\n"), text)
            self.assertNotIn("\n\n", text)
            self.assertEqual(self.node.tree()[INTEL][1], "0o100640")
            # Another tool adds a row behind ours; an answer of other rows replaces ours alone.
            self.node.file(INTEL, text + "Intel::ADDR\t10.0.0.2\totx\tT\n", SOCORE, 0o640)
            self.answer("zeek-intel", HEADER + "worse.example\tIntel::DOMAIN\tx\ty\t-\n")
            self.run_list("zeek-intel")
            text = self.node.read(INTEL)
            self.assertNotIn("evil.example", text)
            self.assertIn("10.0.0.2", text)
            self.node.file(INTEL, text.replace("Intel::ADDR\t10.0.0.2\totx\tT\n", ""), SOCORE, 0o640)
            self.take_out("zeek-intel")
            after = self.node.tree()
            after.pop("var/lib/pdns-securityonion", None)
            before.pop("var/lib/pdns-securityonion", None)
            self.same_tree(before, after)

    def test_intel_that_salt_would_render(self):
        """A name of hostile DNS must not break Zeek's state on every sensor."""
        rows = "a{{7*7}}.example\tIntel::DOMAIN\tpdns\t-\t-\nb.example\tIntel::DOMAIN\tpdns\t{% raw %}\t-\nc.example\tIntel::DOMAIN\tpdns\t-\t-\n"
        self.answer("zeek-intel", HEADER + rows + "short\trow\n")
        self.assertIn("3 rows were left out", self.run_list("zeek-intel"))
        self.assertNotIn("{", self.node.read(INTEL))
        self.assertIn("c.example", self.node.read(INTEL))

    def test_intel_without_the_columns(self):
        """Is somebody else's, and stays."""
        self.node.file(INTEL, "#fields\tsomething\nx\n", SOCORE)
        before = self.node.tree()
        self.answer("zeek-intel", HEADER + "evil.example\tIntel::DOMAIN\tpdns\t-\t-\n")
        self.assertIn("no column", self.run_list("zeek-intel", 2))
        self.same_tree(before, self.node.tree())

    def test_descriptions(self):
        """IPv4 alone, one row an address, others' rows first, quoted as CSV; and away again."""
        self.node.folder("nsm/custom-mappings")
        others = "IP,Description\n10.0.0.1,Router\n10.0.0.2,\"Printer, 2nd floor\"\n"
        self.node.file(CSV, others, 0, 0o664)
        before = self.node.tree()
        self.answer(
            "ip-descriptions",
            "IP,Description\n192.0.2.7,www.example.com\n10.0.0.1,not.ours.example\n2001:db8::1,six.example\n"
            "192.0.2.8,\"a,b \"\"c\"\"\"\n192.0.2.7,again.example\n192.0.2.9,=cmd()\n192.0.2.10,\n999.1.1.1,x\nnone\n192.0.2.11,a\x1b[31mb\n",
        )
        self.run_list("ip-descriptions")
        self.assertEqual(
            self.node.read(CSV),
            others + '192.0.2.7,www.example.com\n192.0.2.8,"a,b ""c"""\n192.0.2.9,cmd()\n192.0.2.11,a[31mb\n',
        )
        self.assertEqual(self.node.tree()[CSV][1], "0o100664")
        # A row that somebody writes for one of our addresses wins at the next run.
        self.node.file(CSV, self.node.read(CSV) + "192.0.2.7,Web server\n", 0, 0o664)
        self.run_list("ip-descriptions")
        self.assertNotIn("192.0.2.7,www", self.node.read(CSV))
        self.assertIn("192.0.2.7,Web server\n", self.node.read(CSV))
        self.node.file(CSV, self.node.read(CSV).replace("192.0.2.7,Web server\n", ""), 0, 0o664)
        self.take_out("ip-descriptions")
        after = self.node.tree()
        after.pop("var/lib/pdns-securityonion")
        self.same_tree(before, after)

    def test_descriptions_are_replaced_by_rename(self):
        """Elastic Agent tails the file: only a new inode is read as a whole. The old one is kept."""
        self.node.file(CSV, "IP,Description\n10.0.0.1,Router\n")
        old = (self.node.root / CSV).stat().st_ino
        with open(self.node.root / CSV, encoding="utf-8") as held:
            self.answer("ip-descriptions", "IP,Description\n192.0.2.7,a.example\n")
            self.run_list("ip-descriptions")
            self.assertNotEqual((self.node.root / CSV).stat().st_ino, old)
            self.assertEqual(held.read(), "IP,Description\n10.0.0.1,Router\n")
        self.assertEqual(self.node.read("var/lib/pdns-securityonion/ip-descriptions.bak"), "IP,Description\n10.0.0.1,Router\n")
        inode = (self.node.root / CSV).stat().st_ino
        self.run_list("ip-descriptions")
        self.assertEqual((self.node.root / CSV).stat().st_ino, inode)

    def test_descriptions_with_another_header(self):
        """Stay as they are."""
        for text in ("ip;name\n", "10.0.0.1,Router\n"):
            self.node.file(CSV, text)
            self.answer("ip-descriptions", "IP,Description\n192.0.2.7,a.example\n")
            self.assertIn("first line", self.run_list("ip-descriptions", 2))
            self.assertEqual(self.node.read(CSV), text)

    def test_bounds(self):
        """No more rows than the list may have, and no file that cannot be one."""
        target = refresh.TARGETS["ip-descriptions"]
        rows = "".join(f"10.{n >> 16}.{n >> 8 & 255}.{n & 255},n{n}.example\n" for n in range(target.most + 10))
        self.answer("ip-descriptions", "IP,Description\n" + rows)
        self.assertIn("10 rows were left out", self.run_list("ip-descriptions"))
        self.assertEqual(self.node.read(CSV).count("\n"), target.most + 1)
        most, refresh.MAX_FILE = refresh.MAX_FILE, 1000
        try:
            self.assertIn("cannot be the right file", self.run_list("ip-descriptions", 2))
        finally:
            refresh.MAX_FILE = most

    def test_dataset(self):
        """A file of ours alone: Base64 a line, each once; gone with us."""
        before = self.node.tree()
        self.answer("suricata-dataset", "ZXZpbC5leGFtcGxl\nZXZpbC5leGFtcGxl\nnot base64\n\nYy5leGFtcGxl\n")
        self.run_list("suricata-dataset")
        self.assertEqual(self.node.read(DATASET), "ZXZpbC5leGFtcGxl\nYy5leGFtcGxl\n")
        self.take_out("suricata-dataset")
        after = self.node.tree()
        after.pop("var/lib/pdns-securityonion")
        self.same_tree(before, after)

    def test_an_export_that_fails(self):
        """Leaves the list alone; one that found nothing empties ours."""
        self.answer("zeek-intel", HEADER + "evil.example\tIntel::DOMAIN\tpdns\t-\t-\n")
        self.run_list("zeek-intel")
        written = self.node.tree()
        self.answer("zeek-intel", None)
        self.code(2)
        self.assertIn("ended with 2", self.run_list("zeek-intel", 2))
        self.same_tree(written, self.node.tree())
        self.code(0)
        self.assertIn("wrote no file", self.run_list("zeek-intel", 2))
        self.same_tree(written, self.node.tree())
        self.code(1)
        self.run_list("zeek-intel")
        self.assertNotIn("evil.example", self.node.read(INTEL))
        (self.node.binaries / "pdns").unlink()
        self.assertIn("cannot run", self.run_list("zeek-intel", 2))

    def test_nothing_to_write(self):
        """No file is made for an empty answer."""
        before = self.node.tree()
        for name in refresh.TARGETS:
            self.assertIn("nothing to write", self.run_list(name) + "nothing to write" * (name == "suricata-dataset"))
        self.same_tree(before, self.node.tree())

    def test_with_the_installer(self):
        """Installed, refreshed twice beside another tool, uninstalled: no trace."""
        self.node.file(INTEL, "#fields\tindicator\tindicator_type\tmeta.source\n10.0.0.1\tIntel::ADDR\tmisp\n", SOCORE)
        self.node.file(CSV, "IP,Description\n10.0.0.1,Router\n")
        before = self.node.tree()
        options = [word for name in refresh.TARGETS for word in ("--opt-in", name)]
        self.assertEqual(self.node.run(*options), 0)
        self.answer("zeek-intel", HEADER + "evil.example\tIntel::DOMAIN\tpdns\t-\t-\n")
        self.answer("ip-descriptions", "IP,Description\n192.0.2.7,a.example\n")
        self.answer("suricata-dataset", "ZXZpbC5leGFtcGxl\n")
        for name in refresh.TARGETS:
            self.run_list(name)
        self.assertEqual(self.node.run(*options), 0)
        self.assertIn("to do: nothing", self.node.said())
        self.assertEqual(self.node.run("--uninstall"), 0, self.node.said())
        self.same_tree(before, self.node.tree())

    def test_a_list_that_is_not_wanted_any_more(self):
        """Its timer stops, and our rows go."""
        self.node.file(INTEL, "#fields\tindicator\tindicator_type\tmeta.source\n", SOCORE)
        self.assertEqual(self.node.run("--opt-in", "zeek-intel"), 0)
        self.answer("zeek-intel", HEADER + "evil.example\tIntel::DOMAIN\tpdns\t-\t-\n")
        self.run_list("zeek-intel")
        self.assertIn("evil.example", self.node.read(INTEL))
        self.assertEqual(self.node.run("--dry-run"), 0)
        self.assertIn("evil.example", self.node.read(INTEL))
        self.assertEqual(self.node.run(), 0, self.node.said())
        self.assertIn("run systemctl disable --now pdns-refresh@zeek-intel.timer", self.node.said())
        self.assertEqual(self.node.read(INTEL), "#fields\tindicator\tindicator_type\tmeta.source\n")
        self.assertEqual(self.node.run(), 0)
        self.assertIn("to do: nothing", self.node.said())

    def test_random_rounds(self):
        """Fifty rounds of two writers on one Intel file: neither loses a row of its own."""
        chance = random.Random(7)
        theirs = ["#fields\tindicator\tindicator_type\tmeta.source"]
        self.node.file(INTEL, theirs[0] + "\n", SOCORE)
        for number in range(50):
            ours = chance.sample([f"p{n}.example" for n in range(9)], chance.randint(1, 9))
            self.answer("zeek-intel", HEADER + "".join(f"{name}\tIntel::DOMAIN\tpdns\t-\t-\n" for name in ours))
            self.run_list("zeek-intel")
            lines = self.node.read(INTEL).splitlines()
            self.assertEqual([line for line in lines if not line.endswith("\tpdns")], theirs)
            self.assertEqual([line.split("\t")[0] for line in lines if line.endswith("\tpdns")], ours)
            row = f"t{number}.example\tIntel::DOMAIN\tmisp"
            theirs.append(row)
            lines.insert(chance.randint(1, len(lines)), row)
            theirs = [line for line in lines if not line.endswith("\tpdns")]
            self.node.file(INTEL, "\n".join(lines) + "\n", SOCORE)
