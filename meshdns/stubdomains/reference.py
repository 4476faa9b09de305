"""The page on stub domains, from the texts that are printed.

``python -m meshdns.stubdomains.reference > docs/stub-domains.md`` writes it.
"""

import sys
from collections.abc import Iterator
from typing import Final

from meshdns.stubdomains.stub import StubDomain, StubDomainError
from meshdns.stubdomains.targets import TARGETS, Snippet, Target

_STUB: Final = StubDomain(("global",), "10.96.0.53")
_FALLBACK: Final = StubDomain(("global",), "10.96.0.53", fallback=("cluster.local",))
_COREFILE: Final = """\
.:53 {
    errors
    health
    ready
    kubernetes cluster.local in-addr.arpa ip6.arpa {
        pods insecure
        fallthrough in-addr.arpa ip6.arpa
        ttl 30
    }
    forward . /etc/resolv.conf
    cache 30
    reload
    loadbalance
}
"""

_HEAD: Final = """\
# Stub domains

meshdns answers `*.global`; the DNS that clients ask must send that zone to it. `meshdns stub-domain print` writes what
each kind of server is to be told, with the ClusterIP of the Service `meshdns` filled in (read with your kubeconfig, or
given with `--ip`), `diff` compares what is deployed, and `check` asks through the whole chain.

    meshdns stub-domain print --target coredns --context east
    meshdns stub-domain diff --target coredns --context east
    meshdns stub-domain check --via 10.96.0.10

`--zone` (repeatable) names other zones than `global`. `--port` is meshdns's port where it is not 53. `--file` names
what is deployed where the cluster cannot be read: the text itself, or the object as `kubectl get -o json` prints it.

**`global` is a signed public top-level domain.** A server that validates finds in the root that `global` is signed,
gets answers without signatures from meshdns, and says SERVFAIL. What is printed for validating servers therefore
excepts the zone, and so does what is printed for servers that refuse private addresses from outside (rebinding).

Clusters whose DNS cannot be told (GKE Autopilot, EKS Auto Mode) leave the pod's own settings: meshdns then forwards
everything else.

```yaml
dnsPolicy: None
dnsConfig:
  nameservers: [10.96.0.53]
  searches: [default.svc.cluster.local, svc.cluster.local, cluster.local]
  options: [{name: ndots, value: "5"}]
```

"""

_CHECK: Final = """\
## Which hop is wrong

`meshdns stub-domain check --via IP` asks the DNS that clients ask for `whoami.<zone>` TXT, which meshdns alone answers
(with the address that asked it), for a random name, and again without validation; with `--server`, meshdns itself. It
ends with 0 where names resolve.

| verdict | what was seen | what to do |
|---|---|---|
| sound | the marker came back, and a random name is denied by meshdns | nothing |
| fallthrough | the same, but unknown names are denied by the public DNS | `fallthrough: false`, unless it is meant |
| not ready | the marker, but SERVFAIL for a random name | `meshdns get clusters` |
| no answer | nobody replies at that address at all | check address and port |
| refused | it refuses every query from here | ask from where clients are, or allow this address |
| zone refused | REFUSED for this zone alone | no stub domain, or `allowQuery` of meshdns lacks that server |
| validation | SERVFAIL, and the marker once validation is off | except the zone from validation |
| hop to meshdns | SERVFAIL or silence, while meshdns itself answers | its address and port there, network policies |
| meshdns silent | the same, and meshdns is silent too | `/ready`, endpoints of the Service |
| not meshdns | what `--server` names does not speak for the zone | the right address, or the zone in its settings |
| behind | SERVFAIL or silence, and `--server` was not given | give it |
| cached denial | the marker is denied by others, a random name by meshdns | wait for the TTL it names, or flush |
| public root | the root says that there is no such zone | the stub domain is missing |
| others | somebody else's SOA or TXT | the stub domain is missing |

The marker may come out of a cache for some seconds, so a meshdns that has just gone shows as *not ready* unless
`--server` is given. Ask from a machine or pod without a sidecar: its DNS capture would ask other servers than `--via`.

"""

_FALLBACK_HEAD: Final = """\
## Remote Kubernetes names

With `--fallback cluster.local`, names of the cluster's own domain that it denies are asked here, too. That needs the
zone under `fallback` in meshdns's settings, with `upstream: none` where the cluster's DNS falls through to meshdns.
Targets whose clause `kubernetes` is not yours refuse it. For CoreDNS, the Corefile of kubeadm becomes:

"""


def reference() -> str:
    """The text of ``docs/stub-domains.md``."""
    sections = "".join("\n".join(_section(target)) + "\n" for target in TARGETS.values())
    corefile = TARGETS["coredns"].snippets[0].text(_FALLBACK, _COREFILE)
    return f"{_HEAD}{sections}{_FALLBACK_HEAD}```\n{corefile}```\n\n{_CHECK}".rstrip() + "\n"


def _section(target: Target) -> Iterator[str]:
    yield f"## {target.name}\n"
    yield f"{target.title}.\n"
    for part in target.snippets:
        yield f"{part.place}:\n\n```\n{_sample(part)}```\n"
    yield "Then:\n"
    for step in target.steps:
        yield f"    {step}"
    if target.whole_steps:
        yield "\nOr, with all that is deployed:\n"
        for step in target.whole_steps:
            yield f"    {step}"
    yield f"\nWhen it counts: {target.effect}.\n"


def _sample(part: Snippet) -> str:
    """What is printed, beside kubeadm's Corefile where a whole one is needed."""
    try:
        return part.render(_STUB)
    except StubDomainError:
        return part.render(_STUB, _COREFILE)


if __name__ == "__main__":
    sys.stdout.write(reference())
