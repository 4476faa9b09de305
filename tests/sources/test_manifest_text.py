"""A file of manifests is divided where it cannot be read as a whole, and nowhere else."""

import json
import re
from collections.abc import Iterator

import pytest

from meshdns.sources import manifest_text
from meshdns.sources.documents import DocumentError, NodeBudget
from meshdns.sources.manifest_text import MAX_PIECES, decode_text, read_manifests


def read(text: str) -> tuple[list[tuple[int, object]], list[int]]:
    """The lines and values of documents, and the lines of faults."""
    found = read_manifests(text.encode())
    return [(each.line, each.value) for each in found.documents], [fault.line for fault in found.faults]


DIVIDED = {
    "a: 1\n---\nb: [\n---\nc: 1\n": ([(1, {"a": 1}), (5, {"c": 1})], [3]),
    "a: 1\n--- # more\nb: 1\n---x\n---\nc: 1\n": ([(1, {"a": 1}), (6, {"c": 1})], [4]),
    "[\n--- {c: 1}\n": ([(2, {"c": 1})], [1]),
    "[\n---\nb: 1\n...\n%YAML 1.1\n---\nc: 1\n": ([(3, {"b": 1}), (7, {"c": 1})], [1]),
    "a: 1\n...\n# x\n...\n[\n...\nc: 1": ([(1, {"a": 1}), (7, {"c": 1})], [5]),
    "%YAML 1.1\n# x\n\n---\n[\n---\nc: 1": ([(7, {"c": 1})], [5]),
    "a: |\n  ----\n  x\n----\nb: 1": ([(1, {"a": "----\nx\n"}), (5, {"b": 1})], []),
    "a: 1\r\n---\r\nb: [\r\n----\r\nc: 1\r\n": ([(1, {"a": 1}), (5, {"c": 1})], [3]),
    "[\n" + "---\n" * 3 + "c: 1": ([(3, None), (4, None), (5, {"c": 1})], [1]),
    '{"a": "}{"}{"b": [{}, {}]}[1]': ([(1, {"a": "}{"}), (1, {"b": [{}, {}]}), (1, [1])], []),
    '\n\t{"a": "\\"{"}\n\n{"b": 1}': ([(2, {"a": '"{'}), (4, {"b": 1})], []),
    '--- # j\n{"a": 1}\n{"b": 1}\n---\nc: 1': ([(2, {"a": 1}), (3, {"b": 1}), (5, {"c": 1})], []),
    '{"a": 1}\n]\n{"b": 1}': ([(1, {"a": 1})], [2]),
    '{"a": 1}\n{"b": 1\n{"c": 1}': ([(1, {"a": 1})], [3]),
    '{"a": 1}\n{"b': ([(1, {"a": 1})], [2]),
    '{"a": 1}\n{"b\\': ([(1, {"a": 1})], [2]),
}


@pytest.mark.parametrize("text", DIVIDED, ids=range(len(DIVIDED)))
def test_a_document_that_cannot_be_read_costs_only_itself(text: str) -> None:
    """Those before and behind it are read, each with its line."""
    assert read(text) == DIVIDED[text]


def test_json_lines_are_read_as_a_json_reader_reads_them() -> None:
    """Whatever is inside of strings."""
    values = [{"a": text, text: [text]} for text in ("{", "}]", '"', "\\", '\\"', "---", "x\n---\ny", "ä😀")]
    text = "\n".join(map(json.dumps, values)) + json.dumps(values, indent="\t")
    assert [value for _, value in read(text)[0]] == [*values, values]


def test_a_text_that_is_one_is_not_divided(monkeypatch: pytest.MonkeyPatch) -> None:
    """The work of that is for files that would be refused."""
    monkeypatch.setattr(manifest_text, "_divide", None)
    assert read("a: 1\n---\nb: |\n  ---\n") == ([(1, {"a": 1}), (3, {"b": "---\n"})], [])


