"""The query log and ``meshdns tail``: what is asked, escaped, sampled, and never in anybody's way."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.instance import PROGRAM, Instance, on_boutique, wait_until_ready
from tests.rig.unbound import Unbound
from tests.rig.waiting import eventually

pytestmark = pytest.mark.rig

HOSTILE = r"\010\"\{\}\027[31m"
LONG = ".".join([r"\255" * 63, r"\000" * 63, r"\127" * 60])
COREDNS = re.compile(
    r'^\[INFO\] \S+:\d+ - \d+ "(\S+) (?:IN|CH) (\S+) (udp|tcp) \d+ (true|false) \d+" (\w+) [a-z,]+ \d+ \d+\.\d+s$'
)
"""What log parsers for CoreDNS match."""


@pytest.fixture
def logging(clusters: Path, resolver: Unbound) -> Iterator[Instance]:
    """An instance that logs every query as JSON."""
    with on_boutique(clusters, resolver, queryLog={"sample": 1, "format": "json"}) as instance:
        wait_until_ready(instance)
        yield instance


@pytest.fixture
def silent(clusters: Path, resolver: Unbound) -> Iterator[Instance]:
    """An instance that logs no query."""
    with on_boutique(clusters, resolver) as instance:
        wait_until_ready(instance)
        yield instance


def _queries(instance: Instance) -> list[dict[str, str]]:
    return [json.loads(line) for line in instance.log().splitlines() if line.startswith('{"ts"')]


def _tail(instance: Instance, *arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [PROGRAM, "tail", "--config", str(instance.folder / "meshdns.yaml"), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_every_query_is_a_line_of_json(logging: Instance) -> None:
    """Ready replies, denials and forwarded ones alike; names of any octets are escaped and stay on their line."""
    for name in ("frontend.default.global", f"{HOSTILE}.default.global", f"{LONG}.example.com", "www.example.com"):
        logging.ask(name, opts=["+nocookie"])
        logging.ask(name, opts=["+nocookie"])
    eventually(lambda: logging.log().count('"www.example.com."') == 2, what="all are logged")
    lines = [line for line in _queries(logging) if line["type"] == "A"]
    assert [line["name"] for line in lines].count("frontend.default.global.") == 2
    assert [line["name"] for line in lines].count(r"\010\034\123\125\027\09131m.default.global.") == 2
    assert all(ord(char) < 127 and char.isprintable() for line in lines for char in line["name"])
    assert {line["rcode"] for line in lines} == {"NOERROR", "NXDOMAIN"}
    assert {line["source"] for line in lines} == {"mesh", "forward", "cache"}


def test_lines_of_coredns(clusters: Path, resolver: Unbound) -> None:
    """In CoreDNS's form every line is one that its parsers read."""
    with on_boutique(clusters, resolver, queryLog={"sample": 1, "classes": ["denial", "error"]}) as instance:
        wait_until_ready(instance)
        instance.ask("frontend.default.global")
        instance.ask(f"{HOSTILE}.default.global", tcp=True)
        eventually(lambda: "\\123" in instance.log(), what="it is logged")
        lines = [line for line in instance.log().splitlines() if line.startswith("[INFO]")]
    found = [COREDNS.match(line) for line in lines]
    assert all(found), lines
    assert "NXDOMAIN" in {match.group(5) for match in found if match}
    assert not any("frontend" in line for line in lines)


def test_no_query_is_logged_by_default(silent: Instance) -> None:
    """Nothing is written unless it was asked for."""
    silent.ask("frontend.default.global")
    eventually(lambda: silent.metric("meshdns_answers_total") >= 1, what="it was answered")
    assert "frontend" not in silent.log()
    assert silent.metric("meshdns_query_log_lines_total") == 0


def test_tail_shows_what_is_wanted(silent: Instance) -> None:
    """Live queries by name and RCODE, as text without control characters and as JSON; nothing else is shown."""
    text = _tail(silent, "default.global", "--rcode", "NXDOMAIN", "-n", "2")
    machine = _tail(silent, "--type", "AAAA", "-n", "1", "-o", "json")

    def ended() -> bool:
        silent.ask("frontend.default.global")
        silent.ask("frontend.default.global", "AAAA")
        silent.ask(f"{HOSTILE}.default.global")
        return text.poll() is not None and machine.poll() is not None

    eventually(ended, what="both have seen enough", within=60)
    shown = text.communicate()[0].splitlines()
    assert len(shown) == 2
    assert all(r"\010\034\123\125\027\09131m.default.global." in line for line in shown)
    assert all(char.isprintable() for line in shown for char in line)
    asked = json.loads(machine.communicate()[0])
    assert (asked["name"], asked["type"], asked["client"]) == ("frontend.default.global.", "AAAA", "127.0.0.1")


def test_a_reader_that_stands_still_is_waited_for_by_nobody(silent: Instance) -> None:
    """While ``tail`` is not read, queries are answered as before."""
    tail = _tail(silent)
    try:
        for _ in range(50):
            assert silent.addresses("frontend.default.global") == ["203.0.113.20"]
    finally:
        tail.kill()
        tail.communicate()


def test_the_cache_can_be_flushed(silent: Instance) -> None:
    """After ``meshdns cache flush`` a name is asked of the upstream again."""
    silent.ask("www.example.com")
    eventually(lambda: silent.metric("meshdns_cache_entries") == 1, what="it is cached")
    silent.flush_cache()


def test_a_reload_can_be_ordered(silent: Instance) -> None:
    """``meshdns reload`` does what SIGHUP does."""
    done = subprocess.run(
        [PROGRAM, "reload", "--config", str(silent.folder / "meshdns.yaml")],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    eventually(lambda: silent.metric("meshdns_settings_generation") == 2, what="they were reread")
