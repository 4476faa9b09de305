"""Scalars of the settings file: what each may hold, and its one canonical spelling.

Rules:
- A reader takes text and gives canonical text (or a number), so that equal settings compare equal.
- What it refuses it refuses with a `ValueError` that ends with what to write instead.
- Canonical text is read back unchanged: settings survive a round trip through JSON.
- The values of static records are in presentation format (RFC 1035 section 5.1).
"""

import re
from collections.abc import Callable, Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, StrictBool, StrictInt

from meshdns.dns import names
from meshdns.forwarding.upstreams import TLS_SCHEME, UnaskableAddressError, parse_upstream
from meshdns.mesh.addresses import parse_address
from meshdns.mesh.objects.foreign import shown

_MAX_TEXT: Final = 4096
"""Bytes of a TXT record: more would not fit beside anything else into a reply over UDP, and hardly over TCP."""


def read_record_value(record_type: str, value: str) -> str:
    """The canonical form of the value of a record of type `record_type` (A, AAAA, TXT, SRV or PTR).

    Raises ValueError, ending with what to write, where `value` is not one of that type.
    """
    return _RECORD_READERS[record_type](value)


def _read_a(value: str) -> str:
    try:
        return str(IPv4Address(value))
    except ValueError:
        raise ValueError(f"value {shown(value)} is no IPv4 address; write one such as 192.0.2.1") from None


def _read_aaaa(value: str) -> str:
    try:
        address = IPv6Address(value)
    except ValueError:
        raise ValueError(f"value {shown(value)} is no IPv6 address; write one such as 2001:db8::1") from None
    if address.ipv4_mapped is not None:
        raise ValueError(f"value {shown(value)} is an IPv4 address; write a record of type A: {address.ipv4_mapped}")
    return str(address)


def _read_txt(value: str) -> str:
    if len(value.encode()) > _MAX_TEXT:
        raise ValueError(f"the text is longer than {_MAX_TEXT} octets; shorten it")
    return value


def _read_srv(value: str) -> str:
    """RFC 2782: priority, weight, port and target."""
    numbers, target = value.split()[:-1], value.split()[-1:]
    if len(numbers) != 3 or not all(_is_uint16(number) for number in numbers):
        raise ValueError(
            f"value {shown(value)} is no SRV value; write priority, weight, port and target: 0 0 443 a.global"
        )
    return " ".join([*(str(int(number)) for number in numbers), read_domain(target[0])])


def _is_uint16(number: str) -> bool:
    return number.isascii() and number.isdigit() and len(number) <= 5 and int(number) < 65536


MAX_TTL: Final = 86400
"""A day, in seconds: longer ones only keep dead addresses alive (RFC 8767 section 4 caps at a week at most)."""

_MAX_DURATION: Final = 365 * 86400.0
_MAX_SOCKET_PATH: Final = 103  # sun_path holds 104 bytes on macOS and 108 on Linux, one of them the closing NUL
_UNIT_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION: Final = re.compile(r"(?:[0-9]{1,11}(?:\.[0-9]{1,3})?(?:ms|s|m|h))+", re.ASCII)
_DURATION_PART: Final = re.compile(r"([0-9.]+)(ms|s|m|h)", re.ASCII)
_BRACKETED: Final = re.compile(r"\[([0-9A-Fa-f:.]+)\](?::([0-9]{1,5}))?", re.ASCII)
_DOTTED: Final = re.compile(r"([0-9.]+)(?::([0-9]{1,5}))?", re.ASCII)
_LABEL: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)
_MAPPED_BITS: Final = 96  # of ::ffff:0:0/96 (RFC 4291 section 2.5.5.2)
_PATH_PREFIXES: Final = ("/", "./", "../", "~/")


def read_duration(text: object) -> float:
    """Seconds of a duration such as ``10s``, ``500ms`` or ``1h30m``; 0 to one year, to the millisecond."""
    if not isinstance(text, str) or not _DURATION.fullmatch(text):
        raise ValueError(f"{shown(text)} is no duration; write a number and a unit: 500ms, 10s, 5m or 1h")
    seconds = round(sum(float(number) * _UNIT_SECONDS[unit] for number, unit in _DURATION_PART.findall(text)), 3)
    if seconds > _MAX_DURATION:
        raise ValueError(f"{shown(text)} is longer than a year; write at most 8760h")
    return seconds


def write_duration(seconds: float) -> str:
    """The text that `read_duration` reads as `seconds`."""
    return f"{int(seconds)}s" if seconds.is_integer() else f"{round(seconds * 1000)}ms"


def read_domain(text: str) -> str:
    """A domain name: lower-case, without trailing dot."""
    name = text.lower().removesuffix(".")
    if fault := names.host_fault(name):
        advice = "write its xn-- form" if not name.isascii() else "write a name such as global"
        raise ValueError(f"{shown(text)} {fault}; {advice}")
    return name


