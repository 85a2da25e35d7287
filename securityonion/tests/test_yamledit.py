"""Changes of single entries: what comes out means what was meant, and every other byte stays."""

import random
import re

import yaml

from installer.errors import Refused
from installer.yamledit import Document

from .world import Case

LIST = ["soc", "config", "actions"]
ITEM = {"name": "ours", "links": ["https://x/?q={value}&field={field}"]}

# Texts with a list at `soc.config.actions` or none, in the layouts that people and programs write.
TEXTS = {
    "empty": "",
    "comment": "# nothing yet\n",
    "unended comment": "# nothing yet",
    "null": "soc:\n",
    "null inside": "soc:\n  config:\n",
    "null list": "soc:\n  config:\n    actions:\n    other: 1\n",
    "tilde": "soc:\n  config:\n    actions: ~   # none\n    other: 1\n",
    "empty list": "soc:\n  config:\n    actions: []   # none\n    other: 1\n",
    "empty mapping": "soc: {}\nother: 1\n",
    "beside": "a: 1\n\nb:\n  - x\n",
    "other keys": "soc:\n  config:\n    server:\n      x: 1\n  # end\n",
    "two": "soc:\n  config:\n    actions:\n      - name: a\n        links:\n          - 'x'\n      - name: b\n    z: 1\n",
    "dash at the key": "soc:\n  config:\n    actions:\n    - name: a\n    - name: b\n    z: 1\n",
    "four spaces": "soc:\n    config:\n        actions:\n            - name: a\n              target: ''\n\n        # about z\n        z: 1\n",
    "comments": "soc: # s\n  config: # c\n    actions: # a\n      # before\n      - name: a # x\n      # between\n      - name: b\n      # after\n\n# end\n",
    "no end": "soc:\n  config:\n    actions:\n      - name: a",
    "empty last value": "soc:\n  config:\n    actions:\n      - name: a\n        target:\n    z: 1\n",
    "block text": "soc:\n  config:\n    actions:\n      - name: a\n        body: |\n          # no comment\n\n          text\n\n    z: 1\n",
    "block text at the end": "soc:\n  config:\n    actions:\n      - name: a\n        body: |\n          text\n          # no comment\n",
    "folded": "soc:\n  config:\n    actions:\n      - name: a\n        body: >-\n          text\n          more\n  # c\n  z: 1\n",
    "flow": "soc:\n  config:\n    actions: [{name: a, links: ['x', \"y: #z\"]}, {name: b}] # all\n    z: 1\n",
    "flow lines": "soc:\n  config:\n    actions: [\n      {name: a},\n      {name: b}\n    ]\n    z: 1\n",
    "quoted keys": "'soc':\n  \"config\":\n    'actions':\n      - name: a\n",
    "flow inside": "soc:\n  config: {actions: [{name: a}], z: 1}\nother: 1\n",
    "all in braces": "{soc: {config: {z: 1}}, other: 1}\n",
    "dash alone": "soc:\n  config:\n    actions:\n      -\n        name: a\n      -\n        name: b\n",
    "strings": "soc:\n  config:\n    actions:\n      - name: \"a: - b # c\"\n      - plain\n      - 7\n",
    "many lines": "soc:\n  config:\n    actions:\n      - name: a\n        description: one\n          two\n          three\n      - name: b\n",
    "windows": "soc:\r\n  config:\r\n    actions:\r\n      - name: a\r\n    z: 1\r\n",
}


