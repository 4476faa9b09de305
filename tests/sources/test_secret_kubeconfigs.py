"""Each key of a Secret stands alone: whatever one holds costs that key, and no other and not the source."""

import base64
import json
import tracemalloc

import msgspec
import pytest

from meshdns.mesh.objects.problems import ProblemKind
from meshdns.sources.remote_secrets import SecretKubeconfigs
from tests.sources.alias_bomb import alias_bomb


def kubeconfig(name: str, *, cluster: str = "", user: str = "", more: str = "") -> str:
    """A kubeconfig for a cluster of that name, with more fields."""
    return (
        f"{more}"
        f"clusters: [{{name: {name}, cluster: {{server: 'https://192.0.2.1'{cluster}}}}}]\n"
        f"users: [{{name: u, user: {{token: abc{user}}}}}]\n"
        f"contexts: [{{name: c, context: {{cluster: {name}, user: u}}}}]\n"
        "current-context: c\n"
    )


def secret(name: str, keys: dict[str, str | bytes]) -> msgspec.Raw:
    """A Secret as an API server lists it."""
    data = {
        key: base64.b64encode(value.encode() if isinstance(value, str) else value).decode()
        for key, value in keys.items()
    }
    metadata = {"name": name, "creationTimestamp": "2026-01-01T00:00:00Z"}
    return msgspec.Raw(json.dumps({"metadata": metadata, "data": data}).encode())


HOSTILE: dict[str, str | bytes] = {
    "a proxy that is no URL": kubeconfig("bad", cluster=", proxy-url: 'http://[x'"),
    "a proxy with a bad port": kubeconfig("bad", cluster=", proxy-url: 'http://x:99999999'"),
    "a server that is no URL": kubeconfig("bad").replace("https://192.0.2.1", "https://[x"),
    "half surrogates in a comment": "# \\ud8zz\\udczz\n[",
    "a surrogate in the server": kubeconfig("bad").replace("'https://192.0.2.1'", '"https://\\ud800"'),
    "a surrogate in the token": kubeconfig("bad", user=', username: "\\udfff"'),
    "a list for the cluster's name": kubeconfig("bad", more="x: &x [1]\n").replace("cluster: bad", "cluster: *x"),
    "a bomb as authority": kubeconfig("bad", cluster=", certificate-authority-data: *bomb", more=alias_bomb(7)),
    "a bomb as cluster": kubeconfig("bad", more=alias_bomb(7)).replace("cluster: bad", "cluster: *bomb"),
    "a bomb as plugin": kubeconfig("bad", user=", auth-provider: *bomb", more=alias_bomb(7)),
    "an authority that is no PEM": kubeconfig("bad", cluster=f", certificate-authority-data: {'QUJD' * 10}"),
    "a mapping as authority": kubeconfig("bad", cluster=", certificate-authority-data: {a: 1}"),
    "a server of 70,000 characters": kubeconfig("bad").replace("192.0.2.1", "x" * 70_000),
    "a name of 200,000 characters": kubeconfig("x" * 200_000).replace("server:", "no:"),
    "a huge number": "a: " + "9" * 5000,
    "not UTF-8": b"\xff\xfe\0",
    "empty": "",
    "a scalar": "7",
    "no cluster": "clusters: {}",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_key_costs_itself_alone(name: str) -> None:
    """The good key beside it is read; the bad one is a problem of bounded length, and its cluster stays as it was."""
    read = SecretKubeconfigs("istio-system", own="", max_clusters=10_000)
    tracemalloc.start()
    try:
        read.apply_list([secret("one", {"bad": HOSTILE[name], "good": kubeconfig("good")})])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert "good" in read.client_configs
    assert peak < 8 * 2**20
    assert read.unreadable == {"bad"} - read.client_configs.keys()
    assert {problem.name for problem in read.problems} == ({"one"} if read.unreadable else set())
    for problem in read.problems:
        assert len(msgspec.json.encode(problem)) < 2000
        assert problem.advice


def test_every_key_that_cannot_be_an_access_is_refused() -> None:
    """None of the rows is read as an access, but an authority that only a connection can refuse."""
    read = SecretKubeconfigs("istio-system", own="", max_clusters=10_000)
    read.apply_list([secret("one", {f"k{at}": text for at, text in enumerate(HOSTILE.values())})])
    names = list(HOSTILE)
    assert {names[int(key[1:])] for key in read.client_configs} == {"an authority that is no PEM"}


def test_secrets_of_any_shape_are_problems_of_their_own() -> None:
    """A Secret that is none costs itself."""
    read = SecretKubeconfigs("istio-system", own="", max_clusters=10_000)
    shapes = [b"[]", b"{}", b"null", b'{"metadata":{"name":1}}', b'{"metadata":{"name":"n"},"data":[]}', b'"' + b"x"]
    items = [*map(msgspec.Raw, shapes), secret("one", {"good": kubeconfig("good")})]
    read.apply_list(items)
    assert set(read.client_configs) == {"good"}
    assert len(read.problems) == 6


def test_a_key_has_a_budget_of_its_own() -> None:
    """Far below that of an operator's file: thousands of keys come from one hand."""
    read = SecretKubeconfigs("istio-system", own="", max_clusters=10_000)
    text = kubeconfig("bad", more="x: [" + "1," * 20_000 + "]\n")
    read.apply_list([secret("one", {"bad": text, "good": kubeconfig("good")})])
    assert set(read.client_configs) == {"good"}
    assert "holds more than 20000 values" in read.problems[0].reason


def test_a_secret_of_many_bad_keys_hides_no_other() -> None:
    """So many problems of each are listed, the rest is counted."""
    read = SecretKubeconfigs("istio-system", own="", max_clusters=10_000)
    read.apply_list([secret("many", {f"k{at}": "[" for at in range(1500)}), secret("one", {"bad": "["})])
    assert len(read.unreadable) == 1501
    assert [problem.reason for problem in read.problems if problem.reason.startswith("has ")] == [
        "has more problems, not listed: 1480"
    ]
    assert [problem.name for problem in read.problems].count("one") == 1
    assert len(read.problems) == 22


def test_what_was_not_changed_is_not_read_again() -> None:
    """A list that says what the one before said costs no parsing: the same access is the very object."""
    read = SecretKubeconfigs("istio-system", own="", max_clusters=10_000)
    items = [secret("one", {"good": kubeconfig("good"), "bad": "["})]
    read.apply_list(items)
    first, problems = read.client_configs["good"], read.problems
    read.apply_list(items)
    assert read.client_configs["good"] is first
    assert read.problems == problems
    assert read.unreadable == {"bad"}


def test_secrets_of_keys_without_end_cost_no_more_than_the_bound() -> None:
    """Few are looked at, each Secret tells of the rest, and a cluster that is read stays."""
    many: dict[str, str | bytes] = dict.fromkeys((f"k{number}" for number in range(15_000)), b"")
    good: dict[str, str | bytes] = {"good": kubeconfig("good")}
    read = SecretKubeconfigs("istio-system", own="", max_clusters=100)
    read.apply_list([secret("z", good)])
    items = [*(secret(name, many) for name in "abcdef"), secret("z", good)]
    tracemalloc.start()
    try:
        read.apply_list(items)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 10 * 2**20
    assert "good" in read.client_configs
    told = {problem.name for problem in read.problems if problem.kind is ProblemKind.OVER_BOUND}
    assert told == set("abcdef")
    assert all(len([each for each in read.problems if each.name == name]) <= 22 for name in "abcdef")
