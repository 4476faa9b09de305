"""What is stored and printed of one object's faults is bounded, however large the object is and whatever it holds."""

from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

from meshdns.controller.problem_index import problems_of
from meshdns.mesh.objects.declarations import ObjectKind
from meshdns.mesh.objects.parse import parse_object
from meshdns.mesh.objects.problems import (
    MAX_PROBLEMS,
    DatedProblem,
    Problem,
    ProblemKind,
    first_problems,
)
from meshdns.mesh.settings import MeshSettings, MeshZone

ETCD_LIMIT = 1_500_000  # bytes of one object
STORED = 128 * 1024  # bytes of one object's problems, as they are stored and as an admin reply holds them
SETTINGS = MeshSettings(zones=(MeshZone("global"),))
LONG = "x" * 250_000


def fill(item: Callable[[int], object]) -> list[object]:
    """As many items as an object in etcd can hold."""
    size = len(msgspec.json.encode(item(10_000_000))) + 1
    return [item(at) for at in range(ETCD_LIMIT // size)]


def entry(spec: dict[str, Any], annotations: dict[str, str] | None = None) -> tuple[ObjectKind, dict[str, Any]]:
    """A ServiceEntry."""
    metadata = {"name": "reviews", "namespace": "prod", "annotations": annotations or {}}
    return ObjectKind.SERVICE_ENTRY, {"metadata": metadata, "spec": {"hosts": ["a.global"], **spec}}


def other(kind: ObjectKind, **parts: object) -> tuple[ObjectKind, dict[str, Any]]:
    """An object of another kind."""
    return kind, {"metadata": {"name": "reviews", "namespace": "prod"}, **parts}


WORST: dict[str, tuple[ObjectKind, dict[str, Any]]] = {
    "an annotation of 250 kB": entry({}, {"meshdns.io/ttl": LONG, "meshdns.io/answer": LONG}),
    "ports without numbers": entry({"ports": fill(lambda _: {})}),
    "hosts that are no names": entry({"hosts": fill(lambda at: f"a..{at}")}),
    "hosts outside of all zones": entry({"hosts": fill(lambda at: f"h{at}.example")}),
    "hosts of 200 kB": entry({"hosts": [f"{at}{LONG}" for at in range(6)]}),
    "hosts that are lists": entry({"hosts": [fill(lambda _: 1)] * 3}),
    "hosts that are numbers": entry({"hosts": [10**4000, 1.5, True, None, {}]}),
    "addresses that are none": entry({"addresses": fill(lambda at: f"a{at}")}),
    "endpoints that are none": entry({"endpoints": fill(lambda _: 7)}),
    "endpoints of loopback": entry({"endpoints": fill(lambda _: {"address": "127.0.0.1"}), "resolution": "STATIC"}),
    "sockets of 200 kB": entry({"endpoints": [{"address": f"unix:{LONG}"}] * 6, "resolution": "NONE"}),
    "keys of 200 kB": entry({"endpoints": [{"address": "1.2.3.4", "ports": {f"{at}{LONG}": 0}} for at in range(6)]}),
    "a resolution that is a list": entry({"resolution": fill(lambda _: "x")}),
    "exports that are none": entry({"exportTo": fill(lambda _: 7)}),
    "a name of 250 kB": (ObjectKind.SERVICE_ENTRY, {"metadata": {"name": LONG, "namespace": LONG}, "spec": 7}),
    "text that cannot be printed": entry({"hosts": ["\x1b[2J" * 50_000, "\u202e" * 9, "\n" * 9]}),
    "external addresses": other(ObjectKind.SERVICE, spec={"externalIPs": fill(lambda at: f"x{at}")}),
    "ports of a Service": other(ObjectKind.SERVICE, spec={"ports": fill(lambda _: {})}),
    "addresses of a balancer": other(ObjectKind.SERVICE, status={"loadBalancer": {"ingress": fill(lambda _: {})}}),
    "listeners": other(ObjectKind.GATEWAY, spec={"listeners": fill(lambda _: {})}),
    "addresses of a gateway": other(ObjectKind.GATEWAY, status={"addresses": fill(lambda at: {"value": f"a..{at}"})}),
    "servers": other(ObjectKind.ISTIO_GATEWAY, spec={"servers": fill(lambda _: {})}),
    "hosts of a server": other(
        ObjectKind.ISTIO_GATEWAY, spec={"servers": [{"port": {"number": 443}, "hosts": fill(lambda at: f"a..{at}")}]}
    ),
    "a workload": other(ObjectKind.WORKLOAD_ENTRY, spec={"address": {"a": LONG}, "ports": {LONG: LONG}}),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", WORST)
def test_the_worst_object_of_each_list_has_few_problems_of_bounded_length(name: str) -> None:
    """At the size that etcd takes: at most so many problems and bytes, with the longest places in files too."""
    kind, obj = WORST[name]
    declaration = parse_object(kind, obj)
    assert declaration is not None
    problems = list(problems_of("east", declaration, SETTINGS))
    assert problems
    assert len(problems) <= MAX_PROBLEMS + 2
    assert all(each.advice and each.reason for each in problems)
    placed = [msgspec.structs.replace(each, where="/" * 5000) for each in problems]
    assert len(msgspec.json.encode(placed)) <= STORED


def test_what_is_not_listed_is_counted() -> None:
    """The first ones are named, the rest by its number."""
    kind, obj = entry({"ports": [{}] * 200})
    declaration = parse_object(kind, obj)
    assert declaration is not None
    *listed, rest = declaration.problems
    assert [each.field for each in listed] == [f"spec.ports[{at}]" for at in range(MAX_PROBLEMS)]
    assert (rest.kind, rest.field, rest.reason) == (
        ProblemKind.MALFORMED,
        "",
        "has more problems, not listed: 150",
    )


def test_the_rest_is_as_urgent_as_the_most_urgent_of_it() -> None:
    """What is expected hides no error."""
    kinds = [ProblemKind.OUTSIDE_ZONES] * 3 + [ProblemKind.UNREACHABLE, ProblemKind.OUTSIDE_ZONES]
    found = first_problems((Problem(kind, "ServiceEntry", "prod", "reviews", "", "is so") for kind in kinds), 2)
    assert [each.kind for each in found] == [*kinds[:2], ProblemKind.UNREACHABLE]
    assert first_problems(found, 3) == found


def texts(problem: Problem) -> Iterator[str]:
    """All texts of a problem."""
    yield from (getattr(problem, field) for field in problem.__struct_fields__ if field not in ("kind", "since"))


@pytest.mark.parametrize("made", [Problem, DatedProblem])
@pytest.mark.parametrize("text", [LONG, "\ud800" * 3, "\x1b[31m", "a\nb", "\u202eevil"])
def test_no_problem_holds_text_that_is_long_or_cannot_be_printed(made: type[Problem], text: str) -> None:
    """It cannot be made: neither by its constructor nor by a copy, nor by reading what an earlier version stored."""
    problem = made(ProblemKind.CONFLICT, text, text, text, text, text, text, text, text)
    copied = msgspec.structs.replace(problem, reason=text)
    stored = {field: text for field in Problem.__struct_fields__ if field != "kind"} if text.isascii() else {}
    read = msgspec.json.decode(
        msgspec.json.encode(
            {"kind": "conflict", "object": "", "namespace": "", "name": "", "field": "", "reason": ""} | stored
        ),
        type=made,
    )
    for each in (problem, copied, read):
        assert all(len(part) <= 1024 and part.isprintable() for part in texts(each))
        assert len(msgspec.json.encode(each)) < 5000
