"""The answer of a name, chosen among its candidates.

The first step that yields an address decides; inside it the nearest group that has a healthy address answers alone,
chosen once over both address families. If nothing in a level is healthy the level fails open. Addresses are merged,
duplicates removed, ordered by value (rotation happens per query) and capped. The answer names the candidates that it
chose, so that `explain` repeats no decision.
"""

import enum
import functools
from collections.abc import Callable, Sequence
from ipaddress import IPv4Address
from operator import itemgetter

import msgspec

from meshdns.mesh.addresses import parse_address
from meshdns.mesh.candidates import Candidate, EndpointRule, Level, Reach
from meshdns.mesh.deflate import compress, decompress
from meshdns.mesh.objects.references import decode_reference, encode_reference
from meshdns.mesh.service_ports import ServicePort, addresses_by_port, find_services, served_ports, with_pods
from meshdns.mesh.settings import StaticRecord

MAX_PER_FAMILY = 15  # fits 512 bytes with a long name; BIND-based clients refuse RRsets above 100
POD_TTL = 5  # seconds, CoreDNS's default for endpoint addresses; no answer with a pod address in it lives longer

_CACHE_SIZE = 1 << 10  # names behind one gateway have addresses and ports in common: they are worked out once
_MAX_CACHED = 128  # addresses and ports of what is kept there: whoever declares them decides how many there are
_FEW = 4  # of what has more: the hosts of one declaration are judged one after another


class AnswerKind(enum.Enum):
    """The kinds of answer of a known name."""

    ADDRESSES = "addresses"
    NODATA = "no address"
    PENDING = "an address is still to come"  # SERVFAIL with EDE 22
    FORWARD = "a forward zone of the settings"


