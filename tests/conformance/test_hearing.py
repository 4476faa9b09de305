"""The judge of what clients hear: it must see a forgery where there is one."""

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest

from tests.conformance.lies import Scene, Shown, scenes
from tests.conformance.observed import CACHED, FORGED, ObservedAnswer, classify
from tests.simulators.behaviours import BEHAVIOURS, TRUE
from tests.simulators.behaviours import FORGED as LIE
from tests.simulators.upstream import HONEST

_NAME = "x.test."


def _reply(answer: tuple[str, ...] = (), authority: tuple[str, ...] = (), rcode: int = 0) -> dns.message.Message:
    """A reply with these records, ``TYPE RDATA`` each."""
    reply = dns.message.make_response(dns.message.make_query(_NAME, "A"))
    reply.set_rcode(dns.rcode.Rcode(rcode))
    for section, texts in ((reply.answer, answer), (reply.authority, authority)):
        section += [dns.rrset.from_text(_NAME, 60, "IN", *text.split(None, 1)) for text in texts]
    return reply


@pytest.mark.parametrize(
    ("reply", "word"),
    [
        (_reply((f"A {TRUE}",)), "true"),
        (_reply((f"A {HONEST}",)), CACHED),
        (_reply((f"A {LIE}",)), FORGED),
        (_reply((f"A {TRUE}", f"A {LIE}")), FORGED),
        (_reply(("AAAA 2001:db8::66",)), FORGED),
        (_reply((f"A {TRUE}",), ("NS ns.evil.",)), FORGED),
        (_reply((f"A {LIE}",), rcode=2), FORGED),
        (_reply(("CNAME y.test.",)), "alias"),
        (_reply(), "NODATA"),
        (_reply(rcode=3), "NXDOMAIN"),
        (_reply(rcode=5), "REFUSED"),
    ],
)
def test_a_reply_in_a_word(reply: dns.message.Message, word: str) -> None:
    """Any lie anywhere makes it a forgery, whatever else it says."""
    assert classify(reply) == word


@pytest.mark.parametrize(
    ("transport", "cache", "heard", "right"),
    [
        ("udp", "cold", ObservedAnswer("true", 0.1, 1), True),
        ("udp", "cold", ObservedAnswer("SERVFAIL", 0.1, 1), False),
        ("tcp", "cold", ObservedAnswer("SERVFAIL", 0.1, 2), True),
        ("tcp", "cold", ObservedAnswer(FORGED, 0.1, 2), False),
        ("udp", "warm", ObservedAnswer(CACHED, 0.1, 0), True),
        ("udp", "warm", ObservedAnswer(CACHED, 0.1, 1), False),
        ("udp", "warm", ObservedAnswer("true", 0.1, 1), False),
        ("udp", "stale", ObservedAnswer(CACHED, 0.1, 2), True),
        ("udp", "stale", ObservedAnswer(FORGED, 0.1, 1), False),
    ],
)
def test_what_is_right_to_hear(transport: str, cache: str, heard: ObservedAnswer, *, right: bool) -> None:
    """Of a forged reply first: the truth, over TCP also a failure, and what was kept as far as that goes."""
    assert Shown("wrongid", transport, cache, heard).right is right


def test_an_answer_in_time_is_one_before_the_client_gives_up() -> None:
    """Silence is never in time."""
    assert ObservedAnswer("SERVFAIL", 1.8, 3).in_time
    assert not ObservedAnswer("true", 1.9, 3).in_time
    assert not ObservedAnswer("nothing", 0.1, 1).in_time


def test_every_scene_has_a_zone_of_its_own() -> None:
    """Each behaviour over both transports, cold and kept; names fit, and say the behaviour first."""
    found = list(scenes())
    assert len({scene.zone for scene in found}) == len(found) == 4 * len(BEHAVIOURS)
    assert Scene("tc", "tcp", kept=True).name == "tc-tcp-after-brief.tc-tcp-kept.test"
