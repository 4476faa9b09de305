"""An API server whose packets vanish; run in a network namespace of its own.

``unshare --net python -m tests.faults.black_hole_scene`` prints one line for each thing it saw and ends with status 0.
"""

import json
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.e2e.instance import Instance
from tests.faults import network
from tests.faults.cluster import CANARY, FRESH, Cluster
from tests.faults.scenario import say
from tests.rig.waiting import eventually

_NOTICED = 40.0  # seconds; keepalive and user timeout give a dead peer up after 25, and a look takes its time


def scene(cluster: Cluster, instance: Instance) -> None:
    """Drop everything, wait for the reason, and let it pass again."""
    name, right = cluster.host(CANARY), [cluster.address(CANARY)]
    eventually(lambda: instance.addresses(name) == right, what="the name is served", within=60)
    assert reason(instance) == ""
    say("the cluster is synced")
    network.drop(cluster.outside)
    since = time.monotonic()
    while not reason(instance):
        assert time.monotonic() - since < _NOTICED, "nothing was noticed"
        assert instance.addresses(name) == right
    say("a reason is shown, and answers go on")
    cluster.change(FRESH, edition=3)
    network.pass_on(cluster.outside)
    changed = [cluster.address(FRESH, edition=3)]
    eventually(lambda: instance.addresses(cluster.host(FRESH)) == changed, what="a change arrives", within=60)
    eventually(lambda: reason(instance) == "", what="all is well", within=60)
    say("what changed meanwhile is answered")


def reason(instance: Instance) -> str:
    """Why the cluster is not as it should be."""
    program = str(Path(sys.executable).with_name("meshdns"))
    command = [program, "get", "clusters", "-o", "json", "--config", str(instance.folder / "meshdns.yaml")]
    (item,) = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)["items"]
    return str(item.get("reason", ""))


def main() -> None:
    """Play the scene."""
    with TemporaryDirectory() as folder:
        cluster = Cluster("north", 1, Path(folder))
        network.own([cluster.outside])
        with cluster:
            cluster.fill()
            source = {"kind": "kubeconfig", "path": str(cluster.kubeconfig)}
            with Instance({"sources": [source], "admin": {"socket": "./admin.sock"}}) as instance:
                scene(cluster, instance)


if __name__ == "__main__":
    main()
