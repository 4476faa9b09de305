"""What a worker counts and samples of its replies, on real octets."""

import pytest

from meshdns.authority.authority import NO_SOURCE, AnswerSource, Authority
from meshdns.authority.row_format import RowStatus, encode_row
from meshdns.authority.zone import ServedZone
from meshdns.dns import names
from meshdns.dns.codes import NXDOMAIN, TYPE_A
from meshdns.dns.query import Query, parse_query
from meshdns.dns.response import build_reply
from meshdns.forwarding.client_reply import ImmediateReply
from meshdns.instance import metric_pages
from meshdns.instance import samples as sampled
from meshdns.instance.metric_pages import MetricDefinition, MetricPage
from meshdns.instance.scoreboard import Scoreboard
from meshdns.worker.recorder import SendReply
from meshdns.worker.reply_metrics import PLUGIN_MESH, ReplyMetrics, do_bit_and_ede, response_class
from meshdns.worker.sampling import MAX_PER_HEARTBEAT, Sampler
from tests.worker.responder_fixture import PORT, ManualForwarder, ResponderFixture

LOOPBACK = b"\x7f\0\0\1"
OPT = b"\0\0\x29\x04\xd0\0\0\0\0\0\0"
COOKIE = b"\0\0\x29\x04\xd0\0\0\0\0\0\x0c\0\x0a\0\x08abcdefgh"


def message(name: bytes, rtype: int = 1, tail: bytes = b"") -> bytes:
    """A query for a wire name, with an OPT behind it."""
    return b"\x12\x34\1\0\0\1\0\0\0\0\0" + bytes([bool(tail)]) + name + rtype.to_bytes(2, "big") + b"\0\1" + tail


def bench() -> ResponderFixture:
    """An answerer that tells zone global from all else."""
    made = ResponderFixture({"one.global": ["203.0.113.1"], "two.global": ["203.0.113.2"]})
    made.responder.metrics.configure([names.to_wire("global")], [b"\0"])
    return made


def ask(made: ResponderFixture, data: bytes, source: bytes = LOOPBACK, *, tcp: bool = False) -> bytes:
    """One query, as a transport would hand it on."""
    made.responder.begin_read()
    reply = made.responder.respond(data, source, PORT, lambda: lambda _: None, tcp=tcp)
    made.responder.end_read()
    return reply or b""


def counted(made: ResponderFixture, meter: MetricDefinition) -> dict[tuple[str, ...], float]:
    """The sums of a meter by labels; of a histogram the number of values."""
    made.responder.metrics.flush()
    samples = made.responder.metrics.page.samples(meter)
    return {labels: sum(sums[:-1]) if meter.buckets else sums[0] for labels, sums in samples}


def test_ready_and_slow_replies_are_counted_alike() -> None:
    """The first answer, its ready repetition in another case, a denial and its sibling: each once."""
    made = bench()
    for name in ("one.global", "ONE.global", "none.global", "nonf.global", "two.global"):
        label, _, zone = name.partition(".")
        ask(made, message(bytes([len(label)]) + label.encode() + names.to_wire(zone)))
    assert counted(made, metric_pages.REQUESTS) == {("global.", "udp", "1", "A"): 5}
    assert counted(made, metric_pages.RESPONSES) == {
        ("global.", "NOERROR", "mesh"): 3,
        ("global.", "NXDOMAIN", "mesh"): 2,
    }
    assert counted(made, metric_pages.RESPONSE_SIZE) == {("global.", "udp"): 5}


@pytest.mark.parametrize("name", [b"\1\0\6global\0", b"\3\0\0\0\6GLOBAL\0", b"\x3f" + b"\xff" * 63 + b"\6global\0"])
def test_zones_of_any_octets(name: bytes) -> None:
    """The zone is found whatever octets are below it, zero octets among them."""
    made = bench()
    ask(made, message(name))
    assert set(counted(made, metric_pages.REQUESTS)) == {("global.", "udp", "1", "A")}


def test_rare_types_share_a_label() -> None:
    """Types that CoreDNS does not name are ``other``, so that no asker makes labels."""
    made = bench()
    for rtype in (1000, 1001, 64999):
        ask(made, message(names.to_wire("one.global"), rtype))
    assert set(counted(made, metric_pages.REQUESTS)) == {("global.", "udp", "1", "other")}


