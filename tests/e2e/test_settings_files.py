"""Files that the settings name vanish, break and return: that costs what they say, and nothing else."""

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from meshdns.cli.exit_codes import UNREACHABLE
from tests.e2e.instance import PROGRAM, Instance, on_boutique, wait_until_ready
from tests.rig.unbound import Unbound
from tests.rig.waiting import eventually

pytestmark = pytest.mark.long

KNOWN = "frontend.default.global"


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder with a resolv.conf and a file of authorities that can be read."""
    (tmp_path / "resolv.conf").write_text("nameserver 192.0.2.53\n")
    return tmp_path


@pytest.fixture
def instance(clusters: Path, resolver: Unbound, files: Path) -> Iterator[Instance]:
    """An instance that forwards one zone to the servers of a file."""
    root = {"zone": ".", "to": [f"{resolver.address}:{resolver.port}"]}
    with on_boutique(
        clusters, resolver, forward=[root, {"zone": "corp.example", "to": [str(files / "resolv.conf")]}]
    ) as made:
        wait_until_ready(made)
        yield made


def _remove(path: Path) -> None:
    path.unlink()


def _make_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _make_fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _make_huge(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(10 << 30)  # sparse


def _make_dangling(path: Path) -> None:
    path.unlink()
    path.symlink_to("nowhere")


BREAKS: Mapping[str, Callable[[Path], None]] = {
    "missing": _remove,
    "a folder": _make_folder,
    "a FIFO": _make_fifo,
    "10 GiB": _make_huge,
    "a dangling link": _make_dangling,
}


def test_a_worker_restarts_while_a_file_cannot_be_read(instance: Instance, files: Path) -> None:
    """The last value is what it gets; known and forwarded names are answered on, whatever is at the file's path."""
    file = files / "resolv.conf"
    for broken, make in BREAKS.items():
        make(file)
        (dead,) = instance.workers
        instance.kill(dead)
        eventually(lambda dead=dead: instance.workers not in ([], [dead]), what=f"a new worker: {broken}")  # type: ignore[misc]
        eventually(lambda: instance.ask(KNOWN).status == "NOERROR", what=f"known names are answered: {broken}")
        assert instance.ask("www.example.com").status == "NOERROR", broken
        if file.is_dir():
            file.rmdir()
        file.unlink(missing_ok=True)
        file.write_text("nameserver 192.0.2.53\n")


def _reload(instance: Instance) -> "subprocess.CompletedProcess[str]":
    """The outcome of ``meshdns reload``, once somebody listens: a controller that was restarted does so in a moment."""
    command = [PROGRAM, "reload", "--config", str(instance.folder / "meshdns.yaml")]

    def outcome() -> "subprocess.CompletedProcess[str] | None":
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
        return done if done.returncode != UNREACHABLE else None

    found = eventually(outcome, what="somebody is asked")
    assert found is not None
    return found


def test_a_reload_with_an_address_that_cannot_be_asked_is_refused(instance: Instance) -> None:
    """By signal as by order: the server goes on with its settings, and the order says where the fault is."""
    for number, server in enumerate(("0.0.0.0", "[::]:53", "224.0.0.1", "tls://0.0.0.0#x"), 1):  # noqa: S104 — refused
        instance.change(forward=[{"zone": ".", "to": [server]}])
        instance.kill(instance.pid, signal.SIGHUP)
        eventually(lambda n=number: instance.metric("meshdns_reload_failed_total") == n, what="it is counted")  # type: ignore[misc]
        done = _reload(instance)
        assert done.returncode == 65
        assert f"meshdns.yaml:{_line_of(instance, server)}:" in done.stderr
        assert "the running server was not asked, and keeps its settings" in done.stderr
    assert instance.metric("meshdns_settings_generation") == 1
    assert instance.ask("www.example.com").status == "NOERROR"


def _line_of(instance: Instance, text: str) -> int:
    lines = (instance.folder / "meshdns.yaml").read_text().splitlines()
    return next(number for number, line in enumerate(lines, 1) if text in line)


