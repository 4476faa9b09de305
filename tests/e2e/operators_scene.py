"""An operator on call: four faults, and the two commands each that find them; in a network namespace of its own.

``unshare --net python -m tests.e2e.operators_scene`` prints ``docs/debugging.md`` and ends with status 0. What differs
from run to run (ids, ports, times) is written as a placeholder.
"""

import asyncio
import base64
import contextlib
import json
import re
import shlex
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import yaml

from meshdns.mesh.objects.declarations import ObjectKind
from meshdns.sources.kube.resources import RESOURCES
from tests.e2e.gateway_scene import cluster, gateway, own
from tests.e2e.instance import Instance
from tests.rig.packages import program as program_of_debian
from tests.rig.waiting import eventually
from tests.sources.fake_api_server import FakeApiServer

SHOP: Final = "shop.default.global"
CART: Final = "cart.prod.global"
REPORTS: Final = "reports.prod.global"
REFUSED: Final = "the credentials are not accepted (Unauthorized)"
LIFE: Final = 10  # seconds until the token expires, by when its watches are open
GATEWAYS: Final = {"east": "203.0.113.10", "west": "203.0.113.20", "north": "203.0.113.30"}

HEAD: Final = """\
# Debugging by two commands

What a person on call types, and what is seen. Every case is played by `tests/e2e/test_operators_path.py`, which keeps
this page true: the server stands in cluster `east`, reads `east` and `north` from a folder, and `west` from its API
server.

Begin with what was complained of, and `dig` it at the server itself: what stands in front drops the line `; EDE:`,
which says why. Where nothing certain was complained of, begin with `/metrics` (the alerts in `deploy/prometheus` watch
the same numbers), with `meshdns get clusters` or with `meshdns get problems`. `meshdns explain <name>` tells the rest;
on a machine that has only `dig`, so do `dig _explain.<name> TXT` and `dig _status.<zone> TXT`, if `allowDebug` admits
it as here; by default it admits nobody where a listener is on loopback, since a cache on this machine asks there for
all of its clients.
"""

_NOISE: Final = re.compile(
    r"^(; <<>>|; \(1 server|;; (global options|Got answer|Query time|SERVER|WHEN|MSG SIZE)|# ).*\n", re.MULTILINE
)


class Story:
    """Commands that are run in turn against one instance, and what they printed."""

    def __init__(self, instance: Instance, folder: Path) -> None:
        self._instance = instance
        self._folder = folder
        self._text = [HEAD]

    def case(self, title: str, words: str) -> None:
        """Begin a case."""
        self._text.append(f"\n## {title}\n\n{_filled(words)}\n")

    def run(self, shown: str, *expected: str) -> None:
        """Run a command as it is shown, but for where the server is; what is `expected` is printed."""
        done = subprocess.run(["sh", "-c", self._real(shown)], capture_output=True, text=True, check=False)
        printed = self._stable(done.stdout)
        assert all(words in printed for words in expected), f"{shown}: {printed}{done.stderr}"
        self._text.append(f"\n```console\n$ {shown}\n{printed.strip()}\n```\n")

    def say(self, words: str) -> None:
        """Say what that means."""
        self._text.append(f"\n{_filled(words)}\n")

    @property
    def text(self) -> str:
        """All of it."""
        return "".join(self._text)

    def _real(self, shown: str) -> str:
        instance = self._instance
        program = shlex.quote(str(Path(sys.executable).with_name("meshdns")))
        config = f"--config {shlex.quote(str(instance.folder / 'meshdns.yaml'))}"
        real = re.sub(r"^meshdns (\w+)", rf"{program} \1 {config}", shown)
        real = real.replace("localhost:9153", f"{instance.address}:{instance.http}")
        real = real.replace("@localhost", f"@{instance.address} -p {instance.port} -r")
        return re.sub(r"^dig\b", program_of_debian("dig"), real)

    def _stable(self, printed: str) -> str:
        """The same in every run; what stands in a column keeps its width."""
        printed = _NOISE.sub("", printed)
        printed = printed.replace(str(self._folder), "/etc/meshdns".ljust(len(str(self._folder))))
        printed = re.sub(r"(?<=  )\d+[hms]\d*[hms]? +(?=\S)", lambda match: "9s".ljust(len(match[0])), printed)
        printed = re.sub(r"(/etc/meshdns)( +)(/[\w/]+(?:, context \w+)?)", r"\1\3\2", printed)
        for found, placeholder in (
            (r"http://127\.0\.0\.1:\d+", "https://west.example:6443"),
            (r"id: \d+", "id: 4711"),
            (r"COOKIE: \w+ \(good\)", "COOKIE: … (good)"),
            (r"(hostmaster\.global\.|serial) \d+", r"\1 42"),
            (r"\b1\.\d+e\+09", "1.8e+09"),
            (r"[ \t]+$", ""),
        ):
            printed = re.sub(found, placeholder, printed, flags=re.MULTILINE)
        return printed


