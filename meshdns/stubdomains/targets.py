"""The servers that can be told of a stub domain: one row each, with what is written where and when it counts.

What a part prints is its text, or the manifest made of it; what is compared with a deployed one is the text.
"""

import json
from collections.abc import Callable
from typing import Final, NamedTuple

from meshdns.stubdomains import clusterdns, resolvers
from meshdns.stubdomains.stub import Stub, StubError


class Live(NamedTuple):
    """Where a text lies in the API: the path of its object, and the keys that lead to it there."""

    path: str
    keys: tuple[str, ...]


class Part(NamedTuple):
    """One thing to write. `text` takes the stub domain and the deployed text, and may raise `StubError`.

    `manifest` makes of a text what is applied; `sign` begins a comment, empty where the format has none; `live` says
    where it is deployed in an API. With `shared` others write in it too, so all of it counts in a comparison.
    """

    place: str
    text: Callable[[Stub, str], str]
    manifest: Callable[[str], str] | None = None
    sign: str = "#"
    live: Live | None = None
    shared: bool = False

    @property
    def replaces(self) -> bool:
        """Whether what is applied takes the place of what others wrote, so that this must be known."""
        return self.shared and self.manifest is not None

    def printed(self, stub: Stub, deployed: str = "") -> str:
        """All that is to be pasted or applied, under the name of its place. Raises `StubError`."""
        text = self.text(stub, deployed)
        head = f"{self.sign} {self.place}\n" if self.sign else ""
        return head + (self.manifest(text) if self.manifest is not None else text)

    def compared(self, stub: Stub, deployed: str) -> tuple[list[str], list[str]]:
        """The lines that are deployed and those that should be. Raises `StubError`."""
        return self._lines(deployed), self._lines(self.text(stub, deployed))

    def _lines(self, text: str) -> list[str]:
        """JSON in one form; of what is ours alone the lines that say something."""
        try:
            return json.dumps(json.loads(text), indent=2).splitlines()
        except ValueError:
            pass
        lines = text.splitlines()
        return lines if self.shared else [line for line in lines if line.strip() and line.lstrip()[0] not in "#;"]


class Target(NamedTuple):
    """A kind of server. `steps` are what to do with the parts; `effect` says when it counts, as the end of a sentence.

    `whole` are other steps for a print that holds all that is deployed, where these differ. `fallback` is empty where
    fallback zones can be written, else why not and what to do.
    """

    name: str
    title: str
    parts: tuple[Part, ...]
    steps: tuple[str, ...]
    effect: str
    fallback: str = ""
    whole: tuple[str, ...] = ()

    @property
    def upstream(self) -> str:
        """What ``upstream`` of a fallback zone must be in meshdns's settings, where this server asks for it.

        The cluster's DNS has asked itself before it falls through; to ask it again would be a loop.
        """
        return "none" if any(part.live is not None for part in self.parts) else "[the cluster's DNS]"

    def check(self, stub: Stub) -> None:
        """Raises `StubError` where this server cannot be told so."""
        if stub.fallback and self.fallback:
            raise StubError(f"{self.name} cannot send {', '.join(stub.fallback)} here: {self.fallback}")


_SYSTEM: Final = "/api/v1/namespaces/kube-system/configmaps"
_OWN_DOMAIN: Final = "it refuses the cluster's own domain as a stub domain; use names of your zones instead"
_MANAGED: Final = "the clause kubernetes of its Corefile is managed and does not fall through; use names of your zones"
_COREFILE: Final = Live(f"{_SYSTEM}/coredns", ("data", "Corefile"))
# By force, because whoever wrote the key first owns it; what that was is part of what is printed.
_KUBECTL: Final = "kubectl apply --server-side --force-conflicts --field-manager=meshdns -f -"
_APPLY: Final = f"meshdns stub-domain print --target {{name}} | {_KUBECTL}"
_RESTART: Final = "kubectl -n kube-system rollout restart deployment coredns   # where the Corefile has no `reload`"
_PATIENCE: Final = "kubelet brings a ConfigMap to its pods within about a minute"

_STUB_DOMAINS: Final = Part(
    "ConfigMap kube-system/kube-dns, key stubDomains",
    clusterdns.stub_domains_text,
    clusterdns.stub_domains_manifest,
    live=Live(f"{_SYSTEM}/kube-dns", ("data", "stubDomains")),
    shared=True,
)
_CUSTOM: Final = Part(
    "ConfigMap kube-system/coredns-custom, key meshdns.server",
    clusterdns.server_block_text,
    clusterdns.custom_manifest,
    live=Live(f"{_SYSTEM}/coredns-custom", ("data", "meshdns.server")),
)

