"""dig tells why a name that a cluster declares is not served here, as ``meshdns explain`` does."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.instance import Instance, wait_until_ready
from tests.rig.waiting import eventually

pytestmark = pytest.mark.rig

HIDDEN = "18 (Prohibited): (known in cluster west, but it is not exported to all)"
PRIVATE = "0 (Other): (known in cluster west: a private address of another network, ...)"
WHOLE = {  # over TCP, where there is room for all of it
    HIDDEN: "18 (Prohibited): (known in cluster west, but it is not exported to all; see meshdns explain)",
    PRIVATE: "0 (Other): (known in cluster west: a private address of another network, and nothing may carry it; "
    "see meshdns explain)",
}
CLOSED = "18 (Prohibited): (this name is not exported to here; see meshdns explain)"


def entry(host: str, address: str, **spec: Any) -> dict[str, Any]:
    """A ServiceEntry for a host at one address."""
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "ServiceEntry",
        "metadata": {"name": host.partition(".")[0].replace("*", "any"), "namespace": "prod"},
        "spec": {
            "hosts": [host],
            "location": "MESH_INTERNAL",
            "resolution": "STATIC",
            "endpoints": [{"address": address}],
            **spec,
        },
    }


WEST = {
    "shop": entry("shop.prod.global", "203.0.113.7"),
    "shopp": entry("shopp.prod.global", "203.0.113.8", exportTo=["."]),
    "any": entry("*.inside.global", "203.0.113.9", exportTo=["istio-system"]),
    "books": entry("books.prod.global", "10.1.2.3", location="MESH_EXTERNAL"),
}


def write(folder: Path, entries: Mapping[str, Mapping[str, Any]]) -> None:
    """Write the ServiceEntries of cluster west, each in a file of its own; cluster east declares nothing."""
    for cluster in ("east", "west"):
        (folder / cluster).mkdir(exist_ok=True)
    for name, manifest in entries.items():
        (folder / "west" / f"{name}.yaml").write_text(yaml.safe_dump(manifest))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of two clusters."""
    write(tmp_path, WEST)
    return tmp_path


def from_east(folder: Path, **settings: Any) -> Instance:
    """An instance in cluster east."""
    source = {"kind": "manifests", "path": str(folder)}
    vantage = {"cluster": "east"}
    return Instance({"sources": [source], "vantage": vantage, "allowDebug": ["127.0.0.0/8"], **settings})


@pytest.fixture
def instance(folder: Path) -> Iterator[Instance]:
    """One that is ready."""
    with from_east(folder) as instance:
        wait_until_ready(instance)
        yield instance


@pytest.mark.parametrize(
    ("asked", "status", "error"),
    [
        ("shopp.prod.global", "NXDOMAIN", HIDDEN),
        ("one.inside.global", "NXDOMAIN", HIDDEN),
        ("books.prod.global", "NOERROR", PRIVATE),
        ("shoop.prod.global", "NXDOMAIN", "0 (Other): (no such name; nearest: shop.prod.global)"),
    ],
    ids=["not exported", "wildcard not exported", "private", "unknown"],
)
def test_a_denial_says_why(instance: Instance, asked: str, status: str, error: str) -> None:
    """What is declared and not served has its reason, and only what nobody declares the nearest name."""
    reply = instance.ask(asked)
    assert (reply.status, reply.ede) == (status, (error,))
    assert instance.ask(asked, tcp=True).ede == (WHOLE.get(error, error),)


def test_the_reason_goes_with_its_cause(instance: Instance, folder: Path) -> None:
    """Exported, the name is served without a word; hidden again, it is told again; removed, it is as unknown as any."""
    write(folder, {"shopp": entry("shopp.prod.global", "203.0.113.8")})
    eventually(lambda: instance.addresses("shopp.prod.global") == ["203.0.113.8"], what="it is served")
    assert instance.ask("shopp.prod.global", "AAAA").ede == ()
    write(folder, {"shopp": WEST["shopp"]})
    eventually(lambda: instance.ask("shopp.prod.global").ede == (HIDDEN,), what="it is refused")
    (folder / "west" / "shopp.yaml").unlink()
    nearest = ("0 (Other): (no such name; nearest: shop.prod.global)",)
    eventually(lambda: instance.ask("shopp.prod.global").ede == nearest, what="it is unknown")


def test_who_may_not_debug_learns_of_no_cluster(folder: Path) -> None:
    """Where allowDebug names others, the fact alone is told."""
    with from_east(folder, allowDebug=["192.0.2.0/24"]) as instance:
        wait_until_ready(instance)
        assert instance.ask("shopp.prod.global").ede == (CLOSED,)
