"""Hostile octets: what reads them is fuzzed, its cost is searched for, and a running instance is flooded with them.

Rules:
- A target takes any octets and raises only where a rule of the reader is broken; `targets.TARGETS` is the table.
- ``corpus/<target>`` holds one input a file, minimised, named by its hash; the tests replay all of it.
- ``python -m tests.fuzz`` (``make fuzz``) runs the long part, and writes what came of it into ``docs/fuzzing.md``.

Does not belong here: single packets with a known answer; these are rows of the tables in `tests/dns` and `tests/e2e`.
"""
