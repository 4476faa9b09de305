"""Servers that can be configured with a stub domain: one row each, with its snippets and when they take effect.

What a snippet prints is its text, or the manifest made of it; what is compared with a deployed one is the text.
"""

import json
from collections.abc import Callable
from typing import Final, NamedTuple

from meshdns.stubdomains import clusterdns, resolvers
from meshdns.stubdomains.stub import StubDomain, StubDomainError


class ApiLocation(NamedTuple):
    """The place of a text in the API: the path of its object, and the keys that lead to it there."""

    object_path: str
    keys: tuple[str, ...]


class Snippet(NamedTuple):
    """One thing to write. `text` takes the stub domain and the deployed text, and may raise `StubDomainError`.

    `manifest` makes of a text what is applied; `comment_sign` begins a comment, empty where the format has none;
    `location` says where it is deployed in an API. With `is_shared` others write in it too, so all of it counts in a
    comparison.
    """

    place: str
    text: Callable[[StubDomain, str], str]
    manifest: Callable[[str], str] | None = None
    comment_sign: str = "#"
    location: ApiLocation | None = None
    is_shared: bool = False

    @property
    def is_overwriting(self) -> bool:
        """Whether what is applied takes the place of what others wrote, so that this must be known."""
        return self.is_shared and self.manifest is not None

    def render(self, stub: StubDomain, deployed: str = "") -> str:
        """All that is to be pasted or applied, under the name of its place. Raises `StubDomainError`."""
        text = self.text(stub, deployed)
        head = f"{self.comment_sign} {self.place}\n" if self.comment_sign else ""
        return head + (self.manifest(text) if self.manifest is not None else text)

    def comparison_lines(self, stub: StubDomain, deployed: str) -> tuple[list[str], list[str]]:
        """The lines that are deployed and those that should be. Raises `StubDomainError`."""
        return self._lines(deployed), self._lines(self.text(stub, deployed))

    def _lines(self, text: str) -> list[str]:
        """JSON in one form; of what is ours alone the lines that say something."""
        try:
            return json.dumps(json.loads(text), indent=2).splitlines()
        except ValueError:
            pass
        lines = text.splitlines()
        return lines if self.is_shared else [line for line in lines if line.strip() and line.lstrip()[0] not in "#;"]


class Target(NamedTuple):
    """A kind of server. `steps` say what to do with the snippets; `effect` says when it counts and ends a sentence.

    `whole_steps` are other steps for a print that holds all that is deployed, where these differ.
    `fallback_unsupported` is empty where fallback zones can be written, else why not and what to do.
    """

    name: str
    title: str
    snippets: tuple[Snippet, ...]
    steps: tuple[str, ...]
    effect: str
    fallback_unsupported: str = ""
    whole_steps: tuple[str, ...] = ()

    @property
    def fallback_upstream(self) -> str:
        """The ``upstream`` that a fallback zone must have in meshdns's settings if this server falls through to it.

        The cluster's DNS has asked itself before it falls through; to ask it again would be a loop.
        """
        return "none" if any(part.location is not None for part in self.snippets) else "[the cluster's DNS]"

    def check_supported(self, stub: StubDomain) -> None:
        """Raise `StubDomainError` if this server cannot be configured so."""
        if stub.fallback and self.fallback_unsupported:
            raise StubDomainError(
                f"{self.name} cannot send {', '.join(stub.fallback)} here: {self.fallback_unsupported}"
            )


_SYSTEM: Final = "/api/v1/namespaces/kube-system/configmaps"
_OWN_DOMAIN: Final = "it refuses the cluster's own domain as a stub domain; use names of your zones instead"
_MANAGED: Final = "the clause kubernetes of its Corefile is managed and does not fall through; use names of your zones"
_COREFILE: Final = ApiLocation(f"{_SYSTEM}/coredns", ("data", "Corefile"))
# By force, because the first writer of the key owns it; what that was is part of what is printed.
_KUBECTL: Final = "kubectl apply --server-side --force-conflicts --field-manager=meshdns -f -"
_APPLY: Final = f"meshdns stub-domain print --target {{name}} | {_KUBECTL}"
_RESTART: Final = "kubectl -n kube-system rollout restart deployment coredns   # where the Corefile has no `reload`"
_KUBELET_DELAY: Final = "kubelet brings a ConfigMap to its pods within about a minute"

