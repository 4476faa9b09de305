"""The figures as a table for the terminal, as Markdown, and as JSON."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.bench.arithmetic import SATURATED, Figures, Run, figures
from tests.bench.moment import Moment
from tests.bench.peers import PEERS
from tests.bench.plot import svg
from tests.bench.workloads import Subject, Workload

_COLUMNS = ("server", "µs/query", "ratio", "from–to", "queries/s", "lost", "wrong", "p50 µs", "p99 µs", "busy", "MiB")
_ROLES_SHOWN = 2  # a server that is one process needs no list of its parts


@dataclass(frozen=True)
class Result:
    """A measured workload."""

    workload: Workload
    runs: Mapping[Subject, Sequence[Run]]

    def figures(self) -> dict[Subject, Figures]:
        """Figures of each subject beside the first one."""
        reference = next(iter(self.runs.values()), ())
        return {subject: figures(runs, reference) for subject, runs in self.runs.items()}


@dataclass(frozen=True)
class Report:
    """All that was measured, where, and with which versions."""

    machine: Mapping[str, str]
    versions: Mapping[str, str]
    results: Sequence[Result]
    moments: Sequence[Moment]

    def text(self) -> str:
        """One table for the terminal."""
        parts = [_aligned(result) for result in self.results]
        if self.moments:
            parts.append("\n".join(_moment(moment) for moment in self.moments))
        return "\n\n".join([*parts, "\n".join(_legend())])

    def markdown(self) -> str:
        """The same with machine and versions."""
        lines = ["# Benchmark", ""]
        for title, pairs in (("Machine", self.machine), ("Versions", self.versions)):
            lines += [f"## {title}", "", *(f"- {key}: {value}" for key, value in pairs.items()), ""]
        for result in self.results:
            rows = [_COLUMNS, tuple("---" for _ in _COLUMNS), *_rows(result)]
            lines += [f"## {result.workload.title}", "", *(f"| {' | '.join(row)} |" for row in rows), ""]
            lines += [*_roles(result), ""]
        if self.moments:
            lines += ["## Delays", "", *(f"- {_moment(moment)}" for moment in self.moments), ""]
        return "\n".join([*lines, *(f"- {line}" for line in _legend())]) + "\n"

    def values(self) -> dict[str, object]:
        """Everything, each run included."""
        return {
            "machine": dict(self.machine),
            "versions": dict(self.versions),
            "workloads": [_result_values(result) for result in self.results],
            "moments": [{**asdict(m), "median": m.median, "worst": m.worst} for m in self.moments],
        }

    def write(self, folder: Path) -> list[Path]:
        """Write ``bench.json``, ``bench.md`` and a picture of each workload; the paths."""
        folder.mkdir(parents=True, exist_ok=True)
        texts = {"bench.json": json.dumps(self.values(), indent=1) + "\n", "bench.md": self.markdown()}
        texts |= {f"{result.workload.name}.svg": self._picture(result) for result in self.results}
        for name, text in texts.items():
            (folder / name).write_text(text)
        return [folder / name for name in texts]

    def _picture(self, result: Result) -> str:
        note = f"µs of processor time per query, {self.machine.get('processor', 'unknown processor')}"
        rows = [(subject.peer, found) for subject, found in result.figures().items() if not subject.changes]
        return svg(result.workload.title, note, rows)


def _result_values(result: Result) -> dict[str, object]:
    return {
        "name": result.workload.name,
        "title": result.workload.title,
        "rate": result.workload.rate,
        "population": asdict(result.workload.population),
        "rows": [
            {
                "peer": subject.peer,
                "changes": subject.changes,
                "figures": asdict(found),
                "runs": [asdict(run) for run in result.runs[subject]],
            }
            for subject, found in result.figures().items()
        ],
    }


def _title(subject: Subject) -> str:
    return PEERS[subject.peer].title + subject.note


def _rows(result: Result) -> list[tuple[str, ...]]:
    return [_row(subject, found, result.workload) for subject, found in result.figures().items()]


def _row(subject: Subject, found: Figures, workload: Workload) -> tuple[str, ...]:
    relative = workload.rate == 0 and found.busy < SATURATED
    return (
        _title(subject),
        f"{found.cost:.2f}",
        f"{found.ratio:.2f}",
        f"{found.low:.2f}–{found.high:.2f}",
        f"{found.rate:,.0f}{'*' if relative else ''}",
        f"{found.lost:.2%}",
        f"{found.wrong}",
        f"{found.p50:.0f}",
        f"{found.p99:.0f}",
        f"{found.busy:.0%}/{found.generator:.0%}",
        f"{found.memory:.0f}",
    )


def _roles(result: Result) -> list[str]:
    """The parts of a process tree that has several kinds, in microseconds per query."""
    return [
        f"{_title(subject)} by process: " + ", ".join(f"{role} {cost:.2f}" for role, cost in found.roles.items())
        for subject, found in result.figures().items()
        if len(found.roles) >= _ROLES_SHOWN
    ] + [
        f"{_title(subject)}: {found.changes:.0f} changes/s were made"
        for subject, found in result.figures().items()
        if found.changes
    ]


def _aligned(result: Result) -> str:
    rows = [_COLUMNS, *_rows(result)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(_COLUMNS))]
    lines = [_line(row, widths) for row in rows]
    return "\n".join([f"{result.workload.name}: {result.workload.title}", *lines, *_roles(result)])


def _line(row: Sequence[str], widths: Iterable[int]) -> str:
    first, *rest = (
        cell.ljust(width) if i == 0 else cell.rjust(width)
        for i, (cell, width) in enumerate(zip(row, widths, strict=True))
    )
    return "  ".join([first, *rest])


def _moment(moment: Moment) -> str:
    return f"{moment.title}: median {moment.median:.2f} ms, worst {moment.worst:.2f} ms, {len(moment.tries)} tries"


def _legend() -> list[str]:
    return [
        "µs/query: processor time of the whole process tree per answered query, median of the rounds",
        "ratio: the cost beside the first row's in the same round, median of the rounds",
        "busy: share of the time in which the server / the generator was on its core or waited for it",
        f"*: the server was busy less than {SATURATED:.0%} of the time, so its rate may be the generator's: relative",
    ]
