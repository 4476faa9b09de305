"""Whatever happens to the database's files, forwarding goes on, one line says so, and the mesh is answered again."""

import os
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from http import HTTPStatus
from pathlib import Path

import pytest
import yaml

from tests.e2e.instance import Instance, on_boutique, wait_until_ready
from tests.e2e.load import BOUTIQUE, Load
from tests.e2e.test_changes import ENTRIES, service_entry
from tests.rig.apiserver import ApiServer
from tests.rig.unbound import Unbound
from tests.rig.waiting import eventually

FRONTEND = "frontend.default.global"
HELD = 256
"""Queries that a worker may hold when it dies: the batches of one wake-up."""

AWAY = {name: addresses for name, addresses in BOUTIQUE.items() if "example" in name}

GROWTH = 1 << 20
"""Octets that hundreds of small changes may add to a name database whose old pages can be used again."""


@pytest.fixture
def lone(clusters: Path, resolver: Unbound) -> Iterator[Instance]:
    """An instance with one worker."""
    with on_boutique(clusters, resolver) as instance:
        wait_until_ready(instance)
        yield instance


# ---------------------------------------------------------------------------------------------- found at the start


def _flip_byte(view: Path) -> None:
    """Change one address wherever it stands: in the pages that are used, among others."""
    file = view / "data.mdb"
    file.write_bytes(file.read_bytes().replace(bytes([203, 0, 113, 20]), bytes([203, 0, 113, 21])))


def _flip_page(view: Path) -> None:
    """Break the header of every page behind the two that hold the roots."""
    file = view / "data.mdb"
    data = bytearray(file.read_bytes())
    for at in range(2 * 4096, len(data), 4096):
        data[at + 8 : at + 16] = b"\xff" * 8
    file.write_bytes(data)


def _truncate(view: Path) -> None:
    os.truncate(view / "data.mdb", 3 * 4096)


def _empty(view: Path) -> None:
    os.truncate(view / "data.mdb", 0)


def _noise(view: Path) -> None:
    (view / "data.mdb").write_bytes(os.urandom(64 << 10))


def _file_instead(view: Path) -> None:
    shutil.rmtree(view)
    view.write_text("no directory")


def _other_layout(view: Path) -> None:
    """An LMDB environment with other databases, as another version would leave it under this name."""
    shutil.rmtree(view)
    program = (
        "import lmdb, sys\n"
        "env = lmdb.open(sys.argv[1], max_dbs=2)\n"
        "with env.begin(write=True) as txn: txn.put(b'a', b'b', db=env.open_db(b'other', txn))\n"
    )
    subprocess.run([sys.executable, "-c", program, str(view)], check=True)


@pytest.mark.parametrize(
    "damage",
    [_flip_byte, _flip_page, _truncate, _empty, _noise, _file_instead, _other_layout],
    ids=lambda damage: damage.__name__.strip("_"),
)
def test_damage_is_found_before_the_view_is_used(lone: Instance, damage: Callable[[Path], None]) -> None:
    """A damaged name database is set aside with one line; forwarding works at once, and the names are right again."""
    lone.stop()
    said = len(lone.log())
    damage(lone.view)
    lone.start()
    assert lone.addresses("www.example.com") == ["192.0.2.80"]
    eventually(lambda: lone.addresses(FRONTEND) == ["203.0.113.20"], what="the name database is rebuilt", within=30)
    errors = [line for line in lone.log()[said:].splitlines() if line.startswith(("ERROR", "Traceback"))]
    assert len(errors) == 1, errors
    assert "the name database is set aside, names of the mesh are answered again once it is rebuilt" in errors[0]


def test_view_of_another_boot_is_not_used(lone: Instance) -> None:
    """A directory named after another boot is left alone and then removed; the snapshot fills a new one."""
    lone.stop()
    other = lone.view.with_name("namedb-1-00000000-0")
    lone.view.rename(other)
    lone.start()
    eventually(lambda: lone.addresses(FRONTEND) == ["203.0.113.20"], what="the name database is rebuilt", within=30)
    assert not other.exists()
    assert lone.view.exists()


# ---------------------------------------------------------------------------------------------- found while running


@pytest.mark.parametrize("pages", [0, 2, 5])
def test_view_truncated_under_running_workers(clusters: Path, resolver: Unbound, pages: int) -> None:
    """Workers die of it once; the name database is set aside, forwarding goes on, and the names come back."""
    with on_boutique(clusters, resolver, workers=2) as instance:
        wait_until_ready(instance)
        view = instance.view
        with Load(instance.server, AWAY, rate=500) as load:
            os.truncate(view / "data.mdb", pages * 4096)
            file = clusters / "cluster2" / "fresh.yaml"  # the commit makes the controller look, the load the workers
            file.write_text(yaml.safe_dump(service_entry("fresh", "fresh.default.global")))
            eventually(lambda: instance.view != view, what="the name database is set aside", within=30)
            eventually(lambda: instance.addresses(FRONTEND) == ["203.0.113.20"], what="it is rebuilt", within=60)
            outcome = load.end()
        assert (outcome.wrong, outcome.lost <= 2 * HELD) == (0, True), outcome
        assert "the name database is set aside" in instance.log()


