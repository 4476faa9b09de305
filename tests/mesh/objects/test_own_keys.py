"""The keys ``meshdns.io/…``: as label or annotation, misspelt, contradicting each other, and on the wrong objects."""

from typing import Any

import pytest

from meshdns.mesh.objects.declarations import AnyDeclaration, ObjectKind, Service, ServiceEntry
from meshdns.mesh.objects.parse import parse_object
from meshdns.mesh.objects.problems import ProblemKind

EXPORT = "meshdns.io/export"
TRUE = ["true", "True", "TRUE", "yes", "Yes", "y", "on", "ON", "1", "t", " true "]
FALSE = ["false", "False", "FALSE", "no", "No", "n", "off", "OFF", "0", "f", " false "]
UNKNOWN = ["", "fasle", "2", "enabled", "null", "~", "true,false"]


def read(kind: ObjectKind, **metadata: Any) -> AnyDeclaration:
    """An object of `kind` with these labels and annotations."""
    spec = {"address": "192.0.2.1"} if kind is ObjectKind.WORKLOAD_ENTRY else {"hosts": ["a.global"]}
    found = parse_object(kind, {"metadata": {"name": "a", "namespace": "n", **metadata}, "spec": spec})
    assert found is not None
    return found


def exported(declaration: AnyDeclaration) -> bool | None:
    """Whether it is exported by its own key; None where that says nothing."""
    if isinstance(declaration, ServiceEntry):
        return False if declaration.hidden else None
    assert isinstance(declaration, Service)
    return {"true": True, "false": False, None: None}[dict(declaration.labels).get(EXPORT)]


def fields(declaration: AnyDeclaration) -> list[str]:
    """The fields that its problems name."""
    assert all(problem.reason and problem.advice for problem in declaration.problems)
    return [problem.field for problem in declaration.problems]


@pytest.mark.parametrize("place", ["labels", "annotations"])
@pytest.mark.parametrize("text", [*TRUE, *FALSE])
def test_a_service_is_exported_by_any_word_for_it(place: str, text: str) -> None:
    """As Kubernetes and both versions of YAML write truth values, in any case."""
    found = read(ObjectKind.SERVICE, **{place: {EXPORT: text}})
    assert (exported(found), fields(found)) == (text in TRUE, [])


@pytest.mark.parametrize("place", ["labels", "annotations"])
@pytest.mark.parametrize("kind", [ObjectKind.SERVICE, ObjectKind.SERVICE_ENTRY])
@pytest.mark.parametrize("value", [*UNKNOWN, [], {}, ["true"], 7, 1.5])
def test_what_is_neither_true_nor_false_hides(place: str, kind: ObjectKind, value: object) -> None:
    """A mistake must not publish; a problem says so."""
    found = read(kind, **{place: {EXPORT: value}})
    assert exported(found) is False
    assert f"metadata.{place}.{EXPORT}" in fields(found)


@pytest.mark.parametrize("value", [False, 0])
def test_an_unquoted_false_hides_and_is_a_problem(value: object) -> None:
    """Kubernetes refuses it, a file may hold it."""
    found = read(ObjectKind.SERVICE, labels={EXPORT: value})
    assert (exported(found), fields(found)) == (False, [f"metadata.labels.{EXPORT}"])
    assert found.problems[0].advice.startswith("quote it")


@pytest.mark.parametrize("metadata", [{}, {"labels": {EXPORT: None}}, {"labels": None, "annotations": None}])
def test_null_is_absence(metadata: dict[str, Any]) -> None:
    """It says nothing, and nothing is wrong."""
    found = read(ObjectKind.SERVICE, **metadata)
    assert (exported(found), found.problems) == (None, ())


@pytest.mark.parametrize("labels", [[], "x", 7, True])
def test_labels_that_are_no_mapping_hide(labels: object) -> None:
    """Among them may be the one that hides."""
    for kind in (ObjectKind.SERVICE, ObjectKind.SERVICE_ENTRY):
        for place in ("labels", "annotations"):
            found = read(kind, **{place: labels})
            assert (exported(found), fields(found)) == (False, [f"metadata.{place}"])


@pytest.mark.parametrize("key", ["topology.istio.io/network", "istio", "networking.istio.io/gatewayPort"])
def test_a_service_whose_gateway_labels_cannot_be_read_has_no_names(key: str) -> None:
    """Gateways have none."""
    assert exported(read(ObjectKind.SERVICE, labels={key: ["x"]})) is False


