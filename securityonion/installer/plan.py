"""What should be on the machine, how that differs from what is, and the memory of what was changed.

`manager` and `sensor` fill a `Plan`. It is shown (`--dry-run`) or applied. What is applied is noted in `state.json`
with what was there before, so that `remove` can give back every byte.
"""

import base64
import difflib
import hashlib
import json
import os
import tempfile
from dataclasses import dataclass, field
from typing import Callable, List, Optional

from .errors import Refused
from .host import SOCORE, below

STATE = "/var/lib/pdns-securityonion/state.json"
# Raised when the meaning of the notes changes.
STATE_VERSION = 1
# A pillar or list larger than this is none that a person keeps.
MAX_MERGED = 16 << 20


@dataclass
class Wanted:
    """A file that is ours as a whole."""

    path: str
    data: bytes
    mode: int = 0o644
    owner: int = 0
    # Name of a group that may read it; until the group exists, the file is the owner's group's.
    group: str = ""
    secret: bool = False
    # Written by others later, as a list of users is: goes with us all the same.
    living: bool = False


@dataclass
class Merge:
    """Entries of ours in a file that is somebody else's. Both functions take and give text."""

    path: str
    what: str
    apply: Callable[[str], str]
    undo: list
    owner: int = SOCORE
    mode: int = 0o644


@dataclass
class Plan:
    """All that should be there when the installer is done."""

    files: List[Wanted] = field(default_factory=list)
    merges: List[Merge] = field(default_factory=list)
    folders: List[str] = field(default_factory=list)
    # Run after files were written, when any was: each a list of words.
    commands: List[List[str]] = field(default_factory=list)
    # Units that are started, and stopped before they are removed.
    units: List[str] = field(default_factory=list)
    notes: List[str] = field(default_factory=list)
    next_steps: List[str] = field(default_factory=list)

    def file(self, path, data, **rest):
        """Adds a file."""
        self.files.append(Wanted(path, data if isinstance(data, bytes) else data.encode(), **rest))


@dataclass
class Before:
    """A file as it was found: None for `data` when there was none."""

    data: Optional[bytes]
    mode: int = 0
    owner: int = 0
    group: int = 0

    def to_json(self):
        """As the state has it."""
        if self.data is None:
            return None
        text = base64.b64encode(self.data).decode()
        return {"data": text, "mode": self.mode, "owner": self.owner, "group": self.group}

    @staticmethod
    def from_json(value):
        """The other way."""
        if value is None:
            return Before(None)
        return Before(base64.b64decode(value["data"]), value["mode"], value["owner"], value["group"])


def digest(data):
    """What tells two versions of a file apart."""
    return hashlib.sha256(data).hexdigest()


def look(path):
    """A file with its mode and owner."""
    if not os.path.lexists(path):
        return Before(None)
    if path.is_symlink() or not path.is_file():
        raise Refused(f"{path} is a link or no regular file: move it away, then run this again")
    status = path.stat()
    if status.st_size > MAX_MERGED and path.suffix in (".sls", ".dat", ".csv"):
        raise Refused(f"{path} has more than {MAX_MERGED >> 20} MiB: this cannot be the right file")
    return Before(path.read_bytes(), status.st_mode & 0o7777, status.st_uid, status.st_gid)


def text_of(root, path):
    """The text of a pillar that will be edited; empty when there is none."""
    data = look(below(root, path)).data or b""
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise Refused(f"{path} is not UTF-8: mend it, then run this again") from error