def test_who_wrote_a_reply() -> None:
    """Refused askers are acl's; special names and CHAOS are local; what upstreams say is forward's."""
    made = bench()
    ask(made, message(names.to_wire("localhost")))
    ask(made, message(names.to_wire("www.example.com")))
    made.upstream.answer()
    plugins = {(zone, plugin) for zone, _, plugin in counted(made, metric_pages.RESPONSES)}
    assert plugins == {(".", "local"), (".", "forward")}
    refusing = ResponderFixture({}, allow=["192.0.2.0/24"])
    ask(refusing, message(names.to_wire("one.global")))
    assert set(counted(refusing, metric_pages.RESPONSES)) == {(".", "REFUSED", "acl")}


def test_times_are_shared_in_proportion() -> None:
    """Durations of batches go to the zones whose ready replies were in them; none is lost, none made up."""
    accounts = ReplyMetrics(MetricPage())
    accounts.configure([names.to_wire("global"), names.to_wire("mesh")], [])
    for name, times in (("one.global", 30), ("two.mesh", 10)):
        reply = b"\0\0\x84\0\0\1\0\1\0\0\0\0" + names.to_wire(name) + b"\0\1\0\1"
        accounts.cached_hits[0][accounts.series_id(30, reply, NO_SOURCE)] += times
    accounts.observe_batch(40, 0.0001)
    accounts.flush()
    found = {zone: sums for (zone,), sums in accounts.page.samples(metric_pages.REQUEST_DURATION)}
    assert {zone: sum(sums[:-1]) for zone, sums in found.items()} == {"global.": 30, "mesh.": 10}
    assert sum(sums[-1] for sums in found.values()) == pytest.approx(0.004)


def test_levels_and_staleness() -> None:
    """A standing becomes counters of its own."""
    accounts = ReplyMetrics(MetricPage())
    accounts.configure([names.to_wire("global")], [])
    reply = b"\0\0\x84\0\0\1\0\1\0\0\0\0" + names.to_wire("one.global") + b"\0\1\0\1"
    query = parse_query(message(names.to_wire("one.global")))
    assert query is not None
    accounts.observe_reply(
        (query, bytes(16), PORT, True, 0.0), reply, PLUGIN_MESH, AnswerSource(4, stale=True), seconds=0.1
    )
    assert dict(accounts.page.samples(metric_pages.ANSWERS)) == {("global.", "remote_entry"): [1]}
    assert dict(accounts.page.samples(metric_pages.STALE_ANSWERS)) == {("global.",): [1]}
    assert list(dict(accounts.page.samples(metric_pages.REQUESTS))) == [("global.", "tcp", "2", "A")]


class DenyingForwarder(ManualForwarder):
    """A forwarder that denies every name: at once, or later where it `waits`."""

    def __init__(self, *, waits: bool) -> None:
        super().__init__()
        self.waits = waits

    def ask(self, query: Query, *, now: float, tcp: bool, on_reply: SendReply, client: bytes) -> ImmediateReply | None:
        """Deny the name."""
        if self.waits:
            return super().ask(query, now=now, tcp=tcp, on_reply=on_reply, client=client)
        return ImmediateReply(build_reply(query, NXDOMAIN, tcp=tcp), now + 1, now + 5)

    def deny(self) -> None:
        """Deny the names that wait."""
        waiting, self.waiting = self.waiting, []
        for query, tcp, reply in waiting:
            reply(build_reply(query, NXDOMAIN, tcp=tcp))


@pytest.mark.parametrize(("waits", "plugin"), [(False, "mesh"), (True, "forward")])
def test_the_level_of_a_fallback_answer_is_counted(*, waits: bool, plugin: str) -> None:
    """What the mesh answers after an upstream's denial has a source, whenever that denial comes; a denial has none."""
    upstream = DenyingForwarder(waits=waits)
    made = ResponderFixture({}, forwarder=upstream)
    made.namedb.put({"one.global": encode_row(RowStatus.DATA, {TYPE_A: [b"\xcb\0\x71\1"]}, ttl=30, level=5)})
    made.responder._authority = Authority([ServedZone(names.to_wire("global"), fallback=True)])
    made.responder.metrics.configure([names.to_wire("global")], [])
    heard: list[bytes] = []
    deliver = heard.append
    made.responder.begin_read()
    for name in ("one.global", "none.global"):
        data = message(names.to_wire(name))
        reply = made.responder.respond(data, LOOPBACK, PORT, lambda: deliver, tcp=False)
        assert (reply is None) == waits
        if reply is not None:
            deliver(reply)
    made.responder.end_read()
    upstream.deny()
    assert [each[3] & 0x0F for each in heard] == [0, NXDOMAIN]
    assert counted(made, metric_pages.ANSWERS) == {("global.", "near_service"): 1}
    assert counted(made, metric_pages.RESPONSES) == {
        ("global.", "NOERROR", plugin): 1,
        ("global.", "NXDOMAIN", "forward" if waits else "cache"): 1,
    }


