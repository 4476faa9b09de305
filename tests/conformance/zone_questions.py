"""Random questions in, near and outside a zone, and the two servers that they are put to.

`zone_rules` says in what the answers may differ.
"""

import socket
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, TypeAlias

import dns.edns
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import dns.zone
from hypothesis import strategies as st

from tests.rig.nameserver import NameServer

Labels: TypeAlias = tuple[bytes, ...]

_TYPES: Final = tuple(
    dns.rdatatype.from_text(text)
    for text in (
        *(
            "A",
            "AAAA",
            "SRV",
            "TXT",
            "NS",
            "SOA",
            "CNAME",
            "MX",
            "PTR",
            "HTTPS",
            "SVCB",
            "CAA",
            "NAPTR",
            "LOC",
            "SSHFP",
        ),
        *("DS", "DNSKEY", "RRSIG", "NSEC", "NSEC3", "NSEC3PARAM", "TLSA", "HINFO", "DNAME", "ANY", "URI", "TYPE0"),
        *("TYPE41", "TYPE249", "TYPE250", "TYPE251", "TYPE252", "TYPE253", "TYPE254", "TYPE1000", "TYPE65280"),
    )
)
CLASS_IN: Final = 1
_PATIENCE: Final = 5.0  # seconds
_SIZE: Final = 1232


class Question(NamedTuple):
    """What is asked; the labels without the root, in the letter case in which they are asked."""

    labels: Labels
    rtype: int
    rclass: int

    @property
    def name(self) -> dns.name.Name:
        """The name."""
        return dns.name.Name((*self.labels, b""))

    def __str__(self) -> str:
        return f"{self.name} {self.rclass} {dns.rdatatype.to_text(dns.rdatatype.RdataType(self.rtype))}"


class Said(NamedTuple):
    """What is compared of a reply: records by owner, TTL, type and RDATA, without order and serial."""

    rcode: str
    aa: bool
    answer: frozenset[tuple[str, int, str, str]]
    authority: frozenset[tuple[str, int, str, str]]
    ede: int | None = None

    def same(self, other: "Said") -> bool:
        """Whether both say the same; extended errors are ours alone."""
        return self[:4] == other[:4]


@dataclass
class Scene:
    """Both servers with the same zones, and what is known of these without asking meshdns.

    `declared` are names that the clusters declare, with or without an address; `istio` says whose rule the wildcards of
    the zones follow. `fallback` are the zones in which the mesh answers what their upstream does not know.
    """

    ours: NameServer
    golden: NameServer
    zones: dict[str, dns.zone.Zone]
    clusters: frozenset[bytes]
    declared: frozenset[dns.name.Name]
    istio: bool
    fallback: tuple[dns.name.Name, ...] = ()
    asked: int = 0
    differences: Counter[str] = field(default_factory=Counter)
    _sockets: dict[int, socket.socket] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for server in (self.ours, self.golden):
            client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            client.settimeout(_PATIENCE)
            client.connect((server.address, server.port))
            self._sockets[server.port] = client

    def close(self) -> None:
        """Close the sockets."""
        for client in self._sockets.values():
            client.close()

    @property
    def owners(self) -> list[Labels]:
        """Every owner name of the zones, and the names between these and the apexes."""
        found = {name for zone in self.zones.values() for name in zone.nodes}
        apexes = [dns.name.from_text(zone) for zone in self.zones]
        for name in list(found):
            while name not in apexes:
                name = name.parent()  # noqa: PLW2901 - upwards to the apex
                found.add(name)
        return sorted(name.labels[:-1] for name in found)

    def apex(self, name: dns.name.Name) -> dns.name.Name | None:
        """The zone that a name is in."""
        return next((apex for zone in self.zones if name.is_subdomain(apex := dns.name.from_text(zone))), None)

    def put(self, question: Question, server: NameServer) -> Said:
        """Ask a server."""
        query = dns.message.make_query(
            question.name, dns.rdatatype.RdataType(question.rtype), use_edns=0, payload=_SIZE
        )
        query.flags &= ~dns.flags.RD
        query.question[0].rdclass = dns.rdataclass.RdataClass(question.rclass)
        wire = query.to_wire()
        client = self._sockets[server.port]
        client.send(wire)
        reply = client.recv(4096)
        while reply[:2] != wire[:2]:
            reply = client.recv(4096)
        if reply[4:6] == b"\0\1":
            end = 12 + sum(len(label) + 1 for label in question.name.labels) + 4
            assert reply[12:end] == wire[12:end], f"the question came back changed: {question}"
        return _said(dns.message.from_wire(reply))

    def settled(self) -> bool:
        """Whether every owner name has the printed addresses: a cluster may have to be read twice at the start."""
        return all(
            self.put(question, self.ours).same(self.put(question, self.golden))
            for zone in self.zones.values()
            for name, node in zone.nodes.items()
            for rdataset in node.rdatasets
            if (question := Question(name.labels[:-1], rdataset.rdtype, CLASS_IN))
        )


