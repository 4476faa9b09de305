"""Configurations for the DNS of a cluster: kube-dns, CoreDNS and their operators, as texts and as manifests.

Each `…_text` puts our zones into the text that is deployed (empty where there is none); each `…_manifest` makes of such
a text what can be applied.
"""

import json
from typing import Any, Final

import msgspec

from meshdns.stubdomains.corefile import server_block, with_server_block
from meshdns.stubdomains.stub import StubDomain, StubDomainError

_SERVER: Final = "meshdns"  # the name of our entry in OpenShift's list


def stub_domains_text(stub: StubDomain, deployed: str) -> str:
    """The JSON of kube-dns's key ``stubDomains`` (kubernetes/dns pkg/dns/config): servers by domain."""
    try:
        known = json.loads(deployed or "{}")
    except ValueError:
        known = None
    if not isinstance(known, dict):
        raise StubDomainError("the deployed stubDomains are no JSON object; correct them with kubectl edit")
    return json.dumps({**known, **{zone: [stub.host_port] for zone in stub.zones}}, indent=2) + "\n"


def stub_domains_manifest(text: str) -> str:
    """The ConfigMap of kube-dns with that key alone: applied by the server, it leaves other keys."""
    return _config_map("kube-dns", "stubDomains", text)


def corefile_text(stub: StubDomain, deployed: str) -> str:
    """The Corefile with our server block; the block alone where none is deployed."""
    if not deployed and stub.fallback:
        zones = ", ".join(stub.fallback)
        raise StubDomainError(
            f"{zones} goes into the Corefile's own clauses; name it with --file, or name its --context"
        )
    return with_server_block(stub, deployed) if deployed else server_block(stub)


def whole_corefile_text(stub: StubDomain, deployed: str) -> str:
    """The Corefile with our server block, where only a whole one can be set."""
    if not deployed:
        raise StubDomainError("the whole Corefile is replaced; name the present one with --file, or name its --context")
    return with_server_block(stub, deployed)


def add_on_manifest(text: str) -> str:
    """The configuration values of EKS's add-on ``coredns``."""
    return json.dumps({"corefile": text}, indent=2) + "\n"


def server_block_text(stub: StubDomain, deployed: str) -> str:  # noqa: ARG001 — one of a table: nothing is kept
    """The file ``meshdns.server``, which is ours alone."""
    return server_block(stub)


def custom_manifest(text: str) -> str:
    """The ConfigMap that AKS, k3s and RKE2 let be written; its keys end with ``.server``."""
    return _config_map("coredns-custom", "meshdns.server", text)


def servers_text(stub: StubDomain, deployed: str) -> str:
    """``spec.servers`` of OpenShift's DNS operator (openshift/api operator/v1 types_dns.go), as JSON."""
    try:
        known = json.loads(deployed or "[]")
    except ValueError:
        known = None
    if not isinstance(known, list):
        raise StubDomainError("the deployed spec.servers are no list; name them as JSON, as oc get -o json prints them")
    ours = {
        "name": _SERVER,
        "zones": list(stub.zones),
        "forwardPlugin": {"policy": "Random", "upstreams": [stub.host_port]},
    }
    others = [server for server in known if not (isinstance(server, dict) and server.get("name") == _SERVER)]
    return json.dumps([*others, ours], indent=2) + "\n"


def servers_manifest(text: str) -> str:
    """The operator's resource, as a merge patch takes it: the list replaces the deployed one."""
    return _manifest(
        {
            "apiVersion": "operator.openshift.io/v1",
            "kind": "DNS",
            "metadata": {"name": "default"},
            "spec": {"servers": json.loads(text)},
        }
    )


def _config_map(name: str, key: str, text: str) -> str:
    indented = "".join(f"    {line}\n" if line else "\n" for line in text.splitlines())
    return f"""\
apiVersion: v1
kind: ConfigMap
metadata:
  name: {name}
  namespace: kube-system
data:
  {key}: |
{indented}"""


def _manifest(value: Any) -> str:
    """JSON, which is YAML too: the core reads and writes no YAML."""
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode() + "\n"
