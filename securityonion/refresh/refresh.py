#!/usr/bin/env python3
"""Brings one list of Security Onion's up to date from what pdns knows: zeek-intel, suricata-dataset, ip-descriptions.

Others write to these lists, too. Their lines stay as they are and where they are; ours follow them, and are known again
by a note of what was written last. A list is replaced by rename, and only when it changed: Zeek and Suricata restart when
salt brings them another one, and Elastic Agent reads a new file as a whole. Python 3.9, standard library only.
"""

import argparse
import base64
import binascii
import csv
import ipaddress
import json
import os
import re
import subprocess
import sys
import tempfile

NOTES = "/var/lib/pdns-securityonion"
# Salt renders the Intel file as a template: a name with these in it would break Zeek's state on every sensor.
JINJA = re.compile(r"\{[{%#]")
# No list that is read whole may be larger, in bytes.
MAX_FILE = 64 << 20
MAX_DESCRIPTION = 200
TIMEOUT = 600

INTEL_HEADER = ["indicator", "indicator_type", "meta.source", "meta.desc", "meta.url", "meta.do_notice"]
INTEL_SOURCE = "pdns"
DESCRIPTIONS_HEADER = "IP,Description"


class Failed(Exception):
    """The list stays as it was, and the sentence says why."""


class Target:
    """One list: where it is, what pdns is asked for, and how many rows of ours it may have."""

    def __init__(self, path, arguments, most, merge):
        self.path = path
        self.arguments = arguments
        self.most = most
        self.merge = merge


def read(path):
    """A file as text, None when it is not there."""
    try:
        if os.path.getsize(path) > MAX_FILE:
            raise Failed(f"{path} has more than {MAX_FILE >> 20} MiB: this cannot be the right file")
        with open(path, encoding="utf-8", newline="") as file:
            return file.read()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise Failed(f"cannot read {path}: {error}") from error


def merge_intel(present, export, ours, most):
    """Zeek's Intel file: fields by TAB, no blank at an end, no empty line; columns as its own header names them."""
    lines = present.split("\n") if present else []
    header = next((line for line in lines if line.startswith("#fields")), None)
    columns = header.rstrip("\r").split("\t")[1:] if header else INTEL_HEADER
    for needed in ("indicator", "indicator_type", "meta.source"):
        if needed not in columns:
            raise Failed(f"the Intel file has no column {needed}: mend its line #fields")
    source = columns.index("meta.source")

    def is_ours(line):
        fields = line.split("\t")
        return line in ours or (not line.startswith("#") and len(fields) > source and fields[source] == INTEL_SOURCE)

    names, rows, left_out = None, [], 0
    for line in export.splitlines():
        fields = line.split("\t")
        if fields[0] == "#fields":
            names = fields[1:]
        elif line and not line.startswith("#"):
            if names is None or len(fields) != len(names) or JINJA.search(line):
                left_out += 1
                continue
            row = {**dict(zip(names, fields)), "meta.source": INTEL_SOURCE}
            row.setdefault("meta.do_notice", "T")
            rows.append("\t".join(row.get(column, "") or "-" for column in columns))
    rows = list(dict.fromkeys(rows))
    head = [] if header else ["#fields\t" + "\t".join(INTEL_HEADER)]
    return *joined(lines, head, is_ours, rows[:most]), left_out + max(0, len(rows) - most)