_ALL: Final = (
    Target(
        "kube-dns",
        "kube-dns",
        (_STUB_DOMAINS,),
        (_APPLY.format(name="kube-dns"),),
        f"{_PATIENCE}; kube-dns looks every 10 s and restarts its dnsmasq",
        _OWN_DOMAIN,
    ),
    Target(
        "coredns",
        "CoreDNS of kubeadm, kops, kubespray and others whose Corefile is yours",
        (
            Part(
                "ConfigMap kube-system/coredns, key Corefile",
                clusterdns.corefile_text,
                live=_COREFILE,
                shared=True,
            ),
        ),
        ("kubectl -n kube-system edit configmap coredns   # paste it at the end of the Corefile", _RESTART),
        f"{_PATIENCE}; `reload` sees it up to a minute later",
        whole=(
            "meshdns stub-domain print --target coredns --context CONTEXT > Corefile",
            f"kubectl create cm coredns -n kube-system --from-file=Corefile --dry-run=client -o yaml | {_KUBECTL}",
            _RESTART,
        ),
    ),
    Target(
        "coredns-custom",
        "CoreDNS of k3s, RKE2 and k3d",
        (_CUSTOM,),
        (_APPLY.format(name="coredns-custom"), "kubectl -n kube-system rollout restart deployment coredns"),
        "with the restart; without it up to two minutes",
        _MANAGED,
    ),
    Target(
        "nodelocal",
        "NodeLocal DNSCache, which answers before the cluster's DNS: tell both, or this one alone",
        (_STUB_DOMAINS,),
        (_APPLY.format(name="nodelocal"),),
        f"{_PATIENCE}; NodeLocal DNSCache looks every 10 s",
        _OWN_DOMAIN,
    ),
    Target(
        "openshift",
        "OpenShift",
        (
            Part(
                "dns.operator.openshift.io/default, spec.servers",
                clusterdns.servers_text,
                clusterdns.servers_manifest,
                sign="",
                live=Live("/apis/operator.openshift.io/v1/dnses/default", ("spec", "servers")),
                shared=True,
            ),
        ),
        (
            "meshdns stub-domain print --target openshift > dns.json",
            "oc patch dns.operator.openshift.io default --type merge --patch-file dns.json",
        ),
        "the operator rolls it out at once",
        _OWN_DOMAIN,
    ),
    Target(
        "eks",
        "EKS with the add-on coredns (Auto Mode has no stub domains: use dnsConfig of the pods)",
        (
            Part(
                "configuration values of the add-on coredns",
                clusterdns.whole_corefile_text,
                clusterdns.add_on_manifest,
                sign="",
                live=_COREFILE,
                shared=True,
            ),
        ),
        (
            "meshdns stub-domain print --target eks > values.json",
            "aws eks update-addon --cluster-name CLUSTER --addon-name coredns --configuration-values file://values.json",
        ),
        "the add-on manager rolls it out; values that you set before go into the same file, or they are lost",
    ),
    Target(
        "aks",
        "AKS (with LocalDNS also its profile: kubeDNSOverrides of the node pool)",
        (_CUSTOM,),
        (_APPLY.format(name="aks"), "kubectl -n kube-system rollout restart deployment coredns"),
        "with the restart",
        _MANAGED,
    ),
    Target(
        "gke",
        "GKE Standard (Autopilot uses Cloud DNS, which reads no ConfigMap: make a forwarding zone there)",
        (_STUB_DOMAINS,),
        (_APPLY.format(name="gke"),),
        f"{_PATIENCE}; kube-dns looks every 10 s",
        _OWN_DOMAIN,
    ),
    Target(
        "dnsmasq",
        "dnsmasq, also that of NetworkManager (/etc/NetworkManager/dnsmasq.d)",
        (Part("/etc/dnsmasq.d/meshdns.conf", lambda stub, _: resolvers.dnsmasq(stub)),),
        ("systemctl restart dnsmasq",),
        "with the restart",
    ),
    Target(
        "unbound",
        "Unbound",
        (Part("/etc/unbound/unbound.conf.d/meshdns.conf", lambda stub, _: resolvers.unbound(stub)),),
        ("unbound-checkconf", "systemctl reload unbound"),
        "with the reload",
    ),
    Target(
        "systemd-resolved",
        "systemd-resolved 246 or newer; it may ask the address other names too, so let meshdns forward to real servers",
        (
            Part("/etc/systemd/resolved.conf.d/meshdns.conf", lambda stub, _: resolvers.resolved(stub)),
            Part(
                "/etc/dnssec-trust-anchors.d/meshdns.negative",
                lambda stub, _: resolvers.resolved_anchors(stub),
                sign=";",
            ),
        ),
        ("systemctl restart systemd-resolved",),
        "with the restart",
    ),
    Target(
        "bind",
        'BIND 9.14 or newer; in `options { … };` write include "/etc/bind/meshdns.options"; and after it the other',
        (
            Part("/etc/bind/meshdns.options", lambda stub, _: resolvers.bind_options(stub)),
            Part("/etc/bind/meshdns.zones", lambda stub, _: resolvers.bind_zones(stub)),
        ),
        ("named-checkconf", "rndc reconfig"),
        "with the reconfig",
    ),
)

TARGETS: Final = {target.name: target for target in _ALL}
"""The rows by the word that asks for them."""
