"""Manifests load as kubectl wrote them, and every field knows its line."""

import json

import pytest

from meshdns.sources.documents import UNKNOWN_TAG, DocumentError, DocumentReader, parse_documents

SCALARS = """
no              'no'
12:30           '12:30'
0123            123
0x1F            31
0o17            15
-7              -7
1.5e3           1500.0
.inf            inf
-.INF           -inf
1_000           '1_000'
2001-01-01      '2001-01-01'
y               'y'
TRUE            True
~               None
"80"            '80'
!!str 80        '80'
1.2.3.4         '1.2.3.4'
+               '+'
=               '='
"""


@pytest.mark.parametrize("row", SCALARS.strip().splitlines())
def test_scalars_follow_the_core_schema_of_yaml_1_2(row: str) -> None:
    """A plain scalar is what YAML 1.2 says it is, not what 1.1 said."""
    text, value = row[:16].strip(), row[16:].strip()
    documents, _ = parse_documents(f"key: {text}")
    assert repr(documents[0].value["key"]) == value


REFUSED = {
    "a: 1\nb: 2\na: 3": ("the key 'a' occurs twice, first on line 1", 3),
    "x:\n  - {b: 1, b: 2}": ("the key 'b' occurs twice, first on line 2", 2),
    "a: 1\nc:\n  <<: [{}, 2]": ("a merge key (<<) takes a mapping, or a list of mappings", 3),
    "a: {<<: {b: 1},\n  <<: {c: 1}}": ("a merge key (<<) occurs twice; give it a list", 2),
    "a: &x\n  <<: *x": ("the alias *x stands inside what it names", 2),
    "a: *nowhere": ("the alias *nowhere has no anchor before it", 1),
    "a: &x [*x]": ("the alias *x stands inside what it names", 1),
    "[" * 100_000: ("nested more than 64 deep", 1),
    "? [a]\n: b": ("a mapping key must be text", 1),
    "a: b\nc: d\n  e: f": ("mapping values are not allowed in this context", 3),
    "a: b\nc: \x01": ("control characters are not allowed (U+0001)", 2),
    'é: b\n"\x1b"': ("control characters are not allowed (U+001B)", 2),
    "a:\n\tb: c": ("a tab begins the line; YAML indents with spaces", 2),
    "a: [1, 2": ("did not find expected ',' or ']'", 1),
}


@pytest.mark.parametrize("text", REFUSED, ids=range(len(REFUSED)))
def test_what_cannot_be_read_is_refused_with_its_line(text: str) -> None:
    """A fault in the text is named with its line; nothing else is raised."""
    with pytest.raises(DocumentError) as caught:
        parse_documents(text)
    assert (caught.value.reason, caught.value.line) == REFUSED[text]


MERGES = {
    "{<<: *m, b: 3}": {"a": 1, "b": 3},
    "{b: 3, <<: *m}": {"a": 1, "b": 3},
    "{<<: [{a: 7, c: 4}, *m]}": {"a": 7, "b": 2, "c": 4},
    "{<<: {<<: *m, c: 4}, a: 0}": {"a": 0, "b": 2, "c": 4},
    "{<<: []}": {},
    '{"<<": 1}': {"<<": 1},
    '{<<: *m, "<<": 1}': {"a": 1, "b": 2, "<<": 1},
}


@pytest.mark.parametrize("text", MERGES)
def test_a_merge_key_adds_what_a_mapping_lacks(text: str) -> None:
    """As YAML 1.1 has it: its own keys win, then the first mapping that has a key; in quotes it is any key."""
    ((document, _),), _ = parse_documents(f"m: &m {{a: 1, b: 2}}\nx: {text}\n")
    assert document == {"m": {"a": 1, "b": 2}, "x": MERGES[text]}


def test_what_is_merged_stands_where_it_is_written() -> None:
    """Its line is that of the mapping which has it, through aliases of what was merged too."""
    documents, lines = parse_documents("m: &m\n  a: {b: 1}\nx: &x\n  <<: *m\n  c: 1\ny:\n  <<: *x\n")
    value = documents[0].value
    assert value["y"] == {"a": {"b": 1}, "c": 1}
    fields = ("x.a", "x.a.b", "x.c", "y.a", "y.c")
    assert [lines.line_of(value, field) for field in fields] == [2, 2, 5, 2, 5]


