"""Changes single entries of a YAML file and leaves every other byte as it was: comments, order, quotes, blank lines.

PyYAML tells where each node stands in the text; the change is made in the text there. After each change the text is
parsed again and compared with what was meant, so a file that this cannot handle is refused and never damaged.
"""

import re

from .errors import Refused

JINJA = re.compile(r"\{[{%#]")


def yaml():
    """PyYAML: on a manager it is there, because Security Onion's so-yaml.py needs it."""
    try:
        import yaml as module
    except ImportError as error:
        raise Refused("PyYAML is missing: install the package python3-pyyaml (python3-yaml on Debian)") from error
    return module


def load(text, name="the file"):
    """The data of a YAML text; an empty one is an empty mapping."""
    try:
        data = yaml().safe_load(text)
    except yaml().YAMLError as error:
        raise Refused(f"{name} is no valid YAML ({error}): mend it, then run this again".replace("\n", " ")) from error
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise Refused(f"{name} holds no mapping at its top: mend it, then run this again")
    return data


def lookup(data, path):
    """What lies at a path, or None."""
    for key in path:
        if not isinstance(data, dict) or key not in data:
            return None
        data = data[key]
    return data


def has(data, path):
    """Whether there is something at a path, be it null."""
    for key in path:
        if not isinstance(data, dict) or key not in data:
            return False
        data = data[key]
    return True


