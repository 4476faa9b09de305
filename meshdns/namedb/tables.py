"""The tables of the name database: key formats, and the values that are encoded alike for all who read them.

Nothing outside this package knows the name of a table or the format of a key. Values that one other package alone reads
and writes (rows, provenance, cluster summaries) pass through as bytes.
"""

import contextlib
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NewType, TypeVar

import msgspec

from meshdns.mesh.objects.declarations import ObjectKey
from meshdns.mesh.objects.problems import DatedProblem, Problem
from meshdns.namedb.database import Transaction

_MAX_KEY: Final = 500  # LMDB takes 511 bytes
_SEPARATOR: Final = b"\0"
_AnyProblem = TypeVar("_AnyProblem", bound=Problem)

_DIGESTED_FIELDS: Final = ("kind", "object", "namespace", "name", "field", "reason", "advice", "where")
"""The fields of a problem that its key is made of, as in the first version: its cause follows from them."""

ProblemKey = NewType("ProblemKey", bytes)
"""The key of problems: of an object, or of one that is derived. Only this module looks into it."""


class ProblemTable:
    """Problems by object; and those derived from names and gateways, each by itself.

    A derived problem is kept under ``<cluster> 0 0 <digest>``, which differs from the key of every object.
    """

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    def of_object(self, cluster: str, key: ObjectKey) -> list[Problem]:
        """The problems of an object by itself."""
        found = self._transaction.get(b"problems", object_key(cluster, key))
        return _decode_problems(found, Problem) if found is not None else []

    def dated(self, key: ProblemKey) -> list[DatedProblem]:
        """Return the problems under a key, with the times at which they were first seen."""
        found = self._transaction.get(b"problems", key)
        return decode_dated(found) if found is not None else []

    def derived(self, cluster: str) -> Iterator[Problem]:
        """The problems of a cluster that show in what the mesh makes of its objects."""
        start = cluster.encode() + _SEPARATOR * 2
        for key, value in self._transaction.items(b"problems", start):
            if not key.startswith(start):
                return
            yield from _decode_problems(value, Problem)

    def items(self) -> Iterator[tuple[str, Problem]]:
        """All problems with their clusters."""
        for key, value in self.encoded():
            for problem in _decode_problems(value, Problem):
                yield problem_cluster(key), problem

    def encoded(self) -> Iterator[tuple[ProblemKey, bytes]]:
        """All problems as they are stored: to be copied in a short transaction and then given to `decode_problems`."""
        return ((ProblemKey(key), value) for key, value in self._transaction.items(b"problems"))

    def kinds(self) -> Iterator[tuple[ProblemKey, tuple[str, ...]]]:
        """The kinds of the problems under each key, as text: a later version may have written kinds of its own."""
        for key, value in self._transaction.items(b"problems"):
            yield ProblemKey(key), tuple(each.kind for each in msgspec.json.decode(value, type=list[_KindOnly]))


class _KindOnly(msgspec.Struct, frozen=True):
    """The part of a problem that every version can read."""

    kind: str


def object_key(cluster: str, key: ObjectKey) -> bytes:
    """The key of an object; one that would be too long ends with a digest."""
    text = f"{cluster}\0{key[0].value}\0{key[1]}\0{key[2]}".encode()
    if len(text) <= _MAX_KEY:
        return text
    return text[: _MAX_KEY - 32] + hashlib.blake2b(text, digest_size=32).digest()


def object_problems_key(cluster: str, key: ObjectKey) -> ProblemKey:
    """The key of an object's own problems."""
    return ProblemKey(object_key(cluster, key))


def derived_problem_key(cluster: str, problem: Problem) -> ProblemKey:
    """The key of a derived problem."""
    digested = msgspec.json.encode({field: getattr(problem, field) for field in _DIGESTED_FIELDS})
    digest = hashlib.blake2b(digested, digest_size=16).digest()
    return ProblemKey(cluster.encode() + _SEPARATOR * 2 + digest)


def is_derived(key: ProblemKey) -> bool:
    """Whether a key is that of a derived problem."""
    return key.partition(_SEPARATOR)[2].startswith(_SEPARATOR)


def problem_cluster(key: ProblemKey) -> str:
    """The cluster of the problems under a key."""
    return _cluster(key)


def encode_problems(problems: Sequence[Problem]) -> bytes:
    """The problems under one key as they are stored."""
    return msgspec.json.encode(problems)


def decode_problems(items: Iterable[tuple[ProblemKey, bytes]]) -> Iterator[tuple[str, DatedProblem]]:
    """The problems with their clusters and times, from what `ProblemTable.encoded` gave."""
    for key, value in items:
        cluster = problem_cluster(key)
        for problem in decode_dated(value):
            yield cluster, problem


def decode_dated(value: bytes) -> list[DatedProblem]:
    """Return what `encode_problems` encoded; a problem of the first version has the time 0."""
    return _decode_problems(value, DatedProblem)


def _decode_problems(value: bytes, wanted: type[_AnyProblem]) -> list[_AnyProblem]:
    """Decode problems as `wanted`, those of kinds that only a later version knows left out."""
    try:
        return msgspec.json.decode(value, type=list[wanted])  # type: ignore[valid-type]
    except msgspec.ValidationError:
        return list(_decode_known(value, wanted))


def _decode_known(value: bytes, wanted: type[_AnyProblem]) -> Iterator[_AnyProblem]:
    for each in msgspec.json.decode(value, type=list[msgspec.Raw]):
        with contextlib.suppress(msgspec.ValidationError):
            yield msgspec.json.decode(each, type=wanted)


def _cluster(key: bytes) -> str:
    """The cluster that the key of an object begins with."""
    return key.partition(_SEPARATOR)[0].decode()
