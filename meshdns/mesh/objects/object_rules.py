"""Rules of Istio and Kubernetes that an object breaks by itself, although each of its values can be read.

Rules:
- What is found here changes no answer: the values are read and served elsewhere. The API server, or Istio's webhook,
  would refuse the object; a manifest in a folder was seen by neither.
- Each function is called when everything else was read: what is over a bound must be among the problems that are kept.
- The sources are ``ValidateServiceEntry`` and the validation of selectors in Istio (pkg/config/validation), and
  ``ValidateService`` in Kubernetes (pkg/apis/core/validation).
"""

import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from meshdns.mesh.objects.declarations import Resolution
from meshdns.mesh.objects.foreign import MAX_LISTED, MAX_SHOWN, bounded_text, listed, shown
from meshdns.mesh.objects.problems import Problem
from meshdns.mesh.objects.raw import MAX_ITEMS, RawObject, is_text, mapping_of, normalize_host, port_number, text_of

_NEEDS_NAMES: Final = frozenset({Resolution.DNS, Resolution.DNS_ROUND_ROBIN})
"""Resolutions that look each host up where there are no endpoints; DYNAMIC_DNS looks up what a client asks for."""

_MOST_ENDPOINTS: Final = {Resolution.DNS_ROUND_ROBIN: 1, Resolution.DYNAMIC_DNS: 0}
"""How many endpoints Istio takes; under NONE, which is the default, `mesh.diagnostics` has words of its own."""


def problems_of_service_entry(raw: RawObject, resolution: Resolution) -> tuple[Problem, ...]:
    """Return all problems of a ServiceEntry, those of the rules it breaks among them."""
    ports = _items(raw, "ports")
    _check_unique(raw, "number", ((at, port_number(port.get("number")) or None) for at, port in ports), "Istio")
    _check_unique(raw, "name", ((at, text_of(port.get("name")) or None) for at, port in ports), "Istio")
    for at, port in ports:
        target = port.get("targetPort")
        if target is not None and not port_number(target):
            reason = f"{shown(target)} is no port from 1 to 65535; the port's own number is used"
            raw.add_problem(f"spec.ports[{at}].targetPort", reason, "write the number that the endpoints listen on")
    if raw.spec.get("ports") is None or isinstance(raw.spec["ports"], list):
        _check_endpoint_ports(raw, [text_of(port.get("name")) for _, port in ports])
    selector, has_endpoints = raw.spec.get("workloadSelector"), bool(raw.spec.get("endpoints"))
    if isinstance(selector, Mapping):
        _check_selector(raw, selector.get("labels"), "spec.workloadSelector.labels")
        if has_endpoints:
            reason = "stands beside spec.endpoints, which Istio refuses; both are served"
            raw.add_problem("spec.workloadSelector", reason, "remove one of the two")
    endpoints = raw.spec.get("endpoints")
    if isinstance(endpoints, list) and len(endpoints) > _MOST_ENDPOINTS.get(resolution, len(endpoints)):
        reason = f"are more than Istio takes under {resolution.value}; they are served as written"
        raw.add_problem("spec.endpoints", reason, "set resolution: DNS, or STATIC where they are addresses")
    if resolution in _NEEDS_NAMES and not has_endpoints and selector is None:
        _check_wildcards(raw, resolution)
    return raw.problems


def problems_of_gateway(raw: RawObject) -> tuple[Problem, ...]:
    """Return all problems of an Istio Gateway, as `problems_of_service_entry`."""
    _check_selector(raw, raw.spec.get("selector"), "spec.selector")
    return raw.problems


def problems_of_service(raw: RawObject) -> tuple[Problem, ...]:
    """Return all problems of a Service, as `problems_of_service_entry`."""
    ports = _items(raw, "ports")
    numbers = ((at, _number_and_protocol(port)) for at, port in ports)
    _check_unique(raw, "port", numbers, "Kubernetes")
    _check_unique(raw, "name", ((at, text_of(port.get("name")) or None) for at, port in ports), "Kubernetes")
    for at, port in ports:
        target = port.get("targetPort")
        if target is not None and not port_number(target) and not _is_port_name(target):
            reason = f"{shown(target)} is neither a port from 1 to 65535 nor a port's name"
            raw.add_problem(f"spec.ports[{at}].targetPort", reason, "write the number or name of a port of the pods")
    return raw.problems


def _check_selector(raw: RawObject, labels: object, field: str) -> None:
    """Add the problems of a selector: keys and values that no label can have."""
    for key, value in itertools.islice(mapping_of(labels).items(), MAX_ITEMS):
        if key == "":
            reason = "has an empty key, which no label has, so it selects nothing"
            raw.add_problem(field, reason, "remove the key, or write that of a label")
        for text in (key, value):
            if is_text(text) and "*" in text:
                reason = f"{shown(text)} holds a *, which no label has, so it selects nothing"
                advice = "write the whole label; one label that all of them have selects many"
                raw.add_problem(f"{field}.{bounded_text(str(key), MAX_SHOWN)}", reason, advice)
                break


def _items(raw: RawObject, field: str) -> list[tuple[int, Mapping[str, Any]]]:
    """The mappings of a list of the spec that are read, with their indexes."""
    value = raw.spec.get(field)
    items = value[:MAX_ITEMS] if isinstance(value, list) else []
    return [(at, item) for at, item in enumerate(items) if isinstance(item, Mapping)]


def _check_unique(raw: RawObject, field: str, values: Iterable[tuple[int, object | None]], judge: str) -> None:
    """Add a problem for each of the `values`, by index in ``spec.ports``, that an earlier one has too."""
    first: dict[object, int] = {}
    for at, value in values:
        if value is None:
            continue
        if value in first:
            what, text = ("name", shown(value)) if field == "name" else ("number", str(value))
            reason = f"{text} is the {what} of spec.ports[{first[value]}] too, which {judge} refuses"
            raw.add_problem(f"spec.ports[{at}].{field}", reason, "give each port another, or remove one of the two")
        first.setdefault(value, at)


def _check_endpoint_ports(raw: RawObject, names: list[str]) -> None:
    """Add a problem for each port of an endpoint that names none of the ports of the entry."""
    known = frozenset(names)
    advice = f"write one of {listed(map(shown, names), MAX_LISTED)}" if known else "list the port under spec.ports"
    for at, endpoint in _items(raw, "endpoints"):
        for name in _first_keys(endpoint.get("ports")):
            if is_text(name) and name not in known:
                reason = f"names port {shown(name)}, which spec.ports lacks, so it is not served"
                raw.add_problem(f"spec.endpoints[{at}].ports", reason, advice)


def _first_keys(value: object) -> Iterator[object]:
    return itertools.islice(mapping_of(value), MAX_ITEMS)


def _check_wildcards(raw: RawObject, resolution: Resolution) -> None:
    hosts = raw.spec.get("hosts")
    for at, item in enumerate(hosts[:MAX_ITEMS] if isinstance(hosts, list) else []):
        if normalize_host(text_of(item)).startswith("*."):
            reason = f"{shown(item)} is a wildcard, which Istio refuses under {resolution.value} without endpoints"
            raw.add_problem(f"spec.hosts[{at}]", reason, "list endpoints, or write the hosts one by one")


def _number_and_protocol(port: Mapping[str, Any]) -> str | None:
    number = port_number(port.get("port"))
    return f"{number}/{text_of(port.get('protocol')) or 'TCP'}" if number else None


def _is_port_name(value: object) -> bool:
    """Whether `value` may be a port's name, which has a letter (IANA service name, RFC 6335 section 5.1)."""
    return isinstance(value, str) and any(map(str.isalpha, value))
