"""The reference of all metrics, from the code that exposes them.

``python -m meshdns.supervisor.reference > docs/metrics.md`` regenerates it.
"""

import sys
from collections.abc import Iterator

from meshdns.config import Settings
from meshdns.instance import metric_pages
from meshdns.instance.metric_pages import INSTANCE_LABELS, MetricDefinition, MetricPage
from meshdns.instance.scoreboard import CONTROLLER, Scoreboard
from meshdns.supervisor.exposition import PREFIX, InstanceCollector, Metric, SupervisorStatus
from meshdns.supervisor.usage import ProcessUsage

_HEAD = """\
# Metrics

What `/metrics` on `http.listen` tells, in Prometheus' text format or, by Accept, OpenMetrics. Counters of workers are
kept while the instance lives, whoever dies; the controller's last numbers are told when it is dead, too.

Labels come from closed sets or from the settings, never from a query. Metrics marked *CoreDNS* have the names, labels
and buckets of CoreDNS 1.14 behind the prefix; with `metrics: {corednsNames: true}` they are told as `coredns_…`, too.

| metric | type | labels | meaning |
|---|---|---|---|
"""


def reference() -> str:
    """The text of ``docs/metrics.md``."""
    families = {family.name: family for family in _all_families()}
    twins = {name.removeprefix("coredns_") for name in families if name.startswith("coredns_")}
    told = [family for name, family in families.items() if not name.startswith("coredns_")]
    return _HEAD + "".join(_row(family, twins) for family in sorted(told, key=lambda family: family.name))


def _all_families() -> Iterator[Metric]:
    """All families, each with a sample."""
    board = Scoreboard.create()
    for process, known in ((0, metric_pages.WORKER_METRICS), (CONTROLLER, metric_pages.CONTROLLER_METRICS)):
        page = MetricPage()
        for metric in known:
            page.series_values(metric, *_labels(metric))
        board.publish_page(process, page.encode())
    own = MetricPage()
    for metric in metric_pages.SUPERVISOR_METRICS:
        own.series_values(metric, *_labels(metric))
    settings = Settings.model_validate({"metrics": {"corednsNames": True}})
    about = SupervisorStatus(
        settings,
        [("", 0)],
        1,
        is_ready=True,
        reload_failures=0,
        usage=ProcessUsage(0, 0, 0),
        own_page=own.encode(),
    )
    return InstanceCollector(board, 1, now=0, status=about).collect()


def _labels(metric: MetricDefinition) -> list[str]:
    return ["" for label in metric.labels if label not in INSTANCE_LABELS]


def _row(family: Metric, twins: set[str]) -> str:
    name = family.name + ("_total" if family.type == "counter" else "")
    labels = ", ".join(label for label in family.samples[0].labels if label != "le") if family.samples else ""
    mark = " *CoreDNS*" if family.name.removeprefix(PREFIX) in twins else ""
    return f"| `{name}` | {family.type} | {labels} | {family.documentation}{mark} |\n"


if __name__ == "__main__":
    sys.stdout.write(reference())
