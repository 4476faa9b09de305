"""Every form in which people keep manifests: what is read of it, and what is said of what is not."""

import gzip
from pathlib import Path

import pytest

from meshdns.mesh.objects.declarations import ServiceEntry
from meshdns.mesh.objects.problems import Severity
from meshdns.sources.folder.source import load_folder


def entry(name: str, *, end: str = "\n") -> str:
    """A ServiceEntry for <name>.global as a document of six lines."""
    lines = [
        "apiVersion: networking.istio.io/v1",
        "kind: ServiceEntry",
        f"metadata: {{name: {name}, namespace: shop}}",
        "spec:",
        f"  hosts: [{name}.global]",
        "  endpoints: [{address: 192.0.2.1}]",
    ]
    return end.join([*lines, ""])


def json_entry(name: str) -> str:
    """The same as JSON on one line."""
    return (
        '{"apiVersion": "networking.istio.io/v1", "kind": "ServiceEntry", '
        f'"metadata": {{"name": "{name}"}}, "spec": {{"hosts": ["{name}.global"]}}}}'
    )


ITEM = (
    "{{apiVersion: networking.istio.io/v1, kind: ServiceEntry, metadata: {{name: {0}}}, spec: {{hosts: [{0}.global]}}}}"
)
A, B = (ITEM.format(name) for name in "ab")
TEMPLATE = "seems to be a template that was not rendered"
TYPED_LIST = "apiVersion: networking.istio.io/v1alpha3\nkind: ServiceEntryList\n"
MISTYPED = "kind 'ServiceEntrys' of apiVersion 'networking.istio.io/v1' is not read"
MEANT = "kind ServiceEntry of apiVersion networking.istio.io/v1 seems to be meant"

READ: dict[str, tuple[str, str | bytes, str]] = {
    "lines of Windows": ("f.yaml", entry("a", end="\r\n"), "a"),
    "a suffix in upper case": ("F.YAML", entry("a"), "a"),
    "another suffix": ("F.Yml", entry("a"), "a"),
    "a nested folder": ("apps/shop/f.yaml", entry("a"), "a"),
    "a byte order mark": ("f.yaml", b"\xef\xbb\xbf" + entry("a").encode(), "a"),
    "marks of joined files": ("f.yaml", entry("a") + "---\n\ufeff" + entry("b") + "\ufeff---\n" + entry("c"), "abc"),
    "UTF-16 of little end": ("f.yaml", "\ufeff".encode("utf-16-le") + entry("a").encode("utf-16-le"), "a"),
    "UTF-16 of big end": ("f.yaml", "\ufeff".encode("utf-16-be") + entry("a").encode("utf-16-be"), "a"),
    "UTF-32": ("f.yaml", entry("a").encode("utf-32"), "a"),
    "a directive": ("f.yaml", "%YAML 1.1\n---\n" + entry("a"), "a"),
    "comments between separators": (
        "f.yaml",
        "--- # s\n" + entry("a") + "---\n# none\n---\n\n---  \n" + entry("b") + "...\n",
        "ab",
    ),
    "more dashes": ("f.yaml", "----\n" + entry("a") + "-----  \n" + entry("b"), "ab"),
    "a warning of kubectl in front": ("f.yaml", "Warning: v1 Endpoints is deprecated; use others\n" + entry("a"), "a"),
    "values of tags in other kinds": (
        "f.yaml",
        "apiVersion: v1\nkind: Secret\ndata: {a: !!binary aGk=, b: !Sub '${X}', c: !set {d, e}}\n---\n" + entry("a"),
        "a",
    ),
    "a text of a ConfigMap with separators": (
        "f.yaml",
        "apiVersion: v1\nkind: ConfigMap\ndata:\n  a: |\n    x\n    ---\n    kind: ServiceEntry\n---\n" + entry("a"),
        "a",
    ),
    "JSON lines": ("f.json", json_entry("a") + "\n" + json_entry("b") + "\n", "ab"),
    "JSON one after the other": ("f.json", json_entry("a") + json_entry("b") + "\n\n" + json_entry("c"), "abc"),
    "JSON with tabs": ("f.json", "\t" + json_entry("a").replace(": ", ":\t").replace(", ", ",\n\t"), "a"),
    "JSON that is an array": ("f.json", f"[{json_entry('a')}, [{json_entry('b')}]]", "ab"),
    "YAML that is a list": ("f.yaml", f"- {A}\n- {B}\n", "ab"),
    "a List in a List": ("f.yaml", f"kind: List\nitems:\n- kind: List\n  items: [{A}]\n- {B}\n", "ab"),
    "a typed list": (
        "f.yaml",
        f"{TYPED_LIST}items: [{{metadata: {{name: a}}, spec: {{hosts: [a.global]}}}}]\n",
        "a",
    ),
    "items alone": ("f.json", f'{{"items": [{json_entry("a")}]}}', "a"),
    "a list without items": ("f.yaml", "kind: ServiceEntryList\nitems: null\n---\n" + entry("a"), "a"),
    "a host with a dot at its end": ("f.yaml", entry("a").replace("a.global", "A.Global."), "a"),
}


