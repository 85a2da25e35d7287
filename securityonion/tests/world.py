"""A folder that looks like a Security Onion node: what the tests install into.

Paths, owners and modes are those that Security Onion's salt states set; the lists are short ones of the same shape, with
everything in them that has to survive: quotes, braces, comments, long lines, empty values.
"""

import contextlib
import hashlib
import io
import os
import shutil
import stat
import sys
import tempfile
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
if str(HERE) not in sys.path:
    sys.path.insert(0, str(HERE))

from installer import cli  # noqa: E402

# Thousands of small files are written here, none of which has to outlive the machine.
os.fsync = lambda number: None

SOCORE, ZEEK, SURICATA = 939, 937, 940
LOCAL = "opt/so/saltstack/local"
DEFAULT = "opt/so/saltstack/default"

ACTIONS = """\
soc:
  enabled: False
  config:
    logLevel: info
    actions:
      - name: actionHunt
        description: actionHuntHelp
        icon: fa-crosshairs
        target:
        links:
          - '/#/hunt?q="{value|escape}" | groupby event.module* | groupby -sankey event.module* event.dataset'
      - name: actionAddToCase
        description: actionAddToCaseHelp
        icon: fa-briefcase
        jsCall: openAddToCaseDialog
        categories:
          - hunt
          - alerts
      - name: actionCorrelate
        description: actionCorrelateHelp
        icon: fab fa-searchengin
        target: ''
        links:
          - '/#/hunt?q=("{:log.id.fuid}" OR "{:log.id.uid}" OR "{:network.community_id}") | groupby event.module'
          - '/#/hunt?q="{:log.id.uid}" | groupby event.module'
      - name: actionPcap
        description: actionPcapHelp
        icon: fa-stream
        target: ''
        links:
          - '/joblookup?esid={:soc_id}&time={:@timestamp}'
        categories:
          - hunt
      - name: actionCyberChef
        description: actionCyberChefHelp
        icon: fas fa-bread-slice
        target: _blank
        links:
          - '/cyberchef/#input={value|base64}'
"""

# Security Onion 3 has more of them.
ACTIONS_3 = ACTIONS + """\
      - name: actionProcessAncestors
        description: actionProcessAncestorsHelp
        icon: fa-people-roof
        target: ''
        links:
          - '/#/hunt?q=(process.entity_id:"{:process.entity_id}" OR process.entity_id:"{:process.Ext.ancestry|processAncestors}")'
"""

FIREWALL = """\
# kept by so-firewall and SOC
firewall:
  hostgroups:
    analyst:
    - 10.9.0.0/24
    sensor:
    - 10.9.1.11
    - 10.9.1.12
    customhostgroup0:    # the site's own
    - 10.9.2.0/24
  portgroups:
    customportgroup0:
      tcp:
      - '9100'
      udp: []
  role:
    manager:
      chain:
        INPUT:
          hostgroups:
            customhostgroup0:
              portgroups:
              - customportgroup0
"""

# A pdns that answers as far as the installer and the refresher ask.
PDNS = """\
#!/bin/sh
case "$1 $2 $3" in
"serve user add") echo abcdefghijklmnopqrstuvwxyz0123456789; echo "$4 is in $6" >&2; echo "[[user]]" >> "$6"; exit 0 ;;
esac
case "$1" in
export)
    while [ $# -gt 0 ]; do
        case "$1" in
        --format) format=$2 ;;
        --out) out=$2 ;;
        esac
        shift
    done
    if [ -f "$PDNS_FAKE/$format" ]; then cp "$PDNS_FAKE/$format" "$out"; exit 0; fi
    exit "$(cat "$PDNS_FAKE/code")"
    ;;
esac
exit 2
"""


