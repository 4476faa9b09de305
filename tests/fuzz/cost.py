"""The most expensive message: hill-climbing from the seeds and from messages that were made to be expensive.

Cost is the processor time of this thread for one message, the least of several runs: an interruption is no cost.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import dns.message

from meshdns.dns.compression import HEADER_SIZE
from meshdns.dns.query import parse_query
from meshdns.dns.reply import is_reply_to, parse_reply
from meshdns.forwarding.client_reply import forwarded_reply
from tests.fuzz import seeds
from tests.fuzz.mutation import Dice, mutated
from tests.fuzz.targets import NAMES, answered
from tests.worker.responder_fixture import ResponderFixture

MOST_UDP: Final = 1e-3  # seconds for any UDP payload
MOST_TCP: Final = 20e-3  # seconds for any message of 64 KiB
UDP_LONGEST: Final = 4096
TCP_LONGEST: Final = 65_535
_RUNS: Final = 5
_KEPT: Final = 8  # of the most expensive messages are climbed on from

Work = Callable[[bytes], object]


@dataclass(frozen=True)
class Search:
    """What is searched: `work` on messages of at most `longest` octets must take no more than `most` seconds."""

    name: str
    work: Work
    begin: Callable[[], Iterable[bytes]]
    longest: int
    most: float


@dataclass(frozen=True)
class Worst:
    """The most expensive message found: its seconds and octets, and how many were tried."""

    seconds: float
    message: bytes
    tried: int


def cost(work: Work, message: bytes, *, runs: int = _RUNS) -> float:
    """Seconds of processor time, the least of several runs."""
    least = float("inf")
    for _ in range(runs):
        began = time.thread_time_ns()
        work(message)
        least = min(least, (time.thread_time_ns() - began) / 1e9)
    return least


def climb(search: Search, dice: Dice, *, seconds: float) -> Worst:
    """The most expensive message found in about so many seconds."""
    ended = time.monotonic() + seconds
    ranked = sorted(((cost(search.work, each), each) for each in search.begin()), reverse=True)
    tried = len(ranked)
    front = ranked[:_KEPT]
    while time.monotonic() < ended:
        child = mutated(front[dice.below(len(front))][1], dice, longest=search.longest)
        tried += 1
        once = cost(search.work, child, runs=1)
        if once > front[-1][0]:
            sure = cost(search.work, child)
            if sure > front[-1][0]:
                front = sorted([*front, (sure, child)], reverse=True)[:_KEPT]
    return Worst(*front[0], tried)


# ------------------------------------------------------------------------------------------------ work


def answering(*, tcp: bool) -> Work:
    """Parsing and answering a client's message."""
    bench = ResponderFixture(NAMES)
    return lambda message: answered(bench, message, tcp=tcp)


QUESTION: Final = b"\3www\7example\0\0\1\0\1"
_CLIENT: Final = parse_query(dns.message.make_query("www.example", "A", use_edns=0, want_dnssec=True).to_wire())
_HEAD: Final = b"\0\7\x81\x80\0\1"


def validating(message: bytes) -> object:
    """Judging an upstream's reply to `QUESTION`, whatever its header and question were, and telling a client."""
    message = (
        _HEAD + message[len(_HEAD) : HEADER_SIZE].ljust(6, b"\0") + QUESTION + message[HEADER_SIZE + len(QUESTION) :]
    )
    if not is_reply_to(message, 7, QUESTION):
        raise AssertionError
    reply = parse_reply(message, QUESTION, dnssec=True)
    return None if reply is None or _CLIENT is None else forwarded_reply(_CLIENT, reply, age=1, tcp=True)


# ------------------------------------------------------------------------------------------------ beginnings


def record(owner: bytes, rtype: int, rdata: bytes) -> bytes:
    """One record of class IN with TTL 60."""
    return owner + rtype.to_bytes(2, "big") + b"\0\1\0\0\0\x3c" + len(rdata).to_bytes(2, "big") + rdata


