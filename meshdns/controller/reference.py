"""The page on problems, from the kinds that are declared.

``python -m meshdns.controller.reference > docs/problems.md`` writes it.
"""

import sys

from meshdns.mesh.objects.problems import ProblemKind, Severity

_HEAD = """\
# Problems

`meshdns get problems` lists them, `meshdns check` finds them in manifests before they are served, and the metric
`meshdns_problems` counts them by cluster and kind. A problem of one object keeps nothing else from being served.

A problem has a kind, and each kind has one severity:

| severity | meaning |
|---|---|
| error | Something that is declared is not served, or a part of meshdns does not work. |
| warning | Everything is served, but perhaps not as its author meant it. |
| expected | Normal in most meshes: it is counted, and nobody has to act. Listed with `--all`. |

`since` is the time at which a problem was first seen. Restarts and upgrades keep it. After a reboot, and where the name
database was rebuilt, it is the time at which the problem was found again. Changed numbers in its reason do not make it
another problem.

`cause` names what has to change for a problem to disappear. Problems of one kind and one cause end together.

The advice in the table is for problems that do not bring their own.

| kind | severity | meaning | advice | runbook |
|---|---|---|---|---|
"""


def reference() -> str:
    """Return the text of ``docs/problems.md``."""
    urgency = list(Severity)
    kinds = sorted(ProblemKind, key=lambda kind: (urgency.index(kind.severity), kind.value))
    return _HEAD + "".join(map(_row, kinds))


def _row(kind: ProblemKind) -> str:
    advice = kind.advice.replace("<", "\\<")
    runbook = f"[runbook](runbooks.md#{kind.runbook})"
    return f"| {kind.value} | {kind.severity.value} | {kind.meaning} | {advice} | {runbook} |\n"


if __name__ == "__main__":
    sys.stdout.write(reference())
