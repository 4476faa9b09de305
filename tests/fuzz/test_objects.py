"""Objects in which any field is anything: nothing raises outside its border, and nothing stays behind."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from meshdns.mesh.objects.declarations import ObjectKind
from tests.fuzz.object_target import Objects, fields_of, replaced, small_objects
from tests.maxima.objects import OTHER, OWN

TARGET = Objects()
TEXTS = st.sampled_from(
    [
        "",
        " ",
        "*",
        "*.global",
        "global",
        "a.p.global",
        "café.global",
        "x" * 300,
        "a." * 130,
        "-",
        ".",
        "/",
        "a/b",
        "10.0.0.1",
        "::ffff:127.0.0.1",
        "fe80::1%eth0",
        "10.0.0.0/8",
        "None",
        "\0",
        "\x1b[2J",
        "\n",
        "١٢",
        "15443",
        "99999",
        "a.p.svc.cluster.local",
        "net-west",
        "{}",
        "[" * 3000,
        "\ud800",
        "unix:///\udfff",
        "a,b,,c",
    ]
)
SCALARS = st.one_of(TEXTS, st.text(max_size=12), st.none(), st.booleans(), st.integers(), st.floats(), st.just(10**400))
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3), max_leaves=6
)


@st.composite
def odd_objects(draw: st.DrawFn) -> tuple[ObjectKind, Any]:
    """An object of some kind in which some of its fields were replaced or repeated."""
    kind = draw(st.sampled_from(list(ObjectKind)))
    found: Any = small_objects()[kind]
    for _ in range(draw(st.integers(1, 4))):
        paths = list(fields_of(found))
        if not paths:
            break
        path = draw(st.sampled_from(paths))
        value = draw(VALUES)
        times = draw(st.sampled_from([0, 0, 0, 2, 300]))
        found = replaced(found, path, lambda old: [old] * times if times else value)  # noqa: B023 — called at once
    return kind, found


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@pytest.mark.slow
@given(odd_objects(), st.sampled_from([OWN, OTHER]))
def test_an_odd_object_costs_only_itself(odd: tuple[ObjectKind, Any], cluster: str) -> None:
    """Each of its values is of any type and length."""
    kind, obj = odd
    TARGET.take(kind, obj, cluster)