# ---------------------------------------------------------------------------------------------- clusters out of reach


@pytest.fixture
def meshed(east: ApiServer, west: ApiServer, resolver: Unbound, tmp_path: Path) -> Iterator[Instance]:
    """An instance in east that reads two API servers; each has declared an address for shared.default.global."""
    east.post(ENTRIES, service_entry("kept", "east.default.global", "203.0.113.1"))
    west.post(ENTRIES, service_entry("kept", "west.default.global", "203.0.113.2"))
    first = east.write_kubeconfig(tmp_path / "east.yaml", "east")
    second = west.write_kubeconfig(tmp_path / "west.yaml", "west")
    source = {"kind": "kubeconfig", "path": f"{first}:{second}", "contexts": ["east", "west"]}
    with on_boutique(tmp_path, resolver, sources=[source], vantage={}) as instance:
        eventually(lambda: instance.ask("nosuch.default.global").status == "NXDOMAIN", what="both have synced")
        yield instance


def test_merged_answers_survive_a_lost_cluster_and_a_killed_controller(
    meshed: Instance, east: ApiServer, west: ApiServer
) -> None:
    """With west stopped and the controller killed a change in east is merged with what west said last."""
    east.post(ENTRIES, service_entry("both", "both.default.global", "203.0.113.3"))
    west.post(ENTRIES, service_entry("both", "both.default.global", "203.0.113.4"))
    eventually(lambda: len(meshed.addresses("both.default.global")) == 2, what="both are merged")
    west.stop()
    dead = meshed.controller
    meshed.kill(dead)
    east.post(ENTRIES, service_entry("more", "both.default.global", "203.0.113.5"))
    wanted = ["203.0.113.3", "203.0.113.4", "203.0.113.5"]
    eventually(lambda: meshed.addresses("both.default.global") == wanted, what="east's change is merged", within=30)
    assert meshed.addresses("west.default.global") == ["203.0.113.2"]


def _reboot(instance: Instance) -> None:
    """Make the name database one of another boot."""
    instance.stop()
    instance.view.rename(instance.view.with_name("namedb-1-00000000-0"))


def test_snapshot_serves_after_a_reboot_without_any_cluster(meshed: Instance, east: ApiServer, west: ApiServer) -> None:
    """After a reboot with all API servers down the last known names are answered, marked stale, and all is ready."""
    east.stop()
    west.stop()
    _reboot(meshed)
    meshed.start()
    eventually(lambda: meshed.addresses("west.default.global") == ["203.0.113.2"], what="the snapshot serves")
    reply = meshed.ask("east.default.global")
    assert (reply.rdata, reply.ede[0][:2]) == (("203.0.113.1",), "3 ")
    assert meshed.page("/ready")[0] == HTTPStatus.OK


def _flipped(snapshot: bytes) -> bytes:
    return snapshot.replace(b"203.0.113.20", b"203.0.113.21", 1)


def _version(step: int) -> Callable[[bytes], bytes]:
    def change(snapshot: bytes) -> bytes:
        magic, version, rest = snapshot.split(b" ", 2)
        return b" ".join((magic, b"%d" % (int(version) + step), rest))

    return change


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_flipped, "is damaged: its checksum does not match"),
        (lambda snapshot: snapshot[:-20], "is damaged: its checksum does not match"),
        (lambda _: b"", "is no snapshot"),
        (_version(2), "has version 3"),
        (_version(1), ""),
    ],
    ids=["flipped", "truncated", "empty", "two versions on", "one version on"],
)
def test_snapshot_is_taken_as_it_is_or_not_at_all(
    lone: Instance, clusters: Path, change: Callable[[bytes], bytes], reason: str
) -> None:
    """After a reboot without sources a whole snapshot of a version near ours serves; any other is refused with why."""
    _reboot(lone)
    shutil.rmtree(clusters)
    file = lone.state_dir / "snapshot"
    file.write_bytes(change(file.read_bytes()))
    lone.start()
    if reason:
        eventually(lambda: reason in lone.log() and "beginning without it" in lone.log(), what="the log says why")
        assert lone.addresses(FRONTEND) == ["SERVFAIL"]
    else:
        eventually(lambda: lone.addresses(FRONTEND) == ["203.0.113.20"], what="the snapshot serves")


def test_snapshot_is_written_though_the_first_controller_was_killed(lone: Instance) -> None:
    """A controller that takes over a name database writes the snapshot that its predecessor may have left unwritten."""
    file = lone.state_dir / "snapshot"
    eventually(file.exists, what="there is a snapshot")
    dead = lone.controller
    lone.kill(dead, signal.SIGSTOP)
    file.unlink()
    lone.kill(dead)
    eventually(file.exists, what="there is a snapshot again", within=60)


