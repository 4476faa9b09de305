"""The main job on real parts: Online Boutique on two kube-apiservers, asked directly and through stub domains."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e import boutique
from tests.e2e.instance import Instance
from tests.rig.apiserver import ApiServer
from tests.rig.coredns import CoreDNS
from tests.rig.dig import dig
from tests.rig.dnsmasq import Dnsmasq
from tests.rig.unbound import Unbound
from tests.rig.waiting import eventually

CLUSTER1, CLUSTER2 = boutique.GATEWAYS["cluster1"], boutique.GATEWAYS["cluster2"]
OF_CLUSTER1 = ("adservice", "checkoutservice", "currencyservice", "shippingservice")
OF_CLUSTER2 = ("cartservice", "frontend", "productcatalogservice")


@pytest.fixture(scope="module")
def kubeconfigs(
    east_server: ApiServer, west_server: ApiServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """Both clusters with the demo on them, as the value of KUBECONFIG."""
    folder: Path = tmp_path_factory.mktemp("kubeconfigs")
    boutique.install(east_server, "cluster1")
    boutique.install(west_server, "cluster2")
    first = east_server.write_kubeconfig(folder / "cluster1.yaml", "cluster1")
    second = west_server.write_kubeconfig(folder / "cluster2.yaml", "cluster2")
    yield f"{first}:{second}"
    east_server.clear()
    west_server.clear()


@pytest.fixture(scope="module")
def upstream() -> Iterator[Unbound]:
    """A real resolver behind meshdns."""
    with Unbound(["www.example.com. 60 IN A 192.0.2.80"]) as unbound:
        yield unbound


def _instance(kubeconfigs: str, upstream: Unbound, vantage: dict[str, str]) -> Instance:
    return Instance(
        {
            "sources": [{"kind": "kubeconfig", "path": kubeconfigs, "contexts": ["cluster1", "cluster2"]}],
            "vantage": vantage,
            "forward": [{"zone": ".", "to": [f"{upstream.address}:{upstream.port}"]}],
        }
    )


@pytest.fixture(scope="module")
def from_cluster1(kubeconfigs: str, upstream: Unbound) -> Iterator[Instance]:
    """An instance that stands in cluster1 and has read both clusters."""
    with _instance(kubeconfigs, upstream, {"cluster": "cluster1"}) as instance:
        eventually(lambda: instance.ask("nosuch.default.global").status == "NXDOMAIN", what="both clusters synced")
        yield instance


@pytest.fixture(scope="module")
def coredns(from_cluster1: Instance) -> Iterator[CoreDNS]:
    """CoreDNS with the stub domain, as a cluster runs it."""
    with CoreDNS(f"global {{\n bind 127.0.0.1\n forward . 127.0.0.1:{from_cluster1.port}\n cache 30\n}}\n") as server:
        yield server


@pytest.fixture(scope="module")
def dnsmasq(from_cluster1: Instance) -> Iterator[Dnsmasq]:
    """The dnsmasq of kube-dns with the stub domain."""
    with Dnsmasq(f"--server=/global/127.0.0.1#{from_cluster1.port}") as server:
        yield server


def _service_ip(server: ApiServer, name: str) -> str:
    return str(server.get(f"/api/v1/namespaces/default/services/{name}")["spec"]["clusterIP"])


@pytest.mark.parametrize("service", OF_CLUSTER2)
def test_service_of_the_other_cluster_is_its_gateway(from_cluster1: Instance, service: str) -> None:
    """From cluster1 a service that runs in cluster2 is answered with cluster2's gateway."""
    assert from_cluster1.addresses(f"{service}.default.global") == [CLUSTER2]


@pytest.mark.parametrize("service", OF_CLUSTER1)
def test_service_of_the_own_cluster_is_its_cluster_ip(
    from_cluster1: Instance, east_server: ApiServer, service: str
) -> None:
    """From cluster1 a service that runs there is its own ClusterIP, though cluster2 names cluster1's gateway for it."""
    assert from_cluster1.addresses(f"{service}.default.global") == [_service_ip(east_server, service)]


