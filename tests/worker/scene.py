"""A worker's parts on real sockets in this process, around rows in a dict."""

import asyncio
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from ipaddress import ip_address

import msgspec

from meshdns.authority.apex import ServedZone
from meshdns.authority.authority import Authority
from meshdns.authority.chaos import Chaos
from meshdns.authority.rows import Status, encode
from meshdns.authority.special import Special, SpecialNames
from meshdns.authority.state import ViewState
from meshdns.dns import names
from meshdns.dns.codes import NOERROR, TYPE_A
from meshdns.dns.query import Query
from meshdns.dns.response import build
from meshdns.meters import Ledger
from meshdns.view.environment import ViewError
from meshdns.worker.access import AccessList
from meshdns.worker.account import Deliver
from meshdns.worker.accounts import Accounts
from meshdns.worker.answering import Answerer, Forward
from meshdns.worker.debugging import Debugger
from meshdns.worker.local import Local
from meshdns.worker.sampling import Sampler


class DictView:
    """A view in a dict; each `change` is a commit."""

    def __init__(self, addresses: Mapping[str, Sequence[str]]) -> None:
        self.state = ViewState(ready=True, complete=True)
        self.serial = 1
        self.looks = 0  # under way
        self.fault: ViewError | None = None
        self._rows: dict[bytes, bytes] = {}
        self._changed: list[bytes] = []
        self.refusals: dict[bytes, bytes] = {}
        for name, texts in addresses.items():
            self.change(name, *texts)
        self._changed.clear()

    def change(self, name: str, *texts: str) -> None:
        """Give a name other addresses."""
        owner = names.wire(name)
        self._rows[owner] = encode(Status.DATA, {TYPE_A: [ip_address(text).packed for text in texts]}, ttl=30)
        self._changed.append(owner)
        self.serial += 1

    def put(self, rows: Mapping[str, bytes], *, wildcards: bool = False) -> None:
        """Hold these rows from now on, whole ones by owner name."""
        self._rows.update({names.wire(name): row for name, row in rows.items()})
        self._changed.extend(names.wire(name) for name in rows)
        self.state = msgspec.structs.replace(self.state, wildcards=wildcards)
        self.serial += 1

    def look(self, forget: Callable[[list[bytes] | None], None]) -> "DictView":
        """Begin a look."""
        if self._changed:
            forget(list(self._changed))
            self._changed.clear()
        self.looks += 1
        return self

    def row(self, owner: bytes, /) -> bytes | None:
        """The row of a lower-case wire name."""
        if self.fault is not None:
            raise self.fault
        return self._rows.get(owner)

    def reason(self, owner: bytes) -> bytes | None:
        """Nobody asks for provenance here."""
        assert owner
        return None

    def refusal(self, owner: bytes) -> bytes | None:
        """Why nothing is served of a declared owner name."""
        return self.refusals.get(owner)

    def clusters(self) -> list[tuple[bytes, bytes]]:
        """What is told of clusters."""
        return [(b"east", b'{"status": "synced", "network": "net-east"}')]

    def known_from(self, owner: bytes) -> Iterator[bytes]:
        """The owner names from one on."""
        return (known for known in sorted(self._rows) if known >= owner)

    def end(self) -> None:
        """Give the look back."""
        self.looks -= 1


class Upstream:
    """The way out: answers when it is told to."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Query, bool, Deliver]] = []
        self.holds = 0.0, 0.0

    def ask(self, query: Query, *, now: float, tcp: bool, reply: Deliver, client: bytes) -> bytes | None:
        """Keep the query until `answer`."""
        assert now >= 0
        assert client
        self.waiting.append((query, tcp, reply))
        return None

    def answer(self, count: int | None = None) -> None:
        """Answer the oldest `count` queries, or all, with an empty NOERROR."""
        ready, self.waiting = self.waiting[:count], self.waiting[len(self.waiting[:count]) :]
        for query, tcp, reply in ready:
            reply(build(query, NOERROR, tcp=tcp))


class Bench:
    """An answerer for zone ``global`` with its view and its way out."""

    def __init__(
        self,
        addresses: Mapping[str, Sequence[str]],
        *,
        allow: Sequence[str] = (),
        forward: Forward | None = None,
        clock: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self.view = DictView(addresses)
        self.upstream = Upstream()
        self.faults: list[ViewError] = []
        zone = ServedZone(names.wire("global"))
        self.answerer = Answerer(
            authority=Authority([zone]),
            access=AccessList(allow),
            forward=forward or self.upstream,
            look=self.view.look,
            fault=self.faults.append,
            clock=clock,
            local=Local(
                special=SpecialNames(Special),
                chaos=Chaos(identity=b"node-1", version=b""),
                nsid=b"node-1",
                secret=b"0123456789abcdef",
                clock=lambda: 1_800_000_000.0,
            ),
            debugger=Debugger(Authority([zone]), [zone.apex], AccessList(["127.0.0.0/8"])),
            accounts=Accounts(Ledger()),
            sampler=Sampler(None, 0, draw=lambda: 0.5, clock=lambda: 1_800_000_000.0),
        )


def bound(host: str = "127.0.0.1") -> socket.socket:
    """A non-blocking UDP socket as the supervisor would hand it over."""
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((host, 0))
    sock.setblocking(False)
    return sock


async def until(condition: Callable[[], object]) -> None:
    """Wait until a condition holds, 20 s at most."""
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 — what is waited for has no event
            await asyncio.sleep(0.005)
