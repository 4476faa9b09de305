"""What the chart makes of its values."""

from pathlib import Path
from typing import Any

import pytest
import yaml

import meshdns
from meshdns.config.load import read_settings_file
from meshdns.sources.kube.resources import RESOURCES
from tests.deploy.helm import RenderError, lint, one, rendered, workload
from tests.deploy.places import CHART, DEPLOY

pytestmark = pytest.mark.rig


def _settings(values: dict[str, Any]) -> dict[str, Any]:
    return dict(yaml.safe_load(one(rendered(values), "ConfigMap")["data"]["meshdns.yaml"]))


def test_helm_finds_no_fault() -> None:
    """``helm lint --strict`` is content."""
    assert "0 chart(s) failed" in lint()


def test_chart_has_the_version_of_the_program() -> None:
    """The chart's default image is of the program beside it."""
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["version"] == chart["appVersion"] == meshdns.__version__


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"kind": "StatefulSet"}, "at '/kind'"),
        ({"workers": 0}, "at '/workers'"),
        ({"podCIDRs": ["10.0.0.0"]}, "at '/podCIDRs/0'"),
        ({"imag": {}}, "additional properties 'imag' not allowed"),
        ({"hostNetwork": {"enabled": True, "listen": ["127.0.0.1:53"]}}, "at '/hostNetwork/listen/0'"),
        ({"image": {"digest": "latest"}}, "at '/image/digest'"),
        ({"admin": {"listen": "0.0.0.0:8053"}}, "at '/admin/listen'"),
        ({"admin": {"listen": "127.0.0.256:8053"}}, "at '/admin/listen'"),
        ({"admin": {"listen": "127.0.0.1:80"}}, "at '/admin/listen'"),
        ({"monitoring": {"cidrs": ["10.0.0.0"]}}, "at '/monitoring/cidrs/0'"),
        ({"monitoring": {"namespaces": ["Monitoring"]}}, "at '/monitoring/namespaces/0'"),
        ({"grafanaDashboard": {"labels": {"grafana_dashboard": 1}}}, "at '/grafanaDashboard/labels/grafana_dashboard'"),
        ({"kind": "Deployment", "hostNetwork": {"enabled": True}}, "set kind: DaemonSet"),
        ({"kind": "Deployment", "state": {"type": "hostPath"}}, "set kind: DaemonSet"),
    ],
)
def test_wrong_values_are_refused(values: dict[str, Any], complaint: str) -> None:
    """A value that is wrong or unknown is named before anything is installed."""
    with pytest.raises(RenderError, match=complaint):
        rendered(values)


@pytest.mark.parametrize(("kubernetes", "expected"), [("1.33", None), ("1.34", "PreferSameNode")])
def test_same_node_is_preferred_where_that_is_known(kubernetes: str, expected: str | None) -> None:
    """API servers before 1.34 refuse PreferSameNode, so they never see it."""
    service = one(rendered(kubernetes=kubernetes), "Service")
    assert service["spec"].get("trafficDistribution") == expected


def test_other_settings_roll_the_pods() -> None:
    """The pods carry the hash of the settings: others make other pods, the same make none."""

    def checksum(**values: Any) -> str:
        metadata = workload(rendered(values))["spec"]["template"]["metadata"]
        return str(metadata["annotations"]["checksum/settings"])

    assert checksum() == checksum() != checksum(settings={"lameduck": "3s"})


def test_pod_ranges_may_ask() -> None:
    """The prefixes of podCIDRs are admitted beside private addresses."""
    assert _settings({"podCIDRs": ["34.64.0.0/14", "2600:1900::/28"]})["allowQuery"] == [
        "private",
        "34.64.0.0/14",
        "2600:1900::/28",
    ]


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"ipFamily": "Dual"},
        {"ipFamily": "IPv6"},
        {"kubeconfig": {"secretName": "clusters", "contexts": ["west"]}},
        {"remoteSecrets": {"enabled": True}},
        {"admin": {"listen": "[::1]:8053"}},
        {"hostNetwork": {"enabled": True}, "monitoring": {"cidrs": ["10.1.0.0/16"]}},
        {"settings": {"zones": [{"name": "global", "ttl": 10}], "clusters": {"west": {"network": "net-west"}}}},
    ],
    ids=["plain", "dual", "six", "kubeconfig", "secrets", "page", "host network", "settings"],
)
def test_settings_are_right(values: dict[str, Any], tmp_path: Path) -> None:
    """What the chart writes, the program accepts."""
    file = tmp_path / "meshdns.yaml"
    file.write_text(one(rendered(values), "ConfigMap")["data"]["meshdns.yaml"])
    assert read_settings_file(file, "/").workers == 2


