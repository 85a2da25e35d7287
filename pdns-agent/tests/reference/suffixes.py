"""Public suffixes: the algorithm of publicsuffix.org on the list that PyPI's `publicsuffixlist` carries."""

import functools
from pathlib import Path


@functools.cache
def rules():
    """(whether it is an exception, its labels) of each rule."""
    import publicsuffixlist

    text = (Path(publicsuffixlist.__file__).parent / "public_suffix_list.dat").read_text("utf-8")
    found = set()
    for line in text.splitlines():
        rule = line.split()[0] if line.strip() else ""
        if rule and not rule.startswith("//"):
            labels = rule.removeprefix("!").split(".")
            found.add(
                (
                    rule.startswith("!"),
                    tuple(label.encode("idna") if label != "*" else b"*" for label in labels),
                )
            )
    return found


def suffix_length(labels):
    """How many labels at the end of a name are its public suffix; the root has none and is one."""
    # The prevailing rule is `*`: a top-level domain that is not listed is a public suffix.
    longest = 1 if labels else 0
    for start in range(len(labels)):
        tail = tuple(labels[start:])
        if (True, tail) in rules():
            return len(tail) - 1
        if (False, tail) in rules() or (False, (b"*", *tail[1:])) in rules():
            longest = max(longest, len(tail))
    return longest


def is_public_suffix(labels):
    return suffix_length(labels) == len(labels)


def registrable(labels):
    """The public suffix and one label more; None when the name is not that long."""
    length = suffix_length(labels) + 1
    return labels[len(labels) - length :] if length <= len(labels) else None
