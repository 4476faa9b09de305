"""Absence is asserted only by names that were computed for the settings in force."""

import contextlib
import resource
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any, Self

import lmdb
import pytest
import yaml

from meshdns.namedb.database import MAP_SIZE
from tests.e2e.instance import Instance
from tests.e2e.test_changes import service_entry
from tests.rig.unbound import Unbound
from tests.rig.waiting import eventually

ENTRIES = 1500
ZONES = ("global", "eu.example", "away.example")
NEW_ZONES = {"zones": [{"name": name} for name in ZONES]}
"""The names of the fixtures' resolver that were forwarded are below away.example, all with the address 192.0.2.81."""
NEW_RECORD = {"records": [{"name": "new.default.global", "type": "A", "value": "192.0.2.7"}]}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cluster with many ServiceEntries, each with a name in every zone."""
    found = tmp_path_factory.mktemp("many")
    (found / "east").mkdir()
    entries = []
    for number in range(ENTRIES):
        entry = service_entry(f"service-{number}", "")
        entry["spec"]["hosts"] = [f"service-{number}.default.{zone}" for zone in ZONES]
        entries.append(entry)
    (found / "east" / "entries.yaml").write_text(yaml.dump_all(entries, Dumper=yaml.CSafeDumper))
    return found


def settings(folder: Path, resolver: Unbound, **more: Any) -> dict[str, Any]:
    """Settings that serve the folder's names in zone ``global`` and forward all others."""
    return {
        "sources": [{"kind": "manifests", "path": str(folder)}],
        "vantage": {"cluster": "east"},
        "zones": [{"name": "global"}],
        "forward": [{"zone": ".", "to": [f"{resolver.address}:{resolver.port}"]}],
        **more,
    }


@contextlib.contextmanager
def writes_held_up(instance: Instance) -> Iterator[None]:
    """No controller of this instance can commit inside the block."""
    with lmdb.open(str(instance.view), map_size=MAP_SIZE, max_dbs=8, create=False) as env, env.begin(write=True):
        yield


@contextlib.contextmanager
def running(folder: Path, resolver: Unbound, **more: Any) -> Iterator[Instance]:
    """A ready instance."""
    with Instance(settings(folder, resolver, **more)) as instance:
        wait_until_built(instance, "global")
        yield instance


def wait_until_built(instance: Instance, *zones: str) -> None:
    """Wait until the instance is ready and denies what does not exist in these zones."""
    eventually(lambda: instance.page("/ready")[0] == HTTPStatus.OK, what="/ready says so", within=120)
    for zone in zones:
        eventually(
            lambda zone=zone: instance.ask(f"nosuch.default.{zone}").status == "NXDOMAIN",  # type: ignore[misc]
            what=f"{zone} is denied",
            within=120,
        )


def reload(instance: Instance, **changed: Any) -> None:
    """Change the settings and wait until they are in force."""
    before = instance.metric("meshdns_settings_generation")
    instance.change(**changed)
    instance.kill(instance.pid, signal.SIGHUP)
    eventually(lambda: instance.metric("meshdns_settings_generation") == before + 1, what="the settings are in force")


class Watch:
    """Queries of some names again and again, on a thread; what came is counted by name."""

    def __init__(self, instance: Instance, *names: str) -> None:
        self.found: dict[str, Counter[str]] = {name: Counter() for name in names}
        self._instance = instance
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def restart(self, name: str) -> None:
        """Count the replies to the queries of a name that are sent from now on."""
        self.found[name] = Counter()

    def _run(self) -> None:
        while not self._end.is_set():
            for name in self.found:
                found = self.found[name]  # before the query is sent
                reply = self._instance.ask(name)
                found[reply.rdata[0] if reply.rdata else reply.status] += 1


def ends_with_data(found: Counter[str]) -> bool:
    """Whether the reply that came for the first time last is an address."""
    return bool(found) and list(found)[-1][0].isdigit()


WAITING = "names are not computed yet for the settings in force, of away.example, eu.example, global\n"
LAST = f"service-{ENTRIES - 1}.default"


def test_a_reload_denies_nothing_that_the_new_settings_have(folder: Path, resolver: Unbound) -> None:
    """New zones and records go from what was answered before to their data, and known names stay as they are."""
    known, moved, fresh, record = f"{LAST}.global", f"{LAST}.away.example", f"{LAST}.eu.example", "new.default.global"
    with running(folder, resolver) as instance, Watch(instance, known, moved, fresh, record) as watch:
        eventually(lambda: min(sum(found.values()) for found in watch.found.values()) > 2, what="all were asked")
        for name in watch.found:
            watch.restart(name)
        reload(instance, **NEW_ZONES, **NEW_RECORD)
        eventually(lambda: "does not serve" not in instance.page("/ready")[1], what="the worker serves them")
        watch.restart(record)
        wait_until_built(instance, *ZONES)
        eventually(lambda: all(map(ends_with_data, watch.found.values())), what="all are served")
    seen = {name: set(found) for name, found in watch.found.items()}
    assert seen[known] == {"203.0.113.9"}
    assert seen[moved] <= {"192.0.2.81", "203.0.113.9"}
    assert seen[record] <= {"SERVFAIL", "192.0.2.7"}