@pytest.mark.parametrize("values", [{"admin": {"listen": "127.0.0.1:8053"}}, {}], ids=["page", "no page"])
def test_page_is_served_where_it_is_asked_for(values: dict[str, Any]) -> None:
    """admin.listen stands beside the socket, which stays where ``meshdns get`` looks for it."""
    assert _settings(values)["admin"] == {"socket": "/run/meshdns/admin.sock", **values.get("admin", {})}


def test_alerts_are_those_of_the_runbooks() -> None:
    """The PrometheusRule has the groups of deploy/prometheus, word for word, and the labels it is selected by."""
    rule = one(rendered({"prometheusRule": {"enabled": True, "labels": {"release": "prometheus"}}}), "PrometheusRule")
    assert rule["spec"] == yaml.safe_load((DEPLOY / "prometheus" / "rules.yaml").read_text())["spec"]
    assert rule["metadata"]["labels"]["release"] == "prometheus"


def test_sidecar_finds_the_dashboard() -> None:
    """Its ConfigMap holds the file of deploy/grafana, under the usual label and those of the values."""
    objects = rendered({"grafanaDashboard": {"enabled": True, "labels": {"team": "dns"}}})
    (found,) = [each for each in objects if "grafana_dashboard" in each["metadata"]["labels"]]
    assert found["data"] == {"meshdns.json": (DEPLOY / "grafana" / "meshdns.json").read_text()}
    assert found["metadata"]["labels"].items() >= {"grafana_dashboard": "1", "team": "dns"}.items()


def test_monitoring_is_left_out_unless_it_is_asked_for() -> None:
    """By default there is neither an object that needs a CRD nor a second ConfigMap."""
    kinds = [each["kind"] for each in rendered()]
    assert "PrometheusRule" not in kinds
    assert kinds.count("ConfigMap") == 1


def test_rights_are_those_that_are_used() -> None:
    """The ClusterRole lists and watches what the server does, and nothing else."""
    rules = one(rendered(), "ClusterRole")["rules"]
    granted = {(group, plural) for rule in rules for group in rule["apiGroups"] for plural in rule["resources"]}
    assert granted == {(resource.group, resource.plural) for resource in RESOURCES.values()}
    assert {verb for rule in rules for verb in rule["verbs"]} == {"list", "watch"}


def test_token_is_given_to_its_pods_only() -> None:
    """The service account gives its token to no pod that does not ask for it, as meshdns's do."""
    objects = rendered()
    assert one(objects, "ServiceAccount")["automountServiceAccountToken"] is False
    assert workload(objects)["spec"]["template"]["spec"]["automountServiceAccountToken"] is True


def test_secrets_are_read_in_the_own_namespace_only() -> None:
    """The right to remote secrets is a Role, and there only where they are a source."""
    assert not [each for each in rendered() if each["kind"] == "Role"]
    role = one(rendered({"remoteSecrets": {"enabled": True}}), "Role")
    assert role["rules"] == [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["list", "watch"]}]
    assert role["metadata"]["namespace"] == "meshdns"


@pytest.mark.parametrize(
    ("values", "rolling"),
    [
        ({}, {"maxSurge": "10%", "maxUnavailable": 0}),
        ({"hostNetwork": {"enabled": True}}, {"maxSurge": 0, "maxUnavailable": 1}),
        ({"state": {"type": "hostPath"}}, {"maxSurge": 0, "maxUnavailable": 1}),
    ],
    ids=["plain", "host network", "host path"],
)
def test_new_pod_comes_first_where_it_can(values: dict[str, Any], rolling: dict[str, Any]) -> None:
    """A node gets the new pod before the old one goes, unless they would share ports or the state directory."""
    assert workload(rendered(values))["spec"]["updateStrategy"]["rollingUpdate"] == rolling


def test_deployment_keeps_one() -> None:
    """A Deployment has a disruption budget and spreads over nodes and zones; a DaemonSet needs neither."""
    objects = rendered({"kind": "Deployment"})
    assert one(objects, "PodDisruptionBudget")["spec"]["maxUnavailable"] == 1
    spread = workload(objects)["spec"]["template"]["spec"]["topologySpreadConstraints"]
    assert [each["topologyKey"] for each in spread] == ["kubernetes.io/hostname", "topology.kubernetes.io/zone"]
    assert not [each for each in rendered() if each["kind"] == "PodDisruptionBudget"]