@pytest.mark.parametrize("form", READ)
def test_a_form_that_people_use_is_read(tmp_path: Path, form: str) -> None:
    """As kubectl reads it, or where kubectl would not; nothing is said of it."""
    name, content, expected = READ[form]
    assert load(tmp_path, {name: content}) == ([f"{each}.global" for each in expected], [])


def test_merge_keys_are_read(tmp_path: Path) -> None:
    """Inside of one document: the own keys win."""
    text = (
        "kind: List\nitems:\n"
        "- kind: ServiceEntry\n  metadata: &m {name: a, namespace: shop}\n"
        "  spec: &s {hosts: [a.global], resolution: STATIC, endpoints: [{address: 192.0.2.7}]}\n"
        "- kind: ServiceEntry\n  metadata: {<<: *m, name: b}\n"
        "  spec: {hosts: [b.global], <<: [{hosts: [x.global]}, *s]}\n"
    )
    (tmp_path / "east").mkdir()
    (tmp_path / "east" / "f.yaml").write_text(text)
    first, second = load_folder(tmp_path).clusters["east"]
    assert isinstance(first, ServiceEntry)
    assert isinstance(second, ServiceEntry)
    assert (second.name, second.namespace, second.hosts) == ("b", "shop", ("b.global",))
    assert second.endpoints == first.endpoints
    assert second.endpoints


SAID: dict[str, tuple[str, str | bytes, str, list[str]]] = {
    "an error behind": (
        "f.yaml",
        entry("a") + "---\na: b: c\n",
        "a",
        ["f.yaml:8 mapping values are not allowed in this context"],
    ),
    "an error between": (
        "f.yaml",
        entry("a") + '---\na: "b\n---\n' + entry("b") + "---\n[\n---\n" + entry("c"),
        "abc",
        ["f.yaml:17 did not find expected node content", "f.yaml:8 found unexpected end of stream"],
    ),
    "an alias to another document": (
        "f.yaml",
        entry("a").replace("endpoints: [", "endpoints: &e [") + "---\n" + entry("b") + "x: *e\n",
        "a",
        ["f.yaml:14 the alias *e has no anchor before it"],
    ),
    "a key that occurs twice": (
        "f.yaml",
        entry("a") + "spec: {}\n---\n" + entry("b"),
        "b",
        ["f.yaml:7 the key 'spec' occurs twice, first on line 4"],
    ),
    "a tab that indents": (
        "f.yaml",
        entry("a").replace("  endpoints", "\tendpoints"),
        "",
        ["f.yaml:6 a tab begins the line; YAML indents with spaces"],
    ),
    "broken JSON between": (
        "f.json",
        json_entry("a") + "\n{,}\n" + json_entry("b"),
        "ab",
        ["f.json:2 did not find expected node content"],
    ),
    "a template": (
        "f.yaml",
        entry("a").replace("name: a", "name: {{ .Release.Name }}-gw"),
        "",
        [f"f.yaml:3 {TEMPLATE}: "],
    ),
    "a template that begins with a condition": (
        "f.yaml",
        "{{- if .Values.gateway }}\n" + entry("a") + "{{- end }}\n---\n" + entry("b"),
        "b",
        [f"f.yaml:1 {TEMPLATE}: a mapping key must be text"],
    ),
    "a template of another language": (
        "f.yaml",
        "{% if gateway %}\n" + entry("a") + "{% endif %}\n---\n" + entry("b"),
        "b",
        [f"f.yaml:1 {TEMPLATE}: "],
    ),
    "templates in several documents": (
        "f.yaml",
        "---\n".join(entry(name).replace(f"name: {name}", f"name: {{{{ .{name} }}}}-gw") for name in "abc")
        + "---\n"
        + entry("d").replace("name: d", "name: 'd-{{ $i }}'")
        + "---\n"
        + entry("e"),
        "e",
        [f"f.yaml:3 {TEMPLATE}, as 3 more documents of the file: "],
    ),
    "a template in a name": (
        "f.yaml",
        entry("a").replace("name: a", "name: 'a-{{ $i }}'").replace("a.global", "'{{ $i }}.global'"),
        "",
        [f"f.yaml:1 {TEMPLATE}: the name of a ServiceEntry holds {{{{"],
    ),
    "a colon before a bracket": (
        "f.yaml",
        entry("a").replace("[{address: 192.0.2.1}]", "[{address: 2001:db8::}]") + "---\n" + entry("b"),
        "b",
        ["f.yaml:6 a value in brackets ends in a colon; quote the value"],
    ),
    "a NUL": (
        "f.yaml",
        entry("a") + "\0\n---\n" + entry("b"),
        "b",
        ["f.yaml:7 control characters are not allowed (U+0000)"],
    ),
    "colours of a terminal": (
        "f.yaml",
        entry("a") + "# \x1b[0m\n",
        "",
        ["f.yaml:7 control characters are not allowed (U+001B)"],
    ),
    "Latin-1": (
        "f.yaml",
        entry("a").encode() + b"# caf\xe9\n",
        "",
        ["f.yaml:7 is not UTF-8: invalid continuation byte 0xE9, which is 'é' in Latin-1"],
    ),
    "UTF-16 without a mark": (
        "f.yaml",
        entry("a").encode("utf-16-le"),
        "",
        ["f.yaml:1 seems to be UTF-16 without a byte order mark"],
    ),
    "half of UTF-16": (
        "f.yaml",
        entry("a").encode("utf-16")[:-1],
        "",
        ["f.yaml:6 is not UTF-16-LE, which its byte order mark says: truncated data"],
    ),
    "gzip": ("f.yaml.gz", gzip.compress(entry("a").encode()), "", ["f.yaml.gz:1 is compressed (gzip), and "]),
    "gzip without its suffix": (
        "f.yaml",
        gzip.compress(entry("a").encode()),
        "",
        ["f.yaml:1 is compressed (gzip), and "],
    ),
    "an empty file": ("f.yaml", "", "", ["f.yaml:1 is empty"]),
    "an error message": (
        "f.yaml",
        "error: the server has no such resource\n",
        "",
        ["f.yaml:1 is no Kubernetes object"],
    ),
    "a word of kubectl": (
        "f.yaml",
        "No resources found in default namespace.\n",
        "",
        ["f.yaml:1 is no Kubernetes object"],
    ),
    "an item that is none": ("f.json", f"[{json_entry('a')}, 7]", "a", ["f.json:1 an item is no object"]),
    "no name": (
        "f.yaml",
        entry("a").replace("name: a, ", "generateName: a-, ") + "---\n" + entry("b").replace("name: b, ", ""),
        "",
        [
            "f.yaml:1 a ServiceEntry has metadata.generateName, and no name before it is created",
            "f.yaml:8 a ServiceEntry has no name",
        ],
    ),
    "a mistyped kind": (
        "f.yaml",
        entry("a") + "---\n" + entry("b").replace("ServiceEntry", "ServiceEntrys"),
        "a",
        [f"f.yaml:8 {MISTYPED}; {MEANT}"],
    ),
    "a mistyped group": (
        "f.yaml",
        entry("a").replace("istio.io/v1", "istio.oi/v1"),
        "",
        ["f.yaml:1 kind 'ServiceEntry' of apiVersion 'networking.istio.oi/v1' is not read; "],
    ),
    "a host of an unknown tag": (
        "f.yaml",
        entry("a").replace("hosts: [a", "hosts: [b.global, !env a"),
        "b",
        ["f.yaml:5 a value of type UnknownTag is "],
    ),
}


