"""Which host names are looked up, and for whom: a bounded number of each owner.

Rules:
- A host name of a gateway belongs to the object that holds it, and is urgent: many names rest on it. Any other belongs
  to the namespaces whose declarations hold it.
- Of one owner `MAX_HOSTS_PER_OWNER` host names are looked up. Those that were before stay, others follow in the order
  of the alphabet. What is left out is not absent: it keeps the addresses it had, and is else awaited.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from typing import Final, NamedTuple

from meshdns.mesh.fair_timers import NOBODY, Owner, Owners
from meshdns.mesh.objects.problems import Problem, ProblemKind
from meshdns.mesh.topology import Topology

MAX_HOSTS_PER_OWNER: Final = 500
"""With silent servers these take 8 places for some 7 minutes; with servers that answer, for some seconds."""


class LookupPlan(NamedTuple):
    """The host names to look up with their owners, and how many the owners have that exceed the bound."""

    hosts: Mapping[str, Owners]
    excess: Mapping[Owner, int]

    def problems(self) -> Iterator[tuple[str, Problem]]:
        """The problem of each owner that exceeds the bound, with its cluster."""
        for owner, count in self.excess.items():
            reason = f"its declarations hold {count} host names; {MAX_HOSTS_PER_OWNER} of a namespace are looked up"
            advice = "write addresses, or remove endpoints; names that were looked up keep the addresses they had"
            kind, name = ("Gateway", owner.namespace) if owner.urgent else ("Namespace", owner.namespace)
            yield owner.cluster, Problem(ProblemKind.UNREADABLE, kind, "", name, "", reason, advice)


def plan_lookups(owners: Mapping[str, Owners], before: Collection[str]) -> LookupPlan:
    """Choose among the host names that are wanted, by their owners; `before` are those that were chosen before."""
    counts = Counter(owner for each in owners.values() for owner in each or NOBODY)
    excess = {owner: count for owner, count in counts.items() if count > MAX_HOSTS_PER_OWNER}
    if not excess:
        return LookupPlan(owners, {})
    chosen: dict[str, Owners] = {}
    used: Counter[Owner] = Counter()
    for host in sorted(owners, key=lambda each: (each not in before, each)):
        its = tuple(owner for owner in owners[host] or NOBODY if used[owner] < MAX_HOSTS_PER_OWNER)
        if its:
            used.update(its)
            chosen[host] = its
    return LookupPlan(chosen, dict(sorted(excess.items())))


def gateway_owners(topology: Topology) -> dict[str, Owners]:
    """The owners of each gateway's address or host name: the objects that hold it."""
    found: dict[str, dict[Owner, None]] = {}
    for gateway in topology.all_gateways():
        found.setdefault(gateway.address, {})[Owner(gateway.owner, gateway.origin, urgent=True)] = None
    return {address: tuple(owners) for address, owners in found.items()}
