"""Clients that mean harm, before a running instance: others notice nothing, and nothing is left behind."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.e2e import boutique
from tests.e2e.instance import Instance, on_boutique, wait_until_ready
from tests.e2e.load import message
from tests.fuzz.capture import Decoded, Packet, by_dnspython, by_tshark, packets, streams
from tests.fuzz.flood import ROOT, Outcome, flood, siege
from tests.rig.packages import program
from tests.rig.unbound import Unbound
from tests.rig.waiting import eventually

pytestmark = pytest.mark.rig

KNOWN = ("frontend.default.global", "203.0.113.20")
LATE = 0.5  # seconds, ten times what `make fuzz` holds an idle machine to
GROWTH = 20  # MiB that caches and the allocator may keep
DSO = 6
"""The opcode of which tshark wants more than a header, even in a reply that says NOTIMP (RFC 8490 section 5.1)."""
REPLACED = 6  # seconds
STALL = 2.5  # seconds: more than a query may wait, less than a worker may be silent


@pytest.fixture(scope="module")
def instance() -> Iterator[Instance]:
    """One worker on Online Boutique; what is not ours is NXDOMAIN."""
    with Unbound(["www.example.com. 60 IN A 192.0.2.80"]) as resolver, on_boutique(boutique.ZONE, resolver) as found:
        wait_until_ready(found)
        yield found


def _unmoved(outcome: Outcome) -> None:
    assert outcome.canaries > 0
    assert (outcome.unanswered, outcome.wrong, outcome.restarts) == (0, 0, 0)
    assert outcome.longest < LATE
    assert outcome.memory_after - outcome.memory_before < GROWTH
    assert len(outcome.lines) < 10, outcome.lines


@pytest.mark.alone
def test_mutated_datagrams_move_nobody(instance: Instance) -> None:
    """50,000 of them: the canary is answered, no worker dies, no line is logged for a packet, memory stays."""
    outcome = flood(instance, "udp", 50_000, rate=3_000, known=KNOWN)
    assert outcome.received > 0.9 * outcome.sent
    _unmoved(outcome)


@pytest.mark.alone
def test_mutated_streams_move_nobody(instance: Instance) -> None:
    """2,000 messages over TCP, lengths that lie, half-closed and reset connections among them."""
    outcome = flood(instance, "tcp", 2_000, rate=2_000, known=KNOWN)
    assert outcome.received > 0
    _unmoved(outcome)


@pytest.mark.alone
def test_held_connections_move_nobody(instance: Instance) -> None:
    """900 idle ones and 100 that send an octet a second: seen in the metrics, ended in time, unnoticed by others."""
    outcome = siege(instance, idle=900, writers=100, known=KNOWN)
    assert outcome.open >= 1000
    assert (outcome.ended_idle, outcome.ended_writers, outcome.cut) == (900, 100, 0)
    assert (outcome.unanswered, outcome.wrong, list(outcome.lines)) == (0, 0, [])
    assert outcome.longest < LATE
    assert outcome.memory_during - outcome.memory_before < GROWTH


@pytest.mark.alone
def test_resumed_worker_drops_what_is_old_and_answers_what_is_fresh(instance: Instance) -> None:
    """Ten queries grow old while it stands still; ten come just before it goes on, and only these are answered."""
    late = instance.metric("meshdns_messages_late_total")
    (worker,) = instance.workers
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(5)
        client.connect(instance.server)
        instance.kill(worker, signal.SIGSTOP)
        for ident in range(10):
            client.send(message(KNOWN[0], ident))
        time.sleep(STALL)  # what is tested is the time itself
        for ident in range(10, 20):
            client.send(message(KNOWN[0], ident))
        instance.kill(worker, signal.SIGCONT)
        assert [client.recv(512)[1] for _ in range(10)] == list(range(10, 20))
    eventually(lambda: instance.metric("meshdns_messages_late_total") == late + 10, what="ten were too old")
    assert instance.workers == [worker]


@pytest.mark.alone
def test_hung_worker_is_replaced(instance: Instance) -> None:
    """One that is stopped for good is killed after five seconds, and another serves: six in all on an idle machine."""
    (hung,) = instance.workers
    began = time.monotonic()
    instance.kill(hung, signal.SIGSTOP)
    eventually(lambda: instance.workers not in ([], [hung]), what="there is a new worker", within=60)
    eventually(lambda: instance.addresses(KNOWN[0]) == [KNOWN[1]], what="it answers", within=60)
    assert time.monotonic() - began < 2 * REPLACED


# ------------------------------------------------------------------------------------------------ every packet


class Tapped(NamedTuple):
    """A capture of one scene: its packets that meshdns sent, the file, the ports of meshdns and of its resolver."""

    sent: list[Packet]
    file: Path
    server: int
    resolver: int

    @property
    def wanted(self) -> str:
        """A display filter for what meshdns sent."""
        ends = [f"srcport=={self.server}", f"dstport=={self.resolver}"]
        return " || ".join(f"{protocol}.{end}" for protocol in ("udp", "tcp") for end in ends)


@pytest.fixture(scope="module")
def tapped(tmp_path_factory: pytest.TempPathFactory) -> Tapped:
    """`tests.fuzz.wiretap`, alone in a network namespace."""
    file = tmp_path_factory.mktemp("wiretap") / "all.pcap"
    unshare = [program("unshare"), "--net", *([] if os.geteuid() == 0 else ["--map-root-user"])]
    command = [*unshare, sys.executable, "-m", "tests.fuzz.wiretap", str(file)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr
    ports = json.loads(done.stdout)
    server, resolver = ports["server"], ports["resolver"]
    sent = [each for each in packets(file) if each.source[1] == server or each.target[1] == resolver]
    return Tapped(sent, file, server, resolver)


def test_no_packet_is_a_fragment_or_could_become_one(tapped: Tapped) -> None:
    """No datagram has over 1232 octets, on a link with the smallest MTU of IPv6, over both address families."""
    assert {":" in packet.source[0] for packet in tapped.sent} == {True, False}
    assert not [packet for packet in packets(tapped.file) if packet.fragment]
    assert max(len(packet.payload) for packet in tapped.sent if packet.protocol == socket.IPPROTO_UDP) <= 1232


def _dso(message: Decoded) -> bool:
    """Whether it refuses a DSO message (RFC 8490), which has no counts; tshark misses them in the refusal."""
    return message.flags >> 11 & 15 == DSO


def test_every_message_is_read_alike_by_dnspython_and_tshark(tapped: Tapped) -> None:
    """Header, counts, types and addresses of all replies and all queries to the resolver; nothing is malformed."""
    datagrams = [each for each in tapped.sent if each.protocol == socket.IPPROTO_UDP]
    ours = {packet.number: by_dnspython(packet.payload) for packet in datagrams}
    over_tcp = Counter(by_dnspython(wire)[:2] for wire in streams(tapped.sent))
    assert len(ours) > 2000
    assert sum(over_tcp.values()) > 900
    theirs = by_tshark(tapped.file, dns_ports=(tapped.server, tapped.resolver), wanted=tapped.wanted)
    assert not [fields for fields, seen in theirs if fields["_ws.malformed"] and not any(map(_dso, seen))]
    found: dict[int, Decoded] = {}
    streamed: Counter[tuple[int, int]] = Counter()
    for fields, decoded in theirs:
        number = int(fields["frame.number"])
        if number in ours:
            (found[number],) = decoded
        else:
            streamed.update(each[:2] for each in decoded)
    assert found == ours
    assert streamed == over_tcp
