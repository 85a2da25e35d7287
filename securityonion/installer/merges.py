"""Entries of ours in pillars of the distribution: how each is put in, and how it is taken out.

An undo step is plain data, since it is kept in `state.json`: a list whose first word says what to do.
"""

from .errors import Refused
from .yamledit import Document, has


def undo(text, name, steps):
    """Takes our entries out of a text that was edited since; what others wrote stays."""
    document = Document(text, name)
    for step in steps:
        kind, path = step[0], step[1]
        if kind == "item":
            # An item of a list, known by its name; a list that we seeded and that holds the seed alone goes.
            _, _, key, value, seed = step
            document.remove_item(path, lambda item, k=key, v=value: isinstance(item, dict) and item.get(k) == v)
            if seed is not None and document.get(path) in (seed, []):
                document.remove_key(path)
        elif kind == "key":
            # A key that was not there, or that had another value before.
            _, _, value, old = step
            if document.get(path) != value:
                continue
            if old is None:
                document.remove_key(path)
            else:
                document.set(path, old["value"])
        else:
            raise Refused(f"{name}: this installer is older than the one that changed it: use that one")
    return document.text


def set_keys(text, name, pairs):
    """Sets keys that nobody uses; gives the new text."""
    document = Document(text, name)
    for path, value in pairs:
        document.set(path, value)
    return document.text


def set_steps(data, pairs):
    """What undoes `set_keys`, last first. `data` is the file as it was."""
    from .yamledit import lookup

    steps = []
    for path, value in reversed(pairs):
        old = {"value": lookup(data, path)} if has(data, path) else None
        steps.append(["key", path, value, old])
    return steps
