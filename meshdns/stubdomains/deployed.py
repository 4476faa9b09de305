"""Reading of what is deployed, from objects of an API server or printed by kubectl."""

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from meshdns.forwarding.upstreams import Address
from meshdns.stubdomains.stub import StubDomainError
from meshdns.stubdomains.targets import ApiLocation


def service_address(service: Mapping[str, Any] | None, namespace: str, name: str) -> Address:
    """The ClusterIP of a Service, with its port for DNS over UDP. Raises `StubDomainError`."""
    advice = "name the address with --ip, or the Service with --namespace and --service"
    if service is None:
        raise StubDomainError(f"there is no Service {namespace}/{name}; install meshdns first, or {advice}")
    spec = service.get("spec") or {}
    ip = str(spec.get("clusterIP") or "None")
    if ip == "None":
        raise StubDomainError(f"the Service {namespace}/{name} has no ClusterIP; {advice}")
    ports = [port for port in spec.get("ports") or () if port.get("protocol", "TCP") == "UDP"]
    if not ports:
        raise StubDomainError(f"the Service {namespace}/{name} has no UDP port; {advice}")
    return Address(ip, int(ports[0]["port"]))


def extract_text(resource: Mapping[str, Any] | None, location: ApiLocation | None) -> str:
    """The text in an object, empty where it has none; what is no text comes as JSON."""
    value: Any = resource
    for key in location.keys if location is not None else ():
        value = value.get(key) if isinstance(value, Mapping) else None
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)


_TOP_KEY: Final = re.compile(r"^(apiVersion|kind):", re.MULTILINE)


def file_text(content: str, location: ApiLocation | None) -> str:
    """The text in a file: the file's own, or that of the object as ``kubectl get -o json`` prints it."""
    try:
        found = json.loads(content)
    except ValueError:
        if location is not None and {"apiVersion", "kind"} <= set(_TOP_KEY.findall(content)):
            raise StubDomainError("it is an object in YAML; print it with kubectl get -o json") from None
        return content
    is_object = isinstance(found, dict) and "kind" in found and "metadata" in found
    return extract_text(found, location) if is_object and location is not None else content
