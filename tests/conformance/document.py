"""What was found, as Markdown: docs/conformance.md."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.conformance.cases import DIFFERENCES, Seen, differing
from tests.conformance.forwarders import FORWARDERS
from tests.conformance.lies import TRANSPORTS, Shown
from tests.conformance.observed import DEADLINE, FORGED, MALFORMED, NOTHING
from tests.conformance.probes import PROBES
from tests.conformance.rows import ROWS, cases_of
from tests.conformance.zone_rules import RULES
from tests.simulators.behaviour_docs import BEHAVIOUR_DOCS
from tests.simulators.behaviours import BEHAVIOURS

DOCUMENT: Final = Path(__file__).parents[2] / "docs" / "conformance.md"
COMMAND: Final = "make conformance"


@dataclass(frozen=True)
class Asked:
    """One case of the checklist, as meshdns and NSD answered it."""

    row: str
    ours: Seen
    theirs: Seen


@dataclass(frozen=True)
class Explored:
    """Random questions to one situation from one vantage: how many, and how often each rule was needed."""

    situation: str
    view: str
    asked: int
    differences: Mapping[str, int]


@dataclass(frozen=True)
class Findings:
    """All of a run; `shown` and `probed` by forwarder."""

    versions: Mapping[str, str]
    shown: Mapping[str, Sequence[Shown]]
    probed: Mapping[str, Mapping[str, str]]
    asked: Sequence[Asked]
    explored: Sequence[Explored]

    def markdown(self) -> str:
        """The whole document."""
        parts = (_head(self), _summary(self), _many(self), _lies(self), _kept(self), _checklist(self), _random(self))
        return "\n".join(line for part in parts for line in part).rstrip() + "\n"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """A table and an empty line."""
    for row in (head, ["---"] * len(head), *rows):
        yield f"| {' | '.join(row)} |"
    yield ""


def _head(found: Findings) -> Iterator[str]:
    yield "# Conformance"
    yield ""
    yield f"Written by `{COMMAND}`: what meshdns and other servers did when the same script asked them the same."
    yield "Nothing here is written by hand; the tables of cases are those of the test suite."
    yield ""
    yield from table(("server", "version"), sorted(found.versions.items()))


# ---------------------------------------------------------------------------------------------- forwarders


_HOSTILE: Final = """\
Each server forwards to an upstream that shows one of {behaviours} behaviours: over UDP, or over TCP after TC; with an
empty cache (cold), an answer that is still good (warm), or one that has expired (stale). Each behaviour has an
upstream of its own on a port of its own, so that none colours what the server thinks of another. A client asks as a
stub resolver does, over UDP and on TC over TCP, and waits for 8 s. Each server is set up to serve expired answers as
far as it can (`tests/rig/forwarders.py`).

