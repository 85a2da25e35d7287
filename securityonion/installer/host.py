"""What kind of machine this is: version, role, metadata engine, names. Reads files below a root and changes none."""

import os
import re
import shutil
import socket
from dataclasses import dataclass, field
from pathlib import Path

from .errors import Refused

# Versions whose salt tree and pillars were read; others may have moved what we touch.
KNOWN_VERSIONS = ("2.4", "3.")

# Node types (the grain `role` without `so-`) and what of pdns belongs on them.
MANAGERS = ("manager", "managersearch", "managerhype", "standalone", "eval", "import")
SENSORS = ("sensor", "heavynode", "standalone", "eval", "import")

LOCAL = "/opt/so/saltstack/local"
DEFAULT = "/opt/so/saltstack/default"

# Security Onion's numbers, the same on every node.
SOCORE = 939


@dataclass
class Host:
    """What was found."""

    root: Path
    version: str
    role: str
    is_manager: bool
    is_sensor: bool
    engine: str
    name: str
    # Why `engine` and `name` are what they are: shown to the operator.
    engine_from: str
    name_from: str
    # Passwords made in this run, by the file that will hold them.
    made: dict = field(default_factory=dict)
    # Files that an earlier run wrote.
    ours: frozenset = frozenset()

    def path(self, absolute):
        """A path of the machine, below the root that this installer works in."""
        return below(self.root, absolute)

    @property
    def is_live(self):
        """Whether this is the running machine and not a folder that looks like one."""
        return self.root == Path("/")


def below(root, absolute):
    """`/etc/x` below a root."""
    return Path(root) / str(absolute).lstrip("/")


def read(path):
    """A small text file, or nothing when it is not there."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise Refused(f"cannot read {path}: {error}") from error


def examine(options):
    """Looks at the machine; refuses what is no Security Onion, or none that we know."""
    root = Path(options.root).resolve()
    if not root.is_dir():
        raise Refused(f"{root} is no folder: give an existing one with --root")
    version = read(below(root, "/etc/soversion")).strip()
    if not version or not below(root, "/opt/so").is_dir():
        raise Refused("this is no Security Onion node (no /etc/soversion or no /opt/so): run the installer on one")
    if not version.startswith(KNOWN_VERSIONS) and not options.any_version:
        raise Refused(
            f"Security Onion {version} is not one of those that this installer knows (2.4 and 3): "
            "read README.md, and give --any-version if what it describes is the same there"
        )
    found = found_role(root)
    role = found if options.role == "auto" else options.role
    if not role:
        raise Refused("cannot tell this node's role from /etc/salt/grains or /etc/salt/minion_id: give --role")
    is_manager = role in MANAGERS
    is_sensor = role in SENSORS
    if not is_manager and not is_sensor:
        raise Refused(f"a node with the role {role} has no DNS logs and no SOC: install on a sensor or a manager")
    if is_manager:
        for tree in (LOCAL, DEFAULT):
            if not below(root, tree).is_dir():
                raise Refused(f"{tree} is missing, so this is no manager: give --role sensor")
    engine, engine_from = metadata_engine(root, options)
    name, name_from = manager_name(root, options)
    # Firewall rules belong to the node type that salt knows, whatever part of pdns goes there.
    return Host(root, version, found or role, is_manager, is_sensor, engine, name, engine_from, name_from)


def found_role(root):
    """The node type as salt has it, without `so-`."""
    for line in read(below(root, "/etc/salt/grains")).splitlines():
        match = re.match(r"""role:\s*['"]?so-([a-z]+)""", line.strip())
        if match:
            return match.group(1)
    minion = read(below(root, "/etc/salt/minion_id")).strip()
    return minion.rpartition("_")[2] if "_" in minion else ""


def pillar_value(root, key):
    """A string below `global:` in the manager's pillar; the file is flat enough to read without a YAML parser."""
    text = read(below(root, LOCAL + "/pillar/global/soc_global.sls"))
    match = re.search(rf"""^\s+{key}:[ \t]*['"]?([^'"\s#]+)""", text, re.MULTILINE)
    return match.group(1) if match else ""


def metadata_engine(root, options):
    """Whether Zeek or Suricata writes the DNS logs. It can change at any time; install again then."""
    if options.engine != "auto":
        return options.engine, "--engine"
    named = pillar_value(root, "mdengine").lower()
    if named in ("zeek", "suricata"):
        return named, "the pillar's global:mdengine"
    # A sensor has no pillar files: the logs tell.
    if os.path.lexists(below(root, "/nsm/zeek/logs/current")):
        return "zeek", "/nsm/zeek/logs/current is there"
    folder = below(root, "/nsm/suricata")
    if folder.is_dir() and any(folder.glob("eve*.json")):
        return "suricata", "there is no /nsm/zeek/logs/current, and there are /nsm/suricata/eve*.json"
    return "zeek", "Security Onion's default, since there are no logs yet"


def soc_url(root, name):
    """Where browsers reach SOC: the pillar's name for it, or else the manager's."""
    named = pillar_value(root, "url_base")
    return "https://" + bracketed(named if HOST_NAME.fullmatch(named) else name)


HOST_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|[0-9A-Fa-f:.]{2,45}")


def manager_name(root, options):
    """The name by which browsers and sensors reach the manager."""
    name, reason = options.manager, "--manager"
    if not name:
        name, reason = pillar_value(root, "url_base"), "the pillar's global:url_base"
    if not name:
        name, reason = read(below(root, "/etc/hostname")).strip() or socket.gethostname(), "this host's name"
    if not HOST_NAME.fullmatch(name):
        raise Refused(f"{name!r} is no host name or address: give the manager's with --manager")
    return name, reason


def bracketed(name):
    """A host as a URL has it."""
    return f"[{name}]" if ":" in name else name


def program(host, names, folder, target):
    """Finds a program: (its bytes, None) to be installed at `target`, or (None, where the machine has it).

    `--binaries` goes before what an earlier run installed, and that before what the machine has; (None, None) is none.
    """
    for name in names:
        if folder and (Path(folder) / name).is_file():
            return (Path(folder) / name).read_bytes(), None
    if target in host.ours and host.path(target).is_file():
        return host.path(target).read_bytes(), None
    for name in names:
        for place in ("/usr/local/bin", "/usr/bin", "/usr/local/sbin", "/usr/sbin"):
            if host.path(f"{place}/{name}").is_file():
                return None, f"{place}/{name}"
    return None, None


def has_command(name):
    """Whether a command can be run on this machine."""
    return shutil.which(name) is not None
