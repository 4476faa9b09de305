"""The path of a known answer: nobody can make it dear for the others."""

import os
import secrets
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import yaml

from tests.e2e.instance import Instance, on_boutique, resident, wait_until_ready
from tests.e2e.load import BOUTIQUE, Load, message, read
from tests.e2e.test_changes import service_entry
from tests.rig.unbound import Unbound
from tests.rig.waiting import eventually

pytestmark = pytest.mark.long

FRONTEND = "frontend.default.global"
FLOOD = 30_000
_OPT = 11  # octets of the OPT that `message` writes
ROOM = 48 << 20
"""Octets that a worker may grow under any flood: ready replies and the forwarder's cache are bounded."""


@pytest.fixture
def lone(clusters: Path, resolver: Unbound) -> Iterator[Instance]:
    """An instance with one worker."""
    with on_boutique(clusters, resolver) as instance:
        wait_until_ready(instance)
        yield instance


@pytest.fixture
def wildcard(clusters: Path, resolver: Unbound) -> Iterator[Instance]:
    """An instance that listens on 0.0.0.0."""
    with on_boutique(clusters, resolver) as instance:
        instance.stop()
        instance.change(listen=[f"0.0.0.0:{instance.port}"])
        instance.start()
        wait_until_ready(instance)
        yield instance


def _portless(server: tuple[str, int], payload: bytes) -> bytes:
    """A UDP header with source port 0 and the payload; a checksum of 0 means none (RFC 768)."""
    return struct.pack(">HHHH", 0, server[1], 8 + len(payload), 0) + payload


def test_query_without_a_port_costs_nobody_an_answer(lone: Instance) -> None:
    """Among 64 queries that wait at once one from source port 0, which cannot be answered: 64 answers all the same."""
    assert os.geteuid() == 0, "a raw socket needs root: run this test as root, or grant CAP_NET_RAW"
    (worker,) = lone.workers
    with ExitStack() as stack:
        clients = [stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in range(64)]
        raw = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP))
        lone.ask(FRONTEND)
        with lone.standing(worker):
            for number, client in enumerate(clients):
                client.settimeout(5)
                client.connect(lone.server)
                if number == 20:
                    raw.sendto(_portless(lone.server, message(FRONTEND, 1)), (lone.address, 0))
                client.send(message(FRONTEND, number))
        for number, client in enumerate(clients):
            reply = client.recv(512)
            assert (reply[:2], read(reply)) == (number.to_bytes(2, "big"), (0, ["203.0.113.20"]))
    eventually(lambda: lone.metric("meshdns_messages_portless_total") == 1, what="it is counted")
    assert lone.metric("meshdns_replies_unsent_total") == 0