def test_names_wait_for_a_controller_that_cannot_write(folder: Path, resolver: Unbound) -> None:
    """Until it has written what the settings say: old names are served, new ones are SERVFAIL or forwarded.

    Settings that no name rests on wait for nothing.
    """
    with running(folder, resolver) as instance:
        with writes_held_up(instance):
            with instance.standing(instance.workers[0]):
                reload(instance, logFormat="json", rateLimit={"perSecond": 100}, queryLog={"sample": 0.5})
                assert instance.page("/ready") == (503, "worker 0 does not serve settings generation 2 yet\n")
            assert instance.ask("nosuch.default.global").status == "NXDOMAIN"
            eventually(lambda: instance.page("/ready")[0] == HTTPStatus.OK, what="ready")
            reload(instance, **NEW_ZONES, **NEW_RECORD)
            eventually(lambda: instance.page("/ready") == (503, WAITING), what="not ready")
            reply = instance.ask("new.default.global")
            assert (reply.status, "aa" in reply.flags, reply.authority) == ("SERVFAIL", False, ())
            assert [error.partition(" ")[0] for error in reply.ede] == ["14"]
            assert instance.ask("nosuch.default.global").status == "NXDOMAIN", "no record is there"
            assert instance.addresses(f"{LAST}.global") == ["203.0.113.9"]
            assert instance.addresses(f"{LAST}.away.example") == ["192.0.2.81"], "as it was forwarded until then"
            (worker,) = instance.workers
            instance.kill(worker)
            eventually(lambda: instance.workers not in ([worker], []), what="there is a new worker")
            assert instance.addresses(f"{LAST}.away.example") == ["192.0.2.81"]
            assert instance.addresses("new.default.global") == ["SERVFAIL"]
        wait_until_built(instance, *ZONES)
        assert instance.addresses("new.default.global") == ["192.0.2.7"]
        assert instance.addresses(f"{LAST}.away.example") == ["203.0.113.9"]


def test_a_restart_with_other_settings_denies_nothing_new(folder: Path, resolver: Unbound) -> None:
    """The last name database is served at once, and what it was not built for is not denied."""
    with running(folder, resolver) as instance:
        instance.stop()
        instance.change(**NEW_ZONES, **NEW_RECORD)
        instance.start()
        seen: Counter[str] = Counter()
        while instance.page("/ready")[0] != HTTPStatus.OK:
            seen.update(instance.addresses("new.default.global") + instance.addresses(f"{LAST}.away.example"))
        assert "NXDOMAIN" not in seen, seen
        assert instance.addresses("new.default.global") == ["192.0.2.7"]
        assert instance.addresses(f"{LAST}.away.example") == ["203.0.113.9"]
        assert instance.addresses(f"{LAST}.eu.example") == ["203.0.113.9"]


def plain(instance: Instance, name: str) -> str:
    """The status of a query whose reply may be a cached one."""
    return instance.ask(name, opts=["+nocookie"]).status


def test_nothing_is_denied_while_changes_cannot_be_written(tmp_path: Path, resolver: Unbound) -> None:
    """The database lacks what the controller has read: known names are stale, unknown ones SERVFAIL."""
    (tmp_path / "east").mkdir()
    many, known = tmp_path / "east" / "many.yaml", tmp_path / "east" / "known.yaml"
    known.write_text(yaml.safe_dump(service_entry("known", "known.default.global")))
    with running(tmp_path, resolver) as instance:
        assert plain(instance, "nosuch.default.global") == plain(instance, "nosuch.default.global") == "NXDOMAIN"
        size = (instance.view / "data.mdb").stat().st_size
        resource.prlimit(instance.controller, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
        entries = [service_entry(f"a{number}", f"a{number}.default.global") for number in range(500)]
        many.write_text(yaml.dump_all(entries, Dumper=yaml.CSafeDumper))
        eventually(lambda: plain(instance, "nosuch.default.global") == "SERVFAIL", what="nothing is denied")
        assert instance.addresses("a1.default.global") == ["SERVFAIL"]
        assert [error[:2] for error in instance.ask("a1.default.global").ede] == ["14"]
        for rtype, status in (("A", "NOERROR"), ("AAAA", "NOERROR")):
            reply = instance.ask("known.default.global", rtype)
            assert (reply.status, [error[:2] for error in reply.ede]) == (status, ["3 "])
        unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        resource.prlimit(instance.controller, resource.RLIMIT_FSIZE, unlimited)
        eventually(lambda: instance.addresses("a1.default.global") == ["203.0.113.9"], what="the changes are written")
        eventually(lambda: plain(instance, "nosuch.default.global") == "NXDOMAIN", what="unknown names are denied")
        assert instance.ask("known.default.global").ede == ()
