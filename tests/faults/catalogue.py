"""The faults: how each begins and ends, and what answers are right meanwhile."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from tests.faults import network
from tests.faults.cluster import CANARY, Cluster

STALE: Final = 104.0  # seconds that a fault lasts which is to make the cluster stale: that takes 90
_HELD: Final = 90.0  # seconds until a loss is believed: a hold of 60, and a list


@dataclass(frozen=True)
class Fault:
    """One fault of a cluster.

    `begins` and `ends` are done by the main thread; the fault lasts `lasts` seconds (0: it has no end of its own, what
    it does stays). `prepared` is done before anybody looks. The canary may be answered with the addresses of `editions`
    and, where it `may_vanish`, with NXDOMAIN; `becomes` is what it is answered with in the end (None: NXDOMAIN).
    """

    name: str
    title: str
    begins: Callable[[Cluster], None]
    ends: Callable[[Cluster], None] = lambda _: None
    prepared: Callable[[Cluster], None] = lambda _: None
    lasts: float = 0.0
    editions: tuple[int, ...] = (0,)
    may_vanish: bool = False
    becomes: int | None = 0
    stays: float = 0.0  # seconds for which the first answer must hold at least
    fails: bool = True  # whether the API server fails as a whole: else only what it refuses is counted
    settles: float = 60.0  # seconds within which all must be well again

    def allowed(self, cluster: Cluster) -> frozenset[str | None]:
        """What the canary may be answered with."""
        addresses = {cluster.address(CANARY, edition) for edition in self.editions}
        return frozenset(addresses | ({None} if self.may_vanish else set()))

    def final(self, cluster: Cluster) -> str | None:
        """What the canary is answered with in the end."""
        return None if self.becomes is None else cluster.address(CANARY, self.becomes)


def _reset(begin: Callable[[Cluster], None]) -> Callable[[Cluster], None]:
    """Do it, then reset the open connections: a server lets a watch go on that it would not open again."""

    def both(cluster: Cluster) -> None:
        begin(cluster)
        network.cut(cluster.outside)

    return both


def _refill(cluster: Cluster) -> None:
    cluster.regain_crd()
    cluster.fill()


WAVES: Final[tuple[tuple[Fault, ...], ...]] = (
    (
        Fault("kill", "killed (SIGKILL), started again", Cluster.kill, Cluster.start, lasts=STALE),
        Fault(
            "stop",
            "stands still (SIGSTOP), goes on",
            lambda each: each.server.pause(),
            lambda each: each.server.resume(),
            lasts=STALE,
        ),
        Fault(
            "black-hole",
            "black hole: packets dropped, no RST",
            lambda each: network.drop(each.outside),
            lambda each: network.pass_on(each.outside),
            lasts=STALE,
        ),
    ),
    (
        Fault("revoke", "token revoked, another one given", _reset(Cluster.expel), Cluster.admit, lasts=STALE),
        Fault(
            "rbac",
            "RBAC rule for Istio's group removed, given back",
            _reset(lambda each: each.withhold("networking.istio.io")),
            Cluster.admit,
            lasts=STALE,
            fails=False,
            settles=75.0,
        ),
        Fault(
            "snapshot",
            "etcd put back to an older snapshot",
            Cluster.go_back,
            may_vanish=True,
            becomes=None,
            stays=60.0,
            fails=False,
            settles=_HELD + 30,
        ),
    ),
    (
        Fault(
            "rotate",
            "token rotated in its file, the old one void",
            _reset(Cluster.rotate),
            prepared=Cluster.admit_by_secret,
            fails=False,
        ),
        Fault(
            "crd",
            "CRD deleted with all objects, created again",
            Cluster.lose_crd,
            _refill,
            lasts=40.0,
            may_vanish=True,
            fails=False,
        ),
        Fault(
            "replace",
            "another cluster behind the same address",
            Cluster.replace,
            editions=(0, 2),
            becomes=2,
            fails=False,
        ),
    ),
)
"""Faults of one wave run side by side, each on a cluster of its own."""
