"""What is printed of the worst object that etcd can hold is bounded."""

import json
from pathlib import Path

import pytest

from tests.cli.command_runner import CommandRunner

PRINTED = 128 * 1024  # bytes

WORST: dict[str, dict[str, object]] = {
    "an annotation of 250 kB": {"metadata": {"name": "a", "annotations": {"meshdns.io/ttl": "x" * 250_000}}},
    "hosts outside of all zones": {"spec": {"hosts": [f"h{at}.example" for at in range(20_000)]}},
    "ports without numbers": {"spec": {"hosts": ["a.global"], "ports": [{}] * 20_000}},
    "faults of many endpoints for many names": {
        "spec": {
            "hosts": [f"h{at}.global" for at in range(20)],
            "resolution": "STATIC",
            "ports": [{"number": 80, "name": "http"}],
            "endpoints": [{"address": f"10.1.{at}.1", "network": "far", "ports": {"http": 81}} for at in range(100)],
        }
    },
}


@pytest.mark.slow
@pytest.mark.parametrize("name", WORST)
def test_check_prints_a_bounded_text(meshdns: CommandRunner, tmp_path: Path, name: str) -> None:
    """All forms of output: the object's problems are listed up to a bound, and the rest is counted."""
    (tmp_path / "clusters" / "east").mkdir(parents=True)
    kind = {"apiVersion": "networking.istio.io/v1", "kind": "ServiceEntry", "metadata": {"name": "a"}}
    (tmp_path / "clusters" / "east" / "a.json").write_text(json.dumps(kind | WORST[name]))
    sources = [{"kind": "manifests", "path": "./clusters"}]
    settings = {"apiVersion": "meshdns/v1", "sources": sources, "zones": [{"name": "global"}]}
    (tmp_path / "meshdns.yaml").write_text(json.dumps(settings))
    ended = meshdns("check", "--all", str(tmp_path / "meshdns.yaml"))
    assert 1 <= ended.out.count("ServiceEntry default/a:") <= 51
    assert len(ended.out) + len(ended.err) < PRINTED
