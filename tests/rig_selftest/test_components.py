"""The rig proves itself: each component does what the tests that use it rely on."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from tests.rig.apiserver import TOKEN, ApiServer
from tests.rig.component import ComponentFailed
from tests.rig.coredns import CoreDNS
from tests.rig.dig import NoReply, dig
from tests.rig.dnsmasq import Dnsmasq
from tests.rig.knot import Knot
from tests.rig.kubernetes import Refused
from tests.rig.nsd import Nsd
from tests.rig.ports import free_port
from tests.rig.unbound import Unbound
from tests.rig.waiting import eventually

pytestmark = pytest.mark.rig

REPOSITORY = Path(__file__).resolve().parents[2]
ONLINE_BOUTIQUE = REPOSITORY.parent / "shared" / "data" / "online-boutique"

SERVICE_ENTRY: dict[str, Any] = {
    "apiVersion": "networking.istio.io/v1",
    "kind": "ServiceEntry",
    "metadata": {"name": "frontend"},
    "spec": {
        "hosts": ["frontend.default.global"],
        "location": "MESH_INTERNAL",
        "ports": [{"name": "http", "number": 80, "protocol": "HTTP"}],
        "resolution": "STATIC",
        "endpoints": [{"address": "203.0.113.7", "ports": {"http": 15443}}],
    },
}
GATEWAY_SERVICE: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "istio-ingressgateway", "namespace": "default"},
    "spec": {"type": "LoadBalancer", "ports": [{"name": "tls", "port": 15443}]},
}
CORP_ZONE = """\
$TTL 60
@    IN SOA  ns hostmaster 1 3600 1200 604800 30
@    IN NS   ns
ns   IN A    192.0.2.53
www  IN A    192.0.2.1
www  IN TXT  "two  spaces" "and more"
"""


def names(server: ApiServer, path: str) -> set[str]:
    """Names of the objects in a collection."""
    return {item["metadata"]["name"] for item in server.get(path)["items"]}


class TestApiServer:
    def test_two_clusters_share_one_etcd_and_see_nothing_of_each_other(self, east: ApiServer, west: ApiServer) -> None:
        """An object of east is not in west."""
        east.apply(SERVICE_ENTRY)
        collection = "/apis/networking.istio.io/v1/serviceentries"
        assert (names(east, collection), names(west, collection)) == ({"frontend"}, set())

    @pytest.mark.parametrize("version", ["v1", "v1beta1", "v1alpha3"])
    def test_istio_crds_are_served_in_every_version(self, east: ApiServer, version: str) -> None:
        """A ServiceEntry applied in one version is read in each."""
        east.apply({**SERVICE_ENTRY, "apiVersion": f"networking.istio.io/{version}"})
        for served in ("v1", "v1beta1", "v1alpha3"):
            assert names(east, f"/apis/networking.istio.io/{served}/serviceentries") == {"frontend"}

    def test_cel_validation_is_live(self, east: ApiServer) -> None:
        """The API server refuses what Istio's own rules refuse, and says why."""
        spec = {**SERVICE_ENTRY["spec"], "workloadSelector": {"labels": {"app": "frontend"}}}
        with pytest.raises(Refused, match="only one of WorkloadSelector or Endpoints") as refusal:
            east.apply({**SERVICE_ENTRY, "spec": spec})
        assert refusal.value.status == 422

    def test_applying_again_replaces(self, east: ApiServer) -> None:
        """The second manifest's endpoints are the only ones."""
        east.apply(SERVICE_ENTRY)
        spec = {**SERVICE_ENTRY["spec"], "endpoints": [{"address": "203.0.113.8"}]}
        applied = east.apply({**SERVICE_ENTRY, "spec": spec})
        assert applied["spec"]["endpoints"] == [{"address": "203.0.113.8"}]

    def test_manifests_apply_unchanged(self, east: ApiServer, west: ApiServer) -> None:
        """Real manifests of both clusters are accepted as they are: the boutique's where they are at hand."""
        for cluster, server in (("cluster1", east), ("cluster2", west)):
            files = sorted(ONLINE_BOUTIQUE.glob(f"dual-control-plane/{cluster}/*.yaml"))
            applied = [manifest for file in files for manifest in server.apply_yaml(file.read_text())]
            applied = applied or [server.apply(SERVICE_ENTRY)]
            entries = {item["metadata"]["name"] for item in applied if item["kind"] == "ServiceEntry"}
            assert entries == names(server, "/apis/networking.istio.io/v1/serviceentries")

    def test_a_load_balancer_gets_its_address_from_the_test(self, east: ApiServer) -> None:
        """A patch of the status is kept and served."""
        east.apply(GATEWAY_SERVICE)
        east.patch_status(GATEWAY_SERVICE, {"loadBalancer": {"ingress": [{"ip": "203.0.113.7"}]}})
        service = east.get(east.path(GATEWAY_SERVICE))
        assert service["status"]["loadBalancer"]["ingress"][0]["ip"] == "203.0.113.7"

    def test_clear_leaves_what_the_cluster_made_itself(self, east: ApiServer) -> None:
        """What a test made is gone, namespaces included; `default/kubernetes` stays."""
        east.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}})
        east.apply(GATEWAY_SERVICE, namespace="shop")
        east.apply(SERVICE_ENTRY, namespace="shop")
        east.clear()
        assert names(east, "/apis/networking.istio.io/v1/serviceentries") == set()
        assert names(east, "/api/v1/services") == {"kubernetes"}
        assert names(east, "/api/v1/namespaces") == {"default", "kube-node-lease", "kube-public", "kube-system"}

    def test_stopped_and_started_again_it_is_the_same_server(self, west: ApiServer) -> None:
        """Port, certificate and data survive, and the client finds its way back."""
        west.apply(SERVICE_ENTRY)
        before = west.kubeconfig()
        west.stop()
        with pytest.raises(OSError, match="refused"):
            west.get("/readyz")
        west.start()
        assert (west.get("/readyz"), west.kubeconfig()) == ("ok", before)
        assert names(west, "/apis/networking.istio.io/v1/serviceentries") == {"frontend"}

    def test_paused_it_is_silent_and_then_goes_on(self, west: ApiServer) -> None:
        """A request made during the pause is answered after it."""
        west.pause()
        state = Path(f"/proc/{west.pid}/stat")
        eventually(lambda: state.read_text().rsplit(") ", 1)[1].startswith("T"), what="the server stands still")
        west.resume()
        assert west.get("/readyz") == "ok"

    def test_the_kubeconfig_holds_all_that_a_client_needs(self, east: ApiServer, tmp_path: Path) -> None:
        """The written file names the context, the token and the authority, and no other file."""
        text = east.write_kubeconfig(tmp_path / "config", context="east-admin").read_text()
        assert "current-context: east-admin" in text
        assert TOKEN in text
        assert "certificate-authority-data: LS0t" in text