def reply(records: Sequence[bytes], *, authorities: Sequence[bytes] = (), longest: int) -> bytes:
    """A reply with as many of the records as fit."""
    size = HEADER_SIZE + len(QUESTION)
    kept: list[list[bytes]] = [[], []]
    for section, those in zip(kept, (records, authorities), strict=True):
        for each in those:
            if size + len(each) > longest or sum(map(len, kept)) >= 1000:
                break
            section.append(each)
            size += len(each)
    counts = b"".join(len(section).to_bytes(2, "big") for section in kept) + b"\0\0"
    return _HEAD + counts + QUESTION + b"".join(kept[0]) + b"".join(kept[1])


def expensive_queries(longest: int) -> list[bytes]:
    """Long names, many labels, many options, many octets behind the message."""
    header, opt = b"\0\7\1\0\0\1\0\0\0\0\0", b"\0\0\x29\4\xd0\0\0\0\0"
    deep, wide = b"\1a" * 123 + b"\6global\0\0\1\0\1", (b"\x3f" + b"A" * 63) * 3 + b"\6global\0\0\1\0\1"
    room = longest - 300
    options = [b"\0\3\0\0" * (room // 4), b"\0\x0b\0\0" * (room // 4), b"\0\x0a\0\x08abcdefgh" * (room // 12)]
    found = [header + b"\0" + name + bytes(room) for name in (deep, wide)]
    for name in (deep, wide, b"\0\0\1\0\1"):
        found += [header + b"\1" + name + opt + len(some).to_bytes(2, "big") + some for some in options]
    return [each[:longest] for each in found] + list(seeds.queries())


def expensive_replies(longest: int) -> list[bytes]:
    """Chains, names that are compressed in ever new ways, records to drop so that all others are written anew."""
    own = b"\xc0\x0c"
    deep = b"\1a" * 100 + b"\0"
    start = HEADER_SIZE + len(QUESTION)
    foreign = record(b"\1x\0", 1, b"\xc0\0\2\1")
    chain = [
        record(own if not i else b"\1c%c%c\0" % (97 + i // 26 % 26, 97 + i % 26), 5, b"\1c\0") for i in range(1000)
    ]
    bomb = [
        record(deep, 65280, b""),
        *(record((0xC000 | start + 2 * (i % 100)).to_bytes(2, "big"), 1, bytes(4)) for i in range(999)),
    ]
    labels = [record(b"\1%c" % (97 + i % 26) * (8 + i % 20) + b"\0", 65280, b"") for i in range(1000)]
    walked = [record(b"\1" + bytes([97 + i % 26]) + deep, 2, b"\1" + bytes([97 + i % 26]) + deep) for i in range(1000)]
    mixed = [foreign, *([record(own, 1, bytes(4))] * 999)]
    nets = [record(own, 2, (0xC000 | start + 12).to_bytes(2, "big")) for _ in range(1000)]
    proofs = [record(deep, 47, deep + bytes(20)) for _ in range(500)]
    signed = [record(own, 46, b"\0\1" + bytes(40)) for _ in range(1000)]
    dnames = [record(b"\7example\0", 39, b"\7example\0")] * 1000
    soas = [record(deep, 6, deep + deep + bytes(20)) for _ in range(200)]
    sets = (chain, bomb, labels, walked, mixed, nets, signed, dnames)
    found = [reply(each, longest=longest) for each in sets]
    found += [reply([], authorities=each, longest=longest) for each in (*sets, proofs, soas)]
    found += [reply([record(own, 1, bytes(4))], authorities=each, longest=longest) for each in (proofs, soas)]
    return found + [each for each in seeds.replies() if len(each) >= start]


SEARCHES: Final = (
    Search("a query over UDP", answering(tcp=False), lambda: expensive_queries(UDP_LONGEST), UDP_LONGEST, MOST_UDP),
    Search("a query over TCP", answering(tcp=True), lambda: expensive_queries(TCP_LONGEST), TCP_LONGEST, MOST_TCP),
    Search("a reply over UDP", validating, lambda: expensive_replies(1232), 1232, MOST_UDP),
    Search("a reply over TCP", validating, lambda: expensive_replies(TCP_LONGEST), TCP_LONGEST, MOST_TCP),
)
