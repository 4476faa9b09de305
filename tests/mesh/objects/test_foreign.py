"""Text about foreign values."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshdns.mesh.objects.foreign import MAX_SHOWN, MAX_TEXT, bounded_text, counted, listed, shown

_SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()
_VALUES = st.recursive(_SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=10)


@given(_VALUES)
def test_any_value_is_shown_in_one_bounded_line(value: object) -> None:
    """Of any type and size."""
    text = shown(value)
    assert len(text) <= MAX_SHOWN
    assert text.isprintable()


@given(st.text(alphabet=st.characters(), max_size=1000))
def test_any_text_is_bounded_and_printable(text: str) -> None:
    """Lone surrogates and controls are escaped."""
    line = bounded_text(text)
    assert len(line) <= MAX_TEXT
    assert line.isprintable()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a", "'a'"),
        ("a" * 100, "'" + "a" * 77 + "…'"),
        ("\x1b[31m", r"'\x1b[31m'"),
        (True, "True"),
        (1.5, "1.5"),
        (1 << 400_000, "a number of 400001 bits"),
        ({"a": 1}, "a mapping of 1 key"),
        ([1, 2], "a list of 2 items"),
    ],
    ids=["text", "long", "escape", "boolean", "float", "huge", "mapping", "list"],
)
def test_value_is_shown_as_people_write_it(value: object, text: str) -> None:
    """A scalar as it is written, a container by its size."""
    assert shown(value) == text


def test_nothing_is_made_of_what_a_container_holds() -> None:
    """A container of aliases would fill the memory with text."""
    nested: list[object] = []
    for _ in range(60):
        nested = [nested, nested]  # 2 ** 60 items as text
    assert shown(nested) == "a list of 2 items"


def test_text_is_cut_and_escaped() -> None:
    """The text fits one line of a log and of a terminal."""
    assert bounded_text("a\n b\x1b") == r"a b\x1b"
    assert bounded_text("b" * 201) == "b" * 199 + "…"
    assert bounded_text("c" * 10_000_000) == "c" * 199 + "…"


def test_five_items_are_named_and_the_rest_counted() -> None:
    """A list has any length."""
    assert listed("abc") == "a, b, c"
    assert listed("abcdefg") == "a, b, c, d, e and 2 more"


def test_a_number_agrees_with_what_is_counted() -> None:
    """One of a thing has its own form, none and many the other one."""
    assert [counted(number, "host") for number in (0, 1, 2)] == ["0 hosts", "1 host", "2 hosts"]
    assert [counted(number, "query was", "queries were") for number in (1, 3)] == ["1 query was", "3 queries were"]
