"""dig as the debugger: what is wrong with an answer is in the reply."""

import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.instance import Instance, on_boutique, wait_until_ready
from tests.rig.unbound import Unbound
from tests.rig.waiting import eventually

pytestmark = [pytest.mark.rig, pytest.mark.long]


@pytest.fixture
def instance(clusters: Path, resolver: Unbound) -> Iterator[Instance]:
    """Online Boutique seen from cluster1."""
    with on_boutique(clusters, resolver, allowDebug=["127.0.0.0/8"]) as instance:
        wait_until_ready(instance)
        yield instance


@pytest.mark.parametrize(
    ("asked", "near"),
    [
        ("frontent.default.global", "frontend.default.global"),
        ("frontendd.default.global", "frontend.default.global"),
        ("fronted.default.global", "frontend.default.global"),
        ("frontend.defautl.global", "frontend.default.global"),
        ("checkoutservcie.default.global", "checkoutservice.default.global"),
    ],
)
def test_a_wrong_name_is_told_the_nearest(instance: Instance, asked: str, near: str) -> None:
    """A letter more, less, other or swapped, or another namespace: EDE 0 names the name that is meant."""
    reply = instance.ask(asked)
    assert reply.status == "NXDOMAIN"
    assert reply.ede == (f"0 (Other): (no such name; nearest: {near})",)
    assert instance.ask(asked, tcp=True).ede == reply.ede


def test_what_is_unlike_all_gets_no_hint(instance: Instance) -> None:
    """A name that resembles none is denied without a word more."""
    reply = instance.ask("zzz.qqq.global")
    assert (reply.status, reply.ede) == ("NXDOMAIN", ())


def test_status_and_whoami(instance: Instance) -> None:
    """How the clusters are, and who asks."""
    (status,) = instance.ask("_status.global", "TXT").rdata
    assert re.search(r"serial \d+, ready, unknown names are denied", status)
    assert "cluster1=synced" in status
    assert "cluster2=synced" in status
    (whoami,) = instance.ask("whoami.global", "TXT").rdata
    assert re.fullmatch(r'"127\.0\.0\.1 port \d+ udp"', whoami)


def test_a_declared_whoami_is_answered_as_declared(clusters: Path, resolver: Unbound) -> None:
    """A name that somebody declares is theirs."""
    records = [{"name": "whoami.global", "type": "TXT", "value": "mine"}]
    with on_boutique(clusters, resolver, records=records) as instance:
        wait_until_ready(instance)
        assert instance.ask("whoami.global", "TXT").rdata == ('"mine"',)


@pytest.mark.parametrize("settings", [{}, {"allowDebug": ["192.0.2.0/24"]}], ids=["default", "others"])
def test_debugging_names_are_closed(clusters: Path, resolver: Unbound, settings: dict[str, Any]) -> None:
    """On loopback, where a cache may ask, and where allowDebug names others, they do not exist."""
    with on_boutique(clusters, resolver, **settings) as instance:
        wait_until_ready(instance)
        assert instance.ask("_status.global", "TXT").status == "NXDOMAIN"
        assert instance.ask("_explain.frontend.default.global", "TXT").status == "NXDOMAIN"


def test_every_failure_says_why(clusters: Path, resolver: Unbound) -> None:
    """Refused, not ready, failed upstream and stale: each with its extended error."""
    forward = [{"zone": ".", "to": ["127.0.0.1:9"]}]
    with on_boutique(clusters, resolver, forward=forward) as instance:
        eventually(lambda: instance.page("/ready")[0] == 200, what="it is ready", within=60)
        assert instance.ask("www.example.com").ede[0].startswith(("22 ", "23 "))
        with instance.standing(instance.controller):
            eventually(
                lambda: (
                    instance.ask("frontend.default.global").ede[:1] == ("3 (Stale Answer): (the controller is silent)",)
                ),
                what="answers are marked stale",
                within=60,
            )
            eventually(lambda: instance.metric("meshdns_stale_answers_total") > 0, what="and counted")
        instance.change(allowQuery=["192.0.2.0/24"], forward=forward)
        instance.kill(instance.pid, signal.SIGHUP)
        eventually(
            lambda: instance.ask("frontend.default.global").ede[:1] == ("18 (Prohibited)",),
            what="the refusal says why",
        )
        assert "127.0.0.0/24" in instance.log()
