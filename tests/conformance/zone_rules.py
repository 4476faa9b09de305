"""In what meshdns may differ from NSD with the zone that meshdns prints, each difference named and argued.

A rule says of a question what meshdns says instead, and why; it is asked only where the two differ.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

import dns.name
import dns.rdatatype
from hypothesis import HealthCheck, given, settings

from tests.conformance.zone_questions import CLASS_IN, Question, Said, Scene, questions

_META: Final = frozenset({41, 249, 250, 251, 252, 253, 254, 0})
_LOCAL: Final = frozenset({"localhost", "invalid", "test", "alt", "onion", "arpa"})
_WAITING: Final = 22  # No Reachable Authority


class Rule(NamedTuple):
    """A difference that is meant: its name, why, and whether it is what these replies to a question show."""

    name: str
    reason: str
    allows: Callable[[Scene, Question, Said, Said], bool]


def _meta(_: Scene, question: Question, ours: Said, __: Said) -> bool:
    return question.rtype in _META and not ours.answer and ours.rcode in ("FORMERR", "REFUSED")


def _class(_: Scene, question: Question, ours: Said, __: Said) -> bool:
    return question.rclass != CLASS_IN and ours.rcode == "REFUSED" and not ours.answer


def _special(scene: Scene, question: Question, ours: Said, theirs: Said) -> bool:
    outside = scene.apex(question.name) is None
    top = question.labels[-1].lower().decode("latin-1") if question.labels else ""
    if not question.labels:
        return ours.rcode in ("NOERROR", "REFUSED") and not ours.answer
    return outside and theirs.rcode == "REFUSED" and top in _LOCAL and ours.aa


def _istio(scene: Scene, question: Question, ours: Said, _: Said) -> bool:
    """What the longest wildcard above the name says, although a name in between exists."""
    if not scene.istio or scene.apex(question.name) is None:
        return False
    name = question.name
    for labels in (name.labels[at:] for at in range(1, len(name.labels))):
        star = dns.name.Name((b"*", *labels))
        if any(zone.get_node(star) is not None for zone in scene.zones.values()):
            said = scene.put(Question(star.labels[:-1], question.rtype, question.rclass), scene.golden)
            renamed = frozenset((str(name).lower(), *record[1:]) for record in said.answer)
            wanted = said._replace(answer=renamed)
            return ours.same(wanted)
    return False


def _underscore(scene: Scene, question: Question, ours: Said, _: Said) -> bool:
    """Names with service labels: made up from the name without them, or unknown although a wildcard is above."""
    if not question.labels[:1] or not question.labels[0].startswith(b"_") or scene.apex(question.name) is None:
        return False
    if ours.rcode == "NXDOMAIN" or not ours.answer:
        return ours.aa and bool(ours.authority)
    return ours.aa and question.rtype in (dns.rdatatype.SRV, dns.rdatatype.ANY)


def _in_cluster(scene: Scene, question: Question, ours: Said, theirs: Said) -> bool:
    """``<cluster>.<host>`` and ``p<port>.<cluster>.<host>`` of a host of the zone."""
    labels = tuple(label.lower() for label in question.labels)
    if labels[:1] and labels[0][:1] == b"p" and labels[0][1:].isdigit():
        labels = labels[1:]
    if not labels or labels[0] not in scene.clusters or theirs.rcode not in ("NXDOMAIN", "NOERROR"):
        return False
    host = Question(labels[1:], dns.rdatatype.A, CLASS_IN)
    known = scene.put(host, scene.ours)
    return ours.rcode == "NOERROR" and ours.aa and known.rcode == "NOERROR"


def _declared(scene: Scene, question: Question, ours: Said, theirs: Said) -> bool:
    """A host without an address, and the names above it, exist."""
    below = any(name.is_subdomain(question.name) for name in scene.declared)
    if ours.rcode == "SERVFAIL":
        return below and ours.ede == _WAITING and not ours.answer
    nodata = ours.rcode == "NOERROR" and ours.aa and not ours.answer and bool(ours.authority)
    return below and theirs.rcode == "NXDOMAIN" and nodata


def _fallback(scene: Scene, question: Question, ours: Said, theirs: Said) -> bool:
    """A name in a zone that only falls back to the mesh."""
    inside = any(question.name.is_subdomain(zone) for zone in scene.fallback)
    return inside and theirs.rcode == "REFUSED" and ours.aa and ours.rcode in ("NOERROR", "NXDOMAIN")


RULES: Final = (
    Rule("meta types", "RFC 6895 3.1: they are no data types; FORMERR, and REFUSED for transfers", _meta),
    Rule("classes", "there is data in class IN alone; NSD takes class ANY for IN", _class),
    Rule(
        "special names", "RFC 6761, RFC 6303: answered locally; so is the root's NS, CoreDNS's sign of life", _special
    ),
    Rule(
        "wildcards as in Istio", "a wildcard covers what lies below names that exist, without `wildcards: dns`", _istio
    ),
    Rule(
        "service labels", "SRV follows from declared ports and is not printed; no wildcard covers others", _underscore
    ),
    Rule("fallback zones", "what the mesh answers in another server's zone is no zone of its own to print", _fallback),
    Rule("names in a cluster", "`<cluster>.<host>` follows from the host and is not printed", _in_cluster),
    Rule("hosts without an address", "declared, so they exist: no data, or SERVFAIL while one is awaited", _declared),
)


def check(scene: Scene, question: Question) -> None:
    """Fail where the two differ without a rule that says how."""
    ours, theirs = scene.put(question, scene.ours), scene.put(question, scene.golden)
    scene.asked += 1
    if ours.same(theirs):
        return
    rule = next((rule for rule in RULES if rule.allows(scene, question, ours, theirs)), None)
    assert rule is not None, f"{question}\nmeshdns: {ours}\nNSD:     {theirs}"
    scene.differences[rule.name] += 1


def explore(scene: Scene, examples: int) -> None:
    """Put so many random questions to both; raises the first difference that no rule allows."""

    @settings(max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(questions(scene))
    def put(question: Question) -> None:
        check(scene, question)

    put()