def _filled(words: str) -> str:
    return textwrap.fill(words, 120, break_long_words=False, break_on_hyphens=False)


@contextlib.contextmanager
def api_server() -> Iterator[tuple[FakeApiServer, asyncio.AbstractEventLoop]]:
    """An API server in a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    api = FakeApiServer()
    asyncio.run_coroutine_threadsafe(api.start(), loop).result(10)
    try:
        yield api, loop
    finally:
        asyncio.run_coroutine_threadsafe(api.stop(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def expire(api: FakeApiServer) -> None:
    """The server accepts the token no more, and ends the watches that it has, in good order."""
    api.token = ""
    for path in list(api.watches):
        await api.end_watches(path)


def token(expires: float) -> str:
    """A service account's token by its form, with its end inside."""
    claims = base64.urlsafe_b64encode(json.dumps({"exp": int(expires)}).encode()).decode().rstrip("=")
    return f"eyJhbGciOiJSUzI1NiJ9.{claims}.c2lnbmF0dXJl"


def entry(name: str, created: str, ttl: str, address: str) -> dict[str, Any]:
    """A ServiceEntry for `CART`."""
    annotations = {"meshdns.io/ttl": ttl}
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "ServiceEntry",
        "metadata": {
            "name": name,
            "namespace": "prod",
            "annotations": annotations,
            "creationTimestamp": f"2026-0{created}-01T08:00:00Z",
        },
        "spec": {
            "hosts": [CART],
            "location": "MESH_EXTERNAL",
            "resolution": "STATIC",
            "ports": [{"name": "https", "number": 443, "protocol": "TLS"}],
            "endpoints": [{"address": address}],
        },
    }


def write(folder: Path, api: FakeApiServer) -> None:
    """East with a conflict, west behind an API server, north beside it with the same service."""
    for name in ("east", "north"):
        (folder / "clusters" / name).mkdir(parents=True)
    objects = {name: cluster(name, {"ip": address}, "shop") for name, address in GATEWAYS.items()}
    objects["east"][1]["metadata"]["name"] = "till"
    objects["east"] += [entry("cart", "1", "60", "198.51.100.7"), entry("cart-copy", "2", "5", "198.51.100.8")]
    hidden = entry("reports", "3", "60", "198.51.100.9")
    hidden["spec"] |= {"hosts": [REPORTS], "exportTo": ["."]}
    objects["north"].append(hidden)
    for name in ("east", "north"):
        (folder / "clusters" / name / "all.yaml").write_text(yaml.safe_dump_all(objects[name]))
    api.objects[RESOURCES[ObjectKind.SERVICE].path("v1")] = objects["west"]
    api.token = token(time.time() + LIFE)
    api.kubeconfig(folder / "west", "west", api.token)


def settings(folder: Path) -> dict[str, Any]:
    """How the server is set."""
    return {
        "vantage": {"cluster": "east"},
        "sources": [
            {"kind": "manifests", "path": str(folder / "clusters")},
            {"kind": "kubeconfig", "path": str(folder / "west")},
        ],
        "clusters": {"west": {"readiness": False}},
        "forward": [],
        "allowDebug": ["127.0.0.0/8"],
        "admin": {"socket": "./admin.sock"},
        "probe": {"type": "tcp", "interval": "0.5s"},
    }


