"""``dig TXT _explain.<name>``: what is said of a name in plain DNS."""

import dns.flags
import dns.message
import dns.rcode
import pytest

from meshdns.authority.explain_txt import explain_reply
from meshdns.dns import query
from meshdns.dns.codes import TYPE_TXT
from meshdns.dns.presentation import build_query
from meshdns.mesh.answer import encode_answer
from tests.mesh.scene import entry, gateway, mesh, name_table, passthrough_gateway

HOST = "reviews.prod.global"
WEST = (gateway("203.0.113.20", "203.0.113.21"), entry("10.1.1.1"))


def told(reason: bytes | None, *, tcp: bool = True) -> dns.message.Message:
    """The reply for a reason, as another implementation reads it."""
    asked = query.parse_query(build_query(f"_explain.{HOST}", TYPE_TXT))
    assert asked is not None
    return dns.message.from_wire(explain_reply(asked, reason, tcp=tcp))


def lines(reason: bytes | None) -> list[str]:
    """The character strings of the one TXT record."""
    ((record,),) = told(reason).answer
    return [string.decode() for string in record.strings]


def test_a_name_that_nobody_knows_is_denied() -> None:
    """There is nothing to explain."""
    message = told(None)
    assert (message.rcode(), message.answer) == (dns.rcode.NXDOMAIN, [])


def test_the_outcome_comes_first_then_each_endpoint() -> None:
    """Level and addresses, then cluster, object, field, rule and what became of it."""
    made = name_table(mesh(), {"east": (), "west": WEST})
    made.set_health("203.0.113.20", 15443, healthy=False)
    answer = made.refresh()[HOST]
    assert answer is not None
    rule = "a private address of another network: the cluster's gateways"
    place = f"4 west: ServiceEntry prod/reviews spec.endpoints[0]: {rule}"
    assert lines(encode_answer(answer)) == [
        "addresses level 4: 203.0.113.21 (ttl 30)",
        f"{place}: 203.0.113.20 (via west, not healthy)",
        f"{place}: 203.0.113.21 (via west)",
    ]


@pytest.mark.parametrize(("host", "said"), [("*.local", True), ("*.global", False)])
def test_a_gateway_that_passes_other_names_only_is_pointed_out(host: str, *, said: bool) -> None:
    """The address is right, and a client gets no further."""
    answer = name_table(mesh(), {"east": (), "west": (*WEST, passthrough_gateway(host))}).refresh()[HOST]
    assert answer is not None
    assert all(("passes no TLS of this name" in line) is said for line in lines(encode_answer(answer))[1:])


def test_what_yields_nothing_and_what_is_to_come_is_said() -> None:
    """Endpoints without an address are told as well."""
    unknown = entry("vm.corp.example", "127.0.0.1", resolution="DNS")
    answer = name_table(mesh(), {"east": (unknown,)}).refresh()[HOST]
    assert answer is not None
    assert [line.rpartition(": ")[2] for line in lines(encode_answer(answer))[1:]] == [
        "to come (no reply yet for vm.corp.example)",
        "nothing",
    ]


def test_it_is_bounded() -> None:
    """Forty lines at most, and over UDP it is truncated rather than large."""
    many = [entry("198.51.100.2", name=f"e{number}") for number in range(60)]
    answer = name_table(mesh(), {"east": many}).refresh()[HOST]
    assert answer is not None
    assert len(lines(encode_answer(answer))) == 40
    assert told(encode_answer(answer), tcp=False).flags & dns.flags.TC
