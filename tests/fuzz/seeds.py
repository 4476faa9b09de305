"""Inputs to begin with: rows of the project's own tables, and the manifests of its zones."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import dns.message

from tests.dns import test_query as query_rows
from tests.dns import test_reply as reply_rows
from tests.simulators.behaviours import BEHAVIOURS, Case

_ZONES: Final = Path(__file__).parents[2] / "zones"
_LARGE: Final = 3000  # octets; a larger manifest says nothing that smaller ones do not
_NAMES: Final = (
    "frontend.default.global",
    "one.global",
    "many.global",
    "none.global",
    "www.example",
    "localhost",
    "explain.one.global",
)
_TYPES: Final = ("A", "AAAA", "TXT", "SRV", "ANY", "SOA")


def questions() -> Iterator[bytes]:
    """Well-formed queries of every kind that is answered in its own way."""
    for name in _NAMES:
        for rtype in _TYPES:
            yield dns.message.make_query(name, rtype, id=0xBEEF).to_wire()
            yield dns.message.make_query(name, rtype, id=0xBEEF, use_edns=0, payload=1232, want_dnssec=True).to_wire()


def queries() -> Iterator[bytes]:
    """The rows of the query table and well-formed queries."""
    yield from query_rows.SILENT.values()
    yield from query_rows.ANSWERED.values()
    yield from (row[0] for row in query_rows.REFUSED_QUERIES.values())
    yield from questions()


def replies() -> Iterator[bytes]:
    """The rows of the reply table, and what the lying server says."""
    yield from (row[0] for row in reply_rows.BELIEVED.values())
    yield from reply_rows.STRANGE.values()
    yield from reply_rows.MALFORMED.values()
    for name, behave in BEHAVIOURS.items():
        asked = dns.message.make_query(f"{name}.test", "A", id=7, use_edns=0).to_wire()
        yield from (said for said in behave(Case(asked, tcp=False, turn=0)) if type(said) is bytes)


def streams() -> Iterator[bytes]:
    """Queries behind their lengths, one and several, cut in different ways."""
    rows = list(queries())
    for step, row in enumerate(rows):
        several = (row, rows[step - 1], rows[-step])
        yield bytes([step % 64]) + b"".join(len(each).to_bytes(2, "big") + each for each in several)


_OBJECT = '{"kind": "ServiceEntry", "metadata": {"name": "a"}, "spec": {"hosts": ["a.global"]}}'
_FORMS = (
    f"{_OBJECT}\n---\n{_OBJECT}\n",
    f"{_OBJECT}{_OBJECT}\n\t{_OBJECT}",
    f"[{_OBJECT}, [{_OBJECT}], 1]",
    f'{{"kind": "List", "items": [{{"kind": "List", "items": [{_OBJECT}]}}]}}',
    f"%YAML 1.1\n---\n{_OBJECT}\n----\n[\n...\n\ufeff{_OBJECT}\n",
    "kind: ServiceEntry\nmetadata: &m {name: a}\nspec: {<<: [*m, {hosts: [b]}], hosts: !!binary YQ==, ports: !x [1]}\n",
    "kind: serviceentry\napiVersion: networking.istio.oi/v1\nmetadata: {generateName: a-}\n",
)


def manifests() -> Iterator[bytes]:
    """The manifests of the zones, document by document."""
    for path in sorted(_ZONES.glob("*/clusters/*/*.yaml")):
        text = path.read_bytes()
        yield from (part for part in text.split(b"\n---\n") if len(part) <= _LARGE)
    yield from (form.encode() for form in _FORMS)
    yield from (_FORMS[0].encode(encoding) for encoding in ("utf-8-sig", "utf-16", "utf-32"))
