"""Owner names in text and on the wire."""

from typing import NamedTuple

import dns.name
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshdns.dns import names

FAULTS = {
    # host: a part of why it is refused
    "": "empty",
    "a..b": "empty label",
    ".a": "empty label",
    "a.": "empty label",
    "..": "empty label",
    "x" * 64: "64 octets",
    ".".join(["x" * 49] * 5) + ".abcde": "255 octets",
    "-a.global": "'-a'",
    "a-.global": "'a-'",
    "a b.global": "'a b'",
    "a*.global": "'a*'",
    "bücher.global": "'bücher'",
    "ﬀ.global": "'ﬀ'",
    "a/b.global": "'a/b'",
    "a\n.global": "host name label",
    "a.global\n": "host name label",
    "a\0.global": "host name label",
}


@pytest.mark.parametrize("host", FAULTS)
def test_what_is_no_host_name_is_told_why(host: str) -> None:
    """The reason names the label or the length."""
    assert FAULTS[host] in names.invalid_reason(host)


@pytest.mark.parametrize(
    "host", ["a", "global", "reviews.prod.global", "1.2", "_grpc._tcp.a.global", "a--b.c", "x" * 63, "9.global"]
)
def test_host_names_have_no_fault(host: str) -> None:
    """Letters, digits, inner hyphens (RFC 1123 2.1) and underscores (RFC 8552)."""
    assert names.invalid_reason(host) == ""


def test_the_longest_name_is_253_octets_of_text() -> None:
    """253 octets of text are 255 on the wire (RFC 1035 2.3.4)."""
    name = ".".join(["x" * 63] * 3 + ["x" * 61])
    assert (names.invalid_reason(name), len(names.to_wire(name))) == ("", 255)


HOST = st.lists(st.from_regex(r"[a-z0-9_]{1,12}", fullmatch=True), min_size=1, max_size=8).map(".".join)


@given(HOST)
def test_text_and_wire_agree_with_dnspython(host: str) -> None:
    """A host name has the octets another encoder gives it, and reads back as itself."""
    wire = dns.name.from_text(host + ".").to_wire() or b""
    assert names.to_wire(host) == wire
    assert names.to_text(wire) == host


@given(st.lists(st.binary(min_size=1, max_size=10), min_size=1, max_size=5))
def test_the_presentation_form_of_any_octets_reads_back(labels: list[bytes]) -> None:
    r"""Octets outside host names are shown as ``\DDD`` (RFC 1035 5.1), so that no two names look alike."""
    wire = dns.name.Name([*labels, b""]).to_wire() or b""
    assert dns.name.from_text(names.to_text(wire) + ".").to_wire() == wire


def test_the_root_is_a_dot() -> None:
    """The root has no labels; it is shown as a dot."""
    assert (names.to_wire(""), names.to_text(b"\0")) == (b"\0", ".")


def test_parents_come_nearest_first() -> None:
    """The ancestors of a name, without the name and without the root."""
    assert list(names.parents("a.b.c")) == ["b.c", "c"]


@pytest.mark.parametrize(
    ("name", "zone", "inside"),
    [
        ("global", "global", True),
        ("a.global", "global", True),
        ("xglobal", "global", False),
        ("a.xglobal", "global", False),
        ("global.a", "global", False),
        ("lobal", "global", False),
    ],
)
def test_zones_end_at_label_boundaries(name: str, zone: str, *, inside: bool) -> None:
    """A name is in a zone by whole labels, not by letters."""
    assert names.is_subdomain(name, zone) is inside


def test_ancestors_of_a_wire_name_end_at_the_apex() -> None:
    """Nearest first, without the name itself, the apex included."""
    wire = names.to_wire("a.b.c")
    assert [names.to_text(name) for name in names.ancestors(wire)] == ["b.c", "c", "."]
    assert [names.to_text(name) for name in names.ancestors(wire, names.to_wire("b.c"))] == ["b.c"]
    assert list(names.ancestors(names.ROOT)) == []


class _Zone(NamedTuple):
    name: str


ZONES = ("global", "prod.global", "deep.prod.global", "example")

LONGEST = {
    # name: its zone without and with a zone for the root
    "global": ("global", "global"),
    "a.global": ("global", "global"),
    "prod.global": ("prod.global", "prod.global"),
    "a.b.prod.global": ("prod.global", "prod.global"),
    "deep.prod.global": ("deep.prod.global", "deep.prod.global"),
    "notprod.global": ("global", "global"),
    "xglobal": (None, ""),
    "global.com": (None, ""),
    "": (None, ""),
}


@pytest.mark.parametrize("name", LONGEST)
def test_a_name_is_in_the_longest_zone(name: str) -> None:
    """By whole labels, in text and on the wire, whatever the order of the zones."""
    for index, more in enumerate(((), ("",))):
        for zones in ((*ZONES, *more), (*more, *reversed(ZONES))):
            found = names.longest_zone(name, [_Zone(zone) for zone in zones])
            assert (found.name if found is not None else None) == LONGEST[name][index]
            by_wire = names.ZoneMap({names.to_wire(zone): (zone,) for zone in zones}).find(names.to_wire(name))
            assert (by_wire[0] if by_wire is not None else None) == LONGEST[name][index]


def test_a_map_of_few_zones() -> None:
    """The root alone takes every name, no zone none, and a value may be false."""
    assert names.ZoneMap({names.ROOT: 0}).find(names.to_wire("a.b")) == 0
    assert names.ZoneMap({names.to_wire("b"): 0, names.ROOT: 1}).find(names.to_wire("a.b")) == 0
    assert names.ZoneMap[int]({}).find(names.to_wire("a.b")) is None
