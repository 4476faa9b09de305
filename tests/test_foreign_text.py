"""Text of foreign values is made by `meshdns.mesh.objects.foreign` alone, in every module that reads such values.

The source of the border modules holds no other way to make text of any value (`text_makers`), and no reader makes text
of a container, wherever in an object one stands.
"""

import ast
import copy
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest

from meshdns.mesh.objects.declarations import ObjectKind
from meshdns.mesh.objects.parse import parse_object
from meshdns.sources.auth.kubeconfig import Kubeconfig
from meshdns.sources.settings import SourceError

PACKAGE = Path(__file__).parents[1] / "meshdns"
READERS = ("istio", "kubernetes", "labels", "parse", "raw")
BORDERS = [
    *(PACKAGE / "mesh" / "objects" / f"{name}.py" for name in READERS),
    *sorted((PACKAGE / "sources").glob("*.py")),
    *sorted((PACKAGE / "sources" / "auth").glob("*.py")),
    *sorted((PACKAGE / "sources" / "folder").glob("*.py")),
]
MAKERS = frozenset({"str", "repr", "ascii", "format"})


def text_makers(source: str) -> list[int]:
    """Return the lines that make text of a value other than by an f-string of text.

    Forbidden are a call of `str`, `repr`, `ascii` or `format`, these names as arguments (``map(str, …)``), the
    conversions ``!r``, ``!s`` and ``!a``, the method ``format``, and ``%`` behind text.
    """
    tree = ast.parse(source)
    found = set()
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id=name)) if name in MAKERS:
                found.add(node.lineno)
            case ast.Call(func=ast.Attribute(attr="format" | "format_map" | "__str__" | "__repr__")):
                found.add(node.lineno)
            case ast.FormattedValue(conversion=conversion) if conversion != -1:
                found.add(node.lineno)
            case ast.BinOp(left=ast.Constant(value=str()) | ast.JoinedStr(), op=ast.Mod()):
                found.add(node.lineno)
        if isinstance(node, ast.Call) and not (isinstance(node.func, ast.Name) and node.func.id == "isinstance"):
            found |= {each.lineno for each in node.args if isinstance(each, ast.Name) and each.id in MAKERS}
    return sorted(found)


@pytest.mark.parametrize("module", BORDERS, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_border_modules_make_no_text_of_foreign_values_themselves(module: Path) -> None:
    """A value may be a list of a million others: `shown`, `bounded_text` and `listed` alone make text of it."""
    assert text_makers(module.read_text("utf-8")) == []


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        ("f'{value!r}'", [1]),
        ("f'{value!s}'", [1]),
        ("str(value)[:80]", [1]),
        ("x = repr(value)", [1]),
        ("map(str, values)", [1]),
        ("'{}'.format(value)", [1]),
        ("format(value, 'x')", [1]),
        ("'%s' % value", [1]),
        ("log.info('%s', value)", []),
        ("isinstance(value, str)", []),
        ("def f(value: str) -> str: ...", []),
        ("f'{shown(value)} is unknown'", []),
        ("a % b", []),
    ],
)
def test_ways_to_make_text_are_found(source: str, lines: list[int]) -> None:
    """By call, by reference, by conversion; annotations and type tests are none."""
    assert text_makers(source) == lines


class TextMadeError(BaseException):
    """Text was made of a container. No border catches it."""


def _made(*_: object) -> NoReturn:
    raise TextMadeError


UntouchableDict = type("UntouchableDict", (dict,), {"__str__": _made, "__repr__": _made, "__format__": _made})
UntouchableList = type("UntouchableList", (list,), {"__str__": _made, "__repr__": _made, "__format__": _made})