def read_zone_or_root(text: str) -> str:
    """A domain name, or ``.`` for everything that has no better match."""
    return text if text == "." else read_domain(text)


def read_owner(text: str) -> str:
    """The owner name of a record: a domain name, or ``*.`` and one."""
    wildcard = text.startswith("*.")
    return "*." * wildcard + read_domain(text[2:] if wildcard else text)


def read_label(text: str) -> str:
    """One DNS label (RFC 1123 section 2.1), lower-case."""
    label = text.lower()
    if not _LABEL.fullmatch(label):
        raise ValueError(f"{shown(text)} is no DNS label; use letters, digits and hyphens, at most 63")
    return label


def read_cidr(text: str) -> str:
    """A prefix in CIDR notation without host bits; a single address counts as ``/32`` or ``/128``.

    One of IPv4-mapped addresses is that of the IPv4 addresses in them.
    """
    try:
        prefix = ip_network(text, strict=False)
    except ValueError:
        raise ValueError(f"{shown(text)} is no CIDR; write one such as 10.128.0.0/16 or fd00:1::/64") from None
    if "/" in text and str(prefix.network_address) != str(ip_address(text.partition("/")[0])):
        raise ValueError(f"{shown(text)} has bits set behind its prefix; write {prefix}")
    mapped = IPv6Address(int(prefix.network_address)).ipv4_mapped if prefix.version == 6 else None
    if mapped is not None and prefix.prefixlen >= _MAPPED_BITS:
        return f"{mapped}/{prefix.prefixlen - _MAPPED_BITS}"
    return str(prefix)


def read_client(text: str) -> str:
    """Who may ask: a CIDR, or the words ``private`` and ``any``."""
    if text in ("private", "any"):
        return text
    try:
        return read_cidr(text)
    except ValueError as error:
        raise ValueError(f"{error}, or private, or any") from None


def read_socket_address(text: str) -> str:
    """An IP address and a port, 0 (the kernel chooses) to 65535: ``127.0.0.1:1053`` or ``[::1]:1053``."""
    split = _split_address_port(text)
    if split is None or split[1] is None:
        raise ValueError(f"{shown(text)} is no address and port; write both: 127.0.0.1:1053, or [::1]:1053 in quotes")
    return _join_address_port(split[0], split[1])


def read_loopback_address(text: str) -> str:
    """A loopback address and a port, as `read_socket_address`."""
    found = read_socket_address(text)
    if not ip_address(split_host_port(found)[0]).is_loopback:
        raise ValueError(f"{shown(text)} can be reached by others; write a loopback address: 127.0.0.1:8053")
    return found


def read_server(text: str) -> str:
    """A DNS server that can be asked, as ``address:port``; the port is 53 where none is written, 853 behind ``tls://``."""
    return str(parse_upstream(text))


def read_upstream(text: str) -> str:
    """A server as `read_server` takes it, or the path of a file in the form of resolv.conf(5)."""
    if text.startswith(_PATH_PREFIXES):
        return read_path(text)
    try:
        return read_server(text)
    except UnaskableAddressError:
        raise
    except ValueError as error:
        hint = "" if text.startswith(TLS_SCHEME) else ", or a path that begins with / or ./"
        raise ValueError(f"{error}{hint}") from None


def read_path(text: str) -> str:
    """A path: not empty, without control characters."""
    if not text or not text.isprintable():
        raise ValueError(f"{shown(text)} is no path; write one such as ./clusters")
    return text


def read_socket_path(text: str) -> str:
    """The path of a Unix socket, at most 103 bytes."""
    if len(read_path(text).encode()) > _MAX_SOCKET_PATH:
        raise ValueError(
            f"the path is longer than {_MAX_SOCKET_PATH} octets, too long for a socket; choose a shorter one"
        )
    return text


def read_identifier(text: str) -> str:
    """The name of a cluster, a network or a context: 1 to 253 printable characters without spaces."""
    if not 0 < len(text) <= 253 or not text.isprintable() or " " in text:
        raise ValueError(f"{shown(text)} is no name; use 1 to 253 characters without spaces")
    return text


def read_uid(text: str) -> str:
    """The UID of an object of Kubernetes: 1 to 64 letters, digits and ``._:-``."""
    if not 0 < len(text) <= 64 or not text.isascii() or not all(c.isalnum() or c in "._:-" for c in text):
        advice = "copy that of: kubectl get namespace kube-system -o jsonpath={.metadata.uid}"
        raise ValueError(f"{shown(text)} is no UID; {advice}")
    return text


def read_namespace(text: str) -> str:
    """A Kubernetes namespace (a DNS label, RFC 1123)."""
    if not _LABEL.fullmatch(text):
        raise ValueError(f"{shown(text)} is no namespace; use lower-case letters, digits and hyphens, at most 63")
    return text


def read_namespace_or_all(text: str) -> str:
    """A namespace, or ``*`` for all."""
    return text if text == "*" else read_namespace(text)


