"""The names that every server of a comparison serves, in each server's own form."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

ZONE = "global"
TTL = 30  # seconds, meshdns's own default
NAMESPACE = "shop"
_FIRST = IPv4Address("203.1.0.0")  # public, so that meshdns serves it as it is, whatever it stands in
_PER_FILE = 1000


@dataclass(frozen=True)
class Population:
    """`count` names (``svc-00042.shop.global``) with `each` IPv4 addresses."""

    count: int = 10_000
    each: int = 1

    def name(self, number: int) -> str:
        """The name of a number from 0 to count - 1, without the trailing dot."""
        return f"svc-{number:05d}.{NAMESPACE}.{ZONE}"

    def addresses(self, number: int) -> list[str]:
        """The addresses of the name of that number."""
        return [str(_FIRST + number * self.each + i) for i in range(self.each)]

    def records(self) -> Iterator[tuple[str, str]]:
        """Every name with every address of it."""
        for number in range(self.count):
            for address in self.addresses(number):
                yield self.name(number), address

    def hosts_file(self) -> str:
        """As /etc/hosts has it."""
        return "".join(f"{address} {name}\n" for name, address in self.records())

    def master_file(self) -> str:
        """As the master file of the zone (RFC 1035 section 5)."""
        head = f"$TTL {TTL}\n@ SOA ns hostmaster 1 7200 1800 86400 5\n@ NS ns\nns A 192.0.2.53\n"
        return head + "".join(f"{name}. A {address}\n" for name, address in self.records())

    def local_data(self) -> list[str]:
        """As Unbound's local-data."""
        return [f"{name}. {TTL} IN A {address}" for name, address in self.records()]

    def service_entries(self) -> Iterator[dict[str, Any]]:
        """As one ServiceEntry per name."""
        for number in range(self.count):
            yield service_entry(f"svc-{number:05d}", self.name(number), self.addresses(number))

    def services(self) -> Iterator[dict[str, Any]]:
        """As one Service per name (`service_name`), each with a cluster address of its own."""
        for number in range(self.count):
            yield {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {"name": f"svc-{number:05d}"},
                "spec": {"ports": [{"name": "http", "port": 80}], "selector": {"app": f"svc-{number:05d}"}},
            }

    def write_clusters(self, folder: Path) -> Path:
        """As a folder of clusters with the one cluster east; `folder`."""
        cluster = folder / "east"
        cluster.mkdir(parents=True)
        entries = list(self.service_entries())
        for start in range(0, len(entries), _PER_FILE):
            items = {"apiVersion": "v1", "kind": "List", "items": entries[start : start + _PER_FILE]}
            (cluster / f"entries-{start // _PER_FILE:03d}.json").write_text(json.dumps(items))
        return folder


def service_name(number: int) -> str:
    """The name of the Service of a number from 0 to count - 1, without the trailing dot."""
    return f"svc-{number:05d}.default.svc.cluster.local"


def service_entry(name: str, host: str, addresses: list[str]) -> dict[str, Any]:
    """A ServiceEntry of a service that is reached at public addresses."""
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "ServiceEntry",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "hosts": [host],
            "location": "MESH_INTERNAL",
            "resolution": "STATIC",
            "ports": [{"number": 80, "name": "http", "protocol": "HTTP"}],
            "endpoints": [{"address": address} for address in addresses],
        },
    }