class Document:
    """A YAML text that is changed entry by entry."""

    def __init__(self, text, name):
        self.name = name
        self.text = text
        first = text.split("\n", 1)[0]
        if JINJA.search(text) or (first.startswith("#!") and first.strip() not in ("#!yaml", "#!jinja|yaml")):
            raise Refused(f"{name} is a template, which can only be edited by hand: see \"By hand\" in README.md")
        self.data = load(text, name)
        for event in yaml().parse(text):
            if isinstance(event, yaml().AliasEvent) or (isinstance(event, yaml().DocumentStartEvent) and event.explicit):
                raise Refused(f"{name} has aliases or several documents and can only be edited by hand: see README.md")

    def get(self, path):
        """What lies at a path, or None."""
        return lookup(self.data, path)

    def append(self, path, item):
        """Adds an item at the end of the list at a path, which is made when it is missing."""
        items = self.get(path)
        if items is not None and not isinstance(items, list):
            raise Refused(f"{'.'.join(path)} in {self.name} is no list: mend it, then run this again")
        node = self._node(path)
        if items and not node.flow_style:
            before = self.data
            self._insert_lines(self._last_line(node) + 1, dump([item], node.start_mark.column))
            self._check(before, path, items + [item])
        else:
            self.set(path, (items or []) + [item])

    def remove_item(self, path, is_ours):
        """Removes the items for which `is_ours` holds; whether there were any."""
        items = self.get(path)
        if not isinstance(items, list):
            return False
        left = [item for item in items if not is_ours(item)]
        if len(left) == len(items):
            return False
        node = self._node(path)
        if node.flow_style or not left:
            self.set(path, left)
            return True
        lines = self.text.splitlines(keepends=True)
        for item, child in reversed(list(zip(items, node.value))):
            if is_ours(item):
                start = child.start_mark.line
                while not lines[start][node.start_mark.column:].startswith("-"):
                    start -= 1
                del lines[start:self._last_line(child) + 1]
        before = self.data
        self._replace("".join(lines))
        self._check(before, path, left)
        return True

    def set(self, path, value):
        """Puts a value at a path, in place of what is there."""
        if has(self.data, path) and self.get(path) == value and value is not None:
            return
        before = self.data
        depth = len(path)
        while depth and not has(self.data, path[:depth]):
            depth -= 1
        node = self._node(path[:depth])
        inside = value
        for key in reversed(path[depth:]):
            inside = {key: inside}
        if depth == len(path) or node is None or not self._is_open(node):
            whole = with_value(self.get(path[:depth]), path[depth:], value)
            # Lines cannot stand inside of braces: write the outermost thing in braces anew.
            for above in range(depth):
                if getattr(self._node(path[:above]), "flow_style", False):
                    whole, depth = with_value(self.get(path[:above]), path[above:], value), above
                    break
            self._overwrite(path[:depth], self._node(path[:depth]), whole)
        else:
            self._insert_lines(self._last_line(node) + 1, dump(inside, node.start_mark.column))
        self._check(before, path, value)

    def remove_key(self, path, keep=0):
        """Removes a key, and the mappings above it that are left empty, but for the first `keep` of the path."""
        if not has(self.data, path):
            return
        while len(path) - 1 > keep and len(self.get(path[:-1])) == 1:
            path = path[:-1]
        parent = self.get(path[:-1])
        rest = {key: value for key, value in parent.items() if key != path[-1]}
        node = self._node(path[:-1])
        if not rest and len(path) > 1:
            self.set(path[:-1], rest)
            return
        before = self.data
        if node.flow_style:
            self.set(path[:-1], rest)
        else:
            for key, child in node.value:
                if key.value == str(path[-1]):
                    lines = self.text.splitlines(keepends=True)
                    del lines[key.start_mark.line:max(self._last_line(child), key.end_mark.line) + 1]
                    self._replace("".join(lines))
                    break
        expected = with_value(before, path[:-1], rest) if len(path) > 1 else rest
        if self.data != expected:
            raise Refused(f"cannot take {'.'.join(path)} out of {self.name}: remove it by hand")

    def _node(self, path):
        """The node at a path; None for an empty text."""
        node = yaml().compose(self.text, Loader=yaml().SafeLoader)
        for key in path:
            if not isinstance(node, yaml().MappingNode):
                return None
            found = [value for name, value in node.value if name.value == str(key)]
            if not found:
                return None
            # Of a key that is there twice, the parser's data has the last.
            node = found[-1]
        return node

    def _is_open(self, node):
        """Whether lines can be added behind what a mapping has."""
        return isinstance(node, yaml().MappingNode) and not node.flow_style and bool(node.value)

    def _last_line(self, node):
        """The number of the last line that belongs to a node, without comments and blank lines behind it."""
        while not getattr(node, "flow_style", True) and node.value:
            last = node.value[-1]
            node = last[1] if isinstance(last, tuple) else last
        line = node.end_mark.line
        if isinstance(node, yaml().ScalarNode) and node.style in ("|", ">"):
            # The end of a block of text is where the next thing begins.
            lines = self.text.splitlines()
            line = min(line, len(lines)) - (1 if node.end_mark.column == 0 else 0)
            while line > node.start_mark.line and not lines[line].strip():
                line -= 1
        return line

    def _insert_lines(self, at, block):
        lines = self.text.splitlines(keepends=True)
        if lines and at >= len(lines) and not lines[-1].endswith("\n"):
            lines[-1] += "\n"
        lines.insert(at, block)
        self._replace("".join(lines))

    def _overwrite(self, path, node, value):
        """Writes a value over a node: a short one behind its key, a long one in lines below it."""
        if not path:
            # An empty text, one of comments alone, or one in braces.
            start, end = (len(self.text),) * 2 if node is None else (node.start_mark.index, node.end_mark.index)
            body = self.text[:start] + ("\n" if self.text[:start] and not self.text[:start].endswith("\n") else "")
            self._replace(body + (dump(value, 0) if value else "") + self.text[end:].lstrip("\n"))
            return
        parent = self._node(path[:-1])
        key = [name for name, _ in parent.value if name.value == str(path[-1])][-1]
        colon = self.text.index(":", key.end_mark.index)
        if isinstance(value, (dict, list)) and value:
            inside = "\n" + dump(value, key.start_mark.column + 2).rstrip("\n")
        else:
            inside = " " + yaml().safe_dump(value, default_flow_style=True).split("\n", 1)[0]
        start, end = colon + 1, max(node.end_mark.index, colon + 1)
        if not getattr(node, "flow_style", True):
            # The end of a block is where the next thing begins: leave the comments between.
            lines = self.text.splitlines(keepends=True)
            end = sum(len(line) for line in lines[:self._last_line(node) + 1])
            inside += "\n"
        self._replace(self.text[:start] + inside + self.text[end:])

    def _replace(self, text):
        self.text = text
        self.data = load(text, self.name)

    def _check(self, before, path, value):
        """Refuses a change that did something else than what was meant."""
        if self.data != with_value(before, path, value):
            raise Refused(f"cannot change {'.'.join(path)} in {self.name}: edit it by hand, see README.md")


def with_value(data, path, value):
    """A copy of the data with another value at a path."""
    if not path:
        return value
    copy = dict(data) if isinstance(data, dict) else {}
    copy[path[0]] = with_value(copy.get(path[0]), path[1:], value)
    return copy


def dump(value, indent):
    """Lines of a value, indented."""
    text = yaml().safe_dump(value, sort_keys=False, default_flow_style=False, allow_unicode=True, width=4096)
    if JINJA.search(text):
        raise Refused("what is to be written would be taken for a template by salt: use other names")
    return "".join(" " * indent + line for line in text.splitlines(keepends=True))