@pytest.mark.parametrize("form", SAID)
def test_what_is_not_read_is_said_and_costs_only_itself(tmp_path: Path, form: str) -> None:
    """A document that cannot be read is named with its line, and those before and behind it are read."""
    name, content, expected, problems = SAID[form]
    hosts, said = load(tmp_path, {name: content})
    assert hosts == [f"{each}.global" for each in expected]
    if not expected:
        assert said.pop(0).startswith(" holds no object that is read, in one file")
    assert len(said) == len(problems)
    assert [line for line, begin in zip(said, problems, strict=True) if not line.startswith(begin)] == []


EXPECTED = {
    "kustomization.yaml": ("resources: [a.yaml]\n", "is a kustomization and no Kubernetes object, and is not read"),
    "other.yaml": (
        "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: [a.yaml]\n",
        "is a kustomization, which is not built; manifests beside it are read as they are written",
    ),
    "chart/Chart.yaml": ("apiVersion: v2\nname: x\n", "is part of a Helm chart and no Kubernetes object"),
    "chart/values-prod.yaml": ("a: 1\n---\nb: 2\n", "is part of a Helm chart and no Kubernetes object"),
    "docker-compose.yml": ("services: {a: {image: b}}\n", "is a file of another tool and no Kubernetes object"),
    "README.md": ("# words\n", "a file is not read, for its name does not end in .yaml, .yml or .json: README.md"),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_what_lies_beside_manifests_is_no_alarm(tmp_path: Path, name: str) -> None:
    """It is said once in a clear word, as something that is expected."""
    content, reason = EXPECTED[name]
    write(tmp_path, {name: content, "a.yaml": entry("a")})
    problems = [problem for each in load_folder(tmp_path).clusters["east"] for problem in each.problems]
    assert [problem.severity for problem in problems] == [Severity.EXPECTED]
    assert problems[0].reason.startswith(reason)


def write(root: Path, files: dict[str, str | bytes]) -> None:
    """Write the files of a cluster."""
    for name, content in files.items():
        path = root / "east" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)


def load(root: Path, files: dict[str, str | bytes]) -> tuple[list[str], list[str]]:
    """The hosts of a cluster of these files, and what is said of it: ``file:line reason``, sorted by place."""
    write(root, files)
    declared = load_folder(root).clusters["east"]
    hosts = [host for each in declared if isinstance(each, ServiceEntry) for host in each.hosts]
    problems = [problem for each in declared for problem in each.problems]
    said = [f"{problem.where.removeprefix(f'{root}/east').removeprefix('/')} {problem.reason}" for problem in problems]
    return sorted(hosts), sorted(said)