def _flood(instance: Instance, messages: Iterator[bytes]) -> None:
    """Send as fast as the worker answers: a lot of 50 at a time, so that none is dropped by a full buffer."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.connect(instance.server)
        client.settimeout(5)
        lot = 0
        for data in messages:
            client.send(data)
            lot += 1
            if lot == 50:
                for _ in range(lot):
                    client.recv(2048)
                lot = 0


def _random_case(name: str) -> str:
    bits = secrets.randbits(len(name))
    return "".join(letter.upper() if bits >> i & 1 else letter for i, letter in enumerate(name))


def _cases() -> Iterator[bytes]:
    return (message(_random_case("productcatalogservice.default.global"), 1) for _ in range(FLOOD))


def _names() -> Iterator[bytes]:
    return (message(f"{secrets.token_hex(8)}.default.global", 1) for _ in range(FLOOD))


def _sizes() -> Iterator[bytes]:
    """One name with every EDNS payload size, and padding in every other one."""
    for number in range(FLOOD):
        padding = b"\0\x0c\0\x10" + secrets.token_bytes(16) if number % 2 else b""
        opt = b"\0\0\x29" + struct.pack(">HIH", number, 0, len(padding)) + padding
        yield message(FRONTEND, 1)[:-_OPT] + opt


@pytest.mark.parametrize("flood", [_cases, _names], ids=["random cases", "random names"])
def test_flood_leaves_no_ready_replies(lone: Instance, flood: Callable[[], Iterator[bytes]]) -> None:
    """Random cases and names never enter the ready replies, leave memory as it was, and known names are answered."""
    (worker,) = lone.workers
    lone.ask(FRONTEND)
    eventually(lambda: lone.metric("meshdns_queries_total") > 0, what="the first query is counted")
    kept, memory = lone.metric("meshdns_ready_replies"), resident(worker)
    _flood(lone, flood())
    eventually(lambda: lone.metric("meshdns_queries_total") >= FLOOD, what="the flood is counted")
    assert lone.metric("meshdns_ready_replies") <= kept + 2
    assert resident(worker) - memory < 8 << 20
    with Load(lone.server, BOUTIQUE, rate=1000) as load:
        eventually(lambda: load.sent > 500, what="known names are asked")
        outcome = load.end()
    assert outcome.clean, outcome


def test_flood_of_one_name_in_many_forms_is_bounded(lone: Instance) -> None:
    """EDNS sizes and options without end for one name: what the worker keeps is bounded in octets."""
    (worker,) = lone.workers
    memory = resident(worker)
    _flood(lone, _sizes())
    eventually(lambda: lone.metric("meshdns_queries_total") >= FLOOD, what="the flood is counted")
    assert lone.metric("meshdns_ready_replies") <= FLOOD / 2 + 10, "options never enter the ready replies"
    assert resident(worker) - memory < ROOM


@pytest.mark.parametrize("name", [FRONTEND, "nosuch.default.global", "www.example.com", "fresh.away.example"])
def test_reply_leaves_from_the_address_that_was_asked(wildcard: Instance, name: str) -> None:
    """Bound to 0.0.0.0 and asked at 127.0.0.5 it answers from there, at once and after asking an upstream."""
    for _ in range(2):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(5)
            client.bind(("127.0.0.1", 0))
            client.sendto(message(name, 5), ("127.0.0.5", wildcard.port))
            reply, sender = client.recvfrom(2048)
        assert (reply[:2], sender) == (b"\0\x05", ("127.0.0.5", wildcard.port))


def test_change_is_served_although_the_reply_was_ready(lone: Instance, clusters: Path) -> None:
    """A ready reply is dropped by the commit that changes its name, and by no other."""
    file = clusters / "cluster2" / "changing.yaml"
    assert lone.addresses(FRONTEND) == ["203.0.113.20"]
    for number in range(3):
        address = f"198.51.100.{number}"
        file.write_text(yaml.safe_dump(service_entry("changing", "changing.default.global", address)))
        eventually(lambda address=address: _plain(lone, "changing.default.global") == [address], what="it is served")  # type: ignore[misc]
        assert _plain(lone, "changing.default.global") == [address]
    ready = lone.metric("meshdns_queries_ready_total")
    _plain(lone, FRONTEND)
    _plain(lone, FRONTEND)
    eventually(lambda: lone.metric("meshdns_queries_ready_total") > ready, what="ready replies are used")


def test_rotation_begins_with_each_address(lone: Instance, clusters: Path) -> None:
    """A name with several addresses: each stands first for some query ids, ready or not, and all are always there."""
    entry = service_entry("several", "several.default.global")
    wanted = [f"203.0.113.{number}" for number in (1, 2, 3)]
    entry["spec"]["endpoints"] = [{"address": address} for address in wanted]
    (clusters / "cluster2" / "several.yaml").write_text(yaml.safe_dump(entry))
    eventually(lambda: lone.addresses("several.default.global") == wanted, what="it is served")
    firsts = set()
    for ident in range(6):
        found = _plain(lone, "several.default.global", ident)
        assert sorted(found) == wanted
        firsts.add(found[0])
    assert firsts == set(wanted)


def _plain(instance: Instance, name: str, ident: int = 9) -> list[str]:
    """The addresses of a name in the order of the reply, asked without options as most clients do."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(5)
        client.connect(instance.server)
        client.send(message(name, ident))
        return read(client.recv(2048))[1]
