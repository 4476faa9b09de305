"""The conformance proof: ``python -m tests.conformance`` writes docs/conformance.md.

It puts hostile upstreams, the checklist and random questions to meshdns and, by the same script, to other servers.

Rules:
- One table of cases each, and one place for it: `simulators.behaviours` with `simulators.meanings`, `cases`, `rows`.
- The judges know RFCs, not meshdns: nothing here imports it but to start it and to print its zones.
- A server that does worse is no failure of the run. What meshdns must hold to is tested in the suite, and the command
  fails where meshdns does not.

Does not belong here: speed, and faults of the clusters.
"""
