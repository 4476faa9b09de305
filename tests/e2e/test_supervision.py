"""Whatever dies, queries are answered, and nobody is left behind."""

import ctypes
import os
import platform
import secrets
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from http import HTTPStatus
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as plain

from tests.e2e.instance import Instance, alive, on_boutique, wait_until_ready
from tests.e2e.load import BOUTIQUE, Load, message, read
from tests.rig.ports import free_port
from tests.rig.unbound import Unbound
from tests.rig.waiting import eventually

pytestmark = pytest.mark.long

HELD = 256
"""Queries that a worker may hold when it dies: the batches of one wake-up."""


@pytest.fixture
def lone(clusters: Path, resolver: Unbound) -> Iterator[Instance]:
    """An instance with one worker."""
    with on_boutique(clusters, resolver) as instance:
        wait_until_ready(instance)
        yield instance


@pytest.fixture
def pair(clusters: Path, resolver: Unbound) -> Iterator[Instance]:
    """An instance with two workers."""
    with on_boutique(clusters, resolver, workers=2) as instance:
        wait_until_ready(instance)
        yield instance


def _under_way(load: Load) -> None:
    """Wait until the load has asked for half a second more."""
    target = load.sent + 1000
    eventually(lambda: load.sent > target, what="the load goes on")


def _replaced(instance: Instance, dead: int, *, workers: int) -> Callable[[], bool]:
    return lambda: len(instance.workers) == workers and dead not in instance.workers


# ---------------------------------------------------------------------------------------------- deaths


def test_killed_controller_costs_no_query(lone: Instance) -> None:
    """``kill -9`` of the controller, five times: every query gets its right answer, and the worker stays."""
    workers = lone.workers
    with Load(lone.server, BOUTIQUE) as load:
        for _ in range(5):
            _under_way(load)
            dead = lone.controller
            lone.kill(dead)
            eventually(lambda dead=dead: lone.controller not in (0, dead), what="there is a new one", within=60)  # type: ignore[misc]
        outcome = load.end()
    assert outcome.clean, outcome
    assert lone.workers == workers


def test_killed_worker_of_two_strands_nobody(pair: Instance) -> None:
    """``kill -9`` of one worker: at most what it held is lost, the other goes on, a new one takes its place."""
    dead, other = pair.workers
    with Load(pair.server, BOUTIQUE) as load:
        _under_way(load)
        pair.kill(dead)
        eventually(_replaced(pair, dead, workers=2), what="there is a new worker", within=60)
        _under_way(load)
        outcome = load.end()
    assert other in pair.workers
    assert (outcome.wrong, outcome.lost <= HELD) == (0, True), outcome


def test_queries_wait_for_the_only_worker(lone: Instance) -> None:
    """``kill -9`` of the only worker: what comes meanwhile waits in the shared socket and is answered."""
    (dead,) = lone.workers
    with Load(lone.server, BOUTIQUE) as load:
        _under_way(load)
        lone.kill(dead)
        eventually(_replaced(lone, dead, workers=1), what="there is a new worker", within=60)
        _under_way(load)
        outcome = load.end()
    assert (outcome.wrong, outcome.lost <= HELD) == (0, True), outcome


def test_stopped_worker_is_replaced(pair: Instance) -> None:
    """A worker that stands still is told by /health, killed and replaced; the other answers meanwhile."""
    dead = pair.workers[0]
    with Load(pair.server, BOUTIQUE) as load:
        _under_way(load)
        pair.kill(dead, signal.SIGSTOP)
        eventually(lambda: pair.page("/health")[0] == HTTPStatus.SERVICE_UNAVAILABLE, what="/health tells", within=60)
        eventually(_replaced(pair, dead, workers=2), what="there is a new worker", within=60)
        eventually(lambda: pair.page("/health")[0] == HTTPStatus.OK, what="all is well", within=60)
        outcome = load.end()
    assert (outcome.wrong, outcome.lost <= HELD) == (0, True), outcome


def test_answers_of_a_silent_controller_are_stale(lone: Instance) -> None:
    """While the controller stands still answers carry EDE 3, after it goes on they don't; nobody is restarted."""
    before = lone.children()

    def stale() -> bool:
        return any(error.startswith("3 ") for error in lone.ask("frontend.default.global").ede)

    assert not stale()
    lone.kill(lone.controller, signal.SIGSTOP)
    eventually(stale, what="answers are marked stale", within=240)
    assert lone.addresses("frontend.default.global") == ["203.0.113.20"]
    lone.kill(lone.controller, signal.SIGCONT)
    eventually(lambda: not stale(), what="answers are fresh again", within=60)
    assert lone.children() == before


