"""A stub domain: which zones go to which address, and how configuration formats write that address."""

from collections.abc import Collection
from dataclasses import dataclass
from ipaddress import ip_address

from meshdns.dns import names


class StubDomainError(Exception):
    """A stub domain that cannot be written down; the message says what to do."""


@dataclass(frozen=True, slots=True)
class StubDomain:
    """The `zones` and `fallback` zones that are sent to one address: an IP in canonical text, and a port, 1 to 65535.

    In a fallback zone (``cluster.local``) others answer first, and what they deny is asked here.
    """

    zones: tuple[str, ...]
    address: str
    port: int = 53
    fallback: tuple[str, ...] = ()

    @property
    def all_zones(self) -> tuple[str, ...]:
        """The zones and the fallback zones."""
        return self.zones + self.fallback

    @property
    def host_port(self) -> str:
        """``10.96.0.53``, or with another port than 53 ``10.96.0.53:1053`` and ``[2001:db8::1]:1053``."""
        if self.port == 53:
            return self.address
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"

    def with_port(self, separator: str) -> str:
        """The address, and behind `separator` the port where it is not 53: ``10.96.0.53#1053``."""
        return self.address if self.port == 53 else f"{self.address}{separator}{self.port}"


def parse_stub_domain(zones: Collection[str], address: str, port: int, fallback: Collection[str] = ()) -> StubDomain:
    """A checked stub domain; zones in any letter case, each once. Raises `StubDomainError`."""
    try:
        canonical = str(ip_address(address))
    except ValueError:
        raise StubDomainError(
            f"{address!r} is no IP address; name the ClusterIP of the Service, or an address"
        ) from None
    return StubDomain(
        _check_zones(zones), canonical, port, tuple(zone for zone in _check_zones(fallback) if zone not in zones)
    )


def _check_zones(zones: Collection[str]) -> tuple[str, ...]:
    found = tuple(dict.fromkeys(zone.lower().removesuffix(".") for zone in zones))
    for zone in found:
        if fault := names.invalid_reason(zone):
            raise StubDomainError(f"the zone {zone!r} {fault}; write it as in global")
    return found