class AnswerPart(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The addresses of a name in one cluster: ``<cluster>.<host>``, and with a port ``p<port>.<cluster>.<host>``."""

    cluster: str
    port: int
    ipv4: tuple[str, ...]
    ipv6: tuple[str, ...]


class Answer(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """The answer for an owner name: addresses in canonical text and the candidates behind them.

    `clusters` are those whose declarations the chosen addresses rest on; while one of them is stale the answer is.
    `candidates` holds every candidate, chosen or not, in the order of the levels; `chosen` are the indexes in it of
    those whose addresses are the answer, ascending. `records` are static ones of other types than addresses.
    """

    outcome: AnswerKind
    ipv4: tuple[str, ...] = ()
    ipv6: tuple[str, ...] = ()
    ttl: int = 0
    level: Level | None = None
    clusters: tuple[str, ...] = ()
    candidates: tuple[Candidate, ...] = msgspec.field(default=(), name="considered")
    parts: tuple[AnswerPart, ...] = ()
    services: tuple[ServicePort, ...] = ()
    records: tuple[StaticRecord, ...] = ()
    chosen: tuple[int, ...] = ()

    @property
    def is_declared(self) -> bool:
        """Whether the name itself is declared: an empty non-terminal has neither candidates nor records."""
        return bool(self.candidates or self.records) or self.outcome is AnswerKind.PENDING

    @property
    def declaring_clusters(self) -> tuple[str, ...]:
        """Those of `clusters` that make the name exist; none for PTR names and names of the zone itself."""
        return () if self.level in (None, Level.ZONE) else self.clusters


class SelectionPolicy(msgspec.Struct, frozen=True):
    """The settings of a zone for the choice: TTL in seconds, preferred clusters in order, failover across levels.

    `makes_parts` says whether there are names by cluster; `can_name_cluster` and `can_name_pod` say
    which targets SRV records may name (`meshdns.mesh.made_names`).
    """

    ttl: int
    order: tuple[str, ...] = ()
    cross_levels: bool = False
    makes_parts: bool = True
    can_name_cluster: Callable[[str], bool] = bool
    can_name_pod: Callable[[str], bool] = bool


def choose_answer(steps: Sequence[Sequence[Candidate]], policy: SelectionPolicy) -> Answer:
    """Return the answer that follows from candidates in steps of falling precedence."""
    candidates = tuple(candidate for step in steps for candidate in step)
    for only_ready in (True, False):  # nothing ready anywhere: a rollout must not become a cached denial
        decided = _first_answer(steps, candidates, policy, only_ready=only_ready)
        if decided is not None:
            return decided
    pending = any(candidate.pending for candidate in candidates)
    return Answer(AnswerKind.PENDING if pending else AnswerKind.NODATA, candidates=candidates)


def _first_answer(
    steps: Sequence[Sequence[Candidate]],
    candidates: tuple[Candidate, ...],
    policy: SelectionPolicy,
    *,
    only_ready: bool,
) -> Answer | None:
    """The answer of the first step that yields one; with `cross_levels` the first that yields a healthy one."""
    unhealthy: list[int] = []
    start = 0
    for step in steps:
        found = [index for index, c in enumerate(step, start) if c.address and (c.ready or not only_ready)]
        start += len(step)
        if found and (not policy.cross_levels or any(candidates[index].healthy for index in found)):
            return _build_answer(found, candidates, policy)
        unhealthy = unhealthy or found
        itself = next((c for c in step if c.rule is EndpointRule.SELF_REFERENCE and (c.pending or c.forwarded)), None)
        if itself is not None and not found:
            outcome = AnswerKind.FORWARD if itself.forwarded else AnswerKind.PENDING
            return Answer(outcome, level=itself.level, candidates=candidates)
    return _build_answer(unhealthy, candidates, policy) if unhealthy else None


def _build_answer(usable: Sequence[int], candidates: tuple[Candidate, ...], policy: SelectionPolicy) -> Answer:
    """The answer of one step; `usable` are the indexes of its candidates that have an address."""
    indexes = _preferred_group(_nearest_group(usable, candidates), candidates, policy.order)
    group = [candidates[index] for index in indexes]
    ipv4, ipv6 = _by_family(tuple(candidate.address for candidate in group))
    chosen = _served_indexes(indexes, candidates, ipv4, ipv6)
    served = [candidates[index] for index in chosen]
    ports = served_ports(served)
    services = find_services(ports, policy.can_name_cluster)
    parts = _parts(tuple((c.target_cluster, c.reach, c.address) for c in candidates if c.address and c.target_cluster))
    ported = [
        AnswerPart(cluster, number, *_by_family(found)) for cluster, number, found in addresses_by_port(ports, services)
    ]
    ttl = next((candidate.ttl for candidate in group if candidate.ttl >= 0), policy.ttl)
    if any(candidate.is_pod for candidate in group):
        ttl = min(ttl, POD_TTL)
    return Answer(
        AnswerKind.ADDRESSES,
        ipv4=ipv4,
        ipv6=ipv6,
        ttl=ttl,
        level=group[0].level,
        clusters=tuple(sorted({c.cluster for c in group} | {c.via_cluster for c in group if c.via_cluster})),
        candidates=candidates,
        parts=(*parts, *ported) if policy.makes_parts else (),
        services=with_pods(services, served, group, policy.can_name_pod),
        chosen=chosen,
    )


def _nearest_group(usable: Sequence[int], candidates: tuple[Candidate, ...]) -> list[int]:
    """The nearest group that has a healthy address, without its unhealthy ones; all of the nearest where none has."""
    healthy = [index for index in usable if candidates[index].healthy] or list(usable)
    nearest = min(candidates[index].reach for index in healthy)
    return [index for index in healthy if candidates[index].reach is nearest]


def _preferred_group(group: list[int], candidates: tuple[Candidate, ...], order: tuple[str, ...]) -> list[int]:
    """Ordered failover: the first cluster of `order` that is in the group answers alone."""
    for cluster in order:
        preferred = [index for index in group if candidates[index].target_cluster == cluster]
        if preferred:
            return preferred
    return group


def _served_indexes(
    indexes: Sequence[int], candidates: tuple[Candidate, ...], ipv4: tuple[str, ...], ipv6: tuple[str, ...]
) -> tuple[int, ...]:
    """Those of `indexes` whose address is served: the cap of a family may have left some out."""
    served = {*ipv4, *ipv6}
    return tuple(
        index
        for index in indexes
        # nearly all are written in canonical form already, and to write one takes long
        if (text := candidates[index].address) in served or str(parse_address(text)) in served
    )


def _by_family(texts: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return (_find_families if len(texts) <= _MAX_CACHED else _find_families_of_many)(texts)


@functools.lru_cache(maxsize=_CACHE_SIZE)
def _find_families(texts: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    addresses = sorted({address for text in texts if (address := parse_address(text)) is not None}, key=int)
    ipv4 = [address for address in addresses if isinstance(address, IPv4Address)]
    ipv6 = [address for address in addresses if not isinstance(address, IPv4Address)]
    return tuple(map(str, ipv4[:MAX_PER_FAMILY])), tuple(map(str, ipv6[:MAX_PER_FAMILY]))


_Reached = tuple[str, Reach, str]
"""The cluster in which an address is reached, how, and the address."""


def _parts(reached: tuple[_Reached, ...]) -> tuple[AnswerPart, ...]:
    """What is reached in each cluster, ready or not."""
    return (_find_parts if len(reached) <= _MAX_CACHED else _find_parts_of_many)(reached)


@functools.lru_cache(maxsize=_CACHE_SIZE)
def _find_parts(reached: tuple[_Reached, ...]) -> tuple[AnswerPart, ...]:
    by_cluster: dict[str, list[_Reached]] = {}
    for each in reached:
        by_cluster.setdefault(each[0], []).append(each)
    parts = []
    for cluster, its in sorted(by_cluster.items(), key=itemgetter(0)):
        nearest = min(reach for _, reach, _ in its)
        parts.append(
            AnswerPart(cluster, 0, *_by_family(tuple(address for _, reach, address in its if reach == nearest)))
        )
    return tuple(parts)


_find_families_of_many = functools.lru_cache(maxsize=_FEW)(_find_families.__wrapped__)
_find_parts_of_many = functools.lru_cache(maxsize=_FEW)(_find_parts.__wrapped__)

# ---------------------------------------------------------------------------------------------- as bytes


def encode_answer(answer: Answer) -> bytes:
    """Encode an answer with its provenance in few bytes: the database holds one per name and seldom reads it."""
    return compress(msgspec.msgpack.encode(answer, enc_hook=encode_reference))


def decode_answer(data: bytes) -> Answer:
    """Decode what `encode_answer` of this version or of version 0.1 returned."""
    answer = msgspec.msgpack.decode(decompress(data), type=Answer, dec_hook=decode_reference)
    if answer.chosen or answer.outcome is not AnswerKind.ADDRESSES:
        return answer
    return msgspec.structs.replace(answer, chosen=_unrecorded_choice(answer))


def _unrecorded_choice(answer: Answer) -> tuple[int, ...]:
    """What an answer chose that version 0.1 wrote, which did not record it: as far as its addresses tell.

    Of two candidates with the same address both count, although the order of the zone may have preferred one.
    """
    every = range(len(answer.candidates))
    served = _served_indexes(every, answer.candidates, answer.ipv4, answer.ipv6)
    usable = [index for index in served if answer.candidates[index].level is answer.level]
    usable = [index for index in usable if answer.candidates[index].ready] or usable
    step = [index for index in usable if _wildcard(answer, index) == _wildcard(answer, usable[0])]
    return tuple(_nearest_group(step, answer.candidates)) if step else ()


def _wildcard(answer: Answer, index: int) -> str:
    """The wildcard through which a candidate came, each of which is a step of its own; empty for exact names."""
    host = answer.candidates[index].host
    return host if host.startswith("*.") else ""