class TestNameServers:
    def test_coredns_forwards_to_unbound(self) -> None:
        """The answer crosses both."""
        with Unbound(["www.example.com. 60 IN A 192.0.2.1"]) as unbound:
            corefile = f". {{\n bind 127.0.0.1\n forward . {unbound.address}:{unbound.port}\n}}\n"
            with CoreDNS(corefile) as coredns:
                assert dig("www.example.com", port=coredns.port).rdata == ("192.0.2.1",)

    def test_dnsmasq_forwards_one_domain(self) -> None:
        """Names of the domain go to the server named for it; others are refused."""
        with (
            Unbound(["frontend.default.global. 30 IN A 203.0.113.7"]) as unbound,
            Dnsmasq(f"--server=/global/127.0.0.1#{unbound.port}") as dnsmasq,
        ):
            assert dig("frontend.default.global", port=dnsmasq.port).rdata == ("203.0.113.7",)
            refused = dig("www.example.com", port=dnsmasq.port)
            assert (refused.status, refused.ede) == ("REFUSED", ("14 (Not Ready)",))

    @pytest.mark.parametrize("server", [Knot, Nsd])
    @pytest.mark.parametrize("tcp", [False, True])
    def test_an_authoritative_server_serves_its_zone(self, server: type[Knot | Nsd], *, tcp: bool) -> None:
        """Over UDP and TCP the answer is authoritative, and what the zone lacks is NXDOMAIN with its SOA."""
        with server({"corp.example": CORP_ZONE}) as authority:
            reply = dig("www.corp.example", "TXT", port=authority.port, tcp=tcp)
            assert (reply.answer, "aa" in reply.flags) == (
                ('www.corp.example. 60 IN TXT "two  spaces" "and more"',),
                True,
            )
            missing = dig("nope.corp.example", port=authority.port, tcp=tcp)
            assert (missing.status, missing.authority[0].split()[3]) == ("NXDOMAIN", "SOA")

    def test_what_unbound_is_not_given_is_nxdomain(self) -> None:
        """Nothing is asked outside the machine."""
        with Unbound(["www.example.com. 60 IN A 192.0.2.1"]) as unbound:
            assert dig("other.example.com", port=unbound.port).status == "NXDOMAIN"


class TestComponent:
    def test_a_failure_to_start_shows_the_log(self) -> None:
        """The message says what the program said."""
        with pytest.raises(
            ComponentFailed, match=r"(?s)CoreDNS did not start: it ended with status 1.*Unknown directive"
        ):
            CoreDNS(". {\n bind 127.0.0.1\n nonsense\n}\n").__enter__()

    def test_a_corefile_that_listens_everywhere_is_refused(self) -> None:
        """Servers under test listen on loopback only."""
        with pytest.raises(ValueError, match=r"bind 127\.0\.0\.1"):
            CoreDNS(". {\n whoami\n}\n")

    def test_a_failing_block_carries_the_log(self) -> None:
        """The exception that leaves the block has the log's tail as a note."""
        with pytest.raises(NoReply) as failure, Dnsmasq():
            dig("www.example.com", port=free_port(), opts=["+time=1"])
        assert "the log of dnsmasq ends with" in failure.value.__notes__[0]

    def test_nothing_is_left_when_the_block_ends(self) -> None:
        """Process and folder are gone."""
        with Dnsmasq() as dnsmasq:
            pid, folder = dnsmasq.pid, dnsmasq.folder
        assert not folder.exists()
        assert not Path(f"/proc/{pid}").exists()

    def test_a_component_dies_with_the_process_that_started_it(self) -> None:
        """When the test run is killed, the kernel kills its programs."""
        script = """
            import signal
            from tests.rig.unbound import Unbound
            with Unbound() as unbound:
                print(unbound.pid, flush=True)
                signal.pause()
        """
        with subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(script)], stdout=subprocess.PIPE, text=True, cwd=REPOSITORY
        ) as run:
            assert run.stdout is not None
            pid = int(run.stdout.readline())
            run.kill()
        eventually(lambda: not _alive(pid), what=f"process {pid} is gone")


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "Z" not in Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()[0]
