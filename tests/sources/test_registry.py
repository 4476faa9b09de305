"""A name has one holder, and a cluster one name."""

from collections.abc import Mapping
from typing import Any

import pytest

from meshdns.sources.auth.kubeconfig import ClientConfig
from meshdns.sources.registry import NO_NAME, ClusterRegistry, server_identity


def test_the_first_holder_keeps_a_name_until_it_is_given_back() -> None:
    """The next one who asks then has it."""
    told: list[str] = []
    registrations = ClusterRegistry()
    registrations.subscribe(lambda: told.append("free"))
    assert registrations.claim("west", "Secret a", 0) == NO_NAME
    assert registrations.claim("west", "Secret b", 0) == "Secret a"
    registrations.release("west")
    assert told == ["free"]
    assert registrations.claim("west", "Secret b", 0) == NO_NAME


def twins(*names: tuple[str, int], own: str = "") -> ClusterRegistry:
    """One cluster, registered under several names from sources of several ranks."""
    registrations = ClusterRegistry(own)
    for name, rank in names:
        registrations.claim(name, name, rank)
        registrations.set_uid(name, "uid")
    return registrations


def test_of_two_names_the_one_whose_source_stands_first_is_served_once_it_is_read() -> None:
    """Whichever was identified first; until the first is complete the second is served."""
    registrations = twins(("late", 1), ("early", 0))
    registrations.mark_complete("late")
    assert (registrations.duplicate_of("late"), registrations.duplicate_of("early")) == (NO_NAME, NO_NAME)
    registrations.mark_complete("early")
    assert (registrations.duplicate_of("late"), registrations.duplicate_of("early")) == ("early", NO_NAME)


def test_the_own_cluster_comes_first_wherever_its_source_stands() -> None:
    """A remote secret for it must not take its vantage away."""
    registrations = twins(("secret", 0), ("own", 7), own="own")
    registrations.mark_complete("secret")
    registrations.mark_complete("own")
    assert (registrations.duplicate_of("secret"), registrations.duplicate_of("own")) == ("own", NO_NAME)


def test_who_is_another_cluster_or_unknown_has_no_twin() -> None:
    """An identity that is lost or changed frees both names."""
    registrations = twins(("a", 0), ("b", 0))
    registrations.mark_complete("a")
    assert registrations.duplicate_of("b") == "a"
    registrations.set_uid("a", "other")
    assert registrations.duplicate_of("b") == NO_NAME
    registrations.set_uid("b", "")
    assert registrations.duplicate_of("b") == NO_NAME


def access(server: str = "https://east:6443", **more: Any) -> ClientConfig:
    """An access to that server."""
    return ClientConfig("test", server, **more)


PEM = b"-----BEGIN CERTIFICATE-----\nAAAA\nBBBB\n-----END CERTIFICATE-----\n"
SERVERS: dict[str, tuple[ClientConfig, ClientConfig, bool]] = {
    "another case": (access(), access("https://EAST:6443/"), True),
    "the default port": (access("https://east"), access("https://east:443"), True),
    "another layout of the certificate": (access(ca_bundle=PEM), access(ca_bundle=b"# east\n" + PEM + b"\n"), True),
    "another token": (access(token="a"), access(token="b"), True),  # noqa: S106 - of a server that is none
    "a proxy to a server that shows a certificate": (
        access(ca_bundle=PEM),
        access(ca_bundle=PEM, proxy="http://p"),
        True,
    ),
    "a proxy to one that shows none": (access("http://east"), access("http://east", proxy="http://p"), False),
    "a proxy and no verification": (access(insecure=True), access(insecure=True, proxy="http://p"), False),
    "another host": (access(), access("https://west:6443"), False),
    "another port": (access(), access("https://east:6444"), False),
    "another authority": (access(ca_bundle=PEM), access(ca_bundle=PEM.replace(b"BBBB", b"CCCC")), False),
    "no authority": (access(ca_bundle=PEM), access(), False),
    "no verification": (access(), access(insecure=True), False),
    "another name in the certificate": (access(), access(server_name="west"), False),
}


@pytest.mark.parametrize("case", SERVERS)
def test_one_server_is_one_however_it_is_written(case: str) -> None:
    """Another address or another authority is another server; so is whoever stands in between unseen."""
    one, other, same = SERVERS[case]
    assert (server_identity(one) == server_identity(other)) is same


class Claims:
    """Clusters of different servers that all say they have the UID u."""

    def __init__(self, **known: Mapping[str, str]) -> None:
        self.registry = ClusterRegistry("own", **known)

    def add(self, name: str, rank: int = 0, *, secret: bool = False, read: bool = True) -> None:
        """One more, which has been read."""
        server = server_identity(access(f"https://{name}"))
        self.registry.claim(name, name, rank, server, is_named=not secret)
        self.registry.set_uid(name, "u")
        if read:
            self.registry.mark_complete(name)

    def kept(self, *names: str) -> list[str]:
        """Those of the names that are served."""
        return [name for name in names if self.registry.rival_of(name) == NO_NAME]


def test_one_of_several_servers_with_one_uid_is_kept() -> None:
    """By the settings' word, the own one, the order of the settings, and only then by who was first."""
    claims = Claims(believed={"last": "u"}, remembered={"known": "u"})
    names = ("quick", "known", "late", "early", "own", "last")
    claims.add("quick", secret=True)
    assert claims.kept("quick") == ["quick"]
    claims.add("known", secret=True, read=False)
    assert claims.kept(*names[:2]) == ["known"]
    claims.add("late", rank=2)
    assert claims.kept(*names[:3]) == ["late"]
    claims.add("early", rank=1, read=False)
    assert claims.kept(*names[:4]) == ["early"]
    claims.add("own", rank=7)
    assert claims.kept(*names[:5]) == ["own"]
    claims.add("last", rank=9, secret=True, read=False)
    assert claims.kept(*names) == ["last"]
    assert claims.registry.rivals("quick") == sorted(set(names) - {"quick"})


def test_of_equals_the_one_that_was_read_first_under_this_uid_is_kept() -> None:
    """Time under another UID does not count."""
    claims = Claims()
    claims.add("a", secret=True)
    claims.registry.set_uid("a", "other")
    claims.add("b", secret=True)
    claims.registry.set_uid("a", "u")
    claims.registry.mark_complete("a")
    assert claims.kept("a", "b") == ["b"]


def test_a_new_access_is_judged_before_it_replaces_the_old_one() -> None:
    """It counts among the rivals, and takes nothing from those that are served."""
    claims = Claims()
    claims.add("a")
    claims.add("b", rank=1)
    claims.registry.set_uid("b", "v")
    other = server_identity(access("https://elsewhere"))
    claims.registry.set_pending("b", "u", other)
    assert claims.registry.rival_of("b", pending=True) == "a"
    assert (claims.kept("a", "b"), claims.registry.rivals("a")) == (["a", "b"], ["b"])
    claims.registry.set_pending("b", "", other)
    assert claims.registry.rivals("a") == []
