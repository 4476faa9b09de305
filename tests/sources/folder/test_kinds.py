"""A kind that is mistyped gets a hint; kinds of other people are passed over."""

import pytest

from meshdns.sources.folder.kinds import hint_for, kind_of

ISTIO = "networking.istio.io/v1"
HINTS = {
    ("serviceentry", ISTIO): ("ServiceEntry", ISTIO),
    ("SERVICEENTRY", ISTIO): ("ServiceEntry", ISTIO),
    ("ServiceEntrys", ISTIO): ("ServiceEntry", ISTIO),
    ("ServiceEntries", "networking.istio.io/v1beta1"): ("ServiceEntry", ISTIO),
    ("ServiceEntyr", ISTIO): ("ServiceEntry", ISTIO),
    ("workloadentry", None): ("WorkloadEntry", ISTIO),
    ("ServiceEntry", "networking.istio.oi/v1"): ("ServiceEntry", ISTIO),
    ("ServiceEntry", "networking.istio/v1"): ("ServiceEntry", ISTIO),
    ("ServiceEntry", "Networking.Istio.io/v1"): ("ServiceEntry", ISTIO),
    ("ServiceEntry", "networking.istio.io"): ("ServiceEntry", ISTIO),
    ("ServiceEntry", "v1"): ("ServiceEntry", ISTIO),
    ("ServiceEntry", "config.istio.io/v1alpha2"): ("ServiceEntry", ISTIO),
    ("serviceentry", "networking.istio.oi/v1"): ("ServiceEntry", ISTIO),
    ("Service", ISTIO): ("Service", "v1"),
    ("Service", "apps/v1"): ("Service", "v1"),
    ("services", "v1"): ("Service", "v1"),
    ("Servcie", "v1"): ("Service", "v1"),
    ("namespace", "v1"): ("Namespace", "v1"),
    ("Pods", "v1"): ("Pod", "v1"),
    ("EndpointSlice", "v1"): ("EndpointSlice", "discovery.k8s.io/v1"),
    ("EndpointSlices", "discovery.k8s.io/v1"): ("EndpointSlice", "discovery.k8s.io/v1"),
    ("Gateway", "v1"): ("Gateway", "gateway.networking.k8s.io/v1"),
    ("gateways", ISTIO): ("Gateway", ISTIO),
}
SILENT = [
    ("Service", "serving.knative.dev/v1"),
    ("ServiceEntry", "mesh.example/v1"),
    ("Node", "metrics.k8s.io/v1beta1"),
    ("Sidecar", ISTIO),
    ("WorkloadGroup", ISTIO),
    ("VirtualService", ISTIO),
    ("ServiceAccount", "v1"),
    ("Endpoints", "v1"),
    ("Event", "v1"),
    ("PodTemplate", "v1"),
    ("ConfigMap", "v1"),
    ("List", "v1"),
    ("Nod", "v1"),
    ("Code", "v1"),
    ("Pod2", "v1"),
    ("Servants", "v1"),
    ("GatewayClass", "gateway.networking.k8s.io/v1"),
    ("Ingress", "networking.k8s.io/v1"),
    ("Deployment", "apps/v1"),
    ("HelmRelease", "helm.toolkit.fluxcd.io/v2"),
    ("x" * 100_000, "v1"),
    ("ServiceEntry", "x" * 100_000 + "/v1"),
    ("", None),
    (None, None),
]


@pytest.mark.parametrize(("name", "version"), HINTS)
def test_a_mistyped_kind_has_a_hint(name: str, version: str | None) -> None:
    """The kind that is nearest is named, with its version; it is not read."""
    hint = hint_for(name, version)
    assert hint is not None
    assert (hint.name, hint.version) == HINTS[name, version]
    assert kind_of(name, version) is None


@pytest.mark.parametrize(("name", "version"), SILENT, ids=range(len(SILENT)))
def test_kinds_of_others_have_none(name: object, version: object) -> None:
    """Nobody who keeps other things in the folder is told anything."""
    assert kind_of(name, version) is None
    assert hint_for(name, version) is None
