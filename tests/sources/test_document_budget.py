"""What a document expands to has a bound, in work and in memory, whatever few characters it was written in."""

import tracemalloc

import pytest

from meshdns.sources.documents import (
    FILE_BUDGET,
    SECRET_BUDGET,
    DocumentError,
    NodeBudget,
    parse_documents,
)
from tests.sources.alias_bomb import alias_bomb

HOSTILE_TEXTS = [
    '# "\\ud8zz\\udczz"\na: 1\n',
    '"\\ud8zz\\udczz"',
    '"\\ud8\n0\\udc00"',
    '"\\uD83D\\uDE0"',
    "a: \ud800",
    "!!timestamp 2001-01-01",
    "&a [*a]",
    "? [a]\n: 1",
    "a: {<<: {b: 1}}",
    "a: &a {<<: [*a]}",
    "a: {<<: &b !x {c: 1}, d: *b}",
    "{<<: !!binary /w==}",
    "? <<\n: {a: 1}",
    "0x" + "f" * 100_000,
    "1" * 100_000,
    "1e" + "9" * 300,
    "'" + "x" * 200_000 + "': 1\n'" + "x" * 200_000 + "': 1",
    "!" + "x" * 200_000 + " a",
    "*" + "x" * 200_000,
    "a: *b",
    "\x01",
    "\u2028",
    "%YAML 9.9\n---\na",
    "%TAG ! " + "x" * 10_000,
]
SMALL = NodeBudget(written=20, aliased=10)


def expanded(value: object) -> int:
    """How many values a walk over a value meets; each alias leads to all of what it names."""
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + sum(map(expanded, children))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[" + "1," * 20 + "]", "holds more than 20 values; split it into several files"),
        ("a: &a [1, 2, 3, 4]\nb: *a\nc: *a\nd: *a\n", "its aliases stand for more than 10 values; write fewer aliases"),
        ("a: &a 1\nb: [" + "*a," * 11 + "]", "its aliases stand for more than 10 values; write fewer aliases"),
        (alias_bomb(40), "its aliases stand for more than 10 values; write fewer aliases"),
        (
            "a: {<<: {<<: {<<: {b: 1, c: 2, d: 3, e: 4}}}}",
            "its aliases and merge keys stand for more than 10 values; write fewer of them",
        ),
        (
            "a: &a {b: 1, c: 2, d: 3}\nx: {<<: [*a, *a]}",
            "its aliases and merge keys stand for more than 10 values; write fewer of them",
        ),
    ],
    ids=["written", "aliases of a list", "aliases of a scalar", "nested aliases", "nested merges", "merged aliases"],
)
def test_a_document_over_budget_is_unreadable_and_the_reason_names_the_bound(text: str, reason: str) -> None:
    """Whether its values were written out or stand behind aliases."""
    with pytest.raises(DocumentError) as error:
        parse_documents(text, SMALL)
    assert error.value.reason == reason


def test_what_a_document_in_budget_expands_to_is_bounded() -> None:
    """A walk over it meets no more values than the two bounds together."""
    text = "a: &a [1, 2]\nb: &b [*a, *a]\nc: 1\n"
    ((document, _),) = parse_documents(text, SMALL)[0]
    assert document == {"a": [1, 2], "b": [[1, 2], [1, 2]], "c": 1}
    assert expanded(document) == 12
    with pytest.raises(DocumentError, match="its aliases stand for more than 5 values"):
        parse_documents(text, NodeBudget(written=20, aliased=5))
    with pytest.raises(DocumentError, match="holds more than 5 values"):
        parse_documents(text, NodeBudget(written=5, aliased=10))


def test_what_is_merged_counts_as_what_it_stands_for() -> None:
    """Doubling by merge keys is refused as doubling by aliases is, and costs as little."""
    lines = ["a0: &a0 {x0: 1}"]
    lines += [f"a{n}: &a{n} {{<<: *a{n - 1}, x{n}: *a{n - 1}, y{n}: *a{n - 1}}}" for n in range(1, 40)]
    tracemalloc.start()
    try:
        with pytest.raises(DocumentError, match="stand for more than"):
            parse_documents("\n".join(lines))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2**20


def test_depth_counts_what_aliases_stand_for() -> None:
    """Else what walks over the values would recurse as deep as aliases can be chained."""
    lines = ["a0: &a0 " + "[" * 30 + "]" * 30, "a1: &a1 " + "[" * 30 + "*a0" + "]" * 30]
    parse_documents("\n".join(lines))
    with pytest.raises(DocumentError, match="nested more than 64 deep"):
        parse_documents("\n".join([*lines, "a2: [[[[*a1]]]]"]))


def test_an_anchor_that_is_set_again_means_what_was_written_last() -> None:
    """As YAML 1.2 has it (section 7.1), inside of the first value too."""
    assert parse_documents("a: &x [&x 1, *x]\nb: *x\nc: &x 2\nd: *x\n")[0][0].value == {
        "a": [1, 1],
        "b": 1,
        "c": 2,
        "d": 2,
    }


def test_each_document_of_a_file_has_an_alias_budget_and_all_share_the_one_of_values() -> None:
    """Anchors end with their document; the memory of a file's documents is taken together."""
    parse_documents("[1,1,1,1]\n---\n[1,1,1,1]\n", SMALL)
    with pytest.raises(DocumentError, match="holds more than 20 values"):
        parse_documents("[1,1,1,1]\n---\n" * 5, SMALL)


@pytest.mark.parametrize("budget", [FILE_BUDGET, SECRET_BUDGET], ids=["file", "Secret"])
def test_a_bomb_of_some_hundred_characters_costs_nothing(budget: NodeBudget) -> None:
    """It is refused where its aliases are read, before anything walks over it."""
    text = alias_bomb(9)
    assert len(text) < 600
    tracemalloc.start()
    try:
        with pytest.raises(DocumentError, match="its aliases stand for more than"):
            parse_documents(text, budget)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2**20


def test_budgets_admit_what_people_write() -> None:
    """A list of 10,000 Services of some 50 values; a kubeconfig of hundreds of contexts out of a Secret's 1 MiB."""
    assert FILE_BUDGET.written >= 10_000 * 50
    assert SECRET_BUDGET.written >= 500 * 20
    assert FILE_BUDGET.aliased >= 10_000


@pytest.mark.parametrize("text", HOSTILE_TEXTS, ids=range(len(HOSTILE_TEXTS)))
def test_any_text_gives_values_or_a_short_reason(text: str) -> None:
    """Nothing but `DocumentError` is raised, and its reason is one line of bounded length."""
    try:
        parse_documents(text)
    except DocumentError as error:
        assert len(error.reason) <= 200  # noqa: PT017 — there need not be an error
        assert error.reason.isprintable()  # noqa: PT017
        assert error.line >= 1  # noqa: PT017


def test_escapes_that_are_no_surrogates_are_read_as_yaml_reads_them() -> None:
    """In a comment they mean nothing; pairs that JSON writes are one character."""
    for comment in ("\\ud8zz\\udczz", "\\ud8zz\\udc00", "\\ud800\\udczz"):
        assert parse_documents(f'# {comment}\na: "\\ud83d\\ude00"\n')[0][0].value == {"a": "😀"}


def test_no_reason_is_long_or_cannot_be_printed() -> None:
    """By construction, whoever raises it."""
    reason = DocumentError("\x1b[31m" + "x" * 1000, 1).reason
    assert len(reason) <= 200
    assert reason.isprintable()
