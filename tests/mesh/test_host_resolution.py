"""Gateway host names in virtual time: what a reply says, what is kept, when it is asked again."""

import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshdns.dns.codes import TYPE_A, TYPE_AAAA
from meshdns.mesh.fair_timers import NOBODY
from meshdns.mesh.host_resolution import (
    FAMILIES,
    MAX_LIFETIME,
    ResolutionSchedule,
    ResolvedAddresses,
    build_question,
    read_addresses,
)

SOA = "test. 30 IN SOA ns.test. hostmaster.test. 1 2 3 4 20"
HOST = "gw.test"


def reply(*lines: str, qtype: int = TYPE_A, rcode: int = 0, authority: tuple[str, ...] = ()) -> bytes:
    """A reply to the question for `HOST`; records in presentation format, ``@`` is the host."""
    asked = dns.message.make_query(HOST, dns.rdatatype.RdataType(qtype), use_edns=0, payload=1232)
    out = dns.message.make_response(asked, recursion_available=True)
    out.set_rcode(dns.rcode.Rcode(rcode))
    for section, records in ((out.answer, lines), (out.authority, authority)):
        for line in records:
            owner, ttl, rclass, rtype, rdata = line.replace("@", f"{HOST}.").split(None, 4)
            section.append(dns.rrset.from_text(owner, int(ttl), rclass, rtype, rdata))
    return out.to_wire(max_size=65_535)


class TestReply:
    """What is found in a reply's bytes."""

    @pytest.mark.parametrize(
        ("lines", "addresses", "ttl"),
        [
            (["@ 60 IN A 192.0.2.1"], ["192.0.2.1"], 60),
            (["@ 60 IN A 192.0.2.10", "@ 60 IN A 192.0.2.9"], ["192.0.2.9", "192.0.2.10"], 60),
            (["@ 60 IN CNAME x.test.", "x.test. 9 IN CNAME y.test.", "y.test. 40 IN A 192.0.2.2"], ["192.0.2.2"], 9),
            (["@ 60 IN A 192.0.2.1", "bank.example. 60 IN A 192.0.2.66"], ["192.0.2.1"], 60),
            (["@ 60 IN CNAME x.test.", "@ 60 IN A 192.0.2.66", "x.test. 60 IN A 192.0.2.2"], ["192.0.2.2"], 60),
            (["@ 60 IN A 192.0.2.1", "@ 60 IN TXT hello"], ["192.0.2.1"], 60),
            (
                [
                    "test. 60 IN DNAME east.example.",
                    "@ 60 IN CNAME gw.east.example.",
                    "gw.east.example. 7 IN A 192.0.2.3",
                ],
                ["192.0.2.3"],
                7,
            ),
        ],
    )
    def test_addresses_are_those_at_the_end_of_the_chain(
        self, lines: list[str], addresses: list[str], ttl: int
    ) -> None:
        """A chain is followed within the answer, strangers are not believed, the shortest TTL counts."""
        assert read_addresses(reply(*lines), build_question(HOST, TYPE_A)) == ResolvedAddresses(tuple(addresses), ttl)

    def test_ipv6_addresses_come_in_canonical_text(self) -> None:
        """Text that spells the same address is the same text."""
        message = reply("@ 60 IN AAAA 2001:DB8:0::1", qtype=TYPE_AAAA)
        assert read_addresses(message, build_question(HOST, TYPE_AAAA)) == ResolvedAddresses(("2001:db8::1",), 60)

    def test_an_ipv4_mapped_address_is_the_ipv4_address(self) -> None:
        """Some servers translate by themselves."""
        message = reply("@ 60 IN AAAA ::ffff:203.0.113.9", qtype=TYPE_AAAA)
        assert read_addresses(message, build_question(HOST, TYPE_AAAA)) == ResolvedAddresses(("203.0.113.9",), 60)

    @pytest.mark.parametrize(
        ("message", "ttl"),
        [
            (reply(authority=(SOA,)), 20),
            (reply(), 5),
            (reply(rcode=3, authority=(SOA,)), 20),
            (reply(rcode=3), 5),
            (reply("@ 60 IN CNAME x.test.", authority=(SOA,)), 20),
            (reply("@ 60 IN CNAME x.test.", rcode=3, authority=(SOA,)), 20),
        ],
        ids=["nodata", "nodata without SOA", "nxdomain", "nxdomain without SOA", "alias of nodata", "alias of nothing"],
    )
    def test_a_denial_is_an_empty_answer(self, message: bytes, ttl: int) -> None:
        """NODATA and NXDOMAIN say that there is no address, at the end of a chain too."""
        assert read_addresses(message, build_question(HOST, TYPE_A)) == ResolvedAddresses((), ttl)

    @pytest.mark.parametrize(
        "message",
        [
            reply(rcode=2),
            reply(rcode=5),
            reply(authority=("test. 60 IN NS ns.test.",)),
            reply("@ 60 IN CNAME x.elsewhere."),
            reply("bank.example. 60 IN A 192.0.2.66"),
            reply("@ 60 IN A 192.0.2.1")[:-1],
            reply("@ 60 IN A 192.0.2.1", qtype=TYPE_AAAA),
            b"",
        ],
        ids=["servfail", "refused", "referral", "dangling alias", "foreign", "cut", "another question", "nothing"],
    )
    def test_anything_else_is_a_failure(self, message: bytes) -> None:
        """Errors, referrals, aliases that lead out of the reply and broken messages say nothing of the host."""
        assert read_addresses(message, build_question(HOST, TYPE_A)) is None

    def test_no_more_than_50_addresses_are_kept_always_the_same(self) -> None:
        """Whatever the order in which a server gives many addresses, the same 50 are kept."""
        lines = [f"@ 60 IN A 192.0.2.{number}" for number in range(1, 81)]
        kept = ResolvedAddresses(tuple(f"192.0.2.{number}" for number in range(1, 51)), 60)
        assert [read_addresses(reply(*order), build_question(HOST, TYPE_A)) for order in (lines, lines[::-1])] == [
            kept,
            kept,
        ]

    @given(st.binary(max_size=300))
    def test_no_bytes_make_it_raise(self, rest: bytes) -> None:
        """What follows a question that echoes ours may be anything."""
        asked = build_question(HOST, TYPE_A)
        read_addresses(b"\0\0\x81\x80\0\1\0\1\0\1\0\1" + asked + rest, asked)
        read_addresses(rest, asked)