def replace(path, data, mode, owner, group):
    """Writes a file beside and renames it, so that nobody ever reads half of it."""
    number, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(number, "wb") as file:
            file.write(data)
            os.fchmod(file.fileno(), mode)
            if os.geteuid() == 0:
                os.fchown(file.fileno(), owner, group)
            file.flush()
            os.fsync(file.fileno())
        os.rename(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


class State:
    """What an earlier run did."""

    def __init__(self, root):
        self.root = root
        self.path = below(root, STATE)
        self.files = {}
        self.merges = {}
        self.folders = []
        self.units = []
        self.seeds = {}
        self.version = ""
        try:
            kept = json.loads(self.path.read_text())
        except FileNotFoundError:
            self.is_new = True
            return
        except (OSError, ValueError) as error:
            raise Refused(f"cannot read {self.path}: {error}; without it nothing can be undone safely") from error
        if kept.get("state") != STATE_VERSION:
            raise Refused(f"{self.path} is of another version of this installer: use that one to uninstall first")
        self.is_new = False
        self.files, self.merges, self.folders = kept["files"], kept["merges"], kept["folders"]
        self.units, self.seeds, self.version = kept["units"], kept["seeds"], kept["version"]

    def save(self):
        """Writes the notes; readable by root alone, since files that were replaced may hold secrets."""
        kept = {
            "state": STATE_VERSION,
            "version": self.version,
            "files": self.files,
            "merges": self.merges,
            "folders": self.folders,
            "units": self.units,
            "seeds": self.seeds,
        }
        # First, so that the notes tell of the folder that they lie in.
        make_folders(self, self.path.parent)
        data = (json.dumps(kept, indent=1, sort_keys=True) + "\n").encode()
        if look(self.path).data != data:
            replace(self.path, data, 0o600, os.geteuid(), os.getegid())


def make_folders(state, folder):
    """Makes missing folders, like the one above them in owner and mode, and notes them."""
    missing = []
    while not folder.is_dir():
        missing.append(folder)
        folder = folder.parent
    status = folder.stat()
    # Below the system's own folders a new one is open to read; below a salt tree it is as its neighbours are.
    for path in reversed(missing):
        path.mkdir()
        os.chmod(path, status.st_mode & 0o755 | 0o700)
        if os.geteuid() == 0:
            os.chown(path, status.st_uid, status.st_gid)
        state.folders.append("/" + str(path.relative_to(state.root)))


@dataclass
class Change:
    """One file that is not as it should be."""

    path: str
    what: str
    before: Before
    after: bytes
    mode: int
    owner: int
    group: int
    secret: bool = False
    living: bool = False
    merge: Optional[Merge] = None


def changes(plan, root, state):
    """What differs, in the order of the plan. Nothing is written, and every merge was tried when this returns."""
    out = []
    for want in plan.files:
        before = look(below(root, want.path))
        owner = want.owner if os.geteuid() == 0 else os.geteuid()
        group = number_of_group(root, want.group, want.owner) if os.geteuid() == 0 else os.getegid()
        if (before.data, before.mode, before.owner, before.group) == (want.data, want.mode, owner, group):
            continue
        what = "create" if before.data is None else "replace" if before.data != want.data else "mend the mode of"
        out.append(Change(want.path, what, before, want.data, want.mode, owner, group, want.secret, want.living))
    for merge in plan.merges:
        before = look(below(root, merge.path))
        after = merge.apply(text_of(root, merge.path)).encode()
        if after == before.data:
            continue
        if before.data is None:
            root_user = os.geteuid() == 0
            mode, owner = merge.mode, merge.owner if root_user else os.geteuid()
            group = owner if root_user else os.getegid()
        else:
            mode, owner, group = before.mode, before.owner, before.group
        out.append(Change(merge.path, merge.what, before, after, mode, owner, group, merge=merge))
    return out


def number_of_group(root, name, default):
    """The number of a group of the machine, or `default` when there is no such group yet."""
    file = below(root, "/etc/group")
    for line in file.read_text().splitlines() if name and file.is_file() else ():
        fields = line.split(":")
        if fields[0] == name and len(fields) > 2 and fields[2].isdigit():
            return int(fields[2])
    return default


def show(change, say):
    """What a change will do, line by line where others' files are concerned."""
    say(f"  {change.what} {change.path}")
    if change.secret or change.what == "mend the mode of":
        return
    if change.merge is None and change.before.data is None:
        return
    old = (change.before.data or b"").decode(errors="replace").splitlines()
    new = change.after.decode(errors="replace").splitlines()
    if change.merge is not None or len(new) < 400:
        for line in list(difflib.unified_diff(old, new, lineterm="", n=0))[2:]:
            say("      " + line.encode("ascii", "backslashreplace").decode())


def undo_text(text, name, steps):
    """Takes out of a text what was put in: what `--uninstall` does with a file that was edited since."""
    from . import merges

    return merges.undo(text, name, steps)


def carry_out(found, plan, root, state):
    """Writes the changes, each noted before the next."""
    for folder in plan.folders:
        make_folders(state, below(root, folder))
    for change in found:
        path = below(root, change.path)
        if look(path) != change.before:
            raise Refused(f"{change.path} was changed by somebody else just now: run this again")
        make_folders(state, path.parent)
        if change.merge is None:
            note = state.files.get(change.path)
            if note is None:
                state.files[change.path] = {
                    "before": change.before.to_json(),
                    "after": digest(change.after),
                    "living": change.living,
                }
            else:
                note["after"] = digest(change.after)
        else:
            note_merge(change, state)
        # The note comes first: one without its change undoes nothing, a change without its note stays for ever.
        state.save()
        replace(path, change.after, change.mode, change.owner, change.group)
    for merge in plan.merges:
        # The entries can be as wanted already and what undoes them new: an operator wrote them by hand.
        if merge.path in state.merges:
            state.merges[merge.path]["undo"] = merge.undo
    state.units = plan.units
    state.save()


def note_merge(change, state):
    """Remembers a file as it would be without us."""
    note = state.merges.get(change.path)
    before = change.before
    if note is not None:
        if before.data is not None and digest(before.data) == note["after"]:
            # Nobody else wrote since: what was there at first still is what there would be.
            state.merges[change.path] = {**note, "after": digest(change.after), "undo": change.merge.undo}
            return
        if before.data is not None:
            text = undo_text(change.after.decode(), change.path, change.merge.undo)
            before = Before(text.encode(), before.mode, before.owner, before.group)
    state.merges[change.path] = {
        "before": before.to_json(),
        "after": digest(change.after),
        "undo": change.merge.undo,
    }


def drop_unwanted(plan, root, state):
    """Paths that an earlier run wrote and this one does not want any more."""
    wanted = {want.path for want in plan.files}
    merged = {merge.path for merge in plan.merges}
    return [path for path in state.files if path not in wanted], [path for path in state.merges if path not in merged]


def written(root, path):
    """The bytes of one of our files, or None: secrets are made once and read again."""
    file = below(root, path)
    return file.read_bytes() if file.is_file() else None
