"""Tables of the name database: their keys, and the encoding of their values.

Nothing outside this package knows the name of a table or the format of a key. Values that other packages encode (rows,
provenance, unserved reasons, cluster summaries) pass through as bytes.

Rule: a read is short. Values that take long to decode are copied as they are stored (`encoded`) and decoded after it.
"""

import contextlib
import hashlib
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Final, NewType, TypeVar

import msgspec

from meshdns.mesh.deflate import compress, decompress
from meshdns.mesh.objects.declarations import AnyDeclaration, ObjectKey, ObjectKind
from meshdns.mesh.objects.problems import DatedProblem, Problem
from meshdns.namedb.database import NameDatabase, Transaction
from meshdns.namedb.stored_state import decode_stored_state, read_stored_state

RESOLVED_HOSTS_KEY: Final = b"resolved"
OWN_PROBLEMS_KEY: Final = b"own problems"
CONTACTS_KEY: Final = b"contacts"

_MAX_KEY: Final = 500  # LMDB takes 511 bytes
_SEPARATOR: Final = b"\0"
_AnyProblem = TypeVar("_AnyProblem", bound=Problem)

_DIGESTED_FIELDS: Final = ("kind", "object", "namespace", "name", "field", "reason", "advice", "where")
"""The fields of a problem that its key is made of, as in the first version: its cause follows from them."""

ProblemKey = NewType("ProblemKey", bytes)
"""The key of problems: of an object, or of one that is derived. Only this module knows its format."""


class Tables:
    """All tables at the commit `serial`; also the authority's `RowReader`."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction
        self.serial = transaction.commit_id
        stored, is_believed = read_stored_state(transaction)
        self.state = decode_stored_state(stored, is_believed=is_believed)
        self.rows = OwnerTable(transaction, b"rows")
        self.provenance = OwnerTable(transaction, b"reasons")
        self.unserved_reasons = OwnerTable(transaction, b"refusals")
        self.declarations = DeclarationTable(transaction)
        self.problems = ProblemTable(transaction)
        self.clusters = ClusterTable(transaction)

    def row(self, owner: bytes) -> bytes | None:
        """Return the row of an owner name, or None."""
        return self.rows.get(owner)

    def resolved_hosts(self) -> dict[str, tuple[str, ...]]:
        """Return the last known addresses of the host names that are endpoints or gateways."""
        found = self._transaction.get(b"meta", RESOLVED_HOSTS_KEY)
        return msgspec.json.decode(found, type=dict[str, tuple[str, ...]]) if found is not None else {}

    def own_problems(self) -> list[DatedProblem]:
        """Return the problems of the controller itself, with their times (`Commit.own_problems`)."""
        found = self._transaction.get(b"meta", OWN_PROBLEMS_KEY)
        return decode_dated(found) if found is not None else []

    def contacts(self) -> bytes | None:
        """Return the last contacts with the clusters as the controller encoded them, or None."""
        return self._transaction.get(b"meta", CONTACTS_KEY)


@contextlib.contextmanager
def read_tables(database: NameDatabase) -> Iterator[Tables]:
    """Enclose a read transaction; keep it short."""
    with contextlib.closing(database.begin()) as transaction:
        yield Tables(transaction)


class OwnerTable:
    """Values by owner name in lower-case wire format."""

    def __init__(self, transaction: Transaction, name: bytes) -> None:
        self._transaction = transaction
        self._name = name

    def get(self, owner: bytes) -> bytes | None:
        """Return the value of an owner name, or None."""
        return self._transaction.get(self._name, owner)

    def owners(self) -> Iterator[bytes]:
        """Yield all owner names, in the order of their bytes."""
        return (owner for owner, _ in self.items())

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield all owner names with their values."""
        return self._transaction.items(self._name)


class ClusterTable:
    """Cluster summaries, encoded, by the name of the cluster."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    def get(self, cluster: str) -> bytes | None:
        """Return the summary of a cluster, or None."""
        return self._transaction.get(b"clusters", cluster.encode())

    def items(self) -> Iterator[tuple[str, bytes]]:
        """Yield all clusters with their summaries."""
        return ((key.decode(), value) for key, value in self._transaction.items(b"clusters"))


class DeclarationTable:
    """Declarations by cluster and object."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    def get(self, cluster: str, key: ObjectKey) -> AnyDeclaration | None:
        """Return the declaration of an object, or None."""
        found = self._transaction.get(b"declarations", object_key(cluster, key))
        return decode_declaration(found) if found is not None else None

    def encoded(self, kinds: Collection[ObjectKind] = tuple(ObjectKind)) -> Iterator[tuple[str, bytes]]:
        """Yield the encoded declarations of some kinds with their clusters, for `decode_declaration`."""
        wanted = {kind.value.encode() for kind in kinds}
        for key, value in self._transaction.items(b"declarations"):
            cluster, kind, _ = key.split(_SEPARATOR, 2)
            if kind in wanted:
                yield cluster.decode(), value

    def count_by_cluster(self) -> Counter[str]:
        """The number of objects known of each cluster; only their keys are read."""
        return Counter(_cluster(key) for key, _ in self._transaction.items(b"declarations"))


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
        """All problems as they are stored, for `decode_problems`."""
        return ((ProblemKey(key), value) for key, value in self._transaction.items(b"problems"))

    def kinds(self) -> Iterator[tuple[ProblemKey, tuple[str, ...]]]:
        """The kinds of the problems under each key, as text: a later version may have written kinds of its own."""
        for key, value in self._transaction.items(b"problems"):
            yield ProblemKey(key), tuple(each.kind for each in msgspec.json.decode(value, type=list[_KindOnly]))


class _KindOnly(msgspec.Struct, frozen=True):
    """The part of a problem that every version can read."""

    kind: str


def object_key(cluster: str, key: ObjectKey) -> bytes:
    """The key of an object: its parts joined by zero bytes; one that would be too long ends with a digest."""
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


def encode_declaration(declaration: AnyDeclaration) -> bytes:
    """A slim declaration as it is stored: few bytes, since it is read only when a controller begins."""
    return compress(msgspec.msgpack.encode(declaration))


def decode_declaration(data: bytes) -> AnyDeclaration:
    """The declaration that `encode_declaration` wrote."""
    declaration: AnyDeclaration = msgspec.msgpack.decode(decompress(data), type=AnyDeclaration)
    return declaration


def encode_resolved_hosts(addresses: Mapping[str, Sequence[str]]) -> bytes:
    """The addresses of host names as they are stored."""
    return msgspec.json.encode(addresses)


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
    """The cluster that a key begins with."""
    return key.partition(_SEPARATOR)[0].decode()
