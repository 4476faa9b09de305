"""The rows of the name database: what is encoded when the mesh changes is what a worker reads."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshdns.authority import state
from meshdns.authority.row import Row, rotate_section
from meshdns.authority.row_format import RowStatus, encode_row
from meshdns.authority.state import NamedbState
from meshdns.dns.codes import TYPE_A, TYPE_AAAA
from meshdns.dns.response import record

IPV4 = st.lists(st.binary(min_size=4, max_size=4), min_size=1, max_size=15, unique=True)
IPV6 = st.lists(st.binary(min_size=16, max_size=16), min_size=1, max_size=15, unique=True)


@given(
    status=st.sampled_from(RowStatus),
    rrsets=st.fixed_dictionaries({}, optional={TYPE_A: IPV4, TYPE_AAAA: IPV6}),
    ttl=st.integers(0, 86400),
    clusters=st.sets(st.integers(0, 65535), max_size=20),
    static=st.booleans(),
)
def test_a_row_reads_back(
    *, status: RowStatus, rrsets: dict[int, list[bytes]], ttl: int, clusters: set[int], static: bool
) -> None:
    """Status, clusters and each RRset's records come back as they were given."""
    found = Row(encode_row(status, rrsets, ttl=ttl, clusters=tuple(clusters), static=static))
    assert (found.status, found.static, found.clusters) == (status, static, sorted(clusters))
    assert {rtype: (section.count, section.wire) for rtype, section in found.rrsets.items()} == {
        rtype: (len(rdatas), b"".join(record(rtype, ttl, rdata) for rdata in rdatas))
        for rtype, rdatas in rrsets.items()
    }


@pytest.mark.parametrize("count", [1, 2, 3, 15])
def test_rotation_is_a_cycle(count: int) -> None:
    """Each spin begins with the next record, the order stays, and any number is a spin."""
    rdatas = [bytes((192, 0, 2, i)) for i in range(count)]
    section = Row(encode_row(RowStatus.DATA, {TYPE_A: rdatas}, ttl=30)).rrsets[TYPE_A]
    for spin in range(256):
        begin = spin % count
        expected = b"".join(record(TYPE_A, 30, rdata) for rdata in rdatas[begin:] + rdatas[:begin])
        assert rotate_section(section, spin).wire == expected


def test_the_state_reads_back() -> None:
    """What holds for the whole name database survives being written."""
    value = NamedbState(ready=True, complete=True, clusters=("east", "wést"), stale=(1,), wildcards=True)
    assert state.decode_state(state.encode_state(value)) == value
