"""What upstreams say of names of our own is not believed."""

import pytest

from meshdns.dns import names
from meshdns.dns.own_names import OwnNames
from meshdns.dns.reply import Reply, ReplyKind, ReplyRules, parse_reply
from meshdns.forwarding.upstreams import Address, Route, reply_rules
from tests.dns.test_reply import question, shown, wire

SIGNATURE = "{} 300 IN RRSIG {} 8 2 300 20300101000000 20200101000000 1 example. AAAA"
SHOWN = "8 2 300 20300101000000 20200101000000 1 example. AAAA"
OWN = ReplyRules(OwnNames({names.to_wire(zone): True for zone in ("global", "mesh.example")}))

CUT: dict[str, tuple[bytes, str, list[str]]] = {
    # case: message, the name of ours that it leads to, the answer as far as it is believed
    "an alias with a forged address": (
        wire("www.example. 300 IN CNAME a.default.global.", "a.default.global. 60 IN A 203.0.113.66"),
        "a.default.global",
        ["www.example. 300 CNAME a.default.global."],
    ),
    "in other letters": (
        wire("www.example. 300 IN CNAME A.Default.GLOBAL.", "a.default.global. 60 IN A 203.0.113.66"),
        "a.default.global",
        ["www.example. 300 CNAME A.Default.GLOBAL."],
    ),
    "the apex": (wire("www.example. 300 IN CNAME global."), "global", ["www.example. 300 CNAME global."]),
    "behind another alias": (
        wire(
            "www.example. 300 IN CNAME b.example.",
            "b.example. 20 IN CNAME a.global.",
            "a.global. 60 IN CNAME c.example.",
            "c.example. 60 IN A 203.0.113.66",
        ),
        "a.global",
        ["www.example. 300 CNAME b.example.", "b.example. 20 CNAME a.global."],
    ),
    "with its denial": (
        wire("www.example. 300 IN CNAME a.global.", authority=("global. 9 IN SOA a. b. 1 2 3 4 9",), rcode=3),
        "a.global",
        ["www.example. 300 CNAME a.global."],
    ),
    "with signatures": (
        wire(
            "www.example. 300 IN CNAME a.global.",
            SIGNATURE.format("www.example.", "CNAME"),
            "a.global. 300 IN A 203.0.113.66",
            SIGNATURE.format("a.global.", "A"),
        ),
        "a.global",
        ["www.example. 300 CNAME a.global.", f"www.example. 300 RRSIG CNAME {SHOWN}"],
    ),
    "by a DNAME above a zone of ours, of which the alias alone is kept": (
        wire("example. 300 IN DNAME global.", "www.example. 300 IN CNAME www.global.", "www.global. 5 IN A 192.0.2.6"),
        "www.global",
        ["www.example. 300 CNAME www.global."],
    ),
}


def parsed(message: bytes, rules: ReplyRules = OWN, name: str = "www.example.", rtype: str = "A") -> Reply:
    """What is believed of a message."""
    reply = parse_reply(message, question(name, rtype), dnssec=True, rules=rules)
    assert reply is not None
    return reply


@pytest.mark.parametrize("case", CUT)
def test_a_chain_ends_at_the_first_name_of_ours(case: str) -> None:
    """The aliases up to it are believed, nothing that is owned by it and nothing behind it, nor RCODE and authority."""
    message, target, answer = CUT[case]
    reply = parsed(message)
    assert (reply.kind, reply.rcode, reply.continues_at) == (ReplyKind.POSITIVE, 0, names.to_wire(target))
    assert shown(reply) == (answer, [])
    assert reply.ttl == min(int(line.split()[1]) for line in answer)


WHOLE: dict[str, tuple[bytes, str, str]] = {
    # case: message, question
    "no name of ours": (
        wire("www.example. 300 IN CNAME globals.", "globals. 60 IN A 192.0.2.1"),
        "www.example.",
        "A",
    ),
    "above a zone of ours": (
        wire("www.example. 300 IN CNAME example.", "example. 60 IN A 192.0.2.1"),
        "www.example.",
        "A",
    ),
    "an alias that was asked for": (
        wire("www.example. 300 IN CNAME a.global.", rtype="CNAME"),
        "www.example.",
        "CNAME",
    ),
    "a name in other records": (wire("www.example. 300 IN MX 5 a.global.", rtype="MX"), "www.example.", "MX"),
    "a name of ours that is forwarded": (wire("b.global. 60 IN A 192.0.2.1", name="b.global."), "b.global.", "A"),
}


@pytest.mark.parametrize("case", WHOLE)
def test_other_answers_are_whole(case: str) -> None:
    """A name of ours in RDATA is no record of it, and one that is asked of an upstream is forwarded on purpose."""
    message, name, rtype = WHOLE[case]
    reply = parsed(message, OWN, name, rtype)
    assert (reply.kind, reply.continues_at) == (ReplyKind.POSITIVE, b"")
    assert shown(reply, name, rtype) == shown(parsed(message, ReplyRules(), name, rtype), name, rtype)


def test_records_of_ours_beside_an_answer_are_dropped() -> None:
    """Additional addresses, and proofs that are owned by names of ours."""
    srv = wire("www.example. 300 IN SRV 0 0 80 a.global.", additional=("a.global. 60 IN A 203.0.113.66",), rtype="SRV")
    assert shown(parsed(srv, rtype="SRV"), rtype="SRV") == (["www.example. 300 SRV 0 0 80 a.global."], [])
    proofs = ("a.global. 60 IN NSEC z.global. A", "a.example. 60 IN NSEC z.example. A")
    denied = wire(authority=("example. 900 IN SOA ns. root. 1 2 3 4 60", *proofs), rcode=3)
    assert shown(parsed(denied))[1] == ["example. 60 SOA ns. root. 1 2 3 4 60", "a.example. 60 NSEC z.example. A"]


@pytest.mark.parametrize(
    ("route", "leads_out"), [("cluster.local", False), ("", True), ("east.cluster.local", True)], ids=str
)
def test_the_upstream_of_a_fallback_zone_speaks_for_it(route: str, *, leads_out: bool) -> None:
    """Other routes' upstreams do not."""
    own = {names.to_wire("global"): False, names.to_wire("cluster.local"): True}
    rules = reply_rules(Route(names.to_wire(route), (Address("192.0.2.53"),)), own)
    for target, expected in (("svc.cluster.local", leads_out), ("a.global", True), ("example", False)):
        reply = parsed(wire(f"www.example. 300 IN CNAME {target}.", f"{target}. 60 IN A 192.0.2.1"), rules)
        assert (reply.continues_at == names.to_wire(target)) is expected
