"""What reads hostile octets, each with the rules that must hold for any input."""

import tempfile
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import dns.flags
import dns.message

from meshdns.dns.codes import BADVERS, FORMERR
from meshdns.dns.query import HEADER_SIZE, MAX_UDP_SIZE, MIN_UDP_SIZE, Query, parse_query
from meshdns.dns.reply import MAX_TTL, Reply, is_reply_to, parse_reply
from meshdns.forwarding.client_reply import forwarded_reply
from meshdns.mesh.objects.declarations import ObjectKey, key_of
from meshdns.sources.folder.files import FileContent, merge_files, read_file
from tests.fuzz import http_target, object_target, seeds, stream, yaml_targets
from tests.fuzz.pipe_target import Pipes, pipe_seeds
from tests.worker.responder_fixture import PORT, ResponderFixture

CORPUS: Final = Path(__file__).with_name("corpus")
SOURCE: Final = b"\x7f\0\0\1"
NAMES: Final = {"one.global": ["203.0.113.1"], "many.global": [f"203.0.113.{i}" for i in range(1, 16)]}
MAX_STREAM: Final = 1 << 16
_CHECKED: Final = frozenset({1, 2, 5, 6, 12, 15, 28, 33, 39})  # types whose RDATA is read; any other is opaque


@dataclass(frozen=True)
class Target:
    """A reader: `run` raises where a rule is broken, `seeds` are inputs to begin with, `longest` of so many octets."""

    name: str
    run: Callable[[bytes], None]
    seeds: Callable[[], Iterable[bytes]]
    longest: int

    def corpus(self) -> list[Path]:
        """The inputs that are kept, in the order of their names."""
        return sorted((CORPUS / self.name).iterdir())


class Queries:
    """The query parser and what is answered to whatever it makes of a message."""

    def __init__(self) -> None:
        self._bench = ResponderFixture(NAMES)

    def run(self, data: bytes) -> None:
        """Nothing raises; a reply belongs to its query, fits, and another decoder reads it."""
        query = parse_query(data)
        for tcp in (False, True):
            reply = answered(self._bench, data, tcp=tcp)
            if query is None:
                assert reply is None
            elif reply is not None:
                _check_reply(query, reply, tcp=tcp)
        if query is not None:
            assert HEADER_SIZE <= query.question_end <= len(data)
            assert MIN_UDP_SIZE <= query.udp_size <= MAX_UDP_SIZE


def answered(bench: ResponderFixture, data: bytes, *, tcp: bool = False) -> bytes | None:
    """What the worker says to a message; what it would forward is answered with nothing at once."""
    heard: list[bytes] = []
    bench.responder.begin_read()
    try:
        reply = bench.responder.respond(data, SOURCE, PORT, lambda: heard.append, tcp=tcp)
    finally:
        bench.responder.end_read()
    bench.upstream.answer()
    return heard[0] if heard else reply


def _check_reply(query: Query, reply: bytes, *, tcp: bool) -> None:
    message = dns.message.from_wire(reply)
    assert reply[:2] == query.data[:2]
    assert message.flags & dns.flags.QR
    assert message.opcode() == query.flags >> 11 & 15
    assert not reply[3] & 0x60  # Z and AD
    assert tcp or len(reply) <= query.udp_size
    assert reply[HEADER_SIZE : query.question_end] == query.data[HEADER_SIZE : query.question_end]
    assert message.edns == (0 if query.edns else -1)
    if query.error_rcode in (FORMERR, BADVERS):
        assert not message.answer


