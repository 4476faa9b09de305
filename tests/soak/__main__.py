"""``python -m tests.soak``: long runs that look for wrong answers, leaks and loops; the results go to docs/soak.md."""

import argparse
import sys

from tests.soak import faults, schedules
from tests.soak.report import record


def main() -> int:
    """Run what the command line asks for; 0 where all is well."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    kinds = parser.add_subparsers(dest="kind", metavar="KIND", required=True)
    virtual = kinds.add_parser("schedules", help="random schedules of faults and changes in virtual time")
    virtual.add_argument("--count", type=int, default=100_000, help="how many (default 100000)")
    real = kinds.add_parser("faults", help="faults and changes against real API servers")
    real.add_argument("--minutes", type=float, default=20.0, help="for how long (default 20)")
    asked = parser.parse_args()
    table, well = schedules.run(asked.count) if asked.kind == "schedules" else faults.run(asked.minutes)
    record(" ".join(["python -m tests.soak", *sys.argv[1:]]), table)
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
