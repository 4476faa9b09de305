"""What clients outside allowQuery get: little, and not often."""

import dns.edns
import dns.message
import dns.rcode
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshdns.dns.query import parse_query
from meshdns.worker.acl import REFUSAL_LIMIT, build_refusal
from tests.upstream.forwarder_client import ede
from tests.worker.responder_fixture import PORT, ResponderFixture

STRANGER = bytes([198, 51, 100, 7])
COOKIE = dns.edns.GenericOption(dns.edns.OptionType.COOKIE, b"abcdefgh")
NSID = dns.edns.GenericOption(dns.edns.OptionType.NSID, b"")
PADDING = dns.edns.GenericOption(dns.edns.OptionType.PADDING, bytes(60))


def query(
    name: str = "shop.default.global.", *, edns: bool = True, options: list[dns.edns.Option] | None = None
) -> bytes:
    """One query on the wire."""
    return dns.message.make_query(name, "A", use_edns=0 if edns else -1, options=options or []).to_wire()


def ask(bench: ResponderFixture, data: bytes, source: bytes = STRANGER, *, tcp: bool = False) -> bytes | None:
    """The reply to one message."""
    bench.responder.begin_read()
    try:
        return bench.responder.respond(data, source, PORT, lambda: lambda _: None, tcp=tcp)
    finally:
        bench.responder.end_read()


@pytest.mark.parametrize(
    ("options", "error"),
    [([], None), ([COOKIE], "18 "), ([NSID], None), ([COOKIE, PADDING], "18 see allowQuery")],
    ids=["no options", "a cookie, as dig sends", "NSID", "padding"],
)
def test_a_refusal_is_no_longer_than_the_query(options: list[dns.edns.Option], error: str | None) -> None:
    """The reason is told where it fits; over TCP, where no address is forged, it always is."""
    bench = ResponderFixture({}, allow=["10.0.0.0/8"])
    data = query(options=options)
    refusal = ask(bench, data)
    assert refusal is not None
    assert len(refusal) <= len(data)
    reply = dns.message.from_wire(refusal)
    errors = [f"{int(each.code)} {each.text or ''}" for each in reply.extended_errors()]
    assert (reply.rcode(), reply.edns, errors) == (dns.rcode.REFUSED, 0, [error] if error else [])
    over_tcp = dns.message.from_wire(ask(bench, data, tcp=True) or b"")
    assert [each.text for each in over_tcp.extended_errors()] == ["see allowQuery"]


@given(
    st.binary(max_size=80),
    st.sampled_from([query(), query(edns=False), query(".", options=[COOKIE, NSID])]),
    st.integers(0, 60),
)
def test_no_message_draws_a_longer_refusal(noise: bytes, start: bytes, kept: int) -> None:
    """Whatever is sent, well-formed or not."""
    for data in (start, start[:kept] + noise, start + noise):
        parsed = parse_query(data)
        if parsed is not None:
            parsed.reply_cookie = b"c" * 24
            assert len(build_refusal(parsed, tcp=False)) <= len(data)


def test_refusals_are_few_for_each_block_of_addresses() -> None:
    """Ten a second for a /24; neighbours' and TCP's are apart, and those that are not sent are counted."""
    now = 100.0
    bench = ResponderFixture({}, allow=["10.0.0.0/8"], clock=lambda: now)
    sent = sum(ask(bench, query(), STRANGER[:3] + bytes([i % 256])) is not None for i in range(1000))
    assert sent == REFUSAL_LIMIT.per_second == 10
    assert (bench.responder.counters.refused, bench.responder.counters.refusals_dropped) == (1000, 990)
    assert ask(bench, query(), b"\xc0\0\2\1") is not None
    assert ask(bench, query(), tcp=True) is not None
    now += 1.0
    assert ask(bench, query()) is not None
    assert ask(bench, query(), b"\x0a\0\0\1") is not None
    assert ede(dns.message.from_wire(ask(bench, query(), b"\x0a\0\0\1") or b"")) is None