def test_the_view_from_cluster2_is_the_mirror_image(
    kubeconfigs: str, upstream: Unbound, west_server: ApiServer
) -> None:
    """From cluster2 the own services are ClusterIPs and those of cluster1 its gateway."""
    with _instance(kubeconfigs, upstream, {"cluster": "cluster2"}) as instance:
        eventually(lambda: instance.ask("nosuch.default.global").status == "NXDOMAIN", what="both clusters synced")
        for service in OF_CLUSTER1:
            assert instance.addresses(f"{service}.default.global") == [CLUSTER1]
        for service in OF_CLUSTER2:
            assert instance.addresses(f"{service}.default.global") == [_service_ip(west_server, service)]


def test_without_a_vantage_only_gateways_answer(kubeconfigs: str, upstream: Unbound) -> None:
    """A laptop is in no cluster: ClusterIPs mean nothing there."""
    with _instance(kubeconfigs, upstream, {}) as instance:
        eventually(lambda: instance.ask("nosuch.default.global").status == "NXDOMAIN", what="both clusters synced")
        for service in OF_CLUSTER1:
            assert instance.addresses(f"{service}.default.global") == [CLUSTER1]
        for service in OF_CLUSTER2:
            assert instance.addresses(f"{service}.default.global") == [CLUSTER2]


def test_absent_family_is_nodata(from_cluster1: Instance) -> None:
    """AAAA of a name that has only A is NOERROR with SOA, never NXDOMAIN."""
    reply = from_cluster1.ask("frontend.default.global", "AAAA")
    assert (reply.status, reply.answer) == ("NOERROR", ())
    assert [record.split()[:4] for record in reply.authority] == [["global.", "5", "IN", "SOA"]]


def test_unknown_name_is_nxdomain_with_soa(from_cluster1: Instance) -> None:
    """A name that nobody declares is denied, for 5 seconds."""
    reply = from_cluster1.ask("nosuch.default.global")
    assert (reply.status, "aa" in reply.flags) == ("NXDOMAIN", True)
    assert reply.authority[0].split()[-1] == "5"


def test_question_comes_back_as_asked(from_cluster1: Instance) -> None:
    """Letter case is matched without regard and echoed exactly."""
    reply = from_cluster1.ask("FrontEnd.DEFAULT.global")
    assert (reply.question, reply.rdata) == (("FrontEnd.DEFAULT.global. IN A",), (CLUSTER2,))


def test_namespace_is_an_empty_non_terminal(from_cluster1: Instance) -> None:
    """`default.global` exists because names below it do: NODATA."""
    assert from_cluster1.ask("default.global").status == "NOERROR"


def test_other_names_are_forwarded(from_cluster1: Instance) -> None:
    """Everything outside the zones comes from the upstream, not authoritative."""
    reply = from_cluster1.ask("www.example.com")
    assert (reply.rdata, "aa" in reply.flags, "ra" in reply.flags) == (("192.0.2.80",), False, True)


@pytest.mark.rig
@pytest.mark.parametrize("tcp", [False, True], ids=["udp", "tcp"])
@pytest.mark.parametrize("stub", ["coredns", "dnsmasq"])
def test_the_same_through_stub_domains(request: pytest.FixtureRequest, stub: str, *, tcp: bool) -> None:
    """A cluster's own DNS with a stub domain gives what meshdns gives."""
    server = request.getfixturevalue(stub)
    frontend = dig("frontend.default.global", port=server.port, tcp=tcp)
    assert (frontend.status, frontend.rdata) == ("NOERROR", (CLUSTER2,))
    absent = dig("frontend.default.global", "AAAA", port=server.port, tcp=tcp)
    assert (absent.status, absent.answer) == ("NOERROR", ())
    assert dig("nosuch.default.global", port=server.port, tcp=tcp).status == "NXDOMAIN"


def test_worker_carries_no_control_plane(from_cluster1: Instance) -> None:
    """The running worker has mapped nothing of the Kubernetes client, aiohttp or pydantic."""
    (worker,) = from_cluster1.children()["worker"]
    modules = Path(f"/proc/{worker}/maps").read_text()
    assert "lmdb" in modules
    for foreign in ("aiohttp", "pydantic", "yarl", "yaml", "frozenlist"):
        assert foreign not in modules
