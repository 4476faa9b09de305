"""``python -m tests.faults``: each fault of an API server once, and what is seen of it; writes docs/faults.md."""

import argparse
import os
import sys

from tests.faults.catalogue import WAVES
from tests.faults.page import write
from tests.faults.scenario import play, say
from tests.rig.packages import program

_INSIDE = "MESHDNS_FAULTS_NAMESPACE"


def main() -> int:
    """Run what the command line asks for; 0 where nothing was wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    names = [fault.name for wave in WAVES for fault in wave]
    parser.add_argument("--only", choices=names, default="", metavar="NAME", help=f"one fault: {', '.join(names)}")
    asked = parser.parse_args()
    if _INSIDE not in os.environ:
        os.environ[_INSIDE] = "1"
        unshare = program("unshare")
        os.execv(unshare, [unshare, "--net", sys.executable, "-m", "tests.faults", *sys.argv[1:]])  # noqa: S606 - no shell wanted
    outcome = play(asked.only)
    if asked.only:
        for course in outcome.courses:
            say(str(course))
    else:
        say(write(outcome, " ".join(["python -m tests.faults", *sys.argv[1:]])))
    for fault in outcome.wrong[:20]:
        say(fault)
    return 1 if outcome.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
