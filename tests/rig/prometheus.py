"""Prometheus with the alerts that the project ships, scraping one instance of meshdns."""

import http.client
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final

import yaml

from tests.rig.component import Component
from tests.rig.packages import program

RULES: Final = Path(__file__).parents[2] / "deploy/prometheus/rules.yaml"
INTERVAL: Final = "5s"
"""The time between two scrapes, and between two evaluations of the rules."""


class Prometheus(Component):
    """A Prometheus that scrapes ``target`` every 5 s as job meshdns, with the shipped rules, each `for` made `wait`."""

    title: ClassVar[str] = "Prometheus"

    def __init__(self, target: str, *, wait: str) -> None:
        super().__init__()
        self._target = target
        self._wait = wait

    def files(self) -> Mapping[str, str]:
        """Its settings and the rules."""
        settings = {
            "global": {"scrape_interval": INTERVAL, "evaluation_interval": INTERVAL},
            "rule_files": ["rules.yaml"],
            "scrape_configs": [{"job_name": "meshdns", "static_configs": [{"targets": [self._target]}]}],
        }
        return {"prometheus.yaml": yaml.safe_dump(settings), "rules.yaml": yaml.safe_dump(shortened(self._wait))}

    def command(self) -> Sequence[str]:
        """The installed program."""
        return [
            program("prometheus"),
            "--config.file=prometheus.yaml",
            "--storage.tsdb.path=data",
            f"--web.listen-address={self.address}:{self.port}",
            "--log.level=warn",
        ]

    def ready(self) -> bool:
        """Whether it serves."""
        return self._get("/-/ready")[0] == http.client.OK

    def clusters_alerted(self, alert: str) -> Mapping[str, str]:
        """The state of an alert, ``pending`` or ``firing``, by its label `cluster`; without those that are inactive."""
        return {
            each["labels"]["cluster"]: each["state"]
            for each in json.loads(self._get("/api/v1/alerts")[1])["data"]["alerts"]
            if each["labels"]["alertname"] == alert
        }

    def _get(self, path: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(self.address, self.port, timeout=10)
        try:
            connection.request("GET", path)
            reply = connection.getresponse()
            return reply.status, reply.read()
        finally:
            connection.close()


def shortened(wait: str) -> dict[str, Any]:
    """The shipped rules with `wait` in place of every `for`; nothing else is changed."""
    rules: dict[str, Any] = yaml.safe_load(RULES.read_text())["spec"]
    for group in rules["groups"]:
        for rule in group["rules"]:
            if "for" in rule:
                rule["for"] = wait
    return rules