def merge_descriptions(present, export, ours, most):
    """SOC's names beside addresses: IPv4 only, one row an address, and a row that somebody else wrote wins."""
    lines = present.split("\n") if present else []
    if lines and lines[0].lstrip("\ufeff").rstrip("\r") != DESCRIPTIONS_HEADER:
        raise Failed(f"the first line is not {DESCRIPTIONS_HEADER!r}: somebody else's file, so it stays as it is")
    try:
        taken = {row[0].strip() for row in csv.reader(line for line in lines[1:] if line not in ours) if row}
        answers = list(csv.reader(line for line in export.splitlines() if "\0" not in line))
    except csv.Error as error:
        raise Failed(f"not a CSV file: {error}") from error
    rows, left_out = [], 0
    for row in answers:
        if row == DESCRIPTIONS_HEADER.split(","):
            continue
        try:
            address, text = str(ipaddress.IPv4Address(row[0])), row[1]
        except (ValueError, IndexError):
            left_out += 1
            continue
        # One line of printable text, whatever a name holds; a leading sign would be a formula in a spreadsheet.
        text = "".join(char for char in text if char.isprintable())[:MAX_DESCRIPTION].lstrip("=+-@ ")
        if address in taken or not text:
            left_out += 1
            continue
        taken.add(address)
        quoted = '"' + text.replace('"', '""') + '"'
        rows.append(f"{address},{quoted if any(char in text for char in ',;' + chr(34)) else text}")
    head = [] if lines else [DESCRIPTIONS_HEADER]
    return *joined(lines, head, lambda line: line in ours, rows[:most]), left_out + max(0, len(rows) - most)


def merge_dataset(_present, export, _ours, most):
    """Suricata's data set: a file of ours alone, one name in Base64 a line."""
    rows, left_out = [], 0
    for line in export.splitlines():
        try:
            if not base64.b64decode(line, validate=True):
                raise ValueError("empty")
            rows.append(line)
        except (ValueError, binascii.Error):
            left_out += 1
    rows = list(dict.fromkeys(rows))
    return "".join(row + "\n" for row in rows[:most]), rows[:most], left_out + max(0, len(rows) - most)


def joined(lines, head, is_ours, rows):
    """Others' lines as they were, then ours; (text, rows of ours)."""
    others = [line for line in lines if not is_ours(line)]
    while others and others[-1] == "":
        others.pop()
    return "".join(line + "\n" for line in head + others + rows), rows


TARGETS = {
    "zeek-intel": Target(
        "/opt/so/saltstack/local/salt/zeek/policy/intel/intel.dat",
        ["export", "--tag", "threat", "--format", "zeek-intel"],
        100_000,
        merge_intel,
    ),
    "suricata-dataset": Target(
        "/opt/so/saltstack/local/salt/suricata/rules/pdns-threat.lst",
        ["export", "--tag", "threat", "--format", "suricata-dataset"],
        500_000,
        merge_dataset,
    ),
    "ip-descriptions": Target(
        "/nsm/custom-mappings/ip-descriptions.csv",
        ["export", "--format", "ip-descriptions"],
        50_000,
        merge_descriptions,
    ),
}


def below(root, path):
    """A path of the machine, below a root."""
    return os.path.join(root, path.lstrip("/"))


def note_path(name, root):
    """Where the note of a list is."""
    return below(root, f"{NOTES}/{name}.json")


def backup_path(name, root):
    """Where a list is kept as it was before the last change."""
    return below(root, f"{NOTES}/{name}.bak")


def load_note(name, root):
    """What was written last, and how the list was found at first."""
    text = read(note_path(name, root))
    if text is None:
        return None
    try:
        return json.loads(text)
    except ValueError as error:
        raise Failed(f"{note_path(name, root)} is damaged: {error}") from error