class World:
    """One node below a temporary folder."""

    def __init__(self, role="manager", version="2.4.211", engine="ZEEK"):
        self.top = Path(tempfile.mkdtemp(prefix="pdns-so-"))
        self.root = self.top / "root"
        self.lines = []
        self.file("etc/soversion", version + "\n")
        self.file("etc/hostname", "grid\n")
        self.file("etc/salt/grains", f"role: so-{role}\n")
        self.file("etc/salt/minion_id", f"grid_{role}\n")
        for folder in ("etc/systemd/system", "etc/sysusers.d", "etc/tmpfiles.d", "usr/local/bin", "usr/bin", "var/lib", "run"):
            self.folder(folder)
        self.folder("opt/so", SOCORE)
        self.folder("nsm", SOCORE)
        if role in ("manager", "managersearch", "standalone", "eval", "import"):
            self.manager(version, engine)
        if role in ("sensor", "standalone", "eval", "heavynode"):
            self.sensor(engine)
        self.binaries = self.top / "binaries"
        self.binaries.mkdir()
        for name, text in (("pdns", PDNS), ("pdns-agent", "#!/bin/sh\n"), ("redis-server", "#!/bin/sh\n")):
            (self.binaries / name).write_text(text)
            (self.binaries / name).chmod(0o755)

    def manager(self, version, engine):
        """The salt trees."""
        for tree in (LOCAL, DEFAULT):
            self.folder(f"{tree}/salt/sensoroni/files/analyzers", SOCORE)
            self.folder(f"{tree}/salt/suricata/rules", SOCORE)
        self.file(f"{DEFAULT}/salt/soc/defaults.yaml", ACTIONS_3 if version.startswith("3") else ACTIONS, SOCORE)
        self.file(f"{DEFAULT}/salt/sensoroni/files/analyzers/helpers.py", "import os\n", SOCORE)
        load = '@load frameworks/intel/seen\nredef Intel::read_files += { "/opt/zeek/share/zeek/policy/intel/intel.dat" };\n'
        self.file(f"{DEFAULT}/salt/zeek/policy/intel/__load__.zeek", load, SOCORE)
        self.file(f"{DEFAULT}/salt/zeek/policy/intel/intel.dat", "#fields\tindicator\tindicator_type\tmeta.source\tmeta.do_notice\n", SOCORE)
        self.folder(f"{LOCAL}/salt/zeek/policy/intel", SOCORE)
        pillar = f"{LOCAL}/pillar"
        self.file(f"{pillar}/global/soc_global.sls", f"global:\n  soversion: '{version}'\n  mdengine: '{engine}'\n  url_base: so.example\n", SOCORE)
        self.file(f"{pillar}/soc/soc_soc.sls", "", SOCORE, 0o660)
        self.file(f"{pillar}/soc/adv_soc.sls", "", SOCORE)
        self.file(f"{pillar}/firewall/soc_firewall.sls", FIREWALL, SOCORE, 0o640)
        self.file(f"{pillar}/firewall/adv_firewall.sls", "", SOCORE)
        self.file(f"{pillar}/minions/grid_manager.sls", "host:\n  mainint: eth0\n", SOCORE)

    def sensor(self, engine):
        """The logs."""
        if engine == "ZEEK":
            self.folder("nsm/zeek/logs", ZEEK)
            self.folder("nsm/zeek/spool/zeeksa", ZEEK)
            os.symlink("/nsm/zeek/spool/zeeksa", self.root / "nsm/zeek/logs/current")
        else:
            self.file("nsm/suricata/eve-2026-01-01-00:00.json", "", SURICATA)

    def folder(self, path, owner=0):
        """A folder, and those above it."""
        place = self.root
        for part in Path(path).parts:
            place = place / part
            if not place.is_dir():
                place.mkdir(parents=True)
                place.chmod(0o755)
                self.own(place, owner)

    def file(self, path, text, owner=0, mode=0o644):
        """A file."""
        self.folder(str(Path(path).parent), owner)
        place = self.root / path
        place.write_text(text)
        place.chmod(mode)
        self.own(place, owner)

    def own(self, place, owner):
        """Owners can be set by root alone; without, they are all the tester's."""
        if os.geteuid() == 0:
            os.chown(place, owner, owner)

    def read(self, path):
        """A file's text."""
        return (self.root / path).read_text()

    def run(self, *arguments):
        """Runs the installer; gives its exit code, and keeps what it said."""
        self.lines = []
        return cli.main(["--root", str(self.root), "--binaries", str(self.binaries), *arguments], self.lines.append)

    def said(self):
        """What the last run said."""
        return "\n".join(self.lines)

    def tree(self):
        """Every path with kind, mode, owner and content: two of these are the same when nothing changed."""
        out = {}
        for folder, folders, files in os.walk(self.root):
            for name in folders + files:
                path = Path(folder) / name
                status = path.lstat()
                if stat.S_ISLNK(status.st_mode):
                    what = os.readlink(path)
                elif stat.S_ISDIR(status.st_mode):
                    what = "folder"
                else:
                    what = hashlib.sha256(path.read_bytes()).hexdigest()
                out[str(path.relative_to(self.root))] = (what, oct(status.st_mode), status.st_uid, status.st_gid)
        return out

    def close(self):
        """Removes the folder."""
        shutil.rmtree(self.top)


class Case(unittest.TestCase):
    """A test with a node."""

    maxDiff = None

    def world(self, *arguments, **named):
        """A node that goes away with the test."""
        made = World(*arguments, **named)
        self.addCleanup(made.close)
        return made

    def refused(self, world, *arguments):
        """Runs what must be refused; gives the sentence."""
        err = io.StringIO()
        with contextlib.redirect_stderr(err):
            self.assertEqual(world.run(*arguments), 2, world.said())
        return err.getvalue()

    def same_tree(self, before, after):
        """Fails with the paths that differ, and nothing else."""
        differ = {path: (before.get(path), after.get(path)) for path in {*before, *after} if before.get(path) != after.get(path)}
        self.assertEqual(differ, {})
