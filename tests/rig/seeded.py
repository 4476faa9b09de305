"""The data of an etcd whose clusters have their CRDs already, made once and kept beside the components.

The versions of etcd, of kube-apiserver and of the CRDs, and the table below, are the key of the folder. An etcd that
starts on a copy of it has the CRDs of the clusters in the table; other clusters start empty.

Run as ``python -m tests.rig.seeded`` it makes the folder.
"""

import hashlib
import shutil
import sys
from pathlib import Path
from typing import Final, NamedTuple

from tests.rig.apiserver import ApiServer
from tests.rig.build import built_program, crd_folder, kept
from tests.rig.errors import ComponentUnavailable
from tests.rig.etcd import Etcd


class Seed(NamedTuple):
    """A cluster: its prefix in etcd, its range of Service addresses, and the families of its CRDs."""

    prefix: str
    service_cidr: str
    families: tuple[str, ...]


SEEDS: Final = (
    Seed("east", "10.96.0.0/16", ("istio",)),
    Seed("west", "10.97.0.0/16", ("istio",)),
    Seed("platform", "10.96.0.0/16", ("istio", "gateway-api", "prometheus")),
    Seed("cluster1", "10.96.0.0/16", ("istio",)),
    Seed("cluster2", "10.96.0.0/16", ("istio",)),
)


def seeded_data() -> Path:
    """The folder to copy, made if it is not there (a minute); raises `ComponentUnavailable`."""
    made_of = [built_program("etcd").parent, built_program("kube-apiserver").parent, crd_folder("istio").parent]
    key = hashlib.sha256(" ".join([*(folder.name for folder in made_of), repr(SEEDS)]).encode()).hexdigest()
    return kept(f"clusters-{key[:16]}", _make)


def _make(target: Path) -> None:
    with Etcd() as etcd:
        for seed in SEEDS:
            with ApiServer(etcd, seed.prefix, seed.service_cidr) as server:
                server.install_crds(*seed.families)
        etcd.stop()
        shutil.copytree(etcd.data, target, dirs_exist_ok=True)


def main() -> int:
    """Make the folder; the exit status."""
    try:
        seeded_data()
    except ComponentUnavailable as absence:
        sys.stderr.write(f"{absence}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