class Story:
    """One machine and a clock that the test moves. Look-ups are due one at a time and over at once."""

    def __init__(self, draw: float = 0.5) -> None:
        self.now = 1000.0
        self.schedule = ResolutionSchedule(lambda: draw)
        self.schedule.set_hosts({HOST: NOBODY}, self.now)

    def look_up(self, a: str, aaaa: str) -> tuple[str, ...] | None:
        """Go to the next look-up and let it bring this; see `outcome`. Returns what is told."""
        assert self.schedule.timers.next_due is not None
        self.now = max(self.now, self.schedule.timers.next_due)
        (host,) = self.schedule.timers.pop_due(self.now, limit=9)
        return self.schedule.record_result(host, [outcome(a), outcome(aaaa)], self.now)

    @property
    def wait(self) -> float:
        """Seconds to the next look-up."""
        assert self.schedule.timers.next_due is not None
        return self.schedule.timers.next_due - self.now


def outcome(text: str) -> ResolvedAddresses | None:
    """``fail``, or addresses joined by plus (``-`` for none) and perhaps ``@`` and a TTL."""
    if text == "fail":
        return None
    addresses, _, ttl = text.partition("@")
    return ResolvedAddresses(tuple(addresses.split("+")) if addresses != "-" else (), int(ttl or 300))


@pytest.mark.parametrize(
    "story",
    [
        "a1 - → a1; a1 - → same; a2 - → a2; a1+a2 - → a1 a2",  # first answer, no change, changes
        "a1 b1 → a1 b1; a1 - → a1; - b1 → b1; - - → none",  # an empty answer removes its family
        "- - → none; - - → same; a1 - → a1",  # known to have none is an answer too
        "fail fail → same; fail fail → same; a1 - → a1",  # nothing is told before an answer
        "a1 b1 → a1 b1; fail fail → same; fail fail → same; a2 b1 → a2 b1",  # last good is kept
        "a1 b1 → a1 b1; a2 fail → a2 b1; fail b2 → a2 b2; - fail → b2; - - → none",  # families fail apart
        "a1 fail → a1; a1 fail → same; a1 b1 → a1 b1",  # one family is enough to begin with
        "- fail → same; fail - → none",  # …but not to say that there is none
        "a1 a1+b1 → a1 b1; a1+a2 a2 → a1 a2",  # an IPv4-mapped address is of both families, and told once
        "a1 fail → a1; - fail → none",  # what was told is taken back, though the other family never replied
    ],
)
def test_addresses_are_told_whenever_they_change(story: str) -> None:
    """Each look-up brings A and AAAA, and what is told follows: ``same`` is nothing, ``none`` is no address."""
    play = Story()
    for step in story.split("; "):
        brought, _, told = step.partition(" → ")
        expected = None if told == "same" else tuple(told.split()) if told != "none" else ()
        assert play.look_up(*brought.split()) == expected, step


