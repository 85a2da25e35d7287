"""What both roles need: programs and units."""

from pathlib import Path

from .errors import Refused
from .host import program

HERE = Path(__file__).resolve().parent.parent


def add_program(plan, host, options, name):
    """Installs one of our programs from `--binaries`, or finds the one that is there; gives its path."""
    path = f"/usr/local/bin/{name}"
    data, installed = program(host, (name,), options.binaries, path)
    if data is None and installed is None:
        raise Refused(f"there is no {name}: name the folder that has it with --binaries, or install the package first")
    if installed is not None:
        return installed
    plan.file(path, data, mode=0o755)
    return path


def add_unit(plan, name, words, start=False):
    """Adds a unit; `@word@` in it becomes the path of a program."""
    text = (HERE / "systemd" / name).read_text()
    for word, path in words.items():
        text = text.replace(f"@{word}@", path)
    plan.file(f"/etc/systemd/system/{name}", text)
    if start:
        plan.units.append(name)