def write(path, text, like=None, mode=0o644):
    """Writes beside and renames. Owner and mode as `like` has them, or as the folder's owner."""
    folder = os.path.dirname(path)
    made = []
    while not os.path.isdir(folder):
        made.append(folder)
        folder = os.path.dirname(folder)
    for name in reversed(made):
        os.mkdir(name, 0o755)
        owner = os.stat(os.path.dirname(name))
        if os.geteuid() == 0:
            os.chown(name, owner.st_uid, owner.st_gid)
    owner = like or os.stat(os.path.dirname(path))
    number, temporary = tempfile.mkstemp(prefix=".pdns.", dir=os.path.dirname(path))
    try:
        with os.fdopen(number, "w", encoding="utf-8", newline="") as file:
            file.write(text)
            os.fchmod(file.fileno(), like.st_mode & 0o7777 if like else mode)
            if os.geteuid() == 0:
                os.fchown(file.fileno(), owner.st_uid, owner.st_gid)
            file.flush()
            os.fsync(file.fileno())
        os.rename(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    return made


def ask(pdns, arguments):
    """What `pdns export` says; exit code 1 is an empty answer, and any other a reason to leave the list alone."""
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "export")
        try:
            done = subprocess.run(
                [pdns, *arguments, "--out", out], capture_output=True, text=True, timeout=TIMEOUT, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise Failed(f"cannot run {pdns}: {error}") from error
        if done.returncode not in (0, 1):
            raise Failed(f"`pdns {' '.join(arguments)}` ended with {done.returncode}: {done.stderr.strip()}")
        text = read(out)
        if text is None and done.returncode == 0:
            raise Failed(f"`pdns {' '.join(arguments)}` said it was done and wrote no file")
        return text or ""


def refresh(name, root, pdns, say):
    """Brings a list up to date; whether it changed."""
    target = TARGETS[name]
    path = below(root, target.path)
    export = ask(pdns, target.arguments)
    present = read(path)
    note = load_note(name, root)
    ours = set(note["rows"]) if note else set()
    text, rows, left_out = target.merge(present or "", export, ours, target.most)
    if left_out:
        say(f"{name}: {left_out} rows were left out: not of this list's kind, there already, or beyond {target.most}")
    if present == text:
        say(f"{name}: nothing changed, {len(rows)} rows of pdns")
        return False
    if note is None:
        if present is None and not rows:
            say(f"{name}: nothing to write yet")
            return False
        note = {"rows": [], "created": present is None, "folders": [], "unended": bool(present) and not present.endswith("\n")}
        note["blank"] = len(present or "") - len((present or "").rstrip("\n"))
    # Old rows and new ones: whichever of the two writes is the last, what is ours will be known again.
    write(note_path(name, root), json.dumps({**note, "rows": sorted(ours | set(rows))}) + "\n", mode=0o600)
    if present is not None:
        # Not beside the list: salt would carry it to every sensor.
        write(backup_path(name, root), present, mode=0o600)
    note["folders"] += write(path, text, os.stat(path) if present is not None else None)
    write(note_path(name, root), json.dumps({**note, "rows": rows}) + "\n", mode=0o600)
    say(f"{name}: wrote {len(rows)} rows of pdns to {target.path}")
    return True


def take_out(name, root, dry_run, say):
    """Removes our rows, and the file if there was none before."""
    target, note = TARGETS[name], load_note(name, root)
    if note is None:
        return
    path = below(root, target.path)
    present = read(path)
    say(f"  take our rows out of {target.path}")
    if dry_run:
        return
    if present is not None:
        text = target.merge(present, "", set(note["rows"]), 0)[0]
        heads = ("", "#fields\t" + "\t".join(INTEL_HEADER) + "\n", DESCRIPTIONS_HEADER + "\n")
        if note["created"] and text in heads:
            os.unlink(path)
        else:
            blank = 0 if note["unended"] else max(note["blank"], 1) if text else note["blank"]
            text = text.rstrip("\n") + "\n" * blank
            if text != present:
                write(path, text, os.stat(path))
    if os.path.lexists(backup_path(name, root)):
        os.unlink(backup_path(name, root))
    for folder in note["folders"]:
        try:
            os.rmdir(folder)
        except OSError:
            # Somebody else keeps something there.
            pass
    os.unlink(note_path(name, root))


def main(arguments=None):
    """Runs; the exit code is 0 when the list is as it should be."""
    parser = argparse.ArgumentParser(prog="pdns-refresh", description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("list", choices=sorted(TARGETS))
    parser.add_argument("--pdns", default="pdns", help="the program pdns")
    parser.add_argument("--root", default="/", help="work in this folder as if it were the machine")
    options = parser.parse_args(arguments)
    try:
        refresh(options.list, options.root, options.pdns, print)
    except (Failed, OSError) as error:
        print(f"pdns-refresh: {options.list}: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
