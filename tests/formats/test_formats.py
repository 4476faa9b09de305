"""What an earlier version wrote is read as before, and what other programs read keeps its keys.

A recording is never edited. An intended difference has a row in one of the tables below.
"""

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from meshdns.config import Settings, read_settings_file
from meshdns.config.translate import mesh_settings
from meshdns.controller.admin.api import LISTS
from meshdns.controller.admin.live import LiveQueries, QueryFilter
from meshdns.controller.publisher import Publisher
from meshdns.controller.source_settings import ControllerSettings
from meshdns.dns import names
from meshdns.instance.scoreboard import Scoreboard
from meshdns.mesh.objects.problems import ProblemKind
from meshdns.namedb import snapshot, verify
from meshdns.namedb.location import current_database
from meshdns.namedb.writer import Writer
from meshdns.supervisor import cookie_secrets
from meshdns.supervisor.handover import VARIABLE, HandOver
from meshdns.supervisor.reference import reference
from meshdns.worker.settings import decode, encode
from tests.cli.admin_server import admin_socket, asked, short_folder
from tests.cli.command_runner import CommandRunner, set_no_settings
from tests.formats.record import COMMANDS, TARGETS, boot_free, write_settings
from tests.namedb.raw_tables import GROWN_TABLES, SAME_TABLES, raw_tables
from tests.page.test_streams import sampled_query

RECORDINGS: Final = sorted(path.parent for path in Path(__file__).parent.glob("*/replies.json"))

METRICS: Final[Mapping[str, str]] = {"meshdns_view_": "meshdns_namedb_"}
"""Beginnings of recorded names of metrics, with the present ones."""

FILES: Final[Mapping[str, str]] = {"view-": "namedb-"}
"""Beginnings of recorded names in the state folder, with the present ones."""

KINDS: Final[Mapping[str, str]] = {"view": "database"}
"""Recorded kinds of problems, with the present ones."""

NEW_KEYS: Final[Mapping[str, Any]] = {
    "unread_endpoints": 0,
    "hidden": False,
    "selector": [],
    "ready": True,
    "nameless": [],
}
"""Keys of declarations that the version of a recording did not write, with what its declarations have there."""

NOW: Final = 1_700_000_000.0  # Unix time

RUNNING: Final = frozenset({"lastContact"})
"""Keys whose value only a running server knows; a state folder alone has null there."""

COUNTED: Final = frozenset({"/overview", "/totals", "/queries"})
"""Paths whose reply depends on what the running server counted: the keys are compared, the values are not."""

LISTS_OF_KEYS: Final = frozenset({"responses", "sources"})
"""Objects in replies whose keys are values, such as a response code."""


@pytest.fixture(params=RECORDINGS, ids=lambda path: path.name)
def recording(request: pytest.FixtureRequest) -> Path:
    """The folder of one version."""
    found: Path = request.param
    return found


@pytest.fixture
def state() -> Iterator[Path]:
    """An empty state folder, with a path that is short enough for a socket."""
    with short_folder() as folder:
        yield folder