@pytest.mark.parametrize("text", ["---\n" * (MAX_PIECES + 1) + "[", "{}" * (MAX_PIECES + 2)], ids=["YAML", "JSON"])
def test_a_text_of_too_many_pieces_is_refused_whole(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """The reason names the bound, and is at the place of the first fault."""
    monkeypatch.setattr(manifest_text, "MAX_PIECES", 100)
    with pytest.raises(DocumentError, match="at most 100 documents are read"):
        read_manifests(text.encode())


def test_a_text_over_its_budget_is_refused_whole() -> None:
    """Its documents share the budget, whether it is divided or not."""
    budget = NodeBudget(written=6, aliased=10)
    for text in ("[1, 1]\n---\n[1, 1, 1]\n", "- 1\n- 1\n---\n}\n---\n- 1\n- 1\n- 1\n", "{'a': [1, 2]}{'b': [1, 2]}"):
        with pytest.raises(DocumentError, match="holds more than 6 values"):
            read_manifests(text.encode(), budget)
    assert read_manifests(b"[1, 1]\n---\n}\n---\n[1]\n", budget).faults


def test_a_text_over_its_budget_is_not_divided(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would be read twice for nothing."""
    monkeypatch.setattr(manifest_text, "_divide", None)
    with pytest.raises(DocumentError, match="holds more than 6 values"):
        read_manifests(b"[1, 1]\n---\n[1, 1, 1]\n", NodeBudget(written=6, aliased=10))


@pytest.mark.parametrize("text", ["[" * 1000, "{}]" + "[" * 1000], ids=["too deep", "closed too often"])
def test_what_is_no_json_is_given_up_early(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """The tokens of a long text are looked at in Python: no more of them than could be read."""
    tokens = manifest_text._JSON_TOKEN
    looked_at: list[str] = []

    class Counting:
        def finditer(self, text: str, start: int) -> Iterator[re.Match[str]]:
            for token in tokens.finditer(text, start):
                looked_at.append(token[0])
                yield token

    monkeypatch.setattr(manifest_text, "_JSON_TOKEN", Counting())
    assert read_manifests(text.encode()).faults
    assert len(looked_at) <= 70


REFUSED = {
    b"\x1f\x8b\x08\x00": "is compressed (gzip)",
    b"PK\x03\x04": "is compressed (zip)",
    b"\x28\xb5\x2f\xfd": "is compressed (zstd)",
    b"\xfd7zXZ\x00": "is compressed (xz)",
    b"BZh91AY&SY": "is compressed (bzip2)",
    b"a\0b\0": "seems to be UTF-16 without a byte order mark",
    b"\0a\0b": "seems to be UTF-16 without a byte order mark",
    b"a\0\0\0b\0\0\0": "seems to be UTF-32 without a byte order mark",
    b"\0\0\0a": "seems to be UTF-32 without a byte order mark",
    b"a: \xe4": "is not UTF-8: ",
    b"\xff\xfe\x00\xd8a\x00": "is not UTF-16-LE, which its byte order mark says: ",
    b"\xff\xfe\x00\x00aaaa": "is not UTF-32-LE, which its byte order mark says: ",
    b"\xef\xbb\xbf\xff": "is not UTF-8: ",
}


@pytest.mark.parametrize("content", REFUSED, ids=range(len(REFUSED)))
def test_what_is_no_text_is_refused_by_name(content: bytes) -> None:
    """In one line that can be printed."""
    with pytest.raises(DocumentError) as caught:
        decode_text(content)
    assert caught.value.reason.startswith(REFUSED[content])
    assert caught.value.reason.isprintable()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
def test_text_with_a_byte_order_mark_is_read(encoding: str) -> None:
    """In any encoding of Unicode; marks of joined files are no part of it."""
    assert decode_text("\ufeffä: 1\n\ufeff\ufeffb: \ufeff2\n".encode(encoding)) == "ä: 1\nb: \ufeff2\n"
