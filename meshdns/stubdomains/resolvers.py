"""Configurations for resolvers on VMs, laptops and in front of clusters, each in a file of ours beside theirs.

`global` is a signed public top-level domain (as may be whatever zone is used): a server that validates finds that our
answers carry no signatures although the root says that they must, and answers SERVFAIL. Each text therefore says that
the zone is not to be validated; and where private addresses are refused from outside, that the zone may hold them.
"""

from ipaddress import ip_address
from typing import Final

from meshdns.stubdomains.stub import StubDomain

_BUILT_IN: Final = (
    "home.arpa",
    "10.in-addr.arpa",
    *(f"{octet}.172.in-addr.arpa" for octet in range(16, 32)),
    "168.192.in-addr.arpa",
    "170.0.0.192.in-addr.arpa",
    "171.0.0.192.in-addr.arpa",
    "d.f.ip6.arpa",
    "ipv4only.arpa",
    "resolver.arpa",
    *("alt", "corp", "home", "internal", "intranet", "lan", "local", "private", "test"),
)
"""Private domains that systemd-resolved leaves unvalidated as long as no file says otherwise."""


def dnsmasq(stub: StubDomain) -> str:
    """A file for ``conf-dir``. Validation is off for domains with servers of their own (dnsmasq(8), ``--server``)."""
    lines = [f"server=/{zone}/{stub.with_port('#')}" for zone in stub.all_zones]
    lines += [f"rebind-domain-ok=/{'/'.join(stub.all_zones)}/"]
    return "\n".join(lines) + "\n"


def unbound(stub: StubDomain) -> str:
    """A file for ``include-toplevel`` (unbound.conf(5))."""
    lines = ["server:"]
    if ip_address(stub.address).is_loopback:
        lines.append("  do-not-query-localhost: no")
    for zone in stub.all_zones:
        lines += [f'  domain-insecure: "{zone}"', f'  private-domain: "{zone}"']
    for zone in stub.all_zones:
        lines += ["forward-zone:", f'  name: "{zone}"', f"  forward-addr: {stub.with_port('@')}"]
    return "\n".join(lines) + "\n"


def bind_options(stub: StubDomain) -> str:
    """A file to be included inside ``options { … };`` of BIND 9.14 or newer."""
    zones = " ".join(f'"{zone}";' for zone in stub.all_zones)
    return f"validate-except {{ {zones} }};\n"


def bind_zones(stub: StubDomain) -> str:
    """A file to be included after ``options { … };``."""
    server = stub.with_port(" port ")
    return "".join(
        f'zone "{zone}" {{ type forward; forward only; forwarders {{ {server}; }}; }};\n' for zone in stub.all_zones
    )


def systemd_resolved(stub: StubDomain) -> str:
    """A drop-in of systemd-resolved: the zones as routing domains, which are not searched (resolved.conf(5))."""
    return f"[Resolve]\nDNS={stub.host_port}\nDomains={' '.join(f'~{zone}' for zone in stub.all_zones)}\n"


def systemd_resolved_anchors(stub: StubDomain) -> str:
    """Negative trust anchors (RFC 7646): with a file of them the built-in ones are gone, so they stand here again."""
    zones = [*stub.all_zones, *(zone for zone in _BUILT_IN if zone not in stub.all_zones)]
    return "\n".join(zones) + "\n"
