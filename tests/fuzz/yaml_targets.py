"""What reads YAML of others, with the rules that must hold for any bytes: documents, and kubeconfigs out of Secrets."""

import base64
import json
import math
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from meshdns.mesh.objects.declarations import ObjectKind, key_of
from meshdns.mesh.objects.parse import parse_object
from meshdns.mesh.objects.problems import Problem
from meshdns.namedb.tables import decode_declaration, encode_declaration, object_key
from meshdns.sources.auth.kubeconfig import ClientConfig, load_kubeconfig
from meshdns.sources.documents import DocumentError, LineIndex, NodeBudget, UnknownTag, parse_documents
from meshdns.sources.remote_secrets import SecretKubeconfigs
from meshdns.sources.settings import SourceError
from tests.fuzz import seeds
from tests.sources.test_document_budget import HOSTILE_TEXTS
from tests.sources.test_secret_kubeconfigs import HOSTILE, kubeconfig

LONGEST: Final = 4096
_BUDGET: Final = NodeBudget(written=400, aliased=200)
_DEPTH: Final = 64
_PROBLEM: Final = 6000  # bytes
_COMPARED: Final = 500  # characters; YAML admits keys of 1024


def _parts(value: object, depth: int = 0) -> Iterator[tuple[object, int]]:
    """A value and all that a walk over it meets, each with its depth."""
    yield value, depth
    if isinstance(value, dict):
        for key, child in value.items():
            assert type(key) is str
            assert key.encode() is not None
            yield from _parts(child, depth + 1)
    elif isinstance(value, list):
        for child in value:
            yield from _parts(child, depth + 1)


def run_document(data: bytes) -> None:
    """Text gives values in budget or a short reason; every kind of object is read from every value.

    What is read can be stored and restored. What a JSON reader reads too is the same value.
    """
    text = data.decode("utf-8", "surrogateescape" if data[:1] == b"#" else "replace")
    try:
        documents, lines = parse_documents(text, _BUDGET)
    except DocumentError as error:
        _check_refusal(text, error)
        return
    for document in documents:
        for number, (value, depth) in enumerate(_parts(document.value)):
            assert number < sum(_BUDGET)
            assert depth <= _DEPTH
            assert type(value) in (type(None), bool, int, float, str, list, dict, UnknownTag)
            assert not isinstance(value, str) or value.encode() is not None
        assert lines.line_of(document.value) >= 1
        for kind in ObjectKind:
            _read_object(kind, document.value, lines)
    _compare_with_json(text, [document.value for document in documents])


def _check_refusal(text: str, refusal: DocumentError) -> None:
    assert refusal.reason.isprintable()
    assert 0 < len(refusal.reason) <= 200
    assert 1 <= refusal.line <= text.count("\n") + 2


def _read_object(kind: ObjectKind, value: object, lines: LineIndex) -> None:
    for declaration in (
        parse_object(kind, value),
        parse_object(kind, value, where=lambda field: f"fuzz.yaml:{len(field)}", written=lines.text_of),
    ):
        if declaration is None:
            continue
        assert object_key("east", key_of(declaration))
        assert decode_declaration(encode_declaration(declaration)) == declaration
        _check_problems(declaration.problems)


def _check_problems(problems: tuple[Problem, ...] | list[Problem]) -> None:
    assert len(problems) <= 60
    for problem in problems:
        assert problem.reason
        assert problem.advice
        assert len(msgspec.json.encode(problem)) <= _PROBLEM


def _compare_with_json(text: str, values: list[Any]) -> None:
    """Whatever Python's JSON reader and this one both read, they read alike."""
    if len(text) > _COMPARED or any(word in text for word in ("NaN", "Infinity", "\\u")):
        return
    try:
        expected = json.loads(text, object_pairs_hook=_without_twins)
    except (ValueError, RecursionError):
        return
    assert values == [expected] or any(isinstance(part, float) and math.isnan(part) for part, _ in _parts(expected))


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) != len(pairs):
        raise ValueError
    return dict(pairs)


class Kubeconfigs:
    """Kubeconfigs that a Secret writer and an operator may have written."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="meshdns-fuzz-")
        self._file = Path(self._folder.name, "config")
        self._good = base64.b64encode(kubeconfig("good").encode()).decode()

    def run(self, data: bytes) -> None:
        """A key costs itself alone, and gives nothing that reaches into this machine.

        An operator's file gives accesses, or a reason.
        """
        hostile = base64.b64encode(data).decode()
        for value in (hostile, data.decode("utf-8", "replace")):
            self._read_secret(value)
        self._file.write_bytes(data)
        try:
            config = load_kubeconfig([self._file])
            self._check(config.single_cluster(trusted=True)[1])
            self._check(config.context_config(config.current_context()))
        except SourceError as error:
            _check_message(error.message)

    def _read_secret(self, value: str) -> None:
        data = {"data": {"bad": value, "good": self._good}, "metadata": {"name": "one", "creationTimestamp": "t"}}
        read = SecretKubeconfigs("istio-system", own="", max_clusters=10_000)
        read.apply_list([msgspec.Raw(json.dumps(data).encode())])
        assert "good" in read.client_configs
        _check_problems(read.problems)
        assert ("bad" in read.client_configs) is not ("bad" in read.unreadable)
        assert len(read.problems) == len(read.unreadable)
        config = read.client_configs.get("bad")
        if config is not None:
            self._check(config)
            reaching = (
                config.token_file,
                config.plugin,
                config.auth_provider,
                config.referenced_files,
                config.insecure,
            )
            assert not any(reaching)

    @staticmethod
    def _check(config: ClientConfig) -> None:
        for url in filter(None, (config.server, config.proxy)):
            parts = urlsplit(url)
            assert parts.scheme in ("http", "https")
            assert parts.hostname
            assert len(url) <= 2048
        assert len(config.title) <= 200
        for text in (config.server_name, config.token, *config.basic_auth):
            assert text.encode() is not None
            assert "\n" not in text


def _check_message(message: str) -> None:
    assert message.isprintable()
    assert len(message) <= 700
    assert "; " in message


def documents() -> Iterator[bytes]:
    """Manifests, JSON, and the rows of the tests."""
    yield from seeds.manifests()
    yield from (text.encode("utf-8", "surrogatepass")[:LONGEST] for text in HOSTILE_TEXTS)
    yield b'{"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}, "spec": {"ports": [{"port": 1e2}]}}'
    yield b'[1, -2.5, 1E3, true, null, "a\\tb\\\\", {}, [[]]]'
    yield b"a: &a [1, &b x]\nb: *a\nc: {*b : *b}\nd: [*a, *b]\n---\n? a\n: !!str 1\n...\n"
    yield b"a: &a {b: &c [1]}\nd: [*c, *a, *c]\ne: | \n  x\n  y\nf: >-\n  z\n"


def kubeconfigs() -> Iterator[bytes]:
    """The rows of the tests, and kubeconfigs of every form."""
    yield from ((text.encode() if isinstance(text, str) else text)[:LONGEST] for text in HOSTILE.values())
    forms = (
        (", proxy-url: 'http://192.0.2.2:3128', tls-server-name: n", ", username: u"),
        (", certificate-authority: ca.crt", ", client-certificate: c"),
        (", insecure-skip-tls-verify: true", ", as: root, as-groups: [a]"),
        ("", ", exec: {command: x, args: [a, b], env: [{name: n, value: v}], apiVersion: v1}"),
        ("", ", auth-provider: {name: gcp, config: {}}, tokenFile: ~/t"),
    )
    yield from (kubeconfig("a", cluster=cluster, user=user).encode() for cluster, user in forms)
