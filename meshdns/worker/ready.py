"""What is at hand: whole replies made ready, found by the octets of a question.

- Replies from the view, without their id, by the query without its id, both in lower case however it was asked: who
  draws the case of each question anew would else have all of them made. Only replies to questions about names that
  exist are kept, and a commit of the view drops those it changed. A reply with several addresses is kept in all
  its rotations; the low octet of the query id picks one, so that a client's answers are spread without any state.
- Denials, which hold for the siblings of the name too (`meshdns.worker.denials`).
- Answers of upstreams, each for as long as it stays the same (`meshdns.worker.relays`).

Each has the number of the case that it counts as (`meshdns.worker.accounts`); all go together when these are full.
"""

from typing import Final

from meshdns.authority.authority import Authority, Rows
from meshdns.dns.codes import FLAG_TC, NXDOMAIN
from meshdns.dns.query import HEADER_SIZE, Query
from meshdns.view.environment import ViewError
from meshdns.worker.account import CACHE, MESH
from meshdns.worker.accounts import Accounts
from meshdns.worker.cases import NO_STANDING, Standing
from meshdns.worker.denials import Denials
from meshdns.worker.relays import Relays, in_lower_case

MAX_OCTETS: Final = 64 << 20
"""Memory for ready replies, enough for some 140,000 questions; beyond it all are forgotten, which costs one lookup in
the view each. What may be asked of one name is without end: flags, EDNS sizes, types."""

_COST: Final = 300  # octets of memory for one question beside its octets and those of its replies
_COST_VARIANT: Final = 50  # the same for one reply

OPT_SIZE: Final = 11  # octets of an OPT without options

_CUT: Final = FLAG_TC >> 8  # in the first octet of the flags

_NO_OPTIONS: Final = b"\0\0"  # how a reply with an empty OPT ends

MAX_VARIANTS: Final = 15


class Ready:
    """The replies at hand. `replies` are whole but for their ids; a transport looks there first."""

    def __init__(self, accounts: Accounts) -> None:
        self.replies: dict[bytes, tuple[int, tuple[bytes, ...]]] = {}
        self.relays = Relays(self.replies)
        self._accounts = accounts
        self._keys: dict[bytes, list[bytes]] = {}  # owner name → its keys in replies
        self._octets = 0  # of memory for what was put into replies since it was empty
        self._denials = Denials()

    def forget(self, owners: list[bytes]) -> None:
        """Drop what a commit changed: the replies of these owner names, and all denials."""
        self._denials.clear()
        for owner in owners:
            for asked in self._keys.pop(owner, ()):
                self.replies.pop(asked, None)

    def find(
        self, data: bytes, authority: Authority, rows: Rows | None, *, now: float, tcp: bool
    ) -> tuple[bytes, int] | None:
        """The reply to the same question in lower case, with the name put back as it was asked, and its case.

        Else that of an upstream which may be told again, else a denial. What was cut short for UDP is none over TCP.
        """
        end = data.find(b"\0", HEADER_SIZE) + 1
        lower = data[HEADER_SIZE:end].lower()
        asked = data[2:HEADER_SIZE] + lower + data[end:]
        found = self.replies.get(asked) or self.relays.find(asked, now)
        if found is None:
            return self._denied(data, lower, end, authority, rows)
        case, variants = found
        body = variants[data[1] % len(variants)]
        if tcp and body[0] & _CUT:
            return None
        return data[:2] + body[: HEADER_SIZE - 2] + data[HEADER_SIZE:end] + body[end - 2 :], case

    def keep(self, query: Query, authority: Authority, rows: Rows, reply: bytes) -> None:
        """Keep a reply that depends on one owner name alone, or a denial, to a question as plain as most."""
        asked = in_lower_case(query.data, query.lower)
        if len(query.data) > query.end + OPT_SIZE or asked in self.replies:
            return
        owner = authority.owner(query, rows)
        if owner is None:
            self._keep_denial(query, authority, rows, reply)
            return
        count = min(reply[6] << 8 | reply[7], MAX_VARIANTS)
        variants = [reply]
        if count > 1:
            made = [authority.respond(query, rows, tcp=False, spin=spin) for spin in range(count)]
            variants = [each for each in made if isinstance(each, bytes)]
        if self._octets > MAX_OCTETS:
            self.clear()
        case = self._case(query, reply, Standing(query.level, query.stale))
        self._octets += _COST + len(asked) + count * (_COST_VARIANT + len(reply))
        self.replies[asked] = (case, tuple(in_lower_case(each, query.lower) for each in variants))
        self._keys.setdefault(owner, []).append(asked)

    def keep_relay(self, query: Query, reply: bytes, *, now: float, changes: float, expires: float) -> None:
        """Keep an upstream's answer (see `Relays.keep`); not what is another reply over TCP."""
        plain = len(query.data) <= query.end + OPT_SIZE
        if plain and len(reply) <= query.size and not reply[2] & _CUT:
            case = self._case(query, reply, NO_STANDING, CACHE)
            self.relays.keep(query, reply, case, now=now, changes=changes, expires=expires)

    def clear(self) -> None:
        """Drop everything."""
        self.relays.clear()
        self.replies.clear()
        self._denials.clear()
        self._keys.clear()
        self._octets = 0
        self._accounts.forget_ready()

    def _keep_denial(self, query: Query, authority: Authority, rows: Rows, reply: bytes) -> None:
        """Keep a denial that holds for all siblings of the name; one with options speaks of this one alone."""
        bare = not query.edns or reply.endswith(_NO_OPTIONS)
        if denies(reply) and bare and authority.denies_alike(query, rows):
            self._denials.keep(query, reply, self._case(query, reply, NO_STANDING))

    def _denied(
        self, data: bytes, lower: bytes, end: int, authority: Authority, rows: Rows | None
    ) -> tuple[bytes, int] | None:
        """The denial of a name that is as unknown as a sibling of it was, and its case."""
        found = self._denials.find(data, lower, end) if rows is not None and lower else None
        if rows is None or found is None or lower in authority.fixed:
            return None
        try:
            known = rows.row(lower) is not None
        except ViewError:
            return None  # found again, and told, on the long way
        return None if known else found

    def _case(self, query: Query, reply: bytes, standing: Standing, plugin: str = MESH) -> int:
        if self._accounts.full:
            self.clear()
        return self._accounts.number(len(query.data), reply, standing, plugin)


def denies(reply: bytes) -> bool:
    """Whether a reply says that the name does not exist."""
    return reply[3] & 0x0F == NXDOMAIN