class Replies:
    """The validator of upstream replies, and what of them is told to a client."""

    def run(self, data: bytes) -> None:
        """A reply that echoes its own question is refused or relayed as a message that another decoder reads."""
        query = parse_query(data[:2] + b"\1\0\0\1" + bytes(6) + data[HEADER_SIZE:]) if len(data) > HEADER_SIZE else None
        if query is None or query.error_rcode:
            return
        question = query.qname_lower + query.data[query.question_end - 4 : query.question_end]
        if not is_reply_to(data, data[0] << 8 | data[1], question):
            return
        for dnssec in (False, True):
            reply = parse_reply(data, question, dnssec=dnssec)
            if reply is None:
                continue
            assert 0 <= reply.ttl <= MAX_TTL
            wire = forwarded_reply(query, reply, age=0, tcp=True)
            assert wire[2:3] == b"\x81"  # QR and RD, no AA, no TC
            assert wire[3] & 0xF0 == 0x80  # RA, no Z, AD or CD
            assert len(forwarded_reply(query, reply, age=1, tcp=False)) <= query.udp_size
            if _types(reply) <= _CHECKED:
                message = dns.message.from_wire(wire)
                assert all(rrset.ttl <= MAX_TTL for rrset in (*message.answer, *message.authority))


def _types(reply: Reply) -> set[int]:
    """The types of the records that are believed."""
    return {
        part.section.wire[at - 4] << 8 | part.section.wire[at - 3]
        for part in (reply.answer, reply.authority)
        for at, _ in part.ttls
    }


def run_framing(data: bytes) -> None:
    """The first octet says how the others are cut into pieces; the pieces never change what is answered.

    What is answered is what each whole message is answered by itself, in any order.
    """
    if not data:
        return
    step, octets = data[0] % 64 + 1, data[1:]
    whole = ResponderFixture(NAMES)
    pieces = [octets[at : at + step] for at in range(0, len(octets), step)]
    expected = [answered(whole, message, tcp=True) for message in _messages(octets)]
    found = stream.replies(ResponderFixture(NAMES), pieces)
    assert Counter(found) == Counter(reply for reply in expected if reply is not None)


def _messages(octets: bytes) -> list[bytes]:
    found = []
    at = 0
    while at + 2 <= len(octets) and at + 2 + (octets[at] << 8 | octets[at + 1]) <= len(octets):
        size = octets[at] << 8 | octets[at + 1]
        found.append(octets[at + 2 : at + 2 + size])
        at += size + 2
    return found


_DAMAGED: Final = 600  # bytes; longer ones say no more, and take as long again


class Manifests:
    """Files of a cluster's folder as declarations."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="meshdns-fuzz-")
        self._file = Path(self._folder.name, "fuzz.yaml")

    def run(self, data: bytes) -> None:
        """Any octets give declarations or problems, and every problem says what to do.

        Where something broken is added, nothing is removed.
        """
        self._file.write_bytes(data)
        content = read_file(self._file, FileContent())
        self._check(content)
        if len(data) > _DAMAGED:
            return
        self._file.write_bytes(data + b"\n---\n{[\n")
        damaged = read_file(self._file, content)
        self._check(damaged)
        assert damaged.problems
        assert _keys(content) <= _keys(damaged)

    @staticmethod
    def _check(content: FileContent) -> None:
        for declaration in merge_files({"fuzz.yaml": content}).values():
            assert key_of(declaration)
            for problem in declaration.problems:
                assert problem.reason
                assert problem.advice
        assert all(problem.where for problem in content.problems)


def _keys(content: FileContent) -> set[ObjectKey]:
    return {key_of(declaration) for _, declaration in (*content.kept, *content.declarations)}


def targets() -> dict[str, Target]:
    """All of them by name; each call makes new ones."""
    return {
        target.name: target
        for target in (
            Target("query", Queries().run, seeds.queries, 4096),
            Target("reply", Replies().run, seeds.replies, 65_535),
            Target("framing", run_framing, seeds.streams, MAX_STREAM),
            Target("manifest", Manifests().run, seeds.manifests, 4096),
            Target("pipe", Pipes().run, pipe_seeds, 4096),
            Target("http", http_target.HttpPort().run, http_target.seeds, 16_384),
            Target("document", yaml_targets.run_document, yaml_targets.documents, yaml_targets.LONGEST),
            Target("kubeconfig", yaml_targets.Kubeconfigs().run, yaml_targets.kubeconfigs, yaml_targets.LONGEST),
            Target("object", object_target.Objects().run, object_target.seeds, 4096),
        )
    }