class Edits(Case):
    """Each change on each layout."""

    def meaning(self, text):
        """The data of a text."""
        return yaml.safe_load(text) or {}

    def comments(self, text):
        """What others noted, in order."""
        return re.findall(r"(?:^|\s)# ([a-z ]+)$", text, re.MULTILINE)

    def test_append_and_remove(self):
        """The list grows by one at its end, and shrinks to what it was."""
        for name, text in TEXTS.items():
            with self.subTest(name):
                before = self.meaning(text)
                document = Document(text, name)
                items = document.get(LIST) or []
                document.append(LIST, ITEM)
                self.assertEqual(self.meaning(document.text), document.data)
                self.assertEqual(document.get(LIST), items + [ITEM])
                for comment in self.comments(text):
                    self.assertIn(comment.strip(), document.text)
                again = Document(document.text, name)
                self.assertTrue(again.remove_item(LIST, lambda item: item == ITEM))
                if items:
                    self.assertEqual(self.meaning(again.text), before)
                else:
                    self.assertEqual(again.get(LIST), [])
                if items and "[" not in text and "{" not in text and text.endswith("\n"):
                    self.assertEqual(again.text, text)

    def test_every_line_of_a_block_list_stays(self):
        """Appending only adds lines."""
        for name in ("two", "dash at the key", "four spaces", "comments", "block text", "empty last value", "many lines", "dash alone"):
            document = Document(TEXTS[name], name)
            document.append(LIST, ITEM)
            left = [line for line in document.text.splitlines() if "ours" not in line and "https://x" not in line]
            for line in TEXTS[name].splitlines():
                self.assertIn(line, left)

    def test_set_and_remove_key(self):
        """A new key at any depth; taken out, the text means what it did, without what was made for it."""
        for path in (["soc", "new"], ["soc", "config", "deep", "er"], ["fresh"], ["fresh", "one"]):
            for name, text in TEXTS.items():
                with self.subTest(name, path=path):
                    before = self.meaning(text)
                    document = Document(text, name)
                    document.set(path, {"tcp": ["8953"], "udp": []})
                    self.assertEqual(document.get(path), {"tcp": ["8953"], "udp": []})
                    document.set(path, 5)
                    self.assertEqual(document.get(path), 5)
                    again = Document(document.text, name)
                    again.remove_key(path)
                    self.assertEqual(self.bare(self.meaning(again.text)), self.bare(before))

    def bare(self, data):
        """Data without what is empty: a mapping made for us goes, one that was empty may go with it."""
        if not isinstance(data, dict):
            return data
        out = {key: self.bare(value) for key, value in data.items()}
        return {key: value for key, value in out.items() if value not in ({}, None)}

    def test_what_cannot_be_edited(self):
        """Is refused with the file's name."""
        for text in ("soc: {{ x }}\n", "{% if x %}\n{% endif %}\n", "{# x #}\n", "#!py\n", "a: &x 1\nb: *x\n", "---\na: 1\n", "a: b: c\n", "7\n"):
            with self.assertRaisesRegex(Refused, "the-file"):
                Document(text, "the-file")

    def test_what_salt_would_render(self):
        """Is never written."""
        with self.assertRaises(Refused):
            Document("", "x").append(LIST, {"name": "{{ x }}"})

    def test_random_texts(self):
        """Any list of mappings in any of these layouts, with comments between: 400 of them, from one seed."""
        chance = random.Random(6)
        for _ in range(400):
            text, names = self.made_up(chance)
            document = Document(text, "x")
            document.append(LIST, ITEM)
            self.assertEqual([item["name"] for item in document.get(LIST)], names + ["ours"])
            victim = chance.choice(names + ["ours"])
            document.remove_item(LIST, lambda item, name=victim: item["name"] == name)
            self.assertEqual([item["name"] for item in document.get(LIST)], [name for name in names + ["ours"] if name != victim])
            if victim == "ours":
                self.assertEqual(document.text, text)

    def made_up(self, chance):
        """A text, and the names of its items."""
        step = chance.choice([2, 4])
        dash = step * 2 + chance.choice([0, step])
        lines, names = ["soc:", " " * step + "config:", " " * step * 2 + "actions:"], []
        for number in range(chance.randint(1, 4)):
            names.append(f"n{number}")
            if chance.random() < 0.3:
                lines.append(" " * chance.randint(0, 9) + "# - name: none")
            lines.append(" " * dash + f"- name: n{number}")
            inside = " " * (dash + 2)
            for extra in chance.sample(
                ["target:", "target: ''", "links: ['a', \"b # c\"]", "body: |\n" + inside + "  - x\n" + inside + "  # y", "note: 'it''s'"],
                chance.randint(0, 3),
            ):
                key = extra.split(":")[0]
                if not any(line.strip().startswith(key) for line in lines[-3:]):
                    lines.append(inside + extra)
        if chance.random() < 0.5:
            lines.append("")
            lines.append(" " * chance.choice([0, step]) + "# end")
        if chance.random() < 0.5:
            lines.append(" " * step * 2 + "z: 1")
        return "\n".join(lines) + "\n", names