def test_killed_supervisor_leaves_nobody(pair: Instance) -> None:
    """``kill -9`` of the supervisor ends its children, those that stand still too; a new one starts at once."""
    pair.kill(pair.workers[0], signal.SIGSTOP)
    pair.kill(pair.controller, signal.SIGSTOP)
    children = pair.crash()
    assert len(children) == 3
    pair.start()
    assert pair.addresses("frontend.default.global") == ["203.0.113.20"]
    eventually(lambda: not any(map(alive, children)), what="the children have ended", within=60)


def test_worker_that_cannot_start_is_tried_again(lone: Instance) -> None:
    """A worker killed again and again comes back each time, and its restarts are counted."""
    for _ in range(3):
        (dead,) = eventually(lambda: lone.workers, what="there is a worker")
        lone.kill(dead)
        eventually(_replaced(lone, dead, workers=1), what="there is a new worker", within=60)
    assert lone.metric("meshdns_child_restarts_total", process="worker 0") == 3


# ---------------------------------------------------------------------------------------------- settings


def test_valid_settings_take_effect_without_a_lost_query(lone: Instance) -> None:
    """SIGHUP with another TTL: the new one is served, the generation grows, no query is lost, the worker stays."""
    workers = lone.workers
    with Load(lone.server, BOUTIQUE) as load:
        _under_way(load)
        lone.change(zones=[{"name": "global", "ttl": 77}])
        lone.kill(lone.pid, signal.SIGHUP)
        answer = ("frontend.default.global. 77 IN A 203.0.113.20",)
        eventually(lambda: lone.ask("frontend.default.global").answer == answer, what="TTL 77", within=60)
        outcome = load.end()
    assert outcome.clean, outcome
    assert (lone.workers, lone.metric("meshdns_settings_generation")) == (workers, 2)


def test_changed_upstream_takes_effect(clusters: Path, resolver: Unbound) -> None:
    """SIGHUP with another forward: names that could not be resolved are."""
    nobody = {"zone": ".", "to": [f"127.0.0.1:{free_port()}"]}
    with on_boutique(clusters, resolver, forward=[nobody]) as instance:
        assert instance.addresses("www.example.com") == ["SERVFAIL"]
        instance.change(forward=[{"zone": ".", "to": [f"{resolver.address}:{resolver.port}"]}])
        instance.kill(instance.pid, signal.SIGHUP)
        eventually(lambda: instance.addresses("www.example.com") == ["192.0.2.80"], what="the new one is asked")


def test_changed_allow_query_takes_effect(lone: Instance) -> None:
    """SIGHUP with another allowQuery: those who may not ask any more are refused, ready replies or not."""
    assert lone.addresses("frontend.default.global") == ["203.0.113.20"]
    lone.change(allowQuery=["192.0.2.0/24"])
    lone.kill(lone.pid, signal.SIGHUP)
    eventually(lambda: lone.addresses("frontend.default.global") == ["REFUSED"], what="we are refused")


def test_wrong_settings_leave_the_old_ones_in_force(lone: Instance) -> None:
    """SIGHUP with a wrong file: the log names file, line and column; generation and answers stay."""
    file = lone.folder / "meshdns.yaml"
    good = file.read_text()
    file.write_text(good + "workerz: 3\n")
    lone.kill(lone.pid, signal.SIGHUP)
    where = f"meshdns.yaml:{len(good.splitlines()) + 1}:"
    eventually(lambda: where in lone.log(), what="the log names the line")
    assert lone.metric("meshdns_settings_generation") == 1
    assert lone.addresses("frontend.default.global") == ["203.0.113.20"]


# ---------------------------------------------------------------------------------------------- ends and refusals


def test_lameduck_answers_while_not_ready(lone: Instance) -> None:
    """After SIGTERM /ready says no and queries are still answered, for the lameduck time; then all end."""
    lone.change(lameduck="3s")
    lone.kill(lone.pid, signal.SIGHUP)
    eventually(lambda: lone.metric("meshdns_settings_generation") == 2, what="the lameduck time is in force")
    children = [pid for pids in lone.children().values() for pid in pids]
    with Load(lone.server, BOUTIQUE, rate=500) as load:
        lone.kill(lone.pid, signal.SIGTERM)
        eventually(lambda: lone.page("/ready") == (HTTPStatus.SERVICE_UNAVAILABLE, "ending\n"), what="/ready says no")
        _under_way(load)
        outcome = load.end()
    assert outcome.clean, outcome
    eventually(lambda: not lone.running, what="the supervisor has ended", within=60)
    assert not any(map(alive, children))


