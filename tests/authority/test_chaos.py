"""Class CHAOS: what is told of the server, and what is refused."""

import dns.flags
import dns.message
import dns.rdataclass
import pytest

from meshdns.authority.special import ChaosNames
from meshdns.dns.query import parse_query

OPEN = ChaosNames(identity=b"node-1", version=b"meshdns 1")
SHUT = ChaosNames(identity=b"", version=b"")


def answer(chaos: ChaosNames, name: str, rtype: str = "TXT") -> list[str]:
    """The answer in presentation format; empty where it is to be refused."""
    query = parse_query(dns.message.make_query(name, rtype, dns.rdataclass.CHAOS).to_wire())
    assert query is not None
    reply = chaos.respond(query, edns_options=b"", tcp=False)
    return [] if reply is None else [line.to_text() for line in dns.message.from_wire(reply).answer]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("id.server.", "node-1"),
        ("hostname.bind.", "node-1"),
        ("Version.Server.", "meshdns 1"),
        ("version.bind.", "meshdns 1"),
    ],
)
def test_the_four_names_are_told_where_they_may_be(name: str, text: str) -> None:
    """RFC 4892: a TXT record of class CH that nobody keeps (row 17)."""
    assert answer(OPEN, name) == [f'{name} 0 CH TXT "{text}"']
    assert answer(SHUT, name) == []


@pytest.mark.parametrize("question", [("authors.bind.", "TXT"), ("id.server.", "A"), ("server.", "TXT"), (".", "NS")])
def test_everything_else_of_the_class_is_refused(question: tuple[str, str]) -> None:
    """No other names, no other types (row 15)."""
    assert answer(OPEN, *question) == []


def test_a_long_identity_is_cut_to_one_string() -> None:
    """A character string holds 255 octets (RFC 1035 3.3)."""
    assert answer(ChaosNames(identity=b"n" * 300, version=b""), "id.server.") == [f'id.server. 0 CH TXT "{"n" * 255}"']