@pytest.mark.parametrize(
    ("a", "aaaa", "seconds"),
    [
        ("a1@0", "-@300", 30),
        ("a1@29", "b1@300", 30),
        ("a1@60", "b1@300", 60),
        ("a1@300", "-@45", 45),
        ("a1@604800", "b1@86400", 3600),
        ("-@0", "-@0", 30),
    ],
)
@pytest.mark.parametrize("draw", [0.0, 0.5, 0.999])
def test_the_next_look_up_follows_the_shorter_ttl_within_bounds(a: str, aaaa: str, seconds: float, draw: float) -> None:
    """TTLs are clamped to 30 s–1 h; jitter adds up to 10 % and takes nothing off."""
    play = Story(draw)
    play.look_up(a, aaaa)
    assert play.wait == pytest.approx(seconds * (1 + 0.1 * draw))


@pytest.mark.parametrize(("draw", "factor"), [(0.0, 0.9), (0.5, 1.0), (0.999, 1.0998)])
def test_failures_are_tried_again_ever_more_slowly(draw: float, factor: float) -> None:
    """5 s after the first failure, 60 s after the fifth and all others, give or take 10 %."""
    play = Story(draw)
    waits = []
    for _ in range(7):
        play.look_up("fail", "fail")
        waits.append(play.wait)
    assert waits == pytest.approx([factor * seconds for seconds in (5, 10, 20, 40, 60, 60, 60)])


def test_failing_for_days_breaks_nothing() -> None:
    """The count of failures may grow without the pause doing so."""
    play = Story()
    for _ in range(3000):
        play.look_up("fail", "fail")
    assert play.wait == pytest.approx(60)


def test_an_answer_ends_the_backoff() -> None:
    """After an answer the next failure is tried again in 5 s."""
    play = Story()
    for brought in ("fail", "fail", "a1", "fail"):
        play.look_up(brought, "-" if brought == "a1" else brought)
    assert play.wait == pytest.approx(5)


def test_one_failing_family_does_not_delay_the_other() -> None:
    """Where AAAA never resolves, A is asked again when its TTL has passed."""
    play = Story()
    for _ in range(6):
        play.look_up("a1@30", "fail")
    assert play.wait == pytest.approx(31.5)


def test_a_forgotten_host_tells_nothing_and_begins_anew_when_it_returns() -> None:
    """A look-up that outlives the wish for its host changes nothing, before and after the host's return."""
    play = Story()
    play.look_up("a1", "-")
    play.now += MAX_LIFETIME
    (host,) = play.schedule.timers.pop_due(play.now, limit=9)
    play.schedule.set_hosts({}, play.now)
    assert play.schedule.record_result(host, [outcome("a2"), outcome("-")], play.now) is None
    play.schedule.set_hosts({HOST: NOBODY}, play.now)
    assert play.schedule.record_result(host, [outcome("a3"), outcome("-")], play.now) is None
    assert (len(play.schedule.timers), play.wait) == (1, 0.0)
    assert play.look_up("a1", "-") == ("a1",)


def test_wanting_the_same_again_changes_no_schedule() -> None:
    """Only new hosts are due at once."""
    play = Story()
    play.look_up("a1@100", "-@100")
    play.schedule.set_hosts({HOST: NOBODY, "new.test": NOBODY}, play.now)
    (host,) = play.schedule.timers.pop_due(play.now, limit=9)
    assert host.name == "new.test"
    assert play.wait == pytest.approx(105)


@pytest.mark.parametrize(
    "host",
    [
        *("", "a..b", "*.example", "ex ample", "x" * 64 + ".example", "bücher.example"),
        *("10.0.0.256", "203.0.113.010", "203.0.113", "203.0.113.300", "7", "lb.example.7"),
    ],
)
def test_what_is_no_host_name_is_never_looked_up(host: str) -> None:
    """A fault in a manifest is no question."""
    names = ResolutionSchedule(lambda: 0.5)
    names.set_hosts({host: NOBODY}, 0.0)
    assert names.timers.next_due is None


def test_both_families_are_asked_for() -> None:
    """A and AAAA, in the order in which outcomes are taken."""
    assert [build_question("gw.test", qtype)[-4:] for qtype in FAMILIES] == [b"\0\1\0\1", b"\0\x1c\0\1"]