def test_promised_answers_are_kept_at_the_end(clusters: Path, resolver: Unbound) -> None:
    """A query over TCP that waits for an upstream when SIGTERM comes still gets its answer."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as upstream:
        upstream.bind(("127.0.0.1", 0))
        upstream.settimeout(10)
        forward = [{"zone": "slow.example", "to": [f"127.0.0.1:{upstream.getsockname()[1]}"]}]
        with on_boutique(clusters, resolver, forward=forward) as instance:
            wait_until_ready(instance)
            with socket.create_connection(instance.server, timeout=10) as client:
                query = message("a.slow.example", 7)
                client.sendall(len(query).to_bytes(2, "big") + query)
                asked, worker = upstream.recvfrom(512)
                instance.kill(instance.pid, signal.SIGTERM)
                eventually(lambda: not _answers(instance), what="the worker takes no more", within=1.5)
                upstream.sendto(_answered(asked, "192.0.2.90"), worker)
                with client.makefile("rb") as stream:
                    size = int.from_bytes(stream.read(2), "big")
                    assert read(stream.read(size)) == (0, ["192.0.2.90"])
                    assert stream.read() == b""
            eventually(lambda: not instance.running, what="the supervisor has ended", within=60)


def test_second_instance_on_a_state_directory_is_refused(lone: Instance) -> None:
    """One instance per state directory: the second names the first and says what to do."""
    status, said = lone.run_failing()
    assert (status, f"another meshdns (pid {lone.pid}) uses it" in said, "--state-dir" in said) == (1, True, True), said


def test_port_in_use_names_its_holder(lone: Instance, clusters: Path, resolver: Unbound) -> None:
    """A port that another program listens on is refused with that program's name."""
    with on_boutique(clusters, resolver) as second:
        second.stop()
        second.change(listen=[f"127.0.0.1:{lone.port}"])
        status, said = second.run_failing()
    assert status == 1
    assert f"udp 127.0.0.1 port {lone.port}: " in said
    assert any(f"(pid {pid}) listens there" in said for pid in (lone.pid, *lone.workers, lone.controller)), said


def test_address_of_another_machine_is_refused(lone: Instance) -> None:
    """An address that this machine does not have is refused with what to do."""
    lone.stop()
    lone.change(listen=["192.0.2.1:5353"])
    status, said = lone.run_failing()
    assert (status, "this machine has no such address; choose one it has with --listen" in said) == (1, True), said


# ---------------------------------------------------------------------------------------------- HTTP


def test_time_alone_never_makes_ready(resolver: Unbound, tmp_path: Path) -> None:
    """Where the own cluster cannot be read /ready says so, health is good, and forwarding works."""
    kubeconfig = tmp_path / "nobody.yaml"
    cluster = f"{{server: 'http://127.0.0.1:{free_port()}'}}"
    kubeconfig.write_text(
        f"apiVersion: v1\nkind: Config\nclusters: [{{name: east, cluster: {cluster}}}]\n"
        "users: [{name: east, user: {}}]\n"
        "contexts: [{name: east, context: {cluster: east, user: east}}]\ncurrent-context: east\n"
    )
    source = {"kind": "kubeconfig", "path": str(kubeconfig), "contexts": ["east"]}
    with on_boutique(tmp_path, resolver, sources=[source], vantage={"cluster": "east"}) as instance:
        eventually(lambda: "cluster east" in instance.log(), what="it was tried")
        eventually(lambda: "cluster east has not synced" in instance.page("/ready")[1], what="/ready says why not")
        assert instance.page("/ready")[0] == HTTPStatus.SERVICE_UNAVAILABLE
        assert instance.page("/health") == (HTTPStatus.OK, "OK\n")
        assert instance.addresses("www.example.com") == ["192.0.2.80"]
        reply = instance.ask("frontend.default.global")
        assert (reply.status, reply.ede[0][:3]) == ("SERVFAIL", "14 ")


def test_ready_is_latched(lone: Instance) -> None:
    """Once ready an instance stays so while its children die."""
    lone.kill(lone.workers[0])
    lone.kill(lone.controller)
    assert lone.page("/ready") == (HTTPStatus.OK, "OK\n")


