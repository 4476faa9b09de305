"""Which connection of a full listener gives way."""

import pytest

from meshdns.instance.connections import (
    BACKLOG,
    MAX_CONNECTIONS,
    MAX_PER_CLIENT,
    ConnectionLimits,
    ConnectionTable,
    client_key,
)


def _table(total: int = 3, per_client: int = 3) -> ConnectionTable[str]:
    return ConnectionTable(ConnectionLimits(total, per_client))


def test_oldest_idle_connection_gives_way() -> None:
    """One whose request is complete stays, however old it is."""
    table = _table()
    assert [table.add(each, each) for each in "abc"] == [None, None, None]
    table.set_idle("a", idle=False)
    assert table.add("d", "d") == "b"
    assert table.add("e", "e") == "c"
    assert len(table) == 3


def test_new_connection_ends_if_none_is_idle() -> None:
    """Nothing that is being answered is cut for it."""
    table = _table()
    for each in "abc":
        table.add(each, each)
        table.set_idle(each, idle=False)
    assert table.add("d", "d") == "d"
    assert len(table) == 3


def test_one_client_takes_no_other_clients_place() -> None:
    """A client over its limit loses its own oldest idle connection."""
    table = _table(total=9, per_client=2)
    for each in ("other", "first", "second"):
        table.add(each, "x" if each != "other" else "y")
    assert table.add("third", "x") == "first"
    assert table.add("fourth", "x") == "second"
    assert table.add("other too", "y") is None


def test_place_is_free_again_once() -> None:
    """A connection that has ended counts no more, and ends once."""
    table = _table(total=1)
    table.add("a", "x")
    table.remove("a")
    table.remove("a")
    table.set_idle("a", idle=True)
    assert len(table) == 0
    assert table.add("b", "x") is None


def test_connection_that_waits_again_is_the_youngest() -> None:
    """A kept connection is idle from its reply on, not from its beginning."""
    table = _table()
    for each in "abc":
        table.add(each, each)
    table.set_idle("a", idle=False)
    table.set_idle("a", idle=True)
    assert table.add("d", "d") == "b"


def test_burst_ends_no_connection_before_it_is_read() -> None:
    """So many are accepted in one round of the event loop that none of the round before gives way."""
    assert 2 * BACKLOG <= MAX_PER_CLIENT <= MAX_CONNECTIONS / 2


@pytest.mark.parametrize(
    ("address", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("192.0.2.1", "::ffff:192.0.2.1", True),
        ("2001:db8::1", "2001:db8::2", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("fe80::1%eth0", "fe80::2", True),
        ("", "192.0.2.1", False),
    ],
    ids=["same", "another", "mapped", "one network", "other network", "link", "none"],
)
def test_clients_are_told_apart(address: str, other: str, *, same: bool) -> None:
    """By IPv4 address, and by the /64 that one host of IPv6 may have."""
    assert (client_key(address) == client_key(other)) is same
