"""Names with quotes, line feeds, escapes and any octet, wherever people and machines read them."""

import json
import logging
import re
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from meshdns.cli.commands import tail
from meshdns.cli.printing import print_fields
from meshdns.config import Settings, read_settings_file
from meshdns.instance import logs, metric_pages, samples
from meshdns.instance.metric_pages import MetricPage
from meshdns.instance.samples import FOR_LOG, QuerySample
from meshdns.instance.scoreboard import CONTROLLER, Scoreboard
from meshdns.supervisor.exposition import InstanceCollector, SupervisorStatus, encode_metrics
from meshdns.supervisor.usage import ProcessUsage
from tests.cli.command_runner import CommandRunner
from tests.cli.stopped_server import publish

ODD = 'a"\n{}\x1b[31m\x00'
LABELS = [b'"\n{}', b"\x1b[2J", bytes(range(1, 64)), *(bytes(range(at, at + 61)) for at in (0, 61, 122))]
LONGEST = b"".join(bytes([len(label)]) + label for label in (b"\xff" * 63, b"\0" * 63, b'"' * 63, b"\n" * 61)) + b"\0"
NAMES = [*(bytes([len(label)]) + label + b"\6global\0" for label in LABELS), LONGEST]


def query(name: bytes) -> QuerySample:
    """A denied query for a wire name."""
    return QuerySample(
        destinations=FOR_LOG,
        timestamp=1_800_000_000.0,
        client_address=b"\x0a\0\0\1",
        client_port=5353,
        tcp=False,
        query_id=7,
        name=name,
        qtype=1,
        qclass=1,
        flags=0x8583,
        query_size=40,
        reply_size=90,
        dnssec_ok=False,
        udp_size=1232,
        plugin="mesh",
        reply_class="denial",
        ede_code=-1,
        duration=0.001,
    )


@pytest.mark.parametrize("name", NAMES)
def test_the_query_log(name: bytes) -> None:
    """One line in CoreDNS's form, with its fields at their places, and one object whose name is a name."""
    asked = query(name)
    line = samples.as_coredns(asked)
    assert line.isprintable()
    assert line.isascii()
    assert re.fullmatch(r'\[INFO] 10\.0\.0\.1:5353 - 7 "A IN [^" ]+ udp 40 false 1232" NXDOMAIN .*s', line)
    assert json.loads(json.dumps(samples.as_json(asked)))["name"].endswith(".")


@pytest.mark.parametrize("name", NAMES)
def test_live_queries_on_the_terminal(name: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    """A line of ``meshdns tail`` holds no control character but its own colours."""
    print_fields(tail._fields(samples.as_json(query(name))))
    line = capsys.readouterr().out.removesuffix("\n")
    assert re.sub(r"\x1b\[\d+m", "", line).isprintable()


@pytest.mark.parametrize("form", [logs.TextFormatter(colours=False), logs.JsonFormatter("controller")])
def test_logs(form: logging.Formatter) -> None:
    """A name inside a message begins no line of its own, and colours nothing."""
    record = logging.LogRecord("meshdns.controller", logging.WARNING, "", 0, "cluster %s is stale", (ODD,), None)
    told = form.format(record)
    assert not any(line and line[0] in "{a" for line in told.split("\n")[1:])
    assert "\x1b" not in told
    assert "\x00" not in told


def test_metrics() -> None:
    """A cluster of that name is one label, and comes back as it was."""
    board = Scoreboard.create()
    ledger = MetricPage()
    ledger.series_values(metric_pages.CLUSTER_STATUS, ODD, "synced")[0] = 1
    board.publish_page(CONTROLLER, ledger.encode())
    about = SupervisorStatus(Settings(), [("", 0)], 1, is_ready=True, reload_failures=0, usage=ProcessUsage(0, 0, 0))
    text = encode_metrics(InstanceCollector(board, 1, now=0, status=about), "text/plain")[0].decode()
    families = {family.name: family for family in text_string_to_metric_families(text)}
    (sample,) = families["meshdns_remote_cluster_sync_status"].samples
    assert sample.labels == {"cluster": ODD, "status": "synced"}


@pytest.fixture
def config(tmp_path: Path, state: Path) -> Path:
    """Settings over a folder with an object of that name."""
    entry = {
        "apiVersion": "networking.istio.io/v1",
        "kind": "ServiceEntry",
        "metadata": {"name": ODD, "namespace": ODD},
        "spec": {
            "hosts": ["x.global", ODD + ".global"],
            "resolution": "STATIC",
            "location": "MESH_EXTERNAL",
            "endpoints": [{"address": "203.0.113.7"}, {"address": ODD}],
        },
    }
    (tmp_path / "clusters/east").mkdir(parents=True)
    (tmp_path / "clusters/east/odd.json").write_text(json.dumps(entry))
    file = tmp_path / "meshdns.yaml"
    file.write_text(
        f"apiVersion: meshdns/v1\nstateDir: {state}\nadmin: {{socket: {state}/admin.sock}}\n"
        f"sources: [{{kind: manifests, path: {tmp_path}/clusters}}]\n"
    )
    publish(read_settings_file(file, "/"))
    return file


@pytest.mark.parametrize(
    ("arguments", "lines"),
    [
        (("check",), 4),
        (("get", "problems"), 5),
        (("get", "names", "-o", "wide"), 3),
        (("get", "names", "-o", "name"), 2),
        (("get", "problems", "-o", "name"), 4),
        (("get", "problems", "--all", "-o", "name"), 4),
        (("explain", "x.global"), 15),
        (("zone", "--running"), 4),
    ],
)
def test_commands(meshdns: CommandRunner, config: Path, arguments: tuple[str, ...], lines: int) -> None:
    """Tables keep their lines, and nothing in them is a control character."""
    where = (str(config),) if arguments == ("check",) else ("--config", str(config))
    out = meshdns(*arguments, *where).out
    assert len(out.splitlines()) == lines, out
    assert all(line.isprintable() for line in out.splitlines())