OBJECTS: dict[ObjectKind, dict[str, Any]] = {
    ObjectKind.SERVICE_ENTRY: {
        "spec": {
            "hosts": ["a.global"],
            "addresses": ["192.0.2.1"],
            "ports": [{"number": 80, "name": "http", "protocol": "HTTP", "targetPort": 8080}],
            "location": "MESH_INTERNAL",
            "resolution": "STATIC",
            "endpoints": [{"address": "192.0.2.2", "ports": {"http": 80}, "labels": {"a": "b"}, "network": "n"}],
            "exportTo": ["*"],
            "workloadSelector": {"labels": {"a": "b"}},
        },
        "status": {"addresses": [{"value": "240.0.0.1", "host": "a.global"}]},
    },
    ObjectKind.WORKLOAD_ENTRY: {"spec": {"address": "192.0.2.1", "ports": {"http": 80}, "labels": {}, "network": "n"}},
    ObjectKind.SERVICE: {
        "spec": {
            "type": "LoadBalancer",
            "clusterIP": "192.0.2.1",
            "clusterIPs": ["192.0.2.1"],
            "externalIPs": ["192.0.2.9"],
            "ports": [{"port": 80, "name": "http", "protocol": "TCP", "targetPort": 80, "nodePort": 30000}],
        },
        "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1", "hostname": "h.example"}]}},
    },
    ObjectKind.ENDPOINT_SLICE: {
        "endpoints": [{"addresses": ["192.0.2.1"], "conditions": {"ready": True}, "hostname": "h"}],
        "ports": [{"port": 80, "name": "http", "protocol": "TCP"}],
    },
    ObjectKind.NAMESPACE: {},
    ObjectKind.GATEWAY: {
        "spec": {
            "gatewayClassName": "istio",
            "addresses": [{"type": "IPAddress", "value": "192.0.2.1"}],
            "listeners": [
                {"port": 1, "protocol": "TLS", "hostname": "h", "tls": {"mode": "Passthrough", "options": {"a": "b"}}}
            ],
        },
        "status": {"addresses": [{"type": "Hostname", "value": "h.example"}]},
    },
    ObjectKind.ISTIO_GATEWAY: {
        "spec": {
            "selector": {"istio": "eastwest"},
            "servers": [{"port": {"number": 15443}, "hosts": ["*.local"], "tls": {"mode": "AUTO_PASSTHROUGH"}}],
        }
    },
    ObjectKind.NODE: {"status": {"addresses": [{"type": "ExternalIP", "address": "192.0.2.1"}]}},
    ObjectKind.POD: {
        "spec": {"hostname": "h"},
        "status": {"podIPs": [{"ip": "192.0.2.1"}], "conditions": [{"type": "Ready", "status": "True"}]},
    },
}
KUBECONFIG: dict[str, Any] = {
    "current-context": "c",
    "clusters": [
        {
            "name": "a",
            "cluster": {
                "server": "https://192.0.2.1",
                "tls-server-name": "n",
                "proxy-url": "http://192.0.2.2",
                "certificate-authority-data": "QUJD",
                "insecure-skip-tls-verify": False,
            },
        }
    ],
    "users": [
        {
            "name": "u",
            "user": {
                "token": "t",
                "username": "n",
                "password": "p",
                "client-certificate-data": "QUJD",
                "client-key-data": "QUJD",
                "exec": {"command": "x", "args": ["y"], "env": [{"name": "n", "value": "v"}], "installHint": "h"},
            },
        }
    ],
    "contexts": [{"name": "c", "context": {"cluster": "a", "user": "u"}}],
}


def places(value: object) -> Iterator[tuple[str | int, ...]]:
    """The paths of all parts of a value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in items:
        yield (key,)
        yield from ((key, *rest) for rest in places(child))


def with_containers(value: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The value with a container of which no text can be made in place of each part in turn."""
    for path in places(value):
        for container in (UntouchableDict({"a": 1}), UntouchableList([1])):
            changed = copy.deepcopy(value)
            parent: Any = changed
            for step in path[:-1]:
                parent = parent[step]
            parent[path[-1]] = container
            yield changed


@pytest.mark.parametrize("kind", ObjectKind, ids=lambda kind: kind.value)
def test_no_reader_makes_text_of_a_container(kind: ObjectKind) -> None:
    """Wherever one stands in an object of the kind."""
    annotations = {"meshdns.io/ttl": "5", "meshdns.io/answer": "vip", "traffic.istio.io/nodeSelector": "{}"}
    metadata = {"name": "n", "namespace": "ns", "labels": {"a": "b"}, "annotations": annotations, "uid": "u"}
    for obj in with_containers({"metadata": metadata, **OBJECTS[kind]}):
        parse_object(kind, obj)


@pytest.mark.parametrize("read", ["context", "single", "secret"])
def test_no_kubeconfig_makes_text_of_a_container(read: str) -> None:
    """Wherever one stands in it."""
    readers: dict[str, Callable[[Kubeconfig], object]] = {
        "context": lambda config: config.context_config(config.current_context()),
        "single": lambda config: config.single_cluster(trusted=True),
        "secret": lambda config: config.single_cluster(trusted=False),
    }
    refused = 0
    for value in with_containers(KUBECONFIG):
        try:
            readers[read](Kubeconfig("k", [(Path("/k"), value)]))
        except SourceError:
            refused += 1
    assert refused


def test_yaml_is_read_by_readers_with_a_budget_alone() -> None:
    """Of documents, and of the settings; the reference reads the example that it is made of. Others only write."""
    texts = {path.relative_to(PACKAGE).as_posix(): path.read_text("utf-8") for path in PACKAGE.rglob("*.py")}
    readers = {path for path, text in texts.items() if re.search(r"\byaml\.(?!safe_dump|org)[A-Za-z]", text)}
    assert readers == {"config/document.py", "config/reference.py", "sources/documents.py"}
    assert not [path for path, text in texts.items() if "from yaml import" in text]
