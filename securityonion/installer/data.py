"""The folder with what pdns gathers. The installer marks the one that it makes, and removes no other."""

import os
import shutil

from .host import below
from .plan import make_folders, replace

FOLDER = "/nsm/pdns"
# In the folder and not in the notes, since the store outlives an installation.
MARK = FOLDER + "/made-by-pdns-installer"
TEXT = b"pdns' installer for Security Onion made this folder: --uninstall --purge removes it with all that is in it.\n"


def claim(root, state):
    """Makes the folder and marks it. One that is there already is somebody else's, or was marked when it was made."""
    if os.path.lexists(below(root, FOLDER)):
        return
    make_folders(state, below(root, FOLDER))
    state.save()
    replace(below(root, MARK), TEXT, 0o644, os.geteuid(), os.getegid())


def is_marked(root):
    """Whether the installer made the folder."""
    return below(root, MARK).is_file() and not below(root, FOLDER).is_symlink()


def is_empty(root):
    """Whether nothing was gathered: there are folders, and no file but the mark."""
    mark = str(below(root, MARK))
    return all(os.path.join(folder, name) == mark for folder, _, names in os.walk(below(root, FOLDER)) for name in names)


def remove(root, options, say):
    """Removes the folder if the installer made it, and it is empty or to be purged; true when nothing went wrong."""
    folder = below(root, FOLDER)
    if not os.path.lexists(folder):
        return True
    if not is_marked(root):
        say(f"  KEEP {FOLDER}: this installer did not make it" + ("; remove it by hand" if options.purge else ""))
    elif options.purge:
        say(f"  remove {FOLDER} with all that pdns gathered")
        shutil.rmtree(folder)
    elif is_empty(root):
        shutil.rmtree(folder)
    else:
        say(f"  keep {FOLDER}, where the store is: --purge removes it, too")
    return True