_STUB_DOMAINS: Final = Snippet(
    "ConfigMap kube-system/kube-dns, key stubDomains",
    clusterdns.stub_domains_text,
    clusterdns.stub_domains_manifest,
    location=ApiLocation(f"{_SYSTEM}/kube-dns", ("data", "stubDomains")),
    is_shared=True,
)
_CUSTOM: Final = Snippet(
    "ConfigMap kube-system/coredns-custom, key meshdns.server",
    clusterdns.server_block_text,
    clusterdns.custom_manifest,
    location=ApiLocation(f"{_SYSTEM}/coredns-custom", ("data", "meshdns.server")),
)

_TARGETS: Final = (
    Target(
        "kube-dns",
        "kube-dns",
        (_STUB_DOMAINS,),
        (_APPLY.format(name="kube-dns"),),
        f"{_KUBELET_DELAY}; kube-dns looks every 10 s and restarts its dnsmasq",
        _OWN_DOMAIN,
    ),
    Target(
        "coredns",
        "CoreDNS of kubeadm, kops, kubespray and others whose Corefile is yours",
        (
            Snippet(
                "ConfigMap kube-system/coredns, key Corefile",
                clusterdns.corefile_text,
                location=_COREFILE,
                is_shared=True,
            ),
        ),
        ("kubectl -n kube-system edit configmap coredns   # paste it at the end of the Corefile", _RESTART),
        f"{_KUBELET_DELAY}; `reload` sees it up to a minute later",
        whole_steps=(
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
        f"{_KUBELET_DELAY}; NodeLocal DNSCache looks every 10 s",
        _OWN_DOMAIN,
    ),
    Target(
        "openshift",
        "OpenShift",
        (
            Snippet(
                "dns.operator.openshift.io/default, spec.servers",
                clusterdns.servers_text,
                clusterdns.servers_manifest,
                comment_sign="",
                location=ApiLocation("/apis/operator.openshift.io/v1/dnses/default", ("spec", "servers")),
                is_shared=True,
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
            Snippet(
                "configuration values of the add-on coredns",
                clusterdns.whole_corefile_text,
                clusterdns.add_on_manifest,
                comment_sign="",
                location=_COREFILE,
                is_shared=True,
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
        f"{_KUBELET_DELAY}; kube-dns looks every 10 s",
        _OWN_DOMAIN,
    ),
    Target(
        "dnsmasq",
        "dnsmasq, also that of NetworkManager (/etc/NetworkManager/dnsmasq.d)",
        (Snippet("/etc/dnsmasq.d/meshdns.conf", lambda stub, _: resolvers.dnsmasq(stub)),),
        ("systemctl restart dnsmasq",),
        "with the restart",
    ),
    Target(
        "unbound",
        "Unbound",
        (Snippet("/etc/unbound/unbound.conf.d/meshdns.conf", lambda stub, _: resolvers.unbound(stub)),),
        ("unbound-checkconf", "systemctl reload unbound"),
        "with the reload",
    ),
    Target(
        "systemd-resolved",
        "systemd-resolved 246 or newer; it may ask the address other names too, so let meshdns forward to real servers",
        (
            Snippet("/etc/systemd/resolved.conf.d/meshdns.conf", lambda stub, _: resolvers.systemd_resolved(stub)),
            Snippet(
                "/etc/dnssec-trust-anchors.d/meshdns.negative",
                lambda stub, _: resolvers.systemd_resolved_anchors(stub),
                comment_sign=";",
            ),
        ),
        ("systemctl restart systemd-resolved",),
        "with the restart",
    ),
    Target(
        "bind",
        'BIND 9.14 or newer; in `options { … };` write include "/etc/bind/meshdns.options"; and after it the other',
        (
            Snippet("/etc/bind/meshdns.options", lambda stub, _: resolvers.bind_options(stub)),
            Snippet("/etc/bind/meshdns.zones", lambda stub, _: resolvers.bind_zones(stub)),
        ),
        ("named-checkconf", "rndc reconfig"),
        "with the reconfig",
    ),
)

TARGETS: Final = {target.name: target for target in _TARGETS}
"""The rows by the word that asks for them."""
