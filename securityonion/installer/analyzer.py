"""The analyzer for cases: its files in the local salt tree, and the key with which it asks."""

import subprocess
from pathlib import Path

from .errors import Refused
from .host import LOCAL, SOCORE, bracketed
from .parts import HERE
from .plan import written
from .yamledit import JINJA

FOLDER = LOCAL + "/salt/sensoroni/files/analyzers/pdns"
KEY = "/etc/pdns/analyzer-key"
USERS = "/etc/pdns/users.toml"
# The user as which the analyzer asks. It may read and not tag: salt shows its key to every node of the grid.
USER = "soc-analyzer"
FILES = ("__init__.py", "pdns.py", "pdns.json", "pdns_test.py")


def add(plan, host, options, certificate):
    """Adds the files. Salt renders each of them as a template, and gives them to the container on the manager."""
    key = find_key(host, options)
    for name in FILES:
        plan.file(f"{FOLDER}/{name}", plain((HERE / "analyzer/pdns" / name).read_text(), name), owner=SOCORE)
    settings = (
        "# Written by pdns' installer for Security Onion. One setting a line, no templates.\n"
        f'url: "https://{bracketed(host.name)}:{options.port}"\n'
        f'key: "{key}"\n'
        'ca: "ca.pem"\n'
    )
    plan.file(f"{FOLDER}/pdns.yaml", plain(settings, "pdns.yaml"), owner=SOCORE, mode=0o640, secret=True)
    plan.file(f"{FOLDER}/ca.pem", certificate, owner=SOCORE)
    if key:
        plan.file(KEY, key + "\n", mode=0o600, secret=True)
    elif options.dry_run:
        plan.notes.append(f"the analyzer's key will be made by `pdns serve user add {USER}`")
    else:
        plan.notes.append(
            f"the analyzer has no key yet: run `pdns serve user add {USER} --users {USERS}`, put the key into a file, and "
            "install again with --analyzer-key-file FILE"
        )


def plain(text, name):
    """A text as it is, unless salt would take it for a template and break its state on it."""
    if JINJA.search(text):
        raise Refused(f"{name} would be taken for a template by salt: this is a fault of the installer, please report it")
    return text


def find_key(host, options):
    """The analyzer's key: given, or of an earlier run."""
    if options.analyzer_key_file:
        try:
            key = Path(options.analyzer_key_file).read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise Refused(f"cannot read {options.analyzer_key_file}: {error}") from error
    else:
        kept = written(host.root, KEY)
        key = kept.decode().strip() if kept else ""
    if any(char in key for char in "\"\\\n{}") or not key.isprintable():
        raise Refused("the analyzer's key holds characters that no key of pdns has: give the file that holds it alone")
    return key


def make_key(host, pdns):
    """Has `pdns serve user add` make the key; it is printed once, and nothing else on standard output."""
    done = subprocess.run(
        [str(pdns), "serve", "user", "add", USER, "--users", str(host.path(USERS))],
        capture_output=True,
        text=True,
        check=False,
    )
    words = done.stdout.split()
    if done.returncode != 0 or len(words) != 1:
        raise Refused(f"`pdns serve user add {USER}` gave no key: {done.stderr.strip() or 'no reason given'}")
    return words[0]