@pytest.fixture
def meshdns(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> CommandRunner:
    """The command, in an environment that sets nothing."""
    set_no_settings(monkeypatch)
    return CommandRunner(capsys)


@pytest.fixture
def settings(recording: Path, state: Path) -> Settings:
    """The settings that were recorded from, around a state folder that holds what was recorded."""
    file = write_settings(state, http=1, listen=2)
    view = current_database(state)
    view.mkdir()
    shutil.copyfile(recording / "data.mdb", view / "data.mdb")
    for name in ("snapshot", "cookie-secrets.json"):
        shutil.copyfile(recording / name, state / name)
        (state / name).chmod(0o600)
    found = read_settings_file(file, "/")
    admin = found.admin.model_copy(update={"socket": str(state / "admin.sock")})
    return found.model_copy(update={"state_dir": str(state), "admin": admin})


def _json(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return found


def _present(name: str, renamed: Mapping[str, str]) -> str:
    """Return the present name for a recorded one, by the table of beginnings."""
    for before, now in renamed.items():
        if name.startswith(before):
            return now + name.removeprefix(before)
    return name


def _without(value: Any, keys: frozenset[str]) -> Any:
    """Return a value with None under these keys, wherever they are."""
    match value:
        case dict():
            return {key: None if key in keys else _without(item, keys) for key, item in value.items()}
        case list():
            return [_without(item, keys) for item in value]
        case _:
            return value


def _as_recorded(found: Any, recorded: Any) -> Any:
    """Return a reply without the keys that the recorded one has not: later versions may add some."""
    match found, recorded:
        case dict(), dict():
            return {key: _as_recorded(item, recorded[key]) for key, item in found.items() if key in recorded}
        case list(), list() if len(found) == len(recorded):
            return [_as_recorded(*pair) for pair in zip(found, recorded, strict=True)]
        case _:
            return found


def _paths(value: Any, at: str = "") -> set[str]:
    """Return the key paths of a reply: of all items of a list together, with values and numbers of items left out."""
    match value:
        case dict() if at.rpartition(".")[2] in LISTS_OF_KEYS:
            return {f"{at}{{}}"}.union(*(_paths(item, f"{at}{{}}") for item in value.values()))
        case dict():
            return {at}.union(*(_paths(item, f"{at}.{key}") for key, item in value.items()))
        case list():
            return {f"{at}[]"}.union(*(_paths(item, f"{at}[]") for item in value))
        case _:
            return {at}


def _without_new_keys(line: dict[str, Any]) -> dict[str, Any]:
    """Return a line of a snapshot without those of `NEW_KEYS` that say nothing."""
    declaration = line["declaration"].items()
    return {**line, "declaration": {key: value for key, value in declaration if (key, value) not in NEW_KEYS.items()}}


# ---------------------------------------------------------------------------------------------- state folder


def test_the_snapshot_is_read_whole_and_written_alike(recording: Path, tmp_path: Path) -> None:
    """No line is skipped, and each declaration is encoded as it was, key by key; new keys say nothing."""
    lines = (recording / "snapshot").read_bytes().splitlines()[1:]
    declarations = list(snapshot.read_snapshot(recording))
    assert len(declarations) == len(lines) > 40
    snapshot.write_snapshot(tmp_path, declarations)
    written = (tmp_path / "snapshot").read_bytes().splitlines()[1:]
    assert [_without_new_keys(json.loads(line)) for line in written] == [json.loads(line) for line in lines]


def test_the_database_is_whole(settings: Settings) -> None:
    """Its checksum is right, as the supervisor verifies before any process uses it."""
    assert verify.find_damage(current_database(Path(settings.state_dir or ""))) == ""


NEW_NAMES = names.to_wire("gateways.global")
"""What the names end with that later versions know of the recorded mesh."""


def test_a_controller_takes_over_the_database(settings: Settings, recording: Path) -> None:
    """It knows the clusters, and with what it read it has nothing to change: neither rows nor declarations.

    Names that version 0.1 did not know, those of gateways, are added.
    """
    database = current_database(Path(settings.state_dir or ""))
    before = raw_tables(database, SAME_TABLES + GROWN_TABLES)
    writer = Writer(database)
    publisher = Publisher(mesh_settings(settings), writer)
    assert publisher.restore(NOW) == {"cluster1", "cluster2"}
    publisher.publish(ready=True, complete=True, stale=(), now=NOW)
    writer.close()
    after = {
        table: {key: value for key, value in found.items() if not key.endswith(NEW_NAMES)}
        for table, found in raw_tables(database, SAME_TABLES + GROWN_TABLES).items()
    }
    assert {name: after[name] for name in SAME_TABLES} == {name: before[name] for name in SAME_TABLES}
    assert {name: set(after[name]) for name in GROWN_TABLES} == {name: set(before[name]) for name in GROWN_TABLES}
    recorded = _json(recording / "replies.json")["/names"]["items"]
    assert len(before[SAME_TABLES[0]]) >= len(recorded) > 5


def test_the_names_of_the_state_folder_are_known(settings: Settings, recording: Path) -> None:
    """An upgrade finds what it is to read: the snapshot, the secrets, and the database of this boot."""
    state = Path(settings.state_dir or "")
    database = current_database(state).relative_to(state) / "data.mdb"
    recorded = {_present(name, FILES) for name in _json(recording / "state.json")["files"]}
    assert recorded - {_present("view-2-BOOT-0/lock.mdb", FILES), "lock"} == {
        "snapshot",
        "cookie-secrets.json",
        boot_free(str(database)),
    }


def test_the_secrets_of_cookies_are_taken_over(settings: Settings) -> None:
    """Cookies that clients hold stay good after an upgrade."""
    state = Path(settings.state_dir or "")
    recorded = _json(state / "cookie-secrets.json")
    found = cookie_secrets.load_or_create(state, now=recorded["made"] + 1)
    assert json.loads(msgspec.json.encode(found)) == recorded


# ---------------------------------------------------------------------------------------------- admin socket, commands


def test_every_reply_of_the_admin_socket_is_as_recorded(settings: Settings, recording: Path) -> None:
    """Over the recorded database: the same values under the same keys, but for what the running server counted."""
    recorded = _json(recording / "replies.json")
    assert set(recorded) == set(TARGETS) >= {f"/{word}" for word in LISTS}
    targets = [target for target in TARGETS if target not in COUNTED]
    database = current_database(Path(settings.state_dir or ""))
    with admin_socket(settings, database) as path:
        replies = {target: asked(path, target)[1] for target in targets}
    _take_over(settings, database)  # before, an unknown name is not denied
    with admin_socket(settings, database) as path:
        replies |= {target: asked(path, target)[1] for target in targets if "nosuch" in target}
    for target in targets:
        wanted = _kinds_renamed(_without(recorded[target], RUNNING))
        assert _as_recorded(_without(replies[target], RUNNING), wanted) == wanted, target


def test_replies_of_what_a_server_counted_keep_their_keys(settings: Settings, recording: Path) -> None:
    """The overview and the totals, of a server that took over the recorded database; later versions may add keys."""
    view = current_database(Path(settings.state_dir or ""))
    publisher = _take_over(settings, view)
    recorded = _json(recording / "replies.json")
    with admin_socket(settings, view, census=publisher.mesh_counts) as path:
        for target in COUNTED - {"/queries"}:
            assert _paths(asked(path, target)[1]) >= _paths(recorded[target]), target


def _take_over(settings: Settings, database: Path) -> Publisher:
    """Have a controller take over a name database."""
    writer = Writer(database)
    publisher = Publisher(mesh_settings(settings), writer)
    publisher.restore(NOW)
    publisher.publish(ready=True, complete=True, stale=(), now=NOW)
    writer.close()
    return publisher


def _kinds_renamed(value: Any) -> Any:
    """Return a recorded reply with the present kinds of problems."""
    match value:
        case {"kind": str(kind), "advice": str()}:
            return {**value, "kind": KINDS.get(kind, kind)}
        case dict():
            return {key: _kinds_renamed(item) for key, item in value.items()}
        case list():
            return [_kinds_renamed(item) for item in value]
        case _:
            return value


def test_sampled_queries_keep_their_keys(recording: Path) -> None:
    """Those of the list, which are those of the live stream and of the query log in JSON."""
    board = Scoreboard.create()
    board.write_sample(0, sampled_query("a.global"))
    items = LiveQueries(board, lambda: 0.0).recent_queries(QueryFilter())
    recorded = _json(recording / "replies.json")["/queries"]["items"]
    assert _paths(items) == _paths(recorded)


def test_commands_print_the_same_for_other_programs(
    meshdns: CommandRunner, settings: Settings, recording: Path
) -> None:
    """JSON and master files, read from the recorded state folder without a server."""
    recorded = _json(recording / "commands.json")
    assert set(recorded) == set(COMMANDS)
    state = Path(settings.state_dir or "")
    flags = ("--config", str(state / "meshdns.yaml"), "--state-dir", str(state))
    for words in COMMANDS:
        out = meshdns(*words.split(), *flags).out
        found = json.loads(out) if "json" in words else out
        wanted = _kinds_renamed(_without(recorded[words], RUNNING))
        assert _as_recorded(_without(found, RUNNING), wanted) == wanted, words


def test_every_kind_of_problem_is_known(recording: Path) -> None:
    """Alerts and programs name them: none goes, and a renamed one is in the table."""
    recorded = _json(recording / "kinds.json")["problems"]
    assert {KINDS.get(kind, kind) for kind in recorded} <= {kind.value for kind in ProblemKind}


def test_every_metric_is_told_with_its_labels(recording: Path) -> None:
    """By the reference, which comes from the code that a scrape runs: names, types and labels."""
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| ([^|]*) \|", reference(), re.MULTILINE)
    told = {name: (kind, set(labels.split(", ")) | {""}) for name, kind, labels in rows}
    for name, family in _json(recording / "metrics.json").items():
        present = _present(name, METRICS) + ("_total" if family["type"] == "counter" else "")
        assert present in told, name
        kind, labels = told[present]
        assert (kind, set(family["labels"]) - {"le"} - labels) == (family["type"], set()), name


# ---------------------------------------------------------------------------------------------- messages


def _decoded_controller(text: str) -> bytes:
    found = msgspec.json.decode(text, type=ControllerSettings)
    Settings.model_validate_json(found.settings)
    return msgspec.json.encode(found)


@pytest.mark.parametrize(
    ("message", "decoded"),
    [
        ("worker", lambda text: encode(decode(text.encode()))),
        ("controller", _decoded_controller),
    ],
    ids=["worker", "controller"],
)
def test_what_children_are_told_is_read(recording: Path, message: str, decoded: Callable[[str], bytes]) -> None:
    """A supervisor that was not replaced yet starts children of the version that is installed since."""
    recorded = _json(recording / "messages.json")[message]
    found = json.loads(decoded(json.dumps(recorded)))
    assert _as_recorded(found, recorded) == recorded


def test_what_a_predecessor_leaves_is_taken_over(recording: Path) -> None:
    """SIGUSR2: a server of the recorded version leaves descriptors and process ids to the one that is installed now."""
    left = _json(recording / "messages.json")["hand over"]
    pipes = os.pipe()
    places = {"lock": pipes[0], "udp": [pipes[0]], "tcp": [pipes[0]], "lifelines": [pipes[1]]}
    assert left.keys() >= places.keys()
    try:
        taken = HandOver.receive({VARIABLE: json.dumps({**left, **places})})
    finally:
        for descriptor in pipes:
            os.close(descriptor)
    assert taken is not None
    found = (taken.lock, [*taken.udp], [*taken.tcp], [*taken.worker_stdins])
    assert found == (pipes[0], [pipes[0]], [pipes[0]], [pipes[1]])
    assert ([*taken.worker_pids], taken.controller_pid) == (left["workers"], left["controller"])
