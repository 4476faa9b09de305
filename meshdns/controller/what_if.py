"""What manifests would change: answers and problems before and after, from each vantage, for tools.

Rules:
- An object that replaces another keeps what the API server would keep: its creation, and the addresses of its status.
  A new one without a creation is the youngest.
- A name that is not declared is shown as it is answered: by the wildcard that covers it, or as the zone denies it.
- Names that only became or ceased to be empty non-terminals are no change.
- A problem is the same one whatever its numbers (`meshdns.mesh.objects.problems.identity_of`).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Final, NamedTuple

import msgspec

from meshdns.controller.problem_index import problems_of
from meshdns.dns import names
from meshdns.mesh.answer import Answer, AnswerKind
from meshdns.mesh.diagnostics import ClusterProblem, check_answer, with_locations
from meshdns.mesh.explain.build import LEVEL_TEXT
from meshdns.mesh.name_table import NameTable
from meshdns.mesh.objects.declarations import AnyDeclaration, ObjectKey, key_of
from meshdns.mesh.objects.problems import ProblemIdentity, identity_of
from meshdns.mesh.settings import MeshSettings
from meshdns.mesh.topology import topology_problems

OUTSIDE: Final = "outside"
"""The vantage of no cluster."""

NO_DATA: Final = "no data"
PENDING: Final = "SERVFAIL"
FORWARDED: Final = "forwarded"
DENIED: Final = "NXDOMAIN"

_TTL: Final = "TTL "
_AWAITED: Final = "to be resolved: "

_KEPT_FIELDS: Final = ("created", "status_addresses", "ingress", "cluster_ips")
"""Fields that the API server fills in, of all kinds."""


class AnswerChange(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The answer of one type that a name has before and after: records, or a word for the outcome without any.

    Host names that are not resolved yet, whose addresses will be a part of it, stand behind the records of type A.
    `level` says which level answers after (before, if nothing does), `declared_by` are the objects behind that answer,
    and `reason` says why there is none.
    """

    vantage: str
    name: str
    type: str
    before: tuple[str, ...]
    after: tuple[str, ...]
    level: int = 0
    level_text: str = ""
    declared_by: tuple[str, ...] = ()
    reason: str = ""