_GATEWAY_FORMS: Final = "one such as 203.0.113.7, 203.0.113.7:15443 or [2001:db8::1]:15443"


def read_gateway(text: str) -> str:
    """A gateway's address or host name, with or without a port, in canonical form.

    An IPv4-mapped IPv6 address is the IPv4 address in it.
    """
    split = _split_address_port(text)
    if split is not None:
        written, port = split
        address = str(parse_address(written))
        return address if port is None else _join_address_port(address, port)
    host, colon, port_text = text.rpartition(":")
    if ":" in host or "/" in text:
        is_ipv6 = _split_address_port(host) == (host, None) and _is_uint16(port_text)
        raise ValueError(f"{shown(text)} is no address; write {f'[{host}]:{port_text}' if is_ipv6 else _GATEWAY_FORMS}")
    if names.host_fault(host if colon else text) and re.fullmatch(r"[0-9.]+(:[0-9]+)?|\[.*", text):
        raise ValueError(f"{shown(text)} is no address; write {_GATEWAY_FORMS}")
    if not colon:
        return read_domain(text)
    if not (port_text.isascii() and port_text.isdigit() and 0 < int(port_text[:6]) < 65536):
        raise ValueError(f"{shown(text)} has no port from 1 to 65535 behind its colon; write lb.example.com:15443")
    return f"{read_domain(host)}:{int(port_text)}"


def split_host_port(text: str) -> tuple[str, int]:
    """Split canonical ``address:port`` or ``[address]:port`` into the two."""
    host, _, port = text.rpartition(":")
    return host.removeprefix("[").removesuffix("]"), int(port)


def is_path(upstream: str) -> bool:
    """Whether an upstream is a file (resolv.conf(5)) rather than a server."""
    return upstream.startswith(_PATH_PREFIXES)


def _split_address_port(text: str) -> tuple[str, int | None] | None:
    """Canonical address and port (None where there is none) of ``address[:port]``; None where it is none."""
    match = _BRACKETED.fullmatch(text) or _DOTTED.fullmatch(text)
    host, port = match.groups() if match else (text, None)
    try:
        address = str(ip_address(host)) if "%" not in host else ""
    except ValueError:
        return None
    number = None if port is None else int(port)
    return (address, number) if address and (number or 0) < 65536 else None


def _join_address_port(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


Bool = StrictBool


def read_bool_or_auto(value: object) -> object:
    """True, false or the word auto."""
    if not isinstance(value, bool) and value != "auto":
        raise ValueError(f"{shown(value)} is wrong here; write auto, true or false")
    return value


BoolOrAuto = Annotated[bool | Literal["auto"], BeforeValidator(read_bool_or_auto)]


def _read_always(value: bool) -> bool:  # noqa: FBT001 — the value of a key
    if not value:
        raise ValueError("such names are never forwarded, so this cannot be false; write true, or leave the key out")
    return value


AlwaysTrue = Annotated[StrictBool, AfterValidator(_read_always)]
ProbeThreshold = Annotated[StrictInt, Field(ge=1, le=100)]
Ttl = Annotated[StrictInt, Field(ge=0, le=MAX_TTL)]
Duration = Annotated[float, BeforeValidator(read_duration), PlainSerializer(write_duration)]
"""Seconds; written as text with a unit."""
Interval = Annotated[Duration, Field(ge=0.1, le=3600)]
_RECORD_READERS: Final[Mapping[str, Callable[[str], str]]] = {
    "A": _read_a,
    "AAAA": _read_aaaa,
    "TXT": _read_txt,
    "SRV": _read_srv,
    "PTR": read_domain,
}


Domain = Annotated[str, AfterValidator(read_domain)]
ZoneOrRoot = Annotated[str, AfterValidator(read_zone_or_root)]
OwnerName = Annotated[str, AfterValidator(read_owner)]
DnsLabel = Annotated[str, AfterValidator(read_label)]
Cidr = Annotated[str, AfterValidator(read_cidr)]
ClientMatch = Annotated[str, AfterValidator(read_client)]
SocketAddress = Annotated[str, AfterValidator(read_socket_address)]
UpstreamOrFile = Annotated[str, AfterValidator(read_upstream)]
FilePath = Annotated[str, AfterValidator(read_path)]
LoopbackAddress = Annotated[str, AfterValidator(read_loopback_address)]
SocketPath = Annotated[str, AfterValidator(read_socket_path)]
Identifier = Annotated[str, AfterValidator(read_identifier)]
ClusterUid = Annotated[str, AfterValidator(read_uid)]
NamespaceName = Annotated[str, AfterValidator(read_namespace)]
NamespaceOrAll = Annotated[str, AfterValidator(read_namespace_or_all)]
GatewayHost = Annotated[str, AfterValidator(read_gateway)]
LogLevel = Literal["debug", "info", "warning", "error"]