def test_a_server_starts_without_the_files_of_its_settings(clusters: Path, resolver: Unbound, files: Path) -> None:
    """Names of the mesh are answered, forwarded ones say why not; what appears counts at once, without a reload."""
    servers, authorities = files / "servers.conf", files / "ca.pem"
    root = {"zone": ".", "to": [str(servers)]}
    private = {"zone": "corp.example", "to": ["tls://192.0.2.53#dns.test"], "ca": str(authorities)}
    with on_boutique(clusters, resolver, forward=[root, private]) as instance:
        wait_until_ready(instance)
        for name in ("www.example.com", "www.corp.example"):
            reply = instance.ask(name)
            assert (reply.status, reply.ede) == ("SERVFAIL", (_NO_UPSTREAM,))
        assert instance.metric("meshdns_settings_files_unreadable") == 2
        (shown, other) = _problems(instance)
        assert (shown["name"], other["name"]) == (str(authorities), str(servers))
        assert other["reason"] == "No such file or directory; nothing is known instead of it"
        servers.write_text("nameserver 192.0.2.53\n")
        eventually(lambda: instance.metric("meshdns_settings_files_unreadable") == 1, what="it is read", within=120)
        eventually(lambda: _NO_UPSTREAM not in instance.ask("www.example.com").ede, what="its server is asked")
        assert [each["name"] for each in _problems(instance)] == [str(authorities)]
        assert instance.metric("meshdns_settings_generation") == 1
        assert instance.metric("meshdns_child_restarts_total") == 0


_NO_UPSTREAM = "22 (No Reachable Authority): (no upstream server is known; see meshdns get problems)"


def _problems(instance: Instance) -> list[dict[str, str]]:
    command = [PROGRAM, "get", "problems", "-o", "json", "--config", str(instance.folder / "meshdns.yaml")]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    items = [item for item in json.loads(done.stdout)["items"] if item["kind"] == "unreadable"]
    return sorted(items, key=lambda item: str(item["name"]))


def test_a_reload_says_what_came_of_it(instance: Instance, files: Path) -> None:
    """The generation in force and what waits for a restart; or where the fault is, and that the old ones stay."""
    forward = instance.settings["forward"]
    instance.change(lameduck="1s", workers=2)
    done = _reload(instance)
    assert (done.returncode, done.stdout) == (0, "in force as generation 2\n"), done.stderr
    assert done.stderr == "a change of workers takes effect with a restart\n"
    assert instance.metric("meshdns_settings_generation") == 2
    absent = {"zone": "example", "to": ["tls://192.0.2.53"], "ca": str(files / "absent.pem")}
    instance.change(forward=[*forward, absent], workers=1)
    done = _reload(instance)
    assert done.returncode == 65
    first, second = done.stderr.splitlines()
    assert first == "settings generation 2 stays in force:"
    place = f"{instance.folder}/meshdns.yaml:{_line_of(instance, 'absent.pem')}:"
    assert second.startswith(place)
    assert "absent.pem: No such file or directory; name a readable file of PEM certificates with ca" in second
    assert instance.metric("meshdns_reload_failed_total") == 1
    assert instance.ask("www.example.com").status == "NOERROR"
    (files / "resolv.conf").unlink()
    instance.change(forward=forward, lameduck="0s")
    assert _reload(instance).stdout == "in force as generation 3\n"


def test_a_settings_file_that_breaks_leaves_the_settings(instance: Instance) -> None:
    """Whatever is at its path when they are reread: each time it is counted, and queries are answered."""
    file = instance.folder / "meshdns.yaml"
    text = file.read_text()
    junk: Mapping[str, Callable[[Path], object]] = {
        **BREAKS,
        "empty": lambda path: path.write_text(""),
        "no UTF-8": lambda path: path.write_bytes(b"\xff" * 1000),
        "deep": lambda path: path.write_text("[" * 100_000),
    }
    for number, break_it in enumerate(junk.values(), 1):
        break_it(file)
        instance.kill(instance.pid, signal.SIGHUP)
        eventually(lambda: instance.metric("meshdns_reload_failed_total") == number, what="it is counted")  # noqa: B023
        assert instance.ask(KNOWN).status == "NOERROR"
        if file.is_dir():
            file.rmdir()
        file.unlink(missing_ok=True)
        file.write_text(text)
    instance.kill(instance.pid, signal.SIGHUP)
    eventually(lambda: instance.metric("meshdns_settings_generation") == 2, what="they are reread")
