"""Commands of a user who may not read what a server left.

``python -m tests.cli.as_stranger`` reads the arguments of commands as JSON, a list of lists, and prints the exit code
and the output of each, standard output and error in one.
"""

import codecs
import importlib
import json
import os
import pkgutil
import sys
from typing import Final

from click.testing import CliRunner

import meshdns
from meshdns.cli.main import root

STRANGER: Final = 65534
"""A user id that owns nothing here."""


def load_all() -> None:
    """Import everything while it can be read: the checkout may be the other user's alone."""
    for package in ("cli", "controller.admin", "namedb", "mesh", "dns", "config"):
        name = f"{meshdns.__name__}.{package}"
        for found in pkgutil.walk_packages(importlib.import_module(name).__path__, f"{name}."):
            if not found.name.endswith(("__main__", ".verify", ".reference")):
                importlib.import_module(found.name)
    for codec in ("ascii", "idna", "latin-1", "utf-8", "utf-8-sig"):
        codecs.lookup(codec)


def main() -> None:
    """Give up the rights of root, if there are any, and run the commands."""
    commands = json.load(sys.stdin)
    load_all()
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(STRANGER)
        os.setuid(STRANGER)
    ended = [CliRunner().invoke(root, arguments) for arguments in commands]
    json.dump([(each.exit_code, each.output, repr(each.exception)) for each in ended], sys.stdout)


if __name__ == "__main__":
    main()