def test_health_does_not_depend_on_upstreams(clusters: Path, resolver: Unbound) -> None:
    """With an upstream that never answers the workers are well."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        forward = [{"zone": ".", "to": [f"127.0.0.1:{silent.getsockname()[1]}"]}]
        with on_boutique(clusters, resolver, forward=forward) as instance:
            eventually(lambda: instance.page("/health")[0] == HTTPStatus.OK, what="all is well")


def test_metrics_are_valid_and_outlive_a_worker(lone: Instance) -> None:
    """Both formats can be parsed; a counter never goes back when its worker is replaced."""
    with Load(lone.server, BOUTIQUE, rate=500) as load:
        _under_way(load)
        load.end()
    eventually(lambda: lone.metric("meshdns_queries_total") >= 1000, what="the load is counted")
    before = lone.metric("meshdns_queries_total")
    (dead,) = lone.workers
    lone.kill(dead)
    eventually(_replaced(lone, dead, workers=1), what="there is a new worker", within=60)
    assert lone.ask("frontend.default.global").status == "NOERROR"
    assert lone.metric("meshdns_queries_total") >= before
    names = {family.name for family in plain(lone.page("/metrics")[1])}
    accept = "application/openmetrics-text; version=1.0.0"
    modern = openmetrics(lone.page("/metrics", accept=accept)[1])  # type: ignore[no-untyped-call]
    assert {family.name for family in modern} >= {"meshdns_queries"}
    assert {"meshdns_queries", "meshdns_ready", "meshdns_build_info", "meshdns_controller_silence_seconds"} <= names


def _answers(instance: Instance) -> bool:
    """Whether a known name is answered over UDP within a tenth of a second."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(0.1)
        client.connect(instance.server)
        try:
            client.send(message("frontend.default.global", secrets.randbelow(1 << 16)))
            client.recv(512)
        except OSError:
            return False
    return True


def _answered(query: bytes, address: str) -> bytes:
    """The reply to a query of an upstream: its question and one A record."""
    end = query.index(b"\0", 12) + 5
    answer = b"\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04" + socket.inet_aton(address)
    return query[:2] + b"\x81\x80\0\x01\0\x01\0\0\0\0" + query[12:end] + answer


def test_source_taken_from_the_settings_is_forgotten(clusters: Path, resolver: Unbound, tmp_path: Path) -> None:
    """SIGHUP with a source less: what only that one declared is gone once 30 s have passed."""
    other = tmp_path / "other"
    (other / "third").mkdir(parents=True)
    (other / "third" / "extra.yaml").write_text(
        "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: extra, namespace: default}\n"
        "spec: {hosts: [extra.default.global], location: MESH_INTERNAL, resolution: STATIC,\n"
        "  ports: [{number: 80, name: http, protocol: HTTP}], endpoints: [{address: 198.51.100.99}]}\n"
    )
    both: list[dict[str, str]] = [{"kind": "manifests", "path": str(path)} for path in (clusters, other)]
    with on_boutique(clusters, resolver, sources=both) as instance:
        eventually(lambda: instance.addresses("extra.default.global") == ["198.51.100.99"], what="it is read")
        instance.change(sources=both[:1])
        instance.kill(instance.pid, signal.SIGHUP)
        eventually(
            lambda: instance.addresses("extra.default.global") == ["NXDOMAIN"], what="it is forgotten", within=240
        )


# ---------------------------------------------------------------------------------------------- processors

_GET_ATTRIBUTES = {"x86_64": 315, "aarch64": 275}
"""The number of the system call ``sched_getattr``."""


def _slice(pid: int) -> int:
    """The turn that a process asked for, in nanoseconds (``struct sched_attr``, include/uapi/linux/sched/types.h)."""
    attributes = ctypes.create_string_buffer(48)
    done = ctypes.CDLL(None).syscall(_GET_ATTRIBUTES[platform.machine()], pid, attributes, len(attributes), 0)
    assert done == 0
    return int.from_bytes(attributes.raw[24:32], sys.byteorder)


def test_workers_take_short_turns_and_the_control_plane_gives_way(pair: Instance) -> None:
    """Who reads clusters, shows them or is scraped holds up no answer; a scrape leaves the supervisor as it is."""
    pair.page("/metrics")
    assert [os.getpriority(os.PRIO_PROCESS, pid) for pid in (*pair.workers, pair.pid)] == [0, 0, 0]
    assert os.getpriority(os.PRIO_PROCESS, pair.controller) == 10
    threads = (Path("/proc") / str(pair.pid) / "task").iterdir()
    assert max(os.getpriority(os.PRIO_PROCESS, int(thread.name)) for thread in threads) == 10
    if tuple(map(int, platform.release().split(".")[:2])) >= (6, 12):  # kernels before take no notice
        assert [_slice(pid) for pid in pair.workers] == [100_000] * 2


def test_health_has_an_address_of_its_own(clusters: Path, resolver: Unbound) -> None:
    """With http.health set, /metrics alone is on http.listen, for the clients of http.allow, and health is for all."""
    metrics, health = free_port(), free_port()
    http = {"listen": f"127.0.0.1:{metrics}", "health": f"127.0.0.1:{health}", "allow": []}
    with on_boutique(clusters, resolver, http=http) as instance:
        instance.http = health
        wait_until_ready(instance)
        assert instance.page("/health") == (HTTPStatus.OK, "OK\n")
        assert instance.page("/metrics")[0] == HTTPStatus.NOT_FOUND
        instance.http = metrics
        assert instance.page("/metrics")[0] == HTTPStatus.FORBIDDEN
        assert instance.page("/health")[0] == HTTPStatus.NOT_FOUND
