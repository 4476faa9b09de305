"""The table of workloads: what is asked, how fast, of whom, and what happens meanwhile."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from tests.bench.peers import REFERENCE
from tests.bench.population import NAMESPACE, ZONE, Population, service_name
from tests.bench.queries import NXDOMAIN, UNIQUE_LABEL, Packets, mixed_case, query

CHANGES = 100.0
"""Changes a second: a busy cluster's rollouts, all at once."""

_OUTSIDE = "example.com"
_HITS = 5_000  # names that forwarders have in their caches
_SPELLINGS = 4  # of each name in mixed case


@dataclass(frozen=True)
class Subject:
    """A peer under a workload; `changes` a second are made to its cluster meanwhile.

    `packets` is what it is asked where that is not what the others are.
    """

    peer: str
    changes: float = 0.0
    packets: Callable[[Population], Packets] | None = None

    @property
    def note(self) -> str:
        """What is said of it behind the peer's title."""
        return f", {self.changes:g} changes/s" if self.changes else ""


@dataclass(frozen=True)
class Workload:
    """`rate` queries a second, 0 for as fast as they are answered; the first subject is what others stand beside."""

    name: str
    title: str
    packets: Callable[[Population], Packets]
    subjects: tuple[Subject, ...]
    rate: float = 0.0
    population: Population = field(default_factory=Population)


def _known(population: Population) -> Packets:
    queries = tuple(query(population.name(number)) for number in range(population.count))
    return Packets(queries, answers=population.each)


def _services(population: Population) -> Packets:
    return Packets(tuple(query(service_name(number)) for number in range(population.count)))


def _known_edns(population: Population) -> Packets:
    return Packets(tuple(query(population.name(number), edns=True) for number in range(population.count)))


def _known_tcp(population: Population) -> Packets:
    return replace(_known(population), tcp=True)


def _mixed_case(population: Population) -> Packets:
    spellings = (mixed_case(population.name(n), salt) for salt in range(_SPELLINGS) for n in range(population.count))
    return Packets(tuple(map(query, spellings)))


def _unknown(_population: Population) -> Packets:
    return Packets((query(f"{UNIQUE_LABEL}.{NAMESPACE}.{ZONE}"),), rcode=NXDOMAIN, answers=0, unique=True)


def _forward_hits(_population: Population) -> Packets:
    return Packets(tuple(query(f"host-{number:05d}.{_OUTSIDE}") for number in range(_HITS)))


def _forward_misses(_population: Population) -> Packets:
    return Packets((query(f"{UNIQUE_LABEL}.{_OUTSIDE}"),), unique=True)


def _subjects(*peers: str) -> tuple[Subject, ...]:
    return tuple(Subject(peer) for peer in (REFERENCE, *peers))


_SERVERS = ("coredns-hosts", "unbound", "knot", "nsd", "dnsmasq")
_OVER_TCP = tuple(name for name in _SERVERS if name != "dnsmasq")  # that one ends a connection after 100 queries
_FORWARDERS = ("coredns-forward", "unbound-forward", "dnsmasq-forward")

WORKLOADS: tuple[Workload, ...] = (
    Workload("known", "known names, saturated", _known, _subjects("echo", *_SERVERS)),
    Workload("edns", "known names with EDNS, saturated", _known_edns, _subjects(*_SERVERS)),
    Workload("eight", "known names with 8 addresses, saturated", _known, _subjects(*_SERVERS), 0, Population(each=8)),
    Workload("known-100k", "100,000 known names, saturated", _known, _subjects(*_SERVERS), 0, Population(100_000)),
    Workload("nxdomain", "unknown names of the zone, saturated", _unknown, _subjects(*_SERVERS)),
    Workload("mixed", "known names in mixed case, saturated", _mixed_case, _subjects(*_SERVERS)),
    Workload("tcp", "known names over TCP, pipelined, saturated", _known_tcp, _subjects(*_OVER_TCP)),
    Workload("rate-1k", "known names, 1,000/s", _known, _subjects(*_SERVERS), 1_000),
    Workload("rate-20k", "known names, 20,000/s", _known, _subjects("echo", *_SERVERS), 20_000),
    Workload("two", "known names, saturated, one worker and two", _known, _subjects("meshdns-two")),
    Workload("hits", "forwarded names from the cache, saturated", _forward_hits, _subjects(*_FORWARDERS)),
    Workload("misses", "forwarded names from upstream, saturated", _forward_misses, _subjects(*_FORWARDERS)),
    Workload(
        "kubernetes",
        "known names of ServiceEntries, of Services for CoreDNS, saturated",
        _known,
        (Subject(REFERENCE), Subject("meshdns-api"), Subject("coredns-services", packets=_services)),
    ),
    Workload(
        "changes",
        "known names of a real API server, saturated, quiet and changed",
        _known,
        (Subject("meshdns-api"), Subject("meshdns-api", CHANGES), Subject("coredns-hosts")),
    ),
)
