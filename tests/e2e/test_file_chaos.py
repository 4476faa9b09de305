"""Each file that the supervisor reads is made missing, unreadable, empty, huge, a folder or a FIFO: answers go on.

A turn puts the files into different states. That each reader takes each state is tested beside it
(`tests/file_states.py`).
"""

import shutil
import signal
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from tests.e2e import boutique
from tests.e2e.instance import Instance, wait_until_ready
from tests.e2e.load import BOUTIQUE, Load
from tests.file_states import STATES
from tests.rig.unbound import Unbound
from tests.rig.waiting import eventually
from tests.upstream.certificates import Authority

RATE = 500  # queries a second
RESEND_AFTER = 1.0  # seconds


NAMED = ("meshdns.yaml", "resolv.conf", "ca.crt")
"""The settings, and what they name, beside the instance's state folder."""

STATE = ("state/cookie-secrets.json", "state/snapshot", "NAMEDB/data.mdb", "NAMEDB/lock.mdb")
"""What an earlier process left in the state folder."""


def _clear(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


class _Files:
    """The files of an instance, and what they were when all was well."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance
        self._good = {name: self.path(name).read_bytes() for name in NAMED}

    def path(self, name: str) -> Path:
        """Where a file is."""
        return self._instance.folder / name.replace("NAMEDB", str(self._instance.view))

    def break_all(self, names: Sequence[str], turn: int) -> None:
        """Put each file into a state, another one for each, and for each turn."""
        states = list(STATES.values())
        for place, name in enumerate(names):
            path = self.path(name)
            _clear(path)
            path.parent.mkdir(exist_ok=True)
            states[(place + turn) % len(states)](path)

    def mend(self, *names: str) -> None:
        """Make files of the settings good again."""
        for name in names:
            _clear(self.path(name))
            self.path(name).write_bytes(self._good[name])


@pytest.fixture(scope="module")
def instance(resolver: Unbound, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    """An instance with two workers, whose settings name files."""
    authority = Authority(tmp_path_factory.mktemp("authority"))
    settings = {
        "sources": [{"kind": "manifests", "path": str(boutique.ZONE)}],
        "vantage": {"cluster": "cluster1"},
        "forward": [
            {"zone": ".", "to": [f"{resolver.address}:{resolver.port}"]},
            {"zone": "file.example", "to": ["./resolv.conf"]},
            {"zone": "tls.example", "to": ["tls://127.0.0.1#dns.test"], "ca": "./ca.crt"},
        ],
        "workers": 2,
    }

    class WithFiles(Instance):
        def files(self) -> Mapping[str, str]:
            return {**super().files(), "resolv.conf": "nameserver 192.0.2.53\n", "ca.crt": authority.pem}

    with WithFiles(settings) as made:
        wait_until_ready(made)
        yield made


@pytest.fixture(scope="module")
def files(instance: Instance) -> _Files:
    """Its files."""
    return _Files(instance)


def _all_back(instance: Instance, *dead: int) -> None:
    eventually(
        lambda: (
            len(instance.workers) == 2
            and instance.controller
            and not {*instance.workers, instance.controller} & {*dead}
        ),
        what="all processes are there",
    )


@pytest.mark.parametrize("turn", [0, 2, 4])
def test_answers_go_on_while_files_of_a_running_instance_break(instance: Instance, files: _Files, turn: int) -> None:
    """At a reload, which is refused, and when a worker and the controller are restarted; then all is mended."""
    failed, generation = (instance.metric(f"meshdns_{name}") for name in ("reload_failed_total", "settings_generation"))
    workers = instance.workers
    with Load(instance.server, BOUTIQUE, rate=RATE, limit=120, resend_after=RESEND_AFTER) as load:
        files.break_all((*NAMED, *STATE[:2]), turn)
        instance.kill(instance.pid, signal.SIGHUP)
        eventually(lambda: instance.metric("meshdns_reload_failed_total") == failed + 1, what="the reload is refused")
        assert instance.workers == workers
        dead = (instance.workers[0], instance.controller)
        for pid in dead:
            instance.kill(pid)
        _all_back(instance, *dead)
        files.mend("meshdns.yaml")
        instance.kill(instance.pid, signal.SIGHUP)
        eventually(
            lambda: instance.metric("meshdns_settings_generation") == generation + 1,
            what="settings that can be read are in force, whatever became of the files that they name",
        )
        files.mend(*NAMED)
        outcome = load.end()
    assert outcome.clean, outcome
    assert "Traceback" not in instance.log()


@pytest.mark.parametrize("turn", [1])
def test_instance_starts_with_any_state_of_its_files(instance: Instance, files: _Files, turn: int) -> None:
    """No query is lost or answered falsely from the start on, and names are answered as soon as it is ready."""
    instance.stop()
    files.break_all((*NAMED[1:], *STATE), turn)
    instance.start()
    with Load(instance.server, BOUTIQUE, rate=RATE, limit=120, resend_after=RESEND_AFTER) as load:
        wait_until_ready(instance)
        outcome = load.end()
    assert (outcome.lost, outcome.wrong - outcome.failed) == (0, 0), outcome
    with Load(instance.server, BOUTIQUE, rate=RATE, limit=120) as load:
        eventually(lambda: load.sent > RATE, what="the load runs")
        outcome = load.end()
    assert outcome.clean, outcome
    assert "Traceback" not in instance.log()
    files.mend(*NAMED)


@pytest.mark.parametrize("broken", ["meshdns.yaml", "state/lock"])
def test_start_that_is_refused_says_why(instance: Instance, files: _Files, broken: str) -> None:
    """Without settings or lock nothing can be served; a FIFO is not waited for."""
    instance.stop()
    files.break_all((broken,), list(STATES).index("a FIFO"))
    status, said = instance.run_failing()
    assert status > 0
    assert broken in said
    assert "FIFO" in said or "no regular file" in said
    assert "Traceback" not in said
    _clear(files.path(broken))
    files.mend("meshdns.yaml")
    instance.start()