def test_mesh_leaves_the_pods_alone() -> None:
    """No sidecar and no ztunnel comes between clients and meshdns, whose own queries would come back to it."""
    labels = workload(rendered())["spec"]["template"]["metadata"]["labels"]
    assert labels["sidecar.istio.io/inject"] == "false"
    assert labels["istio.io/dataplane-mode"] == "none"
    assert workload(rendered())["spec"]["template"]["spec"]["dnsPolicy"] == "Default"


def _ingress(values: dict[str, Any], port: int) -> list[dict[str, Any]]:
    rules = one(rendered(values), "NetworkPolicy")["spec"]["ingress"]
    return [rule for rule in rules if port in [each["port"] for each in rule["ports"]]]


def test_egress_reaches_what_the_program_asks() -> None:
    """DNS in clear and over TLS, API servers, and gateways with Istio's port of their readiness."""
    (rule,) = one(rendered(), "NetworkPolicy")["spec"]["egress"]
    assert {each["port"] for each in rule["ports"] if each["protocol"] == "TCP"} == {
        *(53, 853),
        *(443, 6443),
        *(15008, 15021, 15443),
    }


def test_metrics_are_for_nobody_until_monitoring_is_named() -> None:
    """Without values no peer reaches /metrics; the kubelet's probes come from the node, which no policy keeps out."""
    assert not _ingress({}, 9153)
    assert not any(item.get("from") == [] for item in one(rendered(), "NetworkPolicy")["spec"]["ingress"])


@pytest.mark.parametrize(
    ("values", "peers"),
    [
        (
            {"monitoring": {"namespaces": ["monitoring"]}},
            [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}],
        ),
        ({"monitoring": {"cidrs": ["10.1.0.0/16"]}}, [{"ipBlock": {"cidr": "10.1.0.0/16"}}]),
        (
            {"networkPolicy": {"metricsFrom": [{"podSelector": {"matchLabels": {"app": "prometheus"}}}]}},
            [{"podSelector": {"matchLabels": {"app": "prometheus"}}}],
        ),
    ],
    ids=["namespace", "cidr", "peer"],
)
def test_metrics_are_for_those_that_monitor(values: dict[str, Any], peers: list[dict[str, Any]]) -> None:
    """Each way to name them makes one rule with these peers."""
    (rule,) = _ingress(values, 9153)
    assert rule["from"] == peers


@pytest.mark.parametrize(
    ("family", "health", "host", "metrics"),
    [("IPv4", "127.0.0.1:9153", "127.0.0.1", "$(POD_IP):9153"), ("IPv6", "[::1]:9153", "::1", "[$(POD_IP)]:9153")],
)
def test_health_is_on_loopback_where_the_network_is_the_nodes(
    family: str, health: str, host: str, metrics: str
) -> None:
    """Probes ask loopback; /metrics is on the pod's address and for named prefixes, as no policy guards it there."""
    values = {"hostNetwork": {"enabled": True}, "ipFamily": family}
    container = workload(rendered(values))["spec"]["template"]["spec"]["containers"][0]
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert container[probe]["httpGet"]["host"] == host
    environment = {each["name"]: each for each in container["env"]}
    assert environment["POD_IP"]["valueFrom"]["fieldRef"]["fieldPath"] == "status.podIP"
    assert environment["MESHDNS_HTTP_LISTEN"]["value"] == metrics
    assert list(environment).index("POD_IP") < list(environment).index("MESHDNS_HTTP_LISTEN")
    assert _settings(values)["http"] == {"health": health, "allow": []}
    allowed = _settings({**values, "monitoring": {"cidrs": ["10.1.0.0/16"]}})["http"]["allow"]
    assert allowed == ["10.1.0.0/16"]


def test_probes_of_a_pods_own_network_name_no_host() -> None:
    """There the kubelet asks the pod's address."""
    container = workload(rendered())["spec"]["template"]["spec"]["containers"][0]
    assert all("host" not in container[each]["httpGet"] for each in ("startupProbe", "livenessProbe", "readinessProbe"))
    assert "MESHDNS_HTTP_LISTEN" not in [each["name"] for each in container["env"]]
