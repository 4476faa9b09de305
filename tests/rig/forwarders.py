"""Other forwarders of given upstreams, each with the cache and the serving of expired answers that it has.

`routes` are loopback ports by zone (``.`` or ``corp.example``); what no zone holds is asked of that of ``.``.
"""

from collections.abc import Mapping

from tests.rig.coredns import CoreDNS
from tests.rig.dnsmasq import Dnsmasq
from tests.rig.named import Named
from tests.rig.ports import LOOPBACK
from tests.rig.unbound import Unbound

_STALE_AFTER = 1500
"""Milliseconds of waiting before an expired answer is given, where it can be said; stubs wait for 2 s (RFC 8767 5)."""


def forwarding_unbound(routes: Mapping[str, int]) -> Unbound:
    """Unbound with ``serve-expired`` and connections enough; its own zone for test is taken out."""
    zones = "".join(
        f'forward-zone:\n  name: "{zone}"\n  forward-addr: {LOOPBACK}@{port}\n' for zone, port in routes.items()
    )
    return Unbound(
        config=f"""\
  log-queries: no
  outgoing-num-tcp: 200
  incoming-num-tcp: 200
  local-zone: "test." nodefault
  serve-expired: yes
  serve-expired-client-timeout: {_STALE_AFTER}
{zones}"""
    )


def forwarding_dnsmasq(routes: Mapping[str, int]) -> Dnsmasq:
    """The program dnsmasq with ``use-stale-cache``."""
    servers = [
        f"--server={LOOPBACK}#{port}" if zone == "." else f"--server=/{zone}/{LOOPBACK}#{port}"
        for zone, port in routes.items()
    ]
    return Dnsmasq("--cache-size=10000", "--dns-forward-max=2000", "--use-stale-cache", *servers)


def forwarding_named(routes: Mapping[str, int]) -> Named:
    """BIND that forwards and never iterates, with ``stale-answer-enable``."""
    zones = "".join(
        f'zone "{zone}" {{ type forward; forward only; forwarders {{ {LOOPBACK} port {port}; }}; }};\n'
        for zone, port in routes.items()
        if zone != "."
    )
    options = f"""\
  forward only;
  forwarders {{ {LOOPBACK} port {routes["."]}; }};
  stale-cache-enable yes;
  stale-answer-enable yes;
  stale-answer-client-timeout {_STALE_AFTER};"""
    return Named(options, zones)


def forwarding_coredns(routes: Mapping[str, int]) -> CoreDNS:
    """CoreDNS with ``forward`` and ``cache``, which keeps answers for one second at least and serves expired ones."""
    blocks = (
        f"""\
{zone} {{
  bind {LOOPBACK}
  cache {{
    success 10000 3600 1
    serve_stale
  }}
  forward . {LOOPBACK}:{port}
}}
"""
        for zone, port in routes.items()
    )
    return CoreDNS("".join(blocks))
