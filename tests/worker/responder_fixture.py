"""A worker's parts on real sockets in this process, around rows in a dict."""

import asyncio
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from ipaddress import ip_address

import msgspec

from meshdns.authority.authority import Authority
from meshdns.authority.row_format import RowStatus, encode_row
from meshdns.authority.special import ChaosNames, SpecialNameGroup, SpecialNames
from meshdns.authority.state import NamedbState
from meshdns.authority.zone import ServedZone
from meshdns.dns import names
from meshdns.dns.codes import NOERROR, TYPE_A
from meshdns.dns.query import Query
from meshdns.dns.response import build_reply
from meshdns.forwarding.client_reply import ImmediateReply
from meshdns.instance.metric_pages import MetricPage
from meshdns.namedb.database import NameDatabaseError
from meshdns.namedb.reader import ALL_NAMES, ChangedNames
from meshdns.worker.acl import AccessList
from meshdns.worker.diagnostic_names import DiagnosticNames
from meshdns.worker.local_answers import LocalAnswers
from meshdns.worker.recorder import SendReply
from meshdns.worker.reply_metrics import ReplyMetrics
from meshdns.worker.responder import QueryForwarder, Responder
from meshdns.worker.sampling import Sampler
from meshdns.worker.settings import ANY_CLIENT

PORT = 5353  # that queries are sent from


class DictNamedb:
    """A name database in a dict; each `change` is a commit."""

    def __init__(self, addresses: Mapping[str, Sequence[str]]) -> None:
        self.state = NamedbState(ready=True, complete=True)
        self.serial = 1
        self.open_reads = 0  # under way
        self.read_error: NameDatabaseError | None = None
        self._rows: dict[bytes, bytes] = {}
        self._changed: list[bytes] = []
        self.all_changed = False  # whether the next commit is told as one of all names
        self.unserved_reasons: dict[bytes, bytes] = {}
        for name, texts in addresses.items():
            self.change(name, *texts)
        self._changed.clear()

    def change(self, name: str, *texts: str) -> None:
        """Give a name other addresses."""
        owner = names.to_wire(name)
        self._rows[owner] = encode_row(RowStatus.DATA, {TYPE_A: [ip_address(text).packed for text in texts]}, ttl=30)
        self._changed.append(owner)
        self.serial += 1

    def put(self, rows: Mapping[str, bytes], *, wildcards: bool = False) -> None:
        """Hold these rows from now on, whole ones by owner name."""
        self._rows.update({names.to_wire(name): row for name, row in rows.items()})
        self._changed.extend(names.to_wire(name) for name in rows)
        self.state = msgspec.structs.replace(self.state, wildcards=wildcards)
        self.serial += 1

    def begin_read(self) -> "tuple[DictNamedb, ChangedNames | None]":
        """Begin a read transaction; the second value is what changed since the last one."""
        changed = ChangedNames(tuple(self._changed)) if self._changed else None
        if self.all_changed:
            changed = ALL_NAMES
        self.all_changed = False
        self._changed.clear()
        self.open_reads += 1
        return self, changed

    def row(self, owner: bytes, /) -> bytes | None:
        """The row of a lower-case wire name."""
        if self.read_error is not None:
            raise self.read_error
        return self._rows.get(owner)

    def provenance(self, owner: bytes) -> bytes | None:
        """Nobody asks for provenance here."""
        assert owner
        return None

    def unserved_reason(self, owner: bytes) -> bytes | None:
        """Why nothing is served of a declared owner name."""
        return self.unserved_reasons.get(owner)

    def clusters(self) -> list[tuple[bytes, bytes]]:
        """What is told of clusters."""
        return [(b"east", b'{"status": "synced", "network": "net-east"}')]

    def owners_from(self, owner: bytes) -> Iterator[bytes]:
        """The owner names from one on."""
        return (known for known in sorted(self._rows) if known >= owner)

    def close(self) -> None:
        """Give the look back."""
        self.open_reads -= 1


class ManualForwarder:
    """The way out: answers when it is told to."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Query, bool, SendReply]] = []

    def ask(self, query: Query, *, now: float, tcp: bool, on_reply: SendReply, client: bytes) -> ImmediateReply | None:
        """Keep the query until `answer`."""
        assert now >= 0
        assert client
        self.waiting.append((query, tcp, on_reply))
        return None

    def answer(self, count: int | None = None) -> None:
        """Answer the oldest `count` queries, or all, with an empty NOERROR."""
        ready, self.waiting = self.waiting[:count], self.waiting[len(self.waiting[:count]) :]
        for query, tcp, reply in ready:
            reply(build_reply(query, NOERROR, tcp=tcp))


class ResponderFixture:
    """An answerer for zone ``global`` with its name database and its way out."""

    def __init__(
        self,
        addresses: Mapping[str, Sequence[str]],
        *,
        allow: Sequence[str] = ANY_CLIENT,
        forwarder: QueryForwarder | None = None,
        clock: Callable[[], float] = lambda: 0.0,
        zones: Sequence[ServedZone] = (ServedZone(names.to_wire("global")),),
        forward_zones: Sequence[bytes] = (),
    ) -> None:
        self.namedb = DictNamedb(addresses)
        self.upstream = ManualForwarder()
        self.database_errors: list[NameDatabaseError] = []
        self.responder = Responder(
            authority=Authority(zones, forward_zones),
            access_list=AccessList(allow),
            forwarder=forwarder or self.upstream,
            begin_read=self.namedb.begin_read,
            on_database_error=self.database_errors.append,
            clock=clock,
            local_answers=LocalAnswers(
                special=SpecialNames(SpecialNameGroup),
                chaos=ChaosNames(identity=b"node-1", version=b""),
                nsid=b"node-1",
                secret=b"0123456789abcdef",
                clock=lambda: 1_800_000_000.0,
            ),
            diagnostic_names=DiagnosticNames(
                Authority(zones, forward_zones), [zone.apex for zone in zones], AccessList(["127.0.0.0/8"])
            ),
            metrics=ReplyMetrics(MetricPage()),
            sampler=Sampler(None, 0, random=lambda: 0.5, clock=lambda: 1_800_000_000.0),
        )


def bound_udp_socket(host: str = "127.0.0.1") -> socket.socket:
    """A non-blocking UDP socket as the supervisor would hand it over."""
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((host, 0))
    sock.setblocking(False)
    return sock


async def wait_until(condition: Callable[[], object]) -> None:
    """Wait until a condition holds, 60 s at most."""
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 — what is waited for has no event
            await asyncio.sleep(0.005)
