"""docs/faults.md: what was seen of each fault."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.faults.cluster import FRESH, NAMES
from tests.faults.scenario import Course, Outcome

PAGE: Final = Path(__file__).parents[2] / "docs" / "faults.md"
_HEAD: Final = """\
# Faults of a cluster

What clients and operators see while something is wrong with one API server of several. Written by
`{command}`: four clusters, each with a kube-apiserver and an etcd of its own, and one
`meshdns serve` that stands in east and reads all four. In north, south and west something goes wrong, side by side;
east stays well. Seconds count from the beginning of the fault, or from its end where that is said. Taken on {cores}
cores at a load average of {load:.1f} (15 minutes), in {minutes:.0f} minutes.

While it lasts one name of each cluster is asked for every 100 ms ({asked:,} answers in all), and once a second dig and
`meshdns get clusters -o json` are run. What must not have been: {wrong}.
Changes in cluster east meanwhile: {changes}.
"""
_LEGEND: Final = f"""\
- *requests*: to the API server that fails, from the beginning of the fault to its end: what its audit log has of
  meshdns, or, where it could not answer, connections that were tried. One per 4 s is the most on average. A server that
  refuses one kind only is well: there what it refuses is counted, and the rest is the work on the other kinds.
- *change*: an object (`n{FRESH}`) was changed when the fault ended; so long after that dig showed it.
- *well*: so long after the end the state was *synced* without a reason, answers had no EDE but the hint of a
  denial, and the name asked for every 100 ms was what it is to be. States are looked at about once in 2 s.
- A server goes on with a watch that it would not open again. Where a token or a right is taken away, the open
  connections are therefore reset at the same moment, as a restart of the API server or of a load balancer does.
- A store put back to an older snapshot lacks 17 of {NAMES} objects: they are served until a second complete list, 60 s
  later, says the same (the mass-delete guard).
"""


def write(outcome: Outcome, command: str) -> str:
    """Write the page; its text."""
    head = _HEAD.format(
        command=command,
        cores=os.cpu_count(),
        load=outcome.load,
        minutes=outcome.seconds / 60,
        asked=outcome.canary.asked,
        wrong=len(outcome.wrong),
        changes=outcome.changes.text,
    )
    text = "\n".join([head, *_table(outcome), "", _LEGEND, *_courses(outcome), *_wrong(outcome)]).rstrip() + "\n"
    PAGE.write_text(text)
    return text


def _table(outcome: Outcome) -> Iterator[str]:
    yield "| fault | noticed | dig before it ended | stale | requests | change | well |"
    yield "|---|---|---|---|---|---|---|"
    for course in outcome.courses:
        yield f"| {' | '.join(_cells(course))} |"


def _cells(course: Course) -> Iterator[str]:
    noticed, stale = course.noticed, course.stale
    during = [look for look in course.looks if look.at < course.ended]
    yield course.fault.title
    yield f"{noticed.at - course.began:.0f} s" if noticed is not None else "never"
    yield f"{during[-1].text}" if during and course.fault.lasts else "-"
    yield f"{stale.at - course.began:.0f} s" if stale is not None else "no"
    yield _requests(course) if course.fault.lasts else "-"
    yield _seconds(course.changed)
    yield _seconds(course.recovered)


def _requests(course: Course) -> str:
    refused = "" if course.fault.fails else f" ({course.refused} refused)"
    return f"{course.requests} in {course.ended - course.began:.0f} s{refused}"


def _seconds(value: float | None) -> str:
    return "never" if value is None else f"{value:.1f} s"


def _courses(outcome: Outcome) -> Iterator[str]:
    """What dig and the state said, and when that changed."""
    for course in outcome.courses:
        yield f"## {course.fault.title[0].upper()}{course.fault.title[1:]}"
        yield ""
        yield "```text"
        yield from _changes(course)
        yield "```"
        yield ""


def _changes(course: Course) -> Iterator[str]:
    before = ""
    told = False
    for look in course.looks:
        if look.at >= course.ended and not told and course.fault.lasts:
            told = True
            yield f"{course.ended - course.began:6.0f} s  the fault is over"
        line = f"{look.text}  {look.answer or '(no address)'}  {look.status}"
        seen = f"{line}{look.reason}"
        if seen != before:
            before = seen
            yield f"{look.at - course.began:6.0f} s  {line}"
            if look.reason:
                yield f"          {_short(look.reason)}"


def _short(reason: str) -> str:
    return reason if len(reason) <= 200 else f"{reason[:197]}..."


def _wrong(outcome: Outcome) -> Iterator[str]:
    if outcome.wrong:
        yield "## Wrong"
        yield ""
        yield from (f"- {each}" for each in outcome.wrong[:20])