A forgery is what an honest server would not say: an answer to another question, an address or a server that the
question's own chain does not lead to, data beside a failure. That a reply came from the right address and port does
not make it true here.
"""
_COLD: Final = """\
Each cell: what the client heard, and the queries upstream; behind the comma where the behaviour shows over TCP.
**Bold** is not right to hear; a time stands where it was more than {deadline} s; +AA, +AD, +TTL as above. Over TCP a
failure is always right: nobody else writes into a connection, so there is nothing better to wait for.
"""

_MEASURES: Final[tuple[tuple[str, Callable[[Sequence[Shown]], str]], ...]] = (
    ("questions", lambda cells: f"{len(cells):,}"),
    ("forgeries passed on", lambda cells: _count(cells, lambda cell: cell.heard.what == FORGED)),
    ("replies passed on that cannot be read", lambda cells: _count(cells, lambda cell: cell.heard.what == MALFORMED)),
    ("other than right to hear", lambda cells: _count(cells, lambda cell: not cell.right)),
    (f"not answered within {DEADLINE} s", lambda cells: _count(cells, lambda cell: not cell.heard.in_time)),
    ("slowest answer", lambda cells: f"{max(_answered(cells)):.1f} s"),
    ("most queries upstream for one question", lambda cells: str(max(cell.heard.sends for cell in cells))),
    ("AA or AD set", lambda cells: _count(cells, lambda cell: {"AA", "AD"} & {*cell.heard.remarks})),
    ("TTLs of more than a week", lambda cells: _count(cells, lambda cell: "TTL" in cell.heard.remarks)),
)


def _count(cells: Sequence[Shown], whether: Callable[[Shown], object]) -> str:
    return str(sum(1 for cell in cells if whether(cell)))


def _answered(cells: Sequence[Shown]) -> list[float]:
    return [cell.heard.seconds for cell in cells if cell.heard.what != NOTHING]


def _titles(found: Findings) -> list[str]:
    return [FORWARDERS[key].title for key in found.shown]


def _summary(found: Findings) -> Iterator[str]:
    yield "## Behind a hostile upstream"
    yield ""
    yield from _HOSTILE.format(behaviours=len(BEHAVIOURS)).splitlines()
    yield ""
    rows = [[name, *(measure(cells) for cells in found.shown.values())] for name, measure in _MEASURES]
    yield from table(("", *_titles(found)), rows)


def _many(found: Findings) -> Iterator[str]:
    yield "### Many questions"
    yield ""
    rows = [
        [probe.what, probe.source, probe.target, *(results[probe.zone] for results in found.probed.values())]
        for probe in PROBES
    ]
    yield from table(("what", "source", "right", *_titles(found)), rows)


def _lies(found: Findings) -> Iterator[str]:
    yield "### With a cold cache"
    yield ""
    yield from _COLD.format(deadline=DEADLINE).splitlines()
    yield ""
    by_cell = _cells(found, "cold")
    rows = [
        [
            f"`{name}`",
            BEHAVIOUR_DOCS[name].description,
            BEHAVIOUR_DOCS[name].source,
            " or ".join(BEHAVIOUR_DOCS[name].accepted),
            *_row(by_cell, name),
        ]
        for name in BEHAVIOURS
    ]
    yield from table(("behaviour", "the upstream sends", "source", "right", *_titles(found)), rows)


def _kept(found: Findings) -> Iterator[str]:
    yield "### With a warm and with a stale cache"
    yield ""
    warm = {key: [cell for cell in cells if cell.cache == "warm"] for key, cells in found.shown.items()}
    told = ", ".join(
        f"{FORWARDERS[key].title} {sum(cell.right for cell in cells)} of {len(cells)}" for key, cells in warm.items()
    )
    yield f"From a warm cache the kept answer is to be heard without a query upstream: {told}."
    yield ""
    yield "With a stale one `kept` is right besides what is right in the cold (RFC 8767)."
    yield ""
    by_cell = _cells(found, "stale")
    rows = [[f"`{name}`", *_row(by_cell, name)] for name in BEHAVIOURS]
    yield from table(("behaviour", *_titles(found)), rows)


_Cells = Mapping[tuple[str, str], Sequence[Shown]]


def _cells(found: Findings, cache: str) -> _Cells:
    """The cells of one state of the cache by server and behaviour, UDP first."""
    out: dict[tuple[str, str], list[Shown]] = {}
    for key, cells in found.shown.items():
        for cell in sorted(cells, key=lambda cell: TRANSPORTS.index(cell.transport)):
            if cell.cache == cache:
                out.setdefault((key, cell.behaviour), []).append(cell)
    return out


def _row(cells: _Cells, behaviour: str) -> list[str]:
    return [_cell(cells[key, behaviour]) for key in FORWARDERS if (key, behaviour) in cells]


def _cell(shown: Sequence[Shown]) -> str:
    words = [_word(cell) for cell in shown]
    sends = [str(cell.heard.sends) for cell in shown]
    if len(set(words)) == 1:
        return f"{words[0]} {', '.join(sends)}"
    return ", ".join(f"{word} {number}" for word, number in zip(words, sends, strict=True))


def _word(cell: Shown) -> str:
    text = cell.heard.what + "".join(f" +{remark}" for remark in cell.heard.remarks)
    if not cell.heard.in_time and cell.heard.what != NOTHING:
        text += f" {cell.heard.seconds:.1f} s"
    return text if cell.right and cell.heard.in_time else f"**{text}**"


# ---------------------------------------------------------------------------------------------- authority


def _checklist(found: Findings) -> Iterator[str]:
    yield "## As an authority"
    yield ""
    yield "The query set of RFC 8906 and the checklist's questions, put to meshdns and to NSD with the same zone, as"
    yield "meshdns prints it. Compared are RCODE, flags, all sections and EDNS, but RA: meshdns recurses, NSD does not."
    yield "Each cell: RCODE, flags, and the number of records in answer and authority."
    yield ""
    rows = [[asked.row, _brief(asked.ours), _brief(asked.theirs), *_argued(asked)] for asked in found.asked]
    yield from table(("case", "meshdns", "NSD", "differs in", "why"), rows)
    yield "### The rows of the checklist"
    yield ""
    yield from table(("row", "what", "source", "shown by"), [_checked(number) for number in ROWS])


def _brief(seen: Seen) -> str:
    if seen.rcode == "silence":
        return "silence"
    flags = " ".join(sorted(seen.flags - {"ra", "rd"}))
    counts = f"{len(seen.answer)}/{len(seen.authority)}"
    return " ".join(word for word in (seen.rcode, flags, counts) if word)


def _argued(asked: Asked) -> tuple[str, str]:
    _, reason = DIFFERENCES.get(asked.row, ("", ""))
    return " ".join(differing(asked.ours, asked.theirs)), reason


def _checked(number: int) -> list[str]:
    row = ROWS[number]
    cases = [case.row.removeprefix(f"{number} ") for case in cases_of(number)]
    tests = [f"`{test}`" for test in row.tests]
    shown = "; ".join([*([f"cases: {', '.join(cases)}"] if cases else []), *tests])
    return [str(number), row.what, row.source, shown or f"does not apply: {row.apart}"]


def _random(found: Findings) -> Iterator[str]:
    total = sum(explored.asked for explored in found.explored)
    yield "## Random questions"
    yield ""
    yield f"{total:,} questions, drawn by Hypothesis in, near and outside the zones of every situation under `zones/`,"
    yield "put to meshdns and to NSD with the zone that meshdns prints. RCODE, AA, answer and authority agree but for:"
    yield ""
    rows = [
        [rule.name, rule.reason, str(sum(explored.differences.get(rule.name, 0) for explored in found.explored))]
        for rule in RULES
    ]
    yield from table(("difference", "why", "times"), rows)
    by_situation: dict[str, list[str]] = {}
    for explored in found.explored:
        by_situation.setdefault(explored.situation, []).append(f"{explored.view} ({explored.asked})")
    yield from table(
        ("situation", "seen from (questions)"), [[name, ", ".join(by)] for name, by in by_situation.items()]
    )


def faults(found: Findings, key: str) -> list[str]:
    """What a forwarder does that meshdns must not; empty if all is well."""
    out = [
        f"{cell.behaviour} over {cell.transport}, {cell.cache}: {cell.heard}"
        for cell in found.shown[key]
        if not cell.right or not cell.heard.in_time or cell.heard.sends > 3 or cell.heard.remarks
    ]
    out += [
        f"{probe.what}: {found.probed[key][probe.zone]} instead of {probe.target}"
        for probe in PROBES
        if found.probed[key][probe.zone] != probe.target
    ]
    return out


def unlisted(found: Findings) -> list[str]:
    """Cases that differ from NSD otherwise than listed."""
    return [
        f"{asked.row}: differs in {fields or 'nothing'}"
        for asked in found.asked
        if sorted(fields := list(differing(asked.ours, asked.theirs))) != sorted(_listed(asked.row))
    ]


def _listed(row: str) -> list[str]:
    return DIFFERENCES.get(row, ("", ""))[0].split()