def test_a_near_name_is_told() -> None:
    """A denial to dig, which sends a cookie, names what is one letter off; a name unlike all others gets no hint."""
    made = bench()
    near = ask(made, message(names.to_wire("ome.global"), tail=COOKIE))
    assert b"no such name; nearest: one.global" in near
    assert do_bit_and_ede(near) == (False, 0)
    assert do_bit_and_ede(ask(made, message(names.to_wire("zzzz.global"), tail=COOKIE))) == (False, -1)


def test_debugging_names_are_for_those_who_may() -> None:
    """``_status`` is told to this machine, and does not exist for others; ``whoami`` is told to all."""
    made = bench()
    assert b"east=synced, network net-east" in ask(made, message(names.to_wire("_status.global"), 16))
    stranger = ask(made, message(names.to_wire("_status.global"), 16), b"\x0a\0\0\1")
    assert stranger[3] & 0x0F == 3
    assert b"10.0.0.1 port" in ask(made, message(names.to_wire("whoami.global"), 16), b"\x0a\0\0\1")
    assert b"2001:db8::1 port" in ask(
        made, message(names.to_wire("whoami.global"), 16), b"\x20\1\x0d\xb8" + bytes(11) + b"\1"
    )


def test_samples_are_bounded_and_what_is_beyond_is_counted() -> None:
    """No more than `MAX_PER_HEARTBEAT` between two heartbeats; names of any octets come back as they were."""
    board = Scoreboard.create()
    sampler = Sampler(board, 0, random=lambda: 0.0, clock=lambda: 1_800_000_000.0)
    sampler.configure(0.5, ["denial"])
    sampler.on_heartbeat(live=False)
    name = b"\x3f" + b"\xff" * 63 + b'\4\n"{}\6global\0'
    data = message(name)
    reply = data[:2] + b"\x84\3\0\1\0\0\0\1\0\0" + data[12:]
    for _ in range(MAX_PER_HEARTBEAT + 5):
        sampler.offer(data, reply, LOOPBACK, 5353, "mesh", seconds=0.001, tcp=False)
    sampler.on_heartbeat(live=False)
    assert (board.samples_written(0), board.samples_skipped(0)) == (MAX_PER_HEARTBEAT, 5)
    query = sampled.decode(next(board.read_samples(0, 0)))
    assert query is not None
    assert (query.name, query.reply_class, query.destinations) == (name, "denial", sampled.FOR_LOG)
    line = sampled.as_coredns(query)
    assert line.isprintable()
    assert r"\010\034\123\125.global." in line
    sampler.offer(data, data[:2] + b"\x84\0\0\1\0\1\0\0\0\0" + data[12:], LOOPBACK, 1, "mesh", seconds=0, tcp=False)
    assert board.samples_written(0) == MAX_PER_HEARTBEAT


@pytest.mark.parametrize(
    ("flags", "counts", "expected"),
    [
        (b"\x84\0", b"\0\1\0\0", "success"),
        (b"\x84\0", b"\0\0\0\1", "denial"),
        (b"\x84\0", b"\0\0\0\0", "success"),
        (b"\x86\0", b"\0\0\0\0", "success"),
        (b"\x84\3", b"\0\0\0\1", "denial"),
        (b"\x84\2", b"\0\0\0\0", "error"),
        (b"\x84\5", b"\0\0\0\0", "error"),
    ],
)
def test_kinds_of_replies(flags: bytes, counts: bytes, expected: str) -> None:
    """Success, denial (NODATA among them) and error, as CoreDNS classes them."""
    assert response_class(b"\0\0" + flags + b"\0\1" + counts + b"\0\0") == expected