# ---------------------------------------------------------------------------------------------- readers that do not end


_READER = """
import os, signal, sys
from pathlib import Path
from meshdns.namedb.database import NameDatabase
transaction = NameDatabase(Path(sys.argv[1]), writable=False).begin()
print("in", flush=True)
os.kill(os.getpid(), signal.SIGKILL if sys.argv[2] == "die" else signal.SIGSTOP)
"""


def _reader(view: Path, fate: str) -> "subprocess.Popen[str]":
    """A process that ends, or stands still, inside a read transaction."""
    process = subprocess.Popen([sys.executable, "-c", _READER, str(view), fate], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "in\n"
    return process


def _changes(instance: Instance, clusters: Path, commits: int) -> None:
    """Change fifty names at a time, each time seen in an answer before the next."""
    file = clusters / "cluster2" / "many.yaml"
    for commit in range(commits):
        address = f"198.51.{secrets.randbelow(256)}.{commit}"
        names = [f"entry-{number}" for number in range(50)]
        file.write_text(yaml.safe_dump_all(service_entry(name, f"{name}.default.global", address) for name in names))
        wanted = [address]
        eventually(lambda wanted=wanted: instance.addresses("entry-49.default.global") == wanted, what="it is served")  # type: ignore[misc]


def _size(view: Path) -> int:
    return (view / "data.mdb").stat().st_size


def test_reader_killed_inside_a_transaction_costs_no_growth(lone: Instance, clusters: Path) -> None:
    """The pages that a dead reader looked at are used again: the file stays as small as it was."""
    _changes(lone, clusters, 3)
    before = _size(lone.view)
    _reader(lone.view, "die").communicate()
    _changes(lone, clusters, 20)
    assert _size(lone.view) - before < GROWTH


def test_hundreds_of_dead_readers_cost_no_place(lone: Instance, clusters: Path) -> None:
    """Three times 200 readers die in their transactions: new ones find a place, and the file stays small."""
    _changes(lone, clusters, 3)
    before = _size(lone.view)
    program = (
        "import os, signal, sys\nfrom pathlib import Path\nfrom meshdns.namedb.database import NameDatabase\n"
        "for _ in range(200):\n"
        "    if not os.fork():\n"
        "        transaction = NameDatabase(Path(sys.argv[1]), writable=False).begin()\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    assert os.wait()[1] == signal.SIGKILL, 'it found no place'\n"
    )
    for _ in range(3):  # more than there are places
        subprocess.run([sys.executable, "-c", program, str(lone.view)], check=True)
        _changes(lone, clusters, 7)
    assert _size(lone.view) - before < GROWTH
    assert "READERS_FULL" not in lone.log()
    (dead,) = lone.workers
    lone.kill(dead)  # a new worker needs a place too
    eventually(lambda: lone.workers not in ([], [dead]), what="there is a new worker")
    assert lone.addresses(FRONTEND) == ["203.0.113.20"]


def test_zone_left_open_in_a_pager_costs_no_growth(lone: Instance, clusters: Path) -> None:
    """``meshdns zone --running`` that nobody reads on holds no transaction: the file stays small."""
    _changes(lone, clusters, 3)
    before = _size(lone.view)
    command = [str(Path(sys.executable).with_name("meshdns")), "zone", "--running", "--config"]
    with subprocess.Popen([*command, str(lone.folder / "meshdns.yaml")], stdout=subprocess.PIPE) as zone:
        assert zone.stdout is not None
        assert zone.stdout.read(1)
        _changes(lone, clusters, 20)
        assert _size(lone.view) - before < GROWTH
        zone.kill()


def test_view_that_cannot_be_made_is_replaced(lone: Instance) -> None:
    """Where the name database's place leads nowhere the next one is taken."""
    lone.stop()
    shutil.rmtree(lone.view)
    lone.view.symlink_to("/proc/nowhere/view")
    lone.start()
    eventually(lambda: lone.addresses(FRONTEND) == ["203.0.113.20"], what="the name database is rebuilt", within=30)


def test_view_that_becomes_unreadable_while_running_is_replaced(lone: Instance) -> None:
    """A new controller that cannot open the name database it is handed says so, and the next one is taken."""
    view = lone.view
    (view / "data.mdb").unlink()
    (view / "data.mdb").mkdir()
    dead = lone.controller
    lone.kill(dead)
    eventually(lambda: lone.view != view and lone.view.exists(), what="the name database is set aside", within=30)
    eventually(lambda: lone.addresses(FRONTEND) == ["203.0.113.20"], what="the name database is rebuilt", within=30)
    assert "the name database cannot be taken over" in lone.log()
