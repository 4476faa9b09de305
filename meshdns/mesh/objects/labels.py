"""The labels and annotations of Kubernetes objects that say something to meshdns, by their full names."""

from typing import Final

ANSWER_ANNOTATION: Final = "meshdns.io/answer"
TTL_ANNOTATION: Final = "meshdns.io/ttl"
EXPORT_LABEL: Final = "meshdns.io/export"
NETWORK_LABEL: Final = "topology.istio.io/network"
MANAGED_LABEL: Final = "gateway.istio.io/managed"
"""Names the controller of Istio that made an object for a Gateway."""
GATEWAY_PORT_LABEL: Final = "networking.istio.io/gatewayPort"
EXPORT_TO_ANNOTATION: Final = "networking.istio.io/exportTo"
NODE_SELECTOR_ANNOTATION: Final = "traffic.istio.io/nodeSelector"
CONTROL_PLANES: Final = "topology.istio.io/controlPlaneClusters"
LISTENER_PROTOCOL_OPTION: Final = "gateway.istio.io/listener-protocol"
HEALTH_CHECKS_ANNOTATION: Final = "proxy.istio.io/health-checks-enabled"
SERVICE_NAME_LABEL: Final = "kubernetes.io/service-name"