def _said(reply: dns.message.Message) -> Said:
    errors = [int(option.code) for option in reply.options if isinstance(option, dns.edns.EDEOption)]
    return Said(
        dns.rcode.to_text(reply.rcode()),
        bool(reply.flags & dns.flags.AA),
        _records(reply.answer),
        _records(reply.authority),
        next(iter(errors), None),
    )


def _records(section: Sequence[dns.rrset.RRset]) -> frozenset[tuple[str, int, str, str]]:
    found = [
        (str(rrset.name).lower(), rrset.ttl, dns.rdatatype.to_text(rrset.rdtype), _plain(rrset.rdtype, str(rdata)))
        for rrset in section
        for rdata in rrset
    ]
    assert len(found) == len(set(found)), f"a record twice: {found}"
    return frozenset(found)


def _plain(rtype: int, rdata: str) -> str:
    """RDATA without letter case, an SOA without its serial."""
    fields = rdata.lower().split()
    return " ".join([*fields[:2], *fields[3:]]) if rtype == dns.rdatatype.SOA else " ".join(fields)


# ---------------------------------------------------------------------------------------------- questions

_PLAIN: Final = st.text("abcdefghijklmnopqrstuvwxyz0123456789-", min_size=1, max_size=12).map(str.encode)
_OCTETS: Final = st.binary(min_size=1, max_size=63)


def questions(scene: Scene) -> st.SearchStrategy[Question]:
    """In, near and outside the zones; common types more often than others, and class IN."""
    label = st.one_of(
        _PLAIN,
        _OCTETS,
        st.sampled_from((b"*", b"_tcp", b"_grpc", b"_http", b"ns", b"p80", b"\0", b"a.b", *sorted(scene.clusters))),
        st.sampled_from(sorted({label for owner in scene.owners for label in owner})),
    )
    near = st.sampled_from(scene.owners).flatmap(lambda owner: _around(owner, label))
    outside = st.one_of(
        st.lists(label, max_size=5).map(tuple),
        st.sampled_from(((), (b"example", b"com"), (b"a", b"localhost"), (b"1", b"10", b"in-addr", b"arpa"))),
        st.sampled_from(scene.owners).map(lambda owner: (*owner, b"example")),
    )
    known = st.sampled_from([*scene.owners, *(name.labels[:-1] for name in sorted(scene.declared))])
    names = st.one_of(known, known, near, near, near, outside).filter(_fits)
    types = st.one_of(st.sampled_from((1, 28, 33, 255)), st.sampled_from(_TYPES), st.integers(0, 65535))
    classes = st.one_of(st.just(CLASS_IN), st.just(CLASS_IN), st.just(CLASS_IN), st.sampled_from((0, 3, 4, 254, 255)))
    return st.builds(_cased, names, types.map(int), classes, st.integers(0, 2**32 - 1))


def _around(owner: Labels, label: st.SearchStrategy[bytes]) -> st.SearchStrategy[Labels]:
    """An owner name with one label changed, added or removed, or several below."""
    at = st.integers(0, max(len(owner) - 1, 0))
    return st.one_of(
        st.builds(lambda i, new: (*owner[:i], new, *owner[i + 1 :]), at, label),
        st.builds(lambda i, new: (*owner[:i], new, *owner[i:]), at, label),
        at.map(lambda i: (*owner[:i], *owner[i + 1 :])),
        st.lists(label, min_size=1, max_size=4).map(lambda new: (*new, *owner)),
    )


def _fits(labels: Labels) -> bool:
    return sum(len(label) + 1 for label in labels) + 1 <= 255


def _cased(labels: Labels, rtype: int, rclass: int, upper: int) -> Question:
    """The labels with some letters in upper case."""
    shown = tuple(label.upper() if upper >> at & 1 else label for at, label in enumerate(labels))
    return Question(shown, rtype, rclass)
