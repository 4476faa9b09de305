"""The authorities that are compared: meshdns on a zone, and NSD with the same zone as meshdns prints it."""

import contextlib
import subprocess
from collections.abc import Iterator, Mapping

from tests.conformance.cases import RECORDS
from tests.e2e import boutique
from tests.e2e.instance import Instance, on_boutique, wait_until_ready
from tests.rig.nameserver import NameServer
from tests.rig.nsd import Nsd


class MinimalNsd(Nsd):
    """NSD without NS and addresses beside positive answers, which nobody needs (row 24), and without a rate limit."""

    def files(self) -> Mapping[str, str]:
        """The configuration with two options more."""
        files = dict(super().files())
        more = "server:\n  minimal-responses: yes\n  rrl-ratelimit: 0"
        return {**files, "nsd.conf": files["nsd.conf"].replace("server:", more, 1)}


@contextlib.contextmanager
def checklist_instance(resolver: NameServer) -> Iterator[Instance]:
    """An instance on Online Boutique and the records of the checklist, with the wildcards of RFC 4592."""
    zone = {"name": "global", "wildcards": "dns"}
    with on_boutique(boutique.ZONE, resolver, zones=[zone], records=RECORDS) as instance:
        wait_until_ready(instance)
        yield instance


def printed_zone(instance: Instance, zone: str = "global") -> str:
    """The master file that meshdns prints for the settings of an instance."""
    told = [instance.command()[0], "zone", zone, "--config", str(instance.folder / "meshdns.yaml")]
    return subprocess.run(told, capture_output=True, text=True, check=True, timeout=60).stdout


def golden_nsd(instance: Instance) -> Nsd:
    """NSD with the zone of an instance."""
    return MinimalNsd({"global": printed_zone(instance)})
