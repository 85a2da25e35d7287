"""Takes away what was installed: files of ours, entries of ours in others' files, folders that are empty then.

A file that nobody touched since gets its old bytes, mode and owner back. Of one that was edited since, our entries are
taken out and the rest stays. One of ours that was edited stays, and is named, unless everything is to go (`--purge`).
"""

import os
import shutil

from . import data, merges
from .host import below
from .parts import HERE
from .plan import Before, digest, look, replace, written

# What salt made of our files, and never takes away itself: on this node, and on every other one of the grid.
GENERATED = (
    "/opt/so/conf/sensoroni/analyzers/pdns",
    "/opt/so/conf/suricata/rules/pdns-threat.lst",
    "/opt/so/rules/suricata/pdns-threat.lst",
)


def remove(state, root, options, run, say):
    """Undoes all that the notes tell of; whether everything went."""
    if state.is_new:
        say("nothing is installed: there are no notes of an installation")
        return True
    if state.units:
        run([["systemctl", "disable", "--now", *state.units]])
    complete = lists(root, options, say, ())
    for path in sorted(state.merges):
        complete &= guarded(lambda path=path: remove_merge(state, root, path, options, say), path, say)
    for path in sorted(state.files):
        complete &= guarded(lambda path=path: remove_file(state, root, path, options, say), path, say)
    for path in GENERATED:
        if os.path.lexists(below(root, path)):
            say(f"  remove {path}, which salt made of our files")
            if not options.dry_run:
                guarded(lambda path=path: clear(below(root, path)), path, say)
    if options.dry_run:
        say("  remove empty folders of ours, and the notes in " + str(state.path.parent))
        return complete
    complete &= guarded(lambda: data.remove(root, options, say), data.FOLDER, say)
    run([["systemctl", "daemon-reload"]])
    if options.purge and is_our_user(root):
        run([["userdel", "pdns"]])
    if not complete:
        state.save()
        return False
    state.path.unlink()
    for path in reversed(state.folders):
        try:
            below(root, path).rmdir()
        except OSError:
            # Somebody else keeps something there.
            pass
    return True


def is_our_user(root):
    """Whether the user pdns is the one that systemd/pdns.sysusers describes, and not one of another program."""
    lines = (written(root, "/etc/passwd") or b"").decode(errors="replace").splitlines()
    return any(line.split(":")[:1] == ["pdns"] and line.split(":")[4:6] == ["Passive DNS", "/nsm/pdns"] for line in lines)


def clear(path):
    """Removes a file or a folder with all in it."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def guarded(step, path, say):
    """Goes on with the rest when one file cannot be undone."""
    from .errors import Refused

    try:
        return step()
    except (Refused, OSError) as error:
        say(f"  LEFT: {path}: {error}")
        return False


def lists(root, options, say, kept):
    """Takes out our rows in Zeek's Intel file and SOC's descriptions, and our data set, but for the lists that are kept."""
    from importlib import util

    spec = util.spec_from_file_location("pdns_refresh", HERE / "refresh/refresh.py")
    refresh = util.module_from_spec(spec)
    spec.loader.exec_module(refresh)
    complete = True
    for name in sorted(set(refresh.TARGETS) - set(kept)):
        try:
            refresh.take_out(name, str(root), options.dry_run, say)
        except refresh.Failed as error:
            say(f"  LEFT: {error}")
            complete = False
    return complete


def remove_merge(state, root, path, options, say):
    """Takes our entries out of somebody else's file."""
    note, file = state.merges[path], below(root, path)
    before, now = Before.from_json(note["before"]), look(file)
    if now.data is None:
        say(f"  {path} is gone already")
    elif digest(now.data) == note["after"]:
        say(f"  restore {path}" if before.data is not None else f"  remove {path}")
        if not options.dry_run:
            restore(file, before)
    else:
        text = merges.undo(now.data.decode(), path, note["undo"])
        say(f"  take our entries out of {path}, which was edited since")
        if not options.dry_run:
            if before.data is None and not text.strip():
                file.unlink()
            else:
                replace(file, text.encode(), now.mode, now.owner, now.group)
    if not options.dry_run:
        del state.merges[path]
    return True


def remove_file(state, root, path, options, say):
    """Removes a file of ours, or puts back what was in its place."""
    note, file = state.files[path], below(root, path)
    before, now = Before.from_json(note["before"]), look(file)
    is_edited = now.data is not None and digest(now.data) != note["after"] and not note["living"]
    if is_edited and not options.purge:
        say(f"  KEEP {path}: it was edited since; remove it by hand or with --purge")
    elif now.data is not None or before.data is not None:
        say(f"  remove {path}" if before.data is None else f"  restore {path}")
        if not options.dry_run:
            restore(file, before)
    if not options.dry_run:
        del state.files[path]
    return True


def restore(file, before):
    """Gives a file its old bytes, mode and owner, or removes it."""
    if before.data is None:
        if os.path.lexists(file):
            file.unlink()
    else:
        replace(file, before.data, before.mode, before.owner, before.group)