class ProblemChange(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A problem that is `new`, or that ended, as seen from `vantages`."""

    new: bool
    vantages: tuple[str, ...]
    cluster: str
    severity: str
    kind: str
    object: str
    namespace: str
    name: str
    field: str
    reason: str
    advice: str


class ManifestDifference(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """All that manifests would change, for JSON output."""

    api_version: str = "meshdns/v1"
    kind: str = "ManifestDifference"
    cluster: str
    vantages: tuple[str, ...]
    answers: tuple[AnswerChange, ...]
    problems: tuple[ProblemChange, ...]


class Mesh(NamedTuple):
    """A mesh as it is: declarations by cluster, and what host names resolve to."""

    clusters: Mapping[str, Sequence[AnyDeclaration]]
    resolved: Mapping[str, tuple[str, ...]]
    denials: Mapping[str, str]
    """By zone how a name is answered that does not exist."""


class Change(NamedTuple):
    """Objects that are applied to one cluster, and others that are deleted there, at a time in RFC 3339."""

    cluster: str
    applied: Sequence[AnyDeclaration]
    deleted: AbstractSet[ObjectKey]
    at: str


def compare(mesh: Mesh, change: Change, settings: MeshSettings, vantages: Iterable[str]) -> ManifestDifference:
    """Return what `change` makes of a mesh, from clusters and `OUTSIDE`; `settings` are those of one vantage."""
    seen_from = tuple(vantages)
    answers: list[AnswerChange] = []
    ended: dict[ProblemIdentity, tuple[ClusterProblem, list[str]]] = {}
    begun: dict[ProblemIdentity, tuple[ClusterProblem, list[str]]] = {}
    for vantage in seen_from:
        view = _View(mesh, _settings_from(vantage, settings))
        names_before, problems_before = view.answers(), view.problems()
        view.apply(change)
        names_after, problems_after = view.answers(), view.problems()
        for name in sorted(names_before.keys() | names_after.keys()):
            answers += view.changes(vantage, name, names_before, names_after)
        for identity in problems_after.keys() - problems_before.keys():
            begun.setdefault(identity, (problems_after[identity], []))[1].append(vantage)
        for identity in problems_before.keys() - problems_after.keys():
            ended.setdefault(identity, (problems_before[identity], []))[1].append(vantage)
    problems = [
        _problem_change(each, where, new=new)
        for new, found in ((True, begun), (False, ended))
        for _, (each, where) in sorted(found.items(), key=lambda item: _problem_order(item[0]))
    ]
    return ManifestDifference(
        cluster=change.cluster, vantages=seen_from, answers=tuple(answers), problems=tuple(problems)
    )


def _settings_from(vantage: str, settings: MeshSettings) -> MeshSettings:
    """The settings of an instance that stands in `vantage`; its network is set only for the one of the settings."""
    cluster = "" if vantage == OUTSIDE else vantage
    if cluster == settings.vantage_cluster:
        return settings
    return msgspec.structs.replace(settings, vantage_cluster=cluster, vantage_network="")


def _problem_order(identity: ProblemIdentity) -> tuple[str, ...]:
    return tuple(each if isinstance(each, str) else each.value for each in identity)


def _problem_change(each: ClusterProblem, vantages: Sequence[str], *, new: bool) -> ProblemChange:
    cluster, problem = each
    return ProblemChange(
        new=new,
        vantages=tuple(vantages),
        cluster=cluster,
        severity=problem.severity.value,
        kind=problem.kind.value,
        object=problem.object,
        namespace=problem.namespace,
        name=problem.name,
        field=problem.field,
        reason=problem.reason,
        advice=problem.next_step,
    )


class _View:
    """The mesh from one vantage."""

    def __init__(self, mesh: Mesh, settings: MeshSettings) -> None:
        self._mesh = mesh
        self._settings = settings
        self._table = NameTable(settings)
        for cluster, declarations in mesh.clusters.items():
            self._table.add_cluster(cluster)
            for declaration in declarations:
                self._table.upsert(cluster, declaration)
        for host, addresses in mesh.resolved.items():
            self._table.set_resolved_addresses(host, addresses)
        self._answers: dict[str, Answer] = {}
        self._hosts: dict[str, tuple[str, ...]] = {}  # by name the host names that are to be resolved

    def apply(self, change: Change) -> None:
        """Make the change."""
        for key in change.deleted:
            self._table.remove(change.cluster, key)
        known = self._table.inventory.ensure_cluster(change.cluster).declarations
        for declaration in change.applied:
            stored = _as_stored(declaration, known.get(key_of(declaration)), change.at)
            self._table.upsert(change.cluster, stored)

    def answers(self) -> dict[str, "_Shown"]:
        """What every name is answered with now, empty non-terminals among them."""
        for name, answer in self._table.refresh().items():
            self._answers.pop(name, None)
            self._hosts.pop(name, None)
            if answer is not None:
                self._answers[name] = answer
                self._hosts[name] = self._table.unresolved_hosts(name)
        return {name: _Shown(answer, self._hosts.get(name, ())) for name, answer in self._answers.items()}

    def problems(self) -> dict[ProblemIdentity, ClusterProblem]:
        """What is wrong now, by identity."""
        inventory, topology = self._table.inventory, self._table.topology
        found: list[ClusterProblem] = [
            (cluster, problem)
            for cluster, objects in inventory.clusters.items()
            for declaration in objects.declarations.values()
            for problem in problems_of(cluster, declaration, self._settings)
        ]
        found += with_locations(topology_problems(inventory, topology), inventory)
        for name, answer in self._answers.items():
            found += check_answer(name, answer, inventory, topology)
        return {identity_of(*each): each for each in found}

    def changes(
        self, vantage: str, name: str, before: Mapping[str, "_Shown"], after: Mapping[str, "_Shown"]
    ) -> Iterator[AnswerChange]:
        """Return the types of which a name is answered otherwise."""
        if not any(name in each and each[name].is_declared for each in (before, after)):
            return
        old, new = self._find(name, before), self._find(name, after)
        denied = self._denial(name)
        rows = [
            (rtype, texts[0], texts[1])
            for rtype, of_type in _TYPES.items()
            if (texts := _of_both(of_type, old, new, denied)) is not None
        ]
        with_records = [row for row in rows if not (_is_word(row[1], denied) and _is_word(row[2], denied))]
        for rtype, was, becomes in with_records or rows[:1]:
            shown = new if new is not None and new.answer.level is not None else old
            level = shown.answer.level if shown is not None else None
            yield AnswerChange(
                vantage=vantage,
                name=name,
                type=rtype,
                before=was,
                after=becomes,
                level=level.value if level is not None else 0,
                level_text=LEVEL_TEXT[level] if level is not None else "",
                declared_by=new.origins if new is not None else (),
                reason=new.reason if new is not None else "nobody declares it any more",
            )

    def _find(self, name: str, known: Mapping[str, "_Shown"]) -> "_Shown | None":
        """What answers for a name: its own answer, or the longest wildcard that covers it."""
        if name in known or name.startswith("*."):
            return known.get(name)
        zone = self._settings.zone_of(name)
        for parent in names.parents(name):
            if f"*.{parent}" in known:
                return known[f"*.{parent}"]
            if zone is None or parent == zone.name or (zone.closest_encloser and parent in known):
                return None
        return None

    def _denial(self, name: str) -> str:
        zone = self._settings.zone_of(name.removeprefix("*."))
        return self._mesh.denials.get(zone.name, DENIED) if zone is not None else DENIED


class _Shown(NamedTuple):
    """An answer, and the host names it still needs resolved."""

    answer: Answer
    hosts: tuple[str, ...]

    @property
    def is_declared(self) -> bool:
        return bool(self.answer.candidates or self.answer.records)

    @property
    def origins(self) -> tuple[str, ...]:
        chosen = [self.answer.candidates[number] for number in self.answer.chosen] or self.answer.candidates
        return tuple(dict.fromkeys(f"{each.cluster}: {each.origin}" for each in chosen))

    @property
    def reason(self) -> str:
        """Why there is no address; empty where there are some."""
        if self.answer.ipv4 or self.answer.ipv6 or not self.answer.candidates:
            return ""
        return self.answer.candidates[0].rule.value


_Texts = Callable[[_Shown], tuple[str, ...]]


def _addresses(shown: _Shown, addresses: tuple[str, ...]) -> tuple[str, ...]:
    answer = shown.answer
    if answer.outcome is AnswerKind.FORWARD:
        return (FORWARDED,)
    awaited = tuple(f"{_AWAITED}{host}" for host in shown.hosts)
    if answer.outcome is AnswerKind.PENDING and not (answer.ipv4 or answer.ipv6):
        return (PENDING, *awaited)
    return (*(addresses or (NO_DATA,)), *([f"{_TTL}{answer.ttl}"] if addresses else ()), *awaited)


def _services(shown: _Shown) -> tuple[str, ...]:
    found = sorted(
        f"_{port.name}._{port.protocol}:{number}" + (f" in {cluster}" if cluster else "")
        for port in shown.answer.services
        for number, cluster in port.targets
    )
    return tuple(found) or (NO_DATA,)


_TYPES: Final[Mapping[str, _Texts]] = {
    "A": lambda shown: _addresses(shown, shown.answer.ipv4),
    "AAAA": lambda shown: _addresses(shown._replace(hosts=()), shown.answer.ipv6),
    "SRV": _services,
}


def _of_both(
    texts: _Texts, old: _Shown | None, new: _Shown | None, denied: str
) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
    """Both texts of a type, without TTLs unless they alone changed; None where they are the same."""
    was, becomes = (texts(each) if each is not None else (denied,) for each in (old, new))
    if was == becomes:
        return None
    without = [tuple(text for text in each if not text.startswith(_TTL)) for each in (was, becomes)]
    return (was, becomes) if without[0] == without[1] else (without[0], without[1])


def _is_word(texts: tuple[str, ...], denied: str) -> bool:
    """Whether it is no record but a word for the outcome; an outcome that is awaited or forwarded is one to show."""
    return texts in ((NO_DATA,), (DENIED,), (denied,))


def _as_stored(declaration: AnyDeclaration, before: AnyDeclaration | None, at: str) -> AnyDeclaration:
    """Return an object as the API server has it once it was applied."""
    kept: dict[str, object] = {}
    for field in _KEPT_FIELDS:
        if hasattr(declaration, field) and not getattr(declaration, field):
            kept[field] = getattr(before, field, getattr(declaration, field))
    if "created" in kept and not kept["created"]:
        kept["created"] = at
    if getattr(declaration, "headless", False):
        kept.pop("cluster_ips", None)
    return msgspec.structs.replace(declaration, **kept) if kept else declaration