TAGS = {
    "!!binary aGVsbG8=": "hello",
    "!!binary |\n    aGVs\n    bG8=": "hello",
    "!!binary /w==": UNKNOWN_TAG,
    "!!binary ä": UNKNOWN_TAG,
    "!!timestamp 2001-01-01": "2001-01-01",
    "!!set {b, c}": {"b": None, "c": None},
    "!!omap [{b: 1}]": [{"b": 1}],
    "!!python/name:os.system x": UNKNOWN_TAG,
    "!thing {b: [1, 2]}": UNKNOWN_TAG,
    "[1, !Sub '${X}', 2]": [1, UNKNOWN_TAG, 2],
    "{b: &x !thing [&y {c: 1}], d: *x, e: *y}": {"b": UNKNOWN_TAG, "d": UNKNOWN_TAG, "e": {"c": 1}},
}


@pytest.mark.parametrize("text", TAGS)
def test_a_tag_that_is_not_known_costs_its_value(text: str) -> None:
    """Which is none of the kinds of values that anything reads; the rest of the document is read."""
    ((document, _),), _ = parse_documents(f"a: {text}\nz: 1\n")
    assert document == {"a": TAGS[text], "z": 1}


def test_pieces_of_a_text_know_their_lines_and_share_its_index() -> None:
    """A reader is told where each begins."""
    reader = DocumentReader()
    ((first, begin),) = reader.read("a:\n  b: 1\n", 7)
    ((second, later),) = reader.read("\na: 1", 20)
    assert (begin, later) == (7, 21)
    assert (reader.lines.line_of(first, "a.b"), reader.lines.line_of(second, "a")) == (8, 21)
    with pytest.raises(DocumentError) as caught:
        reader.read("a: 1\nb: [", 30)
    assert caught.value.line == 31


def test_aliases_cost_no_memory() -> None:
    """Four levels of nine aliases each are a few objects, not 7,381."""
    levels = ["a0: &a0 [x]"] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 5)]
    documents, _ = parse_documents("\n".join(levels))
    assert documents[0].value["a4"][0] is documents[0].value["a3"]


def test_json_loads_as_json() -> None:
    """JSON with tabs, escapes and surrogate pairs gives the same values as a JSON reader."""
    text = '{\n\t"a": "x\\u003cy\\/\\ud83d\\ude00 \\\\ud83d\\\\ude00",\n\t"b": [1, -2.5, true, null, "no"]\n}'
    assert parse_documents(text)[0] == [(json.loads(text), 1)]


def test_documents_are_separated_by_dashes() -> None:
    """A file may hold several documents; an empty one is null."""
    assert parse_documents("a: 1\n---\n---\nb: 2\n")[0] == [({"a": 1}, 1), (None, 3), ({"b": 2}, 4)]


LINES = """apiVersion: v1
kind: List
items:
- kind: ServiceEntry
  metadata:
    annotations:
      meshdns.io/ttl: "x"
      meshdns.io: y
  spec:
    hosts: [a.global,
      b.global]
    endpoints:
    - address: 1.2.3.4
    - ports: {http: 80}
      address: 5.6.7.8
"""


@pytest.mark.parametrize(
    ("field", "line"),
    [
        ("", 4),
        ("spec.hosts", 10),
        ("spec.hosts[1]", 11),
        ("spec.endpoints[1].address", 15),
        ("spec.endpoints[1].ports.http", 14),
        ("spec.endpoints[7].address", 12),
        ("spec.nothing.here", 9),
        ("metadata.annotations.meshdns.io/ttl", 7),
        ("metadata.annotations.meshdns.io", 8),
        ("elsewhere", 4),
    ],
)
def test_a_field_path_gives_its_line(field: str, line: int) -> None:
    """A field stands where its key stands; a missing one where its nearest parent does."""
    documents, lines = parse_documents(LINES)
    assert lines.line_of(documents[0].value["items"][0], field) == line


WRITTEN = """
a: [1.10, &v 0x10, *v, 'yes', 080, 60]
b: {c: TRUE, d: 1_0, e: ~, f: 1e3, g: *v, h: -0}
"""


@pytest.mark.parametrize(
    ("key", "texts"),
    [
        ("a", {0: "1.10", 1: "0x10", 2: "0x10", 4: "080"}),
        ("b", {"c": "TRUE", "f": "1e3", "g": "0x10", "h": "-0"}),
    ],
)
def test_a_scalar_that_is_no_text_keeps_the_text_of_the_file(key: str, texts: dict[str | int, str]) -> None:
    """Where the value does not say it: text, null and plain numbers keep nothing."""
    documents, lines = parse_documents(WRITTEN)
    container = documents[0].value[key]
    steps = range(len(container)) if isinstance(container, list) else container
    assert {step: text for step in steps if (text := lines.text_of(container, step)) is not None} == texts