@pytest.mark.parametrize("kind", [ObjectKind.SERVICE, ObjectKind.SERVICE_ENTRY])
@pytest.mark.parametrize(("label", "annotation"), [("true", "false"), ("off", "yes"), ("maybe", "true")])
def test_of_two_that_differ_the_one_that_hides_counts(kind: ObjectKind, label: str, annotation: str) -> None:
    """A problem says so."""
    found = read(kind, labels={EXPORT: label}, annotations={EXPORT: annotation})
    assert exported(found) is False
    assert [each.kind for each in found.problems if each.kind is ProblemKind.CONFLICT] == [ProblemKind.CONFLICT]


def test_two_that_say_the_same_are_no_conflict() -> None:
    """Spelling does not count."""
    found = read(ObjectKind.SERVICE, labels={EXPORT: "no"}, annotations={EXPORT: "FALSE"})
    assert (exported(found), found.problems) == (False, ())


TTL, ANSWER = "meshdns.io/ttl", "meshdns.io/answer"
DIFFERENT: dict[str, tuple[dict[str, Any], dict[str, Any], int, str, list[str]]] = {
    # labels, annotations, ttl, answer, problems
    "labels alone": ({TTL: "60", ANSWER: "vip"}, {}, 60, "vip", []),
    "both alike": ({TTL: "60"}, {TTL: "060"}, 60, "", []),
    "they differ": (
        {TTL: "60", ANSWER: "vip"},
        {TTL: "5", ANSWER: "gateway"},
        5,
        "gateway",
        [f"metadata.labels.{ANSWER}", f"metadata.labels.{TTL}"],
    ),
    "the annotation is ignored": (
        {TTL: "60", ANSWER: "vip"},
        {TTL: "1h", ANSWER: "VIP"},
        60,
        "vip",
        [f"metadata.annotations.{ANSWER}", f"metadata.annotations.{TTL}"],
    ),
    "an unquoted number": ({}, {TTL: 60}, 60, "", [f"metadata.annotations.{TTL}"]),
}


@pytest.mark.parametrize("case", DIFFERENT)
def test_ttl_and_answer_are_labels_or_annotations(case: str) -> None:
    """The annotation counts where both can be read."""
    labels, annotations, ttl, answer, named = DIFFERENT[case]
    found = read(ObjectKind.SERVICE_ENTRY, labels=labels, annotations=annotations)
    assert isinstance(found, ServiceEntry)
    assert (found.ttl, found.answer, sorted(fields(found))) == (ttl, answer, named)


HINTS = {
    "meshdns.io/exprot": "write meshdns.io/export",
    "meshdns.io/Export": "write meshdns.io/export",
    "Meshdns.io/export": "write meshdns.io/export",
    "meshdns.io/tll": "write meshdns.io/ttl",
    "meshdns.io/anwser": "write meshdns.io/answer",
    "meshdns.io/": "delete it; known are meshdns.io/answer, meshdns.io/export, meshdns.io/ttl",
    "meshdns.io/zone": "delete it; known are meshdns.io/answer, meshdns.io/export, meshdns.io/ttl",
    "meshdns.io/" + "x" * 10_000: "delete it; known are meshdns.io/answer, meshdns.io/export, meshdns.io/ttl",
}


@pytest.mark.parametrize("place", ["labels", "annotations"])
@pytest.mark.parametrize("key", HINTS, ids=lambda key: key[:20])
def test_an_unknown_key_is_named_with_the_one_that_is_near(place: str, key: str) -> None:
    """It does nothing by itself."""
    found = read(ObjectKind.SERVICE_ENTRY, **{place: {key: "false"}})
    assert [problem.advice for problem in found.problems] == [HINTS[key]]
    assert exported(found) is None


@pytest.mark.parametrize("key", ["app.meshdns.io/export", "meshdns.example/export", "xmeshdns.io/export"])
def test_keys_of_others_are_left_alone(key: str) -> None:
    """Only our own prefix is ours."""
    assert read(ObjectKind.SERVICE_ENTRY, labels={key: "x"}).problems == ()


@pytest.mark.parametrize(
    ("kind", "key"),
    [
        (ObjectKind.SERVICE, TTL),
        (ObjectKind.SERVICE, ANSWER),
        (ObjectKind.WORKLOAD_ENTRY, EXPORT),
        (ObjectKind.NAMESPACE, EXPORT),
        (ObjectKind.POD, TTL),
    ],
)
def test_a_key_on_an_object_where_it_does_nothing_is_a_problem(kind: ObjectKind, key: str) -> None:
    """It was set on the wrong object."""
    assert [problem.reason for problem in read(kind, labels={key: "60"}).problems] == [
        f"does nothing on a {kind.value}"
    ]
