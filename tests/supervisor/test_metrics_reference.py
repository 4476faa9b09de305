"""What the documents say of metrics and alerts, against the code that tells them and the tools that read them."""

import json
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from meshdns.supervisor.reference import reference
from tests.rig.packages import program

ROOT = Path(__file__).parents[2]
RULES = ROOT / "deploy/prometheus/rules.yaml"
DASHBOARD = ROOT / "deploy/grafana/meshdns.json"


def _alerts() -> list[dict[str, str]]:
    groups = yaml.safe_load(RULES.read_text())["spec"]["groups"]
    return [rule for group in groups for rule in group["rules"]]


def test_the_reference_is_current() -> None:
    """``docs/metrics.md`` is what ``python -m meshdns.supervisor.reference`` writes."""
    assert (ROOT / "docs/metrics.md").read_text() == reference()


def test_every_alert_has_its_runbook() -> None:
    """Each alert names a section that is there, and no section is left of an alert that is not."""
    sections = set(re.findall(r"^## (\w+)$", (ROOT / "docs/runbooks.md").read_text(), re.MULTILINE))
    assert {alert["alert"] for alert in _alerts()} == sections
    for alert in _alerts():
        assert alert["annotations"]["runbook"] == f"docs/runbooks.md#{alert['alert'].lower()}"  # type: ignore[index]


def test_runbooks_lead_somewhere() -> None:
    """Every link inside the runbooks has its target."""
    text = (ROOT / "docs/runbooks.md").read_text()
    anchors = {section.lower() for section in re.findall(r"^## (\w+)$", text, re.MULTILINE)}
    assert set(re.findall(r"\(#(\w+)\)", text)) <= anchors


@pytest.mark.parametrize("file", [RULES, DASHBOARD, ROOT / "docs/runbooks.md"])
def test_what_is_named_exists(file: Path) -> None:
    """Every metric that alerts, dashboard and runbooks name is in the reference, which is what a scrape tells."""
    known = set(re.findall(r"^\| `(\w+)` \| (\w+)", reference(), re.MULTILINE))
    told = {name for name, kind in known if kind != "histogram"}
    told |= {f"{name}_{part}" for name, kind in known if kind == "histogram" for part in ("bucket", "sum", "count")}
    named = set(re.findall(r"\b(meshdns_[a-z_]+|process_[a-z_]+_(?:total|bytes))\b", file.read_text()))
    assert named
    assert named <= told


@pytest.mark.rig
def test_promtool_takes_the_rules(tmp_path: Path) -> None:
    """Prometheus's own tool finds nothing wrong."""
    rules = tmp_path / "rules.yaml"
    rules.write_text(yaml.safe_dump(yaml.safe_load(RULES.read_text())["spec"]))
    done = subprocess.run(
        [program("promtool"), "check", "rules", str(rules)], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(_alerts())} rules found" in done.stdout


@pytest.mark.rig
def test_a_cluster_without_usable_gateway_alerts_until_it_has_one(tmp_path: Path) -> None:
    """Not before 10 minutes, nor for a cluster whose gateways no name needs; it ends with the first address.

    West's gateway is dead from the beginning to the 30th minute, and it counts as a gateway all the while. North has
    none at all, and its object has the problem.
    """
    rules, cases = tmp_path / "rules.yaml", tmp_path / "cases.yaml"
    rules.write_text(yaml.safe_dump(yaml.safe_load(RULES.read_text())["spec"]))
    place = 'job="meshdns",instance="a:9153"'

    def expected(cluster: str) -> dict[str, object]:
        labels = {"job": "meshdns", "instance": "a:9153", "cluster": cluster, "severity": "warning"}
        annotations = {
            "summary": f"Names of cluster {cluster} have no gateway that leads there.",
            "runbook": "docs/runbooks.md#meshdnsgatewaymissing",
        }
        return {"exp_labels": labels, "exp_annotations": annotations}

    def at(minute: int, *clusters: str) -> dict[str, object]:
        alerts = [expected(cluster) for cluster in clusters]
        return {"eval_time": f"{minute}m", "alertname": "MeshdnsGatewayMissing", "exp_alerts": alerts}

    series = {
        f'meshdns_names_without_gateway{{{place},cluster="west"}}': "105x30 0x30",
        f'meshdns_gateways{{{place},cluster="west",health="unknown"}}': "1x60",
        f'meshdns_problems{{{place},cluster="west",kind="no gateway"}}': "1x30 0x30",
        f'meshdns_names_without_gateway{{{place},cluster="east"}}': "0x60",
        f'meshdns_gateways{{{place},cluster="east",health="healthy"}}': "1x60",
        f'meshdns_names_without_gateway{{{place},cluster="north"}}': "0x60",
        f'meshdns_gateways{{{place},cluster="north",health="healthy"}}': "0x60",
        f'meshdns_problems{{{place},cluster="north",kind="no gateway"}}': "1x60",
    }
    case = {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "alert_rule_test": [at(9), at(12, "north", "west"), at(29, "north", "west"), at(32, "north")],
    }
    cases.write_text(yaml.safe_dump({"rule_files": [str(rules)], "tests": [case]}))
    done = subprocess.run(
        [program("promtool"), "test", "rules", str(cases)], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.rig
def test_prometheus_takes_every_expression_of_the_dashboard(tmp_path: Path) -> None:
    """Each panel's expression, made a rule, passes promtool."""
    panels = json.loads(DASHBOARD.read_text())["panels"]
    expressions = [target["expr"].replace("$__rate_interval", "5m") for panel in panels for target in panel["targets"]]
    rules = tmp_path / "rules.yaml"
    group = {"name": "dashboard", "rules": [{"record": f"panel:{i}", "expr": e} for i, e in enumerate(expressions)]}
    rules.write_text(yaml.safe_dump({"groups": [group]}))
    done = subprocess.run(
        [program("promtool"), "check", "rules", str(rules)], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