def play(story: Story) -> None:
    """All five faults are there at once."""
    story.case("A gateway is dead", f"`{SHOP}` runs in `west` and `north`, and has one address where there were two.")
    story.run(f"dig @localhost {SHOP}", GATEWAYS["west"])
    story.run(f"meshdns explain {SHOP}", "lost: its gateway is unhealthy")
    story.say(
        "The gateway of `north` takes no connections: line 3. `meshdns get gateways` lists the health of all, and so "
        "do the metrics:"
    )
    story.run(
        "curl -s localhost:9153/metrics | grep 'meshdns_gateways.*\"unhealthy\"'",
        'cluster="north",health="unhealthy"} 1.0',
    )
    story.case("A cluster's token has expired", "Answers go on from what was last known; the metrics tell first.")
    story.run("curl -s localhost:9153/metrics | grep expiry", 'cluster="west",renewed="no"')
    story.run("meshdns get clusters", REFUSED)
    story.say(
        "West refuses the token, which nothing renews; after 90 seconds without contact its answers are marked as "
        "stale (EDE 3). Make a new one with `meshdns remote kubeconfig`. With `dig` alone:"
    )
    story.run("dig @localhost _status.global TXT +short", "west=synced", REFUSED)
    story.case("A name is in conflict", f"`{CART}` has another TTL than the one that was set.")
    story.run(f"dig @localhost {CART} +noall +answer | sort", "60", "198.51.100.8")
    story.run(f"meshdns explain {CART}", "5 contradicts 60 of ServiceEntry prod/cart, which wins")
    story.say("Two ServiceEntries declare it. All such conflicts, whether or not anybody complained:")
    story.run("meshdns get problems", "5 contradicts 60")
    story.case("A client asks for a wrong name", "An application finds no host; its log names the host.")
    story.run("dig @localhost shopp.default.global", "NXDOMAIN", f"(no such name; nearest: {SHOP})")
    story.say("Which clients ask for what does not exist is seen live with `meshdns tail --rcode NXDOMAIN`.")
    story.case("A name is declared and not served", f"`{REPORTS}` is there in `north`, and here it is denied.")
    story.run(f"dig @localhost {REPORTS}", "NXDOMAIN", "EDE: 18 (Prohibited): (known in cluster north, but it is not")
    story.run(f"meshdns explain {REPORTS}", "is not exported to all")
    story.say(
        "What may not be served is EDE 18 (Prohibited), what is declared and cannot be reached from here is NODATA "
        "with EDE 0 (Other), each with its reason, as far as `dig` sends an option (its cookie is one). Who is not in "
        "`allowDebug` is told neither cluster nor reason."
    )


def main() -> None:
    """Play the scene and print the text."""
    own(*GATEWAYS.values())
    with TemporaryDirectory() as place, api_server() as (api, loop), contextlib.ExitStack() as alive:
        folder = Path(place)
        write(folder, api)
        dead = alive.enter_context(contextlib.ExitStack())
        for cluster_name in ("east", "west"):
            alive.enter_context(gateway(GATEWAYS[cluster_name]))
        dead.enter_context(gateway(GATEWAYS["north"]))
        with Instance(settings(folder)) as instance:
            eventually(lambda: len(instance.addresses(SHOP)) == 2, what="both clusters answer", within=60)
            expiry = "meshdns_cluster_token_expiry_timestamp_seconds"
            eventually(lambda: time.time() > instance.metric(expiry, cluster="west"), what="the token ends", within=60)
            dead.close()
            asyncio.run_coroutine_threadsafe(expire(api), loop).result(10)
            eventually(lambda: instance.addresses(SHOP) == [GATEWAYS["west"]], what="the gateway is dead", within=60)
            unhealthy = {"cluster": "north", "health": "unhealthy"}
            eventually(lambda: instance.metric("meshdns_gateways", **unhealthy) == 1, what="it is counted", within=60)
            eventually(lambda: REFUSED in instance.ask("_status.global", "TXT").text, what="it is refused", within=60)
            story = Story(instance, folder)
            play(story)
            sys.stdout.write(story.text)


if __name__ == "__main__":
    main()
