"""What `_status` says of special names."""

import dns.message
import pytest

from meshdns.authority.authority import Authority
from meshdns.dns import names
from meshdns.dns.query import parse_query
from meshdns.worker.acl import AccessList
from meshdns.worker.diagnostic_names import DiagnosticNames

HERE = bytes([127, 0, 0, 1])


def status(*forwarded: str) -> list[str]:
    """The lines of `_status.global` while these special zones are left to upstreams."""
    names_here = DiagnosticNames(
        Authority([]), [names.to_wire("global")], AccessList(["127.0.0.0/8"]), list(map(names.to_wire, forwarded))
    )
    query = parse_query(dns.message.make_query("_status.global", "TXT").to_wire())
    assert query is not None
    reply = names_here.respond(query, None, HERE, 5353, tcp=False)
    assert reply is not None
    return [text.decode() for text in dns.message.from_wire(reply).answer[0][0].strings]


@pytest.mark.parametrize(
    ("forwarded", "told"),
    [
        ((), []),
        (("test",), ["special names forwarded to private upstreams: test"]),
        (
            ("test", "10.in-addr.arpa", "d.f.ip6.arpa", "internal"),
            ["special names forwarded to private upstreams: internal, test, private reverse zones"],
        ),
    ],
)
def test_the_status_says_which_special_names_are_forwarded(forwarded: tuple[str, ...], told: list[str]) -> None:
    """One line, in which the many reverse zones are one word; none where all are answered here."""
    assert status(*forwarded)[1:] == told
